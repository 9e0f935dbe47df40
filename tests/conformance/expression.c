/* expression: cases that are expressions alone. Every result may be an error instead:
 * {"error": {...}}, and then something must be refused. */
#include "conformance.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Labels with their candidates, and what one expression is parsed over. */
struct labels {
    sn_choice *choice;
    size_t     n;
};

static bool read_labels(const json_t *table, sn_arena *mem, struct labels *ret, struct report *r)
{
    const char *label;
    json_t     *values;

    ret->n = 0;
    ret->choice = sn_arena_alloc(mem, (json_object_size(table) + 1) * sizeof *ret->choice);
    if (!ret->choice) {
        report_fail(r, "no memory");
        return false;
    }
    json_object_foreach((json_t *)table, label, values)
    {
        sn_value all;

        if (!json_is_array(values) || !value_from_json(values, mem, &all)) {
            report_fail(r, "the candidates of \"%s\" are no list", label);
            return false;
        }
        ret->choice[ret->n++] = (sn_choice){.label = label,
                                            .candidate = all.as.tuple.item,
                                            .n_candidates = all.as.tuple.n,
                                            .n_chosen = 1};
    }
    return true;
}

/* {"expr": "...", "choices": {...}}: `own` replaces the table of the case. Constructing
 * an expression includes one evaluation with the first candidates. */
static sn_status construct(const struct golden *g, const char *text, const json_t *own,
                           sn_arena *mem, sn_expr **ret_expr, sn_value *ret_dry, struct report *r,
                           sn_error *err)
{
    struct labels labels;
    sn_status     rc;

    if (!text) {
        report_fail(r, "an expression is no text");
        return SN_E_SYNTAX;
    }
    if (!read_labels(own ? own : json_object_get(g->doc, "choices"), mem, &labels, r))
        return SN_E_INVALID;
    rc = sn_expr_parse(text, labels.choice, labels.n, "expr", ret_expr, err);
    return rc == SN_OK ? sn_expr_dry_run(*ret_expr, mem, ret_dry, err) : rc;
}

/* ---- one result, or an error instead of it -------------------------------------------- */

/* True if `want` is an error; then judges what happened. False: rc is checked to be OK. */
static bool settled(const char *what, const json_t *want, sn_status rc, const sn_error *err,
                    struct report *r)
{
    const json_t *error = json_is_object(want) ? json_object_get(want, "error") : NULL;

    if (!want || (json_is_object(want) && !error)) {
        report_fail(r, "%s: the case has neither a value nor an error", what);
        return true;
    }
    if (error) {
        if (rc == SN_OK)
            report_fail(r, "%s: not refused", what);
        else
            check_refusal(error, PHASE_EVALUATE, err, r);
        return true;
    }
    if (rc != SN_OK) report_error(r, what, err);
    return rc != SN_OK;
}

static void compare_one(const char *what, const json_t *want, const sn_value *have,
                        struct report *r)
{
    char text[256], *expected;

    if (compare_value(want, have)) return;
    expected = json_dumps(want, JSON_COMPACT | JSON_ENCODE_ANY);
    report_fail(r, "%s is %s, expected %.200s", what, sn_value_text(have, text, sizeof text),
                expected ? expected : "?");
    free(expected);
}

static void check_leaves(const sn_expr *e, const json_t *want, struct report *r)
{
    const size_t n = sn_expr_n_leaves(e);

    if (json_array_size(want) != n) {
        report_fail(r, "%zu leaves, expected %zu", n, json_array_size(want));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const char *label = json_string_value(json_array_get(want, i));

        if (!label || strcmp(label, sn_expr_leaf(e, i)) != 0)
            report_fail(r, "leaf %zu is \"%s\", expected \"%s\"", i, sn_expr_leaf(e, i),
                        label ? label : "?");
    }
}

/* ---- options ----------------------------------------------------------------------------- */

static void check_options(const sn_expr *e, const json_t *want, sn_arena *mem, struct report *r)
{
    sn_option *option = NULL;
    size_t     n = 0;
    sn_error   err = {0};
    sn_status  rc = sn_expr_options(e, NULL, NULL, NULL, 0, mem, &option, &n, &err);

    if (settled("all_options", want, rc, &err, r)) return;
    if (json_array_size(want) != n)
        report_fail(r, "all_options: %zu values, expected %zu", n, json_array_size(want));
    for (size_t i = 0; i < n && i < json_array_size(want); i++)
        compare_one("an entry of all_options", json_array_get(want, i), &option[i].value, r);
}

