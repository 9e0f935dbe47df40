/* How shapes depend on the batch is derived: a plan is either right for every batch up to its
 * largest, or it is one for a fixed batch and says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/planned.h"
#include "tensor/growth.h"

enum { MOST = 9, MAX_IN = 3 };
enum { N = -1 }; /* the batch, in a shape */

static const struct net_tensor none[] = {{NULL, 0, {0}}};
static const struct net_tensor attention[] = {
    {"y.in_proj_weight", 2, {12, 4}},
    {"y.in_proj_bias", 1, {12}},
    {"y.out_proj.weight", 2, {4, 4}},
    {"y.out_proj.bias", 1, {4}},
    {NULL, 0, {0}},
};
static const struct net_tensor relative[] = {
    {"y.q.weight", 2, {4, 4}},
    {"y.k.weight", 2, {4, 4}},
    {"y.v.weight", 2, {4, 4}},
    {"y.proj.weight", 2, {4, 4}},
    {"y.proj.bias", 1, {4}},
    {"y.rel_pos_embed_k.embeddings_table_v", 2, {6, 2}},
    {"y.rel_pos_embed_k.embeddings_table_h", 2, {6, 2}},
    {"y.rel_pos_embed_v.embeddings_table_v", 2, {6, 2}},
    {"y.rel_pos_embed_v.embeddings_table_h", 2, {6, 2}},
    {NULL, 0, {0}},
};
static const struct net_tensor conv[] = {
    {"y.weight", 4, {2, 2, 3, 3}},
    {"y.bias", 1, {2}},
    {NULL, 0, {0}},
};
static const struct net_tensor norm[] = {
    {"y.weight", 1, {2}},
    {"y.bias", 1, {2}},
    {NULL, 0, {0}},
};
static const struct net_tensor linear[] = {
    {"y.weight", 2, {3, 4}},
    {"y.bias", 1, {3}},
    {NULL, 0, {0}},
};

#define NODE(type, more, inputs)                                                                   \
    "{\"name\": \"y\", \"type\": \"" type "\"" more ", \"inputs\": [" inputs "]}"
#define ONE(shape, node) SPEC(IN("x", shape), GRAPH("\"x\"", node, "\"y\""))
#define TWO(a, b, node)  SPEC(IN("x", a) ", " IN("z", b), GRAPH("\"x\", \"z\"", node, "\"y\""))
#define ADD_XZ           NODE("Add", "", "\"x\", \"z\"")
#define ATTENTION                                                                                  \
    ", \"embed_dim\": 4, \"num_heads\": 2, \"batch_first\": true, \"need_weights\": false"
#define SUM_OF                                                                                     \
    "{\"name\": \"y\", \"type\": \"InputChoice\", \"label\": \"c\", \"n_candidates\": 2, "         \
    "\"n_chosen\": 2, \"inputs\": [\"x\", \"z\"]}"

