/* visit: see visit.h. Nobody replaces a model that somebody holds. */
#include "resident/visit.h"

#include <stdio.h>

enum problem_code api_find_model(struct call *call)
{
    call->model = api_store_take(&call->api->store, call->name);
    if (!call->model)
        return api_fail(&call->problem, P_NO_SUPERNET, "path", "no supernet is called '%s'",
                        call->name);
    api_note(call, NULL);
    return P_OK;
}

enum problem_code api_hold(struct call *call)
{
    if (call->holds) return P_OK;
    pthread_rwlock_rdlock(&call->model->handover);
    if (!atomic_load(&call->model->retired)) {
        call->holds = true;
        return P_OK;
    }
    pthread_rwlock_unlock(&call->model->handover);
    call->moved = true;
    return api_fail(&call->problem, P_BUSY, "path",
                    "supernet '%s' is replaced again and again; try again", call->name);
}

void api_let_go(struct call *call)
{
    if (call->holds) pthread_rwlock_unlock(&call->model->handover);
    call->holds = false;
}

void api_note(struct call *call, const sn_subnet *subnet)
{
    if (subnet)
        snprintf(call->ret->note, sizeof call->ret->note, "model=%s subnet=%s", call->model->name,
                 sn_subnet_id(subnet));
    else
        snprintf(call->ret->note, sizeof call->ret->note, "model=%s", call->model->name);
}
