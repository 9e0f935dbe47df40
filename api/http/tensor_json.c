/* tensor_json: the reader goes down one array for each dimension and appends every
 * element to one growing block; the writer is its mirror image.
 *
 * A dimension is known from the specification, or fixed by the first array of its
 * depth; every other array must have as many elements. Messages name the index
 * path: inputs.image[3][0]. */
#include "http/tensor_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/number.h"
#include "supernet/weights.h"

struct reader {
    struct json_cursor *c;
    const sn_port      *port;
    const char         *where;
    struct problem     *p;
    sn_shape            shape; /* -1: not known yet */
    int64_t             index[SN_MAX_RANK];
    size_t              element_bytes;
    struct api_buf     *data;
};

const char *api_port_shape_text(const sn_port *port, char *buf, size_t n_bytes)
{
    size_t n = (size_t)snprintf(buf, n_bytes, "[");

    for (int d = 0; d < port->desc.shape.rank && n < n_bytes; d++) {
        const char *comma = d ? ", " : "";

        if (port->desc.shape.dim[d] >= 0)
            n += (size_t)snprintf(buf + n, n_bytes - n, "%s%lld", comma,
                                  (long long)port->desc.shape.dim[d]);
        else
            n += (size_t)snprintf(buf + n, n_bytes - n, "%s%s", comma,
                                  port->symbol[d] ? port->symbol[d] : "?");
    }
    if (n < n_bytes) snprintf(buf + n, n_bytes - n, "]");
    return buf;
}

/* inputs.image[3][0] into buf. */
static const char *path(const char *where, const int64_t *index, int depth, char *buf,
                        size_t n_bytes)
{
    size_t n = (size_t)snprintf(buf, n_bytes, "%s", where);

    for (int d = 0; d < depth && n < n_bytes; d++)
        n += (size_t)snprintf(buf + n, n_bytes - n, "[%lld]", (long long)index[d]);
    return buf;
}

static enum problem_code fail_at(struct reader *r, int depth, enum problem_code code,
                                 const char *what, const char *got)
{
    char place[256], shape[256];

    path(r->where, r->index, depth, place, sizeof place);
    return api_fail(r->p, code, place, "expected %s, got %s; the shape is %s", what, got,
                    api_port_shape_text(r->port, shape, sizeof shape));
}

static bool stands(const struct json_cursor *c, const char *word)
{
    const size_t n = strlen(word);

    return (size_t)(c->end - c->at) >= n && memcmp(c->at, word, n) == 0 &&
           ((size_t)(c->end - c->at) == n || memchr(",]} \t\r\n", c->at[n], 7));
}

/* What stands at the cursor, for messages about well-formed but unfit values; NULL for what is
 * no JSON, such as nan, +1, .5 or 0x10. */
static const char *what_stands(const struct json_cursor *c)
{
    bool is_integer;

    switch (c->at < c->end ? *c->at : '\0') {
    case '[':
        return "an array";
    case '{':
        return "an object";
    case '"':
        return "a string";
    case 't':
        return stands(c, "true") ? "true" : NULL;
    case 'f':
        return stands(c, "false") ? "false" : NULL;
    case 'n':
        return stands(c, "null") ? "null" : NULL;
    case '-':
    case '0' ... '9':
        return api_number_scan(c->at, c->end, &is_integer) ? "a number" : NULL;
    default:
        return NULL;
    }
}

/* Not what was wanted here: malformed if it is no JSON at all, unfit otherwise. */
static enum problem_code unfit(struct reader *r, int depth, enum problem_code code,
                               const char *what)
{
    const char *got = what_stands(r->c);

    if (!got) return api_json_expected(r->c, what, r->p);
    return fail_at(r, depth, code, what, got);
}

static bool eat_word(struct json_cursor *c, const char *word)
{
    if (!stands(c, word)) return false;
    c->at += strlen(word);
    return true;
}

static enum problem_code out_of_range(struct reader *r, const char *at, const char *end)
{
    char      place[256];
    const int n = end - at < 40 ? (int)(end - at) : 40;

    path(r->where, r->index, r->shape.rank, place, sizeof place);
    return api_fail(r->p, P_DTYPE, place, "%.*s is no finite %s", n, at,
                    sn_dtype_name(r->port->desc.dtype));
}

