/* fence: memory between guard pages, in builds with SN_FENCE: it ends at the end of a page (rounded
 * to `align`), and the pages before and after cannot be accessed. In other builds it is plain
 * aligned memory. */
#ifndef BASE_FENCE_H
#define BASE_FENCE_H

#include <stddef.h>
#include <stdlib.h>

#ifdef SN_FENCE

/* NULL when there is no more room for it. `align`: a power of two, at most a page. */
void *fence_alloc(size_t align, size_t n_bytes);
void  fence_free(void *memory);

/* A copy that belongs to `*list`, NULL at first; `from` itself where there is no more room. */
const void *fence_copy(void **list, const void *from, size_t n_bytes);
void        fence_drop(void **list);

#else

static inline void *fence_alloc(size_t align, size_t n_bytes)
{
    return aligned_alloc(align, (n_bytes + align - 1) & ~(align - 1));
}

static inline void fence_free(void *memory)
{
    free(memory);
}

static inline const void *fence_copy(void **list, const void *from, size_t n_bytes)
{
    (void)list;
    (void)n_bytes;
    return from;
}

static inline void fence_drop(void **list)
{
    (void)list;
}

#endif
#endif
