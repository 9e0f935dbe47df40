/* walk: a subnet as a stand-alone specification with its weights.
 *
 * One walk over the live modules makes both. Structures dissolve: a LayerChoice
 * becomes the candidate that was chosen (under the name of the choice), a Repeat a
 * Sequential of the blocks that run, an InputChoice the sum, mean or join of what it
 * picked. Names shrink accordingly: the candidate's name and "blocks." disappear, as
 * in the sub_state_dict of NNI 2.9. What nothing reads is left out, so that the export of an
 * export is the same document. */
#include <stdlib.h>
#include <string.h>

#include "export/export.h"
#include "live/operand.h"

const char *export_join(struct export *x, const char *path, const char *name)
{
    return *path ? arena_printf(x->mem, "%s.%s", path, name) : arena_strdup(x->mem, name);
}

/* A name made for the export; NULL when memory was out. */
static void write_name(struct export *x, const char *name)
{
    if (name)
        text_json_string(&x->spec, name);
    else
        x->spec.failed = true;
}

void export_open(struct export *x, const char *name, const char *type)
{
    text_printf(&x->spec, "{");
    if (name) {
        text_printf(&x->spec, "\"name\": ");
        text_json_string(&x->spec, name);
        text_printf(&x->spec, ", ");
    }
    text_printf(&x->spec, "\"type\": \"%s\"", type);
    x->opened = x->node;
    x->node = NULL;
}

static sn_status add_tensor(struct export *x, const char *name, const sn_tensor *t, sn_error *err)
{
    if (x->n_tensors == x->cap) {
        const size_t cap = x->cap ? 2 * x->cap : 64;
        const char **names = arena_array(x->mem, cap, sizeof *names);
        sn_tensor   *tensors = arena_array(x->mem, cap, sizeof *tensors);

        if (!names || !tensors) return fail_no_memory(err, "export");
        if (x->n_tensors) {
            memcpy(names, x->name, x->n_tensors * sizeof *names);
            memcpy(tensors, x->tensor, x->n_tensors * sizeof *tensors);
        }
        x->name = names;
        x->tensor = tensors;
        x->cap = cap;
    }
    x->name[x->n_tensors] = name;
    x->tensor[x->n_tensors++] = *t;
    return name ? SN_OK : fail_no_memory(err, "export");
}

/* The call of an operator with its arguments and the data of its live parameters. */
static sn_status read_operands(struct export *x, const struct module *m, sn_call *ret_call,
                               sn_error *err)
{
    sn_arg    *arg = arena_array(x->mem, m->n_args + 1, sizeof *arg);
    sn_tensor *live = arena_array(x->mem, m->n_params + 1, sizeof *live);
    sn_call    call = {.size = sizeof call,
                       .where = m->where,
                       .nni = x->subnet->net->nni,
                       .arg = arg,
                       .param = m->param};
    sn_status  rc;

    if (!arg || !live) return fail_no_memory(err, m->where);
    rc = operand_args(x->subnet->net, x->subnet->decision, m, x->mem, arg, err);
    for (size_t k = 0; !rc && k < m->n_params; k++) {
        struct live_param part;

        rc = operand_param(m, &call, k, &part, err);
        if (rc) break;
        live[k] = part.tensor;
        if (!part.in_pieces) continue;
        live[k].data =
            operand_gather(&m->param[k], &part.cut, sn_shape_count(&live[k].shape), x->mem);
        if (!live[k].data) return fail_no_memory(err, m->where);
    }
    call.param = live;
    *ret_call = call;
    return rc;
}

static sn_status export_op(struct export *x, const struct module *m, const char *name,
                           const char *path, sn_error *err)
{
    sn_value *value = arena_array(x->mem, m->n_args + 1, sizeof *value);
    sn_call   call;
    sn_status rc;

    if (!value) return fail_no_memory(err, m->where);
    rc = read_operands(x, m, &call, err);
    if (rc) return rc;
    for (size_t a = 0; a < m->n_args; a++)
        value[a] = call.arg[a].value;
    if (m->op->export_args)
        rc = fail_foreign(err, m->op->export_args(&call, value, x->mem, err), m->where, m->type);
    if (rc) return rc;
    export_open(x, name, m->type);
    for (size_t a = 0; a < m->n_args; a++) {
        const bool as_before = sn_value_same(&value[a], &call.arg[a].value);

        if (m->op->args[a].flags & SN_ARG_DERIVED) continue;
        if (m->arg[a].position < 0 && as_before) continue; /* the default says it */
        text_printf(&x->spec, ", \"%s\": ", m->arg[a].name);
        text_json_value(&x->spec, &value[a]);
    }
    for (size_t k = 0; !rc && k < m->n_params; k++)
        if (call.param[k].dtype != SN_NONE)
            rc = add_tensor(x, export_join(x, path, m->op->params[k].name), &call.param[k], err);
    return rc; /* left open: a Graph adds the inputs */
}

