/* access.h - who may ask for what: by name, by page, by class of the route.
 *
 * A browser sends requests in its user's place. A page of another site may make it send one
 * (then Origin or Sec-Fetch-Site tells), and a name of another site may point here (then Host
 * does). Neither is taken unless an option says so. What whoever is let in may do is a set of
 * classes; on an address that others reach, changing and loading are not among them by default. */
#ifndef SERVER_HTTP_ACCESS_H
#define SERVER_HTTP_ACCESS_H

#include "api.h"
#include "config/config.h"

#include <stdbool.h>
#include <stddef.h>

struct access {
    const struct config *config;
    unsigned             classes; /* bit c: class c is allowed */
    char                 machine[256];
};

/* What a request says of itself; NULL for what it does not. */
struct access_request {
    const char    *host, *origin, *fetch_site;
    const char    *authority; /* of a request for "http://authority/path": n_authority bytes */
    size_t         n_authority;
    enum api_class access;
    bool           is_options; /* asks only what may be asked for */
};

struct access_refusal {
    const char *code, *where; /* code NULL: it is let in */
    char        text[384];
};

/* `on_loopback`: only this machine reaches the daemon. */
void access_init(struct access *a, const struct config *config, bool on_loopback);

struct access_refusal access_check(const struct access *a, const struct access_request *r);

/* Is it an origin that an option lets in? Then its pages may read the answers. */
bool access_is_allowed_origin(const struct access *a, const char *origin);

/* "read, run" into buf; returns buf. */
const char *access_describe(const struct access *a, char *buf, size_t n_buf);

#endif
