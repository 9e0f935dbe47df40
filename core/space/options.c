/* options: every value that an expression can have.
 *
 * The assignments are counted like an odometer, the first label slowest. A value
 * that was met before is found by its hash, and keeps the form it was first met in:
 * of 1 and 1.0 the earlier one stays. */
#define _GNU_SOURCE /* qsort_r */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "space/code.h"

/* ---- memory that is gone at the end of a call ------------------------------------------ */

/* calloc() and free() under a budget. */
static void *take(struct budget *b, size_t n, size_t size)
{
    size_t n_bytes;
    void  *p;

    if (__builtin_mul_overflow(n + 1, size, &n_bytes) || !budget_take(b, n_bytes)) return NULL;
    p = calloc(n + 1, size);
    if (!p) budget_give(b, n_bytes);
    return p;
}

static void give(struct budget *b, void *p, size_t n, size_t size)
{
    if (p) budget_give(b, (n + 1) * size);
    free(p);
}

/* ---- the values met so far ---------------------------------------------------------- */

struct found {
    sn_arena              *mem; /* of the values kept */
    struct budget         *budget;
    const struct hash_key *key;
    sn_option             *option; /* [cap], n in the order they were met */
    size_t                 n, cap;
    uint32_t              *slot; /* [n_slots], 1 + index of an option, 0: free; open addressing */
    size_t                 n_slots; /* a power of two, more than twice n */
};

static void found_fini(struct found *f)
{
    give(f->budget, f->option, f->cap, sizeof *f->option);
    give(f->budget, f->slot, f->n_slots, sizeof *f->slot);
}

/* The slot of `v`: free, or that of the option equal to it. */
static uint32_t *find_slot(const struct found *f, const sn_value *v)
{
    size_t i = value_hash(f->key, v) & (f->n_slots - 1);

    while (f->slot[i] != 0 && !value_identical(&f->option[f->slot[i] - 1].value, v))
        i = (i + 1) & (f->n_slots - 1);
    return &f->slot[i];
}

