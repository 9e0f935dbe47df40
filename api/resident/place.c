/* place: files of a supernet's folder, opened so that neither links nor pipes can do harm.
 *
 * Below the model directory a path is followed by the kernel in one step that does not leave the
 * directory (openat2). That refuses links with absolute targets, also to places inside, and old
 * kernels do not have it; then links are resolved first, and the result, which has none, is
 * followed name by name without following any: a link that somebody puts there meanwhile fails. */
#define _GNU_SOURCE /* O_PATH */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "resident/place.h"

/* Without O_NONBLOCK a named pipe would wait for a writer that may never come. */
enum { HOW = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY };

static int open_beneath(int root, const char *path)
{
    struct open_how how = {.flags = HOW, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};

    return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

/* `path` below `root` without following links; takes `root`. Cuts `path` into names. */
static int walk(int root, char *path)
{
    char *name = path, *slash;
    int   at = root, next, error;

    while (at >= 0 && *name == '/')
        name++;
    for (; at >= 0; name = slash + 1) {
        slash = strchr(name, '/');
        if (slash) *slash = '\0';
        next = openat(at, name,
                      slash ? O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC : HOW | O_NOFOLLOW);
        error = errno;
        close(at);
        errno = error;
        at = next;
        if (!slash) break;
    }
    return at;
}

static bool is_below(const char *path, const char *root)
{
    const size_t n = strlen(root);

    return strncmp(path, root, n) == 0 &&
           (path[n] == '/' || path[n] == '\0' || strcmp(root, "/") == 0);
}

/* -1 with errno; EXDEV if the path leads out of `below`. */
static int open_resolved(const char *path, const char *below)
{
    char *real = realpath(path, NULL);
    int   root, fd = -1;

    if (!real) return -1;
    root = open(below, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root >= 0 && is_below(real, below))
        fd = walk(root, real + strlen(below));
    else if (root >= 0) {
        close(root);
        errno = EXDEV;
    }
    free(real);
    return fd;
}

static int open_below(const char *path, const char *below)
{
    const int root = open(below, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int       fd, error;

    if (root < 0) return -1;
    fd = open_beneath(root, path + strlen(below) + 1);
    error = errno;
    close(root);
    errno = error;
    if (fd < 0 && (errno == EXDEV || errno == ENOSYS || errno == EPERM || errno == EAGAIN))
        fd = open_resolved(path, below);
    return fd;
}

enum problem_code api_place_open(const char *dir, const char *file, const char *below, char *path,
                                 int *ret_fd, struct problem *p)
{
    int fd;

    if (snprintf(path, PATH_MAX, "%s/%s", dir, file) >= PATH_MAX)
        return api_fail(p, P_IO, "path", "the path is too long");
    fd = below ? open_below(path, below) : open(path, HOW);
    if (fd >= 0) {
        *ret_fd = fd;
        return P_OK;
    }
    if (errno == ENOMEM) return api_fail_memory(p);
    if (errno == EXDEV || errno == ELOOP)
        return api_fail(p, P_INVALID, "path", "%s leads out of the model directory", file);
    return api_fail(p, P_IO, file, "cannot open: %m");
}
