/* media: which form a body has and which form an answer may have. */
#ifndef API_HTTP_MEDIA_H
#define API_HTTP_MEDIA_H

#include <stddef.h>

#include "api.h"

enum media {
    MEDIA_OTHER, /* none of the following */
    MEDIA_JSON,
    MEDIA_SAFETENSORS,
    MEDIA_METRICS, /* the text form of Prometheus */
    MEDIA_COUNT
};

/* "application/json"; a static string. */
const char *api_media_name(enum media m);

/* The form of a request's body by its Content-Type, parameters ignored. A missing one (NULL or
 * "") is JSON, for requests written by hand. */
enum media api_media_of(const struct api_request *req);

/* The offered form that `accept` likes best, the first offered among equals;
 * MEDIA_OTHER if it refuses all. NULL or "" accepts everything. */
enum media api_media_negotiate(const char *accept, const enum media *offer, size_t n_offers);

#endif