/* `fails`: bit n is set if the shapes do not fit at batch n. */
static const struct growth_case {
    const char              *name, *spec;
    const struct net_tensor *tensors;
    const char              *choices;
    sn_shape                 in[MAX_IN];
    bool                     fixed;
    unsigned                 fails;
} cases[] = {
    /* clang-format off */
    {"a sum of samples",            TWO("\"N\", 4", "\"N\", 4", ADD_XZ),          none, "", {{2, {N, 4}}, {2, {N, 4}}}, false, 0},
    {"a row for every sample",      TWO("\"N\", 4", "1, 4", ADD_XZ),              none, "", {{2, {N, 4}}, {2, {1, 4}}}, false, 0},
    {"four rows are no batch",      TWO("\"N\", 4", "4, 4", ADD_XZ),              none, "", {{2, {N, 4}}, {2, {4, 4}}}, true, 0x3ec & ~(1u << 4)},
    {"N along two axes of a sum",   TWO("\"N\"", "\"N\", 9", ADD_XZ),             none, "", {{1, {N}}, {2, {N, 9}}}, true, 0x1fc},
    {"a named size is no batch",    TWO("\"N\", 2", "\"M\", 2", ADD_XZ),          none, "", {{2, {N, 2}}, {2, {9, 2}}}, true, 0x1fc},
    {"a sum of chosen inputs",      TWO("\"N\", 4", "4, 4", SUM_OF),              none, "c=0,1", {{2, {N, 4}}, {2, {4, 4}}}, true, 0x3ec & ~(1u << 4)},
    {"joined along the batch",      TWO("\"N\", 2", "3, 2", NODE("Concat", ", \"dim\": 0", "\"x\", \"z\"")), none, "", {{2, {N, 2}}, {2, {3, 2}}}, false, 0},
    {"joined beside the batch",     TWO("\"N\", 2", "\"N\", 3", NODE("Concat", "", "\"x\", \"z\"")), none, "", {{2, {N, 2}}, {2, {N, 3}}}, false, 0},
    {"joined beside something else", TWO("\"N\", 2", "9, 3", NODE("Concat", "", "\"x\", \"z\"")), none, "", {{2, {N, 2}}, {2, {9, 3}}}, true, 0x1fe},
    {"flattened with the batch",    ONE("\"N\", 2, 3", NODE("Flatten", ", \"start_dim\": 0", "\"x\"")), none, "", {{3, {N, 2, 3}}}, false, 0},
    {"flattened behind the batch",  ONE("2, \"N\", 3", NODE("Flatten", "", "\"x\"")), none, "", {{3, {2, N, 3}}}, false, 0},
    {"rows of six",                 ONE("\"N\", 12", NODE("Reshape", ", \"shape\": [-1, 6]", "\"x\"")), none, "", {{2, {N, 12}}}, false, 0},
    {"rows of eight",               ONE("\"N\", 4", NODE("Reshape", ", \"shape\": [-1, 8]", "\"x\"")), none, "", {{2, {N, 4}}}, true, 0x2aa},
    {"only three samples",          ONE("\"N\", 4", NODE("Reshape", ", \"shape\": [12]", "\"x\"")), none, "", {{2, {N, 4}}}, true, 0x3fe & ~(1u << 3)},
    {"an axis that is kept",        ONE("\"N\", 4, 6", NODE("Reshape", ", \"shape\": [0, -1, 3]", "\"x\"")), none, "", {{3, {N, 4, 6}}}, false, 0},
    {"the batch goes last",         ONE("\"N\", 4, 6", NODE("Permute", ", \"dims\": [2, 1, 0]", "\"x\"")), none, "", {{3, {N, 4, 6}}}, false, 0},
    {"the mean of the batch",       ONE("\"N\", 4", NODE("Mean", ", \"dim\": 0", "\"x\"")), none, "", {{2, {N, 4}}}, false, 0},
    {"softmax over the batch",      ONE("\"N\", 4", NODE("Softmax", ", \"dim\": 0", "\"x\"")), none, "", {{2, {N, 4}}}, false, 0},
    {"any rows of a Linear",        ONE("2, \"N\", 4", NODE("Linear", ", \"in_features\": 4, \"out_features\": 3", "\"x\"")), linear, "", {{3, {2, N, 4}}}, false, 0},
    {"features are no batch",       ONE("\"N\"", NODE("Linear", ", \"in_features\": 4, \"out_features\": 3", "\"x\"")), linear, "", {{1, {N}}}, true, 0x3fe & ~(1u << 4)},
    {"channels are no batch",       ONE("\"N\", 3, 3", NODE("Conv2d", ", \"in_channels\": 2, \"out_channels\": 2, \"kernel_size\": 3, \"padding\": 1", "\"x\"")), conv, "", {{3, {N, 3, 3}}}, true, 0x3fe & ~(1u << 2)},
    {"a height that is the batch",  ONE("1, 2, \"N\", 5", NODE("Conv2d", ", \"in_channels\": 2, \"out_channels\": 2, \"kernel_size\": 3", "\"x\"")), conv, "", {{4, {1, 2, N, 5}}}, true, 0x6},
    {"statistics of some pixels",   ONE("\"N\", 2, 2, 2", NODE("BatchNorm2d", ", \"num_features\": 2, \"track_running_stats\": false", "\"x\"")), norm, "", {{4, {N, 2, 2, 2}}}, false, 0},
    {"statistics of one pixel",     ONE("\"N\", 2, 1, 1", NODE("BatchNorm2d", ", \"num_features\": 2, \"track_running_stats\": false", "\"x\"")), norm, "", {{4, {N, 2, 1, 1}}}, true, 0x2},
    {"normalized axes are no batch", ONE("2, \"N\"", NODE("LayerNorm", ", \"normalized_shape\": 2", "\"x\"")), norm, "", {{2, {2, N}}}, true, 0x3fe & ~(1u << 2)},
    {"attention",                   ONE("\"N\", 3, 4", NODE("MultiheadAttention", ATTENTION, "\"x\", \"x\", \"x\"")), attention, "", {{3, {N, 3, 4}}}, false, 0},
    {"attention over the batch",    ONE("2, \"N\", 4", NODE("MultiheadAttention", ATTENTION, "\"x\", \"x\", \"x\"")), attention, "", {{3, {2, N, 4}}}, true, 0},
    {"attention to other samples",  TWO("\"N\", 3, 4", "9, 3, 4", NODE("MultiheadAttention", ATTENTION, "\"x\", \"z\", \"z\"")), attention, "", {{3, {N, 3, 4}}, {3, {9, 3, 4}}}, true, 0x1fe},
    {"a mask for every head",       TWO("\"N\", 3, 4", "\"N\", 2, 3, 3", "{\"name\": \"r\", \"type\": \"Reshape\", \"shape\": [-1, 3, 3], \"inputs\": [\"z\"]}, " NODE("MultiheadAttention", ATTENTION, "\"x\", \"x\", \"x\", null, \"r\"")), attention, "", {{3, {N, 3, 4}}, {4, {N, 2, 3, 3}}}, false, 0},
    {"a mask of the batch",         TWO("1, 3, 4", "\"N\", 3, 3", NODE("MultiheadAttention", ATTENTION, "\"x\", \"x\", \"x\", null, \"z\"")), attention, "", {{3, {1, 3, 4}}, {3, {N, 3, 3}}}, true, 0x3fe & ~(1u << 2)},
    {"a padding mask",              TWO("\"N\", 3, 4", "\"N\", 3", NODE("MultiheadAttention", ATTENTION, "\"x\", \"x\", \"x\", \"z\"")), attention, "", {{3, {N, 3, 4}}, {2, {N, 3}}}, false, 0},
    {"positions of samples",        ONE("\"N\", 5, 4", NODE("RelativePositionSelfAttention", ", \"embed_dim\": 4, \"num_heads\": 2, \"head_dim\": 2, \"qkv_bias\": false, \"rpe\": true, \"rpe_length\": 2", "\"x\"")), relative, "", {{3, {N, 5, 4}}}, false, 0},
    {"positions of the batch",      ONE("1, \"N\", 4", NODE("RelativePositionSelfAttention", ", \"embed_dim\": 4, \"num_heads\": 2, \"head_dim\": 2, \"qkv_bias\": false, \"rpe\": true, \"rpe_length\": 2", "\"x\"")), relative, "", {{3, {1, N, 4}}}, true, 0},
    /* clang-format on */
};

