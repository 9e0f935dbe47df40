/* expr: what the modules of the library may ask of an expression, beyond supernet.h.
 *
 * Labels are numbered by first appearance among the leaves: label index.
 *
 * `and`, `or`, `a if p else b` and chained comparisons evaluate as far as Python does;
 * cond() evaluates all of its arguments. sn_expr_evaluate() asks for
 * every label all the same: what it asks for does not depend on the values. */
#ifndef SPACE_EXPR_H
#define SPACE_EXPR_H

#include "base/base.h"
#include "base/table.h"
#include "supernet/supernet.h"

/* Assignments that one enumeration may visit. */
enum { EXPR_MAX_ASSIGNMENTS = 1 << 20 };

/* Distinct labels in order of first appearance. */
size_t           expr_n_labels(const sn_expr *expr);
const sn_choice *expr_label(const sn_expr *expr, size_t i);

/* The text it was parsed from. */
const char *expr_text(const sn_expr *expr);

/* The choices that an expression sees: these, and those of the scope around. Equal labels are one
 * choice, so it does not matter which is found. Nothing is copied from a scope: it may be as large
 * as the document. */
struct expr_scope {
    const sn_choice         *choice;
    size_t                   n;
    const struct table      *by_label; /* -> index; NULL: looked at one by one, for few */
    const struct expr_scope *outer;
};

/* As sn_expr_parse(), but the expression lives in `mem` and borrows the choices of `scope`. */
sn_status expr_parse_scope(sn_arena *mem, const char *text, const struct expr_scope *scope,
                           const char *where, const sn_expr **ret_expr, sn_error *err);

/* The same over a list. */
sn_status expr_parse_in(sn_arena *mem, const char *text, const sn_choice *choices, size_t n_choices,
                        const char *where, const sn_expr **ret_expr, sn_error *err);

/* The value with value[i] for label i. Candidates are not checked; NULL is undecided
 * and an error (SN_E_UNDECIDED) only if evaluation reads it. Touches `mem` only to
 * make texts and tuples; the result may also point into the expression or `value`. */
sn_status expr_eval(const sn_expr *expr, const sn_value *const *value, sn_arena *mem,
                    sn_value *ret_value, sn_error *err);

/* What a name stands for in expr_compose(): an expression, or else a constant. */
struct expr_name {
    const char     *name;
    const sn_expr  *expr; /* NULL: fixed */
    const sn_value *fixed;
};

/* Parse `text` over names instead of labels: "in_channels // groups". The result
 * has the labels of what the names stand for, and borrows their choices. */
sn_status expr_compose(sn_arena *mem, const char *text, const struct expr_name *names, size_t n,
                       const char *where, const sn_expr **ret_expr, sn_error *err);

/* Every distinct value over all assignments, ascending, in `mem`; of equal ones the
 * first met. Without a common order SN_E_EVALUATE, or with `mixed` the order of
 * value_order_any() ({3, (3, 5)} is allowed where an int stands for both components). */
sn_status expr_values(const sn_expr *expr, bool mixed, sn_arena *mem, sn_value **ret_values,
                      size_t *ret_n, sn_error *err);

/* The largest of n > 0 ascending options: the last. With `components`, and tuples of
 * one length (between which an int stands for all components): the maximum of each. */
sn_status expr_super(const sn_value *option, size_t n, bool components, sn_arena *mem,
                     sn_value *ret_super, const char *where, sn_error *err);

/* What the soft labels can make of an expression, the others being fixed.
 *
 *   soft         [n_labels]           by label index
 *   value        [n_labels]           values of the labels that are not soft
 *   options      [n_options]          distinct values, ascending, weight 0
 *   combo_option [n_combos]           which option this combination gives
 *   combo_index  [n_combos, n_soft]   candidate of each soft label, the first slowest
 */
sn_status expr_combos(const sn_expr *expr, const bool *soft, const sn_value *const *value,
                      sn_arena *mem, sn_option **ret_options, size_t *ret_n_options,
                      uint32_t **ret_combo_option, uint32_t **ret_combo_index, size_t *ret_n_combos,
                      sn_error *err);

#endif
