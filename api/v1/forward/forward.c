/* forward: one input through one subnet or several.
 */
#include "v1/forward/forward.h"

#include <stdlib.h>

#include "http/route.h"
#include "resident/visit.h"

static void fini(struct forward *f)
{
    for (size_t i = 0; i < f->n_subnets; i++) {
        if (f->run) sn_plan_unref(f->run[i].plan);
        sn_subnet_unref(f->subnet[i]);
    }
    for (size_t i = 0; i < SN_MAX_PORTS; i++)
        api_buf_fini(&f->owned[i]);
    sn_state_free(f->state);
    free(f->probs);
    free(f->weights_of_probs);
    free(f->subnet);
    sn_weights_unref(f->weights);
}

enum problem_code api_forward(struct call *call)
{
    struct forward f = {.call = call};
    const bool     binary = api_media_of(call->req) == MEDIA_SAFETENSORS;

    if ((binary ? api_forward_read_binary(&f) : api_forward_read_json(&f)) == P_OK &&
        api_forward_say_query(&f) == P_OK && api_forward_decide(&f) == P_OK &&
        api_forward_check_soft(&f) == P_OK && api_forward_bind(&f) == P_OK) {
        api_note(call, f.subnet[0]);
        api_let_go(call); /* the policy has spoken, if one was asked; running may take long */
        if (api_forward_compile(&f) == P_OK && api_forward_check_outputs(&f) == P_OK)
            call->answer == MEDIA_SAFETENSORS ? api_forward_write_binary(&f)
                                              : api_forward_write_json(&f);
    }
    fini(&f);
    return call->problem.code;
}
