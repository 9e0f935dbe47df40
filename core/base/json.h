/* json: strict reading; every complaint names its place.
 *
 * A place is the path of members from the root, "model.layers[2].padding". The
 * getters below look up `key` in `object`, whose place is `where`. A member that
 * is absent leaves *inout as it is, so the caller's default stays. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <jansson.h>

#include "base/base.h"

enum { JSON_MAX_DEPTH = 128 }; /* arrays and objects in each other: bounds every recursion */

/* Parse a whole document. SN_E_SYNTAX with line and column; members may not repeat.
 * `where` names the document in messages ("" if there is only one). */
sn_status json_parse(const char *text, size_t n_bytes, const char *where, json_t **ret_json,
                     sn_error *err);

/* Memory that the tree of a document takes, estimated from above before there is one: jansson
 * allocates for every value. */
size_t json_tree_bytes(const char *text, size_t n_bytes);

/* As json_parse(), with the memory of the tree taken from a budget before it is read; give back
 * json_tree_bytes() when the tree is gone. */
struct budget;
sn_status json_parse_within(struct budget *budget, const char *text, size_t n_bytes,
                            const char *where, json_t **ret_json, sn_error *err);

/* "an object", "a text", "the number 3", ...: what was found, for messages; into buf. */
const char *json_describe(const json_t *v, char *buf, size_t n_bytes);

/* where + "." + key into buf; returns buf. */
const char *json_place(const char *where, const char *key, char *buf, size_t n_bytes);

/* Every member of `object` is one of `allowed`. */
sn_status json_check_members(const json_t *object, const char *where, const char *const *allowed,
                             size_t n_allowed, sn_error *err);

/* A member that must be there, of any kind. */
sn_status json_need(const json_t *object, const char *key, const char *where,
                    const json_t **ret_value, sn_error *err);

sn_status json_get_text(const json_t *object, const char *key, const char *where,
                        const char **inout, sn_error *err);
sn_status json_get_bool(const json_t *object, const char *key, const char *where, bool *inout,
                        sn_error *err);
sn_status json_get_int(const json_t *object, const char *key, const char *where, int64_t min,
                       int64_t max, int64_t *inout, sn_error *err);
sn_status json_get_real(const json_t *object, const char *key, const char *where, double *inout,
                        sn_error *err); /* integers too */
sn_status json_get_object(const json_t *object, const char *key, const char *where,
                          const json_t **inout, sn_error *err);
sn_status json_get_array(const json_t *object, const char *key, const char *where,
                         const json_t **inout, sn_error *err);

/* A value in `mem`: arrays become tuples, 2.0 a float, true a bool; objects are refused. */
sn_status json_value(const json_t *v, const char *where, sn_arena *mem, sn_value *ret_value,
                     sn_error *err);

#endif
