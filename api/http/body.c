/* body: strict JSON, without building anything of it. */
#include "http/body.h"

#include <stdio.h>
#include <string.h>

#include "http/words.h"

enum problem_code api_body_object(struct call *call, struct json_text *ret_object)
{
    static const char         empty[] = "{}";
    const struct api_request *req = call->req;
    struct problem           *p = &call->problem;
    struct json_text          t = {empty, empty + 2};

    if (req->n_body > 0 &&
        api_json_read_all(req->body, req->n_body, NULL, req->stop, &t, p) != P_OK)
        return p->code;
    if (api_json_first(t) != '{')
        return api_fail(p, P_INVALID, "body", "must be an object, not %s", api_json_kind(t));
    *ret_object = t;
    return P_OK;
}

enum problem_code api_body_is_said(struct json_text object, const char *what, struct problem *p)
{
    struct json_walk w = api_json_walk(object);
    struct json_text name, value;

    if (api_json_member(&w, &name, &value)) return P_OK;
    return api_fail(p, P_INVALID, "body", "is an empty object; expected %s", what);
}

/* The place of `name` in "a|b|c"; the number of words if it is none of them. */
static size_t find_word(const char *list, struct json_text name)
{
    size_t i = 0;

    for (; *list; i++) {
        const size_t n = strcspn(list, "|");
        char         word[64];

        snprintf(word, sizeof word, "%.*s", (int)n, list);
        if (api_json_equals(name, word)) return i;
        list += n + (list[n] == '|');
    }
    return i;
}

/* A name for messages, cut if it is long. */
static void put_name(struct json_text name, char *buf, size_t n_bytes)
{
    if (api_json_room(name) <= n_bytes)
        api_json_decode(name, buf);
    else
        snprintf(buf, n_bytes, "%.*s", (int)n_bytes - 1, name.at + 1);
}

enum problem_code api_body_members(struct json_text object, const char *where, const char *allowed,
                                   struct json_text ret_value[], struct problem *p)
{
    struct json_walk w = api_json_walk(object);
    struct json_text name, value;
    size_t           n = 1;
    char             text[224];

    for (const char *at = allowed; *at; at++)
        n += *at == '|';
    for (size_t i = 0; i < n; i++)
        ret_value[i] = (struct json_text){0};
    while (api_json_member(&w, &name, &value)) {
        const size_t i = find_word(allowed, name);

        put_name(name, text, sizeof text);
        if (i == n) return api_fail_unknown(p, where, text, allowed);
        if (ret_value[i].at)
            return api_fail(p, P_SYNTAX, where, "'%s' is given twice: a duplicate", text);
        ret_value[i] = value;
    }
    return P_OK;
}

static enum problem_code wrong_kind(struct problem *p, const char *where, const char *key,
                                    const char *want, struct json_text got)
{
    char path[256];

    snprintf(path, sizeof path, "%s%s%s", where, where[0] ? "." : "", key);
    return api_fail(p, P_INVALID, path, "must be %s, not %s", want, api_json_kind(got));
}

enum problem_code api_body_text(struct call *call, struct json_text value, const char *where,
                                const char *key, const char **ret_text)
{
    if (!value.at) return P_OK;
    if (api_json_first(value) != '"')
        return wrong_kind(&call->problem, where, key, "a string", value);
    *ret_text = api_body_decode(call, value);
    return call->problem.code;
}

enum problem_code api_body_integer(struct json_text value, const char *where, const char *key,
                                   int64_t min, int64_t max, int64_t *ret_integer,
                                   struct problem *p)
{
    int64_t x;
    char    path[256];

    if (!value.at) return P_OK;
    if (api_json_first(value) != '0' || !api_json_integer(value, &x))
        return wrong_kind(p, where, key, "an integer", value);
    snprintf(path, sizeof path, "%s%s%s", where, where[0] ? "." : "", key);
    if (x < min)
        return api_fail(p, P_INVALID, path, "%lld is below %lld", (long long)x, (long long)min);
    if (x > max)
        return api_fail(p, P_LIMIT, path, "%lld is above the limit of %lld", (long long)x,
                        (long long)max);
    *ret_integer = x;
    return P_OK;
}

enum problem_code api_body_is_object(struct json_text value, const char *where, const char *key,
                                     struct problem *p)
{
    if (!value.at || api_json_first(value) == '{') return P_OK;
    return wrong_kind(p, where, key, "an object", value);
}

const char *api_body_decode(struct call *call, struct json_text string)
{
    char *to = api_call_alloc(call, api_json_room(string));

    if (to) api_json_decode(string, to);
    return to;
}

const char *api_body_document(struct call *call, const char *before, struct json_text text,
                              const char *after)
{
    const size_t n_before = strlen(before), n = (size_t)(text.end - text.at);
    char        *to;

    if (api_call_charge(call, api_json_tree_bytes(text), "reading the request") != P_OK)
        return NULL;
    to = api_call_alloc(call, n_before + n + strlen(after) + 1);
    if (!to) return NULL;
    memcpy(to, before, n_before);
    memcpy(to + n_before, text.at, n);
    memcpy(to + n_before + n, after, strlen(after) + 1);
    return to;
}
