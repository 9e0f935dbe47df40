/* walk: a subnet as a list of nodes that stand alone.
 *
 * One walk over the live modules. Structures dissolve: a LayerChoice
 * becomes the candidate that was chosen (under the name of the choice), a Repeat a
 * Sequential of the blocks that run, an InputChoice the sum, mean or join of what it
 * picked. Names shrink accordingly: the candidate's name and "blocks." disappear, as
 * in the sub_state_dict of NNI 2.9. What nothing reads is left out, so that the export of an
 * export is the same document. */
#include "export/walk.h"

#include <string.h>

#include "live/operand.h"

const char *walk_join(struct walk *w, const char *path, const char *name)
{
    return *path ? arena_printf(w->mem, "%s.%s", path, name) : arena_strdup(w->mem, name);
}

/* ---- operators ------------------------------------------------------------------------- */

/* The call of an operator with its arguments and its live parameters; `pieces` [n_params] says
 * what those without data are made of. */
static sn_status read_operands(struct walk *w, const struct module *m, sn_call *ret_call,
                               const struct export_pieces **pieces, sn_error *err)
{
    sn_arg    *arg = arena_array(w->mem, m->n_args + 1, sizeof *arg);
    sn_tensor *live = arena_array(w->mem, m->n_params + 1, sizeof *live);
    sn_call    call = {.size = sizeof call,
                       .where = m->where,
                       .nni = w->subnet->net->nni,
                       .arg = arg,
                       .param = m->param};
    sn_status  rc;

    if (!arg || !live) return fail_no_memory(err, m->where);
    rc = operand_args(w->subnet->decision, m, w->mem, arg, err);
    for (size_t k = 0; !rc && k < m->n_params; k++) {
        struct live_param     part;
        struct export_pieces *of;

        rc = operand_param(m, &call, k, &part, err);
        if (rc) break;
        live[k] = part.tensor;
        pieces[k] = NULL;
        if (!part.in_pieces) continue;
        pieces[k] = of = ARENA_NEW(w->mem, struct export_pieces);
        if (!of) return fail_no_memory(err, m->where);
        *of = (struct export_pieces){&m->param[k], part.cut};
    }
    call.param = live;
    *ret_call = call;
    return rc;
}

/* The arguments as they are for the live parameters alone. */
static sn_status plain_args(struct walk *w, const struct module *m, const sn_call *call,
                            struct export_arg *arg, sn_error *err)
{
    sn_value  value[SN_MAX_ARGS];
    sn_status rc = SN_OK;

    for (size_t a = 0; a < m->n_args; a++)
        value[a] = call->arg[a].value;
    if (m->op->export_args)
        rc = fail_foreign(err, m->op->export_args(call, value, w->mem, err), m->where, m->type);
    for (size_t a = 0; !rc && a < m->n_args; a++) {
        const bool is_default =
            m->arg[a].position < 0 && sn_value_same(&value[a], &call->arg[a].value);

        arg[a] = (struct export_arg){m->arg[a].name, value[a],
                                     !is_default && !(m->op->args[a].flags & SN_ARG_DERIVED)};
    }
    return rc;
}

static sn_status walk_op(struct walk *w, const struct module *m, const char *name, const char *path,
                         int *ret_node, sn_error *err)
{
    struct export_arg          *arg = arena_array(w->mem, m->n_args + 1, sizeof *arg);
    const struct export_pieces *pieces[SN_MAX_PARAMS];
    struct export_node         *node;
    sn_call                     call;
    sn_status                   rc;

    if (!arg) return fail_no_memory(err, m->where);
    rc = read_operands(w, m, &call, pieces, err);
    if (!rc) rc = plain_args(w, m, &call, arg, err);
    if (!rc) rc = walk_open(w, EXPORT_OPERATOR, name, m->type, ret_node, err);
    if (rc) return rc;
    node = &w->list->node[*ret_node];
    node->module = m;
    node->n_args = m->n_args;
    node->arg = arg;
    node->first_tensor = w->list->n_tensors;
    for (size_t k = 0; !rc && k < m->n_params; k++)
        if (call.param[k].dtype != SN_NONE)
            rc = walk_add_tensor(w, walk_join(w, path, m->op->params[k].name), &call.param[k],
                                 pieces[k], err);
    node->n_tensors = w->list->n_tensors - node->first_tensor;
    return rc;
}

/* ---- structures ------------------------------------------------------------------------ */

