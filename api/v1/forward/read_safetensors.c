/* forward/read_safetensors: the form for programs.
 *
 *     body:    tensors by input name; __metadata__ may hold what a JSON body has beside its inputs,
 *              as texts (see said.c)
 *
 * Inputs are views into the body. */
#include <string.h>

#include "resident/model.h"
#include "supernet/weights.h"
#include "v1/forward/request.h"

static enum problem_code read_inputs(struct forward_request *r)
{
    const sn_supernet *net = r->call->model->net;

    for (size_t i = 0; i < sn_weights_count(r->weights); i++) {
        sn_tensor   t;
        const char *name = sn_weights_at(r->weights, i, &t);
        size_t      k = 0;

        while (k < sn_supernet_n_inputs(net) && strcmp(sn_supernet_input(net, k)->name, name) != 0)
            k++;
        if (k == sn_supernet_n_inputs(net))
            return api_fail(&r->call->problem, P_UNKNOWN_NAME, "inputs",
                            "the supernet has no input '%s'", name);
        r->in[k] = t;
    }
    return P_OK;
}

enum problem_code api_forward_read_safetensors(struct forward_request *r)
{
    const struct api_request *req = r->call->req;
    sn_error                  err = {0};

    if (sn_weights_borrow(req->body, req->n_body, "body", &r->weights, &err) != SN_OK)
        return api_fail_library(&r->call->problem, &err, NULL);
    return read_inputs(r) == P_OK ? api_forward_say_metadata(r) : r->call->problem.code;
}
