/* base: what every file of the library may use. */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "supernet/expr.h"
#include "supernet/supernet.h"

/* The library is built with hidden visibility; this marks what the header promises. */
#define SN_EXPORT __attribute__((visibility("default")))

/* Copy a caller's struct that begins with `size` into one of ours: members that an older caller
 * does not have become zero, those that only a newer one has are ignored. `from` may be NULL: all
 * zero. */
void options_read(void *to, size_t n_bytes, const void *from);

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- arena: memory that dies together --------------------------------------- */

/* n objects of `size` bytes, zeroed; NULL when memory is out or n * size overflows. */
void                                       *arena_array(sn_arena *a, size_t n, size_t size);
char                                       *arena_strdup(sn_arena *a, const char *text);
__attribute__((format(printf, 2, 3))) char *arena_printf(sn_arena *a, const char *fmt, ...);
sn_arena *arena_create_tight(void);       /* in small blocks, for what is kept by the thousand */
size_t    arena_bytes(const sn_arena *a); /* taken from the system */

/* From now on its blocks are taken from `b`, and what it has already is charged; false: that is
 * too much, and nothing has changed. NULL ends it: an arena that outlives the call that made it
 * must let go of the call's budget. */
struct budget;
bool           arena_limit(sn_arena *a, struct budget *b);
struct budget *arena_budget(const sn_arena *a); /* NULL for NULL */

/* The secret key of all hash tables in this arena, drawn at random when it is first needed. */
struct hash_key;
const struct hash_key *arena_hash_key(sn_arena *a);

#define ARENA_NEW(a, type) ((type *)arena_array((a), 1, sizeof(type)))

/* "no memory" with the place. */
sn_status fail_no_memory(sn_error *err, const char *where);

/* Check what a function of a plug-in returned: a failure gets a status of this library and a
 * message, if it has none. */
sn_status fail_foreign(sn_error *err, sn_status rc, const char *where, const char *what);

/* ---- text: a growing string, for messages and JSON ---------------------------- */

struct text {
    char  *at; /* always terminated once something was added; free() it */
    size_t n, cap;
    bool   failed; /* memory ran out: contents are incomplete */
};

void                                       text_add(struct text *t, const char *bytes, size_t n);
__attribute__((format(printf, 2, 3))) void text_printf(struct text *t, const char *fmt, ...);
void text_json_string(struct text *t, const char *s); /* quoted and escaped */
/* Floats round-trip: 2.0 stays "2.0". JSON has no NaN or infinity: those become null. */
void      text_json_value(struct text *t, const sn_value *v);
sn_status text_flush(struct text *t, const sn_sink *sink, sn_error *err); /* writes and frees */

/* Call it between the pieces of a long text: writes to the sink what has been collected once that
 * is much, and reuses the buffer. After a failure `t` is freed. */
sn_status text_drain(struct text *t, const sn_sink *sink, sn_error *err);

/* The fewest digits that read back equal, as Python's repr(): "2.0", "1e-05", "inf". */
enum { REAL_TEXT_BYTES = 48 };
const char *real_text(double v, char buf[REAL_TEXT_BYTES]);

/* 17 digits of a finite number, which read back equal: ten times as fast, for millions of them. */
const char *real_exact(double v, char buf[REAL_TEXT_BYTES]);

/* ---- names in messages ----------------------------------------------------------- */

/* The known name that differs by a slip or two; NULL if none does. */
const char *names_closest(const char *name, const char *const *known, size_t n);

/* "a, b, c", after ten "and 5 more", into buf; returns buf. */
const char *names_list(const char *const *names, size_t n, char *buf, size_t n_bytes);

/* ---- reference counts ----------------------------------------------------------- */

static inline void ref_take(atomic_size_t *n)
{
    atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
}

/* True for the last owner. acq_rel: what any thread wrote to the object is visible
 * to the one that destroys it. */
static inline bool ref_drop(atomic_size_t *n)
{
    return atomic_fetch_sub_explicit(n, 1, memory_order_acq_rel) == 1;
}

#endif
