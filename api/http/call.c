/* call: memory of a call, its limits, its end. */
#include "http/call.h"

#include <stdarg.h>
#include <stdio.h>

#include "http/json_cursor.h"

void api_limit_answer(struct call *call)
{
    const size_t most = account_limit(call->account, ACCOUNT_REQUESTS) / 2;

    call->body.most = call->config->max_body_bytes;
    if (most > 0 && most < call->body.most) call->body.most = most;
}

enum problem_code api_check_answer(struct call *call, const char *what)
{
    const size_t n = call->body.n, max = call->config->max_body_bytes;
    const size_t most = account_limit(call->account, ACCOUNT_REQUESTS);
    size_t       need;

    if (n > max)
        return api_fail(&call->problem, P_LIMIT, what,
                        "%zu bytes are above the limit of %zu, which --max-body sets: PUT would "
                        "not take them back",
                        n, max);
    /* PUT has the body, a copy that the library reads, and what it makes of that. */
    need = 2 * n + api_json_tree_bytes((struct json_text){call->body.at, call->body.at + n});
    if (most == 0 || call->body.failed || need <= most) return P_OK;
    return api_fail(&call->problem, P_LIMIT, what,
                    "%zu bytes take %zu to read, above the limit of %zu, which --buffer-memory "
                    "sets: PUT would not take them back",
                    n, need, most);
}

void api_created(struct call *call, const char *rest, const char *id)
{
    call->ret->status = 201; /* none of the three has a character to escape */
    snprintf(call->ret->location, sizeof call->ret->location, "/v1/supernets/%s%s%s", call->name,
             rest, id);
}

enum problem_code api_call_charge(struct call *call, size_t n, const char *what)
{
    struct account *a = call->account;

    if (!account_charge(a, ACCOUNT_REQUESTS, n))
        return api_fail_room(&call->problem, a, ACCOUNT_REQUESTS, n, what);
    call->n_charged += n;
    return P_OK;
}

void api_call_drop_result(struct call *call)
{
    if (call->result.cls) call->result.cls->fini(call->result.at);
    call->result = (struct api_result){0};
}

struct budget api_call_budget(struct call *call)
{
    return (struct budget){call->account, call->req->stop};
}

void *api_call_alloc(struct call *call, size_t n)
{
    void *at;

    if (api_call_charge(call, n, "the request") != P_OK) return NULL;
    if (!call->mem) call->mem = sn_arena_create();
    at = call->mem ? sn_arena_alloc(call->mem, n) : NULL;
    if (!at) api_fail_memory(&call->problem);
    return at;
}

enum problem_code api_call_stopped(struct call *call, const char *fmt, ...)
{
    char    text[128];
    va_list ap;

    if (!call->req->stop || !atomic_load_explicit(call->req->stop, memory_order_relaxed))
        return P_OK;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return api_fail(&call->problem, P_STOPPED, "", "stopped %s", text);
}

bool api_body_is_whole(struct call *call)
{
    if (call->body.failed)
        api_fail_buf(&call->problem, &call->body, NULL);
    else
        api_call_stopped(call, "before anything was changed");
    return call->problem.code == P_OK;
}
