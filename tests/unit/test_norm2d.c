/* BatchNorm2d and GroupNorm: kernels against their twins, operators against formulas
 * that are written out here, running statistics, and refusals. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/base.h"
#include "kernel/norm2d.h"
#include "support/op_call.h"

extern const sn_op sn_op_batchnorm2d, sn_op_groupnorm;

enum { MOST = 4 * 8 * 64 };

/* ---- kernels and their twins -------------------------------------------------------------- */

static void moments_are_those_of_the_twin(void **state)
{
    float x[MOST];

    (void)state;
    for (int n = 1; n <= 4; n++)
        for (int plane = 1; plane <= 64; plane = 2 * plane + 1)
            for (int shift = 0; shift <= 1000; shift += 1000) {
                double mean, var, want_mean, want_var;

                op_call_fill(x, MOST, (unsigned)(n + plane));
                for (int i = 0; i < MOST; i++)
                    x[i] += (float)shift;
                kernel_moments(n, plane, plane + 3, x + 1, &mean, &var);
                ref_moments(n, plane, plane + 3, x + 1, &want_mean, &want_var);
                assert_true(fabs(mean - want_mean) <= 1e-12 * (1 + shift));
                assert_true(fabs(var - want_var) <= 1e-9);
            }
}

static void scale_and_shift_are_those_of_the_twin(void **state)
{
    float x[MOST], scale[8], shift[8], y[MOST], want[MOST];

    (void)state;
    op_call_fill(x, MOST, 1);
    op_call_fill(scale, 8, 2);
    op_call_fill(shift, 8, 3);
    for (int c = 1; c <= 8; c++)
        for (int plane = 1; plane <= 63; plane = 2 * plane + 1) {
            kernel_scale_shift(4, c, plane, x + 1, scale, shift, y + 1);
            ref_scale_shift(4, c, plane, x + 1, scale, shift, want + 1);
            for (int i = 1; i <= 4 * c * plane; i++)
                assert_true(fabsf(y[i] - want[i]) <= 2 * FLT_EPSILON);
        }
}

/* ---- values --------------------------------------------------------------------------------- */

static struct op_call *start(struct op_call *c, const sn_op *op, const char *args, sn_mode mode,
                             sn_shape x)
{
    sn_error err = {0};

    op_call_init(c, op, args, false, mode);
    if (op_call_load(c, &err) != SN_OK) fail_msg("%s: %s", err.where, err.text);
    if (op_call_infer(c, x, &err) != SN_OK) fail_msg("%s: %s", err.where, err.text);
    return c;
}

static void set(struct op_call *c, size_t k, float a, float b, float d)
{
    float *at = c->whole[k].data;

    at[0] = a;
    at[1] = b;
    at[2] = d;
}

static void running_statistics_of_a_prefix(void **state)
{
    static const float x[] = {3, 5, 1, -1};
    struct op_call     c;
    const float       *y;

    (void)state;
    op_call_init(&c, &sn_op_batchnorm2d, "num_features = 2 of 2, 3; eps = 1.0", false, SN_EVAL);
    assert_int_equal(op_call_load(&c, NULL), SN_OK);
    set(&c, 0, 2, 10, 99); /* weight, bias, mean, variance of each channel */
    set(&c, 1, 0.5f, 1, 99);
    set(&c, 2, 1, -1, 99);
    set(&c, 3, 3, 0, 99);
    assert_int_equal(op_call_infer(&c, (sn_shape){4, {1, 2, 1, 2}}, NULL), SN_OK);
    y = op_call_run(&c, x);
    assert_float_equal(y[0], (3.0f - 1) / 2 * 2 + 0.5f, 0); /* sqrt(3 + 1) = 2 */
    assert_float_equal(y[1], (5.0f - 1) / 2 * 2 + 0.5f, 0);
    assert_float_equal(y[2], (1.0f + 1) / 1 * 10 + 1, 0);
    assert_float_equal(y[3], (-1.0f + 1) / 1 * 10 + 1, 0);
    assert_float_equal(((float *)c.whole[2].data)[0], 1, 0); /* eval learns nothing */
    assert_int_equal(*(int64_t *)c.whole[4].data, 0);
    op_call_fini(&c);
}

/* Channel 0 is 0, 4, 0, 4: mean 2, variance 4, of 4 values an estimate of 16 / 3. */
static const float batch[] = {0, 4, 7, 7, 0, 4, 7, 7};

