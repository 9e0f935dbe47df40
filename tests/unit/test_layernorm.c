/* LayerNorm: the kernel against its twin, the live part of the weights on one and on
 * several axes, refusals. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kernel/layernorm.h"
#include "op/op_internal.h"
#include "support/op_call.h"

extern const sn_op sn_op_layernorm;

static void kernel_agrees_with_its_twin(void **state)
{
    enum { ROWS = 3, MOST = 67 };
    static float x[ROWS * MOST], y[ROWS * MOST], want[ROWS * MOST], weight[MOST], bias[MOST];

    (void)state;
    op_call_fill(weight, MOST, 1);
    op_call_fill(bias, MOST, 2);
    for (size_t n = 1; n <= MOST; n++)
        for (int affine = 0; affine < 4; affine++)
            for (float shift = 0.0f; shift <= 100.0f; shift += 100.0f) {
                const float *w = affine & 1 ? weight : NULL, *b = affine & 2 ? bias : NULL;

                op_call_fill(x, ROWS * MOST, (unsigned)n);
                for (int i = 0; i < ROWS * MOST; i++)
                    x[i] += shift;
                kernel_layernorm(ROWS, n, x, w, b, 1e-5f, y);
                ref_layernorm(ROWS, n, x, w, b, 1e-5f, want);
                for (size_t i = 0; i < ROWS * n; i++)
                    if (!(fabsf(y[i] - want[i]) <= 1e-5f * (1.0f + shift)))
                        fail_msg("n %zu, shift %g: %g, not %g", n, shift, y[i], want[i]);
                kernel_layernorm(ROWS, n, x, w, b, 1e-5f, x); /* in place */
                assert_memory_equal(x, y, ROWS * n * sizeof *x);
            }
}

/* ---- values ---------------------------------------------------------------------------------- */

/* clang-format off */
static const struct row {
    const char *sentence, *args;
    bool        nni;
    sn_shape    x, live;
    double      eps;
} rows[] = {
    {"one axis", "normalized_shape = 6", false, SHAPE(3, 6), SHAPE(6), 1e-5},
    {"any axes before it", "normalized_shape = 6", false, SHAPE(2, 1, 3, 6), SHAPE(6), 1e-5},
    {"no axes before it", "normalized_shape = 6", false, SHAPE(6), SHAPE(6), 1e-5},
    {"a list of one", "normalized_shape = (6)", false, SHAPE(3, 6), SHAPE(6), 1e-5},
    {"another eps", "normalized_shape = 6; eps = 0.5", false, SHAPE(3, 6), SHAPE(6), 0.5},
    {"without weights", "normalized_shape = 6; elementwise_affine = false", false, SHAPE(3, 6),
     SHAPE(6), 1e-5},
    {"a prefix", "normalized_shape = 4 of 4, 6", false, SHAPE(3, 4), SHAPE(4), 1e-5},
    {"a prefix without weights", "normalized_shape = 4 of 4, 6; elementwise_affine = false", false,
     SHAPE(3, 4), SHAPE(4), 1e-5},
    {"two axes", "normalized_shape = (2, 3)", false, SHAPE(4, 2, 3), SHAPE(2, 3), 1e-5},
    {"a prefix of each of two axes", "normalized_shape = (2, 3) of (2, 3), (4, 5)", false,
     SHAPE(4, 2, 3), SHAPE(2, 3), 1e-5},
    {"the super shape is the maximum of each axis", "normalized_shape = (2, 5) of (2, 5), (4, 3)",
     false, SHAPE(4, 2, 5), SHAPE(2, 5), 1e-5},
    {"a distribution is ignored", "normalized_shape ~ 4, 6", false, SHAPE(3, 6), SHAPE(6), 1e-5},
    {"an empty batch", "normalized_shape = 6", false, SHAPE(0, 6), SHAPE(6), 1e-5},
};
/* clang-format on */

/* Index of element i of the live part in the whole parameter. */
static int64_t whole_index(int64_t i, const sn_shape *live, const sn_tensor *whole)
{
    int64_t at = 0;

    for (int axis = live->rank - 1; axis >= 0; axis--) {
        at += i % live->dim[axis] * whole->stride[axis];
        i /= live->dim[axis];
    }
    return at;
}