static void compare_weighted(const json_t *want, const sn_option *have, struct report *r)
{
    const json_t *weight = json_array_get(want, 1);
    const double  w = json_number_value(weight);

    if (json_array_size(want) != 2 || !json_is_number(weight)) {
        report_fail(r, "an entry of weighted_options is no pair");
        return;
    }
    compare_one("a value of weighted_options", json_array_get(want, 0), &have->value, r);
    if (!(fabs(have->weight - w) <= 1e-6))
        report_fail(r, "a weight of weighted_options is %.9g, expected %.9g", have->weight, w);
}

static bool read_weights(const json_t *table, sn_arena *mem, const char ***ret_label,
                         const double ***ret_weights, size_t **ret_n_weights)
{
    const size_t n = json_object_size(table);
    const char  *label;
    json_t      *list;
    size_t       i = 0;

    *ret_label = sn_arena_alloc(mem, (n + 1) * sizeof **ret_label);
    *ret_weights = sn_arena_alloc(mem, (n + 1) * sizeof **ret_weights);
    *ret_n_weights = sn_arena_alloc(mem, (n + 1) * sizeof **ret_n_weights);
    if (!*ret_label || !*ret_weights || !*ret_n_weights) return false;
    json_object_foreach((json_t *)table, label, list)
    {
        double *w = sn_arena_alloc(mem, (json_array_size(list) + 1) * sizeof *w);

        if (!w) return false;
        for (size_t j = 0; j < json_array_size(list); j++)
            w[j] = json_number_value(json_array_get(list, j));
        (*ret_label)[i] = label;
        (*ret_weights)[i] = w;
        (*ret_n_weights)[i++] = json_array_size(list);
    }
    return true;
}

static void check_weighted(const struct golden *g, const sn_expr *e, sn_arena *mem,
                           struct report *r)
{
    const json_t  *want = json_object_get(g->doc, "weighted_options");
    const json_t  *table = json_object_get(g->doc, "weights");
    const char   **label;
    const double **weights;
    size_t        *n_weights, n = 0;
    sn_option     *option = NULL;
    sn_error       err = {0};
    sn_status      rc;

    if (!json_is_object(table) || !read_weights(table, mem, &label, &weights, &n_weights)) {
        report_fail(r, "weights is no mapping");
        return;
    }
    rc = sn_expr_options(e, label, weights, n_weights, json_object_size(table), mem, &option, &n,
                         &err);
    if (settled("weighted_options", want, rc, &err, r)) return;
    if (json_array_size(want) != n)
        report_fail(r, "weighted_options: %zu values, expected %zu", n, json_array_size(want));
    for (size_t i = 0; i < n && i < json_array_size(want); i++)
        compare_weighted(json_array_get(want, i), &option[i], r);
}

/* ---- evaluation ------------------------------------------------------------------------------ */

static void check_evaluate(const sn_expr *e, const json_t *entry, sn_arena *mem, struct report *r)
{
    const json_t *chosen = json_object_get(entry, "chosen");
    const json_t *want = json_object_get(entry, "value");
    const size_t  n = json_object_size(chosen);
    const char  **label = sn_arena_alloc(mem, (n + 1) * sizeof *label), *key;
    sn_value     *value = sn_arena_alloc(mem, (n + 1) * sizeof *value), result = {0};
    json_t       *v;
    size_t        i = 0;
    sn_error      err = {0};
    sn_status     rc;

    if (!json_is_object(chosen) || !label || !value) {
        report_fail(r, "an entry of evaluate lacks \"chosen\"");
        return;
    }
    json_object_foreach((json_t *)chosen, key, v)
    {
        label[i] = key;
        if (!value_from_json(v, mem, &value[i++])) {
            report_fail(r, "an entry of evaluate has an impossible value");
            return;
        }
    }
    rc = sn_expr_evaluate(e, label, value, n, mem, &result, &err);
    if (!settled("evaluate", want ? want : entry, rc, &err, r))
        compare_one("evaluate", want, &result, r);
}

