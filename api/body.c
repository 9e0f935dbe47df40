/* body: strict JSON over jansson. */
#include "body.h"

#include <stdio.h>
#include <string.h>

/* Line and column, from 1, of a byte of the document. */
static void place(const char *start, const char *at, int *ret_line, int *ret_column)
{
    *ret_line = *ret_column = 1;
    for (; start < at; start++) {
        ++*ret_column;
        if (*start == '\n') {
            ++*ret_line;
            *ret_column = 1;
        }
    }
}

enum problem_code api_json_parse(const char *start, const char *at, size_t n, const char *where,
                                 json_t **ret_json, struct problem *p)
{
    json_error_t      je;
    json_t           *json = json_loadb(at, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &je);
    enum problem_code code = P_SYNTAX;
    int               line, column;

    if (json) {
        *ret_json = json;
        return P_OK;
    }
    switch (json_error_code(&je)) {
    case json_error_out_of_memory:
        return api_fail_memory(p);
    case json_error_numeric_overflow: /* well-formed, but not to be held */
    case json_error_null_character:
        code = P_INVALID;
        break;
    default:
        break;
    }
    place(start, at + (je.position > 0 && (size_t)je.position <= n ? je.position : 0), &line,
          &column);
    return api_fail(p, code, where, "line %d column %d: %s", line, column, je.text);
}

enum problem_code api_body_object(struct call *call, json_t **ret_object)
{
    const char *at = call->req->body;
    json_t     *json;

    if (call->req->n_body == 0) {
        *ret_object = json_object();
        return *ret_object ? P_OK : api_fail_memory(&call->problem);
    }
    if (api_json_parse(at, at, call->req->n_body, "body", &json, &call->problem) != P_OK)
        return call->problem.code;
    if (!json_is_object(json)) {
        api_fail(&call->problem, P_INVALID, "body", "must be an object, not %s",
                 api_json_kind(json));
        json_decref(json);
        return call->problem.code;
    }
    *ret_object = json;
    return P_OK;
}

enum problem_code api_body_members(const json_t *object, const char *where, const char *allowed,
                                   struct problem *p)
{
    const char *key;
    json_t     *value;

    json_object_foreach((json_t *)object, key, value)
    {
        if (!api_word_in(allowed, key, strlen(key)))
            return api_fail_unknown(p, where, key, allowed);
    }
    return P_OK;
}

static enum problem_code wrong_kind(struct problem *p, const char *where, const char *key,
                                    const char *want, const json_t *got)
{
    char path[256];

    snprintf(path, sizeof path, "%s%s%s", where, where[0] ? "." : "", key);
    return api_fail(p, P_INVALID, path, "must be %s, not %s", want, api_json_kind(got));
}

enum problem_code api_body_text(const json_t *object, const char *where, const char *key,
                                const char **ret_text, struct problem *p)
{
    const json_t *json = json_object_get(object, key);

    if (!json) return P_OK;
    if (!json_is_string(json)) return wrong_kind(p, where, key, "a string", json);
    *ret_text = json_string_value(json);
    return P_OK;
}

enum problem_code api_body_integer(const json_t *object, const char *where, const char *key,
                                   int64_t min, int64_t max, int64_t *ret_integer, bool *ret_given,
                                   struct problem *p)
{
    const json_t *json = json_object_get(object, key);
    char          path[256];

    *ret_given = json != NULL;
    if (!json) return P_OK;
    if (!json_is_integer(json)) return wrong_kind(p, where, key, "an integer", json);
    snprintf(path, sizeof path, "%s%s%s", where, where[0] ? "." : "", key);
    if (json_integer_value(json) < min)
        return api_fail(p, P_INVALID, path, "%lld is below %lld",
                        (long long)json_integer_value(json), (long long)min);
    if (json_integer_value(json) > max)
        return api_fail(p, P_LIMIT, path, "%lld is above the limit of %lld",
                        (long long)json_integer_value(json), (long long)max);
    *ret_integer = json_integer_value(json);
    return P_OK;
}

enum problem_code api_body_object_member(const json_t *object, const char *where, const char *key,
                                         json_t **ret_object, struct problem *p)
{
    json_t *json = json_object_get(object, key);

    if (!json) return P_OK;
    if (!json_is_object(json)) return wrong_kind(p, where, key, "an object", json);
    *ret_object = json;
    return P_OK;
}

const char *api_json_kind(const json_t *json)
{
    static const char *const kinds[] = {
        [JSON_OBJECT] = "an object",   [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_INTEGER] = "an integer", [JSON_REAL] = "a number",  [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",        [JSON_NULL] = "null",
    };

    return kinds[json_typeof(json)];
}
