/* Add, Mul and Mean: kernels against their twins over broadcast shapes, operators
 * over several inputs, refusals. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/eltwise.h"
#include "op/op_internal.h"
#include "support/op_call.h"

extern const sn_op sn_op_add, sn_op_mul, sn_op_mean;

enum { MOST = 512 };

/* ---- kernels and their twins -------------------------------------------------------------- */

static void sums_and_products_agree_with_their_twins(void **state)
{
    static const struct {
        int     rank;
        int64_t dim[4], stride_a[4], stride_b[4];
    } row[] = {
        {0, {0}, {0}, {0}},
        {1, {19}, {1}, {1}},
        {1, {19}, {1}, {0}},
        {1, {19}, {0}, {1}},
        {1, {19}, {2}, {3}},
        {2, {3, 5}, {5, 1}, {0, 1}},
        {2, {3, 5}, {0, 1}, {1, 0}},
        {4, {2, 3, 4, 5}, {60, 20, 5, 1}, {60, 20, 5, 1}},
        {4, {2, 3, 4, 5}, {60, 20, 5, 1}, {3, 1, 0, 0}},
        {4, {2, 3, 4, 5}, {3, 1, 0, 0}, {60, 20, 5, 1}},
        {4, {2, 3, 4, 5}, {60, 20, 5, 1}, {0, 0, 5, 1}},
        {4, {2, 3, 1, 1}, {3, 1, 0, 0}, {3, 1, 9, 9}},
        {4, {2, 0, 4, 5}, {60, 20, 5, 1}, {60, 20, 5, 1}},
    };
    static float a[MOST], b[MOST], y[MOST], want[MOST];

    (void)state;
    op_call_fill(a, MOST, 1);
    op_call_fill(b, MOST, 2);
    for (size_t i = 0; i < COUNT(row); i++) {
        kernel_add(row[i].rank, row[i].dim, a, row[i].stride_a, b, row[i].stride_b, y);
        ref_add(row[i].rank, row[i].dim, a, row[i].stride_a, b, row[i].stride_b, want);
        assert_memory_equal(y, want, sizeof y);
        kernel_mul(row[i].rank, row[i].dim, a, row[i].stride_a, b, row[i].stride_b, y);
        ref_mul(row[i].rank, row[i].dim, a, row[i].stride_a, b, row[i].stride_b, want);
        assert_memory_equal(y, want, sizeof y);
    }
}

static void means_agree_with_their_twin(void **state)
{
    static const struct {
        int     rank;
        int64_t dim[4];
    } row[] = {
        {1, {1}}, {1, {37}}, {2, {5, 33}}, {3, {4, 1, 9}}, {4, {2, 3, 4, 5}}, {4, {3, 1, 1, 7}},
    };
    static float x[MOST], y[MOST], want[MOST];

    (void)state;
    op_call_fill(x, MOST, 1);
    for (size_t i = 0; i < COUNT(row); i++)
        for (unsigned axes = 0; axes < 1u << row[i].rank; axes++) {
            memset(y, 0, sizeof y);
            memset(want, 0, sizeof want);
            kernel_mean(row[i].rank, row[i].dim, axes, x, y);
            ref_mean(row[i].rank, row[i].dim, axes, x, want);
            for (int j = 0; j < MOST; j++)
                assert_true(fabsf(y[j] - want[j]) <= 1e-6f);
        }
}

static void a_row_is_added_to_each_row(void **state)
{
    const float row[] = {1, 2, 3};
    float       y[] = {0, 0, 0, 9, 1, 1, 1, 9};

    (void)state;
    kernel_add_row(2, 3, row, y, 4);
    assert_memory_equal(y, ((float[]){1, 2, 3, 9, 2, 3, 4, 9}), sizeof y);
}

/* ---- operators ------------------------------------------------------------------------------ */

