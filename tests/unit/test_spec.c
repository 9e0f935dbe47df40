/* spec: what a right document becomes - modules, choices, wires, names and bound tensors.
 * What becomes of wrong ones is in tests/errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/model.h"
#include "supernet/host.h"
#include "supernet/weights.h"
#include "support/alloc.h"

/* ---- loading ----------------------------------------------------------------------------- */

#define X4  "[{'name': 'x', 'shape': ['N', 4]}]"
#define X34 "[{'name': 'x', 'shape': ['N', 3, 8, 8]}]"

/* A document around a model; `more` are further members, each followed by a comma. */
static sn_status load(const char *inputs, const char *more, const char *model, sn_weights *weights,
                      sn_supernet **ret_net, sn_error *err)
{
    struct text  doc = {0};
    sn_registry *reg = NULL;
    sn_status    rc = sn_registry_create(&reg, err);

    if (rc != SN_OK) return rc;
    text_printf(&doc, "{'format': 'supernet/1', 'name': 'test', 'inputs': %s, %s 'model': %s}",
                inputs, more, model);
    for (char *c = doc.at; c && *c; c++)
        if (*c == '\'') *c = '"'; /* documents are written here with single quotes */
    rc = doc.failed ? fail_no_memory(err, "")
                    : sn_supernet_load(doc.at, doc.n, weights, reg, ret_net, err);
    free(doc.at);
    sn_registry_unref(reg);
    return rc;
}

/* One that is right, without weights. */
static sn_supernet *loaded(const char *inputs, const char *more, const char *model)
{
    sn_supernet *net = NULL;
    sn_error     err = {0};

    if (load(inputs, more, model, NULL, &net, &err) != SN_OK)
        fail_msg("%s: %s", err.where, err.text);
    return net;
}

/* ---- weights for a supernet ---------------------------------------------------------------- */

struct made {
    struct text doc;
    sn_weights *weights;
};

static int append(void *cls, const void *bytes, size_t n_bytes)
{
    text_add(cls, bytes, n_bytes);
    return 0;
}

/* n tensors as a document, element i of each being i. F16 stays below 16. */
static void make_weights(const char *const *name, const sn_desc *desc, size_t n, struct made *ret)
{
    sn_tensor     tensor[16] = {0};
    const sn_sink sink = {append, &ret->doc};

    *ret = (struct made){0};
    for (size_t i = 0; i < n; i++) {
        const int64_t count = sn_shape_count(&desc[i].shape);

        tensor[i] = sn_tensor_dense(desc[i].dtype, &desc[i].shape, calloc((size_t)count, 8));
        for (int64_t j = 0; j < count; j++) {
            static const uint16_t half[] = {0, 0x3c00, 0x4000, 0x4200, 0x4400};

            if (desc[i].dtype == SN_F32) ((float *)tensor[i].data)[j] = (float)j;
            if (desc[i].dtype == SN_F16) ((uint16_t *)tensor[i].data)[j] = half[j % 5];
            if (desc[i].dtype == SN_BF16) ((uint16_t *)tensor[i].data)[j] = 0x3f80;
            if (desc[i].dtype == SN_I64) ((int64_t *)tensor[i].data)[j] = 7;
        }
    }
    assert_int_equal(sn_tensors_write(name, tensor, n, NULL, NULL, 0, &sink, NULL), SN_OK);
    assert_int_equal(sn_weights_borrow(ret->doc.at, ret->doc.n, "made", &ret->weights, NULL),
                     SN_OK);
    for (size_t i = 0; i < n; i++)
        free(tensor[i].data);
}

static void made_fini(struct made *m)
{
    sn_weights_unref(m->weights);
    free(m->doc.at);
}

/* ---- the space ------------------------------------------------------------------------------- */

/* "a:user,user b:" of all choices. */
static void space_text(const sn_supernet *net, char *buf, size_t n_bytes)
{
    size_t n = 0;

    buf[0] = '\0';
    for (size_t i = 0; i < sn_supernet_n_choices(net); i++) {
        const sn_choice *c = sn_supernet_choice(net, i);
        size_t           again = SIZE_MAX;

        n += (size_t)snprintf(buf + n, n_bytes - n, "%s%s:", i ? " " : "", c->label);
        for (size_t u = 0; u < c->n_users; u++)
            n += (size_t)snprintf(buf + n, n_bytes - n, "%s%s", u ? "," : "", c->user[u]);
        assert_true(sn_supernet_find_choice(net, c->label, &again));
        assert_int_equal(again, i);
    }
}

