/* Cell, NasBench101Cell, NasBench201Cell: what their decisions compute, that an export of them
 * computes the same, and what they refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "supernet/host.h"
#include "supernet/train.h"
#include "supernet/weights.h"
#include "support/whole.h"

#define DOC(more, inputs, model)                                                                   \
    "{\"format\": \"supernet/1\", \"name\": \"t\", " more "\"inputs\": [" inputs                   \
    "], \"model\": " model "}"
#define ONE  "{\"name\": \"a\", \"shape\": [1, 1]}"
#define TWO  ONE ", {\"name\": \"b\", \"shape\": [1, 1]}"
#define NNI  "\"compatibility\": \"nni-2.8\", "
#define LATE "\"compatibility\": \"nni-2.10\", "

/* Two nodes of two pairs each over two predecessors. */
#define CELL(more)                                                                                 \
    "{\"type\": \"Cell\", \"label\": \"c\", \"num_nodes\": 2, \"num_ops_per_node\": 2, "           \
    "\"num_predecessors\": 2, " more "}"
#define SAME_RELU                                                                                  \
    "\"candidates\": [{\"name\": \"relu\", \"type\": \"ReLU\"}, "                                  \
    "{\"name\": \"same\", \"type\": \"Identity\"}]"
#define LINEAR                                                                                     \
    "\"candidates\": [{\"name\": \"fc\", \"type\": \"Linear\", \"in_features\": 1, "               \
    "\"out_features\": 1}, {\"name\": \"flat\", \"type\": \"Linear\", \"in_features\": 1, "        \
    "\"out_features\": 1, \"bias\": false}]"
#define BY_INPUT                                                                                   \
    "\"candidates\": [{\"name\": \"fc\", \"type\": \"Linear\", \"in_features\": "                  \
    "{\"if_input_below\": 2, \"then\": 1, \"else\": 3}, \"out_features\": 3, \"bias\": "           \
    "{\"if_input\": 0, \"then\": false, \"else\": true}}, {\"name\": \"two\", \"type\": "          \
    "\"Sequential\", \"layers\": [{\"type\": \"Linear\", \"in_features\": "                        \
    "{\"if_input_below\": 2, \"then\": 1, \"else\": 3}, \"out_features\": 3}, "                    \
    "{\"type\": \"ReLU\"}]}]"
#define BENCH(more)                                                                                \
    "{\"type\": \"NasBench201Cell\", \"label\": \"c\", \"num_tensors\": 3, " more "}"
#define NONE_SKIP                                                                                  \
    "\"in_features\": 1, \"out_features\": 1, \"candidates\": [{\"name\": \"none\", \"type\": "    \
    "\"Zero\", \"C_in\": \"in_features\", \"C_out\": \"out_features\"}, "                          \
    "{\"name\": \"skip\", \"type\": \"Identity\"}]"
#define NARROW                                                                                     \
    "\"in_features\": 1, \"out_features\": \"w * 2\", \"candidates\": [{\"name\": \"fc\", "        \
    "\"type\": \"Linear\", \"in_features\": \"in_features\", \"out_features\": "                   \
    "\"out_features // 2 * 2\"}, {\"name\": \"none\", \"type\": \"Zero\", \"C_in\": "              \
    "\"in_features\", \"C_out\": \"out_features\"}]"

/* The projection to w channels takes the first w of its input. */
#define FIVE "{\"name\": \"a\", \"shape\": [1, 5]}"
#define GRAPH_CELL(out, projection, more)                                                          \
    "{\"type\": \"NasBench101Cell\", \"label\": \"c\", \"in_features\": 5, \"out_features\": " out \
    ", \"projection\": " projection ", " more "\"candidates\": [{\"name\": \"same\", \"type\": "   \
    "\"Identity\"}, {\"name\": \"twice\", \"type\": "                                              \
    "\"Graph\", \"inputs\": [\"x\"], \"nodes\": [{\"name\": \"sum\", \"type\": \"Add\", "          \
    "\"inputs\": "                                                                                 \
    "[\"x\", \"x\"]}], \"outputs\": [\"sum\"]}, {\"name\": \"fc\", \"type\": \"Linear\", "         \
    "\"in_features\": \"num_features\", \"out_features\": \"num_features * 1\"}]}"
