/* log.h - one line of key=value pairs for each event, whole or not at all.
 *
 *     struct log_line l;
 *     if (log_begin(&l, LOG_INFO, "request")) {
 *         log_text(&l, "path", path);
 *         log_end(&l);
 *     }
 *
 * A value that holds anything but plain printable characters is quoted and
 * escaped, so what a client sends cannot look like a line or a key of ours. */
#ifndef SERVER_LOG_LOG_H
#define SERVER_LOG_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct log_line {
    size_t n;
    bool   full; /* something was left out; said at the end of the line */
    char   text[2048];
};

/* From now on lines go to a buffer, and a thread writes them: who logs never waits for who reads.
 * A line that finds no room is dropped, and the log says later how many were. Without this, or if
 * no thread can be started, a line is written where it ends. */
void     log_start(void);
uint64_t log_n_dropped(void);

/* Write what is there, for a moment at most. After that as before log_start(). */
void log_stop(void);

/* What is less urgent than `level` is not written. */
void log_open(enum log_level level);
bool log_enabled(enum log_level level);

/* False if the line is not wanted: then nothing else needs to be called. */
bool log_begin(struct log_line *l, enum log_level level, const char *event);
void log_text(struct log_line *l, const char *key, const char *value);
void log_int(struct log_line *l, const char *key, int64_t value);
void log_ms(struct log_line *l, const char *key, uint64_t ns);

/* Ready-made pairs ("model=digits subnet=9f3a"); only control characters are escaped. */
void log_note(struct log_line *l, const char *pairs);
void log_end(struct log_line *l);

/* The usual short form: one event and one sentence. */
__attribute__((format(printf, 3, 4))) void log_event(enum log_level level, const char *event,
                                                     const char *fmt, ...);

#endif
