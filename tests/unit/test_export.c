/* export: a subnet and the stand-alone network that is written of it are one network. */
#include <math.h>
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
#include "support/whole.h"

enum { BATCH = 3, MAX_FLOATS = 4096 };

/* ---- one network -------------------------------------------------------------------------- */

struct answer {
    sn_status rc;
    size_t    n; /* numbers of all outputs */
    float     y[MAX_FLOATS];
    sn_error  err;
};

/* What the subnet makes of `x`; an optional input is absent without `mask`. */
static void run(sn_subnet *subnet, bool mask, struct answer *a)
{
    static float       x[MAX_FLOATS];
    const sn_supernet *net = sn_subnet_supernet(subnet);
    sn_desc            desc[SN_MAX_PORTS];
    sn_tensor          in[SN_MAX_PORTS], out[SN_MAX_PORTS];
    sn_compile_options options = {
        .size = sizeof options, .in = desc, .n_in = sn_supernet_n_inputs(net)};
    sn_run_options run_options = {.size = sizeof run_options};
    sn_plan       *plan = NULL;

    for (size_t i = 0; i < MAX_FLOATS; i++)
        x[i] = i % 7 ? (float)(i * 37 % 101) / 50.0f - 1.0f : -0.0f; /* the sign of 0 counts */
    for (size_t i = 0; i < options.n_in; i++) {
        const sn_port *p = sn_supernet_input(net, i);

        desc[i] = p->desc;
        if (desc[i].shape.dim[0] < 0) desc[i].shape.dim[0] = BATCH;
        if (p->optional && !mask) desc[i] = (sn_desc){.dtype = SN_NONE};
        in[i] = sn_tensor_dense(desc[i].dtype, &desc[i].shape, x + i * 100);
    }
    a->n = 0;
    a->rc = sn_plan_compile(subnet, &options, &plan, &a->err);
    if (a->rc != SN_OK) return;
    for (size_t i = 0; i < sn_plan_describe(plan)->n_out; i++) {
        const sn_desc *o = &sn_plan_describe(plan)->out[i];

        out[i] = sn_tensor_dense(o->dtype, &o->shape, a->y + a->n);
        if (o->dtype != SN_NONE) a->n += (size_t)sn_shape_count(&o->shape);
        assert_true(a->n <= MAX_FLOATS);
    }
    run_options.scratch =
        aligned_alloc(64, (sn_plan_describe(plan)->scratch_bytes + 127) / 64 * 64);
    a->rc = sn_plan_forward(plan, in, out, &run_options, &a->err);
    free(run_options.scratch);
    sn_plan_unref(plan);
}

static void expect_same(const char *what, const char *spec, const struct answer *a,
                        const struct answer *b)
{
    if (a->rc != b->rc || a->n != b->n)
        fail_msg("%s: %d with %zu numbers, then %d with %zu (%s: %s)\n%s", what, a->rc, a->n, b->rc,
                 b->n, b->err.where, b->err.text, spec);
    for (size_t i = 0; a->rc == SN_OK && i < a->n; i++)
        if (memcmp(&a->y[i], &b->y[i], sizeof(float)) && !(isnan(a->y[i]) && isnan(b->y[i])))
            fail_msg("%s: number %zu was %a and is %a\n%s", what, i, a->y[i], b->y[i], spec);
}

/* Subnet, its export, and the export of that. */
static void same_everywhere(const char *spec, sn_subnet *subnet)
{
    static struct answer want, got;
    struct whole         first, second;
    sn_subnet           *once, *twice;

    whole_export(&first, subnet);
    assert_int_equal(sn_supernet_n_choices(first.net), 0);
    once = whole_seal(&first);
    whole_export(&second, once);
    twice = whole_seal(&second);
    for (int mask = 0; mask < 2; mask++) {
        run(subnet, mask, &want);
        run(once, mask, &got);
        expect_same("the export differs", spec, &want, &got);
        run(twice, mask, &got);
        expect_same("the export of the export differs", spec, &want, &got);
    }
    /* The compatibility mode exports also what does not run; the export is in no such mode. */
    if (!strstr(spec, "\"compatibility\"") &&
        strcmp(sn_supernet_spec(first.net), sn_supernet_spec(second.net)) != 0) {
        print_error("%s", sn_supernet_spec(first.net));
        print_error("%s", sn_supernet_spec(second.net));
        fail_msg("this document's export is exported as another one\n%s", spec);
    }
    sn_subnet_unref(twice);
    whole_fini(&second);
    sn_subnet_unref(once);
    whole_fini(&first);
}

/* ---- instances ------------------------------------------------------------------------------ */

#define DOC(inputs, more, model)                                                                   \
    "{\"format\": \"supernet/1\", \"name\": \"t\", \"inputs\": [" inputs "], " more                \
    "\"model\": " model "}"
