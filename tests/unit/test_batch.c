/* Shapes that meet the batch in unusual ways: N on any axis, constants that happen to equal it,
 * nothing at all, and more than memory has. What fits is computed, the rest is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/planned.h"

static const struct net_tensor no_tensors[] = {{NULL, 0, {0}}};

/* Run on 0.1, 0.2, ..., 1.7, 0.1, ...; the output is malloc()ed. */
static sn_status forward(struct planned *w, const sn_shape *shape, size_t n_in, int64_t batch,
                         float **ret_y)
{
    const sn_plan_info *info = sn_plan_describe(w->plan);
    sn_run_options      options = {.size = sizeof options,
                                   .scratch = aligned_alloc(64, (info->scratch_bytes + 127) / 64 * 64)};
    sn_tensor           in[2], out;
    float              *x[2] = {0};
    sn_desc             desc;
    sn_status           rc;

    for (size_t i = 0; i < n_in; i++) {
        const int64_t n = sn_shape_count(&shape[i]);

        x[i] = malloc((size_t)n * sizeof(float) + 1);
        for (int64_t k = 0; k < n; k++)
            x[i][k] = (float)(k % 17 + 1) / 10;
        in[i] = sn_tensor_dense(SN_F32, &shape[i], x[i]);
    }
    sn_plan_outputs(w->plan, batch, &desc);
    *ret_y = malloc((size_t)sn_shape_count(&desc.shape) * sizeof(float) + 1);
    out = sn_tensor_dense(SN_F32, &desc.shape, *ret_y);
    rc = sn_plan_forward(w->plan, in, &out, &options, &w->err);
    free(x[0]);
    free(x[1]);
    free(options.scratch);
    return rc;
}

/* ---- who reads whose result ------------------------------------------------------------- */

#define CONV                                                                                       \
    "{\"name\": \"conv\", \"type\": \"Conv2d\", \"in_channels\": 2, \"out_channels\": 2, "         \
    "\"kernel_size\": 3, \"padding\": 1, \"inputs\": [\"x\"]}"
#define NORM                                                                                       \
    "{\"name\": \"bn\", \"type\": \"BatchNorm2d\", \"num_features\": 2, \"inputs\": [\"x\"]}"
#define SUM "{\"name\": \"sum\", \"type\": \"Add\", \"inputs\": [\"bn\", \"conv\"]}"

/* A normalisation that has taken over the sum reads the convolution as its residual: the
 * convolution must not take it over in turn. The order of the nodes decides who is first. */
static void a_residual_is_no_input(void **state)
{
    static const struct net_tensor tensors[] = {
        {"conv.weight", 4, {2, 2, 3, 3}},
        {"conv.bias", 1, {2}},
        {"bn.weight", 1, {2}},
        {"bn.bias", 1, {2}},
        {"bn.running_mean", 1, {2}},
        {"bn.running_var", 1, {2}},
        {NULL, 0, {0}},
    };
    static const char *const spec[] = {
        SPEC(IN("x", "\"N\", 2, 4, 4"), GRAPH("\"x\"", NORM ", " CONV ", " SUM, "\"sum\"")),
        SPEC(IN("x", "\"N\", 2, 4, 4"), GRAPH("\"x\"", CONV ", " NORM ", " SUM, "\"sum\""))};
    const sn_shape shape = {4, {1, 2, 4, 4}};
    float         *y[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct planned w;

        assert_int_equal(planned_make(&w, spec[i], tensors, "", &shape, 1, 1), SN_OK);
        assert_int_equal(forward(&w, &shape, 1, 1, &y[i]), SN_OK);
        planned_end(&w);
    }
    for (int i = 0; i < 32; i++)
        assert_true(fabsf(y[0][i] - y[1][i]) < 1e-5f * fabsf(y[0][i]));
    free(y[0]);
    free(y[1]);
}

#define MAP(name, type) "{\"name\": \"" name "\", \"type\": " type ", \"inputs\": [\"x\"]}"

