/* writer: named tensors -> one safetensors document.
 *
 * The header is padded with spaces to a multiple of 8 bytes. The data follows in
 * the order given; what is strided is packed through a small buffer, so that
 * writing a slice of a large weight needs no copy of it. */
#include <stdlib.h>
#include <string.h>

#include "tensor/tensor.h"
#include "weights/weights.h"

enum { PACK_BYTES = 1 << 14 };

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names are not empty and appear once; `kind` is what they name. */
static sn_status check_names(const char *const *names, size_t n, const char *kind, sn_error *err)
{
    const char **sorted;
    sn_status    rc = SN_OK;

    if (n == 0) return SN_OK;
    sorted = calloc(n, sizeof *sorted);
    if (!sorted) return fail_no_memory(err, "");
    memcpy(sorted, names, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, compare_text);
    for (size_t i = 0; i < n && rc == SN_OK; i++) {
        if (!*sorted[i])
            rc = sn_fail(err, SN_E_INVALID, "", "a %s has an empty name", kind);
        else if (i > 0 && strcmp(sorted[i - 1], sorted[i]) == 0)
            rc = sn_fail(err, SN_E_INVALID, sorted[i], "two of the %ss have this name", kind);
    }
    free(sorted);
    return rc;
}

static sn_status describe_tensor(struct text *header, const char *name, const sn_tensor *t,
                                 int64_t *inout_offset, sn_error *err)
{
    const int64_t count = sn_shape_count(&t->shape);
    char          shape[SN_MAX_RANK * 24];
    int64_t       n_bytes, stop;

    sn_shape_text(&t->shape, shape, sizeof shape);
    if (strcmp(name, "__metadata__") == 0)
        return sn_fail(err, SN_E_INVALID, name, "a tensor cannot have this name");
    if (sn_dtype_bytes(t->dtype) == 0)
        return sn_fail(err, SN_E_DTYPE, name, "a tensor without an element type cannot be written");
    if (count < 0 || __builtin_mul_overflow(count, (int64_t)sn_dtype_bytes(t->dtype), &n_bytes) ||
        __builtin_add_overflow(*inout_offset, n_bytes, &stop))
        return sn_fail(err, SN_E_SHAPE, name, "shape %s has too many elements to write", shape);

    text_json_string(header, name);
    text_printf(header, ":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%lld,%lld]}",
                sn_dtype_name(t->dtype), shape, (long long)*inout_offset, (long long)stop);
    *inout_offset = stop;
    return SN_OK;
}

static void describe_metadata(struct text *header, const char *const *keys,
                              const char *const *values, size_t n)
{
    text_printf(header, "\"__metadata__\":{");
    for (size_t i = 0; i < n; i++) {
        if (i > 0) text_add(header, ",", 1);
        text_json_string(header, keys[i]);
        text_add(header, ":", 1);
        text_json_string(header, values[i]);
    }
    text_add(header, "}", 1);
}

static sn_status write_bytes(const void *bytes, size_t n_bytes, const sn_sink *sink, sn_error *err)
{
    if (n_bytes > 0 && sink->write(sink->cls, bytes, n_bytes) != 0)
        return sn_fail(err, SN_E_IO, "", "the receiver refused %zu bytes", n_bytes);
    return SN_OK;
}

/* Halves a strided tensor along its outermost axis until a part fits `buf` [PACK_BYTES]. */
static sn_status write_data(const sn_tensor *t, void *buf, const sn_sink *sink, sn_error *err)
{
    const size_t element = sn_dtype_bytes(t->dtype);
    const size_t n_bytes = (size_t)sn_shape_count(&t->shape) * element;
    sn_tensor    part = *t;
    sn_status    rc;
    int          axis = 0;

    if (sn_tensor_is_dense(t)) return write_bytes(t->data, n_bytes, sink, err);
    if (n_bytes <= PACK_BYTES) {
        const sn_tensor packed = sn_tensor_dense(t->dtype, &t->shape, buf);

        tensor_copy(t, &packed);
        return write_bytes(buf, n_bytes, sink, err);
    }
    while (t->shape.dim[axis] == 1)
        axis++;
    part.shape.dim[axis] = t->shape.dim[axis] / 2;
    rc = write_data(&part, buf, sink, err);
    if (rc != SN_OK) return rc;
    part.data = (char *)t->data + part.shape.dim[axis] * t->stride[axis] * (int64_t)element;
    part.shape.dim[axis] = t->shape.dim[axis] - part.shape.dim[axis];
    return write_data(&part, buf, sink, err);
}

/* Pad the header, and put its length in front. */
static sn_status close_header(struct text *header, sn_error *err)
{
    size_t n;

    while (header->n % 8 != 0 && !header->failed)
        text_add(header, " ", 1);
    if (header->failed) return fail_no_memory(err, "");
    n = header->n - SAFETENSORS_LENGTH_BYTES;
    if (n > SAFETENSORS_MAX_HEADER_BYTES)
        return sn_fail(err, SN_E_LIMIT, "", "the header takes %zu bytes, allowed are %d", n,
                       SAFETENSORS_MAX_HEADER_BYTES);
    for (int i = 0; i < SAFETENSORS_LENGTH_BYTES; i++)
        header->at[i] = (char)((uint64_t)n >> (8 * i));
    return SN_OK;
}

sn_status weights_describe(const struct named_tensors *all, struct text *header, int64_t *ret_bytes,
                           sn_error *err)
{
    static const char length[SAFETENSORS_LENGTH_BYTES] = {0};
    sn_status         rc;

    *ret_bytes = 0;
    rc = check_names(all->name, all->n, "tensor", err);
    if (rc == SN_OK) rc = check_names(all->meta_key, all->n_meta, "metadata key", err);
    if (rc != SN_OK) return rc;
    text_add(header, length, sizeof length);
    text_add(header, "{", 1);
    if (all->n_meta > 0) describe_metadata(header, all->meta_key, all->meta_value, all->n_meta);
    for (size_t i = 0; i < all->n && rc == SN_OK; i++) {
        if (i > 0 || all->n_meta > 0) text_add(header, ",", 1);
        rc = describe_tensor(header, all->name[i], &all->tensor[i], ret_bytes, err);
    }
    text_add(header, "}", 1);
    return rc == SN_OK ? close_header(header, err) : rc;
}

SN_EXPORT sn_status sn_tensors_write(const char *const *names, const sn_tensor *tensors, size_t n,
                                     const char *const *meta_keys, const char *const *meta_values,
                                     size_t n_meta, const sn_sink *sink, sn_error *err)
{
    const struct named_tensors    all = {n, names, tensors, n_meta, meta_keys, meta_values};
    _Alignas(SN_ALIGN_BYTES) char buf[PACK_BYTES];
    struct text                   header = {0};
    int64_t                       n_bytes;
    sn_status                     rc = weights_describe(&all, &header, &n_bytes, err);

    if (rc == SN_OK) rc = write_bytes(header.at, header.n, sink, err);
    for (size_t i = 0; i < n && rc == SN_OK; i++)
        rc = write_data(&tensors[i], buf, sink, err);
    free(header.at);
    return rc;
}