static void training_uses_and_learns_the_batch(void **state)
{
    struct op_call c;
    const float   *y;

    (void)state;
    op_call_init(&c, &sn_op_batchnorm2d, "num_features = 2 of 2, 3; eps = 0.0; momentum = 0.25",
                 false, SN_TRAIN);
    assert_int_equal(op_call_load(&c, NULL), SN_OK);
    set(&c, 0, 3, 1, 99);
    set(&c, 1, 1, 5, 99);
    set(&c, 2, 10, 7, 99);
    set(&c, 3, 4, 8, 99);
    assert_int_equal(op_call_infer(&c, (sn_shape){4, {2, 2, 1, 2}}, NULL), SN_OK);
    y = op_call_run(&c, batch);
    assert_float_equal(y[0], -3 + 1, 1e-6);
    assert_float_equal(y[1], 3 + 1, 1e-6);
    assert_true(isnan(y[2])); /* a constant channel without eps: 0 / 0, as 0 * inf */
    assert_float_equal(((float *)c.whole[2].data)[0], 0.75 * 10 + 0.25 * 2, 1e-6);
    assert_float_equal(((float *)c.whole[3].data)[0], 0.75 * 4 + 0.25 * 16 / 3, 1e-6);
    assert_float_equal(((float *)c.whole[2].data)[2], 99, 0); /* beyond the prefix */
    assert_float_equal(((float *)c.whole[3].data)[2], 99, 0);
    assert_int_equal(*(int64_t *)c.whole[4].data, 1);
    op_call_fini(&c);
}

static void a_null_momentum_averages_over_all_batches(void **state)
{
    struct op_call c;

    (void)state;
    start(&c, &sn_op_batchnorm2d, "num_features = 2; momentum = null", SN_TRAIN,
          (sn_shape){4, {2, 2, 1, 2}});
    *(int64_t *)c.whole[4].data = 3;
    ((float *)c.whole[2].data)[0] = 6;
    op_call_run(&c, batch);
    assert_int_equal(*(int64_t *)c.whole[4].data, 4);
    assert_float_equal(((float *)c.whole[2].data)[0], (3 * 6 + 2) / 4.0, 1e-6);
    op_call_fini(&c);
}

/* The original's own operation, which takes over for any choice, does not count. */
static void nni_does_not_count_batches(void **state)
{
    static const struct {
        const char *args;
        int64_t     n;
    } rows[] = {{"num_features = 2", 1}, {"num_features = 2 of 2, 3", 0}};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct op_call c;

        op_call_init(&c, &sn_op_batchnorm2d, rows[i].args, true, SN_TRAIN);
        assert_int_equal(op_call_load(&c, NULL), SN_OK);
        assert_int_equal(op_call_infer(&c, (sn_shape){4, {2, 2, 1, 2}}, NULL), SN_OK);
        op_call_run(&c, batch);
        assert_int_equal(*(int64_t *)c.whole[4].data, rows[i].n);
        op_call_fini(&c);
    }
}

static void without_tracking_the_batch_is_used_in_eval_too(void **state)
{
    struct op_call c;
    const float   *y;

    (void)state;
    start(&c, &sn_op_batchnorm2d,
          "num_features = 2 of 2, 3; affine = false; track_running_stats = false; eps = 0.0",
          SN_EVAL, (sn_shape){3, {2, 2, 2}});
    for (size_t k = 0; k < c.n_params; k++)
        assert_int_equal(c.live[k].dtype, SN_NONE);
    y = op_call_run(&c, batch);
    assert_float_equal(y[0], -1, 1e-6);
    assert_float_equal(y[5], 1, 1e-6);
    op_call_fini(&c);
}

/* Groups of two channels; only the first two of four channels and one of two groups live. */
static void groups_are_normalised_by_themselves(void **state)
{
    static const float x[] = {0, 4, 4, 0, 100, 102, 102, 100};
    struct op_call     c;
    const float       *y;

    (void)state;
    op_call_init(&c, &sn_op_groupnorm,
                 "num_groups = 1 of 1, 2; num_channels = 2 of 2, 3; eps = 0.0", false, SN_EVAL);
    assert_int_equal(op_call_load(&c, NULL), SN_OK);
    set(&c, 0, 1, 10, 99);
    set(&c, 1, 0, 5, 99);
    assert_int_equal(op_call_infer(&c, (sn_shape){4, {2, 2, 1, 2}}, NULL), SN_OK);
    y = op_call_run(&c, x);
    for (size_t i = 0; i < 8; i += 4) { /* both images, whatever their mean and size */
        assert_float_equal(y[i], -1, 1e-5);
        assert_float_equal(y[i + 1], 1, 1e-5);
        assert_float_equal(y[i + 2], 10 + 5, 1e-4);
        assert_float_equal(y[i + 3], -10 + 5, 1e-4);
    }
    op_call_fini(&c);
}

/* ---- refusals -----------------------------------------------------------------------------------
 */