/* The same of the same is made once; what only looks like it is not. */
static void equal_activations_are_one(void **state)
{
    static const struct {
        const char *spec;
        size_t      steps;
    } rows[] = {
#define PAIR(a, b)                                                                                 \
    SPEC(IN("x", "\"N\", 4, 3, 3"),                                                                \
         GRAPH("\"x\"", MAP("a", a) "," MAP("b", b) "," ADD("y", "a", "b"), "\"y\""))
        {PAIR("\"ReLU\"", "\"ReLU\""), 2},
        {PAIR("\"ReLU\"", "\"SiLU\""), 3},
        {PAIR("\"GELU\"", "\"GELU\", \"approximate\": \"none\""), 2},
        {PAIR("\"GELU\"", "\"GELU\", \"approximate\": \"tanh\""), 3},
#undef PAIR
    };
    const sn_shape shape = {4, {2, 4, 3, 3}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct planned w;

        assert_int_equal(planned_make(&w, rows[i].spec, no_tensors, "", &shape, 1, 1), SN_OK);
        assert_int_equal(sn_plan_describe(w.plan)->n_steps, rows[i].steps);
        planned_end(&w);
    }
}

/* Inputs that are absent: there is nothing that they could be joined to. */
static void absent_inputs_are_not_joined(void **state)
{
    /* clang-format off */
    static const char spec[] = SPEC(
        IN("x", "\"N\", 4, 3, 3") ", "
        "{\"name\": \"z\", \"shape\": [\"N\", 4, 3, 3], \"optional\": true}, "
        "{\"name\": \"u\", \"shape\": [\"N\", 4, 3, 3], \"optional\": true}",
        GRAPH("\"x\", \"z\", \"u\"",
              "{\"name\": \"r\", \"type\": \"ReLU\", \"inputs\": [\"x\"]}, "
              "{\"name\": \"k\", \"type\": \"InputChoice\", \"label\": \"which\", "
              "\"n_candidates\": 2, \"n_chosen\": null, \"reduction\": \"concat\", "
              "\"inputs\": [\"z\", \"u\"]}",
              "\"r\", \"k\""));
    /* clang-format on */
    const sn_shape shape[3] = {{4, {2, 4, 3, 3}}};
    struct planned w;

    (void)state;
    assert_int_equal(planned_make(&w, spec, no_tensors, "which=0,1", shape, 3, 1), SN_E_INVALID);
    assert_non_null(strstr(w.err.text, "optional input that was not given"));
    planned_end(&w);
}

/* ---- N on another axis ------------------------------------------------------------------- */

#define CONV3                                                                                      \
    "{\"name\": \"conv\", \"type\": \"Conv2d\", \"in_channels\": 3, \"out_channels\": 4, "         \
    "\"kernel_size\": 3, \"padding\": 1"
static const struct net_tensor conv3[] = {
    {"conv.weight", 4, {4, 3, 3, 3}},
    {"conv.bias", 1, {4}},
    {NULL, 0, {0}},
};

/* The height of an image is part of what a convolution is prepared for. */
static void a_height_is_no_batch(void **state)
{
    static const char spec[] =
        SPEC(IN("x", "1, 3, \"N\", 8"), "{\"type\": \"Sequential\", \"layers\": [" CONV3 "}]}");
    const sn_shape all = {4, {1, 3, 64, 8}}, two = {4, {1, 3, 2, 8}};
    struct planned w;
    float         *y;

    (void)state;
    assert_int_equal(planned_make(&w, spec, conv3, "", &all, 1, 1), SN_OK);
    assert_int_equal(forward(&w, &two, 1, 2, &y), SN_E_SHAPE);
    free(y);
    assert_int_equal(forward(&w, &all, 1, 64, &y), SN_OK);
    free(y);
    planned_end(&w);
}

/* 5 rows become 3: neither constant nor a multiple. Values before that grow with the batch. */
static void a_plan_for_one_batch_runs_with_it(void **state)
{
    static const char spec[] =
        SPEC(IN("x", "3, \"N\", 8"),
             "{\"type\": \"Sequential\", \"layers\": [{\"type\": \"ReLU\"}, " CONV3
             ", \"stride\": 2}]}");
    const sn_shape shape = {3, {3, 5, 8}};
    struct planned w;
    float         *y;

    (void)state;
    assert_int_equal(planned_make(&w, spec, conv3, "", &shape, 1, 1), SN_OK);
    assert_int_equal(forward(&w, &shape, 1, 5, &y), SN_OK);
    free(y);
    planned_end(&w);
}

/* ---- constants that equal the largest batch ------------------------------------------------ */