/* In the place of a layer that nothing reads: as many outputs, all its first input. */
static sn_status walk_unread(struct walk *w, const struct module *m, sn_error *err)
{
    struct export_value out[SN_MAX_PORTS];
    int                 node;
    sn_status           rc;

    if (m->n_in == 0)
        return sn_fail(err, SN_E_UNSUPPORTED, m->where,
                       "a layer without inputs that nothing reads cannot be exported");
    for (int i = 0; i < m->n_out; i++)
        out[i] = (struct export_value){EXPORT_INPUT, 0};
    rc = walk_open_graph(w, m->name, NULL, m->n_in, &node, err);
    return rc ? rc : walk_outputs(w, node, out, m->n_out, err);
}

/* The first `n` children one after the other. None: what comes in goes out, absent inputs as well,
 * which an Identity would refuse. */
static sn_status walk_chain(struct walk *w, const struct module *m, size_t n, const char *name,
                            const char *path, int *ret_node, sn_error *err)
{
    sn_status rc = walk_open(w, EXPORT_SEQUENTIAL, name, "Sequential", ret_node, err);

    for (size_t i = 0; !rc && i < n; i++) {
        const struct module *c = m->child[i];
        int                  node;

        rc = w->live[c->index] || w->unread
                 ? walk_module(w, c, c->name, walk_join(w, path, c->name), &node, err)
                 : walk_unread(w, c, err);
    }
    if (!rc) walk_close(w, *ret_node);
    return rc;
}

static struct export_value value_of(const struct walk *w, const struct module *graph,
                                    struct wire wire)
{
    const struct module *from = wire.from >= 0 ? graph->child[wire.from] : NULL;

    if (wire.from == WIRE_INPUT) return (struct export_value){EXPORT_INPUT, wire.out};
    if (!from || !w->live[from->index]) return (struct export_value){EXPORT_ABSENT, 0};
    return (struct export_value){w->node[from->index], wire.out};
}

/* An output that nobody reads may have a dead node behind it: the first input stands in, or else
 * the first node. */
static sn_status graph_outputs(struct walk *w, const struct module *m, int graph, sn_error *err)
{
    struct export_value out[SN_MAX_PORTS];
    struct wire         instead = {WIRE_INPUT, 0};

    for (size_t i = m->n_children; m->n_in == 0 && i-- > 0;)
        if (w->live[m->child[i]->index]) instead.from = (int)i;
    for (int i = 0; i < m->n_out; i++) {
        const struct wire wire = m->output[i];
        const bool        dead = wire.from >= 0 && !w->live[m->child[wire.from]->index];

        out[i] = value_of(w, m, dead ? instead : wire);
    }
    return walk_outputs(w, graph, out, m->n_out, err);
}

static sn_status walk_graph(struct walk *w, const struct module *m, const char *name,
                            const char *path, int *ret_node, sn_error *err)
{
    sn_status rc = walk_open_graph(w, name, m->input_name, m->n_in, ret_node, err);

    for (size_t i = 0; !rc && i < m->n_children; i++) {
        const struct module *c = m->child[i];
        struct export_value  in[SN_MAX_PORTS];
        int                  node;

        if (!w->live[c->index]) continue;
        rc = walk_module(w, c, c->name, walk_join(w, path, c->name), &node, err);
        for (int k = 0; !rc && k < c->n_in; k++)
            in[k] = value_of(w, m, m->wire[i][k]);
        if (!rc) rc = walk_inputs(w, node, in, c->n_in, err);
    }
    if (rc) return rc;
    walk_close(w, *ret_node);
    return graph_outputs(w, m, *ret_node, err);
}

/* "+": what no candidate is called. */
static const char *free_name(struct walk *w, const struct module *m)
{
    const char *name = "+";

    for (size_t i = 0; name && i < m->n_children; i++)
        if (strncmp(m->child[i]->name, name, strlen(name)) == 0) {
            name = arena_printf(w->mem, "+%s", name);
            i = (size_t)-1; /* from the start */
        }
    return name;
}

/* Output `o` of a LayerChoice of several candidates is read. */
static bool is_read(const struct walk *w, const struct module *m, int o)
{
    return w->sums[m->index] >> o & 1;
}

/* The sums of several candidates, output by output as far as they are read, and what comes out. */
static sn_status add_sums(struct walk *w, const struct module *m, const struct decision *d,
                          int graph, sn_error *err)
{
    const char          *sum = free_name(w, m);
    struct export_value *in = arena_array(w->mem, d->n_pick, sizeof *in), out[SN_MAX_PORTS];
    sn_status            rc = SN_OK;

    if (!sum || !in) return fail_no_memory(err, m->where);
    for (int o = 0; !rc && o < m->n_out; o++) {
        for (size_t i = 0; i < d->n_pick; i++)
            in[i] = (struct export_value){w->node[m->child[d->pick[i]]->index], o};
        out[o] = (struct export_value){in[0].node, 0};
        if (is_read(w, m, o))
            rc = walk_combine(w, arena_printf(w->mem, "%s%d", sum, o), "Add", in, (int)d->n_pick,
                              &out[o], err);
    }
    walk_close(w, graph);
    return rc ? rc : walk_outputs(w, graph, out, m->n_out, err);
}

