/* log: events as lines of key=value pairs on stderr.
 *
 *     time=2025-01-31T12:00:00.123Z level=info event=request request=4f1c... status=200
 */
#include "log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { VALUE_MAX = 400 }; /* bytes of one value: a long path must not push out the rest */

static const char *const level_names[] = {"error", "warn", "info", "debug"};

/* The one mutable global of the server: set once at start, read by every thread. */
static atomic_int threshold = LOG_INFO;

void log_open(enum log_level level)
{
    atomic_store(&threshold, (int)level);
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&threshold, memory_order_relaxed);
}

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
    /* A log nobody can read any more is no reason to stop serving. */
    if (write(STDERR_FILENO, l->text, l->n) < 0) return;
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