/* One image and two gates, or two images to add: two results, whatever the plan is for. */
static void a_constant_is_no_batch(void **state)
{
    static const char add[] = SPEC(
        IN("x", "\"N\", 2, 3, 3") ", " IN("r", "2, 2, 3, 3"),
        GRAPH("\"x\", \"r\"",
              "{\"name\": \"conv\", \"type\": \"Conv2d\", \"in_channels\": 2, \"out_channels\": 2, "
              "\"kernel_size\": 1, \"bias\": false, \"inputs\": [\"x\"]}, {\"name\": \"y\", "
              "\"type\": \"Add\", \"inputs\": [\"conv\", \"r\"]}",
              "\"y\""));
    static const char mul[] = SPEC(
        IN("x", "2, 2, 3, 3") ", " IN("g", "\"N\", 2, 1, 1"),
        GRAPH("\"x\", \"g\"",
              "{\"name\": \"conv\", \"type\": \"Conv2d\", \"in_channels\": 2, \"out_channels\": 2, "
              "\"kernel_size\": 1, \"bias\": false, \"inputs\": [\"x\"]}, {\"name\": \"y\", "
              "\"type\": \"Mul\", \"inputs\": [\"conv\", \"g\"]}",
              "\"y\""));
    static const struct net_tensor tensors[] = {
        {"conv.weight", 4, {2, 2, 1, 1}},
        {NULL, 0, {0}},
    };
    const sn_shape x2 = {4, {2, 2, 3, 3}}, x1 = {4, {1, 2, 3, 3}};
    const sn_shape g2 = {4, {2, 2, 1, 1}}, g1 = {4, {1, 2, 1, 1}};
    struct planned w;
    float         *y;

    (void)state;
    /* A plan for two images has not been made for one. */
    assert_int_equal(planned_make(&w, add, tensors, "", (const sn_shape[]){x2, x2}, 2, 1), SN_OK);
    assert_true(sn_plan_describe(w.plan)->fixed_batch);
    assert_int_equal(forward(&w, (const sn_shape[]){x1, x2}, 2, 1, &y), SN_E_SHAPE);
    free(y);
    planned_end(&w);
    assert_int_equal(planned_make(&w, add, tensors, "", (const sn_shape[]){x1, x2}, 2, 1), SN_OK);
    assert_int_equal(forward(&w, (const sn_shape[]){x1, x2}, 2, 1, &y), SN_OK);
    /* The image counts for both: the results differ as the two that are added do. */
    for (int i = 0; i < 18; i++)
        assert_true(fabsf(y[18 + i] - y[i] - ((float)((18 + i) % 17) - (float)(i % 17)) / 10) <
                    1e-5f);
    free(y);
    planned_end(&w);

    assert_int_equal(planned_make(&w, mul, tensors, "", (const sn_shape[]){x2, g2}, 2, 1), SN_OK);
    assert_true(sn_plan_describe(w.plan)->fixed_batch);
    planned_end(&w);
    assert_int_equal(planned_make(&w, mul, tensors, "", (const sn_shape[]){x2, g1}, 2, 1), SN_OK);
    assert_int_equal(forward(&w, (const sn_shape[]){x2, g1}, 2, 1, &y), SN_OK);
    for (int i = 0; i < 36; i++)
        assert_true(isfinite(y[i]));
    free(y);
    planned_end(&w);
}

/* ---- large samples go through one after the other ------------------------------------------ */

#define LARGE                                                                                      \
    "{\"name\": \"conv\", \"type\": \"Conv2d\", \"in_channels\": 1, \"out_channels\": 8, "         \
    "\"kernel_size\": 3, \"padding\": 1}, {\"type\": \"ReLU\"}, {\"type\": \"Mean\", \"dim\": "    \
    "[2, 3]}"
static const struct net_tensor large[] = {
    {"conv.weight", 4, {8, 1, 3, 3}},
    {"conv.bias", 1, {8}},
    {NULL, 0, {0}},
};

#define WITH_ATTENTION                                                                             \
    "{\"name\": \"g\", \"type\": \"Graph\", \"inputs\": [\"x\"], \"outputs\": [\"y\"], "           \
    "\"nodes\": ["                                                                                 \
    "{\"name\": \"conv\", \"type\": \"Conv2d\", \"in_channels\": 1, \"out_channels\": 8, "         \
    "\"kernel_size\": 3, \"padding\": 1, \"inputs\": [\"x\"]}, "                                   \
    "{\"name\": \"m\", \"type\": \"Mean\", \"dim\": 3, \"inputs\": [\"conv\"]}, "                  \
    "{\"name\": \"y\", \"type\": \"MultiheadAttention\", \"embed_dim\": 300, \"num_heads\": 3, "   \
    "\"batch_first\": true, \"inputs\": [\"m\", \"m\", \"m\"]}]}"

