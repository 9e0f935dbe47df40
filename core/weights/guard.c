/* guard: what happens when a mapped file is shorter than its mapping.
 *
 * A file that is truncated while it is mapped, or whose disk fails, raises SIGBUS in whoever reads
 * the pages that are gone. The handler finds the address in a table of mapped ranges, puts a page
 * of zeros there, marks the range as lost and returns: the reader goes on, with numbers that mean
 * nothing, and whoever started the work looks at the mark before the result leaves the process.
 *
 * The handler runs in the middle of anything, so the table is read without locks, and its entries
 * are never freed. It is process-wide because signals are; a program that does not call
 * sn_sigbus_install() has the table, but no handler. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "supernet/host.h"
#include "weights/weights.h"

enum { RANGES_OF_A_BLOCK = 64 };

/* An odd `turn`: it is being changed. A range cannot be given up while somebody reads in it, so a
 * reader that meets a change was looking at a range of others. */
struct guard_range {
    atomic_bool      taken, lost;
    atomic_uint      turn;
    atomic_uintptr_t start, stop; /* whole pages */
};

struct block {
    struct guard_range      range[RANGES_OF_A_BLOCK];
    _Atomic(struct block *) next;
};

static struct block     first_block;
static struct sigaction before; /* written by sn_sigbus_install(), before there are threads */

static uintptr_t page_bytes(void)
{
    return (uintptr_t)sysconf(_SC_PAGESIZE);
}

/* ---- the table ------------------------------------------------------------------------- */

/* The block behind `b`, made if there is none; NULL when memory is out. */
static struct block *next_block(struct block *b)
{
    struct block *next = atomic_load(&b->next), *fresh;

    if (next) return next;
    fresh = calloc(1, sizeof *fresh);
    if (fresh && !atomic_compare_exchange_strong(&b->next, &next, fresh)) {
        free(fresh);
        return next;
    }
    return fresh;
}

static void set_range(struct guard_range *r, uintptr_t start, uintptr_t stop)
{
    atomic_fetch_add(&r->turn, 1);
    atomic_store(&r->start, start);
    atomic_store(&r->stop, stop);
    atomic_store(&r->lost, false);
    atomic_fetch_add(&r->turn, 1);
}

struct guard_range *guard_add(const void *bytes, size_t n_bytes)
{
    const uintptr_t page = page_bytes(), start = (uintptr_t)bytes;

    for (struct block *b = &first_block; b; b = next_block(b))
        for (size_t i = 0; i < RANGES_OF_A_BLOCK; i++) {
            bool taken = false;

            if (!atomic_compare_exchange_strong(&b->range[i].taken, &taken, true)) continue;
            set_range(&b->range[i], start, (start + n_bytes + page - 1) & ~(page - 1));
            return &b->range[i];
        }
    return NULL;
}

void guard_remove(struct guard_range *r)
{
    if (!r) return;
    set_range(r, 0, 0);
    atomic_store(&r->taken, false);
}

bool guard_is_lost(const struct guard_range *r)
{
    return r && atomic_load_explicit(&r->lost, memory_order_acquire);
}

static struct guard_range *find(uintptr_t at, uintptr_t *ret_start, uintptr_t *ret_stop)
{
    for (struct block *b = &first_block; b; b = atomic_load(&b->next))
        for (size_t i = 0; i < RANGES_OF_A_BLOCK; i++) {
            struct guard_range *r = &b->range[i];
            const unsigned      turn = atomic_load(&r->turn);
            const uintptr_t     start = atomic_load(&r->start), stop = atomic_load(&r->stop);

            if (turn % 2 || turn != atomic_load(&r->turn) || at < start || at >= stop) continue;
            *ret_start = start;
            *ret_stop = stop;
            return r;
        }
    return NULL;
}

/* ---- the signal -------------------------------------------------------------------------- */

static bool put_zeros(uintptr_t start, uintptr_t stop)
{
    return mmap((void *)start, stop - start, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                0) != MAP_FAILED;
}

/* Every page is a mapping of its own to the kernel, which has a limit of them (and pages of other
 * sizes): then everything is given up at once. */
static bool cover(uintptr_t at)
{
    const uintptr_t     page = page_bytes(), here = at & ~(page - 1);
    uintptr_t           start, stop;
    struct guard_range *r = find(at, &start, &stop);

    if (!r || (!put_zeros(here, here + page) && !put_zeros(start, stop))) return false;
    atomic_store_explicit(&r->lost, true, memory_order_release);
    return true;
}

/* What is not ours is left to whoever was there before, by default the end of the process: a fault
 * comes again by itself, a signal that somebody sent does not. */
static void on_sigbus(int signal, siginfo_t *info, void *context)
{
    const int saved = errno;

    (void)context;
    if (info->si_code <= 0 || !cover((uintptr_t)info->si_addr)) {
        sigaction(SIGBUS, &before, NULL);
        if (info->si_code <= 0) raise(signal);
    }
    errno = saved;
}

SN_EXPORT sn_status sn_sigbus_install(sn_error *err)
{
    struct sigaction act = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_ONSTACK};

    struct sigaction now;

    sigemptyset(&act.sa_mask);
    if (sigaction(SIGBUS, NULL, &now) < 0)
        return sn_fail(err, SN_E_IO, "SIGBUS", "the handler cannot be examined: %m");
    if (now.sa_sigaction == on_sigbus) return SN_OK;
    before = now;
    if (sigaction(SIGBUS, &act, NULL) < 0)
        return sn_fail(err, SN_E_IO, "SIGBUS", "the handler cannot be installed: %m");
    return SN_OK;
}
