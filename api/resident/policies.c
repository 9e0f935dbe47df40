/* policies: see policies.h. */
#include "resident/policies.h"

#include <string.h>

#include "resident/visit.h"
#include "supernet/op.h"
#include "supernet/train.h"

const struct sn_policy_class *api_policy_class(const struct api *api, const char *name)
{
    const struct sn_policy_class *cls;

    for (size_t i = 0; (cls = sn_registry_policy_at(api->registry, i)); i++)
        if (strcmp(cls->name, name) == 0) return cls;
    return NULL;
}

enum problem_code api_fail_policy_class(struct call *call, const char *name, const char *where)
{
    const struct sn_policy_class *cls;
    struct api_buf                list = {0};

    for (size_t i = 0; (cls = sn_registry_policy_at(call->api->registry, i)); i++)
        api_buf_printf(&list, "%s'%s'", i ? ", " : "", cls->name);
    api_buf_byte(&list, '\0');
    if (list.failed)
        api_fail_memory(&call->problem);
    else
        api_fail(&call->problem, P_UNKNOWN_NAME, where, "no policy is called '%s'; known: %s", name,
                 list.at);
    api_buf_fini(&list);
    return call->problem.code;
}

/* The instance, referenced; NULL with or without a problem if there is none. */
static struct instance *find_instance(struct call *call, const char *name)
{
    const struct budget budget = api_call_budget(call);
    struct instances   *all = &call->model->instances;
    struct instance    *i;

    if (api_hold(call) != P_OK) return NULL;
    i = api_instances_find(all, name);
    if (i || strcmp(name, API_DEFAULT_INSTANCE) != 0) return i;
    if (api_instance_create(&budget, call->model->net, name, "differentiable", NULL, &i,
                            &call->problem) != P_OK ||
        api_instances_put(all, i, true, NULL, &call->problem) != P_OK)
        return NULL;
    i = api_instances_find(all, name);
    return i ? i : find_instance(call, name); /* somebody has deleted it in between */
}

enum problem_code api_policy_open_own(struct call *call, const char *cls, const char *options,
                                      struct policy_use *use)
{
    *use = (struct policy_use){.budget = api_call_budget(call)};
    if (api_policy_create(&use->budget, call->model->net, cls, options, &use->policy, &use->charged,
                          &call->problem) != P_OK)
        return call->problem.code;
    use->turn = api_policy_begin(&use->budget, use->policy, &use->charged, POLICY_DRAWS);
    return P_OK;
}

enum problem_code api_policy_open(struct call *call, const char *name, const char *where,
                                  struct policy_use *use)
{
    struct instance *i = find_instance(call, name);

    *use = (struct policy_use){.budget = api_call_budget(call)};
    if (call->problem.code != P_OK) return call->problem.code;
    if (i) {
        pthread_mutex_lock(&i->lock);
        use->policy = i->policy;
        use->instance = i;
        use->turn = api_policy_begin(&use->budget, i->policy, &i->charged, POLICY_DRAWS);
        return P_OK;
    }
    if (!api_policy_class(call->api, name)) return api_fail_policy_class(call, name, where);
    return api_policy_open_own(call, name, NULL, use);
}

void api_policy_close(struct policy_use *use)
{
    api_policy_end(&use->turn);
    if (use->instance) {
        pthread_mutex_unlock(&use->instance->lock);
        api_instance_unref(use->instance);
    } else {
        api_policy_destroy(use->budget.account, use->policy, use->charged);
    }
    *use = (struct policy_use){0};
}

enum problem_code api_policy_save(const sn_policy *policy, struct api_buf *ret_text,
                                  struct problem *p)
{
    const sn_sink sink = api_buf_sink(ret_text);
    sn_error      err = {0};

    if (sn_policy_save(policy, &sink, &err) != SN_OK) return api_fail_buf(p, ret_text, &err);
    api_buf_byte(ret_text, '\0');
    return ret_text->failed ? api_fail_buf(p, ret_text, NULL) : P_OK;
}

enum problem_code api_policy_instance(struct call *call, const char *name,
                                      struct instance **ret_instance)
{
    struct instance *i = find_instance(call, name);

    if (call->problem.code != P_OK) return call->problem.code;
    if (!i)
        return api_fail(&call->problem, P_NO_POLICY, "path",
                        "supernet '%s' has no policy '%.64s'; PUT {\"policy\": \"gumbel\"} there "
                        "creates one",
                        call->model->name, name);
    *ret_instance = i;
    return P_OK;
}

enum problem_code api_instance_teach(struct call *call, struct instance *i, api_teacher *teach,
                                     const char *text)
{
    const struct budget budget = api_call_budget(call);
    struct policy_turn  turn;
    sn_error            err = {0};

    /* The lock may have been waited for. From here on the library looks at the deadline, and
     * leaves the policy as it was if it is over. */
    if (!api_body_is_whole(call)) return call->problem.code;
    turn = api_policy_begin(&budget, i->policy, &i->charged, POLICY_LEARNS);
    if (teach(i->policy, text, &err) != SN_OK) {
        if (err.code == SN_E_STOPPED)
            api_fail(&call->problem, P_STOPPED, "",
                     "stopped while the policy learnt; it is as it was");
        else
            api_fail_policy(&call->problem, &turn, &err, NULL);
    }
    api_policy_end(&turn);
    return call->problem.code;
}
