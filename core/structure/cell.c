/* Cell: the search cell of NAS-Net and DARTS. Node i adds up num_ops_per_node operators,
 * each on one of the states before it.
 *
 *   labels    <label>/op_<i>_<k>, <label>/input_<i>_<k>, i from num_predecessors on
 *   tensors   ops.<i - num_predecessors>.<k>.<name>.       ordinary form
 *             ops.<i - num_predecessors>.<input>.<name>.   edge form (cell_edges.c)
 *             preprocessor.mods.<j>.
 *
 * A Cell is a Graph put together here: preprocessor, ops, the join. */
#include "structure/cell.h"

#include <string.h>

static const struct member members[] = {
    {"num_nodes", MEMBER_INT, true},
    {"num_ops_per_node", MEMBER_INT, false},
    {"num_predecessors", MEMBER_INT, false},
    {"merge_op", MEMBER_TEXT, false},
    {"concat_dim", MEMBER_INT, false},
    {"label", MEMBER_TEXT, true},
    {"candidates", MEMBER_ARRAY, true},
    {"factory", MEMBER_BOOL, false},
    {"preprocessor", MEMBER_ARRAY | MEMBER_NULL, false},
    {"postprocessor", MEMBER_TEXT | MEMBER_NULL, false},
    {0},
};

const char *cell_label(const struct cell_spec *c, const char *what, int64_t i, int64_t k)
{
    return arena_printf(c->b->mem, "%s/%s%lld_%lld", c->label, what, (long long)i, (long long)k);
}

/* ---- the document ---------------------------------------------------------------------- */

static sn_status read_merge(struct cell_spec *c, const json_t *spec)
{
    const char *text = "all";
    char        place[256];
    sn_status   rc = json_get_text(spec, "merge_op", c->where, &text, c->b->err);

    if (rc != SN_OK) return rc;
    c->loose_end = strcmp(text, "loose_end") == 0;
    if (c->loose_end || strcmp(text, "all") == 0) return SN_OK;
    return build_fail(c->b, SN_E_INVALID, json_place(c->where, "merge_op", place, sizeof place),
                      "\"%s\" is neither \"all\" nor \"loose_end\"", text);
}

static sn_status read_candidates(struct cell_spec *c, const json_t *spec)
{
    struct builder *b = c->b;
    sn_status       rc;

    c->candidates = json_object_get(spec, "candidates");
    c->n_candidates = json_array_size(c->candidates);
    c->list = arena_printf(b->mem, "%s.candidates", c->where);
    c->name_value = arena_array(b->mem, c->n_candidates + 1, sizeof *c->name_value);
    if (!c->list || !c->name_value) return fail_no_memory(b->err, c->where);
    if (c->n_candidates == 0 || c->n_candidates > SN_MAX_PORTS - 1)
        return build_fail(b, SN_E_LIMIT, c->list, "a Cell has 1 to %d candidates, not %zu",
                          SN_MAX_PORTS - 1, c->n_candidates);
    rc = build_names(b, c->candidates, c->list, false, &c->name);
    for (size_t o = 0; rc == SN_OK && o < c->n_candidates; o++)
        c->name_value[o] = (sn_value){.kind = SN_KIND_TEXT, .as.text = c->name[o]};
    return rc;
}

static sn_status read_cell(struct cell_spec *c, const struct module *m, const json_t *spec)
{
    sn_error *err = c->b->err;
    bool      factory = false;
    sn_status rc = json_get_int(spec, "num_predecessors", m->where, 1, SN_MAX_PORTS - 1,
                                &c->n_predecessors, err);

    if (rc == SN_OK)
        rc = json_get_int(spec, "num_nodes", m->where, 1, SN_MAX_PORTS - c->n_predecessors,
                          &c->n_nodes, err);
    if (rc == SN_OK)
        rc = json_get_int(spec, "num_ops_per_node", m->where, 1, SN_MAX_PORTS, &c->n_picks, err);
    if (rc == SN_OK)
        rc = json_get_int(spec, "concat_dim", m->where, -SN_MAX_RANK, SN_MAX_RANK - 1,
                          &c->concat_dim, err);
    if (rc == SN_OK) rc = json_get_bool(spec, "factory", m->where, &factory, err);
    if (rc == SN_OK) rc = read_merge(c, spec);
    if (rc == SN_OK) rc = read_candidates(c, spec);
    if (rc != SN_OK) return rc;
    c->edges = factory || c->loose_end || cell_has_rules(c->b, c->candidates);
    c->label = arena_strdup(c->b->mem, json_string_value(json_object_get(spec, "label")));
    return c->label ? SN_OK : fail_no_memory(err, m->where);
}

