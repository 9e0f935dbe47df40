/* mapping: a file as read-only memory, mapped or copied, and whether it is still what was opened.
 *
 * A mapped file can change under its readers, so the descriptor stays open, and the inode's size
 * and times are compared with those of the opening. A file that is replaced by rename (or deleted,
 * or moved) keeps its bytes for those who have it mapped: then its change time moves because of
 * its names, which can be told from a change of its bytes. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "weights/weights.h"

enum { COPY_BYTES = 4 << 20 }; /* at a time, between two questions whether to stop */

struct mapping {
    const void         *bytes;
    size_t              n_bytes;
    bool                mapped;  /* else a copy, or empty: nothing can happen to it */
    int                 fd;      /* where mapped, -1 otherwise */
    char               *path;    /* as it was opened */
    struct stat         opened;  /* then */
    struct guard_range *range;   /* where mapped */
    atomic_bool         changed; /* seen once: for good */
};

/* ---- has it changed? ------------------------------------------------------------------- */

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* Its name leads elsewhere by now: renamed over, moved or deleted. */
static bool is_displaced(const char *path, const struct stat *st)
{
    struct stat there;

    return stat(path, &there) < 0 || there.st_ino != st->st_ino || there.st_dev != st->st_dev;
}

/* The change time also moves with links, owners and rights, which leave the bytes alone. */
static bool is_same_file(const struct stat *a, const struct stat *b, const char *path)
{
    if (a->st_size != b->st_size || !same_time(a->st_mtim, b->st_mtim)) return false;
    return same_time(a->st_ctim, b->st_ctim) || a->st_nlink != b->st_nlink ||
           a->st_mode != b->st_mode || a->st_uid != b->st_uid || a->st_gid != b->st_gid ||
           is_displaced(path, b);
}

bool mapping_is_changed(const struct mapping *m)
{
    return m && (guard_is_lost(m->range) || atomic_load(&m->changed));
}

static sn_status fail_changed(const char *path, sn_error *err)
{
    return sn_fail(err, SN_E_CHANGED, path,
                   "the file was truncated or overwritten while it was in use; open it again, and "
                   "replace files by rename");
}

sn_status mapping_check(struct mapping *m, sn_error *err)
{
    struct stat now;

    if (!m || !m->mapped) return SN_OK;
    if (!mapping_is_changed(m) && fstat(m->fd, &now) == 0 &&
        is_same_file(&m->opened, &now, m->path))
        return SN_OK;
    atomic_store(&m->changed, true);
    return fail_changed(m->path, err);
}

/* ---- opening ----------------------------------------------------------------------------- */

/* Files have the time of the last tick of a clock, so a change in the same tick as the last one
 * could not be seen: wait for the next, a few milliseconds, if the file is that new. */
static void wait_for_tick(const struct stat *st)
{
    struct timespec tick, now;

    if (clock_getres(CLOCK_REALTIME_COARSE, &tick) < 0) return;
    for (int i = 0; i < 3; i++) { /* a server's clock may be ahead: not for ever */
        if (clock_gettime(CLOCK_REALTIME_COARSE, &now) < 0 || now.tv_sec > st->st_ctim.tv_sec ||
            (now.tv_sec == st->st_ctim.tv_sec && now.tv_nsec > st->st_ctim.tv_nsec))
            return;
        nanosleep(&tick, NULL);
    }
}