/* clang-format off */
static const struct space_row {
    const char *name, *inputs, *more, *model, *space, *size;
} space_rows[] = {
    {"labels come in the order in which arguments are written, unused ones last", X4,
     "'choices': {'unused': [1, 2], 'a': [4], 'b': [2, 4, 8]},",
     "{'type': 'Linear', 'out_features': 'b', 'in_features': 'a'}",
     "b:out_features a:in_features unused:", "3"},
    {"an expression's labels come in reading order, and count as one user", X4,
     "'choices': {'a': [1, 2], 'b': [2, 4]},",
     "{'type': 'Sequential', 'layers': [{'name': 'fc', 'type': 'Linear', 'in_features': 4, "
     "'out_features': 'b * a + b'}]}",
     "b:fc.out_features a:fc.out_features", "4"},
    {"a LayerChoice comes before what is in it, a Repeat's depth before its blocks", X4,
     "'choices': {'d': [1, 2], 'w': [4, 8]},",
     "{'type': 'Sequential', 'layers': [{'type': 'LayerChoice', 'label': 'op', 'candidates': "
     "[{'type': 'Repeat', 'depth': 'd', 'block': {'type': 'Linear', 'in_features': 4, "
     "'out_features': 'w'}}, {'type': 'Identity'}]}]}",
     "op:0 d:0.0.depth w:0.0.blocks.0.out_features,0.0.blocks.1.out_features", "8"},
    {"the root itself can be the choice", X4, "",
     "{'type': 'LayerChoice', 'label': 'op', 'candidates': [{'type': 'ReLU'}, {'type': "
     "'Tanh'}, {'type': 'Identity'}]}",
     "op:model", "3"},
    {"two modules share a label", X4, "",
     "{'type': 'Sequential', 'layers': [{'type': 'LayerChoice', 'label': 'op', 'candidates': "
     "[{'type': 'ReLU'}, {'type': 'Tanh'}]}, {'type': 'LayerChoice', 'label': 'op', "
     "'candidates': [{'type': 'ReLU'}, {'type': 'Tanh'}]}]}",
     "op:0,1", "2"},
    {"equal candidates are equal as in Python, and the first ones are kept", X4,
     "'choices': {'a': [0, 1]},",
     "{'type': 'Linear', 'in_features': 4, 'out_features': {'expr': 'a + 1', 'choices': "
     "{'a': [false, true]}}}",
     "a:out_features", "2"},
    {"a range declares its own label", X4, "",
     "{'type': 'Repeat', 'depth': [0, 3], 'label': 'how \\'deep\\\\', 'block': {'type': "
     "'ReLU'}}",
     "how \"deep\\:depth", "4"},
    {"two of four, and any of three", "[{'name': 'x', 'shape': [4]}]", "",
     "{'type': 'Graph', 'inputs': ['x'], 'outputs': ['b'], 'nodes': [{'name': 'a', 'type': "
     "'InputChoice', 'label': 'two', 'n_candidates': 4, 'n_chosen': 2, 'inputs': ['x', 'x', "
     "'x', 'x']}, {'name': 'b', 'type': 'InputChoice', 'label': 'any', 'n_candidates': 3, "
     "'n_chosen': null, 'inputs': ['a', 'a', 'x']}]}",
     "two:a any:b", "42"},
    {"duplicates among candidates are kept", X4, "'choices': {'w': [4, 4, 8]},",
     "{'type': 'Linear', 'in_features': 4, 'out_features': 'w'}", "w:out_features", "3"},
    {"no choice at all is one network", X4, "", "{'type': 'ReLU'}", "", "1"},
};
/* clang-format on */

static void space_is(void **state)
{
    const struct space_row *row = *state;
    sn_supernet            *net = loaded(row->inputs, row->more, row->model);
    char                    got[512];

    space_text(net, got, sizeof got);
    assert_string_equal(got, row->space);
    assert_string_equal(sn_supernet_space_size(net), row->size);
    sn_supernet_unref(net);
}

/* 40 labels of 1000 candidates: 10^120. */
static void space_size_is_exact(void **state)
{
    struct text  choices = {0}, layers = {0};
    sn_supernet *net;
    const char  *size;

    (void)state;
    text_printf(&choices, "'choices': {");
    for (int i = 0; i < 40; i++) {
        text_printf(&choices, "%s'c%d': [", i ? "," : "", i);
        for (int j = 0; j < 1000; j++)
            text_printf(&choices, "%s%d", j ? "," : "", j + 1);
        text_printf(&choices, "]");
        text_printf(&layers, "%s{'type': 'Linear', 'in_features': 'c%d', 'out_features': 1}",
                    i ? "," : "{'type': 'Sequential', 'layers': [", i);
    }
    text_printf(&choices, "},");
    text_printf(&layers, "]}");
    net = loaded(X4, choices.at, layers.at);
    size = sn_supernet_space_size(net);
    assert_int_equal(strlen(size), 121);
    assert_int_equal(size[0], '1');
    assert_int_equal(strspn(size + 1, "0"), 120);
    sn_supernet_unref(net);
    free(choices.at);
    free(layers.at);
}