#define FIRST "{\"type\": \"Truncate\", \"channels\": \"out_features\"}"
#define DENSE                                                                                      \
    "{\"type\": \"Sequential\", \"layers\": [{\"type\": \"Linear\", \"in_features\": "             \
    "\"in_features\", \"out_features\": \"out_features\"}, {\"type\": \"ReLU\"}]}"

/* Two blocks of doubling at most, as many as an NDS network has on stage i of d blocks. */
#define STAGE(i, from)                                                                             \
    "{\"name\": \"stage" #i "\", \"type\": \"Repeat\", \"inputs\": [\"" from                       \
    "\"], \"depth\": \"(" #i " + 1) * d // 3 - " #i                                                \
    " * d // 3\", \"block\": {\"type\": \"Graph\", \"inputs\": "                                   \
    "[\"x\"], \"nodes\": [{\"name\": \"twice\", \"type\": \"Add\", \"inputs\": [\"x\", \"x\"]}], " \
    "\"outputs\": [\"twice\"]}}"
#define STAGES                                                                                     \
    "{\"type\": \"Graph\", \"inputs\": [\"x\"], \"nodes\": [" STAGE(0, "x") ", " STAGE(            \
        1, "stage0") ", " STAGE(2, "stage1") "], "                                                 \
                                             "\"outputs\": [\"stage0\", \"stage1\", \"stage2\"]}"

#define CHAIN                                                                                      \
    "c/op_2_0=same c/input_2_0=0 c/op_2_1=same c/input_2_1=1 c/op_3_0=same c/input_3_0=2 "         \
    "c/op_3_1=same c/input_3_1=0"
#define APART                                                                                      \
    "c/op_2_0=same c/input_2_0=0 c/op_2_1=same c/input_2_1=1 c/op_3_0=relu c/input_3_0=1 "         \
    "c/op_3_1=same c/input_3_1=0"
#define WEIGHED                                                                                    \
    "c/op_2_0=fc c/input_2_0=0 c/op_2_1=flat c/input_2_1=1 c/op_3_0=fc c/input_3_0=2 "             \
    "c/op_3_1=flat c/input_3_1=2"
#define FACTORY                                                                                    \
    "c/op_2_0=fc c/input_2_0=0 c/op_2_1=two c/input_2_1=1 c/op_3_0=two c/input_3_0=2 "             \
    "c/op_3_1=fc c/input_3_1=2"
#define TWICE                                                                                      \
    "c/op_2_0=fc c/input_2_0=1 c/op_2_1=fc c/input_2_1=1 c/op_3_0=two c/input_3_0=0 "              \
    "c/op_3_1=fc c/input_3_1=0"

