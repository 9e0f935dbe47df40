/* cell: nodes of a Cell whose operators are on edges, under an assignment.
 *
 *   decided   the sum over k of operator op_i_k on input_i_k
 *   soft      the sum over all inputs of the weighted sum of all operators on that edge
 *
 * A node is soft as soon as one of its edges is; then all of them must be. */
#include "live/expand.h"

bool network_cell_is_soft(const struct decision *decision, const struct module *m)
{
    for (int j = 0; j < m->n_in; j++)
        if (decision[m->cell.edge[j]].state == DECISION_SOFT) return true;
    return false;
}

const sn_choice *expand_cell_open(const sn_supernet *net, const struct decision *decision,
                                  const struct module *m)
{
    const bool soft = network_cell_is_soft(decision, m);

    for (int j = 0; soft && j < m->n_in; j++)
        if (decision[m->cell.edge[j]].state == DECISION_OPEN) return &net->choice[m->cell.edge[j]];
    for (size_t k = 0; !soft && k < m->cell.n_picks; k++) {
        if (decision[m->cell.op[k]].state == DECISION_OPEN) return &net->choice[m->cell.op[k]];
        if (decision[m->cell.input[k]].state == DECISION_OPEN)
            return &net->choice[m->cell.input[k]];
    }
    return NULL;
}

static sn_status expand_soft(struct network *w, const struct module *m, const int *in, int *out,
                             sn_error *err)
{
    const size_t n_ops = m->cell.n_ops;
    int          edge[SN_MAX_PORTS], item[SN_MAX_PORTS];
    sn_status    rc = SN_OK;

    for (int j = 0; rc == SN_OK && j < m->n_in; j++) {
        for (size_t o = 0; rc == SN_OK && o < n_ops; o++)
            rc = expand_module(w, m->child[(size_t)j * n_ops + o], &in[j], &item[o], err);
        if (rc == SN_OK) rc = expand_emit(w, NODE_WEIGHTED, m, (int)n_ops, item, 1, &edge[j], err);
        if (rc != SN_OK) break;
        w->node[w->n_nodes - 1].choice = m->cell.edge[j];
        w->node[w->n_nodes - 1].same_shape = true;
    }
    if (rc == SN_OK) rc = expand_emit(w, NODE_SUM, m, m->n_in, edge, 1, out, err);
    if (rc == SN_OK) w->node[w->n_nodes - 1].same_shape = true;
    return rc;
}

sn_status expand_cell(struct network *w, const struct module *m, const int *in, int *out,
                      sn_error *err)
{
    int       item[SN_MAX_PORTS];
    sn_status rc = SN_OK;

    if (expand_cell_open(w->net, w->decision, m))
        return expand_emit(w, NODE_OPEN, m, 0, NULL, 1, out, err);
    if (network_cell_is_soft(w->decision, m)) return expand_soft(w, m, in, out, err);
    for (size_t k = 0; rc == SN_OK && k < m->cell.n_picks; k++) {
        const struct decision *op = &w->decision[m->cell.op[k]];
        const struct decision *input = &w->decision[m->cell.input[k]];

        if (op->state == DECISION_SOFT || input->state == DECISION_SOFT)
            return sn_fail(err, SN_E_UNSUPPORTED, m->where,
                           "\"%s\" cannot follow a distribution here, where operators are on "
                           "edges; their labels, such as \"%s\", can",
                           w->net->choice[m->cell.op[k]].label,
                           w->net->choice[m->cell.edge[0]].label);
        rc = expand_module(w, m->child[input->pick[0] * m->cell.n_ops + op->pick[0]],
                           &in[input->pick[0]], &item[k], err);
    }
    if (rc != SN_OK) return rc;
    return expand_emit(w, m->cell.n_picks == 1 ? NODE_PASS : NODE_SUM, m, (int)m->cell.n_picks,
                       item, 1, out, err);
}

/* Some decided node reads state `i`. Under a distribution, or while decisions are open,
 * nothing counts as read. */
static bool is_read(const struct network *w, const struct module *m, int i)
{
    for (int t = 0; t < m->n_in; t++) {
        const struct module *node = m->node[t];

        if (network_cell_is_soft(w->decision, node)) continue;
        for (size_t k = 0; k < node->cell.n_picks; k++) {
            const struct decision *d = &w->decision[node->cell.input[k]];

            if (d->state == DECISION_VALUE && d->pick[0] == (uint32_t)i) return true;
        }
    }
    return false;
}

int network_loose_ends(const struct network *w, const struct module *m, int *ret_end)
{
    int n = 0;

    for (int t = 0; t < m->n_in; t++)
        if (!is_read(w, m, m->node[t]->n_in)) ret_end[n++] = t; /* its number is how many it sees */
    return n;
}

sn_status expand_loose_ends(struct network *w, const struct module *m, const int *in, int *out,
                            sn_error *err)
{
    int       end[SN_MAX_PORTS], item[SN_MAX_PORTS];
    const int n = network_loose_ends(w, m, end);

    for (int i = 0; i < n; i++)
        item[i] = in[end[i]];
    return expand_emit(w, n == 1 ? NODE_PASS : NODE_OP, n == 1 ? m : m->child[0], n, item, 1, out,
                       err);
}
