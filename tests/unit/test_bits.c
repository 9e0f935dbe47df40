/* bits: what comes of a row depends on the subnet, the weights and that row alone. For each network
 * here: whatever the largest batch of the plan, the batch of the run, the place of the row among
 * others and the number of threads, its bits are those of the row alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "supernet/host.h"
#include "support/random_doc.h"
#include "support/threads.h"
#include "support/whole.h"

enum { KINDS = 11, MOST_ROWS = 512 }; /* different rows; 11 of them, so that places move */

/* ---- running ------------------------------------------------------------------------------- */

/* A subnet and what its rows give, each alone: answer[k] is that of row k, all outputs. */
struct ground {
    const char  *name;
    sn_subnet   *subnet;
    sn_exactness exactness;
    float       *answer[KINDS];
    sn_desc      out[SN_MAX_PORTS]; /* of one row */
    size_t       n_out, n_numbers;
};

static float number(size_t i)
{
    const uint32_t h = (uint32_t)(i + 1) * 2654435761u;

    if (h >> 29 == 0) return h >> 28 & 1 ? 0.0f : -0.0f; /* the sign of 0 counts */
    return (float)(h >> 8 & 0xffff) / 32768.0f - 1.0f;
}

/* Input i for these rows: a batched one has them one after the other, a fixed one is always the
 * same. */
static float *fill(const sn_port *port, const int *row, int64_t n)
{
    const bool batched = port->desc.shape.rank > 0 && port->desc.shape.dim[0] < 0;
    sn_shape   shape = port->desc.shape;
    size_t     one;
    float     *x;

    if (batched) shape.dim[0] = 1;
    one = (size_t)sn_shape_count(&shape);
    x = malloc((one * (size_t)(batched ? n : 1) + 1) * sizeof *x);
    for (int64_t r = 0; r < (batched ? n : 1); r++)
        for (size_t k = 0; k < one; k++)
            x[(size_t)r * one + k] = number((batched ? (size_t)row[r] * 7919 : 0) + k);
    return x;
}

static sn_plan *compile(const struct ground *g, int64_t batch, int n_threads)
{
    const sn_supernet *net = sn_subnet_supernet(g->subnet);
    sn_desc            desc[SN_MAX_PORTS];
    sn_compile_options options = {.size = sizeof options,
                                  .in = desc,
                                  .n_in = sn_supernet_n_inputs(net),
                                  .n_threads = n_threads,
                                  .exactness = g->exactness};
    sn_error           err = {0};
    sn_plan           *plan = NULL;

    for (size_t i = 0; i < options.n_in; i++) {
        desc[i] = sn_supernet_input(net, i)->desc;
        if (desc[i].shape.dim[0] < 0) desc[i].shape.dim[0] = batch;
    }
    if (sn_plan_compile(g->subnet, &options, &plan, &err) != SN_OK)
        fail_msg("%s, batch %d: %s: %s", g->name, (int)batch, err.where, err.text);
    return plan;
}

