/* options: every value that an expression can have.
 *
 * The assignments are counted like an odometer, the first label slowest. A value
 * that was met before is found by its hash, and keeps the form it was first met in:
 * of 1 and 1.0 the earlier one stays. */
#define _GNU_SOURCE /* qsort_r */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "space/code.h"

/* ---- the values met so far ---------------------------------------------------------- */

struct found {
    sn_arena  *mem;    /* of the values kept */
    sn_option *option; /* [n] in the order they were met */
    size_t     n, cap;
    uint32_t  *slot;    /* [n_slots], 1 + index of an option, 0: free; open addressing */
    size_t     n_slots; /* a power of two, more than twice n */
};

static void found_fini(struct found *f)
{
    free(f->option);
    free(f->slot);
}

/* The slot of `v`: free, or that of the option equal to it. */
static uint32_t *find_slot(const struct found *f, const sn_value *v)
{
    size_t i = value_hash(v) & (f->n_slots - 1);

    while (f->slot[i] != 0 && !sn_value_equal(&f->option[f->slot[i] - 1].value, v))
        i = (i + 1) & (f->n_slots - 1);
    return &f->slot[i];
}

static bool found_grow(struct found *f)
{
    const size_t cap = f->cap == 0 ? 16 : f->cap * 2;
    sn_option   *option = realloc(f->option, cap * sizeof *option);
    uint32_t    *slot = calloc(4 * cap, sizeof *slot);

    if (option) f->option = option;
    if (!option || !slot) {
        free(slot);
        return false;
    }
    free(f->slot);
    f->slot = slot;
    f->n_slots = 4 * cap;
    f->cap = cap;
    for (size_t i = 0; i < f->n; i++)
        *find_slot(f, &f->option[i].value) = (uint32_t)i + 1;
    return true;
}

/* Remember `v`, or add to the weight of the value equal to it; false: no memory. */
static bool found_add(struct found *f, const sn_value *v, double weight, uint32_t *ret_i)
{
    uint32_t *slot;

    if (f->n == f->cap && !found_grow(f)) return false;
    slot = find_slot(f, v);
    if (*slot == 0) {
        f->option[f->n] = (sn_option){.weight = 0.0};
        if (!value_copy(f->mem, v, &f->option[f->n].value)) return false;
        *slot = (uint32_t)++f->n;
    }
    f->option[*slot - 1].weight += weight;
    *ret_i = *slot - 1;
    return true;
}

/* ---- all assignments ------------------------------------------------------------------ */

struct walk {
    const sn_expr   *expr;
    size_t           n;     /* labels that vary, */
    size_t          *label; /* [n] which they are, */
    uint32_t        *digit; /* [n] and their candidate in this assignment */
    const sn_value **value; /* [n_labels] */
    size_t           n_assignments;
    struct ops       ops;
};

static void walk_fini(struct walk *w)
{
    sn_arena_free(w->ops.mem);
    free(w->label);
    free(w->digit);
    free(w->value);
}

/* `soft` and `fixed` as in expr_combos(); NULL: everything varies. */
static sn_status walk_init(struct walk *w, const sn_expr *e, const bool *soft,
                           const sn_value *const *fixed, sn_error *err)
{
    *w = (struct walk){.expr = e, .n_assignments = 1, .ops.work = CODE_WORK};
    w->label = calloc(e->n_labels + 1, sizeof *w->label);
    w->digit = calloc(e->n_labels + 1, sizeof *w->digit);
    w->value = calloc(e->n_labels + 1, sizeof(const sn_value *));
    w->ops.mem = sn_arena_create();
    if (!w->label || !w->digit || !w->value || !w->ops.mem) return fail_no_memory(err, e->where);
    for (size_t i = 0; i < e->n_labels; i++) {
        const size_t n = e->label[i]->n_candidates;

        if (soft && !soft[i]) {
            w->value[i] = fixed[i];
            continue;
        }
        w->label[w->n++] = i;
        w->value[i] = e->label[i]->candidate;
        if (__builtin_mul_overflow(w->n_assignments, n, &w->n_assignments) ||
            w->n_assignments > EXPR_MAX_ASSIGNMENTS)
            return sn_fail(err, SN_E_LIMIT, e->where,
                           "\"%.300s\" has more than %d assignments of its %zu labels", e->text,
                           EXPR_MAX_ASSIGNMENTS, e->n_labels);
    }
    return SN_OK;
}

