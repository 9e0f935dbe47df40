/* cell: a node of a Cell whose operators are on edges, as a Graph: an inner Graph "<j>" for
 * each input that is read, in it the operators that run, and behind them the sum.
 *
 * The original exports such a Cell whole; so does the compatibility mode, where operators
 * that nothing reads are nodes without consequence. */
#include "export/export.h"

/* Operator o of edge j is one of the node's pairs. */
static bool is_picked(const struct export *x, const struct module *m, size_t j, size_t o)
{
    for (size_t k = 0; k < m->cell.n_picks; k++)
        if (x->subnet->decision[m->cell.input[k]].pick[0] == j &&
            x->subnet->decision[m->cell.op[k]].pick[0] == o)
            return true;
    return false;
}

/* What nothing runs can be written if it is an operator, or a chain of them, whose
 * arguments are all decided. */
static bool is_plain(const struct export *x, const struct module *m)
{
    for (size_t i = 0; m->kind == STRUCT_SEQUENTIAL && i < m->n_children; i++)
        if (!is_plain(x, m->child[i])) return false;
    for (size_t a = 0; a < m->n_args; a++)
        if (decision_open(x->subnet->net, x->subnet->decision, &m->arg[a])) return false;
    return m->kind == STRUCT_SEQUENTIAL || m->kind == STRUCT_NONE;
}

static bool is_written(const struct export *x, const struct module *m, size_t j, size_t o)
{
    return is_picked(x, m, j, o) ||
           (x->subnet->net->nni && is_plain(x, m->child[j * m->cell.n_ops + o]));
}

/* How many operators of edge j are written, or with `o` those before it: its output. */
static size_t count_written(const struct export *x, const struct module *m, size_t j, size_t o)
{
    size_t n = 0;

    for (size_t i = 0; i < o; i++)
        n += is_written(x, m, j, i);
    return n;
}

/* The operators of edge j, all on its one input; each has an output. */
static sn_status write_edge(struct export *x, const struct module *m, size_t j, const char *path,
                            sn_error *err)
{
    const char *name = arena_printf(x->mem, "%zu", j);
    const char *edge = name ? export_join(x, path, name) : NULL;
    const bool  unread = x->unread;
    bool        first = true;

    if (!edge) return fail_no_memory(err, m->where);
    export_open(x, name, "Graph");
    /* An edge from a state that comes later never runs: any other will do. */
    text_printf(&x->spec, ", \"inputs\": {\"x.0\": \"x.%zu\"}", j < (size_t)m->n_in ? j : 0);
    text_printf(&x->spec, ", \"nodes\": [");
    for (size_t o = 0; o < m->cell.n_ops; o++) {
        const struct module *c = m->child[j * m->cell.n_ops + o];
        struct node_inputs   node = {.graph = NULL};
        sn_status            rc;

        if (!is_written(x, m, j, o)) continue;
        text_add(&x->spec, ", ", first ? 0 : 2);
        first = false;
        x->node = &node;
        x->unread = unread || !is_picked(x, m, j, o);
        rc = export_module(x, c, c->name, export_join(x, edge, c->name), err);
        x->unread = unread;
        if (rc) return rc;
        text_printf(&x->spec, node.written ? "}" : ", \"inputs\": [\"x.0\"]}");
    }
    first = true;
    text_printf(&x->spec, "], \"outputs\": [");
    for (size_t o = 0; o < m->cell.n_ops; o++) {
        if (!is_written(x, m, j, o)) continue;
        text_add(&x->spec, ", ", first ? 0 : 2);
        first = false;
        text_json_string(&x->spec, m->child[j * m->cell.n_ops + o]->name);
    }
    text_printf(&x->spec, "]");
    return SN_OK;
}

static void write_pick(struct export *x, const struct module *m, size_t k)
{
    const uint32_t j = x->subnet->decision[m->cell.input[k]].pick[0];
    const uint32_t o = x->subnet->decision[m->cell.op[k]].pick[0];
    const size_t   n = count_written(x, m, j, o);

    if (n == 0)
        text_printf(&x->spec, "\"%u\"", (unsigned)j);
    else
        text_printf(&x->spec, "\"%u.%zu\"", (unsigned)j, n);
}

sn_status export_cell(struct export *x, const struct module *m, const char *name, const char *path,
                      sn_error *err)
{
    bool first = true;

    export_open(x, name, "Graph");
    export_inputs(x, NULL, m->n_in);
    text_printf(&x->spec, ", \"nodes\": [");
    for (size_t j = 0; j < m->cell.n_edges; j++) {
        sn_status rc;

        if (count_written(x, m, j, m->cell.n_ops) == 0) continue;
        text_add(&x->spec, ", ", first ? 0 : 2);
        first = false;
        rc = write_edge(x, m, j, path, err);
        if (rc) return rc;
        text_printf(&x->spec, "}");
    }
    if (m->cell.n_picks > 1) {
        text_printf(&x->spec, ", {\"name\": \"sum\", \"type\": \"Add\", \"inputs\": [");
        for (size_t k = 0; k < m->cell.n_picks; k++) {
            text_add(&x->spec, ", ", k ? 2 : 0);
            write_pick(x, m, k);
        }
        text_printf(&x->spec, "]}");
    }
    text_printf(&x->spec, "], \"outputs\": [");
    if (m->cell.n_picks > 1)
        text_printf(&x->spec, "\"sum\"");
    else
        write_pick(x, m, 0);
    text_printf(&x->spec, "]");
    return SN_OK;
}

sn_status export_loose_ends(struct export *x, const struct module *m, const char *name,
                            const char *path, sn_error *err)
{
    const struct network w = {.net = x->subnet->net, .decision = x->subnet->decision};
    int                  end[SN_MAX_PORTS];
    const int            n = network_loose_ends(&w, m, end);
    const struct module *join = m->child[0];
    sn_status            rc = SN_OK;

    export_open(x, name, "Graph");
    export_inputs(x, NULL, m->n_in);
    text_printf(&x->spec, ", \"nodes\": [");
    if (n > 1) {
        rc = export_module(x, join, join->name, export_join(x, path, join->name), err);
        text_printf(&x->spec, ", \"inputs\": [");
        for (int i = 0; i < n; i++)
            text_printf(&x->spec, "%s\"x.%d\"", i ? ", " : "", end[i]);
        text_printf(&x->spec, "]}");
    }
    if (n > 1)
        text_printf(&x->spec, "], \"outputs\": [\"%s\"]", join->name);
    else
        text_printf(&x->spec, "], \"outputs\": [\"x.%d\"]", end[0]);
    return rc;
}