/* The outputs of these rows, one output after the other. */
static float *run(const struct ground *g, const sn_plan *plan, const int *row, int64_t n,
                  int n_threads)
{
    const sn_supernet *net = sn_subnet_supernet(g->subnet);
    const sn_parallel  threads = threads_of(n_threads);
    sn_run_options options = {.size = sizeof options, .parallel = n_threads > 1 ? &threads : NULL};
    sn_desc        desc[SN_MAX_PORTS];
    sn_tensor      in[SN_MAX_PORTS], out[SN_MAX_PORTS];
    sn_error       err = {0};
    size_t         count = 0;
    float         *y;

    for (size_t i = 0; i < sn_supernet_n_inputs(net); i++) {
        const sn_port *port = sn_supernet_input(net, i);
        sn_shape       shape = port->desc.shape;

        if (shape.dim[0] < 0) shape.dim[0] = n;
        in[i] = sn_tensor_dense(SN_F32, &shape, fill(port, row, n));
    }
    sn_plan_outputs(plan, n, desc);
    for (size_t i = 0; i < sn_plan_describe(plan)->n_out; i++)
        if (desc[i].dtype != SN_NONE) count += (size_t)sn_shape_count(&desc[i].shape);
    y = malloc((count + 1) * sizeof *y);
    memset(y, 0xff, count * sizeof *y);
    count = 0;
    for (size_t i = 0; i < sn_plan_describe(plan)->n_out; i++) {
        out[i] = sn_tensor_dense(desc[i].dtype, &desc[i].shape, y + count);
        if (desc[i].dtype != SN_NONE) count += (size_t)sn_shape_count(&desc[i].shape);
    }
    options.scratch = aligned_alloc(64, (sn_plan_describe(plan)->scratch_bytes + 127) / 64 * 64);
    if (sn_plan_forward(plan, in, out, &options, &err) != SN_OK)
        fail_msg("%s, %d rows: %s: %s", g->name, (int)n, err.where, err.text);
    free(options.scratch);
    for (size_t i = 0; i < sn_supernet_n_inputs(net); i++)
        free(in[i].data);
    return y;
}

static void ground_init(struct ground *g, const char *name, sn_subnet *subnet,
                        sn_exactness exactness)
{
    sn_plan *plan;

    *g = (struct ground){.name = name, .subnet = subnet, .exactness = exactness};
    plan = compile(g, 1, 1);
    g->n_out = sn_plan_describe(plan)->n_out;
    sn_plan_outputs(plan, 1, g->out);
    for (size_t i = 0; i < g->n_out; i++)
        if (g->out[i].dtype != SN_NONE) g->n_numbers += (size_t)sn_shape_count(&g->out[i].shape);
    for (int k = 0; k < KINDS; k++)
        g->answer[k] = run(g, plan, &k, 1, 1);
    sn_plan_unref(plan);
}

static void ground_fini(struct ground *g)
{
    for (int k = 0; k < KINDS; k++)
        free(g->answer[k]);
}

/* n rows of the plan, the first of which is `first`. */
static void compare(const struct ground *g, const sn_plan *plan, int64_t largest, int64_t n,
                    int first, int n_threads)
{
    int    row[MOST_ROWS];
    float *y, *at;
    size_t done = 0;

    for (int64_t i = 0; i < n; i++)
        row[i] = (int)((first + 3 * i) % KINDS);
    at = y = run(g, plan, row, n, n_threads);
    for (size_t o = 0; o < g->n_out; o++) {
        const size_t one =
            g->out[o].dtype == SN_NONE ? 0 : (size_t)sn_shape_count(&g->out[o].shape);
        sn_desc now[SN_MAX_PORTS];
        int64_t rows = n;

        sn_plan_outputs(plan, n, now);
        /* An output that does not grow is the same for all. */
        if (one && (size_t)sn_shape_count(&now[o].shape) == one) rows = 1;
        for (int64_t i = 0; i < rows; i++, at += one)
            for (size_t k = 0; k < one; k++)
                if (memcmp(&at[k], &g->answer[row[i]][done + k], sizeof *at))
                    fail_msg(
                        "%s: output %zu of row %d of %d, plan for %d, %d threads: %a, alone %a",
                        g->name, o, (int)i, (int)n, (int)largest, n_threads, (double)at[k],
                        (double)g->answer[row[i]][done + k]);
        done += one;
    }
    free(y);
}

static void same_bits(const struct ground *g, const int64_t *largest, size_t n_largest)
{
    static const int64_t sizes[] = {1, 2, 3, 5, 7, 8, 17, 33, 64, 65};

    for (size_t l = 0; l < n_largest; l++)
        for (int n_threads = 1; n_threads <= 3; n_threads++) {
            sn_plan *plan = compile(g, largest[l], n_threads);

            assert_false(sn_plan_describe(plan)->fixed_batch);
            for (size_t s = 0; s < COUNT(sizes) && sizes[s] < largest[l]; s++)
                if (n_threads == 1 || s % 3 == (size_t)n_threads - 2)
                    compare(g, plan, largest[l], sizes[s], (int)s, n_threads);
            compare(g, plan, largest[l], largest[l], 5, n_threads);
            sn_plan_unref(plan);
        }
}

