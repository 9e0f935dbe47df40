/* share: one loop on several threads. */
#ifndef THREAD_SHARE_H
#define THREAD_SHARE_H

#include "supernet/supernet.h"

/* Multiply-adds that reading a number is worth which an earlier step has made: it may lie in the
 * cache of the core that has written it. */
enum { SHARE_TOUCH = 32 };

/* Units [from, to); `thread` says whose scratch memory the body may use. */
typedef void share_body(const void *cls, int64_t from, int64_t to, int thread);

/* body over [0, n): on one thread, or in parts that start at multiples of `grain`, as many as
 * `work` multiply-adds are worth, at most n_threads. `parallel` may be NULL. */
void share_run(const sn_parallel *parallel, int n_threads, int64_t n, int64_t grain, double work,
               share_body *body, const void *cls);

/* What a thread does on its own: `alone` runs its part of every loop, and no other. */
typedef void share_lane(const void *cls, const sn_parallel *alone);

/* `lane` on as many threads as there are, at most n_threads, if `work` multiply-adds are worth them
 * all; false if not, and nothing was done. All loops of a lane must have the same number of grains:
 * then its parts of them are the same. */
bool share_lanes(const sn_parallel *parallel, int n_threads, double work, share_lane *lane,
                 const void *cls);

#endif