/* The value of the assignment the odometer shows; lives until the next call. */
static sn_status walk_value(struct walk *w, sn_value *ret_value, sn_error *err)
{
    sn_status rc;
    size_t    cost;

    if (arena_bytes(w->ops.mem) > 1 << 20) { /* texts and tuples of values long judged */
        w->ops.mem = sn_arena_free(w->ops.mem);
        w->ops.mem = sn_arena_create();
        if (!w->ops.mem) return fail_no_memory(err, w->expr->where);
    }
    rc = code_run(w->expr, w->value, &w->ops, ret_value, err);
    if (rc != SN_OK) return rc;
    cost = value_size(ret_value) / 8; /* of looking it up */
    if (cost > w->ops.work)
        return sn_fail(err, SN_E_LIMIT, w->expr->where,
                       "\"%.300s\": its values are too large to list them all", w->expr->text);
    w->ops.work -= cost;
    return SN_OK;
}

static void walk_next(struct walk *w)
{
    for (size_t k = w->n; k-- > 0;) {
        const sn_choice *c = w->expr->label[w->label[k]];

        if (++w->digit[k] == c->n_candidates) w->digit[k] = 0;
        w->value[w->label[k]] = &c->candidate[w->digit[k]];
        if (w->digit[k] != 0) return;
    }
}

/* ---- order ------------------------------------------------------------------------------ */

struct sorting {
    const sn_option *option;
    const sn_value  *a, *b; /* two that have no common order */
    bool             mixed;
};

static int by_value(const void *x, const void *y, void *cls)
{
    struct sorting  *s = cls;
    const sn_value  *a = &s->option[*(const uint32_t *)x].value;
    const sn_value  *b = &s->option[*(const uint32_t *)y].value;
    enum value_order order = value_compare(a, b);

    if (order == VALUE_NO_ORDER && s->mixed) return value_compare_any(a, b);
    if (order == VALUE_NO_ORDER || order == VALUE_UNORDERED) {
        s->a = a;
        s->b = b;
        return 0;
    }
    return order;
}

/* The options ascending, in `mem`. rank[i] is the place of the i-th one met. */
static sn_status sort(const struct found *f, bool mixed, sn_arena *mem, const sn_expr *e,
                      sn_option **ret_options, uint32_t **ret_rank, sn_error *err)
{
    uint32_t      *order = calloc(f->n + 1, sizeof *order);
    uint32_t      *rank = arena_array(mem, f->n + 1, sizeof *rank);
    sn_option     *sorted = arena_array(mem, f->n + 1, sizeof *sorted);
    struct sorting s = {.option = f->option, .mixed = mixed};
    sn_status      rc = SN_OK;
    char           a[100], b[100];

    if (!order || !rank || !sorted) {
        free(order);
        return fail_no_memory(err, e->where);
    }
    for (size_t i = 0; i < f->n; i++)
        order[i] = (uint32_t)i;
    qsort_r(order, f->n, sizeof *order, by_value, &s);
    for (size_t i = 0; i < f->n; i++) {
        sorted[i] = f->option[order[i]];
        rank[order[i]] = (uint32_t)i;
    }
    if (s.a)
        rc = sn_fail(err, SN_E_EVALUATE, e->where,
                     "\"%.300s\" can be %s and %s, which have no common order", e->text,
                     sn_value_text(s.a, a, sizeof a), sn_value_text(s.b, b, sizeof b));
    free(order);
    if (rc != SN_OK) return rc;
    *ret_options = sorted;
    if (ret_rank) *ret_rank = rank;
    return SN_OK;
}

/* ---- options -------------------------------------------------------------------------------- */

/* weight[i]: those of label i, or `weight` is NULL. */
static sn_status options(const sn_expr *e, const double *const *weight, bool mixed, sn_arena *mem,
                         sn_option **ret_options, size_t *ret_n, sn_error *err)
{
    struct found f = {.mem = mem};
    struct walk  w;
    sn_value     v;
    uint32_t     unused;
    sn_status    rc;

    rc = walk_init(&w, e, NULL, NULL, err);
    for (size_t i = 0; i < w.n_assignments && rc == SN_OK; i++) {
        double joint = weight ? 1.0 : 0.0;

        for (size_t k = 0; k < w.n && weight; k++)
            joint *= weight[k][w.digit[k]];
        rc = walk_value(&w, &v, err);
        if (rc == SN_OK && !found_add(&f, &v, joint, &unused)) rc = fail_no_memory(err, e->where);
        walk_next(&w);
    }
    if (rc == SN_OK) rc = sort(&f, mixed, mem, e, ret_options, NULL, err);
    if (rc == SN_OK) *ret_n = f.n;
    walk_fini(&w);
    found_fini(&f);
    return rc;
}