#define X     "{\"name\": \"x\", \"shape\": [\"N\", 4, 4]}"
#define Y     "{\"name\": \"y\", \"shape\": [\"N\", 4, 4]}"
#define MASK  "{\"name\": \"mask\", \"shape\": [4, 4], \"optional\": true}"
#define KEY   "{\"name\": \"key\", \"shape\": [\"N\", 4, 4]}"
#define QUERY "{\"name\": \"query\", \"shape\": [\"N\", 4, 4]}"
#define VALUE "{\"name\": \"value\", \"shape\": [\"N\", 4, 4]}"
#define MHA                                                                                        \
    "\"type\": \"MultiheadAttention\", \"embed_dim\": 4, \"num_heads\": 2, "                       \
    "\"batch_first\": true"
#define ATTEND                                                                                     \
    "{\"name\": \"attend\", " MHA ", \"inputs\": [\"both\", \"both\", \"both\", null, "            \
    "\"both.1\"]}"
#define BESIDE(inner)                                                                              \
    "{\"type\": \"Graph\", \"inputs\": [\"x\", \"mask\"], \"outputs\": [\"attend\"], \"nodes\": "  \
    "[" inner ", " ATTEND "]}"
#define BOTH                                                                                       \
    "{\"name\": \"both\", \"type\": \"Graph\", \"inputs\": {\"d\": \"x\", \"m\": \"mask\"}, "
#define TWO_OF(a, b) "\"candidates\": [{\"name\": \"x\", " a "}, {\"name\": \"+\", " b "}]"
#define PAIR(type)                                                                                 \
    "\"type\": \"Graph\", \"inputs\": [\"a\", \"b\"], \"outputs\": [\"n\", \"m\"], \"nodes\": "    \
    "[{\"name\": \"n\", \"type\": \"" type "\", \"inputs\": [\"a\"]}, {\"name\": \"m\", "          \
    "\"type\": \"Sigmoid\", \"inputs\": [\"b\"]}]"

/* clang-format off */
static const struct row {
    const char *name, *spec, *choices;
} rows[] = {
    {"a nested Graph hands a mask on beside the data",
     DOC(X ", " MASK, "", BESIDE(BOTH "\"nodes\": [{\"name\": \"n\", \"type\": \"ReLU\", "
         "\"inputs\": [\"d\"]}], \"outputs\": [\"n\", \"m\"]}")), ""},
    {"a nested Graph hands everything on",
     DOC(X ", " MASK, "", BESIDE(BOTH "\"nodes\": [], \"outputs\": [\"d\", \"m\"]}")), ""},
    {"a nested Graph of which only what it hands on is read",
     DOC(X ", " MASK, "", "{\"type\": \"Graph\", \"inputs\": [\"x\", \"mask\"], \"outputs\": "
         "[\"attend\"], \"nodes\": [" BOTH "\"nodes\": [{\"name\": \"n\", \"type\": \"ReLU\", "
         "\"inputs\": [\"d\"]}], \"outputs\": [\"n\", \"m\"]}, {\"name\": \"attend\", " MHA
         ", \"inputs\": [\"x\", \"x\", \"x\", null, \"both.1\"]}]}"), ""},
    {"an empty Sequential of two streams",
     DOC(X ", " MASK, "", BESIDE("{\"name\": \"both\", \"type\": \"Sequential\", \"layers\": [], "
         "\"inputs\": [\"x\", \"mask\"]}")), ""},
    {"an empty Sequential of one stream",
     DOC(X, "", "{\"type\": \"Graph\", \"inputs\": [\"x\"], \"outputs\": [\"n\"], \"nodes\": ["
         "{\"name\": \"s\", \"type\": \"Sequential\", \"layers\": [], \"inputs\": [\"x\"]}, "
         "{\"name\": \"n\", \"type\": \"ReLU\", \"inputs\": [\"s\"]}]}"), ""},
    {"a Repeat of no block with two streams",
     DOC(X ", " MASK, "\"choices\": {\"d\": [0, 1]}, ",
         BESIDE("{\"name\": \"both\", \"type\": \"Repeat\", \"depth\": \"d\", \"block\": {\"type\": "
         "\"Sequential\", \"layers\": []}, \"inputs\": [\"x\", \"mask\"]}")), "d=0"},
    {"a Repeat of no block hands an input on that may be absent",
     DOC(X ", " MASK, "\"choices\": {\"d\": [0, 1]}, ",
         "{\"type\": \"Graph\", \"inputs\": [\"x\", \"mask\"], \"outputs\": [\"attend\"], "
         "\"nodes\": [{\"name\": \"r\", \"type\": \"Repeat\", \"depth\": \"d\", \"block\": "
         "{\"type\": \"ReLU\"}, \"inputs\": [\"mask\"]}, {\"name\": \"attend\", " MHA
         ", \"inputs\": [\"x\", \"x\", \"x\", null, \"r\"]}]}"), "d=0"},
    {"an InputChoice hands an input on that may be absent",
     DOC(X ", " MASK, "", "{\"type\": \"Graph\", \"inputs\": [\"x\", \"mask\"], \"outputs\": "
         "[\"attend\"], \"nodes\": [{\"name\": \"r\", \"type\": \"InputChoice\", \"label\": \"i\", "
         "\"n_candidates\": 2, \"inputs\": [\"x\", \"mask\"]}, {\"name\": \"attend\", " MHA
         ", \"inputs\": [\"x\", \"x\", \"x\", null, \"r\"]}]}"), "i=1"},
    {"two candidates of two outputs, one of them called as the ports of an export",
     DOC(X ", " Y, "", "{\"type\": \"LayerChoice\", \"label\": \"l\", "
         TWO_OF(PAIR("ReLU"), PAIR("GELU")) "}"), "l=x,+"},
    {"of two candidates one output is read",
     DOC(X ", " Y, "", "{\"type\": \"Graph\", \"inputs\": [\"x\", \"y\"], \"outputs\": [\"l.1\"], "
         "\"nodes\": [{\"name\": \"l\", \"type\": \"LayerChoice\", \"label\": \"l\", \"inputs\": "
         "[\"x\", \"y\"], " TWO_OF(PAIR("ReLU"), PAIR("GELU")) "}]}"), "l=x,+"},
    {"an output that is called like an input, but for a zero",
     DOC(X ", " Y, "", "{\"type\": \"Graph\", \"inputs\": [\"p.1\", \"y\"], \"outputs\": "
         "[\"n\"], \"nodes\": [{\"name\": \"p\", " MHA ", \"inputs\": [\"y\", \"y\", \"y\"]}, "
         "{\"name\": \"n\", \"type\": \"Add\", \"inputs\": [\"p.1\", \"p.01\", \"p.001\"]}]}"), ""},
    {"an operator that is chosen at the root keeps its inputs by position",
     DOC(KEY ", " VALUE ", " QUERY, "\"outputs\": [\"a\", \"b\"], ",
         "{\"type\": \"LayerChoice\", \"label\": \"l\", \"candidates\": [{\"name\": \"x\", " MHA
         "}]}"), "l=x"},
};
/* clang-format on */

