/* header: the JSON at the start of a safetensors document -> checked tables.
 *
 * The bytes may come from anybody. What is accepted here is safe to use without
 * another look: names are unique and not empty, dtype times shape is the length
 * of the data, and the tensors cover the data without gap or overlap. */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "weights/weights.h"

static const char metadata_name[] = "__metadata__";

/* What a sentence about one tensor needs. */
struct reader {
    const char *what;
    const char *data;
    size_t      data_bytes;
    sn_arena   *mem;
    sn_error   *err;
};

__attribute__((format(printf, 4, 5))) static sn_status
fail_tensor(const struct reader *r, sn_status code, const char *name, const char *fmt, ...)
{
    char    text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return sn_fail(r->err, code, r->what, "tensor \"%.200s\": %s", name, text);
}

/* A member that must be there; json_need() would not know the tensor's name. */
static sn_status read_member(const struct reader *r, const char *name, const json_t *entry,
                             const char *key, const json_t **ret_value)
{
    const json_t *v = json_object_get(entry, key);

    if (!v) return fail_tensor(r, SN_E_SYNTAX, name, "\"%s\" is missing", key);
    *ret_value = v;
    return SN_OK;
}

/* An array of non-negative integers into out[max]; more of them are counted, not stored. */
static sn_status read_numbers(const struct reader *r, const char *name, const json_t *entry,
                              const char *key, int64_t *out, size_t max, size_t *ret_n)
{
    const json_t *array = NULL, *item;
    char          found[128];
    sn_status     rc;
    size_t        n;

    rc = read_member(r, name, entry, key, &array);
    if (rc != SN_OK) return rc;
    if (!json_is_array(array))
        return fail_tensor(r, SN_E_SYNTAX, name, "\"%s\" must be an array, not %s", key,
                           json_describe(array, found, sizeof found));
    n = json_array_size(array);
    for (size_t i = 0; i < n; i++) {
        item = json_array_get(array, i);
        if (!json_is_integer(item) || json_integer_value(item) < 0)
            return fail_tensor(r, SN_E_SYNTAX, name, "\"%s\" must hold integers from 0 on, not %s",
                               key, json_describe(item, found, sizeof found));
        if (i < max) out[i] = json_integer_value(item);
    }
    *ret_n = n;
    return SN_OK;
}

static sn_status read_dtype(const struct reader *r, const char *name, const json_t *entry,
                            sn_dtype *ret_dtype)
{
    /* Part of the format, but nothing here computes with them. */
    static const char *const foreign[] = {"U16",         "U32",     "U64",     "C64",
                                          "F8_E5M2",     "F8_E4M3", "F8_E8M0", "F8_E5M2FNUZ",
                                          "F8_E4M3FNUZ", "F6_E2M3", "F6_E3M2", "F4"};
    const char              *known[SN_DTYPE_COUNT - 1];
    const json_t            *v = NULL;
    const char              *text;
    char                     buf[128];
    sn_status                rc;

    rc = read_member(r, name, entry, "dtype", &v);
    if (rc != SN_OK) return rc;
    if (!json_is_string(v))
        return fail_tensor(r, SN_E_SYNTAX, name, "\"dtype\" must be a text, not %s",
                           json_describe(v, buf, sizeof buf));
    text = json_string_value(v);
    if (sn_dtype_find(text, ret_dtype)) return SN_OK;

    for (int i = SN_NONE + 1; i < SN_DTYPE_COUNT; i++)
        known[i - 1] = sn_dtype_name((sn_dtype)i);
    names_list(known, COUNT(known), buf, sizeof buf);
    for (size_t i = 0; i < COUNT(foreign); i++)
        if (strcmp(text, foreign[i]) == 0)
            return fail_tensor(r, SN_E_UNSUPPORTED, name,
                               "elements of type %s are not supported; supported are %s", text,
                               buf);
    return fail_tensor(r, SN_E_SYNTAX, name, "\"%.40s\" is not an element type; known are %s", text,
                       buf);
}

static sn_status read_tensor(const struct reader *r, const char *name, const json_t *entry,
                             struct tensor_entry *ret_tensor)
{
    static const char *const member[] = {"dtype", "shape", "data_offsets"};
    struct tensor_entry      t = {0};
    int64_t                  offset[2], count, n_bytes;
    sn_shape *const          shape = &t.desc.shape;
    char                     buf[128], place[256];
    size_t                   n;
    sn_status                rc;

