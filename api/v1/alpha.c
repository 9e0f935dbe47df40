/* alpha: the architecture logits of a policy.
 *
 *     GET .../policies/{p}/alpha    {"alpha": {"width": [0.1, 0, -0.2]}, "temperature": 1.0}
 *     PUT .../policies/{p}/alpha    the same, or the bare {"width": [0.1, 0, -0.2]}; labels that
 *                                   are not named keep their logits
 *
 * .../alpha without a policy is that of the instance "default", a differentiable one unless
 * somebody put another there. */
#include "http/body.h"
#include "http/route.h"
#include "resident/policies.h"
#include "supernet/host.h"
#include "supernet/train.h"

static const char *instance_name(const struct call *call)
{
    return call->id[0] ? call->id : API_DEFAULT_INSTANCE;
}

static bool has_alpha(struct json_text state)
{
    struct json_walk w = api_json_walk(state);
    struct json_text name, value;

    while (api_json_member(&w, &name, &value))
        if (api_json_equals(name, "alpha")) return true;
    return false;
}

/* {"alpha": ...} as the state has it, and what else is in it. */
static enum problem_code write_alpha(struct call *call, const sn_policy *policy)
{
    struct problem  *p = &call->problem;
    struct api_buf  *b = &call->body;
    struct json_text state;

    if (api_policy_save(policy, b, p) != P_OK ||
        api_json_read_all(b->at, b->n - 1, "state", NULL, &state, p) != P_OK)
        return p->code;
    if (!has_alpha(state))
        return api_fail(p, P_UNSUPPORTED, "policy", "policy '%s' has no alpha",
                        sn_policy_name(policy));
    b->at[b->n - 1] = '\n'; /* instead of the terminator */
    return P_OK;
}

/* The bare form has only lists in it. NULL and a problem. */
static const char *document_of(struct call *call, struct json_text body)
{
    struct json_walk w = api_json_walk(body);
    struct json_text name, value;
    bool             bare = api_json_count(body) > 0;

    while (api_json_member(&w, &name, &value))
        bare = bare && api_json_first(value) == '[';
    return bare ? api_body_document(call, "{\"alpha\": ", body, "}")
                : api_body_document(call, "", body, "");
}

enum problem_code api_get_alpha(struct call *call)
{
    struct instance *i = NULL;

    if (api_policy_instance(call, instance_name(call), &i) != P_OK) return call->problem.code;
    api_limit_answer(call);
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
    struct json_text body;
    const char      *text;

    if (api_body_object(call, &body) != P_OK) return p->code;
    text = document_of(call, body);
    if (!text) return p->code;
    if (api_policy_instance(call, instance_name(call), &i) == P_OK) {
        pthread_mutex_lock(&i->lock);
        if (api_instance_teach(call, i, sn_policy_update, text) == P_OK) {
            call->body.stop = NULL; /* it is done: late or not, the answer says so */
            write_alpha(call, i->policy);
        }
        pthread_mutex_unlock(&i->lock);
        api_instance_unref(i);
    }
    return p->code;
}