/* Several candidates: a Graph that runs each and adds them up. A candidate that was picked twice
 * runs once and counts twice. */
static sn_status walk_sum(struct walk *w, const struct module *m, const struct decision *d,
                          const char *name, const char *path, int *ret_node, sn_error *err)
{
    struct export_value port[SN_MAX_PORTS];
    bool               *done = arena_array(w->mem, m->n_children, sizeof *done);
    sn_status           rc;

    if (!done) return fail_no_memory(err, m->where);
    for (int i = 0; i < m->n_in; i++)
        port[i] = (struct export_value){EXPORT_INPUT, i};
    rc = walk_open_graph(w, name, NULL, m->n_in, ret_node, err);
    for (size_t i = 0; !rc && i < d->n_pick; i++) {
        const struct module *c = m->child[d->pick[i]];
        int                  node;

        if (done[d->pick[i]]) continue;
        done[d->pick[i]] = true;
        rc = walk_module(w, c, c->name, walk_join(w, path, c->name), &node, err);
        if (!rc) rc = walk_inputs(w, node, port, m->n_in, err);
    }
    return rc ? rc : add_sums(w, m, d, *ret_node, err);
}

/* One that was picked: as it comes, even if it is absent. */
static sn_status walk_input_choice(struct walk *w, const struct module *m, const char *name,
                                   int *ret_node, sn_error *err)
{
    static const char *const types[] = {
        [REDUCE_SUM] = "Add", [REDUCE_MEAN] = "Average", [REDUCE_CONCAT] = "Concat"};
    const struct decision *d = &w->subnet->decision[m->choice];
    struct export_value   *in = arena_array(w->mem, d->n_pick + 1, sizeof *in);
    struct export_value    out;
    sn_status              rc;

    if (!in) return fail_no_memory(err, m->where);
    for (size_t i = 0; i < d->n_pick; i++)
        in[i] = (struct export_value){EXPORT_INPUT, (int)d->pick[i]};
    out = in[0];
    rc = walk_open_graph(w, name, NULL, m->n_in, ret_node, err);
    if (!rc && d->n_pick > 1)
        rc = walk_combine(w, "pick", types[m->reduction], in, (int)d->n_pick, &out, err);
    if (rc) return rc;
    walk_close(w, *ret_node);
    return walk_outputs(w, *ret_node, &out, 1, err);
}

static sn_status walk_repeat(struct walk *w, const struct module *m, const char *name,
                             const char *path, int *ret_node, sn_error *err)
{
    sn_value  depth;
    double    n;
    sn_status rc = decision_evaluate(w->subnet->decision, &m->depth, w->mem, &depth, err);

    if (rc) return rc;
    n = depth.kind == SN_KIND_FLOAT ? depth.as.real : (double)depth.as.integer;
    if (depth.kind == SN_KIND_BOOL) n = depth.as.boolean;
    return walk_chain(w, m, n > 0 ? (size_t)n : 0, name, path, ret_node, err);
}

static sn_status walk_kind(struct walk *w, const struct module *m, const char *name,
                           const char *path, int *ret_node, sn_error *err)
{
    const struct decision *d = &w->subnet->decision[m->choice];

    switch (m->kind) {
    case STRUCT_NONE:
        return walk_op(w, m, name, path, ret_node, err);
    case STRUCT_SEQUENTIAL:
        return walk_chain(w, m, m->n_children, name, path, ret_node, err);
    case STRUCT_GRAPH:
        return walk_graph(w, m, name, path, ret_node, err);
    case STRUCT_REPEAT:
        return walk_repeat(w, m, name, path, ret_node, err);
    case STRUCT_INPUT_CHOICE:
        return walk_input_choice(w, m, name, ret_node, err);
    case STRUCT_LAYER_CHOICE:
        return d->n_pick == 1 ? walk_module(w, m->child[d->pick[0]], name, path, ret_node, err)
                              : walk_sum(w, m, d, name, path, ret_node, err);
    case STRUCT_CELL:
        return walk_cell(w, m, name, path, ret_node, err);
    case STRUCT_LOOSE_ENDS:
        return walk_loose_ends(w, m, name, path, ret_node, err);
    case STRUCT_NASBENCH101:
        return walk_nasbench101(w, m, name, path, ret_node, err);
    }
    return sn_fail(err, SN_E_UNSUPPORTED, m->where, "a %s cannot be exported", m->type);
}

