/* balance: how loops are divided between threads of unequal speed. */
#ifndef THREAD_BALANCE_H
#define THREAD_BALANCE_H

#include <stdbool.h>

#include "supernet/pool.h"

struct sn_balance {
    int     n_threads;
    double *share; /* [n_threads] of a loop; 1: an equal part. Only read during a run */
    struct balance_thread {
        _Alignas(64) double work, seconds; /* in this run; a cache line for each thread */
        double speed;                      /* moving average; that of an average thread is 1 */
    } thread[];
};

/* Where part i of `parts` begins in a loop over [0, n), rounded to the nearest unit. */
int64_t balance_at(const sn_balance *b, int64_t n, int64_t parts, int64_t i);

/* Note that part i took so long for so much work, in any unit. Threads may call it at once for
 * different i. */
void balance_note(sn_balance *b, int64_t i, double work, double seconds);

/* After a run, on one thread: adapt the shares to what was measured; `stopped`: forget it. */
void balance_learn(sn_balance *b, bool stopped);

#endif
