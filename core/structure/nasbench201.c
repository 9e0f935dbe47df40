/* NasBench201Cell: every tensor is the sum over all earlier ones of one operator each.
 *
 *   labels    <label>/<j>_<i>                   the operator on the edge from tensor j to i
 *   tensors   layers.<i - 1>.<j>.<candidate>.
 *
 * The arguments of candidates may say in_features and out_features: the cell's in_features
 * on edges from its input, its out_features everywhere else.
 *
 * Dong and Yang, NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture
 * Search, ICLR 2020. */
#include "structure/assemble.h"
#include "structure/template.h"

static const struct member members[] = {
    {"candidates", MEMBER_ARRAY, true},
    {"in_features", MEMBER_INT | MEMBER_TEXT, true},
    {"out_features", MEMBER_INT | MEMBER_TEXT, true},
    {"num_tensors", MEMBER_INT, false},
    {"label", MEMBER_TEXT, true},
    {0},
};

/* The LayerChoice on the edge from tensor j to tensor i. */
static sn_status build_edge(struct assembly *layer, const json_t *spec, int i, int j,
                            struct wire *ret_state)
{
    struct builder      *b = layer->b;
    const json_t        *in = json_object_get(spec, "in_features");
    const json_t        *out = json_object_get(spec, "out_features");
    const char          *where = layer->m->where;
    struct template_word word[] = {
        {"in_features", j == 0 ? in : out},
        {"out_features", out},
    };
    const struct wire from = {WIRE_INPUT, j};
    json_t           *candidates = NULL, *choice = NULL;
    sn_status rc = template_fill(b, json_object_get(spec, "candidates"), word, COUNT(word), where,
                                 &candidates);

    if (rc == SN_OK) {
        choice = json_pack(
            "{s:s, s:o, s:O}", "type", "LayerChoice", "label",
            json_sprintf("%s/%d_%d", json_string_value(json_object_get(spec, "label")), j, i),
            "candidates", candidates);
        rc = choice ? assemble_read(layer, arena_printf(b->mem, "%d", j), where, choice, &from, 1,
                                    ret_state)
                    : fail_no_memory(b->err, where);
    }
    json_decref(choice);
    json_decref(candidates);
    return rc;
}

/* Tensor i from the tensors before it; `tensor` has their wires in `layers`. */
static sn_status build_layer(struct assembly *layers, const json_t *spec, int i,
                             struct wire *tensor)
{
    struct builder *b = layers->b;
    struct wire     state[SN_MAX_PORTS], sum;
    struct assembly layer;
    sn_status       rc =
        assemble_child(&layer, b, layers->m, arena_printf(b->mem, "%d", i - 1), i, (size_t)i + 1);

    for (int j = 0; rc == SN_OK && j < i; j++)
        rc = build_edge(&layer, spec, i, j, &state[j]);
    if (rc == SN_OK) rc = assemble_join(&layer, "sum", "Add", NULL, 0, state, i, &sum);
    if (rc == SN_OK) rc = assemble_end(&layer, &sum, 1);
    return rc == SN_OK ? assemble_add(layers, layer.m, tensor, &tensor[i]) : rc;
}

static sn_status build(struct builder *b, struct module *m, const json_t *spec, bool node)
{
    struct wire       tensor[SN_MAX_PORTS] = {{WIRE_INPUT, 0}};
    const struct wire out = {0, 0};
    struct assembly   cell, layers;
    int64_t           n = 4;
    sn_status         rc = json_get_int(spec, "num_tensors", m->where, 2, SN_MAX_PORTS, &n, b->err);

    (void)node;
    if (rc == SN_OK) rc = template_check_size(b, m->where, spec, "in_features");
    if (rc == SN_OK) rc = template_check_size(b, m->where, spec, "out_features");
    if (rc == SN_OK && m->n_in != 1) rc = build_fail_inputs(b, m, 1, 1);
    if (rc == SN_OK) rc = assemble_init(&cell, b, m, 1);
    if (rc == SN_OK) rc = assemble_child(&layers, b, m, "layers", 1, (size_t)n);
    for (int i = 1; rc == SN_OK && i < n; i++)
        rc = build_layer(&layers, spec, i, tensor);
    if (rc == SN_OK) rc = assemble_end(&layers, &tensor[n - 1], 1);
    if (rc == SN_OK) rc = assemble_add(&cell, layers.m, tensor, NULL);
    return rc == SN_OK ? assemble_end(&cell, &out, 1) : rc;
}

const struct structure structure_nasbench201 = {
    .kind = STRUCT_GRAPH,
    .member = members,
    .build = build,
};
