/* expr: what can be asked of an expression with one value for every label. */
#include "space/expr.h"

#include <stdlib.h>
#include <string.h>

#include "space/code.h"

bool code_copy_choice(sn_arena *mem, const sn_choice *choice, sn_choice *ret_copy)
{
    sn_choice    copy = *choice;
    sn_value    *candidate = arena_array(mem, choice->n_candidates + 1, sizeof *candidate);
    const char **user = arena_array(mem, choice->n_users + 1, sizeof *user);

    copy.label = arena_strdup(mem, choice->label);
    if (!copy.label || !candidate || !user) return false;
    for (size_t i = 0; i < choice->n_candidates; i++)
        if (!value_copy(mem, &choice->candidate[i], &candidate[i])) return false;
    for (size_t i = 0; i < choice->n_users; i++) {
        user[i] = arena_strdup(mem, choice->user[i]);
        if (!user[i]) return false;
    }
    copy.candidate = candidate;
    copy.user = user;
    *ret_copy = copy;
    return true;
}

/* Give `e` choices of its own, those that it reads. */
static sn_status own_choices(sn_expr *e, sn_error *err)
{
    const sn_choice **label = arena_array(e->own, e->n_labels + 1, sizeof(const sn_choice *));
    sn_choice        *copy = arena_array(e->own, e->n_labels + 1, sizeof *copy);

    if (!label || !copy) return fail_no_memory(err, e->where);
    for (size_t i = 0; i < e->n_labels; i++) {
        if (!code_copy_choice(e->own, e->label[i], &copy[i])) return fail_no_memory(err, e->where);
        label[i] = &copy[i];
    }
    e->label = label;
    return SN_OK;
}

SN_EXPORT sn_status sn_expr_parse(const char *text, const sn_choice *choices, size_t n_choices,
                                  const char *where, sn_expr **ret_expr, sn_error *err)
{
    sn_arena *mem = sn_arena_create();
    sn_expr  *e = NULL;
    sn_status rc;

    if (!mem) return fail_no_memory(err, where);
    rc = code_parse(mem, text, choices, n_choices, where, &e, err);
    if (rc == SN_OK) {
        e->own = mem;
        rc = own_choices(e, err);
    }
    if (rc != SN_OK) {
        sn_arena_free(mem);
        return rc;
    }
    *ret_expr = e;
    return SN_OK;
}

SN_EXPORT sn_expr *sn_expr_free(sn_expr *expr)
{
    if (expr) sn_arena_free(expr->own); /* the expression lives in it */
    return NULL;
}

SN_EXPORT size_t sn_expr_n_leaves(const sn_expr *expr)
{
    return expr->n_leaves;
}

SN_EXPORT const char *sn_expr_leaf(const sn_expr *expr, size_t i)
{
    return expr->label[expr->leaf[i]]->label;
}

size_t expr_n_labels(const sn_expr *expr)
{
    return expr->n_labels;
}

const sn_choice *expr_label(const sn_expr *expr, size_t i)
{
    return expr->label[i];
}

const char *expr_text(const sn_expr *expr)
{
    return expr->text;
}

/* ---- evaluation ------------------------------------------------------------------ */

/* The result may point into the expression or into `value`: copy it. */
static sn_status eval_copy(const sn_expr *expr, const sn_value *const *value, sn_arena *mem,
                           sn_value *ret_value, sn_error *err)
{
    sn_value  result;
    sn_status rc;

    rc = expr_eval(expr, value, mem, &result, err);
    if (rc != SN_OK) return rc;
    return value_copy(mem, &result, ret_value) ? SN_OK : fail_no_memory(err, expr->where);
}

static sn_status check_candidate(const sn_expr *expr, const sn_choice *choice, const sn_value *v,
                                 sn_error *err)
{
    char value[120], list[600];

    for (size_t i = 0; i < choice->n_candidates; i++)
        if (sn_value_equal(&choice->candidate[i], v)) return SN_OK;
    return sn_fail(err, SN_E_NOT_CANDIDATE, expr->where,
                   "\"%.200s\" cannot be %s; candidates are %s", choice->label,
                   sn_value_text(v, value, sizeof value),
                   value_list(choice->candidate, choice->n_candidates, list, sizeof list));
}

SN_EXPORT sn_status sn_expr_evaluate(const sn_expr *expr, const char *const *label,
                                     const sn_value *value, size_t n, sn_arena *mem,
                                     sn_value *ret_value, sn_error *err)
{
    const sn_value **of = calloc(expr->n_labels + 1, sizeof(const sn_value *));
    sn_status        rc = SN_OK;

    if (!of) return fail_no_memory(err, expr->where);
    /* Every label is asked for, also those of a branch that is not taken. */
    for (size_t i = 0; i < expr->n_labels && rc == SN_OK; i++) {
        for (size_t k = 0; k < n && !of[i]; k++)
            if (strcmp(label[k], expr->label[i]->label) == 0) of[i] = &value[k];
        if (!of[i])
            rc = sn_fail(err, SN_E_UNDECIDED, expr->where, "\"%.300s\": \"%.200s\" has no value",
                         expr->text, expr->label[i]->label);
    }
    for (size_t i = 0; i < expr->n_labels && rc == SN_OK; i++)
        rc = check_candidate(expr, expr->label[i], of[i], err);
    if (rc == SN_OK) rc = eval_copy(expr, of, mem, ret_value, err);
    free(of);
    return rc;
}

