/* json: strict reading over jansson, whose parser gives lines and columns. */
#include "base/json.h"

#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/budget.h"

enum { PLACE_BYTES = 256 };

/* Containers may nest JSON_MAX_DEPTH deep. A scan of brackets outside strings is
 * enough here: whatever else is wrong, the parser finds. */
static sn_status check_depth(const char *text, size_t n_bytes, const char *where, sn_error *err)
{
    bool in_string = false;
    int  depth = 0, line = 1;

    for (size_t i = 0; i < n_bytes; i++) {
        const char c = text[i];

        if (c == '\n') line++;
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > JSON_MAX_DEPTH)
                return sn_fail(err, SN_E_SYNTAX, where,
                               "line %d: arrays and objects are nested more than %d deep", line,
                               JSON_MAX_DEPTH);
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return SN_OK;
}

size_t json_tree_bytes(const char *text, size_t n_bytes)
{
    /* Of jansson 2.14 with the allocator's rounding: an object with its first buckets, an array
     * with its first slots, a text or the member that it is the key of, any other value with its
     * slot; a member has more buckets. */
    enum { OBJECT = 240, ARRAY = 144, MEMBER = 32, TEXT = 96, VALUE = 64 };
    bool   in_string = false;
    size_t n = VALUE, from = 0, longest = 0; /* the longest word, which the parser buffers */

    for (size_t i = 0; i < n_bytes; i++) {
        const char c = text[i];

        if (i - from > longest) longest = i - from;
        if (c == '"' || c == ',') from = i;
        if (in_string) {
            n++;
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
            n += TEXT;
        } else {
            n += c == '{' ? OBJECT : c == '[' ? ARRAY : c == ':' ? MEMBER : c == ',' ? VALUE : 0;
        }
    }
    return n + 4 * longest;
}

sn_status json_parse_within(struct budget *budget, const char *text, size_t n_bytes,
                            const char *where, json_t **ret_json, sn_error *err)
{
    const size_t tree = json_tree_bytes(text, n_bytes);
    sn_status    rc = budget_step(budget, n_bytes, where, err);

    if (rc != SN_OK) return rc;
    if (!budget_take(budget, tree)) return fail_no_memory(err, where);
    rc = json_parse(text, n_bytes, where, ret_json, err);
    if (rc != SN_OK) budget_give(budget, tree);
    return rc;
}

sn_status json_parse(const char *text, size_t n_bytes, const char *where, json_t **ret_json,
                     sn_error *err)
{
    json_error_t je = {0};
    json_t      *root;
    size_t       blank = 0;
    sn_status    rc;

    while (blank < n_bytes && text[blank] && strchr(" \t\r\n", text[blank]))
        blank++;
    if (blank == n_bytes) return sn_fail(err, SN_E_SYNTAX, where, "the document is empty");
    rc = check_depth(text, n_bytes, where, err);
    if (rc != SN_OK) return rc;

    root = json_loadb(text, n_bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &je);
    if (!root && (!je.text[0] || json_error_code(&je) == json_error_out_of_memory))
        return fail_no_memory(err, where);
    if (!root && json_error_code(&je) == json_error_null_character) /* theirs names a C macro */
        snprintf(je.text, sizeof je.text, "a text must not contain \\u0000");
    if (!root && text[n_bytes - 1] == '\0') { /* which the parser would call a strange token */
        size_t n = 1;

        while (n < n_bytes && text[n_bytes - 1 - n] == '\0')
            n++;
        return sn_fail(err, SN_E_SYNTAX, where,
                       "the last %zu of %zu bytes are NUL; what pads a document is white space", n,
                       n_bytes);
    }
    if (!root)
        return sn_fail(err, SN_E_SYNTAX, where, "line %d, column %d: %s", je.line, je.column,
                       je.text);
    *ret_json = root;
    return SN_OK;
}

const char *json_describe(const json_t *v, char *buf, size_t n_bytes)
{
    char number[REAL_TEXT_BYTES];

    switch (json_typeof(v)) {
    case JSON_OBJECT:
        snprintf(buf, n_bytes, "an object");
        break;
    case JSON_ARRAY:
        snprintf(buf, n_bytes, "an array");
        break;
    case JSON_STRING:
        snprintf(buf, n_bytes, "the text \"%s\"", json_string_value(v));
        break;
    case JSON_INTEGER:
        snprintf(buf, n_bytes, "the number %lld", (long long)json_integer_value(v));
        break;
    case JSON_REAL:
        snprintf(buf, n_bytes, "the number %s", real_text(json_real_value(v), number));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        snprintf(buf, n_bytes, "%s", json_is_true(v) ? "true" : "false");
        break;
    case JSON_NULL:
        snprintf(buf, n_bytes, "null");
        break;
    }
    return buf;
}

const char *json_place(const char *where, const char *key, char *buf, size_t n_bytes)
{
    snprintf(buf, n_bytes, "%s%s%s", where, *where ? "." : "", key);
    return buf;
}

