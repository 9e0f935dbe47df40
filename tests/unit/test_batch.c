/* Shapes that meet the batch in unusual ways: N on any axis, constants that happen to equal it,
 * nothing at all, and more than memory has. What fits is computed, the rest is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "supernet/supernet.h"
#include "support/net.h"
#include "support/threads.h"

#define SPEC(inputs, model)                                                                        \
    "{\"format\": \"supernet/1\", \"name\": \"t\", \"inputs\": [" inputs "], \"model\": " model "}"
#define IN(name, shape) "{\"name\": \"" name "\", \"shape\": [" shape "]}"
#define GRAPH(inputs, nodes, outputs)                                                              \
    "{\"type\": \"Graph\", \"inputs\": [" inputs "], \"outputs\": [" outputs                       \
    "], \"nodes\": [" nodes "]}"

static const struct net_tensor no_tensors[] = {
    {NULL, 0, {0}}
};

struct world {
    void        *bytes;
    sn_supernet *net;
    sn_subnet   *subnet;
    sn_plan     *plan;
    sn_error     err;
};

/* Load, seal and compile for inputs of these shapes. */
static sn_status compile_for_threads(struct world *w, const char *spec,
                                     const struct net_tensor *tensors, const sn_shape *shape,
                                     size_t n_in, int n_threads)
{
    sn_desc            in[2] = {0};
    sn_compile_options options = {
        .size = sizeof options, .in = in, .n_in = n_in, .n_threads = n_threads};

    *w = (struct world){0};
    for (size_t i = 0; i < n_in; i++)
        in[i] = (sn_desc){SN_F32, shape[i]};
    w->net = net_load(spec, tensors, &w->bytes);
    w->subnet = net_choose(w->net, "");
    return sn_plan_compile(w->subnet, &options, &w->plan, &w->err);
}

static sn_status compile(struct world *w, const char *spec, const struct net_tensor *tensors,
                         const sn_shape *shape, size_t n_in)
{
    return compile_for_threads(w, spec, tensors, shape, n_in, 1);
}

/* Run on 0.1, 0.2, ..., 1.7, 0.1, ...; the output is malloc()ed. */
static sn_status forward(struct world *w, const sn_shape *shape, size_t n_in, int64_t batch,
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

/* Run on x; the outputs are malloc()ed, ret_n: elements of a sample of each. */
static void run_into(struct world *w, const sn_shape *shape, float *x, int64_t batch, int n_threads,
                     float **ret_y, int64_t *ret_n)
{
    const sn_plan_info  *info = sn_plan_describe(w->plan);
    const sn_parallel    threads = threads_of(n_threads);
    const sn_run_options options = {.size = sizeof options,
                                    .scratch =
                                        aligned_alloc(64, (info->scratch_bytes + 127) / 64 * 64),
                                    .parallel = n_threads > 1 ? &threads : NULL};
    const sn_tensor      in = sn_tensor_dense(SN_F32, shape, x);
    sn_desc              desc[3];
    sn_tensor            out[3];

    assert_true(info->n_out <= 3);
    memset(options.scratch, 0xff, info->scratch_bytes); /* not a number */
    sn_plan_outputs(w->plan, batch, desc);
    for (size_t k = 0; k < info->n_out; k++) {
        ret_n[k] = sn_shape_count(&desc[k].shape) / batch;
        ret_y[k] = malloc((size_t)(ret_n[k] * batch) * sizeof(float));
        out[k] = sn_tensor_dense(SN_F32, &desc[k].shape, ret_y[k]);
    }
    assert_int_equal(sn_plan_forward(w->plan, &in, out, &options, &w->err), SN_OK);
    free(options.scratch);
}

static void end(struct world *w)
{
    sn_plan_unref(w->plan);
    sn_subnet_unref(w->subnet);
    sn_supernet_unref(w->net);
    free(w->bytes);
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
        {"conv.weight",     4, {2, 2, 3, 3}},
        {"conv.bias",       1, {2}         },
        {"bn.weight",       1, {2}         },
        {"bn.bias",         1, {2}         },
        {"bn.running_mean", 1, {2}         },
        {"bn.running_var",  1, {2}         },
        {NULL,              0, {0}         },
    };
    static const char *const spec[] = {
        SPEC(IN("x", "\"N\", 2, 4, 4"), GRAPH("\"x\"", NORM ", " CONV ", " SUM, "\"sum\"")),
        SPEC(IN("x", "\"N\", 2, 4, 4"), GRAPH("\"x\"", CONV ", " NORM ", " SUM, "\"sum\""))};
    const sn_shape shape = {
        4, {1, 2, 4, 4}
    };
    float *y[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world w;

        assert_int_equal(compile(&w, spec[i], tensors, &shape, 1), SN_OK);
        assert_int_equal(forward(&w, &shape, 1, 1, &y[i]), SN_OK);
        end(&w);
    }
    for (int i = 0; i < 32; i++)
        assert_true(fabsf(y[0][i] - y[1][i]) < 1e-5f * fabsf(y[0][i]));
    free(y[0]);
    free(y[1]);
}

