/* supernets: what is loaded; load, replace, unload.
 *
 *     PUT /v1/supernets/{m}   {"path": "digits"}   a folder below the model directory
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/body.h"
#include "http/route.h"
#include "http/words.h"
#include "resident/load.h"
#include "resident/visit.h"
#include "supernet/host.h"
#include "supernet/weights.h"

static void put_shape(struct api_buf *b, const sn_port *port)
{
    api_buf_byte(b, '[');
    for (int d = 0; d < port->desc.shape.rank; d++) {
        if (d) api_buf_text(b, ", ");
        if (port->desc.shape.dim[d] < 0)
            api_buf_string(b, port->symbol[d] ? port->symbol[d] : "?");
        else
            api_buf_printf(b, "%lld", (long long)port->desc.shape.dim[d]);
    }
    api_buf_byte(b, ']');
}

/* What is not known before a plan is made (shapes of outputs) is left out. */
static void put_port(struct api_buf *b, const sn_port *port)
{
    api_buf_text(b, "{\"name\": ");
    api_buf_string(b, port->name);
    if (port->desc.dtype != SN_NONE) {
        api_buf_printf(b, ", \"dtype\": \"%s\", \"shape\": ", sn_dtype_name(port->desc.dtype));
        put_shape(b, port);
        if (port->optional) api_buf_text(b, ", \"optional\": true");
    }
    api_buf_byte(b, '}');
}

static void put_modules(struct api_buf *b, const sn_supernet *net)
{
    api_buf_text(b, ", \"modules\": [");
    for (size_t i = 0; i < sn_supernet_n_modules(net); i++) {
        const sn_module *m = sn_supernet_module(net, i);

        api_buf_text(b, i ? ",\n  {\"path\": " : "\n  {\"path\": ");
        api_buf_string(b, m->path);
        api_buf_text(b, ", \"where\": ");
        api_buf_string(b, m->where);
        api_buf_text(b, ", \"type\": ");
        api_buf_string(b, m->type);
        if (m->parent < 0)
            api_buf_text(b, ", \"parent\": null");
        else
            api_buf_printf(b, ", \"parent\": %d", m->parent);
        api_buf_printf(b, ", \"parameters\": %llu}", (unsigned long long)m->n_params);
    }
    api_buf_byte(b, ']');
}

static void put_model(struct api_buf *b, struct model *m, bool with_modules)
{
    const uint8_t *digest = sn_supernet_digest(m->net);
    sn_subnet     *current = api_model_current(m);

    api_buf_text(b, "{\"name\": ");
    api_buf_string(b, m->name);
    api_buf_printf(b, ", \"version\": %llu, \"title\": ", (unsigned long long)m->version);
    api_buf_string(b, sn_supernet_name(m->net));
    api_buf_printf(b, ", \"state\": \"%s\"",
                   api_model_is_changed(m) ? api_problem_word(P_CHANGED) : "ready");
    api_buf_text(b, ", \"source\": ");
    api_buf_string(b, m->source);
    api_buf_text(b, ", \"digest\": \"");
    for (int i = 0; i < 32; i++)
        api_buf_printf(b, "%02x", digest[i]);
    api_buf_text(b, "\", \"inputs\": [");
    for (size_t i = 0; i < sn_supernet_n_inputs(m->net); i++) {
        if (i) api_buf_text(b, ", ");
        put_port(b, sn_supernet_input(m->net, i));
    }
    api_buf_text(b, "], \"outputs\": [");
    for (size_t i = 0; i < sn_supernet_n_outputs(m->net); i++) {
        if (i) api_buf_text(b, ", ");
        put_port(b, sn_supernet_output(m->net, i));
    }
    api_buf_printf(b, "], \"parameters\": %llu, \"weight_bytes\": %zu, \"packed_bytes\": %zu",
                   (unsigned long long)m->n_params, m->weight_bytes,
                   sn_supernet_packed_bytes(m->net));
    api_buf_printf(b, ", \"choices\": %zu, \"space_size\": \"%s\", \"subnets\": %zu, \"current\": ",
                   sn_supernet_n_choices(m->net), sn_supernet_space_size(m->net),
                   api_model_n_subnets(m));
    if (current)
        api_buf_string(b, sn_subnet_id(current));
    else
        api_buf_text(b, "null");
    sn_subnet_unref(current);
    if (with_modules) put_modules(b, m->net);
    api_buf_byte(b, '}');
}

enum problem_code api_list_supernets(struct call *call)
{
    size_t         n;
    struct model **all = api_store_list(&call->api->store, &n);