/* ---- names of outputs and inputs ---------------------------------------------------------------
 */

#define QKV                                                                                        \
    "[{'name': 'value', 'shape': [5, 'N', 4]}, {'name': 'query', 'shape': [5, 'N', 4]}, "          \
    "{'name': 'key', 'shape': [5, 'N', 4]}, {'name': 'attn_mask', 'shape': [5, 5], "               \
    "'optional': true}]"
#define MHA "'type': 'MultiheadAttention', 'embed_dim': 4, 'num_heads': 2"

/* clang-format off */
static const struct port_row {
    const char *name, *inputs, *more, *model, *outputs;
    int         n_in;
    int         input[5];
} port_rows[] = {
    {"one output of a plain model is called output", X4, "", "{'type': 'ReLU'}", "output", 1, {0}},
    {"an operator names its outputs", QKV, "", "{" MHA "}", "attn_output attn_output_weights", 5,
     {1, 2, 0, -1, 3}},
    {"several outputs of a chain are numbered", X4, "",
     "{'type': 'Sequential', 'layers': [{'type': 'Graph', 'inputs': ['x'], 'outputs': ['x', "
     "'x'], 'nodes': []}]}",
     "output.0 output.1", 1, {0}},
    {"a Graph's references are the names", "[{'name': 'x', 'shape': [5, 'N', 4]}]", "",
     "{'type': 'Graph', 'inputs': ['x'], 'outputs': ['a.1', 'a'], 'nodes': [{'name': "
     "'a', 'inputs': ['x', 'x', 'x'], " MHA "}]}",
     "a.1 a", 1, {0}},
    {"the document has the last word", X4, "'outputs': ['y'],", "{'type': 'ReLU'}", "y", 1, {0}},
    {"inputs of other names are taken in order",
     "[{'name': 'a', 'shape': [4]}, {'name': 'b', 'shape': [4]}]", "", "{'type': 'Add'}",
     "output", 2, {0, 1}},
};
/* clang-format on */

static void ports_are(void **state)
{
    const struct port_row *row = *state;
    sn_supernet           *net = loaded(row->inputs, row->more, row->model);
    char                   got[256] = "";

    for (size_t i = 0; i < sn_supernet_n_outputs(net); i++) {
        strcat(got, i ? " " : "");
        strcat(got, sn_supernet_output(net, i)->name);
        assert_int_equal(sn_supernet_output(net, i)->desc.dtype, SN_NONE);
    }
    assert_string_equal(got, row->outputs);
    assert_int_equal(net->root->n_in, row->n_in);
    for (int i = 0; i < row->n_in; i++)
        assert_int_equal(net->root_input[i], row->input[i]);
    sn_supernet_unref(net);
}

static void inputs_keep_their_shapes(void **state)
{
    sn_supernet   *net = loaded("[{'name': 'm', 'dtype': 'BOOL', 'shape': ['N', 'L', 3], "
                                  "'optional': true}]",
                                "", "{'type': 'Identity'}");
    const sn_port *in = sn_supernet_input(net, 0);

    (void)state;
    assert_string_equal(in->name, "m");
    assert_int_equal(in->desc.dtype, SN_BOOL);
    assert_int_equal(in->desc.shape.rank, 3);
    assert_int_equal(in->desc.shape.dim[0], -1);
    assert_int_equal(in->desc.shape.dim[1], -1);
    assert_int_equal(in->desc.shape.dim[2], 3);
    assert_string_equal(in->symbol[0], "N");
    assert_string_equal(in->symbol[1], "L");
    assert_null(in->symbol[2]);
    assert_true(in->optional);
    assert_null(sn_supernet_input(net, 1));
    assert_null(sn_supernet_output(net, 1));
    assert_null(sn_supernet_choice(net, 0));
    sn_supernet_unref(net);
}

/* ---- arguments
 * ------------------------------------------------------------------------------------ */

