/* routes: the rows of http/routes.def. */
#include "http/route.h"

enum { SMALL = 1 << 20 }; /* of what no answer gives back; what one does is taken up to max-body */

#define ONE "/v1/supernets/{m}"
#define JSON                                                                                       \
    {                                                                                              \
        MEDIA_JSON                                                                                 \
    }
#define BOTH                                                                                       \
    {                                                                                              \
        MEDIA_JSON, MEDIA_SAFETENSORS                                                              \
    }

const struct api_route_row api_routes[] = {
#define ROUTE(method, pattern, name, thread, access, max_body_bytes, takes, has_model, query,      \
              gives, handle)                                                                       \
    {method, pattern, name, thread, access, max_body_bytes, takes, has_model, query, gives, handle},
#include "http/routes.def"
#undef ROUTE
};

const size_t api_n_routes = sizeof api_routes / sizeof api_routes[0];
