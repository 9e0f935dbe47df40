/* health: for load balancers and orchestrators; and the contract itself. */
#include <stdlib.h>

#include "http/route.h"
#include "resident/embedded.h"
#include "resident/resident.h"

enum problem_code api_get_health(struct call *call)
{
    api_buf_printf(&call->body, "{\"status\": \"ok\", \"version\": \"%s\"}\n", sn_version());
    return P_OK;
}

/* Another daemon may have a good copy. What is known is said; asking the file system could block.
 */
static enum problem_code check_models(struct call *call)
{
    size_t         n;
    struct model **all = api_store_list(&call->api->store, &n);

    if (!all) return api_fail_memory(&call->problem);
    for (size_t i = 0; i < n; i++) {
        if (api_model_is_changed(all[i])) api_model_check(all[i], &call->problem);
        api_model_unref(all[i]);
    }
    free(all);
    return call->problem.code;
}

/* Not ready while draining, or with a supernet that cannot be served any more: no new request
 * should come this way. */
enum problem_code api_get_ready(struct call *call)
{
    if (atomic_load(&call->api->draining))
        return api_fail(&call->problem, P_DRAINING, "", "the daemon is shutting down");
    if (check_models(call) != P_OK) return call->problem.code;
    api_buf_text(&call->body, "{\"status\": \"ready\"}\n");
    return P_OK;
}

enum problem_code api_get_openapi(struct call *call)
{
    const struct embedded document = api_embedded_openapi();

    api_buf_add(&call->body, document.at, document.n);
    return P_OK;
}
