/* network: expand the module tree under an assignment, then find what is live. */
#include <string.h>

#include "base/budget.h"
#include "live/expand.h"

/* A new node with `n_out` fresh values; NULL when memory is out. */
static struct node *add_node(struct network *w, enum node_kind kind, const struct module *m,
                             int n_in, const int *in, int n_out)
{
    int         *copy = arena_array(w->mem, (size_t)n_in + 1, sizeof *copy);
    struct node *n;

    /* A list may name a candidate many times, and so may the lists inside of it. */
    if (!copy || !budget_spend(arena_budget(w->mem), 16 + (uint64_t)n_in)) return NULL;
    if (w->n_nodes == w->cap) {
        const size_t cap = w->cap ? 2 * w->cap : 64;
        struct node *grown = arena_array(w->mem, cap, sizeof *grown);

        if (!grown) return NULL;
        if (w->n_nodes) memcpy(grown, w->node, w->n_nodes * sizeof *grown);
        w->node = grown;
        w->cap = cap;
    }
    if (n_in) memcpy(copy, in, (size_t)n_in * sizeof *copy);
    n = &w->node[w->n_nodes++];
    *n = (struct node){
        .kind = kind, .module = m, .n_in = n_in, .in = copy, .n_out = n_out, .choice = m->choice};
    n->out = w->n_values;
    w->n_values += n_out;
    return n;
}

sn_status expand_emit(struct network *w, enum node_kind kind, const struct module *m, int n_in,
                      const int *in, int n_out, int *out, sn_error *err)
{
    const struct node *n = add_node(w, kind, m, n_in, in, n_out);

    if (!n) return fail_no_memory(err, m->where);
    for (int i = 0; i < n_out; i++)
        out[i] = n->out + i;
    return SN_OK;
}

/* Run the first `n` children one after the other. */
static sn_status expand_chain(struct network *w, const struct module *m, size_t n, const int *in,
                              int *out, sn_error *err)
{
    int cur[SN_MAX_PORTS], next[SN_MAX_PORTS];

    memcpy(cur, in, (size_t)m->n_in * sizeof *cur);
    for (size_t i = 0; i < n; i++) {
        const sn_status rc = expand_module(w, m->child[i], cur, next, err);

        if (rc) return rc;
        memcpy(cur, next, (size_t)m->child[i]->n_out * sizeof *cur);
    }
    memcpy(out, cur, (size_t)m->n_out * sizeof *out);
    return SN_OK;
}

/* The value behind a wire of a Graph; `made` has the outputs of the children so far. */
static int wire_value(struct wire wire, const int *in, int *const *made)
{
    if (wire.from == WIRE_ABSENT) return VALUE_ABSENT;
    return wire.from == WIRE_INPUT ? in[wire.out] : made[wire.from][wire.out];
}

static sn_status expand_graph(struct network *w, const struct module *m, const int *in, int *out,
                              sn_error *err)
{
    int **made = arena_array(w->mem, m->n_children + 1, sizeof *made);
    int   child_in[SN_MAX_PORTS];

    if (!made) return fail_no_memory(err, m->where);
    for (size_t i = 0; i < m->n_children; i++) {
        const struct module *c = m->child[i];
        sn_status            rc;

        made[i] = arena_array(w->mem, (size_t)c->n_out + 1, sizeof **made);
        if (!made[i]) return fail_no_memory(err, c->where);
        for (int j = 0; j < c->n_in; j++)
            child_in[j] = wire_value(m->wire[i][j], in, made);
        rc = expand_module(w, c, child_in, made[i], err);
        if (rc) return rc;
    }
    for (int i = 0; i < m->n_out; i++)
        out[i] = wire_value(m->output[i], in, made);
    return SN_OK;
}

/* Sum (or weigh) the outputs of several children, output by output. */
static sn_status combine(struct network *w, enum node_kind kind, const struct module *m, size_t n,
                         int *const *made, const uint32_t *option, int *out, sn_error *err)
{
    int *item = arena_array(w->mem, n + 1, sizeof *item);

    if (!item) return fail_no_memory(err, m->where);
    if (n > SN_MAX_PORTS)
        return sn_fail(err, SN_E_LIMIT, m->where, "%zu items are to be summed, at most %d can be",
                       n, SN_MAX_PORTS);
    for (int o = 0; o < m->n_out; o++) {
        struct node *node;

        for (size_t i = 0; i < n; i++)
            item[i] = made[i][o];
        node = add_node(w, kind, m, (int)n, item, 1);
        if (!node) return fail_no_memory(err, m->where);
        node->option = option;
        out[o] = node->out;
    }
    return SN_OK;
}

