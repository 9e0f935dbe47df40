/* forward/write_json:
 *
 *     {"results": [{"subnet": id, "version": 1, "outputs": {"logits": [[...]]}}]}
 *
 * and, of a run in training mode, "state": the running statistics. */
#include <stdio.h>

#include "http/tensor_json.h"
#include "supernet/train.h"
#include "v1/forward/result.h"

/* The running statistics as the run has left them; the counts of batches are no F32. */
static enum problem_code write_state(struct call *call, const sn_state *state)
{
    struct api_buf *b = &call->body;
    bool            first = true;

    api_buf_text(b, ", \"state\": {");
    for (size_t i = 0; i < sn_state_count(state); i++) {
        sn_tensor   t;
        const char *name = sn_state_at(state, i, &t);

        if (t.dtype != SN_F32) continue;
        if (!first) api_buf_text(b, ", ");
        first = false;
        api_buf_string(b, name);
        api_buf_text(b, ": ");
        if (api_tensor_json_write(b, &t, name, &call->problem) != P_OK) return call->problem.code;
    }
    api_buf_text(b, "}");
    return P_OK;
}

static enum problem_code write_item(struct call *call, const struct forward_result *r,
                                    const struct forward_item *item)
{
    struct api_buf *b = &call->body;

    api_buf_printf(b, "{\"subnet\": \"%s\", \"version\": %llu, \"outputs\": {",
                   sn_subnet_id(item->subnet), (unsigned long long)r->version);
    for (size_t o = 0; o < item->n_out; o++) {
        const char *name = sn_supernet_output(r->net, o)->name;
        char        place[160];

        snprintf(place, sizeof place, "outputs.%.128s", name);
        if (o) api_buf_text(b, ", ");
        api_buf_string(b, name);
        api_buf_text(b, ": ");
        if (api_tensor_json_write(b, &item->out[o], place, &call->problem) != P_OK)
            return call->problem.code;
    }
    api_buf_text(b, "}");
    if (item->state && write_state(call, item->state) != P_OK) return call->problem.code;
    api_buf_text(b, "}");
    return P_OK;
}

void api_forward_begin_json(struct forward_result *r)
{
    r->with_state = true;
}

enum problem_code api_forward_write_json(struct call *call, void *result)
{
    struct forward_result *r = result;

    api_buf_text(&call->body, "{\"results\": [");
    for (size_t i = 0; i < r->n_answers; i++) {
        struct forward_item *item = &r->item[r->answer[i]];

        if (i) api_buf_text(&call->body, ",\n  ");
        if (write_item(call, r, item) != P_OK) return call->problem.code;
        api_forward_item_written(r, item);
    }
    api_buf_text(&call->body, "]}\n");
    return P_OK;
}
