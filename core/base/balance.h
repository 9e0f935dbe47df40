/* balance: how loops are divided between threads of unequal speed. */
#ifndef BASE_BALANCE_H
#define BASE_BALANCE_H

#include "supernet/supernet.h"

struct sn_balance {
    int n_threads;
    struct balance_thread {
        _Alignas(64) double work, seconds; /* in this run: each thread writes to its own line */
        double speed;                      /* moving average; that of an average thread is 1 */
        double share;                      /* of a loop, in equal parts: the speed of some runs */
    } thread[];
};

/* Where part i of `parts` begins in a loop over [0, n), rounded to the nearest unit. */
int64_t balance_at(const sn_balance *b, int64_t n, int64_t parts, int64_t i);

/* Part i, of so much work in any unit, took so long. On any thread, but one for each i. */
void balance_note(sn_balance *b, int64_t i, double work, double seconds);

/* After a run, on one thread: what it has shown. NULL: nothing. */
void balance_learn(sn_balance *b);

#endif
