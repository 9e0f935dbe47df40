/* headers: the lines of a request, sorted; several of one kind are joined or refused. */
#include "http/headers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Which of two would count is not for us to guess. */
static void set_once(struct headers *hd, const char **header, const char *value)
{
    hd->twice |= *header != NULL;
    *header = value;
}

/* Several lines of one list are one list (RFC 9110, 5.3). Without memory the first ones count. */
static void add_accept(struct headers *hd, const char *value)
{
    const size_t n = hd->accept ? strlen(hd->accept) + strlen(value) + 3 : 0;
    char        *both = n ? malloc(n) : NULL;

    if (!hd->accept) hd->accept = value;
    if (!both) return;
    snprintf(both, n, "%s, %s", hd->accept, value);
    free(hd->accepts);
    hd->accept = hd->accepts = both;
}

enum MHD_Result headers_read(void *cls, enum MHD_ValueKind kind, const char *key, size_t n_key,
                             const char *value, size_t n_value)
{
    struct headers *hd = cls;

    (void)kind;
    if (!value) value = "";
    strict_header(&hd->strict, key, n_key, value, n_value);
    if (!strcasecmp(key, "Content-Type"))
        set_once(hd, &hd->content_type, value);
    else if (!strcasecmp(key, "Accept"))
        add_accept(hd, value);
    else if (!strcasecmp(key, "Content-Encoding"))
        set_once(hd, &hd->content_encoding, value);
    else if (!strcasecmp(key, "X-Request-Id"))
        set_once(hd, &hd->request_id, value);
    else if (!strcasecmp(key, "Content-Length"))
        hd->content_length = value, hd->n_content_length++;
    else if (!strcasecmp(key, "Transfer-Encoding"))
        hd->transfer_encoding = value, hd->n_transfer_encoding++;
    else if (!strcasecmp(key, "Origin"))
        set_once(hd, &hd->origin, value);
    else if (!strcasecmp(key, "Host"))
        hd->host = value, hd->n_host++;
    else if (!strcasecmp(key, "Sec-Fetch-Site"))
        set_once(hd, &hd->fetch_site, value);
    else if (!strcasecmp(key, "Access-Control-Request-Method"))
        hd->asked_method = value;
    else if (!strcasecmp(key, "Expect"))
        hd->expects_continue = !strcasecmp(value, "100-continue");
    return MHD_YES;
}

const char *headers_check(const struct headers *hd, const char *version, size_t *ret_n_body)
{
    size_t n = 0;

    const bool old = !strcmp(version, "HTTP/1.0");

    if (hd->strict.wrong) return hd->strict.wrong;
    if (hd->twice)
        return "Content-Type, Content-Encoding, Origin, Sec-Fetch-Site and X-Request-Id may be "
               "there once";
    if (hd->n_host > 1 || (hd->n_host == 0 && !old)) return "there must be one Host header";
    if (hd->n_content_length + hd->n_transfer_encoding > 1)
        return "there must be one Content-Length or one Transfer-Encoding, not both";
    if (hd->transfer_encoding && old) return "HTTP/1.0 has no Transfer-Encoding";
    if (hd->transfer_encoding && strcasecmp(hd->transfer_encoding, "chunked"))
        return "the only Transfer-Encoding is chunked";
    for (const char *c = hd->content_length ? hd->content_length : ""; *c; c++)
        if (*c < '0' || *c > '9' || __builtin_mul_overflow(n, (size_t)10, &n) ||
            __builtin_add_overflow(n, (size_t)(*c - '0'), &n))
            return "Content-Length is no number of bytes";
    *ret_n_body = n;
    return NULL;
}