/* Candidates by name for LayerChoices, by number for the rest. */
static sn_subnet *choose(sn_supernet *net, const char *choices)
{
    const sn_value pair[] = {{.kind = SN_KIND_TEXT, .as.text = "x"},
                             {.kind = SN_KIND_TEXT, .as.text = "+"}};
    const sn_value both = {.kind = SN_KIND_TUPLE, .as.tuple = {pair, 2}};
    sn_error       err = {0};
    sn_draft      *draft;
    sn_subnet     *subnet = NULL;

    if (strcmp(choices, "l=x,+") != 0) return net_choose(net, choices);
    assert_int_equal(sn_draft_create(net, &draft, NULL), SN_OK);
    assert_int_equal(sn_draft_set(draft, "l", &both, NULL), SN_OK);
    if (sn_draft_seal(draft, &subnet, &err) != SN_OK) fail_msg("%s: %s", err.where, err.text);
    sn_draft_free(draft);
    return subnet;
}

static void exports_itself(void **state)
{
    const struct row *row = *state;
    struct whole      w;
    sn_subnet        *subnet;

    whole_load(&w, row->spec);
    subnet = choose(w.net, row->choices);
    same_everywhere(row->spec, subnet);
    sn_subnet_unref(subnet);
    whole_fini(&w);
}

/* Two attentions without weights: what would join their second outputs joins nothing. */
static void a_sum_of_absent_outputs_is_absent(void **state)
{
    static struct answer a;
    struct whole         w;
    sn_subnet           *subnet;

    (void)state;
    whole_load(&w, DOC(QUERY ", " KEY ", " VALUE, "\"outputs\": [\"a\", \"b\"], ",
                       "{\"type\": \"LayerChoice\", \"label\": \"l\", " TWO_OF(
                           MHA ", \"need_weights\": false", MHA ", \"need_weights\": false") "}"));
    subnet = choose(w.net, "l=x,+");
    run(subnet, true, &a);
    assert_int_equal(a.rc, SN_OK);
    assert_int_equal(a.n, BATCH * 4 * 4); /* the first outputs alone */
    sn_subnet_unref(subnet);
    whole_fini(&w);
}