static void write_wire(struct export *x, const struct module *graph, struct wire w);

/* "x.0", "x.1", ...: inputs of a Graph that the export itself makes. No node can be
 * called so, because of the dot. */
static void write_port(struct export *x, int i)
{
    text_printf(&x->spec, "\"x.%d\"", i);
}

/* Output `out` of the node `name`: "name.1", or "name.01" and so on where an input is called
 * that. What an input is called comes first when a reference is read. */
static void write_output(struct export *x, const char *name, int out, const char *const *input,
                         int n_in)
{
    for (int zeros = 0; out > 0 && zeros <= 3; zeros++) {
        const char *ref = arena_printf(x->mem, "%s.%.*s%d", name, zeros, "000", out);
        bool        taken = false;

        for (int i = 0; ref && i < n_in; i++)
            taken = taken || strcmp(input[i], ref) == 0;
        if (taken) continue;
        write_name(x, ref);
        return;
    }
    write_name(x, name);
}

/* In the place of a layer that nothing reads: as many outputs, all its first input. */
static sn_status export_unread(struct export *x, const struct module *m, sn_error *err)
{
    if (m->n_in == 0)
        return sn_fail(err, SN_E_UNSUPPORTED, m->where,
                       "a layer without inputs that nothing reads cannot be exported");
    export_open(x, m->name, "Graph");
    export_inputs(x, NULL, m->n_in);
    text_printf(&x->spec, ", \"nodes\": [], \"outputs\": [");
    for (int i = 0; i < m->n_out; i++) {
        if (i) text_printf(&x->spec, ", ");
        write_port(x, 0);
    }
    text_printf(&x->spec, "]");
    return SN_OK;
}

/* The first `n` children one after the other. None: what comes in goes out, absent inputs as well,
 * which an Identity would refuse. */
static sn_status export_chain(struct export *x, const struct module *m, size_t n, const char *name,
                              const char *path, sn_error *err)
{
    export_open(x, name, "Sequential");
    text_printf(&x->spec, ", \"layers\": [");
    for (size_t i = 0; i < n; i++) {
        const struct module *c = m->child[i];
        const sn_status      rc = x->live[c->index] || x->unread
                                      ? export_module(x, c, c->name, export_join(x, path, c->name), err)
                                      : export_unread(x, c, err);

        if (rc) return rc;
        text_printf(&x->spec, i + 1 < n ? "}, " : "}");
    }
    text_printf(&x->spec, "]");
    return SN_OK;
}

void export_ports(struct export *x, int n)
{
    text_printf(&x->spec, "[");
    for (int i = 0; i < n; i++) {
        if (i) text_printf(&x->spec, ", ");
        write_port(x, i);
    }
    text_printf(&x->spec, "]");
}

void export_inputs(struct export *x, const char *const *name, int n)
{
    struct node_inputs *node = x->opened;

    text_printf(&x->spec, node ? ", \"inputs\": {" : ", \"inputs\": [");
    for (int i = 0; i < n; i++) {
        if (i) text_printf(&x->spec, ", ");
        if (name)
            text_json_string(&x->spec, name[i]);
        else
            write_port(x, i);
        if (!node) continue;
        text_printf(&x->spec, ": ");
        if (node->graph)
            write_wire(x, node->graph, node->wire[i]);
        else if (node->from)
            text_json_string(&x->spec, node->from);
        else
            write_port(x, i);
    }
    text_printf(&x->spec, node ? "}" : "]");
    if (node) node->written = true;
}

static void write_wire(struct export *x, const struct module *graph, struct wire w)
{
    const struct module *from;

    if (w.from == WIRE_INPUT) {
        text_json_string(&x->spec, graph->input_name[w.out]);
        return;
    }
    from = w.from == WIRE_ABSENT ? NULL : graph->child[w.from];
    if (!from || !x->live[from->index]) {
        text_printf(&x->spec, "null");
    } else {
        write_output(x, from->name, w.out, graph->input_name, graph->n_in);
    }
}

