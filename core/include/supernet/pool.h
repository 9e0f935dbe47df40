/* pool.h - threads: what runs of a plan share their loops with. */
#ifndef SUPERNET_POOL_H
#define SUPERNET_POOL_H

#include "supernet/supernet.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- threads of the library ----------------------------------------------- */

/* Threads that wait for the loops of runs: the only ones that the library ever starts, and only
 * here. They take no signals but those of faults. Two runs at a time need a pool each. */
typedef struct sn_pool sn_pool;

/* Of n_threads the caller of sn_plan_forward() is one: n_threads - 1 are started. SN_E_LIMIT: so
 * many cannot be. */
sn_status sn_pool_create(int n_threads, sn_pool **ret_pool, sn_error *err);

/* For sn_run_options.parallel, with a balance of its own; good as long as the pool. Plans are
 * compiled for as many threads: sn_compile_options.n_threads. */
const sn_parallel *sn_pool_parallel(const sn_pool *pool);

/* Ends its threads; no run may be going on. Accepts NULL, returns NULL. */
sn_pool *sn_pool_free(sn_pool *pool);

/* ---- threads of your own -------------------------------------------------- */

/* sn_balance: how fast threads are beside one another: cores may be of two kinds, or busy with
 * other programs. Runs measure it, and the next ones divide their loops by it: in evaluation mode
 * no bit depends on that. For one run at a time. */
sn_status   sn_balance_create(int n_threads, sn_balance **ret_balance, sn_error *err);
sn_balance *sn_balance_free(sn_balance *balance); /* accepts NULL, returns NULL */

/* ---- BLAS: one door, process-wide ----------------------------------------- */

/* Threads of the BLAS under the kernels; call it once, before the first plan runs
 * and before other threads exist. 1 is right whenever requests run in parallel. */
void sn_blas_set_threads(int n);

/* "OpenBLAS 0.3.21 ... Zen", or "reference kernels". */
const char *sn_blas_describe(void);

#ifdef __cplusplus
}
#endif
#endif