/* One argument of the root, as the operators will see it. */
/* clang-format off */
static const struct arg_row {
    const char *name, *more, *args, *arg;
    const char *super, *options; /* options "" : fixed */
    int         position;
} arg_rows[] = {
    {"a literal is fixed", "", "'kernel_size': [3, 5]", "kernel_size", "(3, 5)", "", 2},
    {"a default has no position", "", "'kernel_size': 3", "stride", "1", "", -1},
    {"an expression without labels is a literal", "", "'kernel_size': '1 + 2'", "kernel_size", "3",
     "", 2},
    {"the super value is the largest option", "'choices': {'k': [5, 1, 3]},",
     "'kernel_size': 'k'", "kernel_size", "5", "1 3 5", 2},
    {"of tuples it is the largest of each component", "'choices': {'k': [[3, 5], [5, 3]]},",
     "'kernel_size': 'k'", "kernel_size", "(5, 5)", "(3, 5) (5, 3)", 2},
    {"or the last of their order as in the original",
     "'compatibility': 'nni-2.8', 'choices': {'k': [[3, 5], [5, 3]]},", "'kernel_size': 'k'",
     "kernel_size", "(5, 3)", "(3, 5) (5, 3)", 2},
    {"an int stands for both components", "'choices': {'k': [4, [3, 5]]},", "'kernel_size': 'k'",
     "kernel_size", "(4, 5)", "4 (3, 5)", 2},
    {"a keyword wins over a label of that name", "'choices': {'same': [1, 2]},",
     "'kernel_size': 3, 'padding': 'same'", "padding", "'same'", "", 3},
    {"but not inside an expression", "'choices': {'same': [1, 2]},",
     "'kernel_size': 3, 'padding': 'same + 0'", "padding", "2", "1 2", 3},
    {"a keyword can be a candidate", "'choices': {'p': ['valid', 'same']},",
     "'kernel_size': 3, 'padding': 'p'", "padding", "'valid'", "'same' 'valid'", 3},
    {"a derived argument follows the others", "'choices': {'g': [1, 3]},",
     "'kernel_size': 1, 'groups': 'g'", "in_channels // groups", "3", "1 3", -1},
    {"a label that is no identifier", "'choices': {'stage1/k': [1, 3]},",
     "'kernel_size': 'choice(\\'stage1/k\\')'", "kernel_size", "3", "1 3", 2},
};
/* clang-format on */

static void argument_is(void **state)
{
    const struct arg_row  *row = *state;
    struct text            model = {0}, options = {0};
    char                   value[64];
    const struct arg_slot *slot = NULL;
    sn_supernet           *net;

    text_printf(&model, "{'type': 'Conv2d', 'in_channels': 3, 'out_channels': 6, %s}", row->args);
    net = loaded(X34, row->more, model.at);
    for (size_t a = 0; a < net->root->n_args; a++)
        if (strcmp(net->root->arg[a].name, row->arg) == 0) slot = &net->root->arg[a];
    assert_non_null(slot);
    assert_int_equal(slot->position, row->position);
    assert_string_equal(sn_value_text(&slot->super, value, sizeof value), row->super);
    assert_int_equal(slot->expr != NULL, *row->options != '\0');
    for (size_t i = 0; slot->expr && i < slot->n_options; i++)
        text_printf(&options, "%s%s", i ? " " : "",
                    sn_value_text(&slot->option[i], value, sizeof value));
    assert_string_equal(options.at ? options.at : "", row->options);
    for (size_t i = 0; i < slot->n_leaves; i++)
        assert_true(slot->leaf[i] < net->n_choices);
    sn_supernet_unref(net);
    free(model.at);
    free(options.at);
}

/* The order of the space is not that of the table: arguments must know the new numbers. */
static void leaves_are_numbered_as_the_space(void **state)
{
    sn_supernet           *net = loaded(X4, "'choices': {'z': [9], 'a': [4, 5], 'b': [2]},",
                                        "{'type': 'Linear', 'in_features': 'b', 'out_features': 'a + b'}");
    const struct arg_slot *out = &net->root->arg[1];

    (void)state;
    assert_string_equal(sn_supernet_choice(net, 0)->label, "b");
    assert_int_equal(net->root->arg[0].leaf[0], 0);
    assert_int_equal(out->n_leaves, 2);
    assert_string_equal(sn_supernet_choice(net, out->leaf[0])->label, "a");
    assert_string_equal(sn_supernet_choice(net, out->leaf[1])->label, "b");
    sn_supernet_unref(net);
}

/* ---- structures
 * ---------------------------------------------------------------------------------- */

/* "name(from.out,from.out)" of the children in their order, then the outputs; i is the
 * Graph's own input, - an absent one. */