static void write_wires(struct export *x, const struct module *graph, const struct wire *w, int n)
{
    text_printf(&x->spec, "[");
    for (int i = 0; i < n; i++) {
        if (i) text_printf(&x->spec, ", ");
        write_wire(x, graph, w[i]);
    }
    text_printf(&x->spec, "]");
}

/* An output that nobody reads may have a dead node behind it: the first input stands in, or else
 * the first node. */
static void write_outputs(struct export *x, const struct module *m)
{
    struct wire instead = {WIRE_INPUT, 0};

    for (size_t i = m->n_children; m->n_in == 0 && i-- > 0;)
        if (x->live[m->child[i]->index]) instead.from = (int)i;
    text_printf(&x->spec, "[");
    for (int i = 0; i < m->n_out; i++) {
        const struct wire w = m->output[i];
        const bool        dead = w.from >= 0 && !x->live[m->child[w.from]->index];

        if (i) text_printf(&x->spec, ", ");
        write_wire(x, m, dead ? instead : w);
    }
    text_printf(&x->spec, "]");
}

static sn_status export_graph(struct export *x, const struct module *m, const char *name,
                              const char *path, sn_error *err)
{
    bool first = true;

    export_open(x, name, "Graph");
    export_inputs(x, m->input_name, m->n_in);
    text_printf(&x->spec, ", \"nodes\": [");
    for (size_t i = 0; i < m->n_children; i++) {
        const struct module *c = m->child[i];
        struct node_inputs   node = {.graph = m, .wire = m->wire[i]};
        sn_status            rc;

        if (!x->live[c->index]) continue;
        if (!first) text_printf(&x->spec, ", ");
        first = false;
        x->node = &node;
        rc = export_module(x, c, c->name, export_join(x, path, c->name), err);
        if (rc) return rc;
        if (!node.written) {
            text_printf(&x->spec, ", \"inputs\": ");
            write_wires(x, m, m->wire[i], c->n_in);
        }
        text_printf(&x->spec, "}");
    }
    text_printf(&x->spec, "], \"outputs\": ");
    write_outputs(x, m);
    return SN_OK;
}

/* "+": what no candidate is called. */
static const char *free_name(struct export *x, const struct module *m)
{
    const char *name = "+";

    for (size_t i = 0; name && i < m->n_children; i++)
        if (strncmp(m->child[i]->name, name, strlen(name)) == 0) {
            name = arena_printf(x->mem, "+%s", name);
            i = (size_t)-1; /* from the start */
        }
    return name;
}

/* Output `o` of a LayerChoice of several candidates is read. */
static bool is_read(const struct export *x, const struct module *m, int o)
{
    return x->sums[m->index] >> o & 1;
}

/* Several candidates: a Graph that runs each and adds them up, output by output, as far as they
 * are read. A candidate that was picked twice runs once and counts twice. */
static sn_status export_sum(struct export *x, const struct module *m, const struct decision *d,
                            const char *name, const char *path, sn_error *err)
{
    const char *sum = free_name(x, m), *port[SN_MAX_PORTS];
    bool       *done = arena_array(x->mem, m->n_children, sizeof *done);

    if (!sum || !done) return fail_no_memory(err, m->where);
    for (int i = 0; i < m->n_in; i++) {
        port[i] = arena_printf(x->mem, "x.%d", i);
        if (!port[i]) return fail_no_memory(err, m->where);
    }
    export_open(x, name, "Graph");
    export_inputs(x, NULL, m->n_in);
    text_printf(&x->spec, ", \"nodes\": [");
    for (size_t i = 0; i < d->n_pick; i++) {
        const struct module *c = m->child[d->pick[i]];
        struct node_inputs   node = {.graph = NULL};
        sn_status            rc;

        if (done[d->pick[i]]) continue;
        done[d->pick[i]] = true;
        if (i) text_printf(&x->spec, ", ");
        x->node = &node;
        rc = export_module(x, c, c->name, export_join(x, path, c->name), err);
        if (rc) return rc;
        if (!node.written) {
            text_printf(&x->spec, ", \"inputs\": ");
            export_ports(x, m->n_in);
        }
        text_printf(&x->spec, "}");
    }
    for (int o = 0; o < m->n_out; o++) {
        if (!is_read(x, m, o)) continue;
        text_printf(&x->spec, ", {\"name\": ");
        write_name(x, arena_printf(x->mem, "%s%d", sum, o));
        text_printf(&x->spec, ", \"type\": \"Add\", \"inputs\": [");
        for (size_t i = 0; i < d->n_pick; i++) {
            if (i) text_printf(&x->spec, ", ");
            write_output(x, m->child[d->pick[i]]->name, o, port, m->n_in);
        }
        text_printf(&x->spec, "]}");
    }
    text_printf(&x->spec, "], \"outputs\": [");
    for (int o = 0; o < m->n_out; o++) {
        if (o) text_printf(&x->spec, ", ");
        if (is_read(x, m, o))
            write_name(x, arena_printf(x->mem, "%s%d", sum, o));
        else
            write_output(x, m->child[d->pick[0]]->name, 0, port, m->n_in);
    }
    text_printf(&x->spec, "]");
    return SN_OK;
}

