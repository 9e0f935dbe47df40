/* Means over a million numbers are as exact as over ten, whatever computes them; what normalises
 * equal numbers gives its bias to the bit. Shapes have one channel, whose planes and whose
 * channels-last images are the same memory, so that every variant runs on them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "op/op_internal.h"
#include "support/op_call.h"

extern const sn_op sn_op_mean, sn_op_avgpool2d, sn_op_adaptiveavgpool2d, sn_op_layernorm,
    sn_op_groupnorm, sn_op_batchnorm2d, sn_op_softmax;

enum kind { MEAN, NORM, SHARE };

static const struct row {
    const char  *name;
    const sn_op *op;
    const char  *args;
    sn_shape     x;
    enum kind    kind;
    sn_mode      mode;
    int64_t      groups, stride; /* `groups` means side by side over numbers `stride` apart */
} rows[] = {
    {"Mean of an image", &sn_op_mean, "dim = (2, 3)", SHAPE(1, 1, 1000, 1000), MEAN, SN_EVAL, 1, 1},
    {"Mean of rows", &sn_op_mean, "dim = (-1)", SHAPE(2, 1000000), MEAN, SN_EVAL, 2, 1},
    {"Mean of columns", &sn_op_mean, "dim = (0)", SHAPE(300000, 3), MEAN, SN_EVAL, 3, 3},
    {"Mean of everything but the last axis", &sn_op_mean, "dim = (0, 1)", SHAPE(1000, 600, 2), MEAN,
     SN_EVAL, 2, 2},
    {"AvgPool2d", &sn_op_avgpool2d, "kernel_size = 1000", SHAPE(1, 1, 1000, 1000), MEAN, SN_EVAL, 1,
     1},
    {"AvgPool2d of rows", &sn_op_avgpool2d, "kernel_size = (2, 100000)", SHAPE(1, 1, 2, 100000),
     MEAN, SN_EVAL, 1, 1},
    {"AdaptiveAvgPool2d", &sn_op_adaptiveavgpool2d, "output_size = 1", SHAPE(1, 1, 1000, 1000),
     MEAN, SN_EVAL, 1, 1},
    {"LayerNorm", &sn_op_layernorm, "normalized_shape = 1000000", SHAPE(1, 1000000), NORM, SN_EVAL,
     1, 1},
    {"LayerNorm over two axes", &sn_op_layernorm, "normalized_shape = (1000, 1000)",
     SHAPE(1000, 1000), NORM, SN_EVAL, 1, 1},
    {"GroupNorm", &sn_op_groupnorm, "num_groups = 1; num_channels = 1", SHAPE(1, 1, 1000, 1000),
     NORM, SN_EVAL, 1, 1},
    {"BatchNorm2d in training mode", &sn_op_batchnorm2d, "num_features = 1",
     SHAPE(1, 1, 1000, 1000), NORM, SN_TRAIN, 1, 1},
    {"Softmax of rows", &sn_op_softmax, "dim = -1", SHAPE(1, 1000000), SHARE, SN_EVAL, 1, 1},
    {"Softmax of columns", &sn_op_softmax, "dim = 0", SHAPE(300000, 3), SHARE, SN_EVAL, 3, 3},
};

/* Variant -1 is forward itself; false if there is no such variant for this call. */
static bool compute(struct op_call *c, const struct row *r, int variant, const float *x)
{
    sn_error  err = {0};
    sn_tensor in = sn_tensor_dense(SN_F32, &r->x, (void *)x);

    op_call_init(c, r->op, r->args, false, r->mode);
    if (op_call_load(c, &err) || op_call_infer(c, r->x, &err))
        fail_msg("%s: %s", err.where, err.text);
    if (variant < 0) {
        op_call_run(c, x);
        return true;
    }
    if (!r->op->variants || !r->op->variants[variant].name || r->mode != SN_EVAL ||
        !r->op->variants[variant].fits(&c->call)) {
        op_call_fini(c);
        return false;
    }
    op_call_run_variant(c, (size_t)variant, &in, NULL, NULL);
    return true;
}

