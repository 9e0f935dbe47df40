/* subnets: seal choices into an id that any later request can name.
 *
 *     POST .../subnets  {"choices": {...}}  ->  201 {"id", "choices"}   (200: was there)
 *
 * Nothing becomes current here; two clients never disturb each other. */
#include "v1/subnets.h"

#include "http/route.h"

enum problem_code api_create_subnet(struct call *call)
{
    struct problem   *p = &call->problem;
    struct completion completion;
    struct json_text  body, choices;
    sn_subnet        *subnet = NULL;
    bool              created = false;

    if (api_body_object(call, &body) != P_OK) return p->code;
    if (api_hold(call) == P_OK && api_choices_body(call, body, &choices, &completion) == P_OK &&
        api_choices_subnet(call, choices, "choices", &completion, &subnet, &created) == P_OK) {
        if (created) api_created(call, "/subnets/", sn_subnet_id(subnet));
        api_subnet_write(call, subnet, &completion);
    }
    sn_subnet_unref(subnet);
    return p->code;
}

enum problem_code api_get_subnet(struct call *call)
{
    sn_subnet *subnet = NULL;

    if (api_choices_find(call->model, call->id, "path", P_NO_SUBNET, &subnet, &call->problem) !=
        P_OK)
        return call->problem.code;
    api_subnet_write(call, subnet, NULL);
    sn_subnet_unref(subnet);
    return P_OK;
}

enum problem_code api_delete_subnet(struct call *call)
{
    if (api_hold(call) != P_OK) return call->problem.code;
    if (!api_model_forget(call->model, call->id))
        return api_fail(&call->problem, P_NO_SUBNET, "path",
                        "subnet '%.64s' is not remembered by supernet '%s'", call->id,
                        call->model->name);
    call->ret->status = 204;
    return P_OK;
}