/* clang-format off */
static const struct row {
    const char *sentence;
    int         n;
    sn_shape    x[3], y;
} rows[] = {
    {"one input", 1, {SHAPE(2, 3)}, SHAPE(2, 3)},
    {"two inputs", 2, {SHAPE(2, 3), SHAPE(2, 3)}, SHAPE(2, 3)},
    {"three inputs", 3, {SHAPE(2, 3), SHAPE(2, 3), SHAPE(2, 3)}, SHAPE(2, 3)},
    {"a scale for each channel", 2, {SHAPE(2, 3, 4, 5), SHAPE(2, 3, 1, 1)}, SHAPE(2, 3, 4, 5)},
    {"the small one first", 2, {SHAPE(2, 3, 1, 1), SHAPE(2, 3, 4, 5)}, SHAPE(2, 3, 4, 5)},
    {"fewer axes", 2, {SHAPE(2, 3, 4), SHAPE(4)}, SHAPE(2, 3, 4)},
    {"both are repeated", 2, {SHAPE(3, 1), SHAPE(1, 4)}, SHAPE(3, 4)},
    {"each one along another axis", 3, {SHAPE(2, 1, 1), SHAPE(3, 1), SHAPE(4)}, SHAPE(2, 3, 4)},
    {"a number", 2, {SHAPE(2, 3), {.rank = 0}}, SHAPE(2, 3)},
    {"an empty batch", 2, {SHAPE(0, 3), SHAPE(1, 3)}, SHAPE(0, 3)},
};
/* clang-format on */

/* Element i of the result comes from this element of an input. */
static int64_t source(int64_t i, const sn_shape *y, const sn_shape *x)
{
    int64_t at = 0, stride = 1;

    for (int k = 1; k <= x->rank; k++) {
        const int64_t index = i % y->dim[y->rank - k];

        i /= y->dim[y->rank - k];
        if (x->dim[x->rank - k] != 1) at += index * stride;
        stride *= x->dim[x->rank - k];
    }
    return at;
}

static void check(const struct row *r, const sn_op *op)
{
    struct op_call c;
    sn_error       err = {0};
    sn_desc        in[3];
    sn_tensor      t[3];
    float          x[3][128];

    op_call_init(&c, op, "", false, SN_EVAL);
    for (int i = 0; i < r->n; i++) {
        op_call_fill(x[i], 128, (unsigned)i);
        in[i] = (sn_desc){SN_F32, r->x[i]};
        t[i] = sn_tensor_dense(SN_F32, &r->x[i], x[i]);
    }
    if (op_call_infer_many(&c, in, (size_t)r->n, &err)) fail_msg("%s: %s", err.where, err.text);
    assert_true(sn_shape_equal(&c.out[0].shape, &r->y));
    op_call_run_many(&c, t);
    for (int64_t i = 0; i < op_count(&r->y); i++) {
        float want = x[0][source(i, &r->y, &r->x[0])];

        for (int k = 1; k < r->n; k++) {
            const float v = x[k][source(i, &r->y, &r->x[k])];

            want = op == &sn_op_add ? want + v : want * v;
        }
        assert_float_equal(((const float *)c.result[0].data)[i], want, 0);
    }
    op_call_fini(&c);
}

static void add(void **state)
{
    check(*state, &sn_op_add);
}

static void mul(void **state)
{
    check(*state, &sn_op_mul);
}

/* clang-format off */
static const struct mean {
    const char *sentence, *args;
    sn_shape    x, y;
} means[] = {
    {"mean over one axis", "dim = 1", SHAPE(2, 3, 4), SHAPE(2, 4)},
    {"mean over a plane", "dim = (2, 3)", SHAPE(2, 3, 4, 5), SHAPE(2, 3)},
    {"mean that keeps its axes", "dim = (-1, -2); keepdim = true", SHAPE(2, 3, 4, 5),
     SHAPE(2, 3, 1, 1)},
    {"mean over axes apart", "dim = (0, 2)", SHAPE(2, 3, 4), SHAPE(3)},
    {"mean over everything", "dim = (0, 1)", SHAPE(2, 3), {.rank = 0}},
};
/* clang-format on */

static void mean(void **state)
{
    const struct mean *r = *state;
    struct op_call     c;
    sn_error           err = {0};
    float              x[MOST];
    const float       *y;
    double             total = 0.0, all = 0.0;
    const int64_t      n = op_count(&r->x), n_out = op_count(&r->y);

    op_call_fill(x, MOST, 1);
    op_call_init(&c, &sn_op_mean, r->args, false, SN_EVAL);
    if (op_call_infer(&c, r->x, &err)) fail_msg("%s: %s", err.where, err.text);
    assert_true(sn_shape_equal(&c.out[0].shape, &r->y));
    y = op_call_run(&c, x);
    /* Which numbers go where is the twin's business: here the whole adds up. */
    for (int64_t i = 0; i < n; i++)
        all += x[i] / (double)n;
    for (int64_t i = 0; i < n_out; i++)
        total += y[i] / (double)n_out;
    assert_true(fabs(all - total) < 1e-6);
    op_call_fini(&c);
}

