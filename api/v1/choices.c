/* choices: read and set the current subnet of a supernet.
 *
 *     PUT .../choices  {"choices": {"width": 16}, "complete": {"policy": "path", "seed": 7}}
 *     PUT .../choices  {"width": 16, ...}     what export?format=choices gives
 *
 * What is left open and needed is an error (409), unless `complete` says who
 * decides: a policy, or "current" for the subnet that is current now. */
#include "http/route.h"
#include "v1/subnets.h"

/* No value of a choice is an object: this tells the two forms apart, also for a label that is
 * called "choices". */
static bool is_wrapped(struct json_text body)
{
    struct json_walk w = api_json_walk(body);
    struct json_text name, value;

    while (api_json_member(&w, &name, &value))
        if (api_json_first(value) == '{' &&
            (api_json_equals(name, "choices") || api_json_equals(name, "complete")))
            return true;
    return false;
}

enum problem_code api_choices_body(struct call *call, struct json_text body,
                                   struct json_text *ret_choices, struct completion *ret_completion)
{
    struct problem  *p = &call->problem;
    struct json_text member[2];

    if (is_wrapped(body)) {
        if (api_body_members(body, "body", "choices|complete", member, p) != P_OK ||
            api_body_is_object(member[0], "", "choices", p) != P_OK)
            return p->code;
        *ret_choices = member[0];
        return api_completion_parse(call, member[1], "complete", ret_completion);
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
    struct json_text  body, choices;
    sn_subnet        *subnet = NULL;
    bool              created;

    if (api_body_object(call, &body) != P_OK) return p->code;
    if (api_hold(call) == P_OK && api_choices_body(call, body, &choices, &completion) == P_OK &&
        api_choices_subnet(call, choices, "choices", &completion, &subnet, &created) == P_OK) {
        api_subnet_write(call, subnet, &completion);
        if (api_body_is_whole(call)) api_model_publish(call->model, subnet);
    }
    sn_subnet_unref(subnet);
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
