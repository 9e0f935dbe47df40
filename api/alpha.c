/* alpha: the architecture logits of a policy.
 *
 *     GET .../policies/{p}/alpha    {"alpha": {"width": [0.1, 0, -0.2]}, "temperature": 1.0}
 *     PUT .../policies/{p}/alpha    the same, or the bare {"width": [0.1, 0, -0.2]}; labels that
 *                                   are not named keep their logits
 *
 * .../alpha without a policy is that of the instance "default", a differentiable one unless
 * somebody put another there. */
#include <stdlib.h>

#include "policies.h"

static const char *instance_name(const struct call *call)
{
    return call->id[0] ? call->id : API_DEFAULT_INSTANCE;
}

/* {"alpha": ...} as the state has it, and what else is in it. */
static enum problem_code write_alpha(struct call *call, const sn_policy *policy)
{
    struct problem *p = &call->problem;
    struct api_buf  text = {0};
    json_t         *state = NULL;

    if (api_policy_save(policy, &text, p) == P_OK &&
        api_json_parse(text.at, text.at, text.n - 1, "state", &state, p) == P_OK) {
        if (json_object_get(state, "alpha")) {
            api_buf_add(&call->body, text.at, text.n - 1);
            api_buf_byte(&call->body, '\n');
        } else {
            api_fail(p, P_UNSUPPORTED, "policy", "policy '%s' has no alpha",
                     sn_policy_name(policy));
        }
    }
    json_decref(state);
    api_buf_fini(&text);
    return p->code;
}

/* The bare form has only lists in it. Takes `body`. */
static enum problem_code wrap(json_t *body, char **ret_text, struct problem *p)
{
    const char *label;
    json_t     *value, *whole = body;
    bool        bare = json_object_size(body) > 0;

    json_object_foreach(body, label, value) bare = bare && json_is_array(value);
    if (bare) {
        whole = json_object();
        if (json_object_set_new(whole, "alpha", body) != 0) { /* takes body in any case */
            json_decref(whole);
            return api_fail_memory(p);
        }
    }
    *ret_text = json_dumps(whole, 0);
    json_decref(whole);
    return *ret_text ? P_OK : api_fail_memory(p);
}

enum problem_code api_get_alpha(struct call *call)
{
    struct instance *i = NULL;

    if (api_policy_instance(call, instance_name(call), &i) != P_OK) return call->problem.code;
    pthread_mutex_lock(&i->lock);
    if (write_alpha(call, i->policy) == P_OK) api_check_answer(call, "alpha");
    pthread_mutex_unlock(&i->lock);
    api_instance_unref(i);
    return call->problem.code;
}

enum problem_code api_put_alpha(struct call *call)
{
    struct problem  *p = &call->problem;
    struct instance *i = NULL;
    json_t          *body;
    char            *text;
    sn_error         err = {0};

    if (api_body_object(call, &body) != P_OK || wrap(body, &text, p) != P_OK) return p->code;
    if (api_policy_instance(call, instance_name(call), &i) == P_OK) {
        pthread_mutex_lock(&i->lock);
        if (sn_policy_update(i->policy, text, &err) != SN_OK)
            api_fail_library(p, &err, NULL);
        else
            write_alpha(call, i->policy);
        pthread_mutex_unlock(&i->lock);
        api_instance_unref(i);
    }
    free(text);
    return p->code;
}
