/* nasbench101: a NasBench101Cell under an assignment.
 *
 * Every node reads an earlier one, so all come from the input; those that do not lead to
 * the output dangle, and neither run nor count when channels are shared. */
#include "live/nasbench101.h"

#include <string.h>

#include "live/expand.h"

/* The live nodes and their edges, from the output backwards. */
static void read_edges(const sn_supernet *net, const struct decision *decision,
                       const struct nasbench101 *c, struct nasbench101_graph *g)
{
    g->live[g->n - 1] = true;
    for (int v = g->n - 1; v > 0; v--) {
        const struct decision *d = &decision[c->input[v]];

        if (d->state == DECISION_VALUE) g->n_edges += d->n_pick;
        if (!g->live[v]) continue;
        if (d->state == DECISION_OPEN && !g->open) g->open = &net->choice[c->input[v]];
        if (d->state == DECISION_SOFT && !g->soft) g->soft = &net->choice[c->input[v]];
        for (size_t k = 0; d->state == DECISION_VALUE && k < d->n_pick; k++)
            g->edge[v][d->pick[k]] = g->live[d->pick[k]] = true;
    }
}

/* Nodes that the output reads share its channels, the first ones get one more; every
 * other node has as many as the widest that reads it. */
static void share_channels(const struct nasbench101 *c, struct nasbench101_graph *g)
{
    const bool *last = g->edge[g->n - 1];
    int64_t     k = 0, rest;

    for (int v = 1; v < g->n - 1; v++)
        k += last[v];
    rest = k ? c->out_features % k : 0;
    for (int v = 1; v < g->n - 1; v++)
        if (last[v]) g->width[v] = c->out_features / k + (rest-- > 0);
    for (int v = g->n - 2; v > 0; v--)
        for (int to = v + 1; !last[v] && to < g->n - 1; to++)
            if (g->edge[to][v] && g->width[v] < g->width[to]) g->width[v] = g->width[to];
    g->width[g->n - 1] = c->out_features;
}

void nasbench101_read(const sn_supernet *net, const struct decision *decision,
                      const struct module *m, struct nasbench101_graph *ret_graph)
{
    const struct nasbench101 *c = &m->nasbench101;
    const struct decision    *d = &decision[c->num_nodes];
    struct nasbench101_graph *g = ret_graph;

    memset(g, 0, sizeof *g);
    if (d->state == DECISION_OPEN) g->open = &net->choice[c->num_nodes];
    if (d->state == DECISION_SOFT) g->soft = &net->choice[c->num_nodes];
    if (d->state != DECISION_VALUE) return;
    g->n = (int)d->pick[0] + 2; /* the candidates are 2, 3, ... */
    read_edges(net, decision, c, g);
    if (!g->open && !g->soft) share_channels(c, g);
}

/* ---- channels ---------------------------------------------------------------------------------
 */

/* The widths were enumerated when the cell was read: one of them it is. */
static sn_status set_features(const sn_supernet *net, size_t choice, int64_t width,
                              struct decision *ret_decision, sn_error *err)
{
    const sn_choice *c = &net->choice[choice];
    size_t           k = 0;

    while (k < c->n_candidates && c->candidate[k].as.integer != width)
        k++;
    if (k == c->n_candidates)
        return sn_fail(err, SN_E_NOT_CANDIDATE, c->label, "%lld channels are none of its widths",
                       (long long)width);
    *ret_decision = (struct decision){
        .state = DECISION_VALUE, .value = c->candidate[k], .n_pick = 1, .pick = &net->candidate[k]};
    return SN_OK;
}

sn_status nasbench101_derive(const sn_supernet *net, sn_arena *mem, struct decision *decision,
                             sn_error *err)
{
    struct nasbench101_graph *g = ARENA_NEW(mem, struct nasbench101_graph);
    sn_status                 rc = SN_OK;

    if (!g) return fail_no_memory(err, "choices");
    for (size_t i = 0; i < net->n_modules; i++) {
        const struct module      *m = net->module[i];
        const struct nasbench101 *c = &m->nasbench101;

        if (m->kind != STRUCT_NASBENCH101) continue;
        nasbench101_read(net, decision, m, g);
        if (g->open || g->soft) continue;
        for (int v = 1; rc == SN_OK && v < g->n && v < c->n - 1; v++)
            if (g->live[v])
                rc = set_features(net, c->features[v], g->width[v], &decision[c->features[v]], err);
    }
    return rc;
}

