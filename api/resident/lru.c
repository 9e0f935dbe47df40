/* lru: chained hash table and doubly linked list over the same nodes. */
#include "resident/lru.h"

#include <assert.h>
#include <stdlib.h>

enum { FIRST_BUCKETS = 64 };

/* FNV-1a: keys are short, and most of them are digits of a cryptographic hash. */
uint64_t api_hash(uint64_t seed, const void *bytes, size_t n_bytes)
{
    const unsigned char *at = bytes;
    uint64_t             h = seed ^ UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < n_bytes; i++)
        h = (h ^ at[i]) * UINT64_C(0x100000001b3);
    return h ^ h >> 32;
}

static struct api_lru_node **bucket_of(const struct api_lru *lru, uint64_t hash)
{
    return &lru->bucket[hash & (lru->n_buckets - 1)];
}

static void list_remove(struct api_lru *lru, struct api_lru_node *node)
{
    *(node->newer ? &node->newer->older : &lru->newest) = node->older;
    *(node->older ? &node->older->newer : &lru->oldest) = node->newer;
}

static void list_push(struct api_lru *lru, struct api_lru_node *node)
{
    node->newer = NULL;
    node->older = lru->newest;
    *(lru->newest ? &lru->newest->newer : &lru->oldest) = node;
    lru->newest = node;
}

struct api_lru_node *api_lru_find(struct api_lru *lru, uint64_t hash, api_lru_match *match,
                                  const void *key)
{
    if (lru->n_buckets == 0) return NULL;
    for (struct api_lru_node *node = *bucket_of(lru, hash); node; node = node->chain)
        if (node->hash == hash && match(node, key)) {
            list_remove(lru, node);
            list_push(lru, node);
            return node;
        }
    return NULL;
}

/* Twice the buckets. Without memory the chains get longer instead. */
static bool grow(struct api_lru *lru)
{
    const size_t   n = lru->n_buckets ? 2 * lru->n_buckets : FIRST_BUCKETS;
    struct api_lru next = {.bucket = calloc(n, sizeof(struct api_lru_node *)), .n_buckets = n};

    if (!next.bucket) return lru->n_buckets > 0;
    for (struct api_lru_node *node = lru->newest; node; node = node->older) {
        struct api_lru_node **b = bucket_of(&next, node->hash);

        node->chain = *b;
        *b = node;
    }
    free(lru->bucket);
    lru->bucket = next.bucket;
    lru->n_buckets = n;
    return true;
}

bool api_lru_insert(struct api_lru *lru, struct api_lru_node *node, uint64_t hash)
{
    struct api_lru_node **b;

    if (lru->n >= lru->n_buckets && !grow(lru)) return false;
    b = bucket_of(lru, hash);
    node->hash = hash;
    node->chain = *b;
    *b = node;
    list_push(lru, node);
    lru->n++;
    return true;
}

void api_lru_remove(struct api_lru *lru, struct api_lru_node *node)
{
    struct api_lru_node **link = bucket_of(lru, node->hash);

    while (*link != node)
        link = &(*link)->chain;
    *link = node->chain;
    list_remove(lru, node);
    lru->n--;
}

void api_lru_fini(struct api_lru *lru)
{
    assert(lru->n == 0);
    free(lru->bucket);
    *lru = (struct api_lru){0};
}
