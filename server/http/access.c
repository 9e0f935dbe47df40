/* access: checks of Host, Origin, Sec-Fetch-Site and of the class of a route. */
#include "http/access.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const char *const class_names[API_N_CLASSES] = {[API_OPEN] = "open",
                                                       [API_READ] = "read",
                                                       [API_RUN] = "run",
                                                       [API_CHANGE] = "change",
                                                       [API_ADMIN] = "admin"};

enum {
    ALL = 1u << API_READ | 1u << API_RUN | 1u << API_CHANGE | 1u << API_ADMIN,
    FROM_AFAR = 1u << API_READ | 1u << API_RUN
};

void access_init(struct access *a, const struct config *config, bool on_loopback)
{
    *a = (struct access){.config = config, .classes = (unsigned)config->allow};
    if (!a->classes) a->classes = on_loopback ? ALL : FROM_AFAR;
    if (gethostname(a->machine, sizeof a->machine - 1)) a->machine[0] = 0;
}

const char *access_describe(const struct access *a, char *buf, size_t n_buf)
{
    size_t n = 0;

    buf[0] = 0;
    for (int c = API_READ; c < API_N_CLASSES; c++)
        if (a->classes & 1u << c && n < n_buf)
            n += (size_t)snprintf(buf + n, n_buf - n, "%s%s", n ? ", " : "", class_names[c]);
    return buf;
}

/* ---- names ------------------------------------------------------------------------------ */

/* "name", "name:port", "1.2.3.4:port", "[::1]:port" */
struct authority {
    const char *name; /* without the brackets */
    size_t      n_name;
    int         port; /* -1: none is said */
    bool        is_ip;
};

static bool is_address(int family, const char *name, size_t n)
{
    unsigned char to[16];
    char          text[64];

    if (n >= sizeof text) return false;
    memcpy(text, name, n);
    text[n] = 0;
    return inet_pton(family, text, to) == 1;
}

static bool parse_port(const char *s, const char *end, int *ret_port)
{
    int port = 0;

    *ret_port = -1;
    if (s == end) return true; /* "name:" */
    for (; s < end; s++) {
        if (*s < '0' || *s > '9') return false;
        port = port * 10 + (*s - '0');
        if (port > 65535) return false;
    }
    *ret_port = port;
    return true;
}

static bool parse_authority(const char *s, size_t n, struct authority *ret)
{
    const char *end = s + n, *colon;

    *ret = (struct authority){.port = -1};
    if (n && *s == '[') {
        const char *close = memchr(s, ']', n);

        if (!close || !is_address(AF_INET6, s + 1, (size_t)(close - s - 1))) return false;
        *ret = (struct authority){s + 1, (size_t)(close - s - 1), -1, true};
        s = close + 1;
        return s == end || (*s == ':' && parse_port(s + 1, end, &ret->port));
    }
    colon = memchr(s, ':', n);
    ret->name = s;
    ret->n_name = colon ? (size_t)(colon - s) : n;
    if (colon && !parse_port(colon + 1, end, &ret->port)) return false;
    ret->is_ip = is_address(AF_INET, ret->name, ret->n_name);
    if (ret->n_name && ret->name[ret->n_name - 1] == '.') ret->n_name--; /* "localhost." */
    return ret->n_name > 0;
}

static bool is_name(const struct authority *a, const char *name)
{
    return strlen(name) == a->n_name && !strncasecmp(a->name, name, a->n_name);
}

static bool is_ours(const struct access *a, const char *host, size_t n)
{
    const struct config_list *allowed = &a->config->allow_host;
    struct authority          at;

    for (size_t i = 0; i < allowed->n; i++)
        if (!strcmp(allowed->at[i], "*")) return true;
    if (!parse_authority(host, n, &at)) return false;
    if (at.is_ip || is_name(&at, "localhost")) return true;
    if (a->machine[0] && is_name(&at, a->machine)) return true;
    for (size_t i = 0; i < allowed->n; i++)
        if (is_name(&at, allowed->at[i])) return true;
    return false;
}

/* ---- pages -------------------------------------------------------------------------------- */

bool access_is_allowed_origin(const struct access *a, const char *origin)
{
    const struct config_list *allowed = &a->config->allow_origin;

    if (!strcmp(origin, "null")) return false; /* of anybody: a file, a sandbox */
    for (size_t i = 0; i < allowed->n; i++)
        if (!strcmp(allowed->at[i], "*") || !strcasecmp(allowed->at[i], origin)) return true;
    return false;
}

/* "http://host:port" for a Host of "host:port", where either may leave out the usual port. */
static bool is_same_origin(const char *origin, const char *host, size_t n_host)
{
    const bool       secure = !strncasecmp(origin, "https://", 8);
    const int        usual = secure ? 443 : 80;
    const char      *rest = origin + (secure ? 8 : 7);
    struct authority from, to;

    if (!secure && strncasecmp(origin, "http://", 7)) return false;
    if (!parse_authority(rest, strlen(rest), &from) || !parse_authority(host, n_host, &to))
        return false;
    if (from.port < 0) from.port = usual;
    if (to.port < 0) to.port = usual;
    return from.port == to.port && from.n_name == to.n_name &&
           !strncasecmp(from.name, to.name, to.n_name);
}

/* ---- all together --------------------------------------------------------------------------- */

struct access_refusal access_check(const struct access *a, const struct access_request *r)
{
    const char           *host = r->authority ? r->authority : r->host;
    const size_t          n_host = r->authority ? r->n_authority : host ? strlen(host) : 0;
    struct access_refusal no = {0};
    char                  may[64];

    /* Health, readiness and metrics tell nothing that is worth a name. */
    if (r->access == API_OPEN) return no;
    /* HTTP/1.0 may leave it out; no browser does. */
    if (host && !is_ours(a, host, n_host)) {
        no.code = "forbidden_host";
        no.where = "Host";
        snprintf(no.text, sizeof no.text,
                 "'%.*s' is no name of this daemon: an address, localhost, the machine's name, or "
                 "what --allow-host names",
                 (int)(n_host < 200 ? n_host : 200), host);
    } else if (r->origin && access_is_allowed_origin(a, r->origin)) {
        ;
    } else if (r->origin && !(host && is_same_origin(r->origin, host, n_host))) {
        no.code = "forbidden_origin";
        no.where = "Origin";
        snprintf(no.text, sizeof no.text,
                 "pages of '%.200s' may not use this daemon; --allow-origin lets them", r->origin);
    } else if (!r->origin && r->fetch_site && !strcasecmp(r->fetch_site, "cross-site")) {
        no.code = "forbidden_origin";
        no.where = "Sec-Fetch-Site";
        snprintf(no.text, sizeof no.text, "pages of other sites may not use this daemon");
    }
    if (!no.code && !r->is_options && !(a->classes & 1u << r->access)) {
        no.code = "forbidden";
        no.where = "method";
        snprintf(no.text, sizeof no.text,
                 "this is of class %s, and only %s is allowed here; --allow says which",
                 class_names[r->access], access_describe(a, may, sizeof may));
    }
    return no;
}