static void graph_text(const struct module *m, char *buf, size_t n_bytes)
{
    size_t n = 0;

    for (size_t c = 0; c <= m->n_children; c++) {
        const bool last = c == m->n_children;
        const int  n_wires = last ? m->n_out : m->child[c]->n_in;

        n += (size_t)snprintf(buf + n, n_bytes - n, "%s(", last ? "" : m->child[c]->name);
        for (int j = 0; j < n_wires; j++) {
            const struct wire w = last ? m->output[j] : m->wire[c][j];

            if (w.from == WIRE_ABSENT)
                n += (size_t)snprintf(buf + n, n_bytes - n, "-");
            else
                n += (size_t)snprintf(buf + n, n_bytes - n, "%s.%d",
                                      w.from == WIRE_INPUT ? "i" : m->child[w.from]->name, w.out);
            if (j + 1 < n_wires) n += (size_t)snprintf(buf + n, n_bytes - n, ",");
        }
        n += (size_t)snprintf(buf + n, n_bytes - n, ")");
    }
}

/* clang-format off */
static const struct graph_row {
    const char *name, *nodes, *outputs, *wires;
} graph_rows[] = {
    {"nodes may come in any order",
     "{'name': 'c', 'type': 'Add', 'inputs': ['b', 'x']}, {'name': 'b', 'type': 'ReLU', "
     "'inputs': ['a']}, {'name': 'a', 'type': 'ReLU', 'inputs': ['x']}",
     "['c']", "a(i.0)b(a.0)c(b.0,i.0)(c.0)"},
    {"and keep theirs if it is one", "{'name': 'b', 'type': 'ReLU', 'inputs': ['x']}, "
                                     "{'name': 'a', 'type': 'ReLU', 'inputs': ['x']}",
     "['a', 'b']", "b(i.0)a(i.0)(a.0,b.0)"},
    {"nodes that nothing reads are allowed", "{'name': 'a', 'type': 'ReLU', 'inputs': ['x']}",
     "['x']", "a(i.0)(i.0)"},
    {"inputs by name, absent ones in between, none at the end",
     "{'name': 'a', 'inputs': {'value': 'x', 'query': 'x', 'key': 'x'}, " MHA "}, "
     "{'name': 'b', 'inputs': {'attn_mask': 'x', 'value': 'a.1', 'query': 'a', 'key': "
     "'a.0', 'key_padding_mask': null}, " MHA "}",
     "['b.1']", "a(i.0,i.0,i.0)b(a.0,a.0,a.1,-,i.0)(b.1)"},
};
/* clang-format on */

static void graph_is(void **state)
{
    const struct graph_row *row = *state;
    struct text             model = {0};
    sn_supernet            *net;
    char                    got[256];

    text_printf(&model, "{'type': 'Graph', 'inputs': ['x'], 'outputs': %s, 'nodes': [%s]}",
                row->outputs, row->nodes);
    net = loaded("[{'name': 'image', 'shape': [5, 'N', 4]}]", "", model.at);
    graph_text(net->root, got, sizeof got);
    assert_string_equal(got, row->wires);
    sn_supernet_unref(net);
    free(model.at);
}

/* The "inputs" of an inner Graph name what is outside and what is inside. */
static void inner_graphs_are_wired_both_ways(void **state)
{
    sn_supernet *net =
        loaded(X4, "",
               "{'type': 'Graph', 'inputs': ['x'], 'outputs': ['q'], 'nodes': ["
               "{'name': 'p', 'type': 'Graph', 'inputs': ['x'], 'outputs': ['r', 'x'], 'nodes': "
               "[{'name': 'r', 'type': 'ReLU', 'inputs': ['x']}]},"
               "{'name': 'q', 'type': 'Graph', 'inputs': {'a': 'p.1', 'b': 'p'}, 'outputs': ['s'], "
               "'nodes': [{'name': 's', 'type': 'Add', 'inputs': ['b', 'a']}]}]}");
    char got[256];

    (void)state;
    graph_text(net->root, got, sizeof got);
    assert_string_equal(got, "p(i.0)q(p.1,p.0)(q.0)");
    graph_text(net->root->child[0], got, sizeof got);
    assert_string_equal(got, "r(i.0)(r.0,i.0)");
    graph_text(net->root->child[1], got, sizeof got);
    assert_string_equal(got, "s(i.1,i.0)(s.0)");
    sn_supernet_unref(net);
}

