/* lru: a hash table that remembers which entry was used last.
 *
 * Intrusive: an entry embeds a node, so that the table allocates nothing but its
 * buckets. Knows no lock and no bound; the two caches over it have both. */
#ifndef API_RESIDENT_LRU_H
#define API_RESIDENT_LRU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct api_lru_node {
    struct api_lru_node *chain; /* same bucket */
    struct api_lru_node *older, *newer;
    uint64_t             hash;
};

struct api_lru {
    struct api_lru_node **bucket;
    size_t                n_buckets; /* a power of two, or 0 */
    size_t                n;
    struct api_lru_node  *newest, *oldest;
};

typedef bool api_lru_match(const struct api_lru_node *node, const void *key);

uint64_t api_hash(uint64_t seed, const void *bytes, size_t n_bytes);

/* The entry, now the newest; NULL if there is none. */
struct api_lru_node *api_lru_find(struct api_lru *lru, uint64_t hash, api_lru_match *match,
                                  const void *key);

/* Insert as the newest; the caller has looked for it. False when memory is out. */
bool api_lru_insert(struct api_lru *lru, struct api_lru_node *node, uint64_t hash);
void api_lru_remove(struct api_lru *lru, struct api_lru_node *node);
void api_lru_fini(struct api_lru *lru); /* must be empty */

#endif
