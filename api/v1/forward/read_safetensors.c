/* forward/read_safetensors: the form for programs.
 *
 *     body:    tensors by input name; __metadata__ may hold what a JSON body has beside its inputs,
 *              as texts (see said.c)
 *
 * Inputs are views into the body. */
#include <string.h>

#include "v1/forward/forward.h"

static enum problem_code read_inputs(struct forward *f)
{
    const sn_supernet *net = f->call->model->net;

    for (size_t i = 0; i < sn_weights_count(f->weights); i++) {
        sn_tensor   t;
        const char *name = sn_weights_at(f->weights, i, &t);
        size_t      k = 0;

        while (k < sn_supernet_n_inputs(net) && strcmp(sn_supernet_input(net, k)->name, name) != 0)
            k++;
        if (k == sn_supernet_n_inputs(net))
            return api_fail(&f->call->problem, P_UNKNOWN_NAME, "inputs",
                            "the supernet has no input '%s'", name);
        f->in[k] = t;
    }
    return P_OK;
}

enum problem_code api_forward_read_binary(struct forward *f)
{
    const struct api_request *req = f->call->req;
    sn_error                  err = {0};

    if (sn_weights_borrow(req->body, req->n_body, "body", &f->weights, &err) != SN_OK)
        return api_fail_library(&f->call->problem, &err, NULL);
    return read_inputs(f) == P_OK ? api_forward_say_metadata(f) : f->call->problem.code;
}