static const struct refusal {
    const char  *name;
    const sn_op *op;
    const char  *args;
    bool         nni;
    sn_mode      mode;
    sn_shape     x;
    sn_status    status;
    const char  *where, *text;
} refusals[] = {
    {"batch: other channels",
     &sn_op_batchnorm2d,
     "num_features = 2 of 2, 4",
     false,
     SN_EVAL,
     {4, {1, 4, 2, 2}},
     SN_E_SHAPE,
     "op",
     "input x [1, 4, 2, 2] has 4 channels, num_features is 2"},
    {"batch: one value",
     &sn_op_batchnorm2d,
     "num_features = 2",
     false,
     SN_TRAIN,
     {4, {1, 2, 1, 1}},
     SN_E_SHAPE,
     "op",
     "the statistics of the batch need more than 1 value per channel, input x is [1, 2, 1, 1]"},
    {"batch: one value in eval, untracked",
     &sn_op_batchnorm2d,
     "num_features = 2; track_running_stats = false",
     false,
     SN_EVAL,
     {2, {1, 2}},
     SN_E_SHAPE,
     "op",
     "the statistics of the batch need more than 1 value per channel, input x is [1, 2]"},
    {"batch: a vector",
     &sn_op_batchnorm2d,
     "num_features = 2",
     false,
     SN_EVAL,
     {1, {2}},
     SN_E_SHAPE,
     "op",
     "input x [2] has too few axes, it needs 2 or more"},
    {"batch: no features",
     &sn_op_batchnorm2d,
     "num_features = 2 of 0, 2",
     false,
     SN_EVAL,
     {2, {1, 2}},
     SN_E_INVALID,
     "op.num_features",
     "0 must be an integer of at least 1"},
    {"batch, nni: a prefix without affine parameters",
     &sn_op_batchnorm2d,
     "num_features = 2 of 2, 4; affine = false",
     true,
     SN_EVAL,
     {4, {1, 2, 2, 2}},
     SN_E_UNSUPPORTED,
     "op.num_features",
     "2 of 4: without affine parameters all features must be used (compatibility nni-2.8)"},
    {"batch, nni: a null momentum",
     &sn_op_batchnorm2d,
     "num_features = 2 of 2, 4; momentum = null",
     true,
     SN_EVAL,
     {4, {1, 2, 2, 2}},
     SN_E_UNSUPPORTED,
     "op.momentum",
     "null is not supported beside choices (compatibility nni-2.8)"},
    {"group: channels that groups do not divide",
     &sn_op_groupnorm,
     "num_groups = 2; num_channels = 3 of 3, 4",
     false,
     SN_EVAL,
     {3, {1, 3, 5}},
     SN_E_SHAPE,
     "op.num_channels",
     "3 is not divisible by 2 groups"},
    {"group: the same, known at load",
     &sn_op_groupnorm,
     "num_groups = 2; num_channels = 3",
     false,
     SN_EVAL,
     {3, {1, 3, 5}},
     SN_E_INVALID,
     "op.num_channels",
     "3 is not divisible by 2 groups"},
    {"group: other channels",
     &sn_op_groupnorm,
     "num_groups = 2; num_channels = 4",
     false,
     SN_EVAL,
     {3, {1, 6, 5}},
     SN_E_SHAPE,
     "op",
     "input x [1, 6, 5] has 6 channels, num_channels is 4"},
    {"group: no groups",
     &sn_op_groupnorm,
     "num_groups = 0; num_channels = 4",
     false,
     SN_EVAL,
     {3, {1, 4, 5}},
     SN_E_INVALID,
     "op.num_groups",
     "0 must be an integer of at least 1"},
};

static void check_refusal(void **state)
{
    const struct refusal *row = *state;
    struct op_call        c;
    sn_error              err = {0};
    sn_status             rc;

    op_call_init(&c, row->op, row->args, row->nni, row->mode);
    rc = op_call_load(&c, &err);
    if (rc == SN_OK) rc = op_call_infer(&c, row->x, &err);
    assert_int_equal(rc, row->status);
    assert_string_equal(err.text, row->text);
    assert_string_equal(err.where, row->where);
    op_call_fini(&c);
}

int main(void)
{
    static const struct CMUnitTest single[] = {
        cmocka_unit_test(moments_are_those_of_the_twin),
        cmocka_unit_test(scale_and_shift_are_those_of_the_twin),
        cmocka_unit_test(running_statistics_of_a_prefix),
        cmocka_unit_test(training_uses_and_learns_the_batch),
        cmocka_unit_test(a_null_momentum_averages_over_all_batches),
        cmocka_unit_test(nni_does_not_count_batches),
        cmocka_unit_test(without_tracking_the_batch_is_used_in_eval_too),
        cmocka_unit_test(groups_are_normalised_by_themselves),
    };
    static struct CMUnitTest tests[COUNT(single) + COUNT(refusals)];
    size_t                   n = 0;

    for (; n < COUNT(single); n++)
        tests[n] = single[n];
    for (size_t i = 0; i < COUNT(refusals); i++)
        tests[n++] = (struct CMUnitTest){.name = refusals[i].name,
                                         .test_func = check_refusal,
                                         .initial_state = (void *)(uintptr_t)&refusals[i]};
    return cmocka_run_group_tests_name("norm2d", tests, NULL, NULL);
}