/* clang-format off */
static const struct row {
    const char *name, *spec, *choices;
    float       x[5];
    size_t      n_want; /* 0: not calculated by hand, but the export must agree */
    float       want[5];
} rows[] = {
    {"a node adds up its pairs, and all nodes are joined",
     DOC("", TWO, CELL(SAME_RELU)), CHAIN, {1, 10}, 2, {11, 12}},
    {"the same with operators on edges",
     DOC("", TWO, CELL("\"factory\": true, " SAME_RELU)), CHAIN, {1, 10}, 2, {11, 12}},
    {"a node that another one reads is no loose end",
     DOC("", TWO, CELL("\"merge_op\": \"loose_end\", " SAME_RELU)), CHAIN, {1, 10}, 1, {12}},
    {"nodes that nobody reads are joined",
     DOC("", TWO, CELL("\"merge_op\": \"loose_end\", " SAME_RELU)), APART, {1, -10}, 2, {-9, 1}},
    {"in the compatibility mode loose ends are all nodes, and all operators the last one",
     DOC(NNI, TWO, CELL("\"merge_op\": \"loose_end\", " SAME_RELU)), APART, {1, -10}, 2, {-9, -9}},
    {"the last predecessor can be handed on",
     DOC("", TWO, CELL("\"postprocessor\": \"prev_last_and_this\", " SAME_RELU)),
     CHAIN, {1, 10}, 3, {10, 11, 12}},
    {"the original hands on the last node where nothing preprocesses",
     DOC(NNI, TWO, CELL("\"postprocessor\": \"prev_last_and_this\", " SAME_RELU)),
     CHAIN, {1, 10}, 3, {12, 11, 12}},
    {"predecessors are preprocessed, but handed on as they came",
     DOC("", TWO, CELL("\"postprocessor\": \"prev_last_and_this\", \"preprocessor\": "
                       "[{\"type\": \"Identity\"}, {\"type\": \"ReLU\"}], " SAME_RELU)),
     CHAIN, {1, -10}, 3, {-10, 1, 2}},
    {"a Cell in a Sequential exports its tensors under its name",
     DOC("", TWO, "{\"type\": \"Sequential\", \"layers\": [" CELL(LINEAR) "]}"),
     WEIGHED, {1, 10}, 0, {0}},
    {"operators with tensors, in the ordinary form",
     DOC("", TWO, CELL(LINEAR)), WEIGHED, {1, 10}, 0, {0}},
    {"operators with tensors, on edges",
     DOC("", TWO, CELL("\"factory\": true, " LINEAR)), WEIGHED, {1, 10}, 0, {0}},
    {"operators with tensors, on edges, exported whole",
     DOC(LATE, TWO, CELL("\"factory\": true, " LINEAR)), WEIGHED, {1, 10}, 0, {0}},
    {"loose ends with tensors",
     DOC("", TWO, CELL("\"merge_op\": \"loose_end\", " LINEAR)), WEIGHED, {1, 10}, 0, {0}},
    {"operators that depend on the input",
     DOC("", TWO, CELL(BY_INPUT)), FACTORY, {1, 10}, 0, {0}},
    {"an operator that is taken twice on one edge counts twice",
     DOC("", TWO, CELL(BY_INPUT)), TWICE, {1, 10}, 0, {0}},
    {"each tensor of NAS-Bench-201 is the sum over all before it",
     DOC("", ONE, BENCH(NONE_SKIP)), "c/0_1=skip c/0_2=skip c/1_2=skip", {3}, 1, {6}},
    {"and nothing comes over an edge without operator",
     DOC("", ONE, BENCH(NONE_SKIP)), "c/0_1=skip c/0_2=skip c/1_2=none", {3}, 1, {3}},
    {"features of NAS-Bench-201 cells can be searched",
     DOC("\"choices\": {\"w\": [1, 2]}, ", ONE, BENCH(NARROW)),
     "w=1 c/0_1=fc c/0_2=none c/1_2=fc", {3}, 0, {0}},
    {"a NAS-Bench-101 cell of two nodes is the projection of its input",
     DOC("", FIVE, GRAPH_CELL("5", FIRST, "")), "c/num_nodes=2", {1, 2, 3, 4, 5},
     5, {1, 2, 3, 4, 5}},
    {"nodes share the channels of the output, the first has one more",
     DOC("", FIVE, GRAPH_CELL("5", FIRST, "")),
     "c/num_nodes=4 c/op1=twice c/op2=same c/input2=0 c/input3=1,2", {1, 2, 3, 4, 5},
     5, {2, 4, 6, 1, 2}},
    {"a node reads as many channels as it has, and the input is added to the output",
     DOC("", FIVE, GRAPH_CELL("5", FIRST, "")),
     "c/num_nodes=4 c/op1=twice c/op2=same c/input2=0,1 c/input3=2,0,1", {1, 2, 3, 4, 5},
     5, {3, 6, 9, 7, 11}},
    {"a node that the output does not read is as wide as the widest that reads it",
     DOC("", FIVE, GRAPH_CELL("5", FIRST, "")),
     "c/num_nodes=5 c/op1=twice c/op2=same c/op3=twice c/input2=1 c/input3=1 c/input4=2,3",
     {1, 2, 3, 4, 5}, 5, {2, 4, 6, 4, 8}},
    {"a node that leads nowhere gets no channels and need not be decided",
     DOC("", FIVE, GRAPH_CELL("5", FIRST, "")), "c/num_nodes=4 c/op1=twice c/input3=1",
     {1, 2, 3, 4, 5}, 5, {2, 4, 6, 8, 10}},
    {"operators and projections of a NAS-Bench-101 cell are slices",
     DOC("", FIVE, GRAPH_CELL("5", DENSE, "")),
     "c/num_nodes=5 c/op1=fc c/op2=fc c/op3=twice c/input2=0,1 c/input3=2,0 c/input4=1,2,3,0",
     {1, 2, 3, 4, 5}, 0, {0}},
    {"cells with different features share decisions",
     DOC("", FIVE, "{\"type\": \"Sequential\", \"layers\": [" GRAPH_CELL("5", FIRST, "") ", "
         GRAPH_CELL("5", DENSE, "") ", " GRAPH_CELL("7", DENSE, "") "]}"),
     "c/num_nodes=4 c/op1=fc c/op2=twice c/input2=0,1 c/input3=1,2", {1, 2, 3, 4, 5}, 0, {0}},
    {"a depth of 4 on three NDS stages is 1 + 1 + 2",
     DOC("\"choices\": {\"d\": [3, 4, 5, 6]}, ", ONE, STAGES), "d=4", {1}, 3, {2, 4, 16}},
    {"a depth of 5 is 1 + 2 + 2",
     DOC("\"choices\": {\"d\": [3, 4, 5, 6]}, ", ONE, STAGES), "d=5", {1}, 3, {2, 8, 32}},
};
/* clang-format on */

