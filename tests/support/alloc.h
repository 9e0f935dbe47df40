/* alloc: every allocation of the code under test is counted, and one can fail.
 *
 * Test programs are linked with --wrap=malloc and so on, which leads the calls of
 * this project's code here. Calls inside shared libraries do not come here. */
#ifndef SUPPORT_ALLOC_H
#define SUPPORT_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* Allocations so far, of all threads. */
size_t alloc_count(void);

/* The n-th allocation from now on fails, n > 0, and only that one; 0: none. */
void alloc_fail_at(size_t n);

/* The most bytes that were allocated at one time since the last reset, beyond those that were
 * allocated then. */
void   alloc_peak_reset(void);
size_t alloc_peak_bytes(void);

/* Did the failure that was asked for happen? */
bool alloc_failed(void);

#endif