/* What the outputs of group g must be; bound is that of a single one. */
static void expect(const struct row *r, const struct op_call *c, const float *x, int64_t g)
{
    const int64_t n = op_count(&r->x) / r->groups, step = r->stride;
    const float  *from = x + (step == 1 ? g * n : g), *y = c->result[0].data;
    double        sum = 0, var = 0, worst = 0;
    const float  *weight = c->whole[0].data, *bias = c->whole[1].data;

    for (int64_t i = 0; i < n; i++)
        sum += r->kind == SHARE ? exp((double)from[i * step]) : (double)from[i * step];
    if (r->kind == MEAN) {
        if (fabs((double)y[g] - sum / (double)n) > 1e-8)
            fail_msg("%s: %.9g is not %.9g", r->name, (double)y[g], sum / (double)n);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        var += pow((double)from[i * step] - sum / (double)n, 2) / (double)n;
    for (int64_t i = 0; i < n; i++) {
        const bool   plain = step != 1;
        const double got = (double)y[(plain ? g : g * n) + i * step];
        double       want = exp((double)from[i * step]) / sum * (double)n;

        if (r->kind == NORM) {
            /* LayerNorm has parameters for each number, the others for each channel. */
            const int64_t k = r->op == &sn_op_layernorm ? i : 0;

            want = ((double)from[i * step] - sum / (double)n) / sqrt(var + 1e-5);
            want = want * (double)weight[k] + (double)bias[k];
            worst = fmax(worst, fabs(got - want));
        } else {
            worst = fmax(worst, fabs(got * (double)n - want));
        }
    }
    if (worst > 1e-6) fail_msg("%s: off by %g", r->name, worst);
}

static void long_sums_are_exact(void **state)
{
    const struct row *r = *state;
    const int64_t     n = op_count(&r->x);
    float            *x = malloc((size_t)n * sizeof *x);
    struct op_call    c;

    op_call_fill(x, n, 5);
    for (int variant = -1; variant < 2; variant++) {
        if (!compute(&c, r, variant, x)) continue;
        for (int64_t g = 0; g < r->groups; g++)
            expect(r, &c, x, g);
        op_call_fini(&c);
    }
    free(x);
}

static void equal_numbers_give_the_bias(void **state)
{
    static const float values[] = {1.3f, -0.1f, 1e-30f, 3e7f, 0.0f};
    enum { N = 1003 };
    static const struct row norms[] = {
        {"LayerNorm", &sn_op_layernorm, "normalized_shape = 1003", SHAPE(1, N), NORM, SN_EVAL, 1,
         1},
        {"LayerNorm over two axes", &sn_op_layernorm, "normalized_shape = (17, 59)", SHAPE(17, 59),
         NORM, SN_EVAL, 1, 1},
        {"GroupNorm", &sn_op_groupnorm, "num_groups = 1; num_channels = 1", SHAPE(1, 1, 17, 59),
         NORM, SN_EVAL, 1, 1},
        {"BatchNorm2d", &sn_op_batchnorm2d, "num_features = 1", SHAPE(1, 1, 17, 59), NORM, SN_TRAIN,
         1, 1},
        {"BatchNorm2d of one number an image", &sn_op_batchnorm2d, "num_features = 1",
         SHAPE(N, 1, 1, 1), NORM, SN_TRAIN, 1, 1},
        {"BatchNorm2d without running statistics", &sn_op_batchnorm2d,
         "num_features = 1; track_running_stats = false", SHAPE(1, 1, 17, 59), NORM, SN_EVAL, 1, 1},
    };
    float x[N];

    (void)state;
    for (size_t k = 0; k < COUNT(norms); k++)
        for (size_t v = 0; v < COUNT(values); v++)
            for (int variant = -1; variant < 2; variant++) {
                const struct row *r = &norms[k];
                const int64_t     one = r->op == &sn_op_layernorm;
                struct op_call    c;

                for (int i = 0; i < N; i++)
                    x[i] = values[v];
                if (!compute(&c, r, variant, x)) continue;
                for (int i = 0; i < N; i++) {
                    const float want = ((const float *)c.whole[1].data)[i * one];
                    const float got = ((const float *)c.result[0].data)[i];

                    if (got != want)
                        fail_msg("%s of %g, variant %d: %a is not the bias %a", r->name,
                                 (double)values[v], variant, (double)got, (double)want);
                }
                op_call_fini(&c);
            }
}

int main(void)
{
    struct CMUnitTest tests[COUNT(rows) + 1];

    for (size_t i = 0; i < COUNT(rows); i++)
        tests[i] =
            (struct CMUnitTest){rows[i].name, long_sums_are_exact, NULL, NULL, (void *)&rows[i]};
    tests[COUNT(rows)] = (struct CMUnitTest)cmocka_unit_test(equal_numbers_give_the_bias);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