/* ---- networks ---------------------------------------------------------------------------------
 */

#define DOC(shape, model)                                                                          \
    "{\"format\": \"supernet/1\", \"name\": \"t\", \"inputs\": [{\"name\": \"x\", \"shape\": "     \
    "[\"N\", " shape "]}], \"model\": " model "}"
#define CHAIN(layers)    "{\"type\": \"Sequential\", \"layers\": [" layers "]}"
#define LAYER(type, ...) "{\"type\": \"" type "\"" __VA_ARGS__ "}"
#define CONV(in, out, k, ...)                                                                      \
    LAYER("Conv2d",                                                                                \
          ", \"in_channels\": " in ", \"out_channels\": " out ", \"kernel_size\": " k __VA_ARGS__)
#define LINEAR(in, out) LAYER("Linear", ", \"in_features\": " in ", \"out_features\": " out)
#define NODE(name, type, inputs, more)                                                             \
    "{\"name\": \"" name "\", \"type\": \"" type "\", \"inputs\": [" inputs "]" more "}"
#define BN(n)              LAYER("BatchNorm2d", ", \"num_features\": " n)
#define ATTENTION(n, more) "\"embed_dim\": " n ", \"num_heads\": 2, \"batch_first\": true" more

static const struct row {
    const char  *name, *spec;
    bool         small; /* cheap enough for 512 rows */
    sn_exactness exactness;
} rows
    [] =
        {
#define LINEAR_ROW(in, out)                                                                        \
    {"Linear " in " -> " out, DOC(in, LINEAR(in, out)), true, SN_EXACTNESS_SPEC},
            /* clang-format off */
    LINEAR_ROW("1", "1") LINEAR_ROW("1", "17") LINEAR_ROW("3", "64") LINEAR_ROW("16", "5")
    LINEAR_ROW("64", "65") LINEAR_ROW("65", "16") LINEAR_ROW("65", "1") LINEAR_ROW("200", "33")
    {"Linear over tokens", DOC("7, 12", LINEAR("12", "20")), true, SN_EXACTNESS_SPEC},
    {"two layers and an activation", DOC("24", CHAIN(LINEAR("24", "48") ", "
        LAYER("GELU", "") ", " LINEAR("48", "10"))), true, SN_EXACTNESS_SPEC},
    {"1x1 convolution", DOC("6, 5, 5", CONV("6", "9", "1", "")), true, SN_EXACTNESS_SPEC},
    {"1x1 convolution of a pixel", DOC("24, 1, 1", CONV("24", "17", "1", "")), true,
     SN_EXACTNESS_SPEC},
    {"3x3 convolution", DOC("5, 7, 7", CONV("5", "8", "3", ", \"padding\": 1")), true,
     SN_EXACTNESS_DIRECT},
    {"3x3 convolution by Winograd", DOC("16, 8, 8", CONV("16", "16", "3", ", \"padding\": 1")),
     false, SN_EXACTNESS_WINOGRAD},
    {"two convolutions by Winograd", DOC("16, 9, 9", CHAIN(CONV("16", "32", "3", ", \"padding\": 1")
        ", " BN("32") ", " LAYER("ReLU", "") ", " CONV("32", "16", "3", ", \"padding\": 1"))),
     false, SN_EXACTNESS_WINOGRAD},
    {"5x5 convolution with strides", DOC("3, 11, 9",
        CONV("3", "12", "5", ", \"stride\": 2, \"padding\": 2")), true, SN_EXACTNESS_SPEC},
    {"a first layer of few channels", DOC("3, 16, 16",
        CONV("3", "16", "3", ", \"stride\": 2, \"padding\": 1")), false, SN_EXACTNESS_SPEC},
    {"grouped convolution", DOC("8, 6, 6", CONV("8", "12", "3", ", \"groups\": 4")), true,
     SN_EXACTNESS_SPEC},
    {"dilated convolution", DOC("4, 9, 9", CONV("4", "4", "3", ", \"dilation\": 2")), true,
     SN_EXACTNESS_SPEC},
    {"depthwise convolution", DOC("20, 7, 7",
        CONV("20", "20", "3", ", \"groups\": 20, \"padding\": 1")), true, SN_EXACTNESS_SPEC},
    {"padding by reflection", DOC("3, 6, 6",
        CONV("3", "4", "3", ", \"padding\": 1, \"padding_mode\": \"reflect\"")), true,
     SN_EXACTNESS_SPEC},
    {"an inverted bottleneck with squeeze and excite", DOC("16, 14, 14",
        "{\"type\": \"Graph\", \"inputs\": [\"x\"], \"outputs\": [\"sum\"], \"nodes\": ["
        NODE("up", "Conv2d", "\"x\"", ", \"in_channels\": 16, \"out_channels\": 48, \"kernel_size\": 1")
        ", " NODE("bn", "BatchNorm2d", "\"up\"", ", \"num_features\": 48")
        ", " NODE("act", "Hardswish", "\"bn\"", "")
        ", " NODE("dw", "Conv2d", "\"act\"", ", \"in_channels\": 48, \"out_channels\": 48, "
                  "\"kernel_size\": 5, \"padding\": 2, \"groups\": 48")
        ", " NODE("act2", "ReLU", "\"dw\"", "")
        ", " NODE("mean", "AdaptiveAvgPool2d", "\"act2\"", ", \"output_size\": 1")
        ", " NODE("less", "Conv2d", "\"mean\"", ", \"in_channels\": 48, \"out_channels\": 12, \"kernel_size\": 1")
        ", " NODE("relu", "ReLU", "\"less\"", "")
        ", " NODE("more", "Conv2d", "\"relu\"", ", \"in_channels\": 12, \"out_channels\": 48, \"kernel_size\": 1")
        ", " NODE("gate", "Hardsigmoid", "\"more\"", "")
        ", " NODE("mul", "Mul", "\"act2\", \"gate\"", "")
        ", " NODE("down", "Conv2d", "\"mul\"", ", \"in_channels\": 48, \"out_channels\": 16, \"kernel_size\": 1")
        ", " NODE("sum", "Add", "\"down\", \"x\"", "") "]}"), false, SN_EXACTNESS_SPEC},
    {"means and norms of images", DOC("8, 13, 13", CHAIN(BN("8") ", "
        LAYER("GroupNorm", ", \"num_groups\": 2, \"num_channels\": 8") ", "
        LAYER("MaxPool2d", ", \"kernel_size\": 3, \"stride\": 1") ", "
        LAYER("AvgPool2d", ", \"kernel_size\": 2, \"stride\": 1") ", "
        LAYER("Mean", ", \"dim\": [2, 3]"))), true, SN_EXACTNESS_SPEC},
    {"the mean of a large image", DOC("5, 20, 20", LAYER("Mean", ", \"dim\": [2, 3]")), true,
     SN_EXACTNESS_SPEC},
    {"the mean of a convolution", DOC("4, 20, 20", CHAIN(CONV("4", "24", "1", "") ", "
        LAYER("AdaptiveAvgPool2d", ", \"output_size\": 1") ", " LAYER("Flatten", "") ", "
        LINEAR("24", "10"))), false, SN_EXACTNESS_SPEC},
    {"means over parts of an image", DOC("6, 10, 10",
        LAYER("AdaptiveAvgPool2d", ", \"output_size\": [3, 2]")), true, SN_EXACTNESS_SPEC},
    {"LayerNorm and Softmax", DOC("9, 33", CHAIN(LAYER("LayerNorm", ", \"normalized_shape\": 33")
        ", " LAYER("Softmax", ", \"dim\": -1") ", " LAYER("Softmax", ", \"dim\": 1"))), true,
     SN_EXACTNESS_SPEC},
    {"a vision transformer block", DOC("3, 8, 8",
        "{\"type\": \"Graph\", \"inputs\": [\"x\"], \"outputs\": [\"head\", \"attn.1\"], \"nodes\": ["
        NODE("patch", "Conv2d", "\"x\"", ", \"in_channels\": 3, \"out_channels\": 24, \"kernel_size\": 2, \"stride\": 2")
        ", " NODE("flat", "Flatten", "\"patch\"", ", \"start_dim\": 2")
        ", " NODE("turn", "Permute", "\"flat\"", ", \"dims\": [0, 2, 1]")
        ", " NODE("token", "ClassToken", "\"turn\"", ", \"embed_dim\": 24")
        ", " NODE("place", "AbsolutePositionEmbedding", "\"token\"", ", \"length\": 17, \"embed_dim\": 24")
        ", " NODE("norm", "LayerNorm", "\"place\"", ", \"normalized_shape\": 24")
        ", " NODE("attn", "MultiheadAttention", "\"norm\", \"norm\", \"norm\"", ", " ATTENTION("24", ""))
        ", " NODE("sum", "Add", "\"attn\", \"place\"", "")
        ", " NODE("norm2", "LayerNorm", "\"sum\"", ", \"normalized_shape\": 24")
        ", " NODE("fc1", "Linear", "\"norm2\"", ", \"in_features\": 24, \"out_features\": 48")
        ", " NODE("gelu", "GELU", "\"fc1\"", "")
        ", " NODE("fc2", "Linear", "\"gelu\"", ", \"in_features\": 48, \"out_features\": 24")
        ", " NODE("sum2", "Add", "\"fc2\", \"sum\"", "")
        ", " NODE("mean", "Mean", "\"sum2\"", ", \"dim\": 1")
        ", " NODE("head", "Linear", "\"mean\"", ", \"in_features\": 24, \"out_features\": 10")
        "]}"), false, SN_EXACTNESS_SPEC},
    {"attention without weights", DOC("9, 16", "{\"type\": \"Graph\", \"inputs\": [\"x\"], "
        "\"outputs\": [\"a\"], \"nodes\": [" NODE("a", "MultiheadAttention", "\"x\", \"x\", \"x\"",
        ", " ATTENTION("16", ", \"need_weights\": false")) "]}"), false, SN_EXACTNESS_SPEC},
    {"attention with relative positions", DOC("10, 16", LAYER("RelativePositionSelfAttention",
        ", \"embed_dim\": 16, \"num_heads\": 2, \"head_dim\": 8, \"rpe\": true, \"qkv_bias\": true")),
     false, SN_EXACTNESS_SPEC},
    {"a wide layer", DOC("1030", LINEAR("1030", "515")), false, SN_EXACTNESS_SPEC},
    {"wide 1x1 convolutions", DOC("96, 14, 14", CHAIN(CONV("96", "130", "1", "") ", " BN("130") ", "
        LAYER("ReLU6", "") ", " CONV("130", "24", "1", ""))), false, SN_EXACTNESS_SPEC},
    {"a larger image by Winograd", DOC("40, 15, 15", CONV("40", "48", "3", ", \"padding\": 1")),
     false, SN_EXACTNESS_WINOGRAD},
    {"a chain of channels", DOC("24, 16, 16", CHAIN(CONV("24", "72", "1", "") ", "
        LAYER("SiLU", "") ", "
        CONV("72", "72", "5", ", \"groups\": 72, \"padding\": 2, \"stride\": 2") ", "
        LAYER("SiLU", "") ", " LAYER("AdaptiveAvgPool2d", ", \"output_size\": 1") ", "
        CONV("72", "9", "1", ""))), false, SN_EXACTNESS_SPEC},
    {"attention over many tokens", DOC("130, 32", "{\"type\": \"Graph\", \"inputs\": [\"x\"], "
        "\"outputs\": [\"a\"], \"nodes\": [" NODE("a", "MultiheadAttention", "\"x\", \"x\", \"x\"",
        ", " ATTENTION("32", ", \"need_weights\": false")) "]}"), false, SN_EXACTNESS_SPEC},
    {"joined and cut channels", DOC("6, 4, 4",
        "{\"type\": \"Graph\", \"inputs\": [\"x\"], \"outputs\": [\"cut\"], \"nodes\": ["
        NODE("a", "ReLU", "\"x\"", "") ", " NODE("b", "Conv2d", "\"x\"",
        ", \"in_channels\": 6, \"out_channels\": 5, \"kernel_size\": 1") ", "
        NODE("join", "Concat", "\"a\", \"b\"", "") ", "
        NODE("cut", "Truncate", "\"join\"", ", \"channels\": 7") "]}"), true, SN_EXACTNESS_SPEC},
            /* clang-format on */
};