static sn_status expand_layer_choice(struct network *w, const struct module *m, const int *in,
                                     int *out, sn_error *err)
{
    const struct decision *d = &w->decision[m->choice];
    const bool             soft = d->state == DECISION_SOFT;
    const size_t           n = soft ? m->n_children : d->n_pick;
    int                  **made;

    if (d->state == DECISION_OPEN)
        return expand_emit(w, NODE_OPEN, m, m->n_in, in, m->n_out, out, err);
    made = arena_array(w->mem, n, sizeof *made);
    if (!made) return fail_no_memory(err, m->where);
    for (size_t i = 0; i < n; i++) {
        sn_status rc;

        made[i] = arena_array(w->mem, (size_t)m->n_out + 1, sizeof **made);
        if (!made[i]) return fail_no_memory(err, m->where);
        rc = expand_module(w, m->child[soft ? i : d->pick[i]], in, made[i], err);
        if (rc) return rc;
    }
    if (!soft && n == 1) return expand_emit(w, NODE_PASS, m, m->n_out, made[0], m->n_out, out, err);
    return combine(w, soft ? NODE_WEIGHTED : NODE_SUM, m, n, made, NULL, out, err);
}

static sn_status expand_input_choice(struct network *w, const struct module *m, const int *in,
                                     int *out, sn_error *err)
{
    static const enum node_kind kinds[] = {
        [REDUCE_SUM] = NODE_SUM, [REDUCE_MEAN] = NODE_MEAN, [REDUCE_CONCAT] = NODE_CONCAT};
    const struct decision *d = &w->decision[m->choice];
    int                   *item;

    if (d->state == DECISION_OPEN) return expand_emit(w, NODE_OPEN, m, m->n_in, in, 1, out, err);
    if (d->state == DECISION_SOFT) {
        if (m->reduction == REDUCE_CONCAT)
            return sn_fail(err, SN_E_UNSUPPORTED, m->where,
                           "reduction \"concat\" cannot follow a distribution; sum and mean can");
        return expand_emit(w, NODE_WEIGHTED, m, m->n_in, in, 1, out, err);
    }
    item = arena_array(w->mem, d->n_pick, sizeof *item);
    if (!item) return fail_no_memory(err, m->where);
    for (size_t i = 0; i < d->n_pick; i++)
        item[i] = in[d->pick[i]];
    return expand_emit(w, d->n_pick == 1 ? NODE_PASS : kinds[m->reduction], m, (int)d->n_pick, item,
                       1, out, err);
}

/* A depth as a number of blocks; its kind was checked when the document was read. */
static sn_status depth_of(const struct module *m, const sn_value *v, size_t *ret_depth,
                          sn_error *err)
{
    int64_t n;
    char    text[64];

    if (!sn_value_int(v, &n) || n < 0 || (uint64_t)n > m->n_children)
        return sn_fail(err, SN_E_INVALID, m->depth.where, "depth is %s, allowed are 0 to %zu",
                       sn_value_text(v, text, sizeof text), m->n_children);
    *ret_depth = (size_t)n;
    return SN_OK;
}

/* Under a distribution every block runs and the states at the possible depths are
 * weighed. The weight of depth 0 is lost in the compatibility mode, as in the
 * original; otherwise the input itself takes part. */
