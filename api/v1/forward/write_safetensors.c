/* forward/write_safetensors:
 *
 *     tensors by output name, <id>/<name> for several subnets; __metadata__ holds "subnet" (or
 *     "subnets" as JSON) and "version"
 *
 * Outputs are computed where they are sent from: the header is written first, and the plans run
 * into the space behind it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "v1/forward/forward.h"

/* One tensor of the answer: output `output` of subnet `subnet`. */
struct item {
    size_t  subnet, output;
    sn_desc desc;
    size_t  at, n_bytes; /* in the data part */
};

/* Larger elements first: without gaps (the format has none) all stay aligned. */
static int by_element(const void *va, const void *vb)
{
    const struct item *a = va, *b = vb;
    const size_t       sa = sn_dtype_bytes(a->desc.dtype), sb = sn_dtype_bytes(b->desc.dtype);

    if (sa != sb) return sa < sb ? 1 : -1;
    if (a->subnet != b->subnet) return a->subnet < b->subnet ? -1 : 1;
    return a->output < b->output ? -1 : 1;
}

/* A subnet named twice is answered once: names are unique. */
static bool is_repeated(const struct forward *f, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (f->subnet[k] == f->subnet[i] || sn_subnet_equal(f->subnet[k], f->subnet[i]))
            return true;
    return false;
}

static enum problem_code lay_out(struct forward *f, struct item *item, size_t *ret_n,
                                 size_t *ret_bytes)
{
    struct problem *p = &f->call->problem;
    sn_desc         desc[SN_MAX_PORTS];
    size_t          n = 0, n_out, bytes, total = 0;

    for (size_t i = 0; i < f->n_subnets; i++) {
        if (is_repeated(f, i)) continue;
        if (api_forward_outputs(f, i, desc, &n_out, &bytes) != P_OK) return p->code;
        for (size_t o = 0; o < n_out; o++)
            item[n++] = (struct item){.subnet = i, .output = o, .desc = desc[o]};
    }
    qsort(item, n, sizeof *item, by_element);
    total = 0;
    for (size_t i = 0; i < n; i++) {
        item[i].at = total;
        item[i].n_bytes =
            (size_t)sn_shape_count(&item[i].desc.shape) * sn_dtype_bytes(item[i].desc.dtype);
        total += item[i].n_bytes;
    }
    *ret_n = n;
    *ret_bytes = total;
    return P_OK;
}

static void put_metadata(struct forward *f, struct api_buf *b)
{
    api_buf_text(b, "{\"__metadata__\": {");
    if (f->several) {
        api_buf_text(b, "\"subnets\": \"[");
        for (size_t i = 0; i < f->n_subnets; i++)
            api_buf_printf(b, "%s\\\"%s\\\"", i ? ", " : "", sn_subnet_id(f->subnet[i]));
        api_buf_text(b, "]\"");
    } else {
        api_buf_printf(b, "\"subnet\": \"%s\"", sn_subnet_id(f->subnet[0]));
    }
    api_buf_printf(b, ", \"version\": \"%llu\"}", (unsigned long long)f->call->model->version);
}

/* "name" or "id/name", quoted. */
static void put_name(struct forward *f, struct api_buf *b, const struct item *item)
{
    struct api_buf name = {0};

    if (f->several) api_buf_printf(&name, "%s/", sn_subnet_id(f->subnet[item->subnet]));
    api_buf_text(&name, sn_supernet_output(f->call->model->net, item->output)->name);
    api_buf_byte(&name, '\0');
    b->failed |= name.failed;
    if (!name.failed) api_buf_string(b, name.at);
    api_buf_fini(&name);
}

/* Length, header, padding: the data begins at a multiple of SN_ALIGN_BYTES. */
static void put_header(struct forward *f, struct api_buf *b, const struct item *item, size_t n)
{
    uint64_t length = 0;

    api_buf_add(b, (const char *)&length, sizeof length);
    put_metadata(f, b);
    for (size_t i = 0; i < n; i++) {
        char shape[256];

        api_buf_text(b, ", ");
        put_name(f, b, &item[i]);
        api_buf_printf(b, ": {\"dtype\": \"%s\", \"shape\": %s, \"data_offsets\": [%zu, %zu]}",
                       sn_dtype_name(item[i].desc.dtype),
                       sn_shape_text(&item[i].desc.shape, shape, sizeof shape), item[i].at,
                       item[i].at + item[i].n_bytes);
    }
    api_buf_byte(b, '}');
    while (b->n % SN_ALIGN_BYTES && !b->failed)
        api_buf_byte(b, ' ');
    length = b->n - sizeof length;
    if (!b->failed) memcpy(b->at, &length, sizeof length);
}

/* Run every subnet into its place behind the header. */
static enum problem_code run_all(struct forward *f, char *data, const struct item *item, size_t n)
{
    for (size_t i = 0; i < f->n_subnets; i++) {
        sn_tensor out[SN_MAX_PORTS];

        if (is_repeated(f, i)) continue;
        for (size_t k = 0; k < n; k++)
            if (item[k].subnet == i)
                out[item[k].output] =
                    sn_tensor_dense(item[k].desc.dtype, &item[k].desc.shape, data + item[k].at);
        if (api_forward_run(f, i, out) != P_OK) return f->call->problem.code;
    }
    return P_OK;
}

enum problem_code api_forward_write_binary(struct forward *f)
{
    struct problem *p = &f->call->problem;
    struct api_buf *b = &f->call->body;
    const size_t    n_out = sn_supernet_n_outputs(f->call->model->net);
    struct item    *item = calloc(f->n_subnets * n_out + 1, sizeof *item);
    char           *whole;
    size_t          n, n_bytes, n_whole;

    if (!item) return api_fail_memory(p);
    if (lay_out(f, item, &n, &n_bytes) != P_OK) goto out;
    put_header(f, b, item, n);
    if (b->failed) {
        api_fail_buf(p, b, NULL);
        goto out;
    }
    n_whole = (b->n + n_bytes + SN_ALIGN_BYTES - 1) / SN_ALIGN_BYTES * SN_ALIGN_BYTES;
    if (!account_charge(b->account, b->purpose, n_whole)) {
        api_fail_room(p, b->account, b->purpose, n_whole, "the answer");
        goto out;
    }
    whole = aligned_alloc(SN_ALIGN_BYTES, n_whole);
    if (!whole) {
        account_discharge(b->account, b->purpose, n_whole);
        api_fail_memory(p);
        goto out;
    }
    memcpy(whole, b->at, b->n);
    n_bytes += b->n;
    n = run_all(f, whole + b->n, item, n) == P_OK ? n_bytes : 0;
    account_discharge(b->account, b->purpose, b->charged);
    free(b->at);
    b->at = whole;
    b->n = n;
    b->cap = b->charged = n_whole;
out:
    free(item);
    return p->code;
}
