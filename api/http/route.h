/* route: what there is to ask for. The table is http/routes.def; a test holds it against
 * openapi.json. */
#ifndef API_HTTP_ROUTE_H
#define API_HTTP_ROUTE_H

#include "http/call.h"

enum api_takes {
    TAKES_NOTHING,
    TAKES_JSON,    /* there must be a body */
    TAKES_TENSORS, /* likewise: JSON or safetensors */
    MAYBE_JSON
};

/* One endpoint. The row says everything, also where it runs and what it accepts. */
struct api_route_row {
    const char     *method, *pattern; /* "{m}", "{id}", "{p}" match one segment */
    const char     *name;
    enum api_thread thread;
    enum api_class  access;
    size_t          max_body_bytes; /* SIZE_MAX: the configured one, max-body */
    enum api_takes  takes;
    bool            has_model; /* {m} must be loaded: 404 before anything else is looked at */
    const char     *query;     /* "format|subnet": the parameters it knows */
    enum media      gives[2];  /* forms of the answer, the preferred first; MEDIA_OTHER: none */
    api_handler    *handle;
};

extern const struct api_route_row api_routes[];
extern const size_t               api_n_routes;

/* The handlers that the table names: each is in the file of its resource. */
#define ROUTE(method, pattern, name, thread, access, max_body_bytes, takes, has_model, query,      \
              gives, handle)                                                                       \
    api_handler handle;
#include "http/routes.def"
#undef ROUTE

#endif