SN_EXPORT sn_status sn_expr_dry_run(const sn_expr *expr, sn_arena *mem, sn_value *ret_value,
                                    sn_error *err)
{
    const sn_value **of = calloc(expr->n_labels + 1, sizeof(const sn_value *));
    sn_status        rc;

    if (!of) return fail_no_memory(err, expr->where);
    for (size_t i = 0; i < expr->n_labels; i++)
        of[i] = &expr->label[i]->candidate[0];
    rc = eval_copy(expr, of, mem, ret_value, err);
    free(of);
    return rc;
}

/* ---- several expressions ------------------------------------------------------------ */

static bool same_candidates(const sn_choice *a, const sn_choice *b)
{
    if (a->n_candidates != b->n_candidates || a->n_chosen != b->n_chosen) return false;
    for (size_t i = 0; i < a->n_candidates; i++)
        if (!sn_value_equal(&a->candidate[i], &b->candidate[i])) return false;
    return true;
}

static sn_status conflict(const char *where, const sn_choice *a, const sn_choice *b, sn_error *err)
{
    char one[300], other[300];

    return sn_fail(err, SN_E_INVALID, where, "\"%.200s\" has two lists of candidates: %s, and %s",
                   a->label, value_list(a->candidate, a->n_candidates, one, sizeof one),
                   value_list(b->candidate, b->n_candidates, other, sizeof other));
}

SN_EXPORT sn_status sn_expr_dedup(const sn_expr *const *expr, size_t n, sn_arena *mem,
                                  sn_choice **ret_choices, size_t *ret_n, sn_error *err)
{
    struct table by_label = {0};
    size_t       n_found = 0, most = 0;
    sn_choice   *found;

    for (size_t e = 0; e < n; e++)
        most += expr[e]->n_labels;
    found = arena_array(mem, most + 1, sizeof *found);
    if (!found) return fail_no_memory(err, NULL);
    for (size_t e = 0; e < n; e++) {
        for (size_t i = 0; i < expr[e]->n_labels; i++) {
            const sn_choice *c = expr[e]->label[i];
            size_t           k;

            if (table_find(&by_label, c->label, &k)) {
                if (!same_candidates(&found[k], c))
                    return conflict(expr[e]->where, &found[k], c, err);
                continue;
            }
            if (!code_copy_choice(mem, c, &found[n_found]) ||
                !table_add(&by_label, mem, found[n_found].label, n_found))
                return fail_no_memory(err, expr[e]->where);
            n_found++;
        }
    }
    *ret_choices = found;
    *ret_n = n_found;
    return SN_OK;
}

/* ---- the largest value ----------------------------------------------------------------- */

/* How many components all options have, ints standing for any number; 0 if that is
 * not one number. */
static size_t n_components(const sn_value *option, size_t n)
{
    size_t  length = 0;
    int64_t unused;

    for (size_t i = 0; i < n; i++) {
        const bool is_tuple = option[i].kind == SN_KIND_TUPLE;

        if (!is_tuple && !sn_value_int(&option[i], &unused)) return 0;
        if (!is_tuple) continue;
        if (option[i].as.tuple.n == 0 || (length != 0 && length != option[i].as.tuple.n)) return 0;
        length = option[i].as.tuple.n;
    }
    return length;
}

sn_status expr_super(const sn_value *option, size_t n, bool components, sn_arena *mem,
                     sn_value *ret_super, const char *where, sn_error *err)
{
    const size_t length = components ? n_components(option, n) : 0;
    sn_value     super = option[n - 1], *item;

    if (length > 0) {
        item = arena_array(mem, length, sizeof *item);
        if (!item) return fail_no_memory(err, where);
        for (size_t i = 0; i < n; i++) {
            const bool is_tuple = option[i].kind == SN_KIND_TUPLE;

            for (size_t k = 0; k < length; k++) {
                const sn_value *v = is_tuple ? &option[i].as.tuple.item[k] : &option[i];

                if (i == 0 || value_compare(v, &item[k]) == VALUE_GREATER) item[k] = *v;
            }
        }
        super = (sn_value){.kind = SN_KIND_TUPLE, .as.tuple = {item, length}};
    }
    return value_copy(mem, &super, ret_super) ? SN_OK : fail_no_memory(err, where);
}