static sn_status expand_soft_repeat(struct network *w, const struct module *m, const int *in,
                                    int *out, sn_error *err)
{
    const size_t n_options = m->depth.n_options;
    int        **made = arena_array(w->mem, n_options + 1, sizeof *made);
    uint32_t    *option = arena_array(w->mem, n_options + 1, sizeof *option);
    int          cur[SN_MAX_PORTS], next[SN_MAX_PORTS];
    size_t       n = 0, at = 0; /* at: blocks run so far */

    if (!made || !option) return fail_no_memory(err, m->where);
    memcpy(cur, in, (size_t)m->n_in * sizeof *cur);
    for (size_t o = 0; o < n_options; o++) { /* ascending */
        size_t    want;
        sn_status rc = depth_of(m, &m->depth.option[o], &want, err);

        for (; !rc && at < want; at++) {
            rc = expand_module(w, m->child[at], cur, next, err);
            memcpy(cur, next, (size_t)m->n_out * sizeof *cur);
        }
        if (rc) return rc;
        if (want == 0 && w->net->nni) continue;
        made[n] = arena_array(w->mem, (size_t)m->n_out + 1, sizeof **made);
        if (!made[n]) return fail_no_memory(err, m->where);
        memcpy(made[n], cur, (size_t)m->n_out * sizeof *cur);
        option[n++] = (uint32_t)o;
    }
    return combine(w, NODE_WEIGHTED, m, n, made, option, out, err);
}

static sn_status expand_repeat(struct network *w, const struct module *m, const int *in, int *out,
                               sn_error *err)
{
    int       cur[SN_MAX_PORTS];
    sn_value  value;
    size_t    depth;
    sn_status rc;

    if (decision_open(w->net, w->decision, &m->depth))
        return expand_emit(w, NODE_OPEN, m, m->n_in, in, m->n_out, out, err);
    if (decision_is_soft(w->decision, &m->depth)) return expand_soft_repeat(w, m, in, out, err);
    rc = decision_evaluate(w->decision, &m->depth, w->mem, &value, err);
    if (!rc) rc = depth_of(m, &value, &depth, err);
    if (rc) return rc;
    if (depth == 0 && w->net->nni)
        return sn_fail(err, SN_E_UNSUPPORTED, m->depth.where,
                       "depth is 0, which the compatibility mode refuses as the original does");
    rc = expand_chain(w, m, depth, in, cur, err);
    return rc ? rc : expand_emit(w, NODE_PASS, m, m->n_out, cur, m->n_out, out, err);
}

/* A container hands on what is made in it or comes into it: with a node of its own for that, no
 * module can be read without being live, whether something runs in it or not. */
static sn_status expand_container(struct network *w, const struct module *m, const int *in,
                                  int *out, sn_error *err)
{
    int       made[SN_MAX_PORTS];
    sn_status rc = m->kind == STRUCT_GRAPH ? expand_graph(w, m, in, made, err)
                                           : expand_chain(w, m, m->n_children, in, made, err);

    return rc ? rc : expand_emit(w, NODE_PASS, m, m->n_out, made, m->n_out, out, err);
}

sn_status expand_module(struct network *w, const struct module *m, const int *in, int *out,
                        sn_error *err)
{
    switch (m->kind) {
    case STRUCT_NONE:
        return expand_emit(w, NODE_OP, m, m->n_in, in, m->n_out, out, err);
    case STRUCT_SEQUENTIAL:
    case STRUCT_GRAPH:
        return expand_container(w, m, in, out, err);
    case STRUCT_LAYER_CHOICE:
        return expand_layer_choice(w, m, in, out, err);
    case STRUCT_INPUT_CHOICE:
        return expand_input_choice(w, m, in, out, err);
    case STRUCT_REPEAT:
        return expand_repeat(w, m, in, out, err);
    case STRUCT_CELL:
        return expand_cell(w, m, in, out, err);
    case STRUCT_LOOSE_ENDS:
        return expand_loose_ends(w, m, in, out, err);
    case STRUCT_NASBENCH101:
        return expand_nasbench101(w, m, in, out, err);
    }
    return sn_fail(err, SN_E_UNSUPPORTED, m->where, "a %s cannot be expanded", m->type);
}

/* Backwards from the outputs: what makes a needed value is live, what it reads is needed. */
static sn_status find_live(struct network *w, sn_error *err)
{
    bool *needed = arena_array(w->mem, (size_t)w->n_values + 1, sizeof *needed);

    if (!needed) return fail_no_memory(err, "model");
    for (size_t i = 0; i < w->net->n_outputs; i++)
        if (w->output[i] != VALUE_ABSENT) needed[w->output[i]] = true;
    for (size_t i = w->n_nodes; i-- > 0;) {
        struct node *n = &w->node[i];

        for (int o = 0; o < n->n_out; o++)
            n->live = n->live || needed[n->out + o];
        for (int k = 0; n->live && k < n->n_in; k++)
            if (n->in[k] != VALUE_ABSENT && (n->kind != NODE_PASS || needed[n->out + k]))
                needed[n->in[k]] = true;
    }
    return SN_OK;
}