/* Inputs that are absent, and joined all the same. */
static void nothing_is_joined(void **state)
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
    const sn_desc in[3] = {
        {SN_F32, {.rank = 4, .dim = {2, 4, 3, 3}}}
    };
    const sn_compile_options options = {.size = sizeof options, .in = in, .n_in = 3};
    struct world             w = {0};

    (void)state;
    w.net = net_load(spec, no_tensors, &w.bytes);
    w.subnet = net_choose(w.net, "which=0,1");
    assert_int_equal(sn_plan_compile(w.subnet, &options, &w.plan, &w.err), SN_OK);
    assert_int_equal(sn_plan_describe(w.plan)->out[1].dtype, SN_NONE);
    end(&w);
}

/* ---- N on another axis ------------------------------------------------------------------- */

#define CONV3                                                                                      \
    "{\"name\": \"conv\", \"type\": \"Conv2d\", \"in_channels\": 3, \"out_channels\": 4, "         \
    "\"kernel_size\": 3, \"padding\": 1"
static const struct net_tensor conv3[] = {
    {"conv.weight", 4, {4, 3, 3, 3}},
    {"conv.bias",   1, {4}         },
    {NULL,          0, {0}         },
};

/* The height of an image is part of what a convolution is prepared for. */
static void a_height_is_no_batch(void **state)
{
    static const char spec[] =
        SPEC(IN("x", "1, 3, \"N\", 8"), "{\"type\": \"Sequential\", \"layers\": [" CONV3 "}]}");
    const sn_shape all =
                       {
                           4, {1, 3, 64, 8}
    },
                   two = {4, {1, 3, 2, 8}};
    struct world w;
    float       *y;

    (void)state;
    assert_int_equal(compile(&w, spec, conv3, &all, 1), SN_OK);
    assert_int_equal(forward(&w, &two, 1, 2, &y), SN_E_SHAPE);
    free(y);
    assert_int_equal(forward(&w, &all, 1, 64, &y), SN_OK);
    free(y);
    end(&w);
}

/* 5 rows become 3: neither constant nor a multiple. Values before that grow with the batch. */
static void a_plan_for_one_batch_runs_with_it(void **state)
{
    static const char spec[] =
        SPEC(IN("x", "3, \"N\", 8"),
             "{\"type\": \"Sequential\", \"layers\": [{\"type\": \"ReLU\"}, " CONV3
             ", \"stride\": 2}]}");
    const sn_shape shape = {
        3, {3, 5, 8}
    };
    struct world w;
    float       *y;

    (void)state;
    assert_int_equal(compile(&w, spec, conv3, &shape, 1), SN_OK);
    assert_int_equal(forward(&w, &shape, 1, 5, &y), SN_OK);
    free(y);
    end(&w);
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
        {NULL,          0, {0}         },
    };
    const sn_shape x2 =
                       {
                           4, {2, 2, 3, 3}
    },
                   x1 = {4, {1, 2, 3, 3}};
    const sn_shape g2 =
                       {
                           4, {2, 2, 1, 1}
    },
                   g1 = {4, {1, 2, 1, 1}};
    struct world w;
    float       *y;

    (void)state;
    assert_int_equal(compile(&w, add, tensors, (const sn_shape[]){x2, x2}, 2), SN_OK);
    assert_int_equal(forward(&w, (const sn_shape[]){x1, x2}, 2, 1, &y), SN_OK);
    /* The image counts for both: the results differ as the two that are added do. */
    for (int i = 0; i < 18; i++)
        assert_true(fabsf(y[18 + i] - y[i] - ((float)((18 + i) % 17) - (float)(i % 17)) / 10) <
                    1e-5f);
    free(y);
    end(&w);

    assert_int_equal(compile(&w, mul, tensors, (const sn_shape[]){x2, g2}, 2), SN_OK);
    assert_int_equal(forward(&w, (const sn_shape[]){x2, g1}, 2, 1, &y), SN_OK);
    for (int i = 0; i < 36; i++)
        assert_true(isfinite(y[i]));
    free(y);
    end(&w);
}