    if (!all) return api_fail_memory(&call->problem);
    api_buf_text(&call->body, "{\"supernets\": [");
    for (size_t i = 0; i < n; i++) {
        if (i) api_buf_text(&call->body, ",\n  ");
        put_model(&call->body, all[i], false);
        api_model_unref(all[i]);
    }
    api_buf_text(&call->body, "]}\n");
    free(all);
    return P_OK;
}

enum problem_code api_get_supernet(struct call *call)
{
    struct problem changed = {0};

    api_model_check(call->model, &changed); /* its state is part of the answer */
    put_model(&call->body, call->model, true);
    api_buf_byte(&call->body, '\n');
    return P_OK;
}

/* Refused by its text already: absolute, or with a ".." that a link could bend. */
static bool climbs(const char *path)
{
    if (path[0] == '/') return true;
    while (*path) {
        const size_t n = strcspn(path, "/");

        if (n == 2 && memcmp(path, "..", 2) == 0) return true;
        path += n + (path[n] == '/');
    }
    return false;
}

/* For the answer, before anything is changed: as long as it is now, and what a reload adds. */
static bool has_room(struct call *call, struct model *m)
{
    put_model(&call->body, m, false);
    api_buf_reserve(&call->body, 256);
    if (!api_body_is_whole(call)) return false;
    call->body.n = 0;
    return true;
}

static enum problem_code load_below(struct call *call, const char *path)
{
    struct api         *api = call->api;
    struct problem     *p = &call->problem;
    struct model       *m = NULL;
    struct kept         kept;
    char                dir[4096];
    bool                replaced;
    const struct budget budget = api_call_budget(call);

    if (climbs(path) || path[0] == '\0')
        return api_fail(p, P_INVALID, "path",
                        "'%s' must name a folder below the model directory, without '..'", path);
    if ((size_t)snprintf(dir, sizeof dir, "%s/%s", api->model_dir, path) >= sizeof dir)
        return api_fail(p, P_INVALID, "path", "the path is too long");
    if (api_load_model(api, &budget, call->name, path, dir, api->model_dir, &m, p) != P_OK)
        return p->code;
    if (!has_room(call, m)) {
        api_model_unref(m);
        return p->code;
    }
    api_model_ref(m);
    if (api_install_model(api, &budget, m, &replaced, &kept, p) == P_OK) {
        if (!replaced) api_created(call, "", "");
        put_model(&call->body, m, false);
        if (replaced) { /* instead of the brace */
            call->body.n -= call->body.n > 0;
            api_buf_printf(&call->body, ", \"kept\": {\"subnets\": %zu, \"policies\": %zu}}",
                           kept.n_subnets, kept.n_policies);
        }
        api_buf_byte(&call->body, '\n');
    }
    api_model_unref(m);
    return p->code;
}

/* What is loaded changes only where a model directory was given: one rule for loading and
 * unloading, since what cannot be loaded again must not be taken away. */
static enum problem_code may_change(struct call *call)
{
    if (call->api->model_dir) return P_OK;
    return api_fail(&call->problem, P_FORBIDDEN, "path",
                    "the daemon was started without --model-dir, so that nothing is loaded or "
                    "unloaded over HTTP");
}

enum problem_code api_put_supernet(struct call *call)
{
    struct problem  *p = &call->problem;
    const char      *path = NULL;
    struct json_text body, member;

    snprintf(call->ret->note, sizeof call->ret->note, "model=%.128s",
             api_name_is_valid(call->name, strlen(call->name)) ? call->name : "?");
    if (api_check_name(call->name, p) != P_OK) return p->code;
    if (may_change(call) != P_OK) return p->code;
    if (api_body_object(call, &body) != P_OK) return p->code;
    if (api_body_members(body, "body", "path", &member, p) != P_OK ||
        api_body_text(call, member, "", "path", &path) != P_OK)
        return p->code;
    if (path) return load_below(call, path);
    return api_fail(p, P_INVALID, "path",
                    "is missing: the folder to load, such as "
                    "{\"path\": \"digits\"}");
}

enum problem_code api_delete_supernet(struct call *call)
{
    struct model *m = call->model, *gone = NULL;

    if (may_change(call) != P_OK) return call->problem.code;
    pthread_rwlock_wrlock(&m->handover);
    if (!atomic_load(&m->retired)) gone = api_store_remove(&call->api->store, call->name);
    pthread_rwlock_unlock(&m->handover);
    if (!gone) { /* somebody has replaced or unloaded it in between */
        call->moved = true;
        return api_fail(&call->problem, P_BUSY, "path", "supernet '%s' is just being replaced",
                        call->name);
    }
    api_plan_cache_purge(&call->api->plans, gone);
    api_model_unref(gone);
    call->ret->status = 204;
    return P_OK;
}
