/* body: the JSON of a request, strictly. What nobody knows is an error: a misspelt
 * "seed" must not look like success. */
#ifndef API_HTTP_BODY_H
#define API_HTTP_BODY_H

#include "http/call.h"
#include "http/json_cursor.h"

/* The body, which must be an object; an empty body is an empty object. */
enum problem_code api_body_object(struct call *call, struct json_text *ret_object);

/* Where an object without members would look like success: `what` should be in it. */
enum problem_code api_body_is_said(struct json_text object, const char *what, struct problem *p);

/* The members of an object: ret_value[i] is what the i-th word of "a|b|c" has, `at` NULL if it is
 * not there. Others are refused, and so is one that is there twice. */
enum problem_code api_body_members(struct json_text object, const char *where, const char *allowed,
                                   struct json_text ret_value[], struct problem *p);

/* A member that may be missing (`at` NULL): `ret` stays as it is then. Texts live as long as the
 * call. */
enum problem_code api_body_text(struct call *call, struct json_text value, const char *where,
                                const char *key, const char **ret_text);
enum problem_code api_body_integer(struct json_text value, const char *where, const char *key,
                                   int64_t min, int64_t max, int64_t *ret_integer,
                                   struct problem *p);
enum problem_code api_body_is_object(struct json_text value, const char *where, const char *key,
                                     struct problem *p);

/* A string, decoded; NULL and a problem if there is no room for it. */
const char *api_body_decode(struct call *call, struct json_text string);

/* Text for a function of the library, which builds a tree of it: ended by a NUL, in memory of the
 * call, and the tree is charged. `before` and `after` may be "". NULL and a problem. */
const char *api_body_document(struct call *call, const char *before, struct json_text text,
                              const char *after);

#endif
