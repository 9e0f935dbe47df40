/* routes: the table of endpoints. A test holds it against openapi.json. */
#include "http/call.h"

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

/* clang-format off */
const struct api_route_row api_routes[] = {
    /* method  pattern                     name                lane         class       body      takes          {m}    query                         gives handler */
    {"GET",    "/v1/supernets",            "list_supernets",   API_LOOP,    API_READ,   0,        TAKES_NOTHING, false, "",                           JSON,            api_list_supernets},
    {"GET",    ONE,                        "get_supernet",     API_COMPUTE, API_READ,   0,        TAKES_NOTHING, true,  "",                           JSON,            api_get_supernet},
    {"PUT",    ONE,                        "put_supernet",     API_COMPUTE, API_ADMIN,  SMALL,    TAKES_JSON,    false, "",                           JSON,            api_put_supernet},
    {"DELETE", ONE,                        "delete_supernet",  API_COMPUTE, API_ADMIN,  0,        TAKES_NOTHING, true,  "",                           JSON,            api_delete_supernet},
    {"GET",    ONE "/space",               "space",            API_COMPUTE, API_READ,   0,        TAKES_NOTHING, true,  "",                           JSON,            api_get_space},
    {"POST",   ONE "/resample",            "resample",         API_COMPUTE, API_RUN,    SIZE_MAX, MAYBE_JSON,    true,  "",                           JSON,            api_resample},
    {"GET",    ONE "/choices",             "get_choices",      API_LOOP,    API_READ,   0,        TAKES_NOTHING, true,  "",                           JSON,            api_get_choices},
    {"PUT",    ONE "/choices",             "put_choices",      API_COMPUTE, API_CHANGE, SIZE_MAX, TAKES_JSON,    true,  "",                           JSON,            api_put_choices},
    {"POST",   ONE "/subnets",             "create_subnet",    API_COMPUTE, API_RUN,    SIZE_MAX, TAKES_JSON,    true,  "",                           JSON,            api_create_subnet},
    {"GET",    ONE "/subnets/{id}",        "get_subnet",       API_LOOP,    API_READ,   0,        TAKES_NOTHING, true,  "",                           JSON,            api_get_subnet},
    {"DELETE", ONE "/subnets/{id}",        "delete_subnet",    API_COMPUTE, API_CHANGE, 0,        TAKES_NOTHING, true,  "",                           JSON,            api_delete_subnet},
    {"POST",   ONE "/forward",             "forward",          API_COMPUTE, API_RUN,    SIZE_MAX, TAKES_TENSORS, true,  "subnet|version|policy|seed|mode", BOTH,            api_forward},
    {"GET",    ONE "/export",              "export",           API_COMPUTE, API_READ,   0,        TAKES_NOTHING, true,  "format|subnet|policy|seed",  BOTH,            api_export},
    {"GET",    ONE "/policies",            "list_policies",    API_COMPUTE, API_READ,   0,        TAKES_NOTHING, true,  "",                           JSON,            api_list_policies},
    {"GET",    ONE "/policies/{p}",        "get_policy",       API_COMPUTE, API_READ,   0,        TAKES_NOTHING, true,  "",                           JSON,            api_get_policy},
    {"PUT",    ONE "/policies/{p}",        "put_policy",       API_COMPUTE, API_CHANGE, SMALL,    TAKES_JSON,    true,  "",                           JSON,            api_put_policy},
    {"DELETE", ONE "/policies/{p}",        "delete_policy",    API_COMPUTE, API_CHANGE, 0,        TAKES_NOTHING, true,  "",                           JSON,            api_delete_policy},
    {"GET",    ONE "/policies/{p}/alpha",  "get_policy_alpha", API_COMPUTE, API_READ,   0,        TAKES_NOTHING, true,  "",                           JSON,            api_get_alpha},
    {"PUT",    ONE "/policies/{p}/alpha",  "put_policy_alpha", API_COMPUTE, API_CHANGE, SIZE_MAX, TAKES_JSON,    true,  "",                           JSON,            api_put_alpha},
    {"POST",   ONE "/policies/{p}/reward", "reward",           API_COMPUTE, API_CHANGE, SIZE_MAX, TAKES_JSON,    true,  "",                           JSON,            api_post_reward},
    {"GET",    ONE "/policies/{p}/state",  "get_policy_state", API_COMPUTE, API_READ,   0,        TAKES_NOTHING, true,  "",                           JSON,            api_get_policy_state},
    {"PUT",    ONE "/policies/{p}/state",  "put_policy_state", API_COMPUTE, API_CHANGE, SIZE_MAX, TAKES_JSON,    true,  "",                           JSON,            api_put_policy_state},
    {"GET",    ONE "/alpha",               "get_alpha",        API_COMPUTE, API_READ,   0,        TAKES_NOTHING, true,  "",                           JSON,            api_get_alpha},
    {"PUT",    ONE "/alpha",               "put_alpha",        API_COMPUTE, API_CHANGE, SIZE_MAX, TAKES_JSON,    true,  "",                           JSON,            api_put_alpha},
    {"GET",    "/healthz",                 "healthz",          API_LOOP,    API_OPEN,   0,        TAKES_NOTHING, false, "",                           JSON,            api_get_health},
    {"GET",    "/readyz",                  "readyz",           API_LOOP,    API_OPEN,   0,        TAKES_NOTHING, false, "",                           JSON,            api_get_ready},
    {"GET",    "/metrics",                 "metrics",          API_LOOP,    API_OPEN,   0,        TAKES_NOTHING, false, "",                           {MEDIA_METRICS}, api_get_metrics},
    {"GET",    "/openapi.json",            "openapi",          API_LOOP,    API_READ,   0,        TAKES_NOTHING, false, "",                           JSON,            api_get_openapi},
};
/* clang-format on */

const size_t api_n_routes = sizeof api_routes / sizeof api_routes[0];