static bool put_float(const struct reader *r, double x, void *to)
{
    const float x32 = (float)x;

    if (r->port->desc.dtype == SN_F64) {
        memcpy(to, &x, sizeof x);
        return isfinite(x);
    }
    memcpy(to, &x32, sizeof x32);
    return isfinite(x32);
}

static bool put_integer(const struct reader *r, int64_t x, void *to)
{
    int64_t min, max;

    switch (r->port->desc.dtype) {
    case SN_I32:
        min = INT32_MIN, max = INT32_MAX;
        break;
    case SN_I16:
        min = INT16_MIN, max = INT16_MAX;
        break;
    case SN_I8:
        min = INT8_MIN, max = INT8_MAX;
        break;
    case SN_U8:
        min = 0, max = UINT8_MAX;
        break;
    default:
        min = INT64_MIN, max = INT64_MAX;
        break;
    }
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "safetensors are little-endian, and so are the tensors of this program"
#endif
    memcpy(to, &x, r->element_bytes);
    return x >= min && x <= max;
}

/* One element at the cursor. */
static enum problem_code read_element(struct reader *r)
{
    const sn_dtype      dtype = r->port->desc.dtype;
    struct json_cursor *c = r->c;
    const char         *at, *end;
    char               *to = api_buf_reserve(r->data, r->element_bytes);
    bool                is_integer, fits;
    int64_t             integer = 0;

    if (!to) return api_fail_buf(r->p, r->data, NULL);
    r->data->n += r->element_bytes;
    api_json_space(c);
    at = c->at;
    if (dtype == SN_BOOL) {
        *to = eat_word(c, "true");
        return *to || eat_word(c, "false") ? P_OK
                                           : unfit(r, r->shape.rank, P_DTYPE, "true or false");
    }
    end = api_number_scan(at, c->end, &is_integer);
    if (!end) {
        if (what_stands(c))
            return unfit(r, r->shape.rank, *at == '[' ? P_SHAPE : P_DTYPE, "a number");
        return api_json_expected(c, "a number", r->p);
    }
    if (dtype == SN_F32 || dtype == SN_F64) {
        fits = put_float(r, api_number_parse(at, end), to);
    } else {
        if (!is_integer)
            return fail_at(r, r->shape.rank, P_DTYPE, "an integer", "a number with a fraction");
        fits = api_number_parse_int(at, end, &integer) && put_integer(r, integer, to);
    }
    if (!fits) return out_of_range(r, at, end);
    c->at = end;
    return P_OK;
}

static enum problem_code wrong_length(struct reader *r, int depth, int64_t n)
{
    char      place[256], shape[256];
    long long want = (long long)r->shape.dim[depth];

    path(r->where, r->index, depth, place, sizeof place);
    api_port_shape_text(r->port, shape, sizeof shape);
    if (r->port->desc.shape.dim[depth] < 0)
        return api_fail(r->p, P_SHAPE, place,
                        "has %lld elements, but the arrays before it have %lld; the shape is %s",
                        (long long)n, want, shape);
    return api_fail(r->p, P_SHAPE, place, "has %lld elements instead of %lld; the shape is %s",
                    (long long)n, want, shape);
}

static enum problem_code read_level(struct reader *r, int depth)
{
    struct json_cursor *c = r->c;
    int64_t             n = 0;

    if (depth == r->shape.rank) return read_element(r);
    if (r->data->stop && atomic_load_explicit(r->data->stop, memory_order_relaxed))
        return api_fail(r->p, P_STOPPED, "", "stopped while the inputs were read");
    if (!api_json_eat(c, '[')) return unfit(r, depth, P_SHAPE, "an array");
    if (!api_json_eat(c, ']')) {
        do {
            /* Refuse here, not at the end: a long array is no reason to read it. */
            if (r->shape.dim[depth] >= 0 && n >= r->shape.dim[depth]) {
                while (n >= 0 && api_json_skip(c, r->p) == P_OK) {
                    n++;
                    if (!api_json_eat(c, ',')) return wrong_length(r, depth, n);
                }
                return r->p->code;
            }
            r->index[depth] = n++;
            if (read_level(r, depth + 1) != P_OK) return r->p->code;
        } while (api_json_eat(c, ','));
        if (!api_json_eat(c, ']')) return api_json_expected(c, "',' or ']'", r->p);
    }
    if (r->shape.dim[depth] < 0) r->shape.dim[depth] = n;
    return n == r->shape.dim[depth] ? P_OK : wrong_length(r, depth, n);
}

