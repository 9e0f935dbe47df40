/* nasbench101: a NasBench101Cell as a Graph of the nodes that lead to its output:
 * projection<i>, cut<i>_<j>, sum<i> and op<i> for each, then concat and sum. */
#include "live/nasbench101.h"
#include "export/walk.h"

/* The Graph that is being made. */
struct made {
    struct walk         *w;
    const struct module *m;
    const char          *path;
};

/* A node on the value `from`; what it makes. */
static sn_status add_module(struct made *c, const struct module *child, const char *name,
                            struct export_value from, struct export_value *ret, sn_error *err)
{
    const char *path = name ? walk_join(c->w, c->path, name) : NULL;
    int         node;
    sn_status   rc;

    if (!path) return fail_no_memory(err, c->m->where);
    rc = walk_module(c->w, child, name, path, &node, err);
    if (!rc) rc = walk_inputs(c->w, node, &from, 1, err);
    if (!rc) *ret = (struct export_value){node, 0};
    return rc;
}

/* A node that joins several; of a single one it is not needed. */
static sn_status add_join(struct made *c, const char *type, const char *name,
                          const struct export_value *item, int n, struct export_value *ret,
                          sn_error *err)
{
    *ret = item[0];
    return n == 1 ? SN_OK : walk_combine(c->w, name, type, item, n, ret, err);
}

static sn_status add_inner(struct made *c, const struct nasbench101_graph *g, int v,
                           struct export_value *node, sn_error *err)
{
    const struct nasbench101 *cell = &c->m->nasbench101;
    sn_arena                 *mem = c->w->mem;
    struct export_value       item[SN_MAX_PORTS], sum = {0};
    int                       n = 0;
    sn_status                 rc = SN_OK;

    for (int from = 1; rc == SN_OK && from < v; from++) {
        if (!g->edge[v][from]) continue;
        item[n] = node[from];
        if (g->width[from] != g->width[v])
            rc = add_module(c, cell->cut[v], arena_printf(mem, "cut%d_%d", v, from), node[from],
                            &item[n], err);
        n++;
    }
    if (rc == SN_OK && g->edge[v][0])
        rc = add_module(c, cell->projection[v], arena_printf(mem, "projection%d", v), node[0],
                        &item[n++], err);
    if (rc == SN_OK) rc = add_join(c, "Add", arena_printf(mem, "sum%d", v), item, n, &sum, err);
    if (rc != SN_OK) return rc;
    return add_module(c, cell->op[v], arena_printf(mem, "op%d", v), sum, &node[v], err);
}

static sn_status add_output(struct made *c, const struct nasbench101_graph *g,
                            const struct export_value *node, struct export_value *ret,
                            sn_error *err)
{
    const int           last = g->n - 1;
    struct export_value item[SN_MAX_PORTS], part[2];
    int                 n = 0, n_parts = 0;
    sn_status           rc = SN_OK;

    for (int from = 1; from < last; from++)
        if (g->edge[last][from]) item[n++] = node[from];
    if (n > 0) rc = add_join(c, "Concat", "concat", item, n, &part[n_parts++], err);
    if (rc == SN_OK && g->edge[last][0])
        rc = add_module(c, c->m->nasbench101.projection[last],
                        arena_printf(c->w->mem, "projection%d", last), node[0], &part[n_parts++],
                        err);
    return rc == SN_OK ? add_join(c, "Add", "sum", part, n_parts, ret, err) : rc;
}

sn_status walk_nasbench101(struct walk *w, const struct module *m, const char *name,
                           const char *path, int *ret_node, sn_error *err)
{
    struct made              c = {.w = w, .m = m, .path = path};
    struct nasbench101_graph g;
    struct export_value      node[SN_MAX_PORTS] = {{EXPORT_INPUT, 0}}, out = {0};
    sn_status                rc = walk_open_graph(w, name, NULL, m->n_in, ret_node, err);

    nasbench101_read(w->subnet->net, w->subnet->decision, m, &g);
    for (int v = 1; rc == SN_OK && v < g.n - 1; v++)
        if (g.live[v]) rc = add_inner(&c, &g, v, node, err);
    if (rc == SN_OK) rc = add_output(&c, &g, node, &out, err);
    if (rc != SN_OK) return rc;
    walk_close(w, *ret_node);
    return walk_outputs(w, *ret_node, &out, 1, err);
}
