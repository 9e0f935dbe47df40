/* health: for load balancers and orchestrators; and the contract itself. */
#include "call.h"

enum problem_code api_get_health(struct call *call)
{
    api_buf_printf(&call->body, "{\"status\": \"ok\", \"version\": \"%s\"}\n", sn_version());
    return P_OK;
}

/* Not ready while draining: no new request should come this way. */
enum problem_code api_get_ready(struct call *call)
{
    if (atomic_load(&call->api->draining))
        return api_fail(&call->problem, P_DRAINING, "", "the daemon is shutting down");
    api_buf_text(&call->body, "{\"status\": \"ready\"}\n");
    return P_OK;
}

enum problem_code api_get_openapi(struct call *call)
{
    const struct embedded document = api_embedded_openapi();

    api_buf_add(&call->body, document.at, document.n);
    return P_OK;
}