/* ---- large samples go through one after the other ------------------------------------------ */

#define LARGE                                                                                      \
    "{\"name\": \"conv\", \"type\": \"Conv2d\", \"in_channels\": 1, \"out_channels\": 8, "         \
    "\"kernel_size\": 3, \"padding\": 1}, {\"type\": \"ReLU\"}, {\"type\": \"Mean\", \"dim\": "    \
    "[2, 3]}"
static const struct net_tensor large[] = {
    {"conv.weight", 4, {8, 1, 3, 3}},
    {"conv.bias",   1, {8}         },
    {NULL,          0, {0}         },
};

/* Three samples need the memory of one, and give what each gives alone. */
static void large_samples_come_one_by_one(void **state)
{
    static const char spec[] =
        SPEC(IN("x", "\"N\", 1, 300, 300"), "{\"type\": \"Sequential\", \"layers\": [" LARGE "]}");
    const sn_shape three =
                       {
                           4, {3, 1, 300, 300}
    },
                   one = {4, {1, 1, 300, 300}};
    struct world w, alone;
    float       *y, *first;

    (void)state;
    assert_int_equal(compile(&w, spec, large, &three, 1), SN_OK);
    assert_int_equal(compile(&alone, spec, large, &one, 1), SN_OK);
    assert_int_equal(sn_plan_describe(w.plan)->scratch_bytes,
                     sn_plan_describe(alone.plan)->scratch_bytes);
    assert_int_equal(forward(&w, &three, 1, 3, &y), SN_OK);
    assert_int_equal(forward(&alone, &one, 1, 1, &first), SN_OK);
    assert_memory_equal(y, first, 8 * sizeof *y); /* the pattern of inputs starts anew there */
    assert_memory_not_equal(y, y + 8, 8 * sizeof *y);
    free(y);
    free(first);
    end(&w);
    end(&alone);
}

#define DOWN(name, from, stride)                                                                   \
    "{\"name\": \"" name "\", \"type\": \"Conv2d\", \"in_channels\": 4, \"out_channels\": 4, "     \
    "\"kernel_size\": 3, \"padding\": 1, \"stride\": " stride ", \"inputs\": [\"" from "\"]}"
#define ADD(name, a, b)                                                                            \
    "{\"name\": \"" name "\", \"type\": \"Add\", \"inputs\": [\"" a "\", \"" b "\"]}"
#define MEAN(name, from)                                                                           \
    "{\"name\": \"" name "\", \"type\": \"Mean\", \"dim\": [2, 3], \"inputs\": [\"" from "\"]}"

/* A chain of ever smaller images with sums across. */
/* clang-format off */
static const char gathering[] = SPEC(
    IN("x", "\"N\", 4, 256, 256"),
    GRAPH("\"x\"",
          DOWN("a", "x", "2") "," DOWN("b", "a", "2") "," DOWN("c", "b", "1") ","
          ADD("d", "b", "c") "," DOWN("e", "d", "2") "," DOWN("f", "e", "4") ","
          DOWN("g", "d", "8") "," ADD("h", "f", "g") "," MEAN("y", "h"),
          "\"h\", \"y\", \"d\""));