/* ---- labels ------------------------------------------------------------------------------ */

static sn_status declare(struct cell_spec *c, const char *label, sn_value *value, size_t n,
                         enum role role, size_t *ret_label)
{
    const sn_choice choice = {.label = label,
                              .candidate = value,
                              .n_candidates = n,
                              .n_chosen = 1,
                              .several = role != ROLE_PLAIN};
    sn_status       rc;

    if (!label || !value) return fail_no_memory(c->b->err, c->where);
    rc = build_declare(c->b, &choice, role, c->where, ret_label);
    return rc == SN_OK ? build_use(c->b, *ret_label, *c->path ? c->path : "model") : rc;
}

/* Operator and input of pair k of the node whose state is number i. */
static sn_status declare_op(struct cell_spec *c, int64_t i, int64_t k, size_t *ret_label)
{
    return declare(c, cell_label(c, "op_", i, k), c->name_value, c->n_candidates,
                   c->edges ? ROLE_PLAIN : ROLE_LAYER, ret_label);
}

static sn_status declare_input(struct cell_spec *c, int64_t i, int64_t k, size_t *ret_label)
{
    sn_value *value = arena_array(c->b->mem, (size_t)i, sizeof *value);

    for (int64_t j = 0; value && j < i; j++)
        value[j] = (sn_value){.kind = SN_KIND_INT, .as.integer = j};
    return declare(c, cell_label(c, "input_", i, k), value, (size_t)i,
                   c->edges ? ROLE_PLAIN : ROLE_INPUT, ret_label);
}

/* In the space: operators and inputs in turn where they are one module, otherwise all
 * operators node by node and then all inputs. */
static sn_status declare_all(struct cell_spec *c)
{
    const size_t  n = (size_t)(c->n_nodes * c->n_picks);
    const int64_t p = c->n_predecessors;
    sn_status     rc = SN_OK;

    c->op = arena_array(c->b->mem, n + 1, sizeof *c->op);
    c->input = arena_array(c->b->mem, n + 1, sizeof *c->input);
    if (!c->op || !c->input) return fail_no_memory(c->b->err, c->where);
    for (size_t at = 0; rc == SN_OK && at < n; at++) {
        const int64_t i = p + (int64_t)at / c->n_picks, k = (int64_t)at % c->n_picks;

        rc = declare_op(c, i, k, &c->op[at]);
        if (rc == SN_OK && c->edges) rc = declare_input(c, i, k, &c->input[at]);
    }
    for (size_t at = 0; rc == SN_OK && !c->edges && at < n; at++)
        rc =
            declare_input(c, p + (int64_t)at / c->n_picks, (int64_t)at % c->n_picks, &c->input[at]);
    return rc;
}

/* ---- the ordinary form -------------------------------------------------------------------- */