/* ---- nodes --------------------------------------------------------------------------------------
 */

static sn_status expand_inner(struct network *w, const struct module *m,
                              const struct nasbench101_graph *g, int v, int *value, sn_error *err)
{
    const struct nasbench101 *c = &m->nasbench101;
    int                       item[SN_MAX_PORTS], sum, n = 0;
    sn_status                 rc = SN_OK;

    for (int from = 1; rc == SN_OK && from < v; from++) {
        if (!g->edge[v][from]) continue;
        item[n] = value[from];
        if (g->width[from] != g->width[v])
            rc = expand_module(w, c->cut[v], &value[from], &item[n], err);
        n++;
    }
    if (rc == SN_OK && g->edge[v][0])
        rc = expand_module(w, c->projection[v], &value[0], &item[n++], err);
    if (rc == SN_OK) rc = expand_emit(w, n == 1 ? NODE_PASS : NODE_SUM, m, n, item, 1, &sum, err);
    return rc == SN_OK ? expand_module(w, c->op[v], &sum, &value[v], err) : rc;
}

static sn_status expand_output(struct network *w, const struct module *m,
                               const struct nasbench101_graph *g, const int *value, int *out,
                               sn_error *err)
{
    const int last = g->n - 1;
    int       item[SN_MAX_PORTS], part[2], n = 0, n_parts = 0;
    sn_status rc = SN_OK;

    for (int from = 1; from < last; from++)
        if (g->edge[last][from]) item[n++] = value[from];
    if (n > 0)
        rc = expand_emit(w, n == 1 ? NODE_PASS : NODE_CONCAT, m, n, item, 1, &part[n_parts++], err);
    if (rc == SN_OK && g->edge[last][0])
        rc = expand_module(w, m->nasbench101.projection[last], value, &part[n_parts++], err);
    if (rc != SN_OK) return rc;
    return expand_emit(w, n_parts == 1 ? NODE_PASS : NODE_SUM, m, n_parts, part, 1, out, err);
}

sn_status expand_nasbench101(struct network *w, const struct module *m, const int *in, int *out,
                             sn_error *err)
{
    const struct nasbench101 *c = &m->nasbench101;
    struct nasbench101_graph  g;
    int                       value[SN_MAX_PORTS] = {in[0]};
    sn_status                 rc = SN_OK;

    nasbench101_read(w->net, w->decision, m, &g);
    if (g.soft)
        return sn_fail(err, SN_E_UNSUPPORTED, m->where,
                       "\"%s\" cannot follow a distribution: the nodes of a NasBench101Cell are "
                       "decided, only what they run can be soft",
                       g.soft->label);
    if (g.n_edges > (size_t)c->max_edges)
        return sn_fail(err, SN_E_INVALID, m->where, "\"%s\" has %zu edges, at most %d are allowed",
                       c->label, g.n_edges, c->max_edges);
    if (g.open) return expand_emit(w, NODE_OPEN, m, 0, NULL, 1, out, err);
    for (int v = 1; rc == SN_OK && v < g.n - 1; v++)
        if (g.live[v]) rc = expand_inner(w, m, &g, v, value, err);
    return rc == SN_OK ? expand_output(w, m, &g, value, out, err) : rc;
}

void expand_nasbench101_mark(const struct network *w, const struct module *m, bool *active)
{
    struct nasbench101_graph g;

    nasbench101_read(w->net, w->decision, m, &g);
    active[m->nasbench101.num_nodes] = true;
    for (int v = 1; v < g.n; v++)
        if (g.live[v]) active[m->nasbench101.input[v]] = true;
}

const sn_choice *expand_nasbench101_open(const sn_supernet *net, const struct decision *decision,
                                         const struct module *m)
{
    struct nasbench101_graph g;

    nasbench101_read(net, decision, m, &g);
    return g.open;
}