/* clang-format on */
static const struct net_tensor gathering_tensors[] = {
    {"a.weight", 4, {4, 4, 3, 3}},
    {"a.bias",   1, {4}         },
    {"b.weight", 4, {4, 4, 3, 3}},
    {"b.bias",   1, {4}         },
    {"c.weight", 4, {4, 4, 3, 3}},
    {"c.bias",   1, {4}         },
    {"e.weight", 4, {4, 4, 3, 3}},
    {"e.bias",   1, {4}         },
    {"f.weight", 4, {4, 4, 3, 3}},
    {"f.bias",   1, {4}         },
    {"g.weight", 4, {4, 4, 3, 3}},
    {"g.bias",   1, {4}         },
    {NULL,       0, {0}         },
};
enum { GATHER_MOST = 37, GATHER_OUT = 3, GATHER_SAMPLE = 4 * 256 * 256 };

static float *gathering_input(void)
{
    float *x = malloc((size_t)GATHER_MOST * GATHER_SAMPLE * sizeof *x);

    for (int64_t i = 0; i < (int64_t)GATHER_MOST * GATHER_SAMPLE; i++)
        x[i] = (float)(i * 7919 % 1009) / 1009 - 0.5f;
    return x;
}

/* Some samples ahead, more behind, by one thread or by several of which each takes its own and
 * all what is left: the same bits as alone. */
static void samples_gather_on_their_way(void **state)
{
    static const struct {
        int made_for, run_by;
    } threads[] = {
        {1, 1},
        {2, 2},
        {5, 5},
        {5, 2},
        {2, 5},
        {3, 1}
    };
    sn_shape shape = {
        .rank = 4, .dim = {1, 4, 256, 256}
    };
    float       *x = gathering_input(), *all[GATHER_OUT], *one[GATHER_MOST][GATHER_OUT];
    struct world w, alone;
    int64_t      n[GATHER_OUT];

    (void)state;
    assert_int_equal(compile(&alone, gathering, gathering_tensors, &shape, 1), SN_OK);
    for (int i = 0; i < GATHER_MOST; i++)
        run_into(&alone, &shape, x + i * GATHER_SAMPLE, 1, 1, one[i], n);
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        shape.dim[0] = GATHER_MOST;
        assert_int_equal(
            compile_for_threads(&w, gathering, gathering_tensors, &shape, 1, threads[t].made_for),
            SN_OK);
        if (threads[t].made_for == 1)
            assert_true(sn_plan_describe(w.plan)->scratch_bytes <
                        GATHER_MOST / 2 * sn_plan_describe(alone.plan)->scratch_bytes);
        for (int batch = 1; batch <= GATHER_MOST; batch += 12) {
            shape.dim[0] = batch;
            run_into(&w, &shape, x, batch, threads[t].run_by, all, n);
            for (int i = 0; i < batch; i++)
                for (int k = 0; k < GATHER_OUT; k++)
                    assert_memory_equal(all[k] + i * n[k], one[i][k], (size_t)n[k] * sizeof *x);
            for (int k = 0; k < GATHER_OUT; k++)
                free(all[k]);
        }
        end(&w);
    }
    for (int i = 0; i < GATHER_MOST; i++)
        for (int k = 0; k < GATHER_OUT; k++)
            free(one[i][k]);
    free(x);
    end(&alone);
}