static void export_input_choice(struct export *x, const struct module *m, const char *name)
{
    static const char *const types[] = {
        [REDUCE_SUM] = "Add", [REDUCE_MEAN] = "Average", [REDUCE_CONCAT] = "Concat"};
    const struct decision *d = &x->subnet->decision[m->choice];

    export_open(x, name, "Graph");
    export_inputs(x, NULL, m->n_in);
    text_printf(&x->spec, ", \"nodes\": [");
    if (d->n_pick > 1) {
        text_printf(&x->spec, "{\"name\": \"pick\", \"type\": \"%s\", \"inputs\": [",
                    types[m->reduction]);
        for (size_t i = 0; i < d->n_pick; i++) {
            if (i) text_printf(&x->spec, ", ");
            write_port(x, (int)d->pick[i]);
        }
        text_printf(&x->spec, "]}");
    }
    text_printf(&x->spec, "], \"outputs\": [");
    if (d->n_pick > 1)
        text_printf(&x->spec, "\"pick\"");
    else
        write_port(x, (int)d->pick[0]); /* as it comes, even if it is absent */
    text_printf(&x->spec, "]");
}

static sn_status export_repeat(struct export *x, const struct module *m, const char *name,
                               const char *path, sn_error *err)
{
    sn_value  depth;
    double    n;
    sn_status rc =
        decision_evaluate(x->subnet->net, x->subnet->decision, &m->depth, x->mem, &depth, err);

    if (rc) return rc;
    n = depth.kind == SN_KIND_FLOAT ? depth.as.real : (double)depth.as.integer;
    if (depth.kind == SN_KIND_BOOL) n = depth.as.boolean;
    return export_chain(x, m, n > 0 ? (size_t)n : 0, name, path, err);
}

sn_status export_module(struct export *x, const struct module *m, const char *name,
                        const char *path, sn_error *err)
{
    const struct decision *d = &x->subnet->decision[m->choice];

    switch (m->kind) {
    case STRUCT_NONE:
        return export_op(x, m, name, path, err);
    case STRUCT_SEQUENTIAL:
        return export_chain(x, m, m->n_children, name, path, err);
    case STRUCT_GRAPH:
        return export_graph(x, m, name, path, err);
    case STRUCT_REPEAT:
        return export_repeat(x, m, name, path, err);
    case STRUCT_INPUT_CHOICE:
        export_input_choice(x, m, name);
        return SN_OK;
    case STRUCT_LAYER_CHOICE:
        return d->n_pick == 1 ? export_module(x, m->child[d->pick[0]], name, path, err)
                              : export_sum(x, m, d, name, path, err);
    case STRUCT_CELL:
        return export_cell(x, m, name, path, err);
    case STRUCT_LOOSE_ENDS:
        return export_loose_ends(x, m, name, path, err);
    case STRUCT_NASBENCH101:
        return export_nasbench101(x, m, name, path, err);
    }
    return sn_fail(err, SN_E_UNSUPPORTED, m->where, "a %s cannot be exported", m->type);
}

static sn_status find_live(struct export *x, sn_error *err)
{
    const sn_supernet *net = x->subnet->net;
    struct network     w;
    int               *n_sums;
    sn_status          rc = network_expand(net, x->subnet->decision, x->mem, &w, err);

    x->live = arena_array(x->mem, net->n_modules + 1, sizeof *x->live);
    x->sums = arena_array(x->mem, net->n_modules + 1, sizeof *x->sums);
    n_sums = arena_array(x->mem, net->n_modules + 1, sizeof *n_sums);
    if (!rc && (!x->live || !x->sums || !n_sums)) rc = fail_no_memory(err, "export");
    for (size_t i = 0; !rc && i < w.n_nodes; i++) {
        const struct module *m = w.node[i].module;

        for (int k = w.node[i].live ? m->index : -1; k >= 0 && !x->live[k];
             k = net->module[k]->parent)
            x->live[k] = true;
        if (w.node[i].kind != NODE_SUM || m->kind != STRUCT_LAYER_CHOICE) continue;
        /* A sum for each output, in their order; a module that runs twice has them twice. */
        x->sums[m->index] |= (uint64_t)w.node[i].live << n_sums[m->index];
        n_sums[m->index] = (n_sums[m->index] + 1) % m->n_out;
    }
    return rc;
}

