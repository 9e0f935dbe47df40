/* json_cursor: JSON read where it is.
 *
 * A tree of a request's body would take many times its memory. So a value is checked once
 * (api_json_read) and from then on is a piece of the text, a struct json_text, that the other
 * functions walk over; they build nothing and cannot fail. */
#ifndef API_HTTP_JSON_CURSOR_H
#define API_HTTP_JSON_CURSOR_H

#include <stdatomic.h>

#include "http/problem.h"

/* A place in a JSON text. */
struct json_cursor {
    const char        *start, *at, *end;
    const char        *where; /* of the text, for messages; NULL: "body" */
    const atomic_bool *stop;  /* api_json_read() ends when it is set; may be NULL */
};

void api_json_space(struct json_cursor *c);

/* Skip `byte` and the white space before it; false if something else is there. */
bool api_json_eat(struct json_cursor *c, char byte);

/* The text's name, line and column of the place, what was expected: a malformed request. */
enum problem_code api_json_expected(const struct json_cursor *c, const char *what,
                                    struct problem *p);

/* Move behind one value without looking at it closely: the reader of the value
 * does. P_SYNTAX if brackets or quotes do not end. */
enum problem_code api_json_skip(struct json_cursor *c, struct problem *p);

/* One value that was checked; `at` NULL: there is none. A byte that ends a number stands behind it,
 * be it the NUL of a string. */
struct json_text {
    const char *at, *end;
};

/* Check one value and move behind it: malformed is P_SYNTAX, a number that a double or an int64
 * cannot hold and a NUL in a string are P_INVALID. What an object has twice is for its reader. */
enum problem_code api_json_read(struct json_cursor *c, struct json_text *ret_text,
                                struct problem *p);

/* The same for all of a text. */
enum problem_code api_json_read_all(const char *at, size_t n, const char *where,
                                    const atomic_bool *stop, struct json_text *ret_text,
                                    struct problem *p);

/* ---- over checked text ---- */

/* '{', '[', '"', 't', 'f', 'n', or '0' for a number. */
char        api_json_first(struct json_text t);
const char *api_json_kind(struct json_text t); /* "an array", for messages */

/* Items of an array or members of an object, one after the other. */
struct json_walk {
    struct json_cursor c;
};
struct json_walk api_json_walk(struct json_text t);
bool             api_json_item(struct json_walk *w, struct json_text *ret_item);
bool api_json_member(struct json_walk *w, struct json_text *ret_name, struct json_text *ret_value);
size_t api_json_count(struct json_text t);

/* A string: does it say `text`? And decoded into `to`, which has api_json_room() bytes. */
bool   api_json_equals(struct json_text t, const char *text);
size_t api_json_room(struct json_text t);
void   api_json_decode(struct json_text t, char *to);

/* A number: false if it has a fraction or an exponent. */
bool   api_json_integer(struct json_text t, int64_t *ret_integer);
double api_json_real(struct json_text t);

/* At most this much memory do readers take that build a tree of the text, as policies do. */
size_t api_json_tree_bytes(struct json_text t);

#endif