static void the_mean_of_nothing_is_nan(void **state)
{
    struct op_call c;

    (void)state;
    op_call_init(&c, &sn_op_mean, "dim = 1", false, SN_EVAL);
    assert_int_equal(op_call_infer(&c, SHAPE(1, 0), NULL), SN_OK);
    assert_true(isnan(op_call_run(&c, (float[]){0})[0]));
    op_call_fini(&c);
}

/* ---- refusals ------------------------------------------------------------------------------- */

/* clang-format off */
static const struct refusal {
    const char  *sentence;
    const sn_op *op;
    const char  *args;
    sn_desc      x, x2; /* x2: SN_NONE if there is one input */
    sn_status    code;
    const char  *where, *text;
} refusals[] = {
    {"shapes that do not broadcast", &sn_op_add, "", {SN_F32, SHAPE(2, 3)}, {SN_F32, SHAPE(2, 4)},
     SN_E_SHAPE, "op", "input 1 of shape [2, 4] does not fit to the inputs before it, [2, 3]"},
    {"integers", &sn_op_mul, "", {SN_F32, SHAPE(2, 3)}, {SN_I64, SHAPE(2, 3)}, SN_E_DTYPE, "op",
     "input x is I64, it must be F32"},
    {"a result that cannot be counted", &sn_op_mul, "", {SN_F32, SHAPE(4294967296, 1)},
     {SN_F32, SHAPE(1, 4294967296)}, SN_E_LIMIT, "op",
     "the output would have shape [4294967296, 4294967296]"},
    {"the mean over an axis that is not there", &sn_op_mean, "dim = (1, 2)", {SN_F32, SHAPE(2, 3)},
     {0}, SN_E_SHAPE, "op.dim", "there is no axis 2 in an input of 2 axes"},
    {"the mean over an axis twice", &sn_op_mean, "dim = (1, -1)", {SN_F32, SHAPE(2, 3)}, {0},
     SN_E_INVALID, "op.dim", "(1, -1) names axis 1 twice"},
};
/* clang-format on */

static void refusal(void **state)
{
    const struct refusal *r = *state;
    const sn_desc         in[] = {r->x, r->x2};
    struct op_call        c;
    sn_error              err = {0};
    sn_status             rc;

    op_call_init(&c, r->op, r->args, false, SN_EVAL);
    rc = op_call_infer_many(&c, in, r->x2.dtype == SN_NONE ? 1 : 2, &err);
    assert_string_equal(err.text, r->text);
    assert_int_equal(rc, r->code);
    assert_string_equal(err.where, r->where);
    op_call_fini(&c);
}

int main(void)
{
    struct CMUnitTest tests[2 * COUNT(rows) + COUNT(means) + COUNT(refusals) + 4] = {
        cmocka_unit_test(sums_and_products_agree_with_their_twins),
        cmocka_unit_test(means_agree_with_their_twin),
        cmocka_unit_test(a_row_is_added_to_each_row),
        cmocka_unit_test(the_mean_of_nothing_is_nan),
    };
    size_t n = 4;

    for (size_t i = 0; i < COUNT(rows); i++) {
        tests[n++] = (struct CMUnitTest){rows[i].sentence, add, NULL, NULL, (void *)&rows[i]};
        tests[n++] = (struct CMUnitTest){rows[i].sentence, mul, NULL, NULL, (void *)&rows[i]};
    }
    for (size_t i = 0; i < COUNT(means); i++)
        tests[n++] = (struct CMUnitTest){means[i].sentence, mean, NULL, NULL, (void *)&means[i]};
    for (size_t i = 0; i < COUNT(refusals); i++)
        tests[n++] =
            (struct CMUnitTest){refusals[i].sentence, refusal, NULL, NULL, (void *)&refusals[i]};
    return cmocka_run_group_tests_name("elementwise", tests, NULL, NULL);
}