static void check_constant(const sn_expr *e, const json_t *want, sn_arena *mem, struct report *r)
{
    sn_value  value = {0};
    sn_error  err = {0};
    sn_status rc = sn_expr_constant(e, mem, &value, &err);

    if (!settled("constant", want, rc, &err, r)) compare_one("constant", want, &value, r);
}

static void check_space(const sn_expr *const *e, size_t n, const json_t *want, sn_arena *mem,
                        struct report *r)
{
    sn_choice        *choices = NULL;
    const sn_choice **list;
    size_t            n_choices = 0;
    sn_error          err = {0};
    sn_status         rc = sn_expr_dedup(e, n, mem, &choices, &n_choices, &err);

    if (settled("search_space", want, rc, &err, r)) return;
    list = sn_arena_alloc(mem, (n_choices + 1) * sizeof *list);
    if (!list) {
        report_fail(r, "no memory");
        return;
    }
    for (size_t i = 0; i < n_choices; i++)
        list[i] = &choices[i];
    compare_space(want, list, n_choices, r);
}

/* ---- the three kinds of case ------------------------------------------------------------------
 */

static void check_all(const struct golden *g, sn_expr *e, const sn_value *dry, sn_arena *mem,
                      struct report *r)
{
    const json_t *evaluate = json_object_get(g->doc, "evaluate");

    check_leaves(e, json_object_get(g->doc, "leaves"), r);
    compare_one("dry_run", json_object_get(g->doc, "dry_run"), dry, r);
    check_space((const sn_expr *const *)&e, 1, json_object_get(g->doc, "search_space"), mem, r);
    check_options(e, json_object_get(g->doc, "all_options"), mem, r);
    check_weighted(g, e, mem, r);
    check_constant(e, json_object_get(g->doc, "constant"), mem, r);
    if (json_array_size(evaluate) == 0) report_fail(r, "evaluate is empty");
    for (size_t i = 0; i < json_array_size(evaluate); i++)
        check_evaluate(e, json_array_get(evaluate, i), mem, r);
}

static void run_single(const struct golden *g, sn_arena *mem, struct report *r)
{
    const json_t *error = json_object_get(g->doc, "error");
    sn_expr      *e = NULL;
    sn_value      dry = {0};
    sn_error      err = {0};
    sn_status     rc = construct(g, golden_text(g, "expr"), NULL, mem, &e, &dry, r, &err);

    if (json_is_object(error)) {
        if (rc == SN_OK)
            fail_not_refused(r, error);
        else
            check_refusal(error, PHASE_LOAD, &err, r);
    } else if (rc != SN_OK) {
        report_error(r, "construct", &err);
    } else if (strcmp(g->op, "Weights") == 0) {
        check_weighted(g, e, mem, r);
    } else {
        check_all(g, e, &dry, mem, r);
    }
    sn_expr_free(e);
}

static void run_dedup(const struct golden *g, sn_arena *mem, struct report *r)
{
    const json_t *exprs = json_object_get(g->doc, "exprs");
    const size_t  n = json_array_size(exprs);
    sn_expr     **e = sn_arena_alloc(mem, (n + 1) * sizeof *e);
    bool          ok = e != NULL;

    for (size_t i = 0; ok && i < n; i++) {
        const json_t *entry = json_array_get(exprs, i);
        sn_value      dry;
        sn_error      err = {0};

        if (construct(g, json_string_value(json_object_get(entry, "expr")),
                      json_object_get(entry, "choices"), mem, &e[i], &dry, r, &err) != SN_OK) {
            report_error(r, "construct", &err);
            ok = false;
        }
    }
    /* An error of the whole case stands where the space would. */
    if (ok)
        check_space((const sn_expr *const *)e, n,
                    json_is_null(json_object_get(g->doc, "error"))
                        ? json_object_get(g->doc, "search_space")
                        : g->doc,
                    mem, r);
    for (size_t i = 0; e && i < n; i++)
        sn_expr_free(e[i]);
}

void run_expression(const struct golden *g, struct report *r)
{
    sn_arena *mem = sn_arena_create();

    if (!mem)
        report_fail(r, "no memory");
    else if (strcmp(g->op, "Dedup") == 0)
        run_dedup(g, mem, r);
    else
        run_single(g, mem, r);
    sn_arena_free(mem);
}