sn_status json_check_members(const json_t *object, const char *where, const char *const *allowed,
                             size_t n_allowed, sn_error *err)
{
    json_t *const root = (json_t *)object; /* jansson's iterator is not const; it changes nothing */
    const char   *key, *closest;
    json_t       *value;
    char          list[512];

    json_object_foreach(root, key, value)
    {
        size_t i = 0;

        while (i < n_allowed && strcmp(key, allowed[i]) != 0)
            i++;
        if (i < n_allowed) continue;
        closest = names_closest(key, allowed, n_allowed);
        if (closest)
            return sn_fail(err, SN_E_INVALID, where,
                           "there is no member \"%s\"; did you mean \"%s\"?", key, closest);
        return sn_fail(err, SN_E_INVALID, where, "there is no member \"%s\"; allowed are %s", key,
                       names_list(allowed, n_allowed, list, sizeof list));
    }
    return SN_OK;
}

sn_status json_need(const json_t *object, const char *key, const char *where,
                    const json_t **ret_value, sn_error *err)
{
    const json_t *v = json_object_get(object, key);

    if (!v) return sn_fail(err, SN_E_INVALID, where, "member \"%s\" is missing", key);
    *ret_value = v;
    return SN_OK;
}

static sn_status wrong_kind(const json_t *v, const char *key, const char *where,
                            const char *expected, sn_error *err)
{
    char place[PLACE_BYTES], found[128];

    return sn_fail(err, SN_E_INVALID, json_place(where, key, place, sizeof place),
                   "expected %s, found %s", expected, json_describe(v, found, sizeof found));
}

sn_status json_get_text(const json_t *object, const char *key, const char *where,
                        const char **inout, sn_error *err)
{
    const json_t *v = json_object_get(object, key);

    if (!v) return SN_OK;
    if (!json_is_string(v)) return wrong_kind(v, key, where, "a text", err);
    *inout = json_string_value(v);
    return SN_OK;
}

sn_status json_get_bool(const json_t *object, const char *key, const char *where, bool *inout,
                        sn_error *err)
{
    const json_t *v = json_object_get(object, key);

    if (!v) return SN_OK;
    if (!json_is_boolean(v)) return wrong_kind(v, key, where, "true or false", err);
    *inout = json_is_true(v);
    return SN_OK;
}

sn_status json_get_int(const json_t *object, const char *key, const char *where, int64_t min,
                       int64_t max, int64_t *inout, sn_error *err)
{
    const json_t *v = json_object_get(object, key);
    char          place[PLACE_BYTES];
    int64_t       i;

    if (!v) return SN_OK;
    if (!json_is_integer(v)) return wrong_kind(v, key, where, "an integer", err);
    i = json_integer_value(v);
    if (i < min || i > max)
        return sn_fail(err, SN_E_INVALID, json_place(where, key, place, sizeof place),
                       "%lld is not in %lld..%lld", (long long)i, (long long)min, (long long)max);
    *inout = i;
    return SN_OK;
}

sn_status json_get_real(const json_t *object, const char *key, const char *where, double *inout,
                        sn_error *err)
{
    const json_t *v = json_object_get(object, key);

    if (!v) return SN_OK;
    if (!json_is_number(v)) return wrong_kind(v, key, where, "a number", err);
    *inout = json_number_value(v);
    return SN_OK;
}

sn_status json_get_object(const json_t *object, const char *key, const char *where,
                          const json_t **inout, sn_error *err)
{
    const json_t *v = json_object_get(object, key);

    if (!v) return SN_OK;
    if (!json_is_object(v)) return wrong_kind(v, key, where, "an object", err);
    *inout = v;
    return SN_OK;
}

sn_status json_get_array(const json_t *object, const char *key, const char *where,
                         const json_t **inout, sn_error *err)
{
    const json_t *v = json_object_get(object, key);

    if (!v) return SN_OK;
    if (!json_is_array(v)) return wrong_kind(v, key, where, "an array", err);
    *inout = v;
    return SN_OK;
}

static sn_status tuple_value(const json_t *array, const char *where, sn_arena *mem,
                             sn_value *ret_value, sn_error *err)
{
    const size_t n = json_array_size(array);
    sn_value    *item = arena_array(mem, n, sizeof *item);

    if (!item) return fail_no_memory(err, where);
    for (size_t i = 0; i < n; i++) {
        char      place[PLACE_BYTES];
        sn_status rc;

        snprintf(place, sizeof place, "%s[%zu]", where, i);
        rc = json_value(json_array_get(array, i), place, mem, &item[i], err);
        if (rc != SN_OK) return rc;
    }
    *ret_value = (sn_value){.kind = SN_KIND_TUPLE, .as.tuple = {item, n}};
    return SN_OK;
}

sn_status json_value(const json_t *v, const char *where, sn_arena *mem, sn_value *ret_value,
                     sn_error *err)
{
    sn_value value = {0};

    switch (json_typeof(v)) {
    case JSON_ARRAY:
        return tuple_value(v, where, mem, ret_value, err);
    case JSON_STRING:
        value.kind = SN_KIND_TEXT;
        value.as.text = arena_strdup(mem, json_string_value(v));
        if (!value.as.text) return fail_no_memory(err, where);
        break;
    case JSON_INTEGER:
        value.kind = SN_KIND_INT;
        value.as.integer = json_integer_value(v);
        break;
    case JSON_REAL:
        value.kind = SN_KIND_FLOAT;
        value.as.real = json_real_value(v);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        value.kind = SN_KIND_BOOL;
        value.as.boolean = json_is_true(v);
        break;
    case JSON_NULL:
        break;
    case JSON_OBJECT:
        return sn_fail(err, SN_E_INVALID, where,
                       "a value is null, true, false, a number, a text or an array of them, "
                       "not an object");
    }
    *ret_value = value;
    return SN_OK;
}
