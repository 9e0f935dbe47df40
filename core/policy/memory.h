/* memory: what a policy holds and does, against the limits of its instance. `policy` is the state
 * that the library gave to the class; NULL: no limits, for tests of parts. */
#ifndef POLICY_MEMORY_H
#define POLICY_MEMORY_H

#include "base/base.h"

/* n * size zeroed bytes, at least one; NULL above the limit and when memory is out. */
void *policy_calloc(void *policy, size_t n, size_t size);
void  policy_free(void *policy, void *p, size_t n, size_t size);

/* Before steps of work: SN_E_STOPPED, of which the library knows the reason. */
sn_status policy_step(const void *policy, uint64_t n_steps, sn_error *err);

#endif
