/* body: the JSON of a request, strictly. What nobody knows is an error: a misspelt
 * "seed" must not look like success. */
#ifndef API_BODY_H
#define API_BODY_H

#include <jansson.h>

#include "call.h"

/* Parse n bytes of JSON; `where` is put into messages. `start` is the document that
 * lines and columns are counted in (`at` may be a part of it). */
enum problem_code api_json_parse(const char *start, const char *at, size_t n, const char *where,
                                 json_t **ret_json, struct problem *p);

/* The body as an object; an empty body is an empty object. */
enum problem_code api_body_object(struct call *call, json_t **ret_object);

/* Only the members of "a|b|c" may be there. */
enum problem_code api_body_members(const json_t *object, const char *where, const char *allowed,
                                   struct problem *p);

/* Optional members: `ret` stays as it is if the member is missing. */
enum problem_code api_body_text(const json_t *object, const char *where, const char *key,
                                const char **ret_text, struct problem *p);
enum problem_code api_body_integer(const json_t *object, const char *where, const char *key,
                                   int64_t min, int64_t max, int64_t *ret_integer, bool *ret_given,
                                   struct problem *p);
enum problem_code api_body_object_member(const json_t *object, const char *where, const char *key,
                                         json_t **ret_object, struct problem *p);

/* "an array", for messages. */
const char *api_json_kind(const json_t *json);

#endif
