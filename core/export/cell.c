/* cell: a node of a Cell whose operators are on edges, as a Graph: an inner Graph "<j>" for
 * each input that is read, in it the operators that run, and behind them the sum.
 *
 * The original exports such a Cell whole; so does the compatibility mode, where operators
 * that nothing reads are nodes without consequence. */
#include "export/walk.h"

/* Operator o of edge j is one of the node's pairs. */
static bool is_picked(const struct walk *w, const struct module *m, size_t j, size_t o)
{
    for (size_t k = 0; k < m->cell.n_picks; k++)
        if (w->subnet->decision[m->cell.input[k]].pick[0] == j &&
            w->subnet->decision[m->cell.op[k]].pick[0] == o)
            return true;
    return false;
}

/* What nothing runs can be written if it is an operator, or a chain of them, whose
 * arguments are all decided. */
static bool is_plain(const struct walk *w, const struct module *m)
{
    for (size_t i = 0; m->kind == STRUCT_SEQUENTIAL && i < m->n_children; i++)
        if (!is_plain(w, m->child[i])) return false;
    for (size_t a = 0; a < m->n_args; a++)
        if (decision_open(w->subnet->net, w->subnet->decision, &m->arg[a])) return false;
    return m->kind == STRUCT_SEQUENTIAL || m->kind == STRUCT_NONE;
}

static bool is_written(const struct walk *w, const struct module *m, size_t j, size_t o)
{
    return is_picked(w, m, j, o) ||
           (w->subnet->net->nni && is_plain(w, m->child[j * m->cell.n_ops + o]));
}

/* How many operators of edge j are written, or with `o` those before it: its output. */
static size_t count_written(const struct walk *w, const struct module *m, size_t j, size_t o)
{
    size_t n = 0;

    for (size_t i = 0; i < o; i++)
        n += is_written(w, m, j, i);
    return n;
}

/* The operators of edge j, all on its one input; each has an output. */
static sn_status walk_edge(struct walk *w, const struct module *m, size_t j, const char *path,
                           int *ret_node, sn_error *err)
{
    /* An edge from a state that comes later never runs: any other will do. */
    const struct export_value from = {EXPORT_INPUT, j < (size_t)m->n_in ? (int)j : 0};
    const struct export_value input = {EXPORT_INPUT, 0};
    const char               *name = arena_printf(w->mem, "%zu", j);
    const char               *edge = name ? walk_join(w, path, name) : NULL;
    struct export_value      *out = arena_array(w->mem, m->cell.n_ops + 1, sizeof *out);
    const bool                unread = w->unread;
    int                       n = 0;
    sn_status                 rc;

    if (!edge || !out) return fail_no_memory(err, m->where);
    rc = walk_open_graph(w, name, NULL, 1, ret_node, err);
    if (!rc) rc = walk_inputs(w, *ret_node, &from, 1, err);
    for (size_t o = 0; !rc && o < m->cell.n_ops; o++) {
        const struct module *c = m->child[j * m->cell.n_ops + o];
        int                  node;

        if (!is_written(w, m, j, o)) continue;
        w->unread = unread || !is_picked(w, m, j, o);
        rc = walk_module(w, c, c->name, walk_join(w, edge, c->name), &node, err);
        w->unread = unread;
        if (!rc) rc = walk_inputs(w, node, &input, 1, err);
        if (!rc) out[n++] = (struct export_value){node, 0};
    }
    if (rc) return rc;
    walk_close(w, *ret_node);
    return walk_outputs(w, *ret_node, out, n, err);
}

/* What pair k of the node makes. */
static struct export_value pick_of(const struct walk *w, const struct module *m, const int *edge,
                                   size_t k)
{
    const uint32_t j = w->subnet->decision[m->cell.input[k]].pick[0];
    const uint32_t o = w->subnet->decision[m->cell.op[k]].pick[0];

    return (struct export_value){edge[j], (int)count_written(w, m, j, o)};
}

sn_status walk_cell(struct walk *w, const struct module *m, const char *name, const char *path,
                    int *ret_node, sn_error *err)
{
    const size_t         n_picks = m->cell.n_picks;
    int                 *edge = arena_array(w->mem, m->cell.n_edges + 1, sizeof *edge);
    struct export_value *pick = arena_array(w->mem, n_picks + 1, sizeof *pick), out;
    sn_status            rc;

    if (!edge || !pick) return fail_no_memory(err, m->where);
    rc = walk_open_graph(w, name, NULL, m->n_in, ret_node, err);
    for (size_t j = 0; !rc && j < m->cell.n_edges; j++)
        if (count_written(w, m, j, m->cell.n_ops) > 0) rc = walk_edge(w, m, j, path, &edge[j], err);
    if (rc) return rc;
    for (size_t k = 0; k < n_picks; k++)
        pick[k] = pick_of(w, m, edge, k);
    out = pick[0];
    if (n_picks > 1) rc = walk_combine(w, "sum", "Add", pick, (int)n_picks, &out, err);
    if (rc) return rc;
    walk_close(w, *ret_node);
    return walk_outputs(w, *ret_node, &out, 1, err);
}

sn_status walk_loose_ends(struct walk *w, const struct module *m, const char *name,
                          const char *path, int *ret_node, sn_error *err)
{
    const struct network all = {.net = w->subnet->net, .decision = w->subnet->decision};
    struct export_value  in[SN_MAX_PORTS], out;
    int                  end[SN_MAX_PORTS], node;
    const int            n = network_loose_ends(&all, m, end);
    const struct module *join = m->child[0];
    sn_status            rc = walk_open_graph(w, name, NULL, m->n_in, ret_node, err);

    for (int i = 0; i < n; i++)
        in[i] = (struct export_value){EXPORT_INPUT, end[i]};
    out = in[0];
    if (!rc && n > 1) {
        rc = walk_module(w, join, join->name, walk_join(w, path, join->name), &node, err);
        if (!rc) rc = walk_inputs(w, node, in, n, err);
        out = (struct export_value){node, 0};
    }
    if (rc) return rc;
    walk_close(w, *ret_node);
    return walk_outputs(w, *ret_node, &out, 1, err);
}