struct json {
    char   at[1024];
    size_t n;
};

static int keep(void *cls, const void *bytes, size_t n_bytes)
{
    struct json *t = cls;

    if (t->n + n_bytes > sizeof t->at) return -1;
    memcpy(t->at + t->n, bytes, n_bytes);
    t->n += n_bytes;
    return 0;
}

/* Its choices as they are written make it again. */
static void choices_come_back(sn_subnet *subnet)
{
    struct json   t = {0};
    const sn_sink sink = {keep, &t};
    sn_draft     *draft;
    sn_subnet    *again = NULL;
    sn_error      err = {0};

    assert_int_equal(sn_subnet_write_choices(subnet, &sink, NULL), SN_OK);
    assert_int_equal(sn_draft_create(sn_subnet_supernet(subnet), &draft, NULL), SN_OK);
    if (sn_draft_read_choices(draft, t.at, t.n, &err) != SN_OK ||
        sn_draft_seal(draft, &again, &err) != SN_OK)
        fail_msg("%.*s: %s: %s", (int)t.n, t.at, err.where, err.text);
    assert_string_equal(sn_subnet_id(again), sn_subnet_id(subnet));
    sn_subnet_unref(again);
    sn_draft_free(draft);
}

static void computes_and_exports(void **state)
{
    const struct row *row = *state;
    float             y[32], again[32];
    struct whole      w, alone;
    sn_subnet        *subnet, *only;
    size_t            n;

    whole_load(&w, row->spec);
    subnet = net_choose(w.net, row->choices);
    n = whole_run(subnet, row->x, y, 32);
    if (row->n_want) assert_int_equal(n, row->n_want);
    for (size_t i = 0; i < row->n_want; i++)
        assert_float_equal(y[i], row->want[i], 1e-6);
    choices_come_back(subnet);

    whole_export(&alone, subnet);
    assert_int_equal(sn_supernet_n_choices(alone.net), 0);
    only = whole_seal(&alone);
    assert_int_equal(whole_run(only, row->x, again, 32), n);
    assert_memory_equal(again, y, n * sizeof *y);
    sn_subnet_unref(only);
    whole_fini(&alone);
    sn_subnet_unref(subnet);
    whole_fini(&w);
}

/* ---- tensors ----------------------------------------------------------------------------- */

static size_t count_exported(const char *spec)
{
    struct whole w, alone;
    sn_subnet   *subnet;
    size_t       n = 0;

    whole_load(&w, spec);
    subnet = net_choose(w.net, WEIGHED);
    whole_export(&alone, subnet);
    for (size_t i = 0; i < sn_supernet_n_modules(alone.net); i++)
        n += sn_supernet_module(alone.net, i)->n_params > 0;
    sn_subnet_unref(subnet);
    whole_fini(&alone);
    whole_fini(&w);
    return n;
}

/* 4 pairs run, but fc and flat on state 2 are an operator each: 5 edges have 10 operators. */
static void only_the_compatibility_mode_exports_what_does_not_run(void **state)
{
    (void)state;
    assert_int_equal(count_exported(DOC("", TWO, CELL("\"factory\": true, " LINEAR))), 4);
    assert_int_equal(count_exported(DOC(NNI, TWO, CELL("\"factory\": true, " LINEAR))), 10);
}

/* ---- refusals ---------------------------------------------------------------------------- */