static sn_shape at_batch(const sn_shape *shape, int64_t batch)
{
    sn_shape s = *shape;

    for (int d = 0; d < s.rank; d++)
        if (s.dim[d] == N) s.dim[d] = batch;
    return s;
}

/* The outputs of `plan` for a batch, malloc()ed, or NULL with the status. */
static float *run(const sn_plan *plan, const struct growth_case *c, int64_t batch, int64_t *ret_n,
                  sn_status *ret_rc)
{
    const sn_plan_info *info = sn_plan_describe(plan);
    sn_run_options      options = {.size = sizeof options,
                                   .scratch = aligned_alloc(64, (info->scratch_bytes + 127) / 64 * 64)};
    sn_tensor           in[MAX_IN], out;
    sn_desc             desc;
    float              *y;

    memset(options.scratch, 0xff, info->scratch_bytes); /* not a number */
    for (size_t i = 0; i < info->n_in; i++) {
        const sn_shape shape = at_batch(&c->in[i], batch);
        const int64_t  n = sn_shape_count(&shape);
        float         *x = malloc((size_t)n * sizeof *x);

        for (int64_t k = 0; k < n; k++)
            x[k] = (float)((k * 7 + (int64_t)i) % 23 - 11) / 10;
        in[i] = sn_tensor_dense(SN_F32, &shape, x);
    }
    sn_plan_outputs(plan, batch, &desc);
    *ret_n = sn_shape_count(&desc.shape);
    y = malloc((size_t)*ret_n * sizeof *y);
    out = sn_tensor_dense(SN_F32, &desc.shape, y);
    *ret_rc = sn_plan_forward(plan, in, &out, &options, NULL);
    for (size_t i = 0; i < info->n_in; i++)
        free(in[i].data);
    free(options.scratch);
    return y;
}