sn_status walk_module(struct walk *w, const struct module *m, const char *name, const char *path,
                      int *ret_node, sn_error *err)
{
    sn_status rc;

    if (!path) return fail_no_memory(err, m->where);
    rc = walk_kind(w, m, name, path, ret_node, err);
    if (!rc) w->node[m->index] = *ret_node;
    return rc;
}

/* ---- a subnet -------------------------------------------------------------------------- */

static sn_status find_live(struct walk *w, sn_error *err)
{
    const sn_supernet *net = w->subnet->net;
    struct network     all;
    int               *n_sums;
    sn_status          rc = network_expand(net, w->subnet->decision, w->mem, &all, err);

    w->live = arena_array(w->mem, net->n_modules + 1, sizeof *w->live);
    w->sums = arena_array(w->mem, net->n_modules + 1, sizeof *w->sums);
    n_sums = arena_array(w->mem, net->n_modules + 1, sizeof *n_sums);
    if (!rc && (!w->live || !w->sums || !n_sums)) rc = fail_no_memory(err, "export");
    for (size_t i = 0; !rc && i < all.n_nodes; i++) {
        const struct module *m = all.node[i].module;

        for (int k = all.node[i].live ? m->index : -1; k >= 0 && !w->live[k];
             k = net->module[k]->parent)
            w->live[k] = true;
        if (all.node[i].kind != NODE_SUM || m->kind != STRUCT_LAYER_CHOICE) continue;
        /* A sum for each output, in their order; a module that runs twice has them twice. */
        w->sums[m->index] |= (uint64_t)all.node[i].live << n_sums[m->index];
        n_sums[m->index] = (n_sums[m->index] + 1) % m->n_out;
    }
    return rc;
}

/* An operator at the root that names its inputs would take them by name. One that was chosen
 * took them by position, and goes on doing so in a Sequential. */
static bool needs_shell(const struct walk *w)
{
    const sn_supernet   *net = w->subnet->net;
    const struct module *m = net->root;

    while (m->kind == STRUCT_LAYER_CHOICE && w->subnet->decision[m->choice].n_pick == 1)
        m = m->child[w->subnet->decision[m->choice].pick[0]];
    if (m == net->root || m->kind != STRUCT_NONE || !m->op->in_names) return false;
    for (size_t i = 0; i < net->n_inputs; i++)
        for (int j = 0; j < m->op->max_in; j++)
            if (strcmp(net->input[i].name, m->op->in_names[j]) == 0) return true;
    return false;
}

static sn_status walk_root(struct walk *w, sn_error *err)
{
    const struct module *root = w->subnet->net->root;
    int                  shell, node;
    sn_status            rc;

    if (!needs_shell(w)) return walk_module(w, root, NULL, "", &node, err);
    rc = walk_open(w, EXPORT_SEQUENTIAL, NULL, "Sequential", &shell, err);
    if (!rc) rc = walk_module(w, root, "0", "0", &node, err);
    if (!rc) walk_close(w, shell);
    return rc;
}

static sn_status name_ports(struct walk *w, sn_error *err)
{
    w->port = arena_array(w->mem, SN_MAX_PORTS, sizeof *w->port);
    for (int i = 0; w->port && i < SN_MAX_PORTS; i++) {
        w->port[i] = arena_printf(w->mem, "x.%d", i);
        if (!w->port[i]) w->port = NULL;
    }
    return w->port ? SN_OK : fail_no_memory(err, "export");
}

sn_status export_list(const sn_subnet *subnet, struct export_list *list, sn_error *err)
{
    struct walk w = {.subnet = subnet, .list = list};
    sn_status   rc;

    *list = (struct export_list){.net = subnet->net};
    if (subnet->soft)
        return sn_fail(err, SN_E_UNSUPPORTED, "subnet",
                       "a subnet with distributions cannot stand alone; decide them first");
    if (subnet->net->bare)
        return sn_fail(err, SN_E_INVALID, "weights", "the supernet was loaded without weights");
    w.mem = list->mem = sn_arena_create();
    list->copies = arena_create_tight();
    if (!w.mem || !list->copies) return fail_no_memory(err, "export");
    w.node = arena_array(w.mem, subnet->net->n_modules + 1, sizeof *w.node);
    if (!w.node) return fail_no_memory(err, "export");
    rc = name_ports(&w, err);
    if (!rc) rc = find_live(&w, err);
    return rc ? rc : walk_root(&w, err);
}
