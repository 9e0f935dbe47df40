/* forward/result: memory of what was computed. */
#include "v1/forward/result.h"

#include <stdlib.h>
#include <string.h>

#include "supernet/host.h"
#include "supernet/train.h"

static void drop(struct forward_result *r, struct forward_item *item)
{
    free(item->block);
    account_discharge(r->account, ACCOUNT_REPLIES, item->n_block);
    item->block = NULL;
    item->n_block = 0;
    item->state = sn_state_free(item->state);
}

static void fini(void *result)
{
    struct forward_result *r = result;

    for (size_t i = 0; i < r->n_items; i++) {
        drop(r, &r->item[i]);
        sn_subnet_unref(r->item[i].subnet);
    }
    free(r->block);
    account_discharge(r->account, ACCOUNT_REPLIES, r->n_block);
}

static const struct api_result_class result_class = {
    .write = {[MEDIA_JSON] = api_forward_write_json,
              [MEDIA_SAFETENSORS] = api_forward_write_safetensors},
    .fini = fini,
};

struct forward_result *api_forward_result(struct call *call, size_t n_subnets)
{
    struct forward_result *r = api_call_alloc(call, sizeof *r);

    if (!r) return NULL;
    *r = (struct forward_result){.account = call->account};
    r->item = api_call_alloc(call, n_subnets * sizeof *r->item);
    r->answer = api_call_alloc(call, n_subnets * sizeof *r->answer);
    call->result = (struct api_result){&result_class, r};
    return r->item && r->answer ? r : NULL;
}

/* The id alone is not enough: clients choose what is hashed. */
static bool is_equal(const sn_subnet *a, const sn_subnet *b)
{
    return a == b || (strcmp(sn_subnet_id(a), sn_subnet_id(b)) == 0 && sn_subnet_equal(a, b));
}

void api_forward_result_add(struct forward_result *r, sn_subnet *subnet)
{
    size_t i = 0;

    while (i < r->n_items && !is_equal(r->item[i].subnet, subnet))
        i++;
    if (i == r->n_items)
        r->item[r->n_items++] = (struct forward_item){.subnet = sn_subnet_ref(subnet)};
    r->answer[r->n_answers++] = i;
    r->item[i].n_uses++;
}

static enum problem_code charge(struct call *call, size_t n, const char *what)
{
    if (account_charge(call->account, ACCOUNT_REPLIES, n)) return P_OK;
    return api_fail_room(&call->problem, call->account, ACCOUNT_REPLIES, n, what);
}

static size_t output_bytes(const sn_tensor *t)
{
    return (size_t)sn_shape_count(&t->shape) * sn_dtype_bytes(t->dtype);
}

/* The outputs of one subnet, one after the other in one block of memory. */
static enum problem_code alloc_item(struct call *call, struct forward_item *item)
{
    const size_t n = item->n_bytes + item->n_out * SN_ALIGN_BYTES;
    char        *at;

    if (charge(call, n, "the outputs of a subnet") != P_OK) return call->problem.code;
    item->n_block = n;
    item->block = at = malloc(n);
    if (!at) return api_fail_memory(&call->problem);
    for (size_t o = 0; o < item->n_out; o++) {
        sn_tensor *t = &item->out[o];

        *t = sn_tensor_dense(t->dtype, &t->shape, at);
        at += (output_bytes(t) + 15) & ~(size_t)15;
    }
    return P_OK;
}

/* All outputs as the form has placed them. */
static enum problem_code alloc_whole(struct call *call, struct forward_result *r)
{
    const size_t n =
        (r->n_front + r->n_data + SN_ALIGN_BYTES - 1) / SN_ALIGN_BYTES * SN_ALIGN_BYTES;

    if (charge(call, n, "the answer") != P_OK) return call->problem.code;
    r->n_block = n;
    r->block = aligned_alloc(SN_ALIGN_BYTES, n);
    if (!r->block) return api_fail_memory(&call->problem);
    for (size_t i = 0; i < r->n_places; i++) {
        const struct forward_place *at = &r->place[i];
        sn_tensor                  *t = &r->item[at->item].out[at->output];

        *t = sn_tensor_dense(t->dtype, &t->shape, r->block + r->n_front + at->at);
    }
    return P_OK;
}

enum problem_code api_forward_result_alloc(struct call *call, struct forward_result *r)
{
    if (r->place) return alloc_whole(call, r);
    for (size_t i = 0; i < r->n_items; i++)
        if (alloc_item(call, &r->item[i]) != P_OK) return call->problem.code;
    return P_OK;
}

void api_forward_item_written(struct forward_result *r, struct forward_item *item)
{
    if (--item->n_uses == 0) drop(r, item);
}