/* An operator at the root that names its inputs would take them by name. One that was chosen
 * took them by position, and goes on doing so in a Sequential. */
static bool needs_shell(const struct export *x)
{
    const sn_supernet   *net = x->subnet->net;
    const struct module *m = net->root;

    while (m->kind == STRUCT_LAYER_CHOICE && x->subnet->decision[m->choice].n_pick == 1)
        m = m->child[x->subnet->decision[m->choice].pick[0]];
    if (m == net->root || m->kind != STRUCT_NONE || !m->op->in_names) return false;
    for (size_t i = 0; i < net->n_inputs; i++)
        for (int j = 0; j < m->op->max_in; j++)
            if (strcmp(net->input[i].name, m->op->in_names[j]) == 0) return true;
    return false;
}

static sn_status export_root(struct export *x, sn_error *err)
{
    const struct module *root = x->subnet->net->root;
    sn_status            rc;

    if (!needs_shell(x)) return export_module(x, root, NULL, "", err);
    export_open(x, NULL, "Sequential");
    text_printf(&x->spec, ", \"layers\": [");
    rc = export_module(x, root, "0", "0", err);
    text_printf(&x->spec, "}]");
    return rc;
}

static void write_header(struct export *x)
{
    const sn_supernet *net = x->subnet->net;

    text_printf(&x->spec, "{\"format\": \"supernet/1\", \"name\": ");
    text_json_string(&x->spec, net->name);
    if (net->winograd) text_printf(&x->spec, ", \"winograd\": true");
    text_printf(&x->spec, ",\n \"inputs\": [");
    for (size_t i = 0; i < net->n_inputs; i++) {
        const sn_port *p = &net->input[i];

        text_printf(&x->spec, "%s{\"name\": ", i ? ", " : "");
        text_json_string(&x->spec, p->name);
        text_printf(&x->spec, ", \"dtype\": \"%s\", \"shape\": [", sn_dtype_name(p->desc.dtype));
        for (int d = 0; d < p->desc.shape.rank; d++) {
            if (d) text_printf(&x->spec, ", ");
            if (p->symbol[d])
                text_json_string(&x->spec, p->symbol[d]);
            else
                text_printf(&x->spec, "%lld", (long long)p->desc.shape.dim[d]);
        }
        text_printf(&x->spec, p->optional ? "], \"optional\": true}" : "]}");
    }
    text_printf(&x->spec, "],\n \"outputs\": [");
    for (size_t i = 0; i < net->n_outputs; i++) {
        if (i) text_printf(&x->spec, ", ");
        text_json_string(&x->spec, net->output[i].name);
    }
    text_printf(&x->spec, "],\n \"model\": ");
}

sn_status export_all(const sn_subnet *subnet, struct export *x, sn_error *err)
{
    sn_status rc;

    if (subnet->soft)
        return sn_fail(err, SN_E_UNSUPPORTED, "subnet",
                       "a subnet with distributions cannot stand alone; decide them first");
    if (subnet->net->bare)
        return sn_fail(err, SN_E_INVALID, "weights", "the supernet was loaded without weights");
    x->mem = sn_arena_create();
    if (!x->mem) return fail_no_memory(err, "export");
    x->subnet = subnet;
    rc = find_live(x, err);
    if (rc) return rc;
    write_header(x);
    rc = export_root(x, err);
    text_printf(&x->spec, "}}\n");
    return rc;
}

void export_fini(struct export *x)
{
    free(x->spec.at);
    sn_arena_free(x->mem);
}

SN_EXPORT sn_status sn_subnet_write_spec(const sn_subnet *subnet, const sn_sink *sink,
                                         sn_error *err)
{
    struct export x = {0};
    sn_status rc = export_all(subnet, &x, err);

    if (!rc) rc = text_flush(&x.spec, sink, err);
    export_fini(&x);
    return rc;
}
