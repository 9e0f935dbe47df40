/* nasbench101: a NasBench101Cell as a Graph of the nodes that lead to its output:
 * projection<i>, cut<i>_<j>, sum<i> and op<i> for each, then concat and sum. */
#include "live/nasbench101.h"
#include "export/export.h"

/* What the nodes of the Graph are called, as they are written. */
struct written {
    struct export       *x;
    const struct module *m;
    const char          *path;
    bool                 any;
};

/* A node with one input that is called `from`; its name. */
static sn_status write_module(struct written *w, const struct module *child, const char *name,
                              const char *from, const char **ret_name, sn_error *err)
{
    struct export     *x = w->x;
    struct node_inputs node = {.from = from};
    const char        *path = name ? export_join(x, w->path, name) : NULL;
    sn_status          rc;

    if (!path || !from) return fail_no_memory(err, w->m->where);
    text_add(&x->spec, ", ", w->any ? 2 : 0);
    w->any = true;
    x->node = &node;
    rc = export_module(x, child, name, path, err);
    if (rc != SN_OK) return rc;
    if (!node.written) {
        text_printf(&x->spec, ", \"inputs\": [");
        text_json_string(&x->spec, from);
        text_add(&x->spec, "]", 1);
    }
    text_add(&x->spec, "}", 1);
    *ret_name = name;
    return SN_OK;
}

/* A node that joins several; of a single one it is not needed. */
static sn_status write_join(struct written *w, const char *type, const char *name,
                            const char *const *item, int n, const char **ret_name, sn_error *err)
{
    struct text *t = &w->x->spec;

    if (!name) return fail_no_memory(err, w->m->where);
    *ret_name = n == 1 ? item[0] : name;
    if (n == 1) return SN_OK;
    text_printf(t, "%s{\"name\": \"%s\", \"type\": \"%s\", \"inputs\": [", w->any ? ", " : "", name,
                type);
    w->any = true;
    for (int i = 0; i < n; i++)
        text_printf(t, "%s\"%s\"", i ? ", " : "", item[i]);
    text_printf(t, "]}");
    return SN_OK;
}

static sn_status write_inner(struct written *w, const struct nasbench101_graph *g, int v,
                             const char **node, sn_error *err)
{
    const struct nasbench101 *c = &w->m->nasbench101;
    sn_arena                 *mem = w->x->mem;
    const char               *item[SN_MAX_PORTS], *sum = NULL;
    int                       n = 0;
    sn_status                 rc = SN_OK;

    for (int from = 1; rc == SN_OK && from < v; from++) {
        if (!g->edge[v][from]) continue;
        item[n] = node[from];
        if (g->width[from] != g->width[v])
            rc = write_module(w, c->cut[v], arena_printf(mem, "cut%d_%d", v, from), node[from],
                              &item[n], err);
        n++;
    }
    if (rc == SN_OK && g->edge[v][0])
        rc = write_module(w, c->projection[v], arena_printf(mem, "projection%d", v), node[0],
                          &item[n++], err);
    if (rc == SN_OK) rc = write_join(w, "Add", arena_printf(mem, "sum%d", v), item, n, &sum, err);
    if (rc != SN_OK) return rc;
    return write_module(w, c->op[v], arena_printf(mem, "op%d", v), sum, &node[v], err);
}

static sn_status write_output(struct written *w, const struct nasbench101_graph *g,
                              const char *const *node, const char **ret_name, sn_error *err)
{
    const int   last = g->n - 1;
    const char *item[SN_MAX_PORTS], *part[2];
    int         n = 0, n_parts = 0;
    sn_status   rc = SN_OK;

    for (int from = 1; from < last; from++)
        if (g->edge[last][from]) item[n++] = node[from];
    if (n > 0) rc = write_join(w, "Concat", "concat", item, n, &part[n_parts++], err);
    if (rc == SN_OK && g->edge[last][0])
        rc = write_module(w, w->m->nasbench101.projection[last],
                          arena_printf(w->x->mem, "projection%d", last), node[0], &part[n_parts++],
                          err);
    return rc == SN_OK ? write_join(w, "Add", "sum", part, n_parts, ret_name, err) : rc;
}

sn_status export_nasbench101(struct export *x, const struct module *m, const char *name,
                             const char *path, sn_error *err)
{
    struct written           w = {.x = x, .m = m, .path = path};
    struct nasbench101_graph g;
    const char              *node[SN_MAX_PORTS] = {"x.0"}, *out = NULL;
    sn_status                rc = SN_OK;

    nasbench101_read(x->subnet->net, x->subnet->decision, m, &g);
    export_open(x, name, "Graph");
    export_inputs(x, NULL, m->n_in);
    text_printf(&x->spec, ", \"nodes\": [");
    for (int v = 1; rc == SN_OK && v < g.n - 1; v++)
        if (g.live[v]) rc = write_inner(&w, &g, v, node, err);
    if (rc == SN_OK) rc = write_output(&w, &g, node, &out, err);
    if (rc == SN_OK) text_printf(&x->spec, "], \"outputs\": [\"%s\"]", out);
    return rc;
}
