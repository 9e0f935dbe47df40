/* arena: memory that dies together.
 *
 * Blocks grow from 1 KB to 64 KB, so that a small subnet stays small and a model
 * of thousands of nodes needs few of them. What is larger than a block gets one
 * of its own. Under the address sanitizer a block is poisoned until it is handed
 * out, and a gap stays poisoned behind every object. */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/budget.h"
#include "base/hash.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
enum { GAP = 16 };
#else
#define ASAN_POISON_MEMORY_REGION(p, n)   ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
enum { GAP = 0 };
#endif

enum { ALIGN = 16, FIRST_BLOCK = 1 << 10, LARGEST_BLOCK = 1 << 16, LARGEST_TIGHT = 1 << 12 };

struct block {
    struct block *older;
    size_t        used, size;
    _Alignas(ALIGN) unsigned char bytes[];
};

struct sn_arena {
    struct block   *top;
    size_t          next_size; /* of the next ordinary block */
    size_t          largest;
    size_t          n_bytes; /* taken from the system */
    struct budget  *budget;
    struct hash_key key;
    bool            has_key;
};

static struct block *block_create(sn_arena *a, size_t size)
{
    struct block *b;
    size_t        n_bytes;

    if (__builtin_add_overflow(size, sizeof *b, &n_bytes)) return NULL;
    if (!budget_take(a->budget, n_bytes)) return NULL;
    b = malloc(n_bytes);
    if (!b) {
        budget_give(a->budget, n_bytes);
        return NULL;
    }
    *b = (struct block){.size = size};
    ASAN_POISON_MEMORY_REGION(b->bytes, size);
    a->n_bytes += n_bytes;
    return b;
}

/* The block to cut n bytes from; NULL when memory is out. */
static struct block *block_with(sn_arena *a, size_t n)
{
    struct block *b = a->top;

    if (b && b->size - b->used >= n) return b;
    if (b && n > a->next_size / 2) { /* its own block, below: the top one keeps its rest */
        b = block_create(a, n);
        if (!b) return NULL;
        b->older = a->top->older;
        a->top->older = b;
        return b;
    }
    b = block_create(a, n > a->next_size ? n : a->next_size);
    if (!b) return NULL;
    b->older = a->top;
    a->top = b;
    if (a->next_size < a->largest) a->next_size *= 2;
    return b;
}

SN_EXPORT sn_arena *sn_arena_create(void)
{
    sn_arena *a = malloc(sizeof *a);

    if (a)
        *a = (sn_arena){.next_size = FIRST_BLOCK, .largest = LARGEST_BLOCK, .n_bytes = sizeof *a};
    return a;
}

sn_arena *arena_create_tight(void)
{
    sn_arena *a = sn_arena_create();

    if (a) a->largest = LARGEST_TIGHT;
    return a;
}

SN_EXPORT void *sn_arena_alloc(sn_arena *a, size_t n_bytes)
{
    unsigned char *at;
    struct block  *b;
    size_t         n;

    if (__builtin_add_overflow(n_bytes, ALIGN - 1 + GAP, &n)) return NULL;
    n &= ~(size_t)(ALIGN - 1);
    b = block_with(a, n);
    if (!b) return NULL;
    at = b->bytes + b->used;
    b->used += n;
    ASAN_UNPOISON_MEMORY_REGION(at, n_bytes);
    return memset(at, 0, n_bytes);
}

SN_EXPORT sn_arena *sn_arena_free(sn_arena *a)
{
    if (!a) return NULL;
    for (struct block *b = a->top, *older; b; b = older) {
        older = b->older;
        ASAN_UNPOISON_MEMORY_REGION(b->bytes, b->size);
        free(b);
    }
    budget_give(a->budget, a->n_bytes);
    free(a);
    return NULL;
}

void *arena_array(sn_arena *a, size_t n, size_t size)
{
    size_t n_bytes;

    return __builtin_mul_overflow(n, size, &n_bytes) ? NULL : sn_arena_alloc(a, n_bytes);
}

char *arena_strdup(sn_arena *a, const char *text)
{
    const size_t n_bytes = strlen(text) + 1;
    char        *copy = sn_arena_alloc(a, n_bytes);

    return copy ? memcpy(copy, text, n_bytes) : NULL;
}

char *arena_printf(sn_arena *a, const char *fmt, ...)
{
    char   *text = NULL;
    va_list ap;
    int     n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n >= 0) text = sn_arena_alloc(a, (size_t)n + 1);
    if (!text) return NULL;
    va_start(ap, fmt);
    vsnprintf(text, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return text;
}

size_t arena_bytes(const sn_arena *a)
{
    return a->n_bytes;
}

bool arena_limit(sn_arena *a, struct budget *b)
{
    if (!budget_take(b, a->n_bytes)) return false;
    budget_give(a->budget, a->n_bytes);
    a->budget = b;
    return true;
}

struct budget *arena_budget(const sn_arena *a)
{
    return a ? a->budget : NULL;
}

const struct hash_key *arena_hash_key(sn_arena *a)
{
    if (!a->has_key) a->key = hash_key_new(a);
    a->has_key = true;
    return &a->key;
}
