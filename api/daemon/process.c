/* process: what the system knows of this process, under the names that every exporter uses. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/process.h"

/* Fields of /proc/self/stat that we want, in the order of proc(5), counted from 3. */
enum {
    FIELD_UTIME = 14,
    FIELD_STIME,
    FIELD_THREADS = 20,
    FIELD_START = 22,
    FIELD_VSIZE,
    FIELD_RSS
};

static bool read_text(const char *path, char *buf, size_t n_buf)
{
    FILE  *f = fopen(path, "re");
    size_t n = f ? fread(buf, 1, n_buf - 1, f) : 0;

    if (f) fclose(f);
    buf[n] = 0;
    return n > 0;
}

/* False if there is no /proc. */
static bool read_stat(unsigned long long field[FIELD_RSS + 1])
{
    char text[1024], *at;

    if (!read_text("/proc/self/stat", text, sizeof text)) return false;
    at = strrchr(text, ')'); /* behind the name, which may hold anything */
    if (!at) return false;
    at = strtok(at + 1, " ");
    for (int i = 3; at && i <= FIELD_RSS; i++, at = strtok(NULL, " "))
        if (sscanf(at, "%llu", &field[i]) != 1) field[i] = 0; /* the state is a letter */
    return true;
}

/* Seconds since 1970 at which the machine started. */
static double boot_time(void)
{
    FILE     *f = fopen("/proc/stat", "re");
    char      line[4096];
    long long seconds = 0;

    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "btime %lld", &seconds) == 1) break;
    if (f) fclose(f);
    return (double)seconds;
}

static unsigned long long count_files(void)
{
    DIR               *dir = opendir("/proc/self/fd");
    unsigned long long n = 0;

    if (!dir) return 0;
    for (const struct dirent *e; (e = readdir(dir));)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n - 1; /* not the one that reads this */
}

static void put(struct api_buf *b, const char *name, const char *type, const char *help,
                double value)
{
    api_buf_printf(b, "# HELP process_%s %s\n# TYPE process_%s %s\nprocess_%s %.15g\n", name, help,
                   name, type, name, value);
}

void api_put_process(struct api_buf *b)
{
    unsigned long long field[FIELD_RSS + 1] = {0};
    const double       ticks = (double)sysconf(_SC_CLK_TCK);
    struct rlimit      files;

    if (!read_stat(field)) return;
    put(b, "cpu_seconds_total", "counter", "Processor time, user and system.",
        (double)(field[FIELD_UTIME] + field[FIELD_STIME]) / ticks);
    put(b, "start_time_seconds", "gauge", "When it started, in seconds since 1970.",
        boot_time() + (double)field[FIELD_START] / ticks);
    put(b, "resident_memory_bytes", "gauge", "Memory that is in use.",
        (double)field[FIELD_RSS] * (double)sysconf(_SC_PAGESIZE));
    put(b, "virtual_memory_bytes", "gauge", "Address space that is in use.",
        (double)field[FIELD_VSIZE]);
    put(b, "threads", "gauge", "Threads.", (double)field[FIELD_THREADS]);
    put(b, "open_fds", "gauge", "Open files and sockets.", (double)count_files());
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        put(b, "max_fds", "gauge", "How many may be open.", (double)files.rlim_cur);
}
