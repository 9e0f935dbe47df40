/* log: events as lines of key=value pairs on stderr.
 *
 *     time=2025-01-31T12:00:00.123Z level=info event=request request=4f1c... status=200
 */
#include "log/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    VALUE_MAX = 400,          /* bytes of one value: a long path must not push out the rest */
    BUFFER_BYTES = 256 << 10, /* one is filled while the other is written */
    PATIENCE_MS = 1000        /* for the reader, at the end */
};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

/* The log is the one thing that every thread of the server reaches without being given it: its
 * threshold, set once at start, and what waits to be written. */
static atomic_int threshold = LOG_INFO;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t  changed;
    pthread_t       thread;
    bool            runs, stop; /* all under lock */
    int             filled;     /* index into `text` */
    size_t          n;          /* bytes in it */
    uint64_t        n_dropped, n_said;
    char            text[2][BUFFER_BYTES];
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

void log_open(enum log_level level)
{
    atomic_store(&threshold, (int)level);
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&threshold, memory_order_relaxed);
}

/* ---- writing -------------------------------------------------------------------------- */

/* A log nobody can read any more is no reason to stop serving. */
static void write_all(const char *text, size_t n)
{
    while (n > 0) {
        const ssize_t got = write(STDERR_FILENO, text, n);

        if (got >= 0) {
            text += got;
            n -= (size_t)got;
        } else if (errno == EAGAIN) { /* somebody who has it too wants it not to block */
            struct pollfd fd = {.fd = STDERR_FILENO, .events = POLLOUT};

            poll(&fd, 1, PATIENCE_MS);
        } else if (errno != EINTR) {
            return;
        }
    }
}

/* False: there is no thread that writes. */
static bool enqueue(const struct log_line *l)
{
    bool runs;

    pthread_mutex_lock(&queue.lock);
    runs = queue.runs;
    if (runs && l->n > BUFFER_BYTES - queue.n) {
        queue.n_dropped++;
    } else if (runs) {
        memcpy(queue.text[queue.filled] + queue.n, l->text, l->n);
        queue.n += l->n;
        pthread_cond_signal(&queue.changed);
    }
    pthread_mutex_unlock(&queue.lock);
    return runs;
}

static void say_dropped(uint64_t n)
{
    struct log_line l;

    if (!log_begin(&l, LOG_WARN, "log_dropped")) return;
    log_int(&l, "lines", (int64_t)n);
    l.text[l.n++] = '\n';
    write_all(l.text, l.n);
}

static void *write_lines(void *cls)
{
    (void)cls;
    pthread_mutex_lock(&queue.lock);
    for (;;) {
        const char *text = queue.text[queue.filled];
        size_t      n = queue.n;
        uint64_t    dropped = queue.n_dropped - queue.n_said;

        if (n == 0 && dropped == 0) {
            if (queue.stop) break;
            pthread_cond_wait(&queue.changed, &queue.lock);
            continue;
        }
        queue.filled = !queue.filled;
        queue.n = 0;
        queue.n_said += dropped;
        pthread_mutex_unlock(&queue.lock);
        write_all(text, n);
        if (dropped) say_dropped(dropped);
        pthread_mutex_lock(&queue.lock);
    }
    queue.runs = false;
    pthread_cond_broadcast(&queue.changed);
    pthread_mutex_unlock(&queue.lock);
    return NULL;
}

