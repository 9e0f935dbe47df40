/* forward/write_safetensors:
 *
 *     tensors by output name, <id>/<name> for several subnets; __metadata__ holds "subnet" (or
 *     "subnets" as JSON) and "version"
 *
 * The header says nothing of what is computed, so it is written before: outputs are computed where
 * they are sent from, in one block with room for the header in front. */
#define _GNU_SOURCE /* qsort_r */
#include <stdlib.h>
#include <string.h>

#include "supernet/weights.h"
#include "v1/forward/result.h"

/* Larger elements first: without gaps (the format has none) all stay aligned. */
static int by_element(const void *va, const void *vb, void *cls)
{
    const struct forward_result *r = cls;
    const struct forward_place  *a = va, *b = vb;
    const size_t                 sa = sn_dtype_bytes(r->item[a->item].out[a->output].dtype);
    const size_t                 sb = sn_dtype_bytes(r->item[b->item].out[b->output].dtype);

    if (sa != sb) return sa < sb ? 1 : -1;
    if (a->item != b->item) return a->item < b->item ? -1 : 1;
    return a->output < b->output ? -1 : 1;
}

static enum problem_code lay_out(struct call *call, struct forward_result *r)
{
    r->place =
        api_call_alloc(call, (r->n_items * sn_supernet_n_outputs(r->net) + 1) * sizeof *r->place);
    if (!r->place) return call->problem.code;
    for (size_t i = 0; i < r->n_items; i++)
        for (size_t o = 0; o < r->item[i].n_out; o++)
            r->place[r->n_places++] = (struct forward_place){.item = i, .output = o};
    qsort_r(r->place, r->n_places, sizeof *r->place, by_element, r);
    for (size_t i = 0; i < r->n_places; i++) {
        struct forward_place *at = &r->place[i];
        const sn_tensor      *t = &r->item[at->item].out[at->output];

        at->at = r->n_data;
        at->n_bytes = (size_t)sn_shape_count(&t->shape) * sn_dtype_bytes(t->dtype);
        r->n_data += at->n_bytes;
    }
    return P_OK;
}

static void put_metadata(const struct forward_result *r, struct api_buf *b)
{
    api_buf_text(b, "{\"__metadata__\": {");
    if (r->several) {
        api_buf_text(b, "\"subnets\": \"[");
        for (size_t i = 0; i < r->n_answers; i++)
            api_buf_printf(b, "%s\\\"%s\\\"", i ? ", " : "",
                           sn_subnet_id(r->item[r->answer[i]].subnet));
        api_buf_text(b, "]\"");
    } else {
        api_buf_printf(b, "\"subnet\": \"%s\"", sn_subnet_id(r->item[0].subnet));
    }
    api_buf_printf(b, ", \"version\": \"%llu\"}", (unsigned long long)r->version);
}

/* "name" or "id/name", quoted. */
static void put_name(const struct forward_result *r, struct api_buf *b,
                     const struct forward_place *at)
{
    struct api_buf name = {0};

    if (r->several) api_buf_printf(&name, "%s/", sn_subnet_id(r->item[at->item].subnet));
    api_buf_text(&name, sn_supernet_output(r->net, at->output)->name);
    api_buf_byte(&name, '\0');
    b->failed |= name.failed;
    if (!name.failed) api_buf_string(b, name.at);
    api_buf_fini(&name);
}

/* Length, header, padding: the data begins at a multiple of SN_ALIGN_BYTES. */
static void put_header(const struct forward_result *r, struct api_buf *b)
{
    uint64_t length = 0;

    api_buf_add(b, (const char *)&length, sizeof length);
    put_metadata(r, b);
    for (size_t i = 0; i < r->n_places; i++) {
        const struct forward_place *at = &r->place[i];
        const sn_tensor            *t = &r->item[at->item].out[at->output];
        char                        shape[256];

        api_buf_text(b, ", ");
        put_name(r, b, at);
        api_buf_printf(b, ": {\"dtype\": \"%s\", \"shape\": %s, \"data_offsets\": [%zu, %zu]}",
                       sn_dtype_name(t->dtype), sn_shape_text(&t->shape, shape, sizeof shape),
                       at->at, at->at + at->n_bytes);
    }
    api_buf_byte(b, '}');
    while (b->n % SN_ALIGN_BYTES && !b->failed)
        api_buf_byte(b, ' ');
    length = b->n - sizeof length;
    if (!b->failed) memcpy(b->at, &length, sizeof length);
}

enum problem_code api_forward_begin_safetensors(struct call *call, struct forward_result *r)
{
    struct api_buf *b = &call->body;

    if (lay_out(call, r) != P_OK) return call->problem.code;
    put_header(r, b);
    r->n_front = b->n;
    return b->failed ? api_fail_buf(&call->problem, b, NULL) : P_OK;
}

/* The block becomes the answer. */
enum problem_code api_forward_write_safetensors(struct call *call, void *result)
{
    struct forward_result *r = result;
    struct api_buf        *b = &call->body;

    memcpy(r->block, b->at, r->n_front);
    account_discharge(b->account, b->purpose, b->charged);
    free(b->at);
    b->at = r->block;
    b->n = r->n_front + r->n_data;
    b->cap = b->charged = r->n_block;
    r->block = NULL;
    r->n_block = 0;
    return P_OK;
}