static const struct refusal {
    const char *name, *model, *where, *text;
} refusals[] = {
    {"the number of inputs is that of the predecessors",
     "{\"type\": \"Cell\", \"label\": \"c\", \"num_nodes\": 1, " SAME_RELU "}", "model",
     "Cell takes 1 input and gets 2"},
    {"merge_op has two values", CELL("\"merge_op\": \"some\", " SAME_RELU), "model.merge_op",
     "\"some\" is neither \"all\" nor \"loose_end\""},
    {"every predecessor has its preprocessor",
     CELL("\"preprocessor\": [{\"type\": \"ReLU\"}], " SAME_RELU), "model.preprocessor",
     "there is one module for each of the 2 predecessors, not 1"},
    {"there is one postprocessor", CELL("\"postprocessor\": \"x\", " SAME_RELU),
     "model.postprocessor", "there is no postprocessor \"x\"; there is \"prev_last_and_this\""},
    {"a mistake in a candidate is reported there",
     CELL("\"candidates\": [{\"type\": \"Linear\", \"in_features\": 1}]"), "model.candidates[0]",
     NULL},
    {"so is one on an edge",
     CELL("\"factory\": true, \"candidates\": [{\"type\": \"Linear\", \"in_features\": 1}]"),
     "model.candidates[0]", NULL},
    {"a rule needs both branches",
     CELL(
         "\"candidates\": [{\"type\": \"Linear\", \"in_features\": {\"if_input\": 0, \"then\": 1}, "
         "\"out_features\": 1}]"),
     "model.candidates[0].in_features", "member \"else\" is missing"},
};

static void document_is_refused(void **state)
{
    const struct refusal *row = *state;
    char                  spec[4096];
    sn_registry          *reg;
    sn_supernet          *net = NULL;
    sn_error              err = {0};

    snprintf(spec, sizeof spec, DOC("", TWO, "%s"), row->model);
    assert_int_equal(sn_registry_create(&reg, NULL), SN_OK);
    assert_int_not_equal(sn_supernet_load(spec, strlen(spec), NULL, reg, &net, &err), SN_OK);
    assert_string_equal(err.where, row->where);
    if (row->text) assert_string_equal(err.text, row->text);
    sn_registry_unref(reg);
}

/* ---- distributions over edges -------------------------------------------------------------- */

static const char edges[] = DOC(LATE, TWO, CELL("\"factory\": true, " SAME_RELU));

static void an_edge_has_weights_but_no_value(void **state)
{
    const sn_value relu = {.kind = SN_KIND_TEXT, .as.text = "relu"};
    struct whole   w;
    sn_draft      *draft;
    size_t         i;

    (void)state;
    whole_load(&w, edges);
    assert_true(sn_supernet_find_choice(w.net, "c/3_2", &i));
    assert_true(sn_supernet_choice(w.net, i)->soft_only);
    assert_int_equal(sn_supernet_choice(w.net, i)->n_candidates, 3); /* and no operator */
    assert_int_equal(sn_supernet_choice(w.net, i)->n_users, 0);
    assert_string_equal(sn_supernet_space_size(w.net), "576"); /* 2^4 operators, 2^2 3^2 inputs */
    assert_int_equal(sn_draft_create(w.net, &draft, NULL), SN_OK);
    assert_int_equal(sn_draft_set(draft, "c/3_2", &relu, NULL), SN_E_UNSUPPORTED);
    sn_draft_free(draft);
    whole_fini(&w);
}

