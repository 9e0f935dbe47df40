/* Activations and softmax: kernels against their twins, known values, operators. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/activation.h"
#include "kernel/softmax.h"
#include "op/op_internal.h"
#include "support/op_call.h"

extern const sn_op sn_op_relu, sn_op_relu6, sn_op_hardswish, sn_op_hardsigmoid, sn_op_silu,
    sn_op_sigmoid, sn_op_tanh, sn_op_gelu, sn_op_softmax;

/* ---- kernels and their twins -------------------------------------------------------------- */

/* clang-format off */
static const struct activation {
    const char        *sentence;
    kernel_activation *kernel, *twin;
    const sn_op       *op;
    const char        *args;
    float              at_one, at_minus_four; /* from PyTorch */
} activations[] = {
    {"relu", kernel_relu, ref_relu, &sn_op_relu, "", 1.0f, 0.0f},
    {"relu in place", kernel_relu, ref_relu, &sn_op_relu, "inplace = true", 1.0f, 0.0f},
    {"relu6", kernel_relu6, ref_relu6, &sn_op_relu6, "", 1.0f, 0.0f},
    {"hardswish", kernel_hardswish, ref_hardswish, &sn_op_hardswish, "", 0.6666667f, 0.0f},
    {"hardsigmoid", kernel_hardsigmoid, ref_hardsigmoid, &sn_op_hardsigmoid, "", 0.6666667f, 0.0f},
    {"silu", kernel_silu, ref_silu, &sn_op_silu, "", 0.7310586f, -0.07194484f},
    {"sigmoid", kernel_sigmoid, ref_sigmoid, &sn_op_sigmoid, "", 0.7310586f, 0.01798621f},
    {"tanh", kernel_tanh, ref_tanh, &sn_op_tanh, "", 0.7615942f, -0.9993293f},
    {"gelu", kernel_gelu, ref_gelu, &sn_op_gelu, "", 0.8413447f, -1.267e-4f},
    {"gelu by tanh", kernel_gelu_tanh, ref_gelu_tanh, &sn_op_gelu, "approximate = tanh",
     0.841192f, -7.02e-5f},
};
/* clang-format on */

static bool same(float a, float b, float tolerance)
{
    return (isnan(a) && isnan(b)) || a == b || fabsf(a - b) <= tolerance;
}

static void kernel_agrees_with_its_twin(void **state)
{
    static const float       special[] = {0.0f,    -0.0f,    3.0f,    -3.0f,  6.0f,     88.0f,
                                          -88.0f,  100.0f,   -100.0f, 1e-30f, -1e-30f,  1e30f,
                                          FLT_MAX, -FLT_MAX, NAN,     -NAN,   INFINITY, FLT_MIN};
    const struct activation *a = *state;
    enum { N = 4001 };
    static float x[N + COUNT(special)], y[N + COUNT(special)], want[N + COUNT(special)];
    const size_t n = COUNT(x);

    for (int i = 0; i < N; i++)
        x[i] = (float)(i - N / 2) / 100.0f;
    memcpy(x + N, special, sizeof special);
    a->kernel(n, x, y);
    a->twin(n, x, want);
    for (size_t i = 0; i < n; i++)
        if (!same(y[i], want[i], 4 * FLT_EPSILON * fmaxf(1.0f, fabsf(want[i]))))
            fail_msg("f(%g) is %g, not %g", x[i], y[i], want[i]);
    a->kernel(n, x, x); /* in place */
    assert_memory_equal(x, y, sizeof x);
}

static void kernel_writes_no_more_than_asked(void **state)
{
    const struct activation *a = *state;
    float                    x[20], y[20];

    op_call_fill(x, 20, 1);
    for (size_t n = 0; n < 20; n++) {
        memset(y, 0x55, sizeof y);
        a->kernel(n, x, y);
        for (size_t i = n; i < 20; i++)
            assert_memory_equal(&y[i], &(uint32_t){0x55555555}, sizeof y[i]);
    }
}

static void operator_has_the_values_of_pytorch(void **state)
{
    const struct activation *a = *state;
    const float              x[] = {1.0f, -4.0f};
    const float             *y;
    struct op_call           c;

    op_call_init(&c, a->op, a->args, false, SN_EVAL);
    assert_int_equal(op_call_load(&c, NULL), SN_OK);
    assert_int_equal(op_call_infer(&c, SHAPE(1, 2, 1), NULL), SN_OK);
    assert_true(sn_shape_equal(&c.out[0].shape, &SHAPE(1, 2, 1)));
    y = op_call_run(&c, x);
    assert_float_equal(y[0], a->at_one, 1e-6);
    assert_float_equal(y[1], a->at_minus_four, 1e-6);
    op_call_fini(&c);
}