SN_EXPORT sn_status sn_expr_options(const sn_expr *expr, const char *const *label,
                                    const double *const *weights, const size_t *n_weights, size_t n,
                                    sn_arena *mem, sn_option **ret_options, size_t *ret_n,
                                    sn_error *err)
{
    const double **of = NULL;
    sn_status      rc = SN_OK;

    if (weights) {
        of = calloc(expr->n_labels + 1, sizeof(const double *));
        if (!of) return fail_no_memory(err, expr->where);
    }
    for (size_t i = 0; i < expr->n_labels && of && rc == SN_OK; i++) {
        const sn_choice *c = expr->label[i];
        size_t           k = 0;

        while (k < n && strcmp(label[k], c->label) != 0)
            k++;
        if (k == n)
            rc = sn_fail(err, SN_E_UNDECIDED, expr->where, "\"%.200s\" has no weights", c->label);
        else if (n_weights[k] != c->n_candidates)
            rc = sn_fail(err, SN_E_INVALID, expr->where,
                         "\"%.200s\" has %zu candidates, and %zu weights were given", c->label,
                         c->n_candidates, n_weights[k]);
        else
            of[i] = weights[k];
    }
    if (rc == SN_OK) rc = options(expr, of, false, mem, ret_options, ret_n, err);
    free(of);
    return rc;
}

sn_status expr_values(const sn_expr *expr, bool mixed, sn_arena *mem, sn_value **ret_values,
                      size_t *ret_n, sn_error *err)
{
    sn_option *option;
    sn_value  *value;
    size_t     n = 0;
    sn_status  rc;

    rc = options(expr, NULL, mixed, mem, &option, &n, err);
    if (rc != SN_OK) return rc;
    value = arena_array(mem, n, sizeof *value);
    if (!value) return fail_no_memory(err, expr->where);
    for (size_t i = 0; i < n; i++)
        value[i] = option[i].value;
    *ret_values = value;
    *ret_n = n;
    return SN_OK;
}

SN_EXPORT sn_status sn_expr_constant(const sn_expr *expr, sn_arena *mem, sn_value *ret_value,
                                     sn_error *err)
{
    sn_value *value;
    size_t    n;
    char      list[600];
    sn_status rc;

    rc = expr_values(expr, true, mem, &value, &n, err);
    if (rc != SN_OK) return rc;
    if (n != 1)
        return sn_fail(err, SN_E_EVALUATE, expr->where,
                       "\"%.300s\" is not constant; its values are %s", expr->text,
                       value_list(value, n, list, sizeof list));
    *ret_value = value[0];
    return SN_OK;
}

/* ---- combinations ------------------------------------------------------------------------------
 */

sn_status expr_combos(const sn_expr *expr, const bool *soft, const sn_value *const *value,
                      sn_arena *mem, sn_option **ret_options, size_t *ret_n_options,
                      uint32_t **ret_combo_option, uint32_t **ret_combo_index, size_t *ret_n_combos,
                      sn_error *err)
{
    struct found f = {.mem = mem};
    struct walk  w;
    uint32_t    *option = NULL, *index = NULL, *rank = NULL;
    sn_value     v;
    sn_status    rc;

    rc = walk_init(&w, expr, soft, value, err);
    if (rc == SN_OK) {
        option = arena_array(mem, w.n_assignments, sizeof *option);
        index = arena_array(mem, w.n_assignments * (w.n + 1), sizeof *index);
        if (!option || !index) rc = fail_no_memory(err, expr->where);
    }
    for (size_t i = 0; i < w.n_assignments && rc == SN_OK; i++) {
        memcpy(index + i * w.n, w.digit, w.n * sizeof *index);
        rc = walk_value(&w, &v, err);
        if (rc == SN_OK && !found_add(&f, &v, 0.0, &option[i]))
            rc = fail_no_memory(err, expr->where);
        walk_next(&w);
    }
    if (rc == SN_OK) rc = sort(&f, true, mem, expr, ret_options, &rank, err);
    if (rc == SN_OK) {
        for (size_t i = 0; i < w.n_assignments; i++)
            option[i] = rank[option[i]];
        *ret_n_options = f.n;
        *ret_combo_option = option;
        *ret_combo_index = index;
        *ret_n_combos = w.n_assignments;
    }
    walk_fini(&w);
    found_fini(&f);
    return rc;
}