/* Nodes decided by hand stay, the others are softened edge by edge. */
static void a_policy_softens_the_edges_of_open_nodes(void **state)
{
    static const struct {
        const char *label;
        bool        soft;
    } want[] = {
        {"c/2_0", false}, {"c/2_1", false}, {"c/3_0", true}, {"c/3_1", true}, {"c/3_2", true},
    };
    const sn_value same = {.kind = SN_KIND_TEXT, .as.text = "same"};
    const sn_value one = {.kind = SN_KIND_INT, .as.integer = 1};
    const sn_value far = {.kind = SN_KIND_INT, .as.integer = INT64_MAX};
    struct whole   w;
    sn_draft      *draft;
    sn_policy     *policy;
    sn_subnet     *subnet;
    sn_rng         rng;
    size_t         i;

    (void)state;
    sn_rng_seed(&rng, 1);
    whole_load(&w, edges);
    assert_int_equal(sn_draft_create(w.net, &draft, NULL), SN_OK);
    assert_int_equal(sn_draft_set(draft, "c/op_2_0", &same, NULL), SN_OK);
    assert_int_equal(sn_draft_set(draft, "c/op_2_1", &same, NULL), SN_OK);
    assert_int_equal(sn_draft_set(draft, "c/input_2_0", &far, NULL), SN_E_NOT_CANDIDATE);
    assert_int_equal(sn_draft_set(draft, "c/input_2_0", &one, NULL), SN_OK);
    assert_int_equal(sn_draft_set(draft, "c/input_2_1", &one, NULL), SN_OK);
    assert_int_equal(sn_policy_create(w.net, "differentiable", NULL, &policy, NULL), SN_OK);
    assert_int_equal(sn_policy_resample(policy, &rng, draft, NULL), SN_OK);
    assert_int_equal(sn_draft_seal(draft, &subnet, NULL), SN_OK);
    for (size_t k = 0; k < sizeof want / sizeof *want; k++) {
        assert_true(sn_supernet_find_choice(w.net, want[k].label, &i));
        assert_int_equal(sn_subnet_is_soft(subnet, i), want[k].soft);
    }
    sn_subnet_unref(subnet);
    sn_policy_free(policy);
    sn_draft_free(draft);
    whole_fini(&w);
}

/* ---- NasBench101Cell ---------------------------------------------------------------------- */

static const char graph[] = DOC("", FIVE,
                                GRAPH_CELL("5", FIRST,
                                           "\"max_num_nodes\": 4, "
                                           "\"max_num_edges\": 4, "));

/* Seals `choices` with `soft` left to a distribution, if it is not NULL. */
static sn_status seal(sn_supernet *net, const char *choices, const char *soft, sn_subnet **ret,
                      sn_error *err)
{
    sn_draft *draft = net_draft(net, choices);
    sn_status rc;

    if (soft) assert_int_equal(sn_draft_soften(draft, soft, NULL), SN_OK);
    rc = sn_draft_seal(draft, ret, err);
    sn_draft_free(draft);
    return rc;
}

static const struct graph_row {
    const char *name, *choices, *soft;
    sn_status   rc;
    const char *text;
} graph_rows[] = {
    {"a cell has as many edges as it may have",
     "c/num_nodes=4 c/op1=same c/op2=same c/input2=0 c/input3=1,2", NULL, SN_OK, NULL},
    {"a cell with more edges is refused",
     "c/num_nodes=4 c/op1=same c/op2=same c/input2=0,1 c/input3=1,2", NULL, SN_E_INVALID,
     "\"c\" has 5 edges, at most 4 are allowed"},
    {"edges of nodes that lead nowhere count, as in the original",
     "c/num_nodes=4 c/op1=same c/op2=same c/input2=0,1 c/input3=1,0", NULL, SN_E_INVALID,
     "\"c\" has 5 edges, at most 4 are allowed"},
    {"edges of nodes behind the output do not",
     "c/num_nodes=3 c/op1=same c/op2=same c/input2=0,1 c/input3=0,1,2", NULL, SN_OK, NULL},
    {"what a needed node reads must be decided", "c/num_nodes=4 c/op1=same c/op2=same c/input3=2",
     NULL, SN_E_UNDECIDED, "choice \"c/input2\" has no value yet; it takes 0, 1"},
    {"so must the number of nodes", "c/op1=same c/input2=1", NULL, SN_E_UNDECIDED,
     "choice \"c/num_nodes\" has no value yet; it takes 2, 3, 4"},
    {"operators may be soft", "c/num_nodes=3 c/input2=1", "c/op1", SN_OK, NULL},
    {"edges may not", "c/num_nodes=3 c/op1=same", "c/input2", SN_E_UNSUPPORTED,
     "\"c/input2\" cannot follow a distribution: the nodes of a NasBench101Cell are decided, only "
     "what they run can be soft"},
};

static void graph_is_sealed_or_refused(void **state)
{
    const struct graph_row *row = *state;
    sn_error                err = {0};
    struct whole            w;
    sn_subnet              *subnet = NULL;

    whole_load(&w, graph);
    assert_int_equal(seal(w.net, row->choices, row->soft, &subnet, &err), row->rc);
    if (row->text) assert_string_equal(err.text, row->text);
    sn_subnet_unref(subnet);
    whole_fini(&w);
}

