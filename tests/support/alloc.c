#include "support/alloc.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The linker makes these: __wrap_x gets the calls of x, __real_x is what x was.
 * Weak: a program linked without --wrap calls neither. */
#pragma weak __real_malloc
#pragma weak __real_calloc
#pragma weak __real_realloc
#pragma weak __real_free
#pragma weak __real_aligned_alloc
#pragma weak __real_posix_memalign
void        *__real_malloc(size_t n);
void        *__real_calloc(size_t n, size_t size);
void        *__real_realloc(void *p, size_t n);
void         __real_free(void *p);
void        *__real_aligned_alloc(size_t align, size_t n);
int          __real_posix_memalign(void **ret, size_t align, size_t n);
void        *__wrap_malloc(size_t n);
void        *__wrap_calloc(size_t n, size_t size);
void        *__wrap_realloc(void *p, size_t n);
void         __wrap_free(void *p);
void        *__wrap_aligned_alloc(size_t align, size_t n);
int          __wrap_posix_memalign(void **ret, size_t align, size_t n);
char        *__wrap_strdup(const char *s);
char        *__wrap_strndup(const char *s, size_t n);

static atomic_size_t n_calls, n_until_failure;
static atomic_bool   failed;

/* What is allocated now, and the most there was. Memory that a shared library allocated and this
 * code frees is taken off all the same: such pieces are few and small. */
static atomic_long live, floor_of_peak, peak;

static void *note(void *p)
{
    const long now =
        p ? atomic_fetch_add(&live, (long)malloc_usable_size(p)) + (long)malloc_usable_size(p) : 0;
    long most = atomic_load(&peak);

    while (now > most && !atomic_compare_exchange_weak(&peak, &most, now))
        ;
    return p;
}

static void unnote(void *p)
{
    if (p) atomic_fetch_sub(&live, (long)malloc_usable_size(p));
}

void alloc_peak_reset(void)
{
    atomic_store(&floor_of_peak, atomic_load(&live));
    atomic_store(&peak, atomic_load(&live));
}

size_t alloc_peak_bytes(void)
{
    return (size_t)(atomic_load(&peak) - atomic_load(&floor_of_peak));
}

size_t alloc_count(void)
{
    return atomic_load(&n_calls);
}

void alloc_fail_at(size_t n)
{
    atomic_store(&failed, false);
    atomic_store(&n_until_failure, n);
}

bool alloc_failed(void)
{
    return atomic_load(&failed);
}

/* Counts one allocation; true if it is the one to fail. */
static bool count_one(void)
{
    size_t n = atomic_load(&n_until_failure);

    atomic_fetch_add(&n_calls, 1);
    while (n > 0 && !atomic_compare_exchange_weak(&n_until_failure, &n, n - 1))
        ;
    if (n != 1) return false;
    atomic_store(&failed, true);
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t n)
{
    return count_one() ? NULL : note(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return count_one() ? NULL : note(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t n)
{
    void *moved;

    if (count_one()) return NULL;
    unnote(p);
    moved = __real_realloc(p, n);
    note(moved ? moved : p);
    return moved;
}

void __wrap_free(void *p)
{
    unnote(p);
    __real_free(p);
}

void *__wrap_aligned_alloc(size_t align, size_t n)
{
    return count_one() ? NULL : note(__real_aligned_alloc(align, n));
}

int __wrap_posix_memalign(void **ret, size_t align, size_t n)
{
    const int fault = count_one() ? ENOMEM : __real_posix_memalign(ret, align, n);

    if (!fault) note(*ret);
    return fault;
}

char *__wrap_strdup(const char *s)
{
    return __wrap_strndup(s, SIZE_MAX);
}

char *__wrap_strndup(const char *s, size_t n)
{
    const size_t length = strnlen(s, n);
    char        *copy = count_one() ? NULL : note(__real_malloc(length + 1));

    if (!copy) return NULL;
    copy[length] = '\0';
    return memcpy(copy, s, length);
}
