/* mapping: a file as read-only memory. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weights/weights.h"

static sn_status map(int fd, const char *path, struct mapping *ret_mapping, sn_error *err)
{
    struct stat st;
    void       *bytes;

    if (fstat(fd, &st) < 0) return sn_fail(err, SN_E_IO, path, "cannot be examined: %m");
    if (!S_ISREG(st.st_mode)) return sn_fail(err, SN_E_IO, path, "is not a regular file");
    if ((uint64_t)st.st_size > SIZE_MAX)
        return sn_fail(err, SN_E_IO, path, "%lld bytes do not fit into the address space",
                       (long long)st.st_size);
    if (st.st_size == 0) { /* mmap() refuses it; the reader says what is missing */
        *ret_mapping = (struct mapping){0};
        return SN_OK;
    }
    bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return sn_fail(err, errno == ENOMEM ? SN_E_NO_MEMORY : SN_E_IO, path,
                       "cannot map %lld bytes: %m", (long long)st.st_size);
    *ret_mapping = (struct mapping){bytes, (size_t)st.st_size};
    return SN_OK;
}

sn_status mapping_open(const char *path, struct mapping *ret_mapping, sn_error *err)
{
    /* Without O_NONBLOCK a named pipe would wait for a writer that may never come. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    sn_status rc;

    if (fd < 0) return sn_fail(err, SN_E_IO, path, "cannot be opened: %m");
    rc = map(fd, path, ret_mapping, err);
    close(fd); /* the mapping stays */
    return rc;
}

void mapping_close(struct mapping *m)
{
    if (m->bytes) munmap((void *)m->bytes, m->n_bytes);
    *m = (struct mapping){0};
}

void mapping_release(const struct mapping *m, const void *at, size_t n_bytes)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)at,
                    file = (uintptr_t)m->bytes;
    const uintptr_t start = (from + page - 1) & ~(page - 1), stop = (from + n_bytes) & ~(page - 1);

    if (!m->bytes || from < file || from + n_bytes > file + m->n_bytes || start >= stop) return;
    madvise((void *)start, stop - start, MADV_DONTNEED); /* refused: they only stay */
}