static sn_status map(struct mapping *m, int fd, sn_error *err)
{
    void *bytes;

    m->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (m->fd < 0) return sn_fail(err, SN_E_IO, m->path, "cannot be kept open: %m");
    bytes = mmap(NULL, m->n_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return sn_fail(err, errno == ENOMEM ? SN_E_NO_MEMORY : SN_E_IO, m->path,
                       "cannot map %zu bytes: %m", m->n_bytes);
    m->bytes = bytes;
    m->mapped = true;
    m->range = guard_add(bytes, m->n_bytes);
    if (!m->range) return fail_no_memory(err, m->path);
    wait_for_tick(&m->opened);
    return mapping_check(m, err);
}

static sn_status copy(struct mapping *m, int fd, const sn_weights_options *o, sn_error *err)
{
    char       *bytes;
    struct stat now;
    size_t      n = 0;

    bytes = mmap(NULL, m->n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bytes == MAP_FAILED) return fail_no_memory(err, m->path);
    m->bytes = bytes;
    while (n < m->n_bytes) {
        const size_t  left = m->n_bytes - n;
        const ssize_t got = pread(fd, bytes + n, left < COPY_BYTES ? left : COPY_BYTES, (off_t)n);

        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return sn_fail(err, SN_E_IO, m->path, "cannot be read: %m");
        if (got == 0) break;
        n += (size_t)got;
        if (o->stop && o->stop(o->stop_cls))
            return sn_fail(err, SN_E_STOPPED, m->path, "stopped while it was copied");
    }
    if (fstat(fd, &now) < 0) return sn_fail(err, SN_E_IO, m->path, "cannot be examined: %m");
    if (n < m->n_bytes || !is_same_file(&m->opened, &now, m->path))
        return fail_changed(m->path, err);
    mprotect(bytes, m->n_bytes, PROT_READ); /* refused: it is only less guarded */
    return SN_OK;
}

static sn_status fill(struct mapping *m, int fd, const sn_weights_options *o, sn_error *err)
{
    if (fstat(fd, &m->opened) < 0) return sn_fail(err, SN_E_IO, m->path, "cannot be examined: %m");
    if (!S_ISREG(m->opened.st_mode)) return sn_fail(err, SN_E_IO, m->path, "is not a regular file");
    if ((uint64_t)m->opened.st_size > SIZE_MAX / 2)
        return sn_fail(err, SN_E_IO, m->path, "%lld bytes do not fit into the address space",
                       (long long)m->opened.st_size);
    if (o->limit_bytes && (uint64_t)m->opened.st_size > o->limit_bytes)
        return sn_fail(err, SN_E_LIMIT, m->path, "%lld bytes are above the limit of %llu",
                       (long long)m->opened.st_size, (unsigned long long)o->limit_bytes);
    m->n_bytes = (size_t)m->opened.st_size;
    if (m->n_bytes == 0) return SN_OK; /* mmap() refuses it; the reader says what is missing */
    return o->mode == SN_WEIGHTS_COPY ? copy(m, fd, o, err) : map(m, fd, err);
}

sn_status mapping_open_fd(int fd, const char *path, const sn_weights_options *o,
                          struct mapping **ret_mapping, sn_error *err)
{
    struct mapping *m = calloc(1, sizeof *m);
    sn_status       rc;

    if (!m || !(m->path = strdup(path))) {
        free(m);
        return fail_no_memory(err, path);
    }
    m->fd = -1;
    rc = fill(m, fd, o, err);
    if (rc != SN_OK)
        mapping_close(m);
    else
        *ret_mapping = m;
    return rc;
}

sn_status mapping_open(const char *path, struct mapping **ret_mapping, sn_error *err)
{
    const sn_weights_options defaults = {.size = sizeof defaults};
    /* Without O_NONBLOCK a named pipe would wait for a writer that may never come. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    sn_status rc;

    if (fd < 0) return sn_fail(err, SN_E_IO, path, "cannot be opened: %m");
    rc = mapping_open_fd(fd, path, &defaults, ret_mapping, err);
    close(fd);
    return rc;
}

struct mapping *mapping_close(struct mapping *m)
{
    if (!m) return NULL;
    guard_remove(m->range); /* first: the addresses may be somebody else's right after */
    if (m->bytes) munmap((void *)m->bytes, m->n_bytes);
    if (m->fd >= 0) close(m->fd);
    free(m->path);
    free(m);
    return NULL;
}

const void *mapping_bytes(const struct mapping *m, size_t *ret_n)
{
    *ret_n = m->n_bytes;
    return m->bytes;
}

void mapping_release(const struct mapping *m, const void *at, size_t n_bytes)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)at;
    const uintptr_t file = m ? (uintptr_t)m->bytes : 0;
    const uintptr_t start = (from + page - 1) & ~(page - 1), stop = (from + n_bytes) & ~(page - 1);

    /* A copy would be lost: only a file has its pages again. */
    if (!m || !m->mapped || from < file || from + n_bytes > file + m->n_bytes || start >= stop)
        return;
    madvise((void *)start, stop - start, MADV_DONTNEED); /* refused: they only stay */
}
