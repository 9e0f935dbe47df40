/* fence: empty in builds without SN_FENCE. */
#ifdef SN_FENCE
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include "base/fence.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Copies of a list: a process may have some 65 000 mappings, and each copy takes four. */
enum { COPIES = 256 };

/*     [ head, a page ] [ closed ] [ memory ] [ closed ]     it begins in the first page of its own
 */
struct head {
    size_t n_bytes; /* of all */
    int    n;       /* of the list, up to here */
    void  *next;
};

static struct head *head_of(void *memory)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

    return (struct head *)((char *)memory - ((uintptr_t)memory & (page - 1)) - 2 * page);
}

void *fence_alloc(size_t align, size_t n_bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t bytes = n_bytes ? (n_bytes + align - 1) & ~(align - 1) : align;
    const size_t open = (bytes + page - 1) / page * page, all = open + 3 * page;
    char        *at = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED) return NULL;
    if (mprotect(at, page, PROT_READ | PROT_WRITE) != 0 ||
        mprotect(at + 2 * page, open, PROT_READ | PROT_WRITE) != 0) {
        munmap(at, all);
        return NULL;
    }
    *(struct head *)at = (struct head){.n_bytes = all};
    return at + 2 * page + open - bytes;
}

void fence_free(void *memory)
{
    struct head *head = memory ? head_of(memory) : NULL;

    if (head) munmap(head, head->n_bytes);
}

const void *fence_copy(void **list, const void *from, size_t n_bytes)
{
    const int n = *list ? head_of(*list)->n : 0;
    void     *copy = n < COPIES ? fence_alloc(1, n_bytes) : NULL;

    if (!copy) return from;
    if (n_bytes) memcpy(copy, from, n_bytes);
    head_of(copy)->n = n + 1;
    head_of(copy)->next = *list;
    *list = copy;
    return copy;
}

void fence_drop(void **list)
{
    for (void *at = *list, *next; at; at = next) {
        next = head_of(at)->next;
        fence_free(at);
    }
    *list = NULL;
}

#endif