static bool found_grow(struct found *f)
{
    struct found next = *f;

    next.cap = f->cap == 0 ? 16 : f->cap * 2;
    next.n_slots = 4 * next.cap;
    next.option = take(f->budget, next.cap, sizeof *next.option);
    next.slot = take(f->budget, next.n_slots, sizeof *next.slot);
    if (!next.option || !next.slot) {
        found_fini(&next);
        return false;
    }
    if (f->n) memcpy(next.option, f->option, f->n * sizeof *f->option);
    found_fini(f);
    *f = next;
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

enum { WALK_BYTES = 256 << 20 }; /* where the caller has set no limit */

struct walk {
    const sn_expr   *expr;
    size_t           n;     /* labels that vary, */
    size_t          *label; /* [n] which they are, */
    uint32_t        *digit; /* [n] and their candidate in this assignment */
    const sn_value **value; /* [n_labels] */
    size_t           n_assignments;
    struct budget   *budget; /* of the arena that gets the result, or else */
    struct budget    own;    /* of its own: no expression is without one */
    sn_arena        *mem;
    struct ops       ops;
};

static void walk_fini(struct walk *w)
{
    if (w->budget == &w->own) arena_limit(w->mem, NULL);
    sn_arena_free(w->ops.mem);
    free(w->label);
    free(w->digit);
    free(w->value);
}

/* `soft` and `fixed` as in expr_combos(); NULL: everything varies. */
static sn_status walk_init(struct walk *w, const sn_expr *e, const bool *soft,
                           const sn_value *const *fixed, sn_arena *mem, sn_error *err)
{
    *w = (struct walk){.expr = e, .n_assignments = 1, .mem = mem, .ops.work = CODE_WORK};
    w->own = budget_of(NULL, NULL, arena_bytes(mem) + WALK_BYTES, CODE_WORK);
    w->budget = arena_budget(mem);
    if (!w->budget && arena_limit(mem, &w->own)) w->budget = &w->own;
    w->label = calloc(e->n_labels + 1, sizeof *w->label);
    w->digit = calloc(e->n_labels + 1, sizeof *w->digit);
    w->value = calloc(e->n_labels + 1, sizeof(const sn_value *));
    w->ops.mem = sn_arena_create();
    if (!w->label || !w->digit || !w->value || !w->ops.mem || !arena_limit(w->ops.mem, w->budget))
        return fail_no_memory(err, e->where);
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
        if (!w->ops.mem || !arena_limit(w->ops.mem, w->budget))
            return fail_no_memory(err, w->expr->where);
    }
    rc = code_run(w->expr, w->value, &w->ops, ret_value, err);
    if (rc != SN_OK) return rc;
    cost = 8 + w->n + value_size(ret_value) / 4; /* of looking it up, and of going on */
    if (ops_spend(&w->ops, cost)) return SN_OK;
    return sn_fail(err, SN_E_LIMIT, w->expr->where,
                   "\"%.300s\": its values are too many or too large to list them all",
                   w->expr->text);
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

/* Steps that sorting takes. */
static uint64_t sort_cost(const struct found *f)
{
    uint64_t size = 0, cost = 0;

    for (size_t i = 0; i < f->n; i++)
        size += 4 + value_size(&f->option[i].value) / 4;
    for (size_t n = f->n; n > 1; n /= 2)
        cost += size;
    return cost;
}

/* order[i] is the option at place i of the ascending ones. */
static sn_status sort(const struct found *f, bool mixed, const sn_expr *e, uint32_t *order,
                      sn_error *err)
{
    struct sorting s = {.option = f->option, .mixed = mixed};
    sn_status      rc = budget_step(f->budget, sort_cost(f), e->where, err);
    char           a[100], b[100];

    if (rc != SN_OK) return rc;
    for (size_t i = 0; i < f->n; i++)
        order[i] = (uint32_t)i;
    qsort_r(order, f->n, sizeof *order, by_value, &s);
    if (!s.a) return SN_OK;
    return sn_fail(err, SN_E_EVALUATE, e->where,
                   "\"%.300s\" can be %s and %s, which have no common order", e->text,
                   sn_value_text(s.a, a, sizeof a), sn_value_text(s.b, b, sizeof b));
}

/* The options ascending, in its memory. rank[i], if asked for, is the place of the i-th one met. */
static sn_status ascending(const struct found *f, bool mixed, const sn_expr *e,
                           sn_option **ret_options, uint32_t *rank, sn_error *err)
{
    uint32_t  *order = take(f->budget, f->n, sizeof *order);
    sn_option *sorted = arena_array(f->mem, f->n + 1, sizeof *sorted);
    sn_status  rc = order && sorted ? sort(f, mixed, e, order, err) : fail_no_memory(err, e->where);

    for (size_t i = 0; rc == SN_OK && i < f->n; i++) {
        sorted[i] = f->option[order[i]];
        if (rank) rank[order[i]] = (uint32_t)i;
    }
    give(f->budget, order, f->n, sizeof *order);
    if (rc == SN_OK) *ret_options = sorted;
    return rc;
}

/* ---- options -------------------------------------------------------------------------------- */

/* weight[i]: those of label i, or `weight` is NULL. */
static sn_status options(const sn_expr *e, const double *const *weight, bool mixed, sn_arena *mem,
                         sn_option **ret_options, size_t *ret_n, sn_error *err)
{
    struct found f = {.mem = mem, .key = arena_hash_key(mem)};
    struct walk  w;
    sn_value     v;
    uint32_t     unused;
    sn_status    rc;

    rc = walk_init(&w, e, NULL, NULL, mem, err);
    f.budget = w.budget;
    for (size_t i = 0; i < w.n_assignments && rc == SN_OK; i++) {
        double joint = weight ? 1.0 : 0.0;

        for (size_t k = 0; k < w.n && weight; k++)
            joint *= weight[k][w.digit[k]];
        rc = walk_value(&w, &v, err);
        if (rc == SN_OK && !found_add(&f, &v, joint, &unused)) rc = fail_no_memory(err, e->where);
        walk_next(&w);
    }
    if (rc == SN_OK) rc = ascending(&f, mixed, e, ret_options, NULL, err);
    if (rc == SN_OK) *ret_n = f.n;
    found_fini(&f);
    rc = budget_settle(w.budget == &w.own ? &w.own : NULL, rc, err);
    walk_fini(&w);
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
    size_t     n = 0;
    sn_status  rc;

    rc = options(expr, NULL, mixed, mem, &option, &n, err);
    if (rc != SN_OK) return rc;
    for (size_t i = 0; i < n; i++) { /* in the same place: a value is smaller than an option */
        const sn_value value = option[i].value;

        memcpy((char *)option + i * sizeof value, &value, sizeof value);
    }
    *ret_values = (sn_value *)(void *)option;
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
    struct found f = {.mem = mem, .key = arena_hash_key(mem)};
    struct walk  w;
    uint32_t    *option = NULL, *index = NULL, *rank = NULL;
    size_t       n_ranks = 0;
    sn_value     v;
    sn_status    rc;

    rc = walk_init(&w, expr, soft, value, mem, err);
    f.budget = w.budget;
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
    if (rc == SN_OK) {
        n_ranks = f.n;
        rank = take(f.budget, n_ranks, sizeof *rank);
        rc = rank ? ascending(&f, true, expr, ret_options, rank, err)
                  : fail_no_memory(err, expr->where);
    }
    if (rc == SN_OK) {
        for (size_t i = 0; i < w.n_assignments; i++)
            option[i] = rank[option[i]];
        *ret_n_options = f.n;
        *ret_combo_option = option;
        *ret_combo_index = index;
        *ret_n_combos = w.n_assignments;
    }
    give(f.budget, rank, n_ranks, sizeof *rank);
    found_fini(&f);
    rc = budget_settle(w.budget == &w.own ? &w.own : NULL, rc, err);
    walk_fini(&w);
    return rc;
}