/* What does not grow with the batch is nobody's sample: no thread may find it half made. */
static void what_samples_share_is_made_once(void **state)
{
    /* clang-format off */
    static const char spec[] = SPEC(
        IN("x", "\"N\", 16, 40, 40") ", " IN("z", "1, 16, 40, 40"),
        GRAPH("\"x\", \"z\"",
              "{\"name\": \"l\", \"type\": \"Softmax\", \"dim\": -1, \"inputs\": [\"z\"]},"
              "{\"name\": \"conv\", \"type\": \"Conv2d\", \"in_channels\": 16, \"out_channels\": 16, "
              "\"kernel_size\": 3, \"padding\": 1, \"inputs\": [\"x\"]}," ADD("y", "conv", "l"),
              "\"l\", \"y\""));
    /* clang-format on */
    static const struct net_tensor tensors[] = {
        {"conv.weight", 4, {16, 16, 3, 3}},
        {"conv.bias",   1, {16}          },
        {NULL,          0, {0}           },
    };
    enum { SAMPLES = 4, SAMPLE = 16 * 40 * 40 };
    const sn_shape shape[] = {
        {.rank = 4, .dim = {SAMPLES, 16, 40, 40}},
        {.rank = 4, .dim = {1, 16, 40, 40}      }
    };
    static float x[SAMPLES * SAMPLE], z[SAMPLE], l[SAMPLE], y[SAMPLES * SAMPLE],
        want[SAMPLES * SAMPLE];
    const sn_parallel threads = threads_of(SAMPLES);
    const sn_tensor   in[] = {sn_tensor_dense(SN_F32, &shape[0], x),
                              sn_tensor_dense(SN_F32, &shape[1], z)};
    sn_tensor         out[] = {sn_tensor_dense(SN_F32, &shape[1], l),
                               sn_tensor_dense(SN_F32, &shape[0], want)};
    sn_run_options    options = {.size = sizeof options};
    struct world      w;

    (void)state;
    for (int i = 0; i < SAMPLES * SAMPLE; i++)
        x[i] = z[i % SAMPLE] = (float)(i * 7919 % 1009) / 1009;
    assert_int_equal(compile_for_threads(&w, spec, tensors, shape, 2, SAMPLES), SN_OK);
    options.scratch = aligned_alloc(64, (sn_plan_describe(w.plan)->scratch_bytes + 127) / 64 * 64);
    assert_int_equal(sn_plan_forward(w.plan, in, out, &options, &w.err), SN_OK);
    options.parallel = &threads;
    out[1].data = y;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(sn_plan_forward(w.plan, in, out, &options, &w.err), SN_OK);
        assert_memory_equal(y, want, sizeof y);
    }
    free(options.scratch);
    end(&w);
}

/* True from the nth time on. */
static bool stops(void *cls)
{
    return atomic_fetch_sub((atomic_int *)cls, 1) <= 1;
}

static void threads_with_their_own_samples_stop(void **state)
{
    const sn_shape shape = {
        .rank = 4, .dim = {4, 4, 256, 256}
    };
    const sn_parallel threads = threads_of(2);
    atomic_int        left;
    sn_run_options    options = {
           .size = sizeof options, .parallel = &threads, .stop = stops, .stop_cls = &left};
    float       *x = gathering_input();
    sn_tensor    in = sn_tensor_dense(SN_F32, &shape, x), out[GATHER_OUT];
    sn_desc      desc[GATHER_OUT];
    struct world w;

    (void)state;
    assert_int_equal(compile_for_threads(&w, gathering, gathering_tensors, &shape, 1, 2), SN_OK);
    options.scratch = aligned_alloc(64, (sn_plan_describe(w.plan)->scratch_bytes + 63) / 64 * 64);
    sn_plan_outputs(w.plan, 4, desc);
    for (int k = 0; k < GATHER_OUT; k++)
        out[k] = sn_tensor_dense(SN_F32, &desc[k].shape,
                                 malloc((size_t)sn_shape_count(&desc[k].shape) * sizeof(float)));
    for (int after = 1; after < 24; after += 5) {
        left = after;
        assert_int_equal(sn_plan_forward(w.plan, &in, out, &options, &w.err), SN_E_STOPPED);
    }
    left = 1000;
    assert_int_equal(sn_plan_forward(w.plan, &in, out, &options, &w.err), SN_OK);
    for (int k = 0; k < GATHER_OUT; k++)
        free(out[k].data);
    free(options.scratch);
    free(x);
    end(&w);
}

#define TURN(name, from, in, out)                                                                  \
    "{\"name\": \"" name "\", \"type\": \"Conv2d\", \"in_channels\": " in                          \
    ", \"out_channels\": " out ", \"kernel_size\": 1, \"bias\": false, \"inputs\": [\"" from       \
    "\"]}"

