/* expr.h - values and expressions by themselves, without a supernet. */
#ifndef SUPERNET_EXPR_H
#define SUPERNET_EXPR_H

#include "supernet/supernet.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Memory for values and whatever else a call returns in pieces: nothing in it
 * is freed alone, sn_arena_free() ends all of it. */
typedef struct sn_arena sn_arena;

sn_arena *sn_arena_create(void);                       /* NULL when memory is out */
void     *sn_arena_alloc(sn_arena *a, size_t n_bytes); /* zeroed, 16-byte aligned; NULL when out */
sn_arena *sn_arena_free(sn_arena *a);

/* ---- values --------------------------------------------------------------- */

/* Python's ==: 2 == 2.0 == True for 2, 1; "1" != 1; tuples element by element. */
bool sn_value_equal(const sn_value *a, const sn_value *b);

/* Same kind and same content: tells 1, 1.0 and True apart. */
bool sn_value_same(const sn_value *a, const sn_value *b);

/* What a value holds, without a look at the union. false, NULL or 0: it is of another kind.
 * int: of an int or a bool (which counts as 0 or 1, as in Python). real: of a float, an int or a
 * bool. string: of a text; it lives as long as the value. items: of a tuple. */
sn_kind         sn_value_kind(const sn_value *v);
bool            sn_value_int(const sn_value *v, int64_t *ret_integer);
bool            sn_value_real(const sn_value *v, double *ret_real);
bool            sn_value_bool(const sn_value *v, bool *ret_bool);
const char     *sn_value_string(const sn_value *v);
size_t          sn_value_n_items(const sn_value *v);
const sn_value *sn_value_item(const sn_value *v, size_t i); /* NULL past the end */

/* ---- expressions ---------------------------------------------------------- */

typedef struct sn_expr sn_expr;

/* Parse one expression over `choices` (product of labels and constants in Python
 * syntax). Semantics are Python's, see api/spec.md; `where` is put in front of
 * error messages. The choices and their values are copied.
 * SN_E_SYNTAX with the column, SN_E_UNKNOWN_NAME for an unknown label. */
sn_status sn_expr_parse(const char *text, const sn_choice *choices, size_t n_choices,
                        const char *where, sn_expr **ret_expr, sn_error *err);
sn_expr  *sn_expr_free(sn_expr *expr);

/* The labels in reading order with repetitions, `cond` as (if_true, pred, if_false). */
size_t      sn_expr_n_leaves(const sn_expr *expr);
const char *sn_expr_leaf(const sn_expr *expr, size_t i);

/* The value with `value[i]` for `label[i]`; labels that the expression does not
 * read are ignored. Results live in `mem`.
 * SN_E_UNDECIDED: a label has no value. SN_E_NOT_CANDIDATE: a value equals no
 * candidate. SN_E_EVALUATE: what raises in Python, with its reason. */
sn_status sn_expr_evaluate(const sn_expr *expr, const char *const *label, const sn_value *value,
                           size_t n, sn_arena *mem, sn_value *ret_value, sn_error *err);

/* The value with the first candidate of every label. */
sn_status sn_expr_dry_run(const sn_expr *expr, sn_arena *mem, sn_value *ret_value, sn_error *err);

typedef struct sn_option {
    sn_value value;
    double   weight; /* 0 without weights */
} sn_option;

/* Every distinct value over all assignments, ascending; of equal ones (1, 1.0)
 * the first met, the first label varying slowest. With `weights`, weights[i] has
 * n_candidates numbers for label[i], and equal values add theirs.
 * SN_E_EVALUATE: values without a common order. SN_E_LIMIT: too many assignments. */
sn_status sn_expr_options(const sn_expr *expr, const char *const *label,
                          const double *const *weights, const size_t *n_weights, size_t n,
                          sn_arena *mem, sn_option **ret_options, size_t *ret_n, sn_error *err);

/* The only value there is; SN_E_EVALUATE if there are several. */
sn_status sn_expr_constant(const sn_expr *expr, sn_arena *mem, sn_value *ret_value, sn_error *err);

/* The labels of several expressions merged in order of first appearance.
 * SN_E_INVALID when two of them disagree about the candidates of a label. */
sn_status sn_expr_dedup(const sn_expr *const *expr, size_t n, sn_arena *mem,
                        sn_choice **ret_choices, size_t *ret_n, sn_error *err);

#ifdef __cplusplus
}
#endif
#endif
