/* threads: what a caller of the library passes as sn_parallel. */
#ifndef SUPPORT_THREADS_H
#define SUPPORT_THREADS_H

#include "supernet/supernet.h"

/* How often a run goes over its plan: core/run/fence.h. */
#ifdef SN_FENCE
enum { RUN_PASSES = 2 };
#else
enum { RUN_PASSES = 1 };
#endif

/* A loop over up to n threads of its own, started for each run. */
sn_parallel threads_of(int n);

/* How many parts all runs (one pass of them) so far had, to see that work was shared at all. */
int threads_parts(void);

#endif