/* Pair k: an InputChoice and a LayerChoice behind it. */
static sn_status build_pair(struct cell_spec *c, struct assembly *node, int64_t k,
                            const struct wire *in, int n_in, struct wire *ret_state)
{
    struct builder *b = c->b;
    const int64_t   i = n_in; /* the state that the node will be */
    json_t         *input = json_pack("{s:s, s:s, s:i}", "type", "InputChoice", "label",
                                      cell_label(c, "input_", i, k), "n_candidates", n_in);
    json_t         *op = json_pack("{s:s, s:s, s:O}", "type", "LayerChoice", "label",
                                   cell_label(c, "op_", i, k), "candidates", c->candidates);
    struct wire     picked;
    sn_status       rc = SN_E_NO_MEMORY;

    if (input && op) {
        rc = assemble_read(node, arena_printf(b->mem, "input_%lld", (long long)k), c->where, input,
                           in, n_in, &picked);
        if (rc == SN_OK)
            rc = assemble_read(node, arena_printf(b->mem, "%lld", (long long)k), c->where, op,
                               &picked, 1, ret_state);
    } else {
        fail_no_memory(b->err, c->where);
    }
    json_decref(input);
    json_decref(op);
    return rc;
}

static sn_status build_node(struct cell_spec *c, struct assembly *ops, int64_t t,
                            const struct wire *wire, struct wire *ret_state)
{
    const int       n_in = (int)(c->n_predecessors + t);
    struct wire     in[SN_MAX_PORTS], state[SN_MAX_PORTS], sum;
    struct assembly node;
    sn_status       rc =
        assemble_child(&node, c->b, ops->m, arena_printf(c->b->mem, "%lld", (long long)t), n_in,
                       (size_t)(2 * c->n_picks + 1));

    for (int j = 0; j < n_in; j++)
        in[j] = (struct wire){WIRE_INPUT, j};
    for (int64_t k = 0; rc == SN_OK && k < c->n_picks; k++)
        rc = build_pair(c, &node, k, in, n_in, &state[k]);
    if (rc == SN_OK) rc = assemble_join(&node, "sum", "Add", NULL, 0, state, (int)c->n_picks, &sum);
    if (rc == SN_OK) rc = assemble_end(&node, &sum, 1);
    return rc == SN_OK ? assemble_add(ops, node.m, wire, ret_state) : rc;
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* All nodes in a Graph "ops", whose outputs are their states, or the join of the loose ones. */
static sn_status build_ops(struct cell_spec *c, struct assembly *cell, const struct wire *state,
                           struct wire *ret_wire, int *ret_n)
{
    const int       p = (int)c->n_predecessors, n = (int)c->n_nodes;
    struct wire     inner[SN_MAX_PORTS], loose;
    struct assembly ops;
    sn_status       rc = assemble_child(&ops, c->b, cell->m, "ops", p, (size_t)n + 1);

    for (int j = 0; j < p; j++)
        inner[j] = (struct wire){WIRE_INPUT, j};
    for (int t = 0; rc == SN_OK && t < n; t++)
        rc = c->edges ? cell_build_edges(c, &ops, t, inner, &inner[p + t])
                      : build_node(c, &ops, t, inner, &inner[p + t]);
    *ret_n = n;
    if (rc == SN_OK && c->loose_end && !c->b->net->nni) {
        rc = cell_build_loose_ends(c, &ops, inner + p, &loose);
        inner[p] = loose;
        *ret_n = 1;
    }
    if (rc == SN_OK) rc = assemble_end(&ops, inner + p, *ret_n);
    if (rc == SN_OK) rc = assemble_add(cell, ops.m, state, NULL);
    for (int t = 0; rc == SN_OK && t < *ret_n; t++)
        ret_wire[t] = (struct wire){(int)cell->m->n_children - 1, t};
    return rc;
}

/* One module for each predecessor, below "preprocessor.mods". */
static sn_status build_preprocessor(struct cell_spec *c, struct assembly *cell, const json_t *list,
                                    struct wire *state)
{
    struct builder *b = c->b;
    const char     *where = arena_printf(b->mem, "%s.preprocessor", c->where);
    const int       p = (int)c->n_predecessors;
    struct wire     out[SN_MAX_PORTS];
    struct assembly pre;
    sn_status       rc;

    if (!where) return fail_no_memory(b->err, c->where);
    if (json_array_size(list) != (size_t)p)
        return build_fail(b, SN_E_INVALID, where,
                          "there is one module for each of the %d predecessors, not %zu", p,
                          json_array_size(list));
    rc = assemble_child(&pre, b, cell->m, "preprocessor", p, (size_t)p);
    if (rc == SN_OK) pre.m->path = build_path(b, pre.m->path, "mods");
    if (rc == SN_OK && !pre.m->path) rc = fail_no_memory(b->err, where);
    for (int j = 0; rc == SN_OK && j < p; j++) {
        const json_t     *spec = json_array_get(list, (size_t)j);
        const char       *at = arena_printf(b->mem, "%s[%d]", where, j);
        const struct wire in = {WIRE_INPUT, j};

        if (at && json_object_get(spec, "name"))
            return build_fail(b, SN_E_INVALID, at,
                              "a preprocessor has no name of its own: its tensors are those of "
                              "\"%s.%d\"",
                              pre.m->path, j);
        rc = assemble_read(&pre, arena_printf(b->mem, "%d", j), at, spec, &in, 1, &out[j]);
    }
    if (rc == SN_OK) rc = assemble_end(&pre, out, p);
    if (rc == SN_OK) rc = assemble_add(cell, pre.m, state, NULL);
    for (int j = 0; rc == SN_OK && j < p; j++)
        state[j] = (struct wire){(int)cell->m->n_children - 1, j};
    return rc;
}

static sn_status read_postprocessor(struct cell_spec *c, const json_t *spec, bool *ret_pair)
{
    const json_t *post = json_object_get(spec, "postprocessor");
    char          place[256];

    *ret_pair = json_is_string(post);
    if (!*ret_pair || strcmp(json_string_value(post), "prev_last_and_this") == 0) return SN_OK;
    return build_fail(c->b, SN_E_UNKNOWN_NAME,
                      json_place(c->where, "postprocessor", place, sizeof place),
                      "there is no postprocessor \"%.100s\"; there is \"prev_last_and_this\"",
                      json_string_value(post));
}

/* "prev_last_and_this": the last predecessor, as it came, and the result. The original adds
 * its nodes to the list of predecessors where nothing preprocesses them, so that the last
 * one is the last node. */
static sn_status build_parts(struct cell_spec *c, struct assembly *cell, const json_t *spec)
{
    const json_t *pre = json_object_get(spec, "preprocessor");
    const int     p = (int)c->n_predecessors;
    struct wire   state[SN_MAX_PORTS], node[SN_MAX_PORTS], out[2] = {{WIRE_INPUT, p - 1}};
    int           n;
    bool          pair;
    sn_status     rc = read_postprocessor(c, spec, &pair);

    for (int j = 0; j < p; j++)
        state[j] = (struct wire){WIRE_INPUT, j};
    if (rc == SN_OK && json_is_array(pre)) rc = build_preprocessor(c, cell, pre, state);
    if (rc == SN_OK) rc = build_ops(c, cell, state, node, &n);
    if (rc != SN_OK) return rc;
    if (c->b->net->nni && !json_is_array(pre)) out[0] = node[n - 1];
    rc = assemble_join(cell, "concat", "Concat", "dim", c->concat_dim, node, n, &out[1]);
    return rc == SN_OK ? assemble_end(cell, pair ? out : out + 1, pair ? 2 : 1) : rc;
}

static sn_status build(struct builder *b, struct module *m, const json_t *spec, bool node)
{
    struct cell_spec c = {.b = b,
                          .where = m->where,
                          .path = m->path,
                          .n_picks = 1,
                          .n_predecessors = 1,
                          .concat_dim = 1};
    struct assembly  cell;
    sn_status        rc = read_cell(&c, m, spec);

    (void)node;
    if (rc != SN_OK) return rc;
    if (m->n_in != c.n_predecessors)
        return build_fail_inputs(b, m, (int)c.n_predecessors, (int)c.n_predecessors);
    rc = assemble_init(&cell, b, m, 3);
    if (rc == SN_OK) rc = declare_all(&c);
    return rc == SN_OK ? build_parts(&c, &cell, spec) : rc;
}

const struct structure structure_cell = {
    .kind = STRUCT_GRAPH,
    .member = members,
    .build = build,
};