static void modules_are_listed_parents_first(void **state)
{
    static const struct {
        const char *path, *where, *type;
        int         parent;
        uint64_t    n_params;
    } want[] = {
        {"", "model", "Sequential", -1, 0},
        {"0", "model.layers[0]", "LayerChoice", 0, 0},
        {"0.fc", "model.layers[0].candidates[0]", "Linear", 1, 20},
        {"0.1", "model.layers[0].candidates[1]", "Identity", 1, 0},
        {"body", "model.layers[1]", "Repeat", 0, 0},
        {"body.blocks.0", "model.layers[1].block", "LayerNorm", 4, 8},
        {"body.blocks.1", "model.layers[1].block", "LayerNorm", 4, 8},
    };
    sn_supernet *net = loaded(
        X4, "",
        "{'type': 'Sequential', 'layers': [{'type': 'LayerChoice', 'label': 'op', 'candidates': "
        "[{'name': 'fc', 'type': 'Linear', 'in_features': 4, 'out_features': 4}, {'type': "
        "'Identity'}]}, {'name': 'body', 'type': 'Repeat', 'depth': 2, 'block': {'type': "
        "'LayerNorm', 'normalized_shape': 4}}]}");

    (void)state;
    assert_int_equal(sn_supernet_n_modules(net), COUNT(want));
    for (size_t i = 0; i < COUNT(want); i++) {
        const sn_module *m = sn_supernet_module(net, i);

        assert_string_equal(m->path, want[i].path);
        assert_string_equal(m->where, want[i].where);
        assert_string_equal(m->type, want[i].type);
        assert_int_equal(m->parent, want[i].parent);
        assert_int_equal(m->n_params, want[i].n_params);
    }
    assert_null(sn_supernet_module(net, COUNT(want)));
    sn_supernet_unref(net);
}

static void blocks_that_never_run_are_cut_in_nni_mode(void **state)
{
    sn_supernet *net = loaded(X4, "'compatibility': 'nni-2.8', 'choices': {'w': [1, 2]},",
                              "{'type': 'Repeat', 'depth': 1, 'blocks': [{'type': 'ReLU'}, "
                              "{'type': 'Linear', 'in_features': 4, 'out_features': 'w'}]}");

    (void)state;
    assert_int_equal(sn_supernet_n_modules(net), 2);
    assert_int_equal(sn_supernet_choice(net, 0)->n_users, 0);
    sn_supernet_unref(net);
}

/* ---- weights
 * ------------------------------------------------------------------------------------- */

#define BN_NET                                                                                     \
    "{'type': 'Sequential', 'layers': [{'name': 'conv', 'type': 'Conv2d', 'in_channels': 3, "      \
    "'out_channels': 'c', 'kernel_size': 1, 'bias': false}, {'name': 'bn', 'type': "               \
    "'BatchNorm2d', 'num_features': 'c'}]}"
#define BN_MORE "'choices': {'c': [2, 4]},"

static const char *const bn_names[] = {"conv.weight",    "bn.weight",
                                       "bn.bias",        "bn.running_mean",
                                       "bn.running_var", "bn.num_batches_tracked"};

static void bn_descs(sn_desc *desc)
{
    for (int i = 0; i < 5; i++)
        desc[i] = (sn_desc){SN_F32, {.rank = 1, .dim = {4}}};
    desc[0].shape = (sn_shape){.rank = 4, .dim = {4, 3, 1, 1}};
    desc[5] = (sn_desc){SN_I64, {.rank = 0}};
}

static void tensors_are_bound_by_name(void **state)
{
    sn_desc      desc[6];
    struct made  made;
    sn_supernet *net = NULL;
    sn_error     err = {0};

    (void)state;
    bn_descs(desc);
    make_weights(bn_names, desc, 6, &made);
    if (load(X34, BN_MORE, BN_NET, made.weights, &net, &err) != SN_OK)
        fail_msg("%s: %s", err.where, err.text);
    assert_int_equal(net->root->child[0]->param[0].shape.dim[0], 4);
    assert_true(((float *)net->root->child[0]->param[0].data)[11] == 11.0f);
    assert_int_equal(net->n_states, 3);
    assert_string_equal(net->state_name[0], "bn.running_mean");
    assert_int_equal(net->root->child[1]->state[0], -1);
    assert_int_equal(net->root->child[1]->state[2], 0);
    assert_int_equal(net->root->child[1]->state[4], 2);
    sn_supernet_unref(net);
    made_fini(&made);
}

static void a_counter_of_batches_may_be_missing(void **state)
{
    sn_desc      desc[6];
    struct made  made;
    sn_supernet *net = NULL;

    (void)state;
    bn_descs(desc);
    make_weights(bn_names, desc, 5, &made);
    assert_int_equal(load(X34, BN_MORE, BN_NET, made.weights, &net, NULL), SN_OK);
    assert_int_equal(net->n_states, 2);
    assert_int_equal(net->root->child[1]->state[4], -1);
    sn_supernet_unref(net);
    made_fini(&made);
}

