/* plan_cache: compiled subnets, least recently used first out, bounded in bytes.
 *
 *     (load of a supernet, subnet, mode, exactness, threads, input shapes for the largest batch)
 *     -> plan
 *
 * The key has everything that a plan depends on: struct plan_key in plan_cache.c. A plan for a
 * fixed batch is found by the shapes of exactly that batch.
 *
 * Compiling happens outside the lock. Two threads may compile the same plan at
 * once; one of the two is kept and the other is used once. */
#ifndef API_RESIDENT_PLAN_CACHE_H
#define API_RESIDENT_PLAN_CACHE_H

#include <pthread.h>

#include "resident/model.h"

struct plan_cache {
    size_t          max_bytes;
    struct account *account;
    pthread_mutex_t lock;
    struct api_lru  plans; /* under lock, and all below */
    size_t          bytes;
    uint64_t        n_hits, n_misses, n_evictions;
};

struct plan_cache_figures {
    size_t   n_entries, bytes;
    uint64_t n_hits, n_misses, n_evictions;
};

bool api_plan_cache_init(struct plan_cache *c, size_t max_bytes, struct account *account);
void api_plan_cache_fini(struct plan_cache *c);

/* sn_plan_compile(); for fewer threads, where the temporary memory of `n_threads` is above the
 * limit: what one thread can run is not refused. */
enum problem_code api_plan_compile(struct model *m, sn_subnet *subnet,
                                   const sn_compile_options *options, sn_plan **ret_plan,
                                   struct problem *p);

/* A plan of `subnet` that can run the inputs options->in, referenced: from the cache, or compiled
 * now. It is one for `largest`, the same inputs with a larger batch, if the network allows;
 * otherwise one for options->in alone. */
enum problem_code api_plan_cache_get(struct plan_cache *c, struct model *m, sn_subnet *subnet,
                                     const sn_compile_options *options, const sn_desc *largest,
                                     sn_plan **ret_plan, struct problem *p);

/* Drop the plans of a model that has left the store (its `retired` is set). */
void api_plan_cache_purge(struct plan_cache *c, const struct model *m);

struct plan_cache_figures api_plan_cache_read(struct plan_cache *c);

#endif
