/* compare: expected against computed. Nothing here asks the library whether two things
 * are equal: it is the library that is on trial. */
#include "conformance.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "supernet/expr.h"
#include "supernet/weights.h"

/* ---- values ---------------------------------------------------------------------- */

bool value_from_json(const json_t *v, sn_arena *mem, sn_value *ret_value)
{
    sn_value *item;
    size_t    n;
    char     *text;

    switch (json_typeof(v)) {
    case JSON_NULL:
        *ret_value = (sn_value){.kind = SN_KIND_NULL};
        return true;
    case JSON_TRUE:
    case JSON_FALSE:
        *ret_value = (sn_value){.kind = SN_KIND_BOOL, .as.boolean = json_is_true(v)};
        return true;
    case JSON_INTEGER:
        *ret_value = (sn_value){.kind = SN_KIND_INT, .as.integer = json_integer_value(v)};
        return true;
    case JSON_REAL:
        *ret_value = (sn_value){.kind = SN_KIND_FLOAT, .as.real = json_real_value(v)};
        return true;
    case JSON_STRING:
        n = json_string_length(v);
        text = sn_arena_alloc(mem, n + 1);
        if (!text) return false;
        memcpy(text, json_string_value(v), n);
        *ret_value = (sn_value){.kind = SN_KIND_TEXT, .as.text = text};
        return true;
    case JSON_ARRAY:
        n = json_array_size(v);
        item = sn_arena_alloc(mem, (n + 1) * sizeof *item);
        if (!item) return false;
        for (size_t i = 0; i < n; i++)
            if (!value_from_json(json_array_get(v, i), mem, &item[i])) return false;
        *ret_value = (sn_value){.kind = SN_KIND_TUPLE, .as.tuple = {item, n}};
        return true;
    case JSON_OBJECT:
        break;
    }
    return false;
}

bool compare_value(const json_t *want, const sn_value *have)
{
    switch (have->kind) {
    case SN_KIND_NULL:
        return json_is_null(want);
    case SN_KIND_BOOL:
        return json_is_boolean(want) && json_is_true(want) == have->as.boolean;
    case SN_KIND_INT:
        return json_is_integer(want) && json_integer_value(want) == have->as.integer;
    case SN_KIND_FLOAT: /* 0.0 and -0.0 are equal */
        return json_is_real(want) && json_real_value(want) == have->as.real;
    case SN_KIND_TEXT:
        return json_is_string(want) && strcmp(json_string_value(want), have->as.text) == 0;
    case SN_KIND_TUPLE:
        if (!json_is_array(want) || json_array_size(want) != have->as.tuple.n) return false;
        for (size_t i = 0; i < have->as.tuple.n; i++)
            if (!compare_value(json_array_get(want, i), &have->as.tuple.item[i])) return false;
        return true;
    }
    return false;
}

/* ---- spaces ------------------------------------------------------------------------ */

static void compare_choice(const json_t *want, const sn_choice *c, struct report *r)
{
    const char    *label = json_string_value(json_object_get(want, "label"));
    const json_t  *values = json_object_get(want, "values");
    const json_t  *chosen = json_object_get(want, "chosen_size");
    const sn_value all = {.kind = SN_KIND_TUPLE, .as.tuple = {c->candidate, c->n_candidates}};
    char           text[256];

    if (!label || !values || !chosen || !json_object_get(want, "size")) {
        report_fail(r, "an entry of search_space lacks a key");
        return;
    }
    if (strcmp(label, c->label) != 0) {
        report_fail(r, "the space has the label \"%s\", expected \"%s\"", c->label, label);
        return;
    }
    if (!compare_value(values, &all))
        report_fail(r, "the candidates of \"%s\" are %s", label,
                    sn_value_text(&all, text, sizeof text));
    if ((size_t)json_integer_value(json_object_get(want, "size")) != c->n_candidates)
        report_fail(r, "\"%s\" has %zu candidates", label, c->n_candidates);
    /* null: any number, which the library writes 0 */
    if (!(json_is_null(chosen) ? c->n_chosen == 0
                               : json_is_integer(chosen) && c->n_chosen > 0 &&
                                     json_integer_value(chosen) == (json_int_t)c->n_chosen))
        report_fail(r, "a decision of \"%s\" names %zu candidates", label, c->n_chosen);
}

void compare_space(const json_t *want, const sn_choice *const *have, size_t n, struct report *r)
{
    if (!json_is_array(want)) {
        report_fail(r, "search_space is no list");
        return;
    }
    if (json_array_size(want) != n) {
        report_fail(r, "the space has %zu labels, expected %zu", n, json_array_size(want));
        return;
    }
    for (size_t i = 0; i < n; i++)
        compare_choice(json_array_get(want, i), have[i], r);
}

/* ---- tensors ------------------------------------------------------------------------- */

static double element(const sn_tensor *t, int64_t i)
{
    switch (t->dtype) {
    case SN_F32:
        return ((const float *)t->data)[i];
    case SN_I64:
        return (double)((const int64_t *)t->data)[i];
    case SN_U8:
    case SN_BOOL:
        return ((const unsigned char *)t->data)[i];
    default:
        return NAN;
    }
}

static double largest(const sn_tensor *t, int64_t n)
{
    double m = 0;

    for (int64_t i = 0; i < n; i++) {
        const double v = fabs(element(t, i));

        if (isfinite(v) && v > m) m = v;
    }
    return m;
}

static bool close_to(double want, double have, double relative, double absolute)
{
    if (isnan(want) || isnan(have)) return isnan(want) && isnan(have);
    if (isinf(want) || isinf(have)) return want == have;
    return fabs(have - want) <= absolute + relative * fabs(want);
}

void compare_tensor(const char *name, const sn_tensor *want, const sn_tensor *have,
                    struct report *r)
{
    char    text[2][128];
    double  relative, absolute, first_want = 0, first_have = 0;
    int64_t n, n_wrong = 0, first = 0;

    if (have->dtype != want->dtype) {
        report_fail(r, "%s has the type %s, expected %s", name, sn_dtype_name(have->dtype),
                    sn_dtype_name(want->dtype));
        return;
    }
    if (want->dtype != SN_F32 && want->dtype != SN_I64 && want->dtype != SN_U8 &&
        want->dtype != SN_BOOL) {
        report_fail(r, "%s has a type that no case has", name);
        return;
    }
    if (have->shape.rank != want->shape.rank ||
        memcmp(have->shape.dim, want->shape.dim,
               (size_t)want->shape.rank * sizeof want->shape.dim[0]) != 0) {
        report_fail(r, "%s has the shape %s, expected %s", name,
                    sn_shape_text(&have->shape, text[0], sizeof text[0]),
                    sn_shape_text(&want->shape, text[1], sizeof text[1]));
        return;
    }
    n = sn_shape_count(&want->shape);
    relative = want->dtype == SN_F32 ? 1e-5 : 0; /* integers: exactly */
    absolute = want->dtype == SN_F32 ? 2e-6 * fmax(1.0, largest(want, n)) : 0;
    for (int64_t i = 0; i < n; i++) {
        const double w = element(want, i), h = element(have, i);

        if (close_to(w, h, relative, absolute)) continue;
        if (n_wrong++ == 0) {
            first = i;
            first_want = w;
            first_have = h;
        }
    }
    if (n_wrong)
        report_fail(r, "%s: %lld of %lld elements differ, element %lld is %.9g, expected %.9g",
                    name, (long long)n_wrong, (long long)n, (long long)first, first_have,
                    first_want);
}