static sn_status make(const struct growth_case *c, int64_t batch, struct planned *w)
{
    sn_shape in[MAX_IN];
    size_t   n_in = 0;

    while (n_in < MAX_IN && c->in[n_in].rank > 0) {
        in[n_in] = at_batch(&c->in[n_in], batch);
        n_in++;
    }
    return planned_make(w, c->spec, c->tensors, c->choices, in, n_in, 1);
}

/* A plan for one batch alone, run on it. */
static float *run_exact(const struct growth_case *c, int64_t batch, int64_t *ret_n)
{
    struct planned w;
    float         *y = NULL;
    sn_status      rc = make(c, batch, &w);

    if (rc == SN_OK) y = run(w.plan, c, batch, ret_n, &rc);
    if ((rc == SN_OK) == (c->fails >> batch & 1))
        fail_msg("%s at batch %lld: %s", c->name, (long long)batch, w.err.text);
    planned_end(&w);
    return y;
}

/* Every batch gives what a plan for it alone gives, or is refused because the plan is for another.
 */
static void a_plan_serves_every_batch_up_to_its_largest(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct growth_case *c = &cases[i];

        for (int64_t largest = 1; largest <= MOST; largest++) {
            struct planned w;

            if (make(c, largest, &w) != SN_OK) {
                planned_end(&w);
                continue;
            }
            if (sn_plan_describe(w.plan)->fixed_batch != c->fixed)
                fail_msg("%s: fixed is %d at %lld", c->name, !c->fixed, (long long)largest);
            for (int64_t batch = 1; batch <= largest; batch++) {
                int64_t   n, n_exact;
                sn_status rc;
                float    *y = run(w.plan, c, batch, &n, &rc), *exact = NULL;

                if (c->fixed && batch != largest) {
                    if (rc != SN_E_SHAPE)
                        fail_msg("%s for %lld at %lld: %d", c->name, (long long)largest,
                                 (long long)batch, rc);
                } else {
                    exact = run_exact(c, batch, &n_exact);
                    if (rc != SN_OK || n != n_exact || memcmp(y, exact, (size_t)n * sizeof *y))
                        fail_msg("%s for %lld at %lld: status %d, %lld elements", c->name,
                                 (long long)largest, (long long)batch, rc, (long long)n);
                }
                free(y);
                free(exact);
            }
            planned_end(&w);
        }
    }
}

static void each_batch_fits_or_does_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int64_t batch = 1; batch <= MOST; batch++) {
            int64_t n;

            free(run_exact(&cases[i], batch, &n));
        }
}

/* ---- nothing at all -------------------------------------------------------------------- */

