/* Pooling: kernels against their twins over odd sizes, operators against rows that are
 * calculated by hand. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/base.h"
#include "kernel/pool.h"
#include "op/window.h"
#include "support/op_call.h"

extern const sn_op sn_op_maxpool2d, sn_op_avgpool2d, sn_op_adaptiveavgpool2d;

/* ---- kernels and their twins -------------------------------------------------------------- */

static const struct kernel_row {
    const char *name;
    int         size[2], kernel[2], stride[2], pad[2], dilation[2];
    bool        ceil;
} kernel_rows[] = {
    {"one number", {1, 1}, {1, 1}, {1, 1}, {0, 0}, {1, 1}, false},
    {"2x2 windows side by side", {6, 8}, {2, 2}, {2, 2}, {0, 0}, {1, 1}, false},
    {"a rest that is left out", {7, 9}, {2, 2}, {2, 2}, {0, 0}, {1, 1}, false},
    {"a rest that is taken in", {7, 9}, {2, 2}, {2, 2}, {0, 0}, {1, 1}, true},
    {"overlapping, padded", {7, 6}, {3, 3}, {2, 1}, {1, 1}, {1, 1}, false},
    {"overlapping, padded, hanging over", {8, 7}, {3, 5}, {2, 3}, {1, 2}, {1, 1}, true},
    {"windows with gaps between", {9, 10}, {2, 1}, {4, 3}, {1, 0}, {1, 1}, true},
    {"dilated", {9, 11}, {3, 2}, {1, 2}, {1, 1}, {3, 4}, false},
    {"dilated, hanging over", {10, 11}, {3, 3}, {3, 2}, {1, 1}, {2, 3}, true},
};

static int count(const struct kernel_row *row, int axis, int dilation)
{
    return (int)window_count_pool(row->size[axis], row->pad[axis], row->kernel[axis],
                                  row->stride[axis], dilation, row->ceil);
}

static struct pool_shape shape_of(const struct kernel_row *row, bool dilated)
{
    const int d[] = {dilated ? row->dilation[0] : 1, dilated ? row->dilation[1] : 1};

    return (struct pool_shape){.planes = 3,
                               .h = row->size[0],
                               .w = row->size[1],
                               .out_h = count(row, 0, d[0]),
                               .out_w = count(row, 1, d[1]),
                               .kernel_h = row->kernel[0],
                               .kernel_w = row->kernel[1],
                               .stride_h = row->stride[0],
                               .stride_w = row->stride[1],
                               .pad_h = row->pad[0],
                               .pad_w = row->pad[1],
                               .dilation_h = d[0],
                               .dilation_w = d[1]};
}

enum { MOST = 3 * 16 * 16 };

static void assert_same(const float *got, const float *want, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(got[i] - want[i]) <= FLT_EPSILON * fabsf(want[i])) &&
            !(isnan(got[i]) && isnan(want[i])))
            fail_msg("element %zu: got %.9g, want %.9g", i, (double)got[i], (double)want[i]);
}

static void check_kernel(void **state)
{
    const struct kernel_row *row = *state;
    struct pool_shape        s = shape_of(row, true);
    float                    x[MOST], y[MOST], want[MOST];

    op_call_fill(x, MOST, 1);
    for (int nan = 0; nan < 2; nan++) {
        if (nan) x[(size_t)s.h * (size_t)s.w + 0] = NAN;
        kernel_max_pool(&s, x, y);
        ref_max_pool(&s, x, want);
        assert_same(y, want, (size_t)(s.planes * s.out_h * s.out_w));
    }
    op_call_fill(x, MOST, 2);
    s = shape_of(row, false);
    for (int count_pad = 0; count_pad < 2; count_pad++)
        for (double divisor = 0.0; divisor < 8.0; divisor += 7.0) {
            kernel_avg_pool(&s, count_pad, divisor, x, y);
            ref_avg_pool(&s, count_pad, divisor, x, want);
            assert_same(y, want, (size_t)(s.planes * s.out_h * s.out_w));
        }
}

static void adaptive_parts_are_those_of_the_twin(void **state)
{
    float x[MOST], y[MOST], want[MOST];

    (void)state;
    op_call_fill(x, MOST, 1);
    for (int h = 1; h <= 9; h += 2)
        for (int w = 1; w <= 10; w += 3)
            for (int out_h = 1; out_h <= 11; out_h += 2)
                for (int out_w = 1; out_w <= 7; out_w += 3) {
                    kernel_adaptive_avg_pool(3, h, w, out_h, out_w, x, y);
                    ref_adaptive_avg_pool(3, h, w, out_h, out_w, x, want);
                    assert_same(y, want, (size_t)(3 * out_h * out_w));
                }
}

