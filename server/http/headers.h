/* headers.h - what the headers of a request say, and whether they may say it together. */
#ifndef SERVER_HTTP_HEADERS_H
#define SERVER_HTTP_HEADERS_H

#include "http/strict.h"

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

/* The values lie in the HTTP library's buffer and live as long as the request; NULL: not there. */
struct headers {
    const char *content_type, *accept, *request_id, *content_length, *transfer_encoding, *origin;
    const char *content_encoding, *host, *fetch_site, *asked_method;
    char       *accepts; /* where `accept` is, if it is made of several lines */
    int         n_content_length, n_transfer_encoding, n_host;
    bool        expects_continue, twice;

    struct strict strict;
};

/* For MHD_get_connection_values_n(); `cls` is a struct headers. */
enum MHD_Result headers_read(void *cls, enum MHD_ValueKind kind, const char *key, size_t n_key,
                             const char *value, size_t n_value);

/* Where a request ends must be beyond doubt, or what follows it could pass for a
 * request of its own behind a proxy that reads the headers differently. NULL, or
 * what is wrong. */
const char *headers_check(const struct headers *hd, const char *version, size_t *ret_n_body);

#endif
