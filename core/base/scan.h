/* scan: a pull parser for strict JSON: one pass over the caller's bytes, no tree. Texts go into the
 * caller's arena; nothing else takes memory, whatever the document holds.
 *
 * Failures are SN_E_SYNTAX with line and column. */
#ifndef BASE_SCAN_H
#define BASE_SCAN_H

#include "base/base.h"

struct scan {
    const char *start, *at, *end;
    const char *where; /* the document, for messages */
    sn_error   *err;
};

struct scan scan_of(const char *text, size_t n_bytes, const char *where, sn_error *err);

/* Look at the next byte that is no blank, without consuming it; 0 at the end. */
char scan_peek(struct scan *s);

/* Consume it if it is `c`. */
bool scan_eat(struct scan *s, char c);

/* `c` must be next. */
sn_status scan_expect(struct scan *s, char c);

/* Nothing but blanks may follow. */
sn_status scan_end(struct scan *s);

/* The next member of an object, behind "{": false at "}", which is consumed. Begin with
 * *inout_first true. Key and colon are consumed; the key is a text in `mem`. */
sn_status scan_member(struct scan *s, bool *inout_first, sn_arena *mem, const char **ret_key,
                      bool *ret_more);

/* The same for the items of an array, behind "[". */
sn_status scan_item(struct scan *s, bool *inout_first, bool *ret_more);

/* A text, decoded into `mem`. */
sn_status scan_text(struct scan *s, sn_arena *mem, const char **ret_text);

/* An integer from 0 on: *ret_ok false, and nothing consumed, if something else is next. */
sn_status scan_count(struct scan *s, bool *ret_ok, int64_t *ret_integer);

/* "an object", "the text \"x\"", "the number 3.0": what is next, into buf; returns buf. */
const char *scan_describe(struct scan *s, char *buf, size_t n_bytes);

#endif