static const struct {
    const char *name;
    sn_status   rc;
} empty[] = {
    {"a sum of samples", SN_OK},
    {"a row for every sample", SN_OK},
    {"a mask for every head", SN_OK},
    {"joined along the batch", SN_E_SHAPE}, /* three rows would be left */
    {"the mean of the batch", SN_E_SHAPE},
    {"rows of eight", SN_E_SHAPE},
    {"statistics of some pixels", SN_OK},
};

static void an_empty_batch_gives_empty_outputs(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++) {
        const struct growth_case *c = cases;
        struct planned            w;
        sn_status                 rc;
        int64_t                   n;

        while (strcmp(c->name, empty[i].name) != 0)
            c++;
        assert_int_equal(make(c, 2, &w), SN_OK);
        free(run(w.plan, c, 0, &n, &rc));
        if (rc != empty[i].rc) fail_msg("%s: %d", c->name, rc);
        if (rc == SN_OK) assert_int_equal(n, 0);
        planned_end(&w);
    }
}

/* ---- inputs that are not there ---------------------------------------------------------- */

/* An optional input that was not given, wired to what needs one. InputChoices have one decision. */
static void an_absent_input_is_refused_by_what_needs_it(void **state)
{
    static const char *const types[] = {
        "\"Identity\"",
        "\"Dropout\"",
        "\"Flatten\"",
        "\"Reshape\", \"shape\": [-1]",
        "\"ReLU\"",
        "\"Permute\", \"dims\": [0]",
        "\"Softmax\", \"dim\": 0",
        "\"Mean\", \"dim\": 0",
        "\"Concat\"",
        "\"Linear\", \"in_features\": 4, \"out_features\": 3",
        "\"InputChoice\", \"label\": \"i\", \"n_candidates\": 2, \"n_chosen\": 2",
        "\"InputChoice\", \"label\": \"i\", \"n_candidates\": 2, \"n_chosen\": 2, "
        "\"reduction\": \"mean\"",
        "\"InputChoice\", \"label\": \"i\", \"n_candidates\": 2, \"n_chosen\": 2, "
        "\"reduction\": \"concat\"",
    };

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        char           spec[1024];
        const sn_shape shapes[2] = {{2, {2, 4}}, {0, {0}}};
        struct planned w;

        snprintf(
            spec, sizeof spec,
            SPEC(IN("x", "\"N\", 4") ", {\"name\": \"z\", \"shape\": [\"N\", 4], \"optional\": "
                                     "true}",
                 GRAPH("\"x\", \"z\"", "{\"name\": \"y\", \"type\": %s, \"inputs\": [%s]}",
                       "\"x\", \"y\"")),
            types[i], strstr(types[i], "InputChoice") ? "\"z\", \"z\"" : "\"z\"");
        assert_int_equal(
            planned_make(&w, spec, strstr(types[i], "Linear") ? linear : none, "", shapes, 2, 1),
            SN_E_INVALID);
        assert_non_null(strstr(w.err.text, "optional input that was not given"));
        planned_end(&w);
    }
}

/* Elements that can be counted, but not their bytes. */
static void an_input_of_too_many_bytes_is_refused(void **state)
{
    const sn_shape huge = {2, {1, INT64_MAX}};
    struct planned w;

    (void)state;
    assert_int_equal(
        planned_make(&w, ONE("\"N\", \"L\"", NODE("ReLU", "", "\"x\"")), none, "", &huge, 1, 1),
        SN_E_SHAPE);
    planned_end(&w);
}

/* ---- what a run is given ---------------------------------------------------------------- */