enum problem_code api_tensor_json_read(struct json_cursor *c, const sn_port *port,
                                       const char *where, struct api_buf *data,
                                       sn_tensor *ret_tensor, struct problem *p)
{
    struct reader r = {
        .c = c, .port = port, .where = where, .p = p, .shape = port->desc.shape, .data = data};

    r.element_bytes = sn_dtype_bytes(port->desc.dtype);
    if (port->desc.dtype == SN_F16 || port->desc.dtype == SN_BF16)
        return api_fail(p, P_DTYPE, where, "a %s tensor cannot be sent as JSON, only as %s",
                        sn_dtype_name(port->desc.dtype), "application/x-safetensors");
    if (read_level(&r, 0) != P_OK) return p->code;
    *ret_tensor = sn_tensor_dense(port->desc.dtype, &r.shape, data->at);
    return P_OK;
}

/* ---- writing ---- */

static float half(uint16_t h)
{
    const int   e = h >> 10 & 31, m = h & 1023;
    const float x = e == 31  ? (m ? NAN : INFINITY)
                    : e == 0 ? ldexpf((float)m, -24)
                             : ldexpf((float)(m + 1024), e - 25);

    return h & 0x8000 ? -x : x;
}

static float brain(uint16_t h)
{
    const uint32_t bits = (uint32_t)h << 16;
    float          x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Element i of the data as an integer, for the integer types. */
static int64_t integer_at(const sn_tensor *t, int64_t i)
{
    switch (t->dtype) {
    case SN_I64:
        return ((const int64_t *)t->data)[i];
    case SN_I32:
        return ((const int32_t *)t->data)[i];
    case SN_I16:
        return ((const int16_t *)t->data)[i];
    case SN_I8:
        return ((const int8_t *)t->data)[i];
    default:
        return ((const uint8_t *)t->data)[i];
    }
}

/* False if element i is not finite. */
static bool write_element(struct api_buf *b, const sn_tensor *t, int64_t i)
{
    char  *to = api_buf_reserve(b, API_NUMBER_BYTES);
    double x;
    float  x32;

    if (!to) return true; /* b->failed says it */
    switch (t->dtype) {
    case SN_F64:
        x = ((const double *)t->data)[i];
        if (!isfinite(x)) return false;
        b->n += api_number_double(to, x);
        return true;
    case SN_F32:
        x32 = ((const float *)t->data)[i];
        break;
    case SN_F16:
        x32 = half(((const uint16_t *)t->data)[i]);
        break;
    case SN_BF16:
        x32 = brain(((const uint16_t *)t->data)[i]);
        break;
    case SN_BOOL:
        api_buf_text(b, ((const uint8_t *)t->data)[i] ? "true" : "false");
        return true;
    default:
        b->n += (size_t)sprintf(to, "%lld", (long long)integer_at(t, i));
        return true;
    }
    if (!isfinite(x32)) return false;
    b->n += api_number_float(to, x32);
    return true;
}

struct writer {
    struct api_buf  *b;
    const sn_tensor *t;
    int64_t          at; /* the next element */
    int64_t          index[SN_MAX_RANK];
    bool             stopped;
};

static bool write_level(struct writer *w, int depth)
{
    if (depth == w->t->shape.rank) return write_element(w->b, w->t, w->at++);
    w->stopped = w->b->stop && atomic_load_explicit(w->b->stop, memory_order_relaxed);
    if (w->stopped || w->b->failed) return false;
    api_buf_byte(w->b, '[');
    for (int64_t i = 0; i < w->t->shape.dim[depth]; i++) {
        if (i) api_buf_add(w->b, ", ", 2);
        w->index[depth] = i;
        if (!write_level(w, depth + 1)) return false;
    }
    api_buf_byte(w->b, ']');
    return true;
}

enum problem_code api_tensor_json_write(struct api_buf *b, const sn_tensor *t, const char *where,
                                        struct problem *p)
{
    struct writer w = {.b = b, .t = t};
    char          place[256];

    if (write_level(&w, 0)) return P_OK;
    if (b->failed || w.stopped) return api_fail_buf(p, b, NULL);
    return api_fail(p, P_NOT_FINITE, path(where, w.index, t->shape.rank, place, sizeof place),
                    "is infinite or not a number, which JSON cannot say; send Accept: "
                    "application/x-safetensors to see it");
}