static void operator_refuses_integers(void **state)
{
    const struct activation *a = *state;
    const sn_desc            x = {SN_I64, SHAPE(2)};
    struct op_call           c;
    sn_error                 err = {0};

    op_call_init(&c, a->op, a->args, false, SN_EVAL);
    assert_int_equal(op_call_infer_many(&c, &x, 1, &err), SN_E_DTYPE);
    assert_string_equal(err.text, "input x is I64, it must be F32");
    op_call_fini(&c);
}

/* ---- softmax -------------------------------------------------------------------------------- */

static void softmax_agrees_with_its_twin(void **state)
{
    enum { MOST = 5 * 33 * 7 };
    static float x[MOST], y[MOST], want[MOST];

    (void)state;
    for (size_t outer = 0; outer <= 5; outer++)
        for (size_t n = 1; n <= 33; n = 2 * n + 1)
            for (size_t inner = 1; inner <= 7; inner += 3) {
                op_call_fill(x, MOST, (unsigned)n);
                for (int i = 0; i < MOST; i++)
                    x[i] *= 50.0f;
                kernel_softmax(outer, n, inner, x, y);
                ref_softmax(outer, n, inner, x, want);
                for (size_t i = 0; i < outer * n * inner; i++)
                    assert_true(fabsf(y[i] - want[i]) <= 4e-6f);
            }
}

static void softmax_of_what_is_not_finite(void **state)
{
    static const struct {
        float x[3], y[3];
    } line[] = {
        {{-INFINITY, 0, 0}, {0, 0.5f, 0.5f}}, {{-INFINITY, -INFINITY, -INFINITY}, {NAN, NAN, NAN}},
        {{INFINITY, 0, 0}, {NAN, NAN, NAN}},  {{NAN, 0, 0}, {NAN, NAN, NAN}},
        {{1000, 0, -1000}, {1, 0, 0}},
    };

    (void)state;
    for (size_t l = 0; l < COUNT(line); l++)
        for (size_t inner = 1; inner <= 2; inner++) {
            float x[6], y[6];

            for (size_t i = 0; i < 3; i++)
                x[i * inner] = x[i * inner + inner - 1] = line[l].x[i];
            kernel_softmax(1, 3, inner, x, y);
            for (size_t i = 0; i < 3; i++)
                assert_true(same(y[i * inner], line[l].y[i], 1e-7f));
        }
}

static void softmax_counts_axes_from_either_end(void **state)
{
    const float    x[] = {0, 0, 0, 0, 0, 0};
    struct op_call c;

    (void)state;
    for (int dim = -2; dim < 2; dim++) {
        const float  want = dim == 0 || dim == -2 ? 0.5f : 1.0f / 3.0f;
        char         args[32];
        const float *y;

        snprintf(args, sizeof args, "dim = %d", dim);
        op_call_init(&c, &sn_op_softmax, args, false, SN_EVAL);
        assert_int_equal(op_call_infer(&c, SHAPE(2, 3), NULL), SN_OK);
        y = op_call_run(&c, x);
        for (int i = 0; i < 6; i++)
            assert_float_equal(y[i], want, 1e-7);
        op_call_fini(&c);
    }
}

static void softmax_refuses_an_axis_that_is_not_there(void **state)
{
    struct op_call c;
    sn_error       err = {0};

    (void)state;
    op_call_init(&c, &sn_op_softmax, "dim = -3", false, SN_EVAL);
    assert_int_equal(op_call_infer(&c, SHAPE(2, 3), &err), SN_E_SHAPE);
    assert_string_equal(err.where, "op.dim");
    assert_string_equal(err.text, "there is no axis -3 in an input of 2 axes");
    op_call_fini(&c);
}

int main(void)
{
    static const CMUnitTestFunction each[] = {
        kernel_agrees_with_its_twin, kernel_writes_no_more_than_asked,
        operator_has_the_values_of_pytorch, operator_refuses_integers};
    struct CMUnitTest tests[COUNT(activations) * COUNT(each) + 4] = {
        cmocka_unit_test(softmax_agrees_with_its_twin),
        cmocka_unit_test(softmax_of_what_is_not_finite),
        cmocka_unit_test(softmax_counts_axes_from_either_end),
        cmocka_unit_test(softmax_refuses_an_axis_that_is_not_there),
    };
    size_t n = 4;

    for (size_t i = 0; i < COUNT(activations); i++)
        for (size_t k = 0; k < COUNT(each); k++)
            tests[n++] = (struct CMUnitTest){activations[i].sentence, each[k], NULL, NULL,
                                             (void *)&activations[i]};
    return cmocka_run_group_tests_name("activation", tests, NULL, NULL);
}