/* Three samples need little more memory than one, and give what each gives alone. */
static void large_samples_come_one_by_one(void **state)
{
    /* clang-format off */
    static const char *const layers[] = {
        LARGE,
        LARGE ", {\"type\": \"Softmax\", \"dim\": 1}",
        "{\"name\": \"bn\", \"type\": \"BatchNorm2d\", \"num_features\": 1}, {\"type\": \"ReLU\"}, " LARGE,
        WITH_ATTENTION,
    };
    static const struct net_tensor normed[] = {
        {"bn.weight",       1, {1}         },
        {"bn.bias",         1, {1}         },
        {"bn.running_mean", 1, {1}         },
        {"bn.running_var",  1, {1}         },
        {"conv.weight",     4, {8, 1, 3, 3}},
        {"conv.bias",       1, {8}         },
        {NULL,              0, {0}         },
    };
    static const struct net_tensor attending[] = {
        {"g.conv.weight",       4, {8, 1, 3, 3}},
        {"g.conv.bias",         1, {8}         },
        {"g.y.in_proj_weight",  2, {900, 300}  },
        {"g.y.in_proj_bias",    1, {900}       },
        {"g.y.out_proj.weight", 2, {300, 300}  },
        {"g.y.out_proj.bias",   1, {300}       },
        {NULL,                  0, {0}         },
    };
    /* clang-format on */
    static const struct net_tensor *const tensors[] = {large, large, normed, attending};
    const sn_shape three = {4, {3, 1, 300, 300}}, one = {4, {1, 1, 300, 300}};

    (void)state;
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        struct planned w, alone;
        char           spec[2048];
        float         *y, *first;
        sn_desc        out;
        size_t         n;

        assert_in_range(snprintf(spec, sizeof spec,
                                 SPEC(IN("x", "\"N\", 1, 300, 300"),
                                      "{\"type\": \"Sequential\", \"layers\": [%s]}"),
                                 layers[i]),
                        1, sizeof spec - 1);
        assert_int_equal(planned_make(&w, spec, tensors[i], "", &three, 1, 1), SN_OK);
        assert_int_equal(planned_make(&alone, spec, tensors[i], "", &one, 1, 1), SN_OK);
        assert_true(2 * sn_plan_describe(w.plan)->scratch_bytes <
                    3 * sn_plan_describe(alone.plan)->scratch_bytes);
        assert_int_equal(forward(&w, &three, 1, 3, &y), SN_OK);
        assert_int_equal(forward(&alone, &one, 1, 1, &first), SN_OK);
        sn_plan_outputs(alone.plan, 1, &out);
        n = (size_t)sn_shape_count(&out.shape);
        assert_memory_equal(y, first, n * sizeof *y); /* the pattern of inputs starts anew there */
        assert_memory_not_equal(y, y + n, n * sizeof *y);
        free(y);
        free(first);
        planned_end(&w);
        planned_end(&alone);
    }
}

/* A residual that is not read again leaves its place to the sum: two images at a time, not three.
 */
static void a_sum_takes_its_residuals_place(void **state)
{
    /* clang-format off */
    static const char spec[] = SPEC(
        IN("x", "\"N\", 16, 64, 64"),
        GRAPH("\"x\"",
              TURN("a", "x", "16", "32") "," TURN("b", "a", "32", "32") ","
              TURN("c", "b", "32", "32") "," ADD("d", "c", "a") "," MEAN("y", "d"),
              "\"y\""));
    /* clang-format on */
    static const struct net_tensor tensors[] = {
        {"a.weight", 4, {32, 16, 1, 1}},
        {"b.weight", 4, {32, 32, 1, 1}},
        {"c.weight", 4, {32, 32, 1, 1}},
        {NULL, 0, {0}},
    };
    enum { IMAGE_BYTES = 32 * 64 * 64 * sizeof(float) };
    const sn_shape shape = {.rank = 4, .dim = {1, 16, 64, 64}};
    struct planned w;

    (void)state;
    assert_int_equal(planned_make(&w, spec, tensors, "", &shape, 1, 1), SN_OK);
    assert_in_range(sn_plan_describe(w.plan)->scratch_bytes, 2 * IMAGE_BYTES, 3 * IMAGE_BYTES - 1);
    planned_end(&w);
}