/* Threads cost memory for the middles of tensors, but no request that fits without. */
static void room_for_threads_is_no_need(void **state)
{
    /* clang-format off */
    static const char spec[] = SPEC(
        IN("x", "\"N\", 16, 64, 64"),
        GRAPH("\"x\"",
              TURN("a", "x", "16", "64") "," TURN("b", "a", "64", "32") ","
              TURN("c", "b", "32", "32") "," TURN("d", "c", "32", "32") ","
              TURN("e", "d", "32", "32") "," ADD("f", "e", "b") "," MEAN("y", "f"),
              "\"y\""));
    /* clang-format on */
    static const struct net_tensor tensors[] = {
        {"a.weight", 4, {64, 16, 1, 1}},
        {"b.weight", 4, {32, 64, 1, 1}},
        {"c.weight", 4, {32, 32, 1, 1}},
        {"d.weight", 4, {32, 32, 1, 1}},
        {"e.weight", 4, {32, 32, 1, 1}},
        {NULL,       0, {0}           },
    };
    const sn_shape shape = {
        4, {1, 16, 64, 64}
    };
    sn_desc            in = {SN_F32, shape};
    sn_compile_options options = {.size = sizeof options, .in = &in, .n_in = 1, .n_threads = 2};
    struct world       w;
    sn_plan           *wide, *packed;
    size_t             most;

    (void)state;
    assert_int_equal(compile(&w, spec, tensors, &shape, 1), SN_OK);
    assert_int_equal(sn_plan_compile(w.subnet, &options, &wide, &w.err), SN_OK);
    most = sn_plan_describe(wide)->scratch_bytes;
    options.scratch_limit_bytes = most - 1;
    assert_int_equal(sn_plan_compile(w.subnet, &options, &packed, &w.err), SN_OK);
    assert_true(sn_plan_describe(packed)->scratch_bytes < most);
    assert_true(most <= sn_plan_describe(packed)->scratch_bytes / 2 * 3);
    sn_plan_unref(wide);
    sn_plan_unref(packed);
    end(&w);
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
        {NULL,       0, {0}           },
    };
    enum { IMAGE_BYTES = 32 * 64 * 64 * sizeof(float) };
    const sn_shape shape = {
        .rank = 4, .dim = {1, 16, 64, 64}
    };
    struct world w;

    (void)state;
    assert_int_equal(compile(&w, spec, tensors, &shape, 1), SN_OK);
    assert_in_range(sn_plan_describe(w.plan)->scratch_bytes, 2 * IMAGE_BYTES, 3 * IMAGE_BYTES - 1);
    end(&w);
}

/* So do samples that threads take for themselves. */
static void samples_of_threads_are_no_need(void **state)
{
    const sn_shape shape = {
        .rank = 4, .dim = {4, 4, 256, 256}
    };
    const sn_desc      in = {SN_F32, shape};
    sn_compile_options options = {.size = sizeof options, .in = &in, .n_in = 1};
    struct world       w;
    sn_plan           *plan;
    size_t             one, four;

    (void)state;
    assert_int_equal(compile(&w, gathering, gathering_tensors, &shape, 1), SN_OK);
    one = sn_plan_describe(w.plan)->scratch_bytes;
    options.n_threads = 4;
    assert_int_equal(sn_plan_compile(w.subnet, &options, &plan, &w.err), SN_OK);
    four = sn_plan_describe(plan)->scratch_bytes;
    sn_plan_unref(plan);
    assert_true(four > one);
    for (size_t limit = four - 1; limit >= one; limit = limit > one ? (limit + one) / 2 : 0) {
        options.scratch_limit_bytes = limit;
        assert_int_equal(sn_plan_compile(w.subnet, &options, &plan, &w.err), SN_OK);
        assert_in_range(sn_plan_describe(plan)->scratch_bytes, 1, limit);
        sn_plan_unref(plan);
    }
    end(&w);
}

/* A softmax over the batch looks at all of it. */
static void samples_that_meet_stay_together(void **state)
{
    static const char spec[] =
        SPEC(IN("x", "\"N\", 1, 300, 300"), "{\"type\": \"Sequential\", \"layers\": [" LARGE
                                            ", {\"type\": \"Softmax\", \"dim\": 0}]}");
    const sn_shape three = {
        4, {3, 1, 300, 300}
    };
    struct world w;
    float       *y;

    (void)state;
    assert_int_equal(compile(&w, spec, large, &three, 1), SN_OK);
    assert_int_equal(forward(&w, &three, 1, 3, &y), SN_OK);
    for (int c = 0; c < 8; c++)
        assert_true(fabsf(y[c] + y[8 + c] + y[16 + c] - 1) < 1e-5f);
    free(y);
    end(&w);
}