static void row_alone_and_among_others(void **state)
{
    static const int64_t all[] = {1, 7, 64, 512};
    const struct row    *r = *state;
    struct whole         w;
    struct ground        g;
    sn_subnet           *subnet;

    whole_load(&w, r->spec);
    subnet = whole_seal(&w);
    ground_init(&g, r->name, subnet, r->exactness);
    same_bits(&g, all, r->small ? 4 : 3);
    ground_fini(&g);
    sn_subnet_unref(subnet);
    whole_fini(&w);
}

/* ---- subnets of supernets -----------------------------------------------------------------------
 */

static void resampled(sn_supernet *net, const char *name, int n, uint64_t seed)
{
    static const int64_t largest[] = {7, 64};
    sn_policy           *policy;
    sn_error             err = {0};
    sn_rng               rng;

    if (sn_policy_create(net, "path", NULL, &policy, &err) != SN_OK) fail_msg("%s", err.text);
    sn_rng_seed(&rng, seed);
    for (int i = 0; i < n; i++) {
        struct ground g;
        sn_draft     *draft;
        sn_subnet    *subnet = NULL;

        assert_int_equal(sn_draft_create(net, &draft, NULL), SN_OK);
        if (sn_policy_resample(policy, &rng, draft, &err) != SN_OK ||
            sn_draft_seal(draft, &subnet, &err) != SN_OK)
            fail_msg("%s: %s", err.where, err.text);
        ground_init(&g, name, subnet, SN_EXACTNESS_SPEC);
        same_bits(&g, largest, COUNT(largest));
        ground_fini(&g);
        sn_subnet_unref(subnet);
        sn_draft_free(draft);
    }
    sn_policy_free(policy);
}