static void dangling_nodes_make_no_difference(void **state)
{
    sn_subnet   *a, *b;
    struct whole w;
    size_t       i;

    (void)state;
    whole_load(&w, graph);
    a = net_choose(w.net, "c/num_nodes=4 c/op1=twice c/op2=fc c/input2=0 c/input3=1");
    b = net_choose(w.net, "c/num_nodes=4 c/op1=twice c/op2=same c/input2=1 c/input3=1");
    assert_string_equal(sn_subnet_id(a), sn_subnet_id(b));
    assert_true(sn_subnet_equal(a, b));
    assert_true(sn_supernet_find_choice(w.net, "c/input2", &i));
    assert_false(sn_subnet_is_active(a, i));
    sn_subnet_unref(a);
    sn_subnet_unref(b);
    whole_fini(&w);
}

static void channels_of_a_node_are_nobodys_decision(void **state)
{
    const sn_value five = {.kind = SN_KIND_INT, .as.integer = 5};
    struct whole   w;
    sn_subnet     *subnet;
    sn_draft      *draft;
    size_t         i;

    (void)state;
    whole_load(&w, graph);
    assert_string_equal(sn_supernet_space_size(w.net), "567"); /* 3 sizes, 3^2 operators, 3 * 7 */
    assert_true(sn_supernet_find_choice(w.net, "c/features1_of_5", &i));
    assert_true(sn_supernet_choice(w.net, i)->derived);
    assert_int_equal(sn_supernet_choice(w.net, i)->n_users, 0);
    assert_int_equal(sn_supernet_choice(w.net, i)->n_candidates, 3); /* 2, 3, 5 */
    draft = net_draft(w.net, "c/num_nodes=3 c/op1=fc c/input2=1");
    assert_int_equal(sn_draft_set(draft, "c/features1_of_5", &five, NULL), SN_E_UNSUPPORTED);
    assert_int_equal(sn_draft_soften(draft, "c/features1_of_5", NULL), SN_E_UNSUPPORTED);
    assert_int_equal(sn_draft_seal(draft, &subnet, NULL), SN_OK);
    assert_null(sn_subnet_value(subnet, i));
    assert_false(sn_subnet_is_active(subnet, i));
    sn_subnet_unref(subnet);
    sn_draft_free(draft);
    whole_fini(&w);
}

static void channels_must_do_for_all_nodes(void **state)
{
    static const char spec[] = DOC("", FIVE, GRAPH_CELL("4", FIRST, ""));
    sn_registry      *reg;
    sn_supernet      *net = NULL;
    sn_error          err = {0};

    (void)state;
    assert_int_equal(sn_registry_create(&reg, NULL), SN_OK);
    assert_int_equal(sn_supernet_load(spec, strlen(spec), NULL, reg, &net, &err), SN_E_INVALID);
    assert_string_equal(err.where, "model.out_features");
    assert_string_equal(err.text, "4 channels cannot be shared by the 5 nodes between the first "
                                  "and the last");
    sn_registry_unref(reg);
}

int main(void)
{
    enum {
        N_ROWS = sizeof rows / sizeof *rows,
        N_REFUSALS = sizeof refusals / sizeof *refusals,
        N_GRAPHS = sizeof graph_rows / sizeof *graph_rows
    };
    struct CMUnitTest tests[N_ROWS + N_REFUSALS + N_GRAPHS + 6];
    size_t            n = 0;

    for (size_t i = 0; i < N_ROWS; i++)
        tests[n++] = (struct CMUnitTest){.name = rows[i].name,
                                         .test_func = computes_and_exports,
                                         .initial_state = (void *)&rows[i]};
    for (size_t i = 0; i < N_REFUSALS; i++)
        tests[n++] = (struct CMUnitTest){.name = refusals[i].name,
                                         .test_func = document_is_refused,
                                         .initial_state = (void *)&refusals[i]};
    tests[n++] =
        (struct CMUnitTest)cmocka_unit_test(only_the_compatibility_mode_exports_what_does_not_run);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(an_edge_has_weights_but_no_value);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(a_policy_softens_the_edges_of_open_nodes);
    for (size_t i = 0; i < N_GRAPHS; i++)
        tests[n++] = (struct CMUnitTest){.name = graph_rows[i].name,
                                         .test_func = graph_is_sealed_or_refused,
                                         .initial_state = (void *)&graph_rows[i]};
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(dangling_nodes_make_no_difference);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(channels_of_a_node_are_nobodys_decision);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(channels_must_do_for_all_nodes);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