static void halves_are_widened(void **state)
{
    sn_desc      desc[6];
    struct made  made;
    sn_supernet *net = NULL;

    (void)state;
    bn_descs(desc);
    desc[0].dtype = SN_F16;
    desc[1].dtype = SN_BF16;
    make_weights(bn_names, desc, 6, &made);
    assert_int_equal(load(X34, BN_MORE, BN_NET, made.weights, &net, NULL), SN_OK);
    assert_int_equal(net->root->child[0]->param[0].dtype, SN_F32);
    assert_int_equal((uintptr_t)net->root->child[0]->param[0].data % SN_ALIGN_BYTES, 0);
    assert_true(((float *)net->root->child[0]->param[0].data)[8] == 3.0f);
    assert_true(((float *)net->root->child[1]->param[0].data)[3] == 1.0f);
    sn_supernet_unref(net);
    made_fini(&made);
}

/* Weights that do not fit: tensor `change` gets another name, type or size. */
/* clang-format off */
static const struct weights_row {
    const char *name;
    int         change;
    const char *rename;
    sn_dtype    dtype;
    int64_t     dim0;
    size_t      n;
    sn_status   status;
    const char *where, *text;
} weights_rows[] = {
    {"a tensor is missing", 0, NULL, SN_F32, 4, 4, SN_E_UNKNOWN_NAME, "weights",
     "1 tensor is missing: bn.running_var"},
    {"a tensor has another name", 2, "bn.beta", SN_F32, 4, 6, SN_E_UNKNOWN_NAME, "weights",
     "1 tensor is missing: bn.bias; and nothing uses the tensor bn.beta"},
    {"a tensor has the size of a subnet", 0, NULL, SN_F32, 2, 6, SN_E_SHAPE, "model.layers[0]",
     "the tensor \"conv.weight\" has the shape [2, 3, 1, 1], but the largest values of the arguments "
     "need [4, 3, 1, 1]"},
    {"a tensor is an integer", 1, NULL, SN_I64, 4, 6, SN_E_DTYPE, "model.layers[1]",
     "the tensor \"bn.weight\" is I64, but must be F32, F16 or BF16"},
};
/* clang-format on */

static void weights_are_refused(void **state)
{
    const struct weights_row *row = *state;
    const char               *name[6];
    sn_desc                   desc[6];
    struct made               made;
    sn_supernet              *net = NULL;
    sn_error                  err = {0};

    memcpy(name, bn_names, sizeof name);
    bn_descs(desc);
    if (row->rename) name[row->change] = row->rename;
    desc[row->change].dtype = row->dtype;
    desc[row->change].shape.dim[0] = row->dim0;
    make_weights(name, desc, row->n, &made);
    assert_int_equal(load(X34, BN_MORE, BN_NET, made.weights, &net, &err), row->status);
    assert_null(net);
    assert_string_equal(err.where, row->where);
    assert_string_equal(err.text, row->text);
    made_fini(&made);
}

/* Eleven missing and eleven left over: ten of each are named. */
static void long_lists_end_in_and_more(void **state)
{
    const char  *name[11];
    char         text[11][16];
    sn_desc      desc[11];
    struct made  made;
    sn_supernet *net = NULL;
    sn_error     err = {0};

    (void)state;
    for (int i = 0; i < 11; i++) {
        snprintf(text[i], sizeof text[i], "t%d", i);
        name[i] = text[i];
        desc[i] = (sn_desc){SN_F32, {.rank = 1, .dim = {1}}};
    }
    make_weights(name, desc, 11, &made);
    assert_int_equal(load(X4, "",
                          "{'type': 'Repeat', 'depth': 11, 'block': {'type': 'Linear', "
                          "'in_features': 4, 'out_features': 4, 'bias': false}}",
                          made.weights, &net, &err),
                     SN_E_UNKNOWN_NAME);
    assert_string_equal(
        err.text, "11 tensors are missing: blocks.0.weight, blocks.1.weight, blocks.2.weight, "
                  "blocks.3.weight, blocks.4.weight, blocks.5.weight, blocks.6.weight, "
                  "blocks.7.weight, blocks.8.weight, blocks.9.weight and 1 more; and nothing "
                  "uses the tensors t0, t1, t2, t3, t4, t5, t6, t7, t8, t9 and 1 more");
    made_fini(&made);
}

/* ---- the object
 * ---------------------------------------------------------------------------------- */

