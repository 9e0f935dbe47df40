/* forward/write_json:
 *
 *     {"results": [{"subnet": id, "version": 1, "outputs": {"logits": [[...]]}}]} */
#include <stdio.h>
#include <stdlib.h>

#include "http/tensor_json.h"
#include "v1/forward/forward.h"

/* The running statistics as this run has left them; the counts of batches are no F32. */
static enum problem_code write_state(struct forward *f)
{
    struct api_buf *b = &f->call->body;
    bool            first = true;

    api_buf_text(b, ", \"state\": {");
    for (size_t i = 0; i < sn_state_count(f->state); i++) {
        sn_tensor   t;
        const char *name = sn_state_at(f->state, i, &t);

        if (t.dtype != SN_F32) continue;
        if (!first) api_buf_text(b, ", ");
        first = false;
        api_buf_string(b, name);
        api_buf_text(b, ": ");
        if (api_tensor_json_write(b, &t, name, &f->call->problem) != P_OK)
            return f->call->problem.code;
    }
    api_buf_text(b, "}");
    return P_OK;
}

/* The outputs of one subnet, one after the other in one block of memory. */
static enum problem_code write_result(struct forward *f, size_t i)
{
    const sn_supernet *net = f->call->model->net;
    struct problem    *p = &f->call->problem;
    struct api_buf    *b = &f->call->body;
    sn_desc            desc[SN_MAX_PORTS];
    sn_tensor          out[SN_MAX_PORTS];
    size_t             n, n_bytes, at = 0;
    char              *data;

    if (api_forward_outputs(f, i, desc, &n, &n_bytes) != P_OK) return p->code;
    n_bytes += n * SN_ALIGN_BYTES;
    if (!account_charge(b->account, b->purpose, n_bytes))
        return api_fail_room(p, b->account, b->purpose, n_bytes, "the outputs of a subnet");
    data = malloc(n_bytes);
    if (!data) {
        account_discharge(b->account, b->purpose, n_bytes);
        return api_fail_memory(p);
    }
    for (size_t o = 0; o < n; o++) {
        out[o] = sn_tensor_dense(desc[o].dtype, &desc[o].shape, data + at);
        at += (size_t)sn_shape_count(&desc[o].shape) * sn_dtype_bytes(desc[o].dtype);
        at = (at + 15) & ~(size_t)15;
    }
    if (api_forward_run(f, i, out) != P_OK) goto out;
    api_buf_printf(b, "{\"subnet\": \"%s\", \"version\": %llu, \"outputs\": {",
                   sn_subnet_id(f->subnet[i]), (unsigned long long)f->call->model->version);
    for (size_t o = 0; o < n; o++) {
        char place[160];

        snprintf(place, sizeof place, "outputs.%.128s", sn_supernet_output(net, o)->name);
        if (o) api_buf_text(b, ", ");
        api_buf_string(b, sn_supernet_output(net, o)->name);
        api_buf_text(b, ": ");
        if (api_tensor_json_write(b, &out[o], place, p) != P_OK) goto out;
    }
    api_buf_text(b, "}");
    if (f->train && write_state(f) != P_OK) goto out;
    api_buf_text(b, "}");
out:
    free(data);
    account_discharge(b->account, b->purpose, n_bytes);
    return p->code;
}

enum problem_code api_forward_write_json(struct forward *f)
{
    api_buf_text(&f->call->body, "{\"results\": [");
    for (size_t i = 0; i < f->n_subnets; i++) {
        if (i) api_buf_text(&f->call->body, ",\n  ");
        if (write_result(f, i) != P_OK) return f->call->problem.code;
    }
    api_buf_text(&f->call->body, "]}\n");
    return P_OK;
}
