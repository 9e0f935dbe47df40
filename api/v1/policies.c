/* policies: named instances, created, listed, taught, saved.
 *
 *     PUT  .../policies/{p}          {"policy": "gumbel", "temperature": 0.5}   -> 201, 200
 *     GET  .../policies              and the classes that there are
 *     POST .../policies/{p}/reward   {"reward": 0.93}
 *     GET  .../policies/{p}/state    and PUT the same document
 *
 * A reload of the same specification (new weights) keeps the instances and their states; a
 * reload of another one drops them, as their labels may be gone. */
#include <stdio.h>
#include <string.h>

#include "http/body.h"
#include "http/route.h"
#include "http/words.h"
#include "resident/policies.h"
#include "resident/visit.h"
#include "supernet/host.h"
#include "supernet/op.h"
#include "supernet/train.h"

/* ---- one instance ---- */

static void put_instance(struct api_buf *b, const struct instance *i)
{
    api_buf_text(b, "{\"name\": ");
    api_buf_string(b, i->name);
    api_buf_text(b, ", \"policy\": ");
    api_buf_string(b, sn_policy_name(i->policy));
    api_buf_printf(b, ", \"options\": %s}", i->options ? i->options : "{}");
}

/* What of the body goes to the policy, as it was written; NULL for nothing. */
static enum problem_code options_of(struct call *call, struct json_text body,
                                    const char **ret_options)
{
    struct json_walk w = api_json_walk(body);
    struct json_text name, value;
    char            *at;
    size_t           n = 0;

    if (api_call_charge(call, api_json_tree_bytes(body), "the options of a policy") != P_OK)
        return call->problem.code;
    at = api_call_alloc(call, (size_t)(body.end - body.at) + 3 * api_json_count(body) + 1);
    if (!at) return call->problem.code;
    while (api_json_member(&w, &name, &value)) {
        if (api_json_equals(name, "policy")) continue;
        n += (size_t)sprintf(at + n, "%s%.*s: %.*s", n ? ", " : "{", (int)(name.end - name.at),
                             name.at, (int)(value.end - value.at), value.at);
    }
    if (n) at[n] = '}'; /* what was allocated is zeros */
    *ret_options = n ? at : NULL;
    return P_OK;
}

/* The kind of policy that the body names. */
static enum problem_code class_of(struct call *call, struct json_text body, const char **ret_class)
{
    struct json_walk w = api_json_walk(body);
    struct json_text name, value, found = {0};
    struct problem  *p = &call->problem;

    while (api_json_member(&w, &name, &value)) {
        if (!api_json_equals(name, "policy")) continue;
        if (found.at) return api_fail(p, P_SYNTAX, "body", "'policy' is given twice: a duplicate");
        found = value;
    }
    if (!found.at)
        return api_fail(p, P_INVALID, "policy",
                        "is missing: the kind of policy, such as {\"policy\": \"gumbel\"}");
    if (api_body_text(call, found, "", "policy", ret_class) != P_OK) return p->code;
    return api_policy_class(call->api, *ret_class)
               ? P_OK
               : api_fail_policy_class(call, *ret_class, "policy");
}

static enum problem_code check_name(struct call *call)
{
    if (api_check_name(call->id, &call->problem) != P_OK) return call->problem.code;
    if (api_policy_class(call->api, call->id))
        return api_fail(&call->problem, P_INVALID, "name",
                        "'%s' names a kind of policy; call the instance something else", call->id);
    return P_OK;
}

enum problem_code api_put_policy(struct call *call)
{
    struct problem     *p = &call->problem;
    struct instance    *i = NULL;
    const char         *cls = NULL, *options = NULL;
    struct json_text    body;
    bool                there;
    const struct budget budget = api_call_budget(call);