static void a_supernet_keeps_what_it_needs(void **state)
{
    sn_desc      desc[6];
    struct made  made;
    sn_supernet *net = NULL;
    sn_weights  *weights;

    (void)state;
    bn_descs(desc);
    make_weights(bn_names, desc, 6, &made);
    assert_int_equal(load(X34, BN_MORE, BN_NET, made.weights, &net, NULL), SN_OK);
    weights = made.weights;
    made.weights = sn_weights_unref(weights); /* the supernet has its own reference */
    assert_ptr_equal(sn_supernet_ref(net), net);
    assert_null(sn_supernet_unref(net));
    assert_true(((float *)net->root->child[0]->param[0].data)[5] == 5.0f);
    assert_string_equal(sn_supernet_name(net), "test");
    assert_non_null(strstr(sn_supernet_spec(net), "\"supernet/1\""));
    sn_supernet_unref(net);
    made_fini(&made);
}

static void the_digest_is_that_of_the_bytes(void **state)
{
    static const char doc[] =
        "{\"format\": \"supernet/1\", \"name\": \"t\", \"inputs\": [{\"name\": \"x\", "
        "\"shape\": []}], \"model\": {\"type\": \"ReLU\"}}";
    sn_registry *reg = NULL;
    sn_supernet *a = NULL, *b = NULL;
    char         other[sizeof doc + 1];

    (void)state;
    snprintf(other, sizeof other, "%s\n", doc); /* one more blank is another document */
    assert_int_equal(sn_registry_create(&reg, NULL), SN_OK);
    assert_int_equal(sn_supernet_load(doc, sizeof doc - 1, NULL, reg, &a, NULL), SN_OK);
    assert_int_equal(sn_supernet_load(other, sizeof doc, NULL, reg, &b, NULL), SN_OK);
    assert_memory_not_equal(sn_supernet_digest(a), sn_supernet_digest(b), 32);
    assert_string_equal(sn_supernet_spec(a), doc);
    sn_supernet_unref(a);
    sn_supernet_unref(b);
    sn_registry_unref(reg);
}

/* Every error path of running out of memory, once. */
static void load_survives_out_of_memory(void **state)
{
    sn_desc     desc[6];
    struct made made;

    (void)state;
    bn_descs(desc);
    desc[0].dtype = SN_F16;
    make_weights(bn_names, desc, 6, &made);
    for (size_t n = 1;; n++) {
        sn_supernet *net = NULL;
        sn_error     err = {0};
        sn_status    rc;

        alloc_fail_at(n);
        rc = load(X34, BN_MORE, BN_NET, made.weights, &net, &err);
        alloc_fail_at(0);
        if (rc == SN_OK) {
            sn_supernet_unref(net);
            assert_true(n > 5); /* some of them did fail */
            break;
        }
        assert_int_equal(rc, SN_E_NO_MEMORY);
        assert_null(net);
    }
    made_fini(&made);
}

#define ROWS(table, check)                                                                         \
    for (size_t i = 0; i < COUNT(table); i++)                                                      \
        tests[n++] = (struct CMUnitTest)                                                           \
        {                                                                                          \
            .name = (table)[i].name, .test_func = (check),                                         \
            .initial_state = (void *)(uintptr_t) & (table)[i]                                      \
        }

int main(void)
{
    static const struct CMUnitTest alone[] = {
        cmocka_unit_test(space_size_is_exact),
        cmocka_unit_test(inputs_keep_their_shapes),
        cmocka_unit_test(leaves_are_numbered_as_the_space),
        cmocka_unit_test(inner_graphs_are_wired_both_ways),
        cmocka_unit_test(modules_are_listed_parents_first),
        cmocka_unit_test(blocks_that_never_run_are_cut_in_nni_mode),
        cmocka_unit_test(tensors_are_bound_by_name),
        cmocka_unit_test(a_counter_of_batches_may_be_missing),
        cmocka_unit_test(halves_are_widened),
        cmocka_unit_test(long_lists_end_in_and_more),
        cmocka_unit_test(a_supernet_keeps_what_it_needs),
        cmocka_unit_test(the_digest_is_that_of_the_bytes),
        cmocka_unit_test(load_survives_out_of_memory),
    };
    static struct CMUnitTest tests[128];
    size_t                   n = 0;

    ROWS(space_rows, space_is);
    ROWS(port_rows, ports_are);
    ROWS(arg_rows, argument_is);
    ROWS(graph_rows, graph_is);
    ROWS(weights_rows, weights_are_refused);
    for (size_t i = 0; i < COUNT(alone); i++)
        tests[n++] = alone[i];
    return _cmocka_run_group_tests("spec", tests, n, NULL, NULL);
}
