/* url: paths, their wildcards, and the query. */
#include <stdlib.h>
#include <string.h>

#include "http/url.h"
#include "http/words.h"

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool api_url_decode(const char *at, size_t n, bool plus_is_space, char *to)
{
    for (size_t i = 0; i < n; i++) {
        char c = at[i];

        if (c == '%') {
            const int high = i + 2 < n ? hex(at[i + 1]) : -1;
            const int low = high >= 0 ? hex(at[i + 2]) : -1;

            if (low < 0) return false;
            c = (char)(high << 4 | low);
            if (c == '\0') return false;
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        *to++ = c;
    }
    *to = '\0';
    return true;
}

bool api_url_is_valid(const char *text)
{
    for (; *text; text++)
        if (*text == '%' &&
            (hex(text[1]) < 0 || hex(text[2]) < 0 || hex(text[1]) + hex(text[2]) == 0))
            return false;
    return true;
}

/* Up to the next '/' or the end. */
static struct url_slice segment(const char *at)
{
    return (struct url_slice){at, strcspn(at, "/")};
}

bool api_url_match(const char *pattern, const char *path, struct url_slice ret_segment[2])
{
    size_t n_wild = 0;

    while (*pattern == '/' && *path == '/') {
        const struct url_slice want = segment(++pattern), got = segment(++path);

        if (want.at[0] == '{') {
            if (got.n == 0) return false;
            ret_segment[n_wild++] = got;
        } else if (want.n != got.n || memcmp(want.at, got.at, got.n) != 0) {
            return false;
        }
        pattern += want.n;
        path += got.n;
    }
    return !*pattern && !*path;
}

const char *api_query_get(const struct query *q, const char *key)
{
    for (size_t i = 0; i < q->n; i++)
        if (strcmp(q->at[i].key, key) == 0) return q->at[i].value;
    return NULL;
}

/* One "key=value" of n bytes, decoded to `to`. */
static enum problem_code parameter(struct query *q, const char *at, size_t n, const char *allowed,
                                   char *to, struct problem *p)
{
    const char  *equals = memchr(at, '=', n);
    const size_t n_key = equals ? (size_t)(equals - at) : n;
    char        *value = to + n_key + 1;

    if (!api_url_decode(at, n_key, true, to) ||
        !api_url_decode(at + n_key + 1, n > n_key ? n - n_key - 1 : 0, true, value))
        return api_fail(p, P_SYNTAX, "query", "'%.*s' has a malformed percent escape", (int)n, at);
    if (!api_word_in(allowed, to, strlen(to))) return api_fail_unknown(p, "query", to, allowed);
    if (api_query_get(q, to)) return api_fail(p, P_SYNTAX, "query", "'%s' is given twice", to);
    q->at[q->n].key = to;
    q->at[q->n++].value = value;
    return P_OK;
}

enum problem_code api_query_parse(struct query *q, const char *text, const char *allowed,
                                  struct problem *p)
{
    char *to;

    if (!text || !text[0]) return P_OK;
    /* Decoding never makes text longer; two terminators for each pair. */
    q->text = to = malloc(2 * strlen(text) + 4);
    if (!q->text) return api_fail_memory(p);
    while (*text) {
        const size_t n = strcspn(text, "&");

        if (n) {
            if (q->n == API_MAX_PARAMETERS)
                return api_fail(p, P_INVALID, "query", "more than %d parameters",
                                API_MAX_PARAMETERS);
            if (parameter(q, text, n, allowed, to, p) != P_OK) return p->code;
            to += n + 2;
        }
        text += n + (text[n] == '&');
    }
    return P_OK;
}