    if (!*name) return sn_fail(r->err, SN_E_SYNTAX, r->what, "a tensor has an empty name");
    if (!json_is_object(entry))
        return fail_tensor(r, SN_E_SYNTAX, name, "must be an object, not %s",
                           json_describe(entry, buf, sizeof buf));
    snprintf(place, sizeof place, "%.120s, tensor \"%.100s\"", r->what, name);
    rc = json_check_members(entry, place, member, COUNT(member), r->err);
    if (rc != SN_OK) return rc;
    rc = read_dtype(r, name, entry, &t.desc.dtype);
    if (rc != SN_OK) return rc;
    rc = read_numbers(r, name, entry, "shape", shape->dim, SN_MAX_RANK, &n);
    if (rc != SN_OK) return rc;
    if (n > SN_MAX_RANK)
        return fail_tensor(r, SN_E_UNSUPPORTED, name, "has %zu dimensions, supported are up to %d",
                           n, SN_MAX_RANK);
    shape->rank = (int)n;
    rc = read_numbers(r, name, entry, "data_offsets", offset, 2, &n);
    if (rc != SN_OK) return rc;
    if (n != 2)
        return fail_tensor(r, SN_E_SYNTAX, name,
                           "\"data_offsets\" must be [start, end], not %zu numbers", n);

    sn_shape_text(shape, buf, sizeof buf);
    count = sn_shape_count(shape);
    if (count < 0 || __builtin_mul_overflow(count, (int64_t)sn_dtype_bytes(t.desc.dtype), &n_bytes))
        return fail_tensor(r, SN_E_SYNTAX, name, "shape %s has too many elements to count", buf);
    if (offset[0] > offset[1])
        return fail_tensor(r, SN_E_SYNTAX, name, "data_offsets [%lld, %lld] run backwards",
                           (long long)offset[0], (long long)offset[1]);
    if ((uint64_t)offset[1] > r->data_bytes)
        return fail_tensor(r, SN_E_SYNTAX, name,
                           "data_offsets [%lld, %lld] leave the data, which has %zu bytes",
                           (long long)offset[0], (long long)offset[1], r->data_bytes);
    if (offset[1] - offset[0] != n_bytes)
        return fail_tensor(
            r, SN_E_SYNTAX, name,
            "%s of shape %s takes %lld bytes, but data_offsets [%lld, %lld] are %lld",
            sn_dtype_name(t.desc.dtype), buf, (long long)n_bytes, (long long)offset[0],
            (long long)offset[1], (long long)(offset[1] - offset[0]));

    t.start = (size_t)offset[0];
    t.stop = (size_t)offset[1];
    t.name = arena_strdup(r->mem, name);
    if (!t.name) return fail_no_memory(r->err, r->what);
    *ret_tensor = t;
    return SN_OK;
}

static sn_status read_metadata(const struct reader *r, const json_t *object,
                               struct weights_header *h)
{
    char        found[128];
    const char *key;
    json_t     *v;

    if (!json_is_object(object))
        return sn_fail(r->err, SN_E_SYNTAX, r->what, "__metadata__ must be an object, not %s",
                       json_describe(object, found, sizeof found));
    h->metadata = arena_array(r->mem, json_object_size(object), sizeof *h->metadata);
    if (!h->metadata) return fail_no_memory(r->err, r->what);
    json_object_foreach((json_t *)object, key, v)
    {
        struct metadata_entry *m = &h->metadata[h->n_metadata];

        if (!json_is_string(v))
            return sn_fail(r->err, SN_E_SYNTAX, r->what,
                           "__metadata__: \"%.200s\" must be a text, not %s", key,
                           json_describe(v, found, sizeof found));
        m->key = arena_strdup(r->mem, key);
        m->text = arena_strdup(r->mem, json_string_value(v));
        if (!m->key || !m->text) return fail_no_memory(r->err, r->what);
        h->n_metadata++;
    }
    return SN_OK;
}

static int by_offset(const void *a, const void *b)
{
    const struct tensor_entry *const x = *(const struct tensor_entry *const *)a;
    const struct tensor_entry *const y = *(const struct tensor_entry *const *)b;

    if (x->start != y->start) return x->start < y->start ? -1 : 1;
    return (x->stop > y->stop) - (x->stop < y->stop); /* an empty one before its neighbour */
}