/* What is just not too deep to be loaded is not too deep as its export either. */
static void the_export_of_the_deepest_document_loads(void **state)
{
    static const struct {
        const char *inner, *choices;
    } deep[] = {
        {"{\"type\": \"InputChoice\", \"label\": \"i\", \"n_candidates\": 2, "
         "\"n_chosen\": 2}",
         "i=0,1"},
        {"{\"type\": \"Cell\", \"label\": \"c\", \"num_nodes\": 1, \"num_predecessors\": 2, "
         "\"factory\": true, \"candidates\": [{\"name\": \"r\", \"type\": \"ReLU\"}]}",
         "c/op_2_0=r c/input_2_0=1"},
        {"{\"type\": \"Cell\", \"label\": \"c\", \"num_nodes\": 1, \"num_predecessors\": 2, "
         "\"num_ops_per_node\": 2, \"candidates\": [{\"name\": \"r\", \"type\": \"ReLU\"}]}",
         "c/op_2_0=r c/input_2_0=1 c/op_2_1=r c/input_2_1=0"},
        {"{\"type\": \"Add\"}", ""},
    };
    static char spec[1 << 14];

    (void)state;
    for (size_t i = 0; i < COUNT(deep); i++) {
        bool loaded = true;

        for (int depth = 40; loaded; depth++) {
            struct whole w;
            sn_registry *reg;
            sn_supernet *net = NULL;
            sn_subnet   *subnet;
            size_t       n;

            assert_true(depth < 60);
            n = (size_t)snprintf(spec, sizeof spec, DOC(X ", " Y, "", ""));
            n--; /* the last brace */
            for (int k = 0; k < depth; k++)
                n += (size_t)snprintf(spec + n, sizeof spec - n,
                                      "{\"type\": \"Sequential\", \"layers\": [");
            n += (size_t)snprintf(spec + n, sizeof spec - n, "%s", deep[i].inner);
            for (int k = 0; k < depth; k++)
                n += (size_t)snprintf(spec + n, sizeof spec - n, "]}");
            snprintf(spec + n, sizeof spec - n, "}");
            assert_int_equal(sn_registry_create(&reg, NULL), SN_OK);
            loaded = sn_supernet_load(spec, strlen(spec), NULL, reg, &net, NULL) == SN_OK;
            sn_supernet_unref(net);
            sn_registry_unref(reg);
            if (!loaded) continue;
            whole_load(&w, spec);
            subnet = net_choose(w.net, deep[i].choices);
            same_everywhere(spec, subnet);
            sn_subnet_unref(subnet);
            whole_fini(&w);
        }
    }
}

/* ---- at random ------------------------------------------------------------------------------ */

/* SEEDS of the environment: that many, to search for longer. */
static void random_documents_export_themselves(void **state)
{
    static char spec[1 << 16];
    const char *more = getenv("SEEDS");
    const int   n_seeds = more ? atoi(more) : 400;

    (void)state;
    for (int seed = 1; seed <= n_seeds; seed++) {
        struct whole w;
        sn_policy   *policy;
        sn_error     err = {0};
        sn_rng       rng;

        if (!random_document((uint64_t)seed, spec, sizeof spec)) continue;
        whole_load(&w, spec);
        if (sn_policy_create(w.net, "path", NULL, &policy, &err) != SN_OK) fail_msg("%s", err.text);
        sn_rng_seed(&rng, (uint64_t)seed);
        for (int k = 0; k < 3; k++) {
            sn_draft  *draft;
            sn_subnet *subnet = NULL;

            assert_int_equal(sn_draft_create(w.net, &draft, NULL), SN_OK);
            if (sn_policy_resample(policy, &rng, draft, &err) != SN_OK ||
                sn_draft_seal(draft, &subnet, &err) != SN_OK)
                fail_msg("seed %d: %s: %s\n%s", seed, err.where, err.text, spec);
            same_everywhere(spec, subnet);
            sn_subnet_unref(subnet);
            sn_draft_free(draft);
        }
        sn_policy_free(policy);
        whole_fini(&w);
    }
}

int main(void)
{
    struct CMUnitTest tests[COUNT(rows) + 3];

    for (size_t i = 0; i < COUNT(rows); i++)
        tests[i] = (struct CMUnitTest){rows[i].name, exports_itself, NULL, NULL, (void *)&rows[i]};
    tests[COUNT(rows)] = (struct CMUnitTest)cmocka_unit_test(a_sum_of_absent_outputs_is_absent);
    tests[COUNT(rows) + 2] =
        (struct CMUnitTest)cmocka_unit_test(the_export_of_the_deepest_document_loads);
    tests[COUNT(rows) + 1] =
        (struct CMUnitTest)cmocka_unit_test(random_documents_export_themselves);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