static sn_status fail_open(const char *where, const sn_choice *c, sn_error *err)
{
    char allowed[768];

    return sn_fail(err, SN_E_UNDECIDED, where, "choice \"%s\" has no value yet; it takes %s",
                   c->label, decision_allowed_text(c, allowed, sizeof allowed));
}

/* What a structure with an open decision waits for. */
static const sn_choice *open_choice(const struct network *w, const struct module *m)
{
    if (m->kind == STRUCT_REPEAT) return decision_open(w->net, w->decision, &m->depth);
    if (m->kind == STRUCT_CELL) return expand_cell_open(w->net, w->decision, m);
    if (m->kind == STRUCT_NASBENCH101) return expand_nasbench101_open(w->net, w->decision, m);
    return &w->net->choice[m->choice];
}

/* What is live may read nothing open, and no distribution where none is allowed. */
static sn_status check_node(const struct network *w, const struct node *n, sn_error *err)
{
    const struct module *m = n->module;

    if (n->kind == NODE_OPEN) return fail_open(m->where, open_choice(w, m), err);
    for (size_t a = 0; n->kind == NODE_OP && a < m->n_args; a++) {
        const struct arg_slot *slot = &m->arg[a];
        const sn_choice       *open = decision_open(w->net, w->decision, slot);

        if (open) return fail_open(slot->where, open, err);
        if (decision_is_soft(w->decision, slot) &&
            !(slot->flags & (SN_ARG_SOFT_MASK | SN_ARG_SOFT_FULL)))
            return sn_fail(err, SN_E_UNSUPPORTED, slot->where,
                           "%s of %s cannot follow a distribution, only a single value", slot->name,
                           m->type);
    }
    return SN_OK;
}

sn_status network_expand(const sn_supernet *net, const struct decision *decision, sn_arena *mem,
                         struct network *ret_network, sn_error *err)
{
    struct network w = {.net = net, .decision = decision, .mem = mem};
    int            in[SN_MAX_PORTS];
    int           *out = arena_array(mem, SN_MAX_PORTS, sizeof *out);
    sn_status      rc;

    if (!out) return fail_no_memory(err, "model");
    w.n_values = (int)net->n_inputs; /* the first values are the inputs of the document */
    for (int i = 0; i < net->root->n_in; i++)
        in[i] = net->root_input[i] < 0 ? VALUE_ABSENT : net->root_input[i];
    rc = expand_module(&w, net->root, in, out, err);
    if (rc) return rc;
    w.output = out;
    rc = find_live(&w, err);
    for (size_t i = 0; !rc && i < w.n_nodes; i++)
        if (w.node[i].live) rc = check_node(&w, &w.node[i], err);
    if (!rc) *ret_network = w;
    return rc;
}

static void mark_slot(const struct arg_slot *slot, bool *active)
{
    for (size_t i = 0; i < slot->n_leaves; i++)
        active[slot->leaf[i]] = true;
}

static void mark_cell(const struct network *w, const struct module *m, bool *active)
{
    const bool soft = network_cell_is_soft(w->decision, m);

    for (int j = 0; soft && j < m->n_in; j++)
        active[m->cell.edge[j]] = true;
    for (size_t k = 0; !soft && k < m->cell.n_picks; k++)
        active[m->cell.op[k]] = active[m->cell.input[k]] = true;
}

void network_mark_active(const struct network *w, bool *active)
{
    for (size_t i = 0; i < w->n_nodes; i++) {
        const struct module *m = w->node[i].module;

        if (!w->node[i].live) continue;
        if (m->kind == STRUCT_LAYER_CHOICE || m->kind == STRUCT_INPUT_CHOICE)
            active[m->choice] = true;
        if (m->kind == STRUCT_REPEAT) mark_slot(&m->depth, active);
        if (m->kind == STRUCT_CELL) mark_cell(w, m, active);
        if (m->kind == STRUCT_NASBENCH101) expand_nasbench101_mark(w, m, active);
        for (size_t a = 0; a < m->n_args; a++)
            mark_slot(&m->arg[a], active);
    }
}
