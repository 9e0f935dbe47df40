/* share: one loop on several threads. */
#ifndef BASE_SHARE_H
#define BASE_SHARE_H

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

#endif
