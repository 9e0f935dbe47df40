/* resources: each limit alone is harmless, their sum is not. It is computed before
 * anything is started, and what does not fit is refused with the sum spelt out.
 *
 *   plan cache + workers * (scratch + stack) + buffers + connections * 64 KB
 *   + supernets * remembered subnets * 1 KB + a fixed base
 *
 * What the sum leaves of the memory is for what requests make the daemon keep: supernets and
 * what is prepared from their weights, policies with their states, and more or larger subnets.
 * That is charged as it comes (account.h). Files of weights are mapped read-only: the kernel
 * can drop their pages, so they do not count. */
#include "config/resources.h"

#include "work/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

enum {
    BASE_BYTES = 32 << 20, /* code, libraries, the loop */
    SUBNET_BYTES = 1 << 10,
    FILES_OF_OURS = 64 /* loop, log, libraries, models while they load */
};

/* ---- what there is ----------------------------------------------------------------- */

static bool read_line(const char *path, char *buf, int n)
{
    FILE *f = fopen(path, "re");
    bool  good = f && fgets(buf, n, f);

    if (f) fclose(f);
    return good;
}

/* A limit of the control group, or of one above it. */
static void apply_cgroup(const char *dir, struct limits *l)
{
    char      path[512], text[64];
    long long bytes;
    double    quota, period;

    snprintf(path, sizeof path, "%.480s/memory.max", dir);
    if (read_line(path, text, sizeof text) && sscanf(text, "%lld", &bytes) == 1 && bytes > 0 &&
        bytes < l->memory_bytes)
        l->memory_bytes = bytes;
    snprintf(path, sizeof path, "%.480s/cpu.max", dir);
    if (read_line(path, text, sizeof text) && sscanf(text, "%lf %lf", &quota, &period) == 2 &&
        period > 0 && quota / period < l->cores)
        l->cores = (int)(quota / period) > 1 ? (int)(quota / period) : 1;
}

static void find_cgroup_limits(struct limits *l)
{
    static const char root[] = "/sys/fs/cgroup";
    char              line[400], dir[448];
    char             *end;

    if (!read_line("/proc/self/cgroup", line, sizeof line) || strncmp(line, "0::/", 4)) return;
    line[strcspn(line, "\n")] = 0;
    snprintf(dir, sizeof dir, "%s%s", root, line + 3);
    for (;;) {
        apply_cgroup(dir, l);
        end = strrchr(dir, '/');
        if (end - dir < (long)sizeof root - 1) break;
        *end = 0;
    }
}

void resources_find(struct limits *ret_limits)
{
    struct limits l = {.cores = (int)uv_available_parallelism()};
    struct rlimit files;

    l.memory_bytes = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    find_cgroup_limits(&l);
    l.files = 1024;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        const struct rlimit raised = {files.rlim_max, files.rlim_max};

        /* the soft limit is for programs that use select() */
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0) files = raised;
        l.files = files.rlim_cur > 1 << 30 ? 1 << 30 : (int64_t)files.rlim_cur;
    }
    *ret_limits = l;
}

/* ---- does it fit? ------------------------------------------------------------------ */

bool resources_settle(const struct limits *l, struct config *c, int64_t *ret_bytes, char *why,
                      size_t n_why)
{
    const int64_t mib = 1 << 20;
    const int64_t there = c->memory_limit ? c->memory_limit : l->memory_bytes;
    int64_t       scratch, subnets, connections, sum = BASE_BYTES;

    if (c->workers == 0) c->workers = c->blas_threads > 1 ? 1 : l->cores < 48 ? l->cores : 48;
    if (c->threads_per_request == 0) c->threads_per_request = l->cores;
    if (c->threads_per_request > c->workers) c->threads_per_request = c->workers;
    if (c->blas_threads > 1 && c->workers > 1) {
        snprintf(why, n_why,
                 "blas-threads is %lld with %lld workers: more than 1 needs workers = 1, since "
                 "calls with several threads queue behind one lock",
                 (long long)c->blas_threads, (long long)c->workers);
        return false;
    }
    if (c->max_body > c->buffer_memory) {
        snprintf(why, n_why,
                 "max-body is %lld bytes, but buffer-memory, which has to hold it, is %lld",
                 (long long)c->max_body, (long long)c->buffer_memory);
        return false;
    }
    if (c->max_connections + FILES_OF_OURS > l->files) {
        snprintf(why, n_why,
                 "max-connections is %lld, but only %lld files may be open, of which %d are for "
                 "other uses; raise the limit (ulimit -n, LimitNOFILE=) or lower max-connections",
                 (long long)c->max_connections, (long long)l->files, FILES_OF_OURS);
        return false;
    }

    scratch = c->workers * (c->max_scratch + POOL_STACK_BYTES); /* no overflow: 48 * 1T */
    connections = c->max_connections * CONNECTION_BYTES;
    subnets = (int64_t)(c->n_supernets ? c->n_supernets : 1) * c->subnet_cache * SUBNET_BYTES;
    sum += c->plan_cache + scratch + c->buffer_memory + connections + subnets;
    *ret_bytes = sum;
    c->kept_memory = there - sum + subnets;
    if (sum <= there) return true;
    snprintf(why, n_why,
             "the configured limits add up to %lld MiB, but %s %lld MiB: plan-cache %lld, "
             "%lld workers with max-scratch and a stack %lld, buffer-memory %lld, max-connections "
             "%lld, subnet-cache %lld, base %lld; lower one of them",
             (long long)(sum / mib), c->memory_limit ? "memory-limit is" : "there are only",
             (long long)(there / mib), (long long)(c->plan_cache / mib), (long long)c->workers,
             (long long)(scratch / mib), (long long)(c->buffer_memory / mib),
             (long long)(connections / mib), (long long)(subnets / mib),
             (long long)(BASE_BYTES / mib));
    return false;
}
