/* forward: the handler. It computes a result; the form of the answer is written of that. */
#include "v1/forward/forward.h"

#include <stdlib.h>

#include "http/route.h"
#include "resident/visit.h"

static void fini(struct forward *f)
{
    if (f->plan)
        for (size_t i = 0; i < f->result->n_items; i++)
            sn_plan_unref(f->plan[i]);
    for (size_t i = 0; i < f->n_subnets; i++)
        sn_subnet_unref(f->subnet[i]);
    for (size_t i = 0; i < SN_MAX_PORTS; i++)
        api_buf_fini(&f->request.owned[i]);
    free(f->probs);
    free(f->weights_of_probs);
    free(f->subnet);
    sn_weights_unref(f->request.weights);
}

static enum problem_code read(struct forward_request *r)
{
    if ((api_media_of(r->call->req) == MEDIA_SAFETENSORS ? api_forward_read_safetensors(r)
                                                         : api_forward_read_json(r)) != P_OK)
        return r->call->problem.code;
    return api_forward_say_query(r);
}

/* Where the outputs lie is for the form to say that will be written of them. */
static enum problem_code begin(struct call *call, struct forward_result *r)
{
    if (call->answer == MEDIA_SAFETENSORS) return api_forward_begin_safetensors(call, r);
    api_forward_begin_json(r);
    return P_OK;
}

enum problem_code api_forward(struct call *call)
{
    struct forward f = {.call = call, .request.call = call};

    if (read(&f.request) == P_OK && api_forward_decide(&f) == P_OK &&
        api_forward_bind(&f) == P_OK) {
        api_note(call, f.subnet[0]);
        api_let_go(call); /* the policy has spoken, if one was asked; running may take long */
        if (api_forward_describe(&f) == P_OK && begin(call, f.result) == P_OK)
            api_forward_compute(&f);
    }
    fini(&f);
    return call->problem.code;
}