/* Every byte of the data belongs to exactly one tensor. */
static sn_status check_cover(const struct reader *r, const struct weights_header *h)
{
    const struct tensor_entry **sorted = arena_array(r->mem, h->n_tensors, sizeof *sorted);
    size_t                      at = 0;

    if (!sorted) return fail_no_memory(r->err, r->what);
    for (size_t i = 0; i < h->n_tensors; i++)
        sorted[i] = &h->tensor[i];
    qsort(sorted, h->n_tensors, sizeof *sorted, by_offset);

    for (size_t i = 0; i < h->n_tensors; at = sorted[i++]->stop) {
        const struct tensor_entry *const t = sorted[i];

        if (t->start < at)
            return fail_tensor(r, SN_E_SYNTAX, t->name,
                               "data_offsets [%zu, %zu] overlap those of \"%.200s\", [%zu, %zu]",
                               t->start, t->stop, sorted[i - 1]->name, sorted[i - 1]->start,
                               sorted[i - 1]->stop);
        if (t->start > at)
            return fail_tensor(
                r, SN_E_SYNTAX, t->name,
                "starts at byte %zu, but the %zu bytes before it belong to no tensor", t->start,
                t->start - at);
    }
    if (at < r->data_bytes) {
        size_t n = r->data_bytes;

        while (n > at && r->data[n - 1] == '\0')
            n--;
        return sn_fail(r->err, SN_E_SYNTAX, r->what,
                       "the last %zu of %zu data bytes belong to no tensor%s", r->data_bytes - at,
                       r->data_bytes, n == at ? "; all are NUL: is the file padded?" : "");
    }
    return SN_OK;
}

static sn_status read_header(const struct reader *r, const json_t *root, struct weights_header *h)
{
    const size_t n = json_object_size(root);
    const char  *name;
    json_t      *entry;
    sn_status    rc;

    h->tensor = arena_array(r->mem, n, sizeof *h->tensor);
    if (!h->tensor) return fail_no_memory(r->err, r->what);
    json_object_foreach((json_t *)root, name, entry)
    {
        if (strcmp(name, metadata_name) == 0)
            rc = read_metadata(r, entry, h);
        else
            rc = read_tensor(r, name, entry, &h->tensor[h->n_tensors++]);
        if (rc != SN_OK) return rc;
    }
    return check_cover(r, h);
}

static uint64_t little_endian_64(const unsigned char *bytes)
{
    uint64_t n = 0;

    for (int i = 7; i >= 0; i--)
        n = n << 8 | bytes[i];
    return n;
}

sn_status header_parse(const void *bytes, size_t n_bytes, const char *what, sn_arena *mem,
                       struct weights_header *ret_header, sn_error *err)
{
    const char *const     text = (const char *)bytes + WEIGHTS_LENGTH_BYTES;
    struct weights_header h = {0};
    struct reader         r = {.what = what, .mem = mem, .err = err};
    json_t               *root = NULL;
    char                  place[256];
    uint64_t              length;
    sn_status             rc;

    if (n_bytes < WEIGHTS_LENGTH_BYTES)
        return sn_fail(err, SN_E_SYNTAX, what,
                       "%zu bytes are too few for safetensors, which start with a length of 8",
                       n_bytes);
    length = little_endian_64(bytes);
    if (length > WEIGHTS_MAX_HEADER_BYTES)
        return sn_fail(err, SN_E_SYNTAX, what,
                       "a header of %llu bytes is announced, allowed are %d: "
                       "is this a safetensors document?",
                       (unsigned long long)length, WEIGHTS_MAX_HEADER_BYTES);
    if (length > n_bytes - WEIGHTS_LENGTH_BYTES)
        return sn_fail(err, SN_E_SYNTAX, what,
                       "a header of %llu bytes is announced, but only %zu follow",
                       (unsigned long long)length, n_bytes - WEIGHTS_LENGTH_BYTES);
    if (length == 0 && n_bytes > WEIGHTS_LENGTH_BYTES && text[0] == '\0')
        return sn_fail(err, SN_E_SYNTAX, what,
                       "the file begins with NUL bytes where safetensors have a length and a "
                       "header: was it written to the end?");
    if (length == 0 || text[0] != '{')
        return sn_fail(err, SN_E_SYNTAX, what, "the header does not start with \"{\"");

    snprintf(place, sizeof place, "%.200s, header", what);
    rc = json_parse(text, (size_t)length, place, &root, err);
    if (rc != SN_OK) return rc;
    h.data_start = WEIGHTS_LENGTH_BYTES + (size_t)length;
    r.data = (const char *)bytes + h.data_start;
    r.data_bytes = n_bytes - h.data_start;
    rc = read_header(&r, root, &h);
    json_decref(root);
    if (rc == SN_OK) *ret_header = h;
    return rc;
}
