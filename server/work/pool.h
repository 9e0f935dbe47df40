/* pool.h - compute threads behind a queue of fixed length.
 *
 * A job belongs to one side at a time: to the caller, then (pool_push) to the
 * pool, then (pool_collect) to the caller again. Every job that was accepted
 * comes back, by pool_collect or by pool_take_back. */
#ifndef SERVER_WORK_POOL_H
#define SERVER_WORK_POOL_H

#include "api.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { POOL_STACK_BYTES = 8 << 20 }; /* of each worker; the platform's own may be far smaller */

/* Embedded in what the caller queues. Monotonic times in ns, valid once it is back. */
struct pool_job {
    struct pool_job *next;
    uint64_t         pushed_ns, started_ns, done_ns;
};

struct pool_class {
    void (*run)(void *cls, struct api_worker *worker, struct pool_job *job); /* on a worker */
    void (*wake)(void *cls); /* on a worker: there is something to collect; calls coalesce */
    void  *cls;
    size_t n_team; /* most workers at one job, which `worker` lets share; 0, 1: one */
};

struct pool;

/* NULL and a sentence in `why` if memory or threads run out. */
struct pool *pool_create(size_t n_workers, size_t n_queue, const struct pool_class *c, char *why,
                         size_t n_why);

/* Never blocks. False: the queue is full, or the pool is stopping. */
bool pool_push(struct pool *pool, struct pool_job *job);
bool pool_is_full(struct pool *pool);

/* True if the job was still waiting; it is the caller's again and never ran. */
bool pool_take_back(struct pool *pool, struct pool_job *job);

/* All that is done, oldest first. */
struct pool_job *pool_collect(struct pool *pool);

/* Seconds after which a refused client may find room: what waits, times the usual run time. */
int pool_retry_after(struct pool *pool);

void pool_counts(struct pool *pool, size_t *ret_waiting, size_t *ret_running);

/* Run what waits, then join the workers. What they did can still be collected. */
void pool_stop(struct pool *pool);

/* Stops first, if need be. Jobs that were not collected are the caller's loss. */
struct pool *pool_free(struct pool *pool);

#endif