static void value(void **state)
{
    const struct row *r = *state;
    const int64_t     n = op_count(&r->live);
    struct op_call    c;
    sn_error          err = {0};
    float             x[128];
    const float      *y, *weight, *bias;

    op_call_init(&c, &sn_op_layernorm, r->args, r->nni, SN_EVAL);
    if (op_call_load(&c, &err) || op_call_infer(&c, r->x, &err))
        fail_msg("%s: %s", err.where, err.text);
    assert_true(sn_shape_equal(&c.out[0].shape, &r->x));
    weight = c.whole[0].data;
    bias = c.whole[1].data;
    op_call_fill(x, COUNT(x), 9);
    y = op_call_run(&c, x);
    for (int64_t i = 0; i < op_count(&r->x); i++) {
        const float  *row = x + i / n * n;
        const int64_t at = weight ? whole_index(i % n, &r->live, &c.whole[0]) : 0;
        double        mean = 0.0, variance = 0.0, want;

        for (int64_t j = 0; j < n; j++)
            mean += row[j] / (double)n;
        for (int64_t j = 0; j < n; j++)
            variance += (row[j] - mean) * (row[j] - mean) / (double)n;
        want = (x[i] - mean) / sqrt(variance + r->eps);
        if (weight) want = want * weight[at] + bias[at];
        assert_true(fabs(y[i] - want) < 1e-5);
    }
    op_call_fini(&c);
}

/* ---- refusals -----------------------------------------------------------------------------------
 */

/* clang-format off */
static const struct refusal {
    const char *sentence, *args;
    sn_shape    x;
    sn_status   code;
    const char *where, *text;
} refusals[] = {
    {"an input that ends otherwise", "normalized_shape = (2, 3)", SHAPE(4, 3, 2), SN_E_SHAPE,
     "op.normalized_shape", "the input [4, 3, 2] does not end in the normalized shape [2, 3]"},
    {"the full width where a prefix was chosen", "normalized_shape = 4 of 4, 6", SHAPE(3, 6),
     SN_E_SHAPE, "op.normalized_shape",
     "the input [3, 6] does not end in the normalized shape [4]"},
    {"too few axes", "normalized_shape = (2, 3)", SHAPE(3), SN_E_SHAPE, "op",
     "input x [3] has too few axes, it needs 2 or more"},
    {"shapes of different rank", "normalized_shape = (3) of (2, 3), (3)", SHAPE(3), SN_E_INVALID,
     "op.normalized_shape", "(2, 3) does not fit in (3,)"},
    {"a negative size", "normalized_shape = -2 of -2, 6", SHAPE(4), SN_E_INVALID,
     "op.normalized_shape", "-2 does not fit in 6"},
    {"floats in the shape", "normalized_shape = (2.0, 3)", SHAPE(2, 3), SN_E_INVALID,
     "op.normalized_shape", "(2.0, 3) is no shape: it must be an integer or 1 to 8 integers"},
};
/* clang-format on */

static void refusal(void **state)
{
    const struct refusal *r = *state;
    struct op_call        c;
    sn_error              err = {0};
    sn_status             rc;

    op_call_init(&c, &sn_op_layernorm, r->args, false, SN_EVAL);
    rc = op_call_load(&c, &err);
    if (rc == SN_OK) rc = op_call_infer(&c, r->x, &err);
    assert_int_equal(rc, r->code);
    assert_string_equal(err.text, r->text);
    assert_string_equal(err.where, r->where);
    op_call_fini(&c);
}

int main(void)
{
    struct CMUnitTest tests[COUNT(rows) + COUNT(refusals) + 1] = {
        cmocka_unit_test(kernel_agrees_with_its_twin)};
    size_t n = 1;

    for (size_t i = 0; i < COUNT(rows); i++)
        tests[n++] = (struct CMUnitTest){rows[i].sentence, value, NULL, NULL, (void *)&rows[i]};
    for (size_t i = 0; i < COUNT(refusals); i++)
        tests[n++] =
            (struct CMUnitTest){refusals[i].sentence, refusal, NULL, NULL, (void *)&refusals[i]};
    return cmocka_run_group_tests_name("layernorm", tests, NULL, NULL);
}
