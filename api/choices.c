/* choices: read and set the current subnet of a supernet.
 *
 *     PUT .../choices  {"choices": {"width": 16}, "complete": {"policy": "path", "seed": 7}}
 *     PUT .../choices  {"width": 16, ...}     what export?format=choices gives
 *
 * What is left open and needed is an error (409), unless `complete` says who
 * decides: a policy, or "current" for the subnet that is current now. */
#include "choices_json.h"
#include "subnets.h"

enum problem_code api_choices_body(struct call *call, const json_t *body,
                                   const json_t **ret_choices, struct completion *ret_completion)
{
    struct problem *p = &call->problem;
    json_t         *choices = json_object_get(body, "choices");

    /* No value of a choice is an object: this tells the two forms apart, also for
     * a label that is called "choices". */
    if (json_is_object(choices) || json_is_object(json_object_get(body, "complete"))) {
        choices = NULL;
        if (api_body_members(body, "body", "choices|complete", p) != P_OK ||
            api_body_object_member(body, "", "choices", &choices, p) != P_OK)
            return p->code;
        *ret_choices = choices;
        return api_completion_parse(json_object_get(body, "complete"), "complete", ret_completion,
                                    p);
    }
    *ret_choices = body;
    *ret_completion = (struct completion){0};
    return P_OK;
}

void api_subnet_write(struct call *call, const sn_subnet *subnet,
                      const struct completion *completion)
{
    struct api_buf *b = &call->body;

    api_buf_printf(b, "{\"id\": \"%s\", \"choices\": ", sn_subnet_id(subnet));
    api_choices_write(b, subnet);
    api_soft_write(b, subnet);
    if (completion && completion->asked && completion->policy)
        api_buf_printf(b, ", \"seed\": %llu", (unsigned long long)completion->seed);
    api_buf_printf(b, ", \"version\": %llu}\n", (unsigned long long)call->model->version);
    api_note(call, subnet);
}

enum problem_code api_put_choices(struct call *call)
{
    struct problem   *p = &call->problem;
    struct completion completion;
    const json_t     *choices;
    sn_subnet        *subnet = NULL;
    json_t           *body;
    bool              created;

    if (api_body_object(call, &body) != P_OK) return p->code;
    if (api_hold(call) == P_OK && api_choices_body(call, body, &choices, &completion) == P_OK &&
        api_choices_subnet(call, choices, "choices", &completion, &subnet, &created) == P_OK) {
        api_model_publish(call->model, subnet);
        api_subnet_write(call, subnet, &completion);
    }
    sn_subnet_unref(subnet);
    json_decref(body);
    return p->code;
}

enum problem_code api_get_choices(struct call *call)
{
    sn_subnet *subnet = NULL;

    if (api_choices_find(call->model, NULL, "choices", P_UNDECIDED, &subnet, &call->problem) !=
        P_OK)
        return call->problem.code;
    api_subnet_write(call, subnet, NULL);
    sn_subnet_unref(subnet);
    return P_OK;
}
