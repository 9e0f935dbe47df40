/* The vector activations of every set that this CPU runs, over all magnitudes, against double
 * precision. The bounds here are the ones that the kernels promise. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/packed.h"
#include "support/floats.h"

static double none(double x)
{
    return x;
}
static double relu(double x)
{
    return x > 0 ? x : 0;
}
static double relu6(double x)
{
    return fmin(relu(x), 6);
}
static double hardsigmoid(double x)
{
    return relu6(x + 3) / 6;
}
static double hardswish(double x)
{
    return x * hardsigmoid(x);
}
static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}
static double silu(double x)
{
    return x / (1 + exp(-x));
}
static double gelu(double x)
{
    return x * 0.5 * erfc(-x * M_SQRT1_2);
}
static double gelu_tanh(double x)
{
    return x / (1 + exp(-2 * sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

/* A row is a sentence: this activation is within so many parts of FLT_EPSILON of the result's
 * size, and nowhere further than so many of them from a result below the other number. What it
 * makes of minus infinity, as PyTorch does, and of plus infinity. */
static const struct row {
    const char     *name;
    enum kernel_act act;
    double (*f)(double);
    double relative, absolute;
    float  minus, plus;
} rows[] = {
    {"none", KERNEL_ACT_NONE, none, 0, 0, -INFINITY, INFINITY},
    {"relu", KERNEL_ACT_RELU, relu, 0, 0, 0, INFINITY},
    {"relu6", KERNEL_ACT_RELU6, relu6, 0, 0, 0, 6},
    {"hardswish", KERNEL_ACT_HARDSWISH, hardswish, 3, 1, NAN, INFINITY},
    {"hardsigmoid", KERNEL_ACT_HARDSIGMOID, hardsigmoid, 2, 1, 0, 1},
    {"silu", KERNEL_ACT_SILU, silu, 8, 0.5, NAN, INFINITY},
    {"sigmoid", KERNEL_ACT_SIGMOID, sigmoid, 8, 0.5, 0, 1},
    {"gelu", KERNEL_ACT_GELU, gelu, 8, 1, NAN, INFINITY},
    {"tanh-gelu", KERNEL_ACT_GELU_TANH, gelu_tanh, 8, 1, NAN, INFINITY},
    {"tanh", KERNEL_ACT_TANH, tanh, 4, 0, -1, 1},
};

/* Both signs, 2^-30 to 2^8 in steps of 1/4096: every kind of argument there is. */
enum { STEPS = 38 * 4096, COUNT = 2 * STEPS + 1 };

static void check_row(void **state)
{
    const struct row *t = *state;
    float            *x = floats_of(COUNT, 1, 0), *y = floats_of(COUNT, 1, 0);

    for (int i = 0; i < STEPS; i++) {
        x[2 * i] = exp2f((float)i / 4096 - 30);
        x[2 * i + 1] = -x[2 * i];
    }
    for (int i = 0; kernel_table_at(i); i++) {
        const struct kernel_table *set = kernel_table_at(i);
        const float                special[] = {-INFINITY, INFINITY, NAN, -0.0f, FLT_MAX, -FLT_MAX};
        float                      got[6];

        set->act(t->act, COUNT, x, y);
        for (int j = 0; j < COUNT; j++) {
            const double want = t->f((double)x[j]), error = fabs((double)y[j] - want);

            if (!(error <= FLT_EPSILON * fmax(t->relative * fabs(want), t->absolute)))
                fail_msg("%s: %.9g gives %.9g, not %.9g", set->name, (double)x[j], (double)y[j],
                         want);
        }
        for (int j = 0; j < 6; j++)
            set->act(t->act, 1, &special[j], &got[j]);
        assert_true(isnan(t->minus) ? isnan(got[0]) : got[0] == t->minus);
        assert_true(got[1] == t->plus);
        assert_true(isnan(got[2]));
        assert_true((double)got[3] == t->f(0));
        assert_true(got[4] == t->plus || t->act < KERNEL_ACT_HARDSIGMOID || got[4] == FLT_MAX);
        assert_false(isnan(got[5]) && t->act < KERNEL_ACT_HARDSWISH);
        set->act(t->act, COUNT, x, x); /* in place, the same */
        assert_floats_same(x, y, 1, COUNT, COUNT, set->name);
        for (int j = 0; j < STEPS; j++) {
            x[2 * j] = exp2f((float)j / 4096 - 30);
            x[2 * j + 1] = -x[2 * j];
        }
    }
    floats_free(x);
    floats_free(y);
}

int main(void)
{
    enum { ROWS = sizeof rows / sizeof rows[0] };
    struct CMUnitTest tests[ROWS];

    for (size_t i = 0; i < ROWS; i++)
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name, .test_func = check_row, .initial_state = (void *)&rows[i]};
    return cmocka_run_group_tests_name("packed activations", tests, NULL, NULL);
}