/* ---- operators, calculated by hand ----------------------------------------------------------- */

/* The input is 1, 2, 3, ... */
static const struct row {
    const char  *name;
    const sn_op *op;
    const char  *args;
    sn_shape     x, y;
    float        first[6];
} rows[] = {
    {"max: the stride is the kernel",
     &sn_op_maxpool2d,
     "kernel_size = 2",
     {4, {1, 1, 2, 4}},
     {4, {1, 1, 1, 2}},
     {6, 8}},
    {"max: one image without a batch",
     &sn_op_maxpool2d,
     "kernel_size = (1, 2); stride = 1",
     {3, {2, 1, 3}},
     {3, {2, 1, 2}},
     {2, 3, 5, 6}},
    {"max: the padding never wins",
     &sn_op_maxpool2d,
     "kernel_size = 3; stride = 2; padding = 1",
     {4, {1, 1, 1, 3}},
     {4, {1, 1, 1, 2}},
     {2, 3}},
    {"max: dilated",
     &sn_op_maxpool2d,
     "kernel_size = (1, 2); stride = 1; dilation = 2",
     {4, {1, 1, 1, 4}},
     {4, {1, 1, 1, 2}},
     {3, 4}},
    {"max: ceil_mode takes the rest in",
     &sn_op_maxpool2d,
     "kernel_size = (1, 2); ceil_mode = true",
     {4, {1, 1, 1, 5}},
     {4, {1, 1, 1, 3}},
     {2, 4, 5}},
    {"max: a window must not start in the padding behind",
     &sn_op_maxpool2d,
     "kernel_size = (1, 2); stride = 3; padding = (0, 1); ceil_mode = true",
     {4, {1, 1, 1, 2}},
     {4, {1, 1, 1, 1}},
     {1}},
    {"avg: the padding counts",
     &sn_op_avgpool2d,
     "kernel_size = (1, 2); padding = (0, 1)",
     {4, {1, 1, 1, 2}},
     {4, {1, 1, 1, 2}},
     {0.5f, 1.0f}},
    {"avg: the padding does not count",
     &sn_op_avgpool2d,
     "kernel_size = (1, 2); padding = (0, 1); count_include_pad = false",
     {4, {1, 1, 1, 2}},
     {4, {1, 1, 1, 2}},
     {1, 2}},
    {"avg: what hangs over the padding does not count",
     &sn_op_avgpool2d,
     "kernel_size = (1, 3); stride = (1, 3); padding = (0, 1); ceil_mode = true",
     {4, {1, 1, 1, 4}},
     {4, {1, 1, 1, 2}},
     {1, (3.0f + 4.0f) / 3.0f}},
    {"avg: hanging over without padding",
     &sn_op_avgpool2d,
     "kernel_size = (1, 3); ceil_mode = true",
     {4, {1, 1, 1, 5}},
     {4, {1, 1, 1, 2}},
     {2, 4.5f}},
    {"avg: another divisor",
     &sn_op_avgpool2d,
     "kernel_size = (1, 2); divisor_override = -1",
     {4, {1, 1, 1, 2}},
     {4, {1, 1, 1, 1}},
     {-3}},
    {"adaptive: the mean of all",
     &sn_op_adaptiveavgpool2d,
     "output_size = 1",
     {4, {1, 2, 1, 3}},
     {4, {1, 2, 1, 1}},
     {2, 5}},
    {"adaptive: parts overlap",
     &sn_op_adaptiveavgpool2d,
     "output_size = (null, 2)",
     {4, {1, 1, 2, 3}},
     {4, {1, 1, 2, 2}},
     {1.5f, 2.5f, 4.5f, 5.5f}},
    {"adaptive: larger than the image",
     &sn_op_adaptiveavgpool2d,
     "output_size = (1, 3)",
     {3, {1, 1, 2}},
     {3, {1, 1, 3}},
     {1, 1.5f, 2}},
};