void log_start(void)
{
    sigset_t all, old;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_mutex_lock(&queue.lock);
    queue.stop = false;
    queue.runs = !queue.runs && pthread_create(&queue.thread, NULL, write_lines, NULL) == 0;
    pthread_mutex_unlock(&queue.lock);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

uint64_t log_n_dropped(void)
{
    uint64_t n;

    pthread_mutex_lock(&queue.lock);
    n = queue.n_dropped;
    pthread_mutex_unlock(&queue.lock);
    return n;
}

void log_stop(void)
{
    struct timespec until;
    int             rc = 0;
    bool            done;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_MS / 1000;
    pthread_mutex_lock(&queue.lock);
    if (!queue.runs) {
        pthread_mutex_unlock(&queue.lock);
        return;
    }
    queue.stop = true;
    pthread_cond_broadcast(&queue.changed);
    while (queue.runs && rc == 0)
        rc = pthread_cond_timedwait(&queue.changed, &queue.lock, &until);
    done = !queue.runs;
    pthread_mutex_unlock(&queue.lock);
    if (done)
        pthread_join(queue.thread, NULL);
    else
        pthread_detach(queue.thread); /* its reader sleeps; the process does not wait */
}

/* ---- lines ------------------------------------------------------------------------------ */

static void put(struct log_line *l, const char *s, size_t n)
{
    if (n > sizeof l->text - 16 - l->n) {
        l->full = true; /* whole pieces only: half an escape could mislead */
        return;
    }
    memcpy(l->text + l->n, s, n);
    l->n += n;
}

static void put_escaped(struct log_line *l, const char *s, size_t n, bool quoted)
{
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)s[i];
        char                hex[8];

        if (quoted && (c == '"' || c == '\\')) {
            hex[0] = '\\';
            hex[1] = (char)c;
            put(l, hex, 2);
        } else if (c < 0x20 || c >= 0x7f) {
            snprintf(hex, sizeof hex, "\\x%02x", c);
            put(l, hex, 4);
        } else {
            put(l, &s[i], 1);
        }
    }
}

static void put_key(struct log_line *l, const char *key)
{
    put(l, " ", 1);
    put(l, key, strlen(key));
    put(l, "=", 1);
}

bool log_begin(struct log_line *l, enum log_level level, const char *event)
{
    struct timespec now;
    struct tm       utc;
    char            date[32], head[64];
    int             n;

    if (!log_enabled(level)) return false;
    l->n = 0;
    l->full = false;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    n = snprintf(head, sizeof head, "time=%s.%03dZ level=%s", date, (int)(now.tv_nsec / 1000000),
                 level_names[level]);
    put(l, head, (size_t)n);
    log_text(l, "event", event);
    return true;
}

void log_text(struct log_line *l, const char *key, const char *value)
{
    const size_t full = strlen(value), n = full < VALUE_MAX ? full : VALUE_MAX;
    bool         plain = n > 0;

    for (size_t i = 0; i < n && plain; i++)
        plain = value[i] > 0x20 && value[i] < 0x7f && !strchr("\"\\=", value[i]);
    put_key(l, key);
    if (!plain) put(l, "\"", 1);
    put_escaped(l, value, n, !plain);
    if (full > n) put(l, "...", 3);
    if (!plain) put(l, "\"", 1);
}

void log_int(struct log_line *l, const char *key, int64_t value)
{
    char text[24];

    put_key(l, key);
    put(l, text, (size_t)snprintf(text, sizeof text, "%lld", (long long)value));
}

void log_ms(struct log_line *l, const char *key, uint64_t ns)
{
    char text[32];

    put_key(l, key);
    put(l, text, (size_t)snprintf(text, sizeof text, "%.3f", (double)ns / 1e6));
}

void log_note(struct log_line *l, const char *pairs)
{
    if (!pairs[0]) return;
    put(l, " ", 1);
    put_escaped(l, pairs, strlen(pairs), false);
}

void log_end(struct log_line *l)
{
    /* put() keeps 16 bytes free for these two. */
    if (l->full) {
        memcpy(l->text + l->n, " cut=1", 6);
        l->n += 6;
    }
    l->text[l->n++] = '\n';
    if (!enqueue(l)) write_all(l->text, l->n);
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
    struct log_line l;
    char            text[1024];
    va_list         ap;

    if (!log_begin(&l, level, event)) return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    /* Sentences of our own are worth more than VALUE_MAX; they are escaped all the same. */
    put_key(&l, "text");
    put(&l, "\"", 1);
    put_escaped(&l, text, strlen(text), true);
    put(&l, "\"", 1);
    log_end(&l);
}