    if (check_name(call) != P_OK || api_body_object(call, &body) != P_OK ||
        api_hold(call) != P_OK || class_of(call, body, &cls) != P_OK ||
        options_of(call, body, &options) != P_OK ||
        api_instance_create(&budget, call->model->net, call->id, cls, options, &i, p) != P_OK)
        return p->code;
    put_instance(&call->body, i);
    api_buf_byte(&call->body, '\n');
    if (!api_body_is_whole(call)) {
        api_instance_unref(i);
        return p->code;
    }
    if (api_instances_put(&call->model->instances, i, false, &there, p) == P_OK && !there)
        api_created(call, "/policies/", call->id);
    return p->code;
}

enum problem_code api_get_policy(struct call *call)
{
    struct instance *i = NULL;

    if (api_policy_instance(call, call->id, &i) != P_OK) return call->problem.code;
    put_instance(&call->body, i);
    api_buf_byte(&call->body, '\n');
    api_instance_unref(i);
    return P_OK;
}

enum problem_code api_delete_policy(struct call *call)
{
    struct instance *i;

    if (api_hold(call) != P_OK) return call->problem.code;
    i = api_instances_take_out(&call->model->instances, call->id);
    if (!i)
        return api_fail(&call->problem, P_NO_POLICY, "path", "supernet '%s' has no policy '%.64s'",
                        call->model->name, call->id);
    api_instance_unref(i);
    call->ret->status = 204;
    return P_OK;
}

enum problem_code api_list_policies(struct call *call)
{
    const struct sn_policy_class *cls;
    struct instance              *at[API_MAX_INSTANCES];
    const size_t                  n = api_instances_list(&call->model->instances, at);
    struct api_buf               *b = &call->body;

    api_buf_text(b, "{\"policies\": [");
    for (size_t i = 0; i < n; i++) {
        api_buf_text(b, i ? ",\n  " : "\n  ");
        put_instance(b, at[i]);
        api_instance_unref(at[i]);
    }
    api_buf_text(b, "],\n \"classes\": [");
    for (size_t i = 0; (cls = sn_registry_policy_at(call->api->registry, i)); i++) {
        api_buf_text(b, i ? ",\n  {\"name\": " : "\n  {\"name\": ");
        api_buf_string(b, cls->name);
        api_buf_text(b, ", \"about\": ");
        api_buf_string(b, cls->about);
        api_buf_byte(b, '}');
    }
    api_buf_text(b, "]}\n");
    return P_OK;
}

/* ---- learning, and states ---- */

/* Hand the body to the instance of the path. */
static enum problem_code teach(struct call *call, api_teacher *teach_it)
{
    struct problem  *p = &call->problem;
    struct instance *i = NULL;
    struct json_text body;
    const char      *text;

    if (api_body_object(call, &body) != P_OK) return p->code;
    text = api_body_document(call, "", body, "");
    if (!text) return p->code;
    if (api_policy_instance(call, call->id, &i) == P_OK &&
        api_body_is_said(body, "a reward, a state or an option to change", p) == P_OK) {
        put_instance(&call->body, i);
        api_buf_byte(&call->body, '\n');
        pthread_mutex_lock(&i->lock);
        api_instance_teach(call, i, teach_it, text);
        pthread_mutex_unlock(&i->lock);
    }
    api_instance_unref(i);
    return p->code;
}

enum problem_code api_post_reward(struct call *call)
{
    return teach(call, sn_policy_update);
}

enum problem_code api_put_policy_state(struct call *call)
{
    return teach(call, sn_policy_load);
}

enum problem_code api_get_policy_state(struct call *call)
{
    struct instance *i = NULL;

    if (api_policy_instance(call, call->id, &i) != P_OK) return call->problem.code;
    api_limit_answer(call);
    pthread_mutex_lock(&i->lock);
    if (api_policy_save(i->policy, &call->body, &call->problem) == P_OK)
        call->body.at[call->body.n - 1] = '\n'; /* instead of the terminator */
    api_check_answer(call, "state");
    pthread_mutex_unlock(&i->lock);
    api_instance_unref(i);
    return call->problem.code;
}
