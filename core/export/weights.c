/* weights: the tensors of an export as one safetensors document, at once or in pieces. */
#include "weights/weights.h"

#include <stdlib.h>
#include <string.h>

#include "export/list.h"
#include "subnet/subnet.h"

static const char *const meta_keys[] = {"format", "subnet"};

SN_EXPORT sn_status sn_subnet_write_weights(const sn_subnet *subnet, const sn_sink *sink,
                                            sn_error *err)
{
    const char        *values[] = {"supernet/1", subnet->id};
    struct export_list list;
    sn_status          rc = export_list(subnet, &list, err);

    if (!rc) rc = export_gather(&list, err);
    if (!rc)
        rc = sn_tensors_write(list.tensor_name, list.tensor, list.n_tensors, meta_keys, values,
                              COUNT(meta_keys), sink, err);
    if (!rc && subnet->net->weights) rc = sn_weights_check(subnet->net->weights, err);
    export_list_fini(&list);
    return rc;
}

/* ---- the same in pieces ---- */

/* Nothing of the list but its tensors: a reader lives as long as a slow client. */
struct sn_weights_reader {
    sn_subnet  *subnet;
    sn_arena   *mem; /* what is no view, and the arrays */
    size_t      n_tensors;
    sn_tensor  *tensor;
    struct text header;
    uint64_t   *start; /* of each tensor in the document; then the end */
};

static sn_status keep_tensors(struct sn_weights_reader *r, struct export_list *list, sn_error *err)
{
    r->mem = list->copies;
    list->copies = NULL;
    r->n_tensors = list->n_tensors;
    r->tensor = arena_array(r->mem, r->n_tensors + 1, sizeof *r->tensor);
    if (!r->tensor) return fail_no_memory(err, "export");
    if (r->n_tensors) memcpy(r->tensor, list->tensor, r->n_tensors * sizeof *r->tensor);
    return SN_OK;
}

/* Where each tensor begins, behind a header of n bytes. */
static sn_status find_starts(struct sn_weights_reader *r, sn_error *err)
{
    uint64_t at = r->header.n;

    r->start = arena_array(r->mem, r->n_tensors + 1, sizeof *r->start);
    if (!r->start) return fail_no_memory(err, "export");
    for (size_t i = 0; i < r->n_tensors; i++) {
        r->start[i] = at;
        at += (uint64_t)sn_shape_count(&r->tensor[i].shape) * sn_dtype_bytes(r->tensor[i].dtype);
    }
    r->start[r->n_tensors] = at;
    return SN_OK;
}

SN_EXPORT sn_status sn_subnet_read_weights(sn_subnet *subnet, sn_weights_reader **ret_reader,
                                           sn_error *err)
{
    const char               *values[] = {"supernet/1", subnet->id};
    struct sn_weights_reader *r = calloc(1, sizeof *r);
    struct export_list        list;
    int64_t                   n_bytes;
    sn_status                 rc;

    if (!r) return fail_no_memory(err, "export");
    r->subnet = sn_subnet_ref(subnet);
    rc = export_list(subnet, &list, err);
    if (!rc) rc = export_gather(&list, err);
    if (!rc) {
        const struct named_tensors all = {list.n_tensors,   list.tensor_name, list.tensor,
                                          COUNT(meta_keys), meta_keys,        values};

        rc = weights_describe(&all, &r->header, &n_bytes, err);
    }
    if (!rc) rc = keep_tensors(r, &list, err);
    if (!rc) rc = find_starts(r, err);
    export_list_fini(&list);
    if (rc)
        sn_weights_reader_free(r);
    else
        *ret_reader = r;
    return rc;
}

SN_EXPORT sn_weights_reader *sn_weights_reader_free(sn_weights_reader *r)
{
    if (r) {
        sn_arena_free(r->mem);
        free(r->header.at);
        sn_subnet_unref(r->subnet);
        free(r);
    }
    return NULL;
}

SN_EXPORT uint64_t sn_weights_reader_bytes(const sn_weights_reader *r)
{
    return r->start[r->n_tensors];
}

SN_EXPORT size_t sn_weights_reader_held_bytes(const sn_weights_reader *r)
{
    return sizeof *r + r->header.n + arena_bytes(r->mem);
}

/* The last tensor that begins at or before `at`, empty ones left out. */
static size_t tensor_at(const struct sn_weights_reader *r, uint64_t at)
{
    size_t low = 0, high = r->n_tensors;

    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;

        *(r->start[middle] <= at ? &low : &high) = middle;
    }
    return low;
}

SN_EXPORT size_t sn_weights_reader_read(const sn_weights_reader *r, uint64_t at, void *to, size_t n)
{
    const uint64_t end = sn_weights_reader_bytes(r);
    char          *next = to;
    size_t         i, left;

    if (at >= end) return 0;
    if (n > end - at) n = (size_t)(end - at);
    left = n;
    if (at < r->header.n) {
        const size_t part = r->header.n - at < left ? (size_t)(r->header.n - at) : left;

        memcpy(next, r->header.at + at, part);
        next += part;
        at += part;
        left -= part;
    }
    for (i = tensor_at(r, at); left > 0; i++) {
        const uint64_t rest = r->start[i + 1] - at;
        const size_t   part = rest < left ? (size_t)rest : left;

        if (part) weights_read_part(&r->tensor[i], at - r->start[i], part, next);
        next += part;
        at += part;
        left -= part;
    }
    if (sn_weights_check(r->subnet->net->weights, NULL) != SN_OK)
        return 0; /* who knows what it is */
    return n;
}
