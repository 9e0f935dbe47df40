/* problem: what went wrong, as a code for programs and a sentence for people.
 *
 * The library's statuses and the refusals of HTTP become one list here; problem.c
 * turns it into the error document. */
#ifndef API_HTTP_PROBLEM_H
#define API_HTTP_PROBLEM_H

#include "api.h"
#include "supernet/supernet.h"

/* name, HTTP status, the word in "code". Rows with the same word differ in who
 * named the thing: the URL (404) or the body (422). */
/* clang-format off */
#define PROBLEM_MAP(X)                                   \
    X(P_OK,               200, "ok")                     \
    /* statuses of the library */                        \
    X(P_NO_MEMORY,        503, "no_memory")              \
    X(P_IO,               422, "io")                     \
    X(P_SYNTAX,           400, "malformed")              \
    X(P_INVALID,          422, "invalid")                \
    X(P_UNKNOWN_NAME,     422, "unknown_name")           \
    X(P_NOT_CANDIDATE,    422, "not_candidate")          \
    X(P_UNDECIDED,        409, "undecided")              \
    X(P_EVALUATE,         422, "evaluate")               \
    X(P_SHAPE,            422, "shape")                  \
    X(P_DTYPE,            422, "dtype")                  \
    X(P_UNSUPPORTED,      422, "unsupported")            \
    X(P_LIMIT,            413, "limit")                  \
    X(P_STOPPED,          504, "stopped")                \
    X(P_CHANGED,          503, "weights_changed")        \
    /* refusals of HTTP, by the API and by the server */  \
    X(P_BAD_FILE,         422, "bad_file")               \
    X(P_FORBIDDEN,        403, "forbidden")              \
    X(P_FORBIDDEN_HOST,   403, "forbidden_host")         \
    X(P_FORBIDDEN_ORIGIN, 403, "forbidden_origin")       \
    X(P_NOT_FOUND,        404, "not_found")              \
    X(P_NO_SUPERNET,      404, "unknown_supernet")       \
    X(P_NO_SUBNET,        404, "unknown_subnet")         \
    X(P_NO_POLICY,        404, "unknown_policy")         \
    X(P_UNKNOWN_SUBNET,   422, "unknown_subnet")         \
    X(P_METHOD,           405, "method_not_allowed")     \
    X(P_NOT_ACCEPTABLE,   406, "not_acceptable")         \
    X(P_STALE,            409, "stale")                  \
    X(P_TOO_LARGE,        413, "too_large")              \
    X(P_URI_TOO_LONG,     414, "uri_too_long")           \
    X(P_HEADERS,          431, "headers_too_large")      \
    X(P_HTTP_VERSION,     505, "http_version")           \
    X(P_MEDIA_TYPE,       415, "unsupported_media_type") \
    X(P_NOT_FINITE,       422, "not_finite")             \
    X(P_BUSY,             503, "busy")                   \
    X(P_DRAINING,         503, "draining")               \
    X(P_DEADLINE,         504, "deadline")
/* clang-format on */

enum problem_code {
#define X(name, status, word) name,
    PROBLEM_MAP(X)
#undef X
        PROBLEM_COUNT
};

/* Zeroed to begin with; keeps the first problem, like sn_error. */
struct problem {
    enum problem_code code;
    bool              no_buffers; /* P_BUSY, for --buffer-memory had no room */
    char              where[256];
    char              text[1024];
};

/* Record the first problem and hand its code back:
 *     if (n > max) return api_fail(p, P_LIMIT, "count", "%d is above %d", n, max); */
__attribute__((format(printf, 4, 5))) enum problem_code
api_fail(struct problem *p, enum problem_code code, const char *where, const char *fmt, ...);

enum problem_code api_fail_memory(struct problem *p);

/* The account has no room for n bytes of `what`: never (P_LIMIT), or not now (P_BUSY). */
enum problem_code api_fail_room(struct problem *p, const struct account *a,
                                enum account_purpose purpose, size_t n, const char *what);

/* It was no_buffers, but nobody else had any: P_LIMIT. */
void api_fail_for_ever(struct problem *p);

struct api_buf;

/* Why writing into b failed: no room for it, no memory, or what the library says (`err` may be
 * NULL). Stopped by b->stop is P_STOPPED. */
enum problem_code api_fail_buf(struct problem *p, const struct api_buf *b, const sn_error *err);

/* What the library refused. `where` replaces the library's place if not NULL. */
enum problem_code api_fail_library(struct problem *p, const sn_error *err, const char *where);

/* The same while files on the server's side were read: nothing there is a
 * malformed request, so every code becomes 422 or 503. */
enum problem_code api_fail_file(struct problem *p, const sn_error *err);

int         api_problem_status(enum problem_code code);
const char *api_problem_word(enum problem_code code);

/* Replace whatever `ret` holds by the error document. */
void api_problem_respond(const struct problem *p, const char *request_id, struct api_response *ret);

#endif