static void subnets_of_the_demo(void **state)
{
    sn_supernet *net = net_demo();

    (void)state;
    resampled(net, "demo", 4, 1);
    sn_supernet_unref(net);
}

/* SEEDS of the environment: that many documents. */
static void subnets_of_random_documents(void **state)
{
    static char spec[1 << 16];
    const char *more = getenv("SEEDS");
    const int   n_seeds = more ? atoi(more) : 40;

    (void)state;
    for (int seed = 1; seed <= n_seeds; seed++) {
        struct whole w;

        if (!random_document((uint64_t)seed, spec, sizeof spec)) continue;
        whole_load(&w, spec);
        resampled(w.net, spec, 1, (uint64_t)seed);
        whole_fini(&w);
    }
}

int main(void)
{
    struct CMUnitTest tests[COUNT(rows) + 2];

    for (size_t i = 0; i < COUNT(rows); i++)
        tests[i] = (struct CMUnitTest){rows[i].name, row_alone_and_among_others, NULL, NULL,
                                       (void *)&rows[i]};
    tests[COUNT(rows)] = (struct CMUnitTest)cmocka_unit_test(subnets_of_the_demo);
    tests[COUNT(rows) + 1] = (struct CMUnitTest)cmocka_unit_test(subnets_of_random_documents);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
