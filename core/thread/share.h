/* share: one loop on several threads. */
#ifndef THREAD_SHARE_H
#define THREAD_SHARE_H

#include "supernet/supernet.h"

/* What reading a number that an earlier step has made is worth in multiply-adds: it may be in the
 * cache of another core, which wrote it. */
enum { SHARE_TOUCH = 32 };

/* Units [from, to); `thread` says whose temporary memory the body may use. */
typedef void share_body(const void *cls, int64_t from, int64_t to, int thread);

/* body over [0, n): on one thread, or in parts that start at multiples of `grain`, as many as
 * `work` multiply-adds are worth, at most n_threads. Returns when all are done. `parallel` may be
 * NULL. */
void share_run(const sn_parallel *parallel, int n_threads, int64_t n, int64_t grain, double work,
               share_body *body, const void *cls);

/* What one thread does by itself: share_run() with `alone` runs this thread's part of the loop, and
 * no other. */
typedef void share_each_body(const void *cls, const sn_parallel *alone);

/* Call `body` once on every thread there is, at most n_threads, without a barrier inside. False if
 * `work` multiply-adds are not worth all of them: nothing was done.
 * Precondition: every share_run() inside has the same number of grains, ceil(n / grain). Then a
 * thread owns the same grains in all of them; otherwise one would read what another still writes.
 */
bool share_each(const sn_parallel *parallel, int n_threads, double work, share_each_body *body,
                const void *cls);

#endif
