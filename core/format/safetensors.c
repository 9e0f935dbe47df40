/* safetensors: the JSON at the start of a safetensors document -> checked tables.
 *
 * The bytes may come from anybody. What is accepted here is safe to use without
 * another look: names are unique and not empty, dtype times shape is the length
 * of the data, and the tensors cover the data without gap or overlap. */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "base/scan.h"
#include "base/table.h"
#include "format/safetensors.h"
#include "supernet/weights.h"

static const char metadata_name[] = "__metadata__";

/* What a sentence about one tensor needs. */
struct reader {
    const char *what;
    const char *data;
    size_t      data_bytes;
    sn_arena   *mem, *tmp; /* tmp: what only the reading needs */
    sn_error   *err;
    struct scan scan;
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

/* An array of non-negative integers into out[max]; one more is refused as soon as it is met. */
static sn_status read_numbers(struct reader *r, const char *name, const char *key, int64_t *out,
                              size_t max, size_t *ret_n)
{
    bool      first = true, more, ok;
    char      found[128];
    sn_status rc;
    int64_t   v;
    size_t    n = 0;

    if (!scan_eat(&r->scan, '['))
        return fail_tensor(r, SN_E_SYNTAX, name, "\"%s\" must be an array, not %s", key,
                           scan_describe(&r->scan, found, sizeof found));
    while ((rc = scan_item(&r->scan, &first, &more)) == SN_OK && more) {
        rc = scan_count(&r->scan, &ok, &v);
        if (rc != SN_OK) return rc;
        if (!ok)
            return fail_tensor(r, SN_E_SYNTAX, name, "\"%s\" must hold integers from 0 on, not %s",
                               key, scan_describe(&r->scan, found, sizeof found));
        if (n < max) out[n] = v;
        if (++n > max) break;
    }
    *ret_n = n;
    return rc;
}

static sn_status read_dtype(struct reader *r, const char *name, sn_dtype *ret_dtype)
{
    /* Part of the format, but nothing here computes with them. */
    static const char *const foreign[] = {"U16",         "U32",     "U64",     "C64",
                                          "F8_E5M2",     "F8_E4M3", "F8_E8M0", "F8_E5M2FNUZ",
                                          "F8_E4M3FNUZ", "F6_E2M3", "F6_E3M2", "F4"};
    const char              *known[SN_DTYPE_COUNT - 1];
    const char              *text;
    char                     buf[128];
    sn_status                rc;

    if (scan_peek(&r->scan) != '"')
        return fail_tensor(r, SN_E_SYNTAX, name, "\"dtype\" must be a text, not %s",
                           scan_describe(&r->scan, buf, sizeof buf));
    rc = scan_text(&r->scan, r->tmp, &text);
    if (rc != SN_OK) return rc;
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

static sn_status fail_member(const struct reader *r, const char *name, const char *key,
                             const char *const *member, size_t n)
{
    const char *closest = names_closest(key, member, n);
    char        place[256], list[128];

    snprintf(place, sizeof place, "%.120s, tensor \"%.100s\"", r->what, name);
    if (closest)
        return sn_fail(r->err, SN_E_INVALID, place,
                       "there is no member \"%s\"; did you mean \"%s\"?", key, closest);
    return sn_fail(r->err, SN_E_INVALID, place, "there is no member \"%.200s\"; allowed are %s",
                   key, names_list(member, n, list, sizeof list));
}

/* The members of a tensor's object, each once. */
static sn_status read_members(struct reader *r, const char *name, struct tensor_entry *t,
                              int64_t offset[2])
{
    static const char *const member[] = {"dtype", "shape", "data_offsets"};
    bool                     first = true, more, seen[COUNT(member)] = {false};
    const char              *key;
    size_t                   n, k;
    sn_status                rc;

    while ((rc = scan_member(&r->scan, &first, r->tmp, &key, &more)) == SN_OK && more) {
        for (k = 0; k < COUNT(member) && strcmp(key, member[k]) != 0; k++)
            ;
        if (k == COUNT(member)) return fail_member(r, name, key, member, COUNT(member));
        if (seen[k]) return fail_tensor(r, SN_E_SYNTAX, name, "\"%s\" is there twice", key);
        seen[k] = true;
        n = 2;
        if (k == 0) rc = read_dtype(r, name, &t->desc.dtype);
        if (k == 1) {
            rc = read_numbers(r, name, key, t->desc.shape.dim, SN_MAX_RANK, &n);
            if (rc == SN_OK && n > SN_MAX_RANK)
                return fail_tensor(r, SN_E_UNSUPPORTED, name,
                                   "has more than %d dimensions, as many as are supported",
                                   SN_MAX_RANK);
            t->desc.shape.rank = (int)n;
        }
        if (k == 2) rc = read_numbers(r, name, key, offset, 2, &n);
        if (k == 2 && rc == SN_OK && n != 2)
            return fail_tensor(r, SN_E_SYNTAX, name,
                               "\"data_offsets\" must be [start, end], not %zu numbers%s", n,
                               n > 2 ? " or more" : "");
        if (rc != SN_OK) return rc;
    }
    for (k = 0; rc == SN_OK && k < COUNT(member); k++)
        if (!seen[k]) return fail_tensor(r, SN_E_SYNTAX, name, "\"%s\" is missing", member[k]);
    return rc;
}

/* `name` has been read, and lives as long as the table. */
static sn_status read_tensor(struct reader *r, const char *name, struct tensor_entry *ret_tensor)
{
    struct tensor_entry   t = {.name = name};
    int64_t               offset[2], count, n_bytes;
    const sn_shape *const shape = &t.desc.shape;
    char                  buf[128];
    sn_status             rc;

    if (!*name) return sn_fail(r->err, SN_E_SYNTAX, r->what, "a tensor has an empty name");
    if (scan_peek(&r->scan) == '\0') return scan_expect(&r->scan, '{');
    if (!scan_eat(&r->scan, '{'))
        return fail_tensor(r, SN_E_SYNTAX, name, "must be an object, not %s",
                           scan_describe(&r->scan, buf, sizeof buf));
    rc = read_members(r, name, &t, offset);
    if (rc != SN_OK) return rc;

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
    *ret_tensor = t;
    return SN_OK;
}

/* Room for one more at *list of n items; it moves when it grows. */
static bool grow(const struct reader *r, void *list, size_t n, size_t *inout_cap, size_t size)
{
    const size_t cap = *inout_cap ? 2 * *inout_cap : 16;
    void        *old, *more;

    if (n < *inout_cap) return true;
    memcpy(&old, list, sizeof old);
    more = arena_array(r->tmp, cap, size);
    if (!more) return false;
    if (n) memcpy(more, old, n * size);
    memcpy(list, &more, sizeof more);
    *inout_cap = cap;
    return true;
}

static sn_status read_metadata(struct reader *r, struct safetensors *h)
{
    struct metadata_entry *list = NULL;
    struct table           seen = {0};
    bool                   first = true, more;
    size_t                 cap = 0, n = 0;
    const char            *key;
    char                   found[128];
    sn_status              rc;

    if (!scan_eat(&r->scan, '{'))
        return sn_fail(r->err, SN_E_SYNTAX, r->what, "__metadata__ must be an object, not %s",
                       scan_describe(&r->scan, found, sizeof found));
    while ((rc = scan_member(&r->scan, &first, r->mem, &key, &more)) == SN_OK && more) {
        if (table_find(&seen, key, &(size_t){0}))
            return sn_fail(r->err, SN_E_SYNTAX, r->what, "__metadata__: \"%.200s\" is there twice",
                           key);
        if (scan_peek(&r->scan) != '"')
            return sn_fail(r->err, SN_E_SYNTAX, r->what,
                           "__metadata__: \"%.200s\" must be a text, not %s", key,
                           scan_describe(&r->scan, found, sizeof found));
        if (!table_add(&seen, r->tmp, key, n) || !grow(r, &list, n, &cap, sizeof *list))
            return fail_no_memory(r->err, r->what);
        list[n].key = key;
        rc = scan_text(&r->scan, r->mem, &list[n].text);
        if (rc != SN_OK) return rc;
        n++;
    }
    if (rc != SN_OK) return rc;
    h->metadata = arena_array(r->mem, n, sizeof *list);
    if (!h->metadata) return fail_no_memory(r->err, r->what);
    if (n) memcpy(h->metadata, list, n * sizeof *list);
    h->n_metadata = n;
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
static sn_status check_cover(const struct reader *r, const struct safetensors *h)
{
    const struct tensor_entry **sorted = arena_array(r->tmp, h->n_tensors, sizeof *sorted);
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

static sn_status read_header(struct reader *r, struct safetensors *h)
{
    struct tensor_entry *list = NULL;
    struct table         seen = {0};
    bool                 first = true, more;
    size_t               cap = 0, n = 0, n_metadata = 0;
    const char          *name;
    sn_status            rc = scan_expect(&r->scan, '{');

    if (rc != SN_OK) return rc;
    while ((rc = scan_member(&r->scan, &first, r->mem, &name, &more)) == SN_OK && more) {
        const bool metadata = strcmp(name, metadata_name) == 0;

        if (metadata ? n_metadata++ > 0 : table_find(&seen, name, &(size_t){0}))
            return fail_tensor(r, SN_E_SYNTAX, name, "is there twice");
        if (metadata) {
            rc = read_metadata(r, h);
        } else {
            if (!table_add(&seen, r->tmp, name, n) || !grow(r, &list, n, &cap, sizeof *list))
                return fail_no_memory(r->err, r->what);
            rc = read_tensor(r, name, &list[n++]);
        }
        if (rc != SN_OK) return rc;
    }
    if (rc == SN_OK) rc = scan_end(&r->scan);
    if (rc != SN_OK) return rc;
    h->tensor = arena_array(r->mem, n, sizeof *list);
    if (!h->tensor) return fail_no_memory(r->err, r->what);
    if (n) memcpy(h->tensor, list, n * sizeof *list);
    h->n_tensors = n;
    return check_cover(r, h);
}

static uint64_t little_endian_64(const unsigned char *bytes)
{
    uint64_t n = 0;

    for (int i = 7; i >= 0; i--)
        n = n << 8 | bytes[i];
    return n;
}

sn_status safetensors_parse(const void *bytes, size_t n_bytes, const char *what, sn_arena *mem,
                            struct safetensors *ret_header, sn_error *err)
{
    const char *const  text = (const char *)bytes + SAFETENSORS_LENGTH_BYTES;
    struct safetensors h = {0};
    struct reader      r = {.what = what, .mem = mem, .err = err};
    char               place[256];
    uint64_t           length;
    sn_status          rc;

    if (n_bytes < SAFETENSORS_LENGTH_BYTES)
        return sn_fail(err, SN_E_SYNTAX, what,
                       "%zu bytes are too few for safetensors, which start with a length of 8",
                       n_bytes);
    length = little_endian_64(bytes);
    if (length > SAFETENSORS_MAX_HEADER_BYTES)
        return sn_fail(err, SN_E_SYNTAX, what,
                       "a header of %llu bytes is announced, allowed are %d: "
                       "is this a safetensors document?",
                       (unsigned long long)length, SAFETENSORS_MAX_HEADER_BYTES);
    if (length > n_bytes - SAFETENSORS_LENGTH_BYTES)
        return sn_fail(err, SN_E_SYNTAX, what,
                       "a header of %llu bytes is announced, but only %zu follow",
                       (unsigned long long)length, n_bytes - SAFETENSORS_LENGTH_BYTES);
    if (length == 0 && n_bytes > SAFETENSORS_LENGTH_BYTES && text[0] == '\0')
        return sn_fail(err, SN_E_SYNTAX, what,
                       "the file begins with NUL bytes where safetensors have a length and a "
                       "header: was it written to the end?");
    if (length == 0 || text[0] != '{')
        return sn_fail(err, SN_E_SYNTAX, what, "the header does not start with \"{\"");
    if (text[length - 1] == '\0') { /* a valid header ends otherwise */
        size_t n = 1;

        while (text[length - 1 - n] == '\0')
            n++;
        return sn_fail(err, SN_E_SYNTAX, what,
                       "the last %zu of %zu bytes of the header are NUL; what pads it is spaces", n,
                       (size_t)length);
    }

    snprintf(place, sizeof place, "%.200s, header", what);
    r.tmp = sn_arena_create();
    if (!r.tmp || !arena_limit(r.tmp, arena_budget(mem))) {
        sn_arena_free(r.tmp);
        return fail_no_memory(err, what);
    }
    h.data_start = SAFETENSORS_LENGTH_BYTES + (size_t)length;
    r.data = (const char *)bytes + h.data_start;
    r.data_bytes = n_bytes - h.data_start;
    r.scan = scan_of(text, (size_t)length, place, err);
    rc = read_header(&r, &h);
    sn_arena_free(r.tmp);
    if (rc == SN_OK) *ret_header = h;
    return rc;
}