static void check_row(void **state)
{
    const struct row *row = *state;
    struct op_call    c;
    sn_error          err = {0};
    float             x[16];
    const float      *y;

    op_call_init(&c, row->op, row->args, false, SN_EVAL);
    for (size_t i = 0; i < COUNT(x); i++)
        x[i] = (float)(i + 1);
    if (op_call_load(&c, &err) != SN_OK) fail_msg("%s: %s", err.where, err.text);
    if (op_call_infer(&c, row->x, &err) != SN_OK) fail_msg("%s: %s", err.where, err.text);
    assert_true(sn_shape_equal(&c.out[0].shape, &row->y));
    y = op_call_run(&c, x);
    for (int64_t i = 0; i < sn_shape_count(&row->y); i++)
        assert_float_equal(y[i], row->first[i], 0.0f);
    op_call_fini(&c);
}

/* ---- refusals -----------------------------------------------------------------------------------
 */

static const struct refusal {
    const char  *name;
    const sn_op *op;
    const char  *args;
    sn_shape     x;
    sn_status    status;
    const char  *where, *text;
} refusals[] = {
    {"max: indices",
     &sn_op_maxpool2d,
     "kernel_size = 2; return_indices = true",
     {4, {1, 1, 4, 4}},
     SN_E_UNSUPPORTED,
     "op.return_indices",
     "True is not supported: there is one output, the largest values"},
    {"max: no window",
     &sn_op_maxpool2d,
     "kernel_size = 5",
     {4, {1, 1, 9, 4}},
     SN_E_SHAPE,
     "op.kernel_size",
     "no window of 5 with dilation 1 fits into 4 elements with padding 0"},
    {"max: a padding without the image",
     &sn_op_maxpool2d,
     "kernel_size = 3; padding = 2",
     {4, {1, 1, 4, 4}},
     SN_E_INVALID,
     "op.padding",
     "2 is more than half of the kernel of 3"},
    {"max: a stride of 0",
     &sn_op_maxpool2d,
     "kernel_size = 2; stride = (0, 1)",
     {4, {1, 1, 4, 4}},
     SN_E_INVALID,
     "op.stride",
     "(0, 1) must be at least 1"},
    {"max: one bad option",
     &sn_op_maxpool2d,
     "kernel_size = 2 of -1, 2",
     {4, {1, 1, 4, 4}},
     SN_E_INVALID,
     "op.kernel_size",
     "-1 must be at least 1"},
    {"avg: no divisor",
     &sn_op_avgpool2d,
     "kernel_size = 2; divisor_override = 0",
     {4, {1, 1, 4, 4}},
     SN_E_INVALID,
     "op.divisor_override",
     "0 cannot divide: leave it null"},
    {"avg: an empty image",
     &sn_op_avgpool2d,
     "kernel_size = 2",
     {4, {1, 1, 0, 4}},
     SN_E_SHAPE,
     "op",
     "input x [1, 1, 0, 4] has no elements"},
    {"adaptive: nothing comes out",
     &sn_op_adaptiveavgpool2d,
     "output_size = (1, 0)",
     {4, {1, 1, 4, 4}},
     SN_E_INVALID,
     "op.output_size",
     "(1, 0) must be an integer from 1, or a pair of them with null for an axis that keeps its "
     "size"},
    {"adaptive: five axes",
     &sn_op_adaptiveavgpool2d,
     "output_size = 1",
     {5, {1, 1, 1, 4, 4}},
     SN_E_SHAPE,
     "op",
     "input x [1, 1, 1, 4, 4] must be [N, C, H, W], or [C, H, W] for a single image"},
};

static void check_refusal(void **state)
{
    const struct refusal *row = *state;
    struct op_call        c;
    sn_error              err = {0};
    sn_status             rc;

    op_call_init(&c, row->op, row->args, false, SN_EVAL);
    rc = op_call_load(&c, &err);
    if (rc == SN_OK) rc = op_call_infer(&c, row->x, &err);
    assert_int_equal(rc, row->status);
    assert_string_equal(err.text, row->text);
    assert_string_equal(err.where, row->where);
    op_call_fini(&c);
}

#define ADD(rows, function)                                                                        \
    for (size_t i = 0; i < COUNT(rows); i++)                                                       \
        tests[n++] = (struct CMUnitTest)                                                           \
        {                                                                                          \
            .name = (rows)[i].name, .test_func = (function),                                       \
            .initial_state = (void *)(uintptr_t) & (rows)[i]                                       \
        }

int main(void)
{
    static struct CMUnitTest tests[COUNT(kernel_rows) + COUNT(rows) + COUNT(refusals) + 1];
    size_t                   n = 0;

    ADD(kernel_rows, check_kernel);
    ADD(rows, check_row);
    ADD(refusals, check_refusal);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(adaptive_parts_are_those_of_the_twin);
    return cmocka_run_group_tests_name("pool2d", tests, NULL, NULL);
}