/* A softmax over the batch looks at all of it. */
static void samples_that_meet_stay_together(void **state)
{
    static const char spec[] =
        SPEC(IN("x", "\"N\", 1, 300, 300"), "{\"type\": \"Sequential\", \"layers\": [" LARGE
                                            ", {\"type\": \"Softmax\", \"dim\": 0}]}");
    const sn_shape three = {4, {3, 1, 300, 300}};
    struct planned w;
    float         *y;

    (void)state;
    assert_int_equal(planned_make(&w, spec, large, "", &three, 1, 1), SN_OK);
    assert_int_equal(forward(&w, &three, 1, 3, &y), SN_OK);
    for (int c = 0; c < 8; c++)
        assert_true(fabsf(y[c] + y[8 + c] + y[16 + c] - 1) < 1e-5f);
    free(y);
    planned_end(&w);
}

/* Without running statistics a normalisation takes those of the whole batch, also in evaluation. */
static void statistics_of_a_batch_see_all_of_it(void **state)
{
    static const char spec[] = SPEC(
        IN("x", "\"N\", 1, 800, 800"),
        "{\"type\": \"Sequential\", \"layers\": [{\"type\": \"BatchNorm2d\", \"num_features\": 1, "
        "\"affine\": false, \"track_running_stats\": false}, {\"type\": \"Mean\", \"dim\": [2, "
        "3]}]}");
    const sn_shape three = {4, {3, 1, 800, 800}};
    struct planned w;
    float         *y;

    (void)state;
    assert_int_equal(planned_make(&w, spec, no_tensors, "", &three, 1, 1), SN_OK);
    assert_in_range(sn_plan_describe(w.plan)->scratch_bytes, 3 * 800 * 800 * sizeof(float),
                    SIZE_MAX);
    assert_int_equal(forward(&w, &three, 1, 3, &y), SN_OK);
    assert_true(fabsf(y[0] + y[1] + y[2]) < 1e-4f);
    free(y);
    planned_end(&w);
}

/* ---- nothing, and too much ------------------------------------------------------------------ */

static void nothing_in_nothing_out(void **state)
{
    static const char spec[] =
        SPEC(IN("x", "\"N\", \"L\", 3"),
             "{\"type\": \"Sequential\", \"layers\": [{\"name\": \"fc\", \"type\": "
             "\"Linear\", \"in_features\": 3, \"out_features\": 40}]}");
    static const struct net_tensor tensors[] = {
        {"fc.weight", 2, {40, 3}},
        {"fc.bias", 1, {40}},
        {NULL, 0, {0}},
    };
    const sn_shape shape = {3, {2, 0, 3}};
    struct planned w;
    float         *y;

    (void)state;
    assert_int_equal(planned_make(&w, spec, tensors, "", &shape, 1, 1), SN_OK);
    assert_int_equal(forward(&w, &shape, 1, 2, &y), SN_OK);
    free(y);
    planned_end(&w);
}

/* Sums broadcast: 2^32 by 2^32 numbers of a few inputs. */
static void sums_have_a_size(void **state)
{
    static const char spec[] =
        SPEC(IN("x", "\"N\", 1, 1073741824") ", " IN("r", "1073741824, 1073741824, 1"),
             "{\"type\": \"InputChoice\", \"label\": \"which\", \"n_candidates\": 2, \"n_chosen\": "
             "null, "
             "\"reduction\": \"sum\"}");
    const sn_shape shape[] = {{3, {1, 1, 1 << 30}}, {3, {1 << 30, 1 << 30, 1}}};
    struct planned w;

    (void)state;
    assert_int_equal(planned_make(&w, spec, no_tensors, "which=0,1", shape, 2, 1), SN_E_LIMIT);
    planned_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_residual_is_no_input),
        cmocka_unit_test(equal_activations_are_one),
        cmocka_unit_test(absent_inputs_are_not_joined),
        cmocka_unit_test(a_height_is_no_batch),
        cmocka_unit_test(a_plan_for_one_batch_runs_with_it),
        cmocka_unit_test(a_constant_is_no_batch),
        cmocka_unit_test(large_samples_come_one_by_one),
        cmocka_unit_test(a_sum_takes_its_residuals_place),
        cmocka_unit_test(samples_that_meet_stay_together),
        cmocka_unit_test(statistics_of_a_batch_see_all_of_it),
        cmocka_unit_test(nothing_in_nothing_out),
        cmocka_unit_test(sums_have_a_size),
    };

    return cmocka_run_group_tests_name("batch", tests, NULL, NULL);
}