static void memory_that_does_not_fit_is_refused(void **state)
{
    /* Two layers, so that something lies in scratch memory. */
    static const char spec[] = SPEC(
        IN("x", "\"N\", 4"),
        "{\"type\": \"Sequential\", \"layers\": [{\"type\": \"Softmax\", \"dim\": 0}, {\"type\": "
        "\"Softmax\", \"dim\": 0}, {\"type\": \"Softmax\", \"dim\": 0}]}");
    const sn_shape     shape = {2, {4, 4}}, fewer = {2, {3, 4}}, other = {1, {16}};
    _Alignas(64) float x[16] = {0}, y[17], scratch[1024];
    const sn_tensor    in = sn_tensor_dense(SN_F32, &shape, x);
    struct {
        sn_tensor out;
        void     *scratch;
        sn_status rc;
    } bad[] = {
        {sn_tensor_dense(SN_F32, &fewer, y), scratch, SN_E_SHAPE},
        {sn_tensor_dense(SN_F32, &other, y), scratch, SN_E_SHAPE},
        {sn_tensor_dense(SN_I64, &shape, y), scratch, SN_E_DTYPE},
        {sn_tensor_dense(SN_F32, &shape, NULL), scratch, SN_E_INVALID},
        {sn_tensor_dense(SN_F32, &shape, y), NULL, SN_E_INVALID},
        {sn_tensor_dense(SN_F32, &shape, y), scratch + 1, SN_E_INVALID},
        {sn_tensor_dense(SN_F32, &shape, y), scratch, SN_OK},
    };
    struct planned w;

    (void)state;
    assert_int_equal(planned_make(&w, spec, none, "", &shape, 1, 1), SN_OK);
    assert_in_range(sn_plan_describe(w.plan)->scratch_bytes, 1, sizeof scratch);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const sn_run_options options = {.size = sizeof options, .scratch = bad[i].scratch};

        for (int k = 0; k < 17; k++)
            y[k] = 7.0f;
        assert_int_equal(sn_plan_forward(w.plan, &in, &bad[i].out, &options, NULL), bad[i].rc);
        for (int k = bad[i].rc == SN_OK ? 16 : 0; k < 17; k++)
            assert_true(y[k] == 7.0f);
    }
    planned_end(&w);
}

/* ---- the arithmetic ----------------------------------------------------------------------- */

static void shapes_broadcast_for_all_batches_or_not(void **state)
{
    static const struct {
        sn_shape  y, x;
        sn_growth y_grows, x_grows;
        bool      fits;
        int64_t   last; /* growth of the last axis of the result */
    } rows[] = {
        {{1, {4}}, {1, {4}}, {{0}}, {{0}}, true, 0},
        {{1, {4}}, {1, {4}}, {{1}}, {{1}}, true, 1},
        {{1, {4}}, {1, {4}}, {{1}}, {{0}}, false, 0},
        {{1, {4}}, {1, {4}}, {{1}}, {{2}}, false, 0},
        {{1, {1}}, {1, {4}}, {{0}}, {{1}}, true, 1},
        {{1, {1}}, {1, {4}}, {{1}}, {{0}}, false, 0}, /* 1 at batch 1 alone */
        {{1, {4}}, {2, {4, 4}}, {{1}}, {{1, 0}}, false, 0},
        {{2, {1, 4}}, {1, {4}}, {{0, 1}}, {{1}}, true, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sn_shape  y = rows[i].y;
        sn_growth grows = rows[i].y_grows;

        assert_int_equal(growth_broadcast(&y, &grows, &rows[i].x, &rows[i].x_grows), rows[i].fits);
        if (rows[i].fits) assert_int_equal(grows.per_sample[y.rank - 1], rows[i].last);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_batch_fits_or_does_not),
        cmocka_unit_test(a_plan_serves_every_batch_up_to_its_largest),
        cmocka_unit_test(an_empty_batch_gives_empty_outputs),
        cmocka_unit_test(an_absent_input_is_refused_by_what_needs_it),
        cmocka_unit_test(an_input_of_too_many_bytes_is_refused),
        cmocka_unit_test(memory_that_does_not_fit_is_refused),
        cmocka_unit_test(shapes_broadcast_for_all_batches_or_not),
    };

    return cmocka_run_group_tests_name("growth", tests, NULL, NULL);
}