/* Without running statistics a normalisation takes those of the whole batch, also in evaluation. */
static void statistics_of_a_batch_see_all_of_it(void **state)
{
    static const char spec[] = SPEC(
        IN("x", "\"N\", 1, 800, 800"),
        "{\"type\": \"Sequential\", \"layers\": [{\"type\": \"BatchNorm2d\", \"num_features\": 1, "
        "\"affine\": false, \"track_running_stats\": false}, {\"type\": \"Mean\", \"dim\": [2, "
        "3]}]}");
    const sn_shape three = {
        4, {3, 1, 800, 800}
    };
    struct world w;
    float       *y;

    (void)state;
    assert_int_equal(compile(&w, spec, no_tensors, &three, 1), SN_OK);
    assert_in_range(sn_plan_describe(w.plan)->scratch_bytes, 3 * 800 * 800 * sizeof(float),
                    SIZE_MAX);
    assert_int_equal(forward(&w, &three, 1, 3, &y), SN_OK);
    assert_true(fabsf(y[0] + y[1] + y[2]) < 1e-4f);
    free(y);
    end(&w);
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
        {"fc.bias",   1, {40}   },
        {NULL,        0, {0}    },
    };
    const sn_shape shape = {
        3, {2, 0, 3}
    };
    struct world w;
    float       *y;

    (void)state;
    assert_int_equal(compile(&w, spec, tensors, &shape, 1), SN_OK);
    assert_int_equal(forward(&w, &shape, 1, 2, &y), SN_OK);
    free(y);
    end(&w);
}

/* Sums broadcast: 2^32 by 2^32 numbers of a few inputs. */
static void sums_have_a_size(void **state)
{
    static const char spec[] =
        SPEC(IN("x", "\"N\", 1, 1073741824") ", " IN("r", "1073741824, 1073741824, 1"),
             "{\"type\": \"InputChoice\", \"label\": \"which\", \"n_candidates\": 2, \"n_chosen\": "
             "null, "
             "\"reduction\": \"sum\"}");
    const sn_shape shape[] = {
        {3, {1, 1, 1 << 30}      },
        {3, {1 << 30, 1 << 30, 1}}
    };
    const sn_desc in[] = {
        {SN_F32, shape[0]},
        {SN_F32, shape[1]}
    };
    sn_compile_options options = {.size = sizeof options, .in = in, .n_in = 2};
    struct world       w = {0};

    (void)state;
    w.net = net_load(spec, no_tensors, &w.bytes);
    w.subnet = net_choose(w.net, "which=0,1");
    assert_int_equal(sn_plan_compile(w.subnet, &options, &w.plan, &w.err), SN_E_LIMIT);
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_residual_is_no_input),
        cmocka_unit_test(nothing_is_joined),
        cmocka_unit_test(a_height_is_no_batch),
        cmocka_unit_test(a_plan_for_one_batch_runs_with_it),
        cmocka_unit_test(a_constant_is_no_batch),
        cmocka_unit_test(large_samples_come_one_by_one),
        cmocka_unit_test(samples_gather_on_their_way),
        cmocka_unit_test(what_samples_share_is_made_once),
        cmocka_unit_test(threads_with_their_own_samples_stop),
        cmocka_unit_test(samples_of_threads_are_no_need),
        cmocka_unit_test(a_sum_takes_its_residuals_place),
        cmocka_unit_test(room_for_threads_is_no_need),
        cmocka_unit_test(samples_that_meet_stay_together),
        cmocka_unit_test(statistics_of_a_batch_see_all_of_it),
        cmocka_unit_test(nothing_in_nothing_out),
        cmocka_unit_test(sums_have_a_size),
    };

    return cmocka_run_group_tests_name("batch", tests, NULL, NULL);
}
