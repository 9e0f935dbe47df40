/* media: Content-Type and Accept (RFC 9110, 12.5.1), as far as this API has a choice. */
#include "http/media.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

static const char *const names[MEDIA_COUNT] = {
    [MEDIA_OTHER] = "application/octet-stream",
    [MEDIA_JSON] = "application/json",
    [MEDIA_SAFETENSORS] = "application/x-safetensors",
    [MEDIA_METRICS] = "text/plain; version=0.0.4; charset=utf-8",
};

struct slice {
    const char *at;
    size_t      n;
};

static struct slice trim(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    return (struct slice){at, (size_t)(end - at)};
}

/* Text up to one of the separators, trimmed; *at moves behind the separator. */
static struct slice next(const char **at, const char *end, char separator)
{
    const char *stop = memchr(*at, separator, (size_t)(end - *at));
    const char *start = *at;

    if (!stop) stop = end;
    *at = stop < end ? stop + 1 : end;
    return trim(start, stop);
}

static bool is(struct slice s, const char *text)
{
    return s.n == strlen(text) && strncasecmp(s.at, text, s.n) == 0;
}

const char *api_media_name(enum media m)
{
    return names[m];
}

enum media api_media_of(const struct api_request *req)
{
    const char  *content_type = req->content_type;
    struct slice type;

    if (!content_type || !content_type[0]) return MEDIA_JSON;
    type = next(&content_type, content_type + strlen(content_type), ';');
    if (is(type, names[MEDIA_JSON])) return MEDIA_JSON;
    if (is(type, names[MEDIA_SAFETENSORS])) return MEDIA_SAFETENSORS;
    /* `curl -d` says this without meaning it. A browser, which says where the page comes
     * from, may mean it: a foreign page must not command a daemon on this machine. */
    if (is(type, "application/x-www-form-urlencoded") && !req->origin) return MEDIA_JSON;
    return MEDIA_OTHER;
}

/* Thousandths of "q=0.5"; a weight that is no number counts as 1. */
static int weight(struct slice s)
{
    int q = 0, unit = 1000;

    if (s.n < 3 || strncasecmp(s.at, "q=", 2) != 0 || (s.at[2] != '0' && s.at[2] != '1'))
        return 1000;
    q = (s.at[2] - '0') * 1000;
    for (size_t i = 4; i < s.n && i < 7 && s.at[i] >= '0' && s.at[i] <= '9'; i++)
        q += (s.at[i] - '0') * (unit /= 10);
    return q > 1000 ? 1000 : q;
}

/* What `accept` thinks of one form: the weight of the most specific range. */
static int opinion(const char *accept, enum media offer)
{
    const char  *end = accept + strlen(accept);
    const char  *full = names[offer];
    struct slice want = next(&full, full + strlen(full), ';');
    const size_t n_type = (size_t)((const char *)memchr(want.at, '/', want.n) - want.at) + 1;
    int          best = 0, rank = 0;

    while (accept < end) {
        struct slice item = next(&accept, end, ',');
        const char  *at = item.at, *stop = item.at + item.n;
        struct slice range = next(&at, stop, ';');
        int          q = 1000, r = 0;

        while (at < stop) {
            struct slice parameter = next(&at, stop, ';');

            if (parameter.n >= 2 && strncasecmp(parameter.at, "q=", 2) == 0) q = weight(parameter);
        }
        if (range.n == want.n && strncasecmp(range.at, want.at, want.n) == 0)
            r = 3;
        else if (range.n == n_type + 1 && strncasecmp(range.at, want.at, n_type) == 0 &&
                 range.at[n_type] == '*')
            r = 2;
        else if (is(range, "*/*"))
            r = 1;
        if (r > rank) {
            rank = r;
            best = q;
        }
    }
    return best;
}

enum media api_media_negotiate(const char *accept, const enum media *offer, size_t n_offers)
{
    enum media best = MEDIA_OTHER;
    int        best_weight = 0;

    if (!accept || !accept[strspn(accept, ", \t")])
        return offer[0]; /* an empty list asks nothing */
    for (size_t i = 0; i < n_offers; i++) {
        const int q = opinion(accept, offer[i]);

        if (q > best_weight) {
            best_weight = q;
            best = offer[i];
        }
    }
    return best;
}
