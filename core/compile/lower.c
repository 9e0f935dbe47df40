/* lower: live nodes become steps. Nodes that only passed a decision on become no steps; an operator
 * whose output is its input under another shape becomes an alias, which is dropped later. */
#include <string.h>

#include "compile/shapes.h"
#include "live/operand.h"
#include "space/value.h"

/* `old` [n] in an array of twice `cap`, or of `first`; NULL when memory is out. */
static void *grow(struct sn_plan *p, const void *old, size_t n, size_t size, size_t first,
                  size_t *cap)
{
    const size_t more = *cap ? 2 * *cap : first;
    void        *grown = arena_array(p->work, more, size);

    if (!grown) return NULL;
    if (n) memcpy(grown, old, n * size);
    *cap = more;
    return grown;
}

int plan_add_value(struct sn_plan *p)
{
    if ((size_t)p->n_values == p->cap_values) {
        struct value *grown =
            grow(p, p->value, (size_t)p->n_values, sizeof *grown, p->room, &p->cap_values);

        if (!grown) return -1;
        p->value = grown;
    }
    p->value[p->n_values] = (struct value){.root = p->n_values, .first = -1, .last = -1};
    return p->n_values++;
}

bool plan_add_step(struct sn_plan *p, const struct step *s)
{
    const size_t n_in = s->call.n_in, n_out = s->call.n_out;
    int         *io = arena_array(p->work, n_in + n_out + 1, sizeof *io);

    if (!io) return false;
    if (p->n_steps == p->cap_steps) {
        struct step *grown = grow(p, p->step, p->n_steps, sizeof *grown, p->room, &p->cap_steps);

        if (!grown) return false;
        p->step = grown;
    }
    if (n_in) memcpy(io, s->in, n_in * sizeof *io);
    if (n_out) memcpy(io + n_in, s->out, n_out * sizeof *io);
    p->step[p->n_steps] = *s;
    p->step[p->n_steps].in = io;
    p->step[p->n_steps].out = io + n_in;
    p->n_steps++;
    return true;
}

void *plan_append(struct sn_plan *p, const void *list, int n, const void *item, size_t size)
{
    char *longer = arena_array(p->work, (size_t)n + 1, size);

    if (!longer) return NULL;
    if (n) memcpy(longer, list, (size_t)n * size);
    memcpy(longer + (size_t)n * size, item, size);
    return longer;
}

/* The call of a step: descriptions are filled by infer. */
static sn_status prepare_call(struct sn_plan *p, const struct module *m, size_t n_in, size_t n_out,
                              sn_call *ret, sn_error *err)
{
    sn_desc *in = arena_array(p->work, n_in + 1, sizeof *in);
    sn_desc *out = arena_array(p->work, n_out + 1, sizeof *out);
    void    *priv = m->op ? sn_arena_alloc(p->work, m->op->priv_bytes + 1) : NULL;

    if (!in || !out || (m->op && !priv)) return fail_no_memory(err, m->where);
    *ret = (sn_call){.size = sizeof *ret,
                     .where = m->where,
                     .whole = m->param,
                     .mode = p->mode,
                     .n_threads = p->n_threads,
                     .nni = p->subnet->net->nni,
                     .n_in = n_in,
                     .n_out = n_out,
                     .in = in,
                     .out = out,
                     .priv = priv};
    return SN_OK;
}

/* What is left of a parameter: a view; pieces that are copied together later; or a blend. */
static sn_status lower_param(struct sn_plan *p, struct step *s, const sn_call *whole, size_t k,
                             sn_tensor *ret, sn_error *err)
{
    const struct module *m = s->module;
    struct patch         blend = {.param = (int)k, .value = -1, .state = -1};
    struct live_param    live;
    sn_status            rc = operand_param(m, whole, k, &live, err);

    if (rc) return rc;
    *ret = live.tensor;
    if (live.n_masks) {
        rc = plan_blend(p, m, whole, k, &live, &blend.value, err);
        if (rc) return rc;
        *ret = sn_tensor_dense(SN_F32, &live.tensor.shape, live.tensor.data);
        s->patch = plan_append(p, s->patch, s->n_patches++, &blend, sizeof blend);
        if (!s->patch) return fail_no_memory(err, m->where);
    } else if (live.in_pieces) {
        const struct gather gather = {.param = (int)k, .cut = live.cut};

        s->gather = plan_append(p, s->gather, s->n_gathers++, &gather, sizeof gather);
        if (!s->gather) return fail_no_memory(err, "plan");
    }
    return SN_OK;
}

/* The arguments of an operator and the live parts of its parameters. */
static sn_status lower_operands(struct sn_plan *p, struct step *s, sn_error *err)
{
    const struct module *m = s->module;
    sn_arg              *arg = arena_array(p->work, m->n_args + 1, sizeof *arg);
    sn_tensor           *live = arena_array(p->work, m->n_params + 1, sizeof *live);
    sn_call              whole;
    sn_status            rc;

    if (!arg || !live) return fail_no_memory(err, m->where);
    rc = operand_args(p->subnet->decision, m, p->work, arg, err);
    if (rc) return rc;
    s->call.arg = arg;
    whole = s->call;
    whole.param = m->param;
    for (size_t k = 0; k < m->n_params; k++) {
        rc = lower_param(p, s, &whole, k, &live[k], err);
        if (rc) return rc;
    }
    s->call.param = live;
    return SN_OK;
}

static bool same_args(const struct module *m, const sn_call *a, const sn_call *b)
{
    for (size_t i = 0; i < m->n_args; i++)
        if (a->arg[i].soft || b->arg[i].soft || !sn_value_same(&a->arg[i].value, &b->arg[i].value))
            return false;
    return true;
}

/* Does a step only map its inputs, element by element? */
static bool maps(const struct step *s)
{
    return s->kind == STEP_OP && s->module->op->flags & SN_OP_POINTWISE &&
           s->module->n_params == 0 && s->call.n_in > 0 && s->call.n_out == 1 &&
           s->in[0] != VALUE_ABSENT;
}

/* Does the node give the same result whenever its module has the same inputs? In training it does
 * not: each run updates statistics. */
static bool repeats(const struct sn_plan *p, const struct step *s)
{
    return p->mode == SN_EVAL && s->kind != STEP_WEIGHTED && s->n_patches == 0;
}

static bool same_step(const struct step *a, const struct step *b)
{
    if (a->kind != b->kind || a->call.n_in != b->call.n_in || a->call.n_out != b->call.n_out ||
        (a->call.n_in && memcmp(a->in, b->in, a->call.n_in * sizeof *a->in)))
        return false;
    return a->module == b->module || (maps(a) && maps(b) && a->module->op == b->module->op &&
                                      same_args(a->module, &a->call, &b->call));
}

/* The same for two steps that same_step() finds equal. */
static uint64_t hash_step(const struct hash_key *key, const struct step *s)
{
    uint64_t word[SN_MAX_ARGS + 2];
    size_t   n = 0;

    if (!maps(s))
        return hash_pair(key, (uint32_t)s->module->index, s->call.n_in ? (uint32_t)s->in[0] : 0);
    word[n++] = (uintptr_t)s->module->op;
    word[n++] = s->call.n_in == 1 ? (uint64_t)s->in[0]
                                  : hash_bytes(key, s->in, s->call.n_in * sizeof *s->in);
    for (size_t i = 0; i < s->module->n_args; i++) {
        const sn_value *v = &s->call.arg[i].value;

        word[n++] = v->kind == SN_KIND_BOOL ? v->as.boolean : value_hash(key, v);
    }
    return hash_bytes(key, word, n * sizeof *word);
}

/* Common subexpressions: an earlier step that computes the same from the same values, such as the
 * activation with which many edges of a cell begin. NULL if there is none; later steps will find
 * this one. */
static const struct step *made_before(struct sn_plan *p, struct step *s)
{
    const uint64_t hash = hash_step(arena_hash_key(p->work), s);
    int           *last = &p->maps.last[hash & (p->maps.n - 1)];

    for (int i = *last; i >= 0; i = p->step[i].before)
        if (same_step(&p->step[i], s)) return &p->step[i];
    s->before = *last;
    *last = (int)p->n_steps;
    return NULL;
}

static bool again_init(struct again *a, size_t most, sn_arena *mem)
{
    a->n = 1;
    while (a->n < most)
        a->n *= 2;
    a->last = arena_array(mem, a->n, sizeof *a->last);
    return a->last && memset(a->last, -1, a->n * sizeof *a->last);
}

static sn_status lower_node(struct sn_plan *p, const struct node *n, int *map, sn_error *err)
{
    static const enum step_kind kinds[] = {[NODE_OP] = STEP_OP,
                                           [NODE_SUM] = STEP_SUM,
                                           [NODE_MEAN] = STEP_MEAN,
                                           [NODE_CONCAT] = STEP_CONCAT,
                                           [NODE_WEIGHTED] = STEP_WEIGHTED};
    const struct module        *m = n->module;
    const struct step          *before;
    struct step s = {.kind = kinds[n->kind], .module = m, .same_shape = n->same_shape};
    int         in[SN_MAX_PORTS], out[SN_MAX_PORTS];
    sn_status   rc;

    for (int i = 0; i < n->n_in; i++)
        in[i] = n->in[i] == VALUE_ABSENT ? VALUE_ABSENT : map[n->in[i]];
    if (n->kind == NODE_PASS) {
        memcpy(map + n->out, in, (size_t)n->n_out * sizeof *map);
        return SN_OK;
    }
    rc = prepare_call(p, m, (size_t)n->n_in, (size_t)n->n_out, &s.call, err);
    if (!rc && n->kind == NODE_OP) rc = lower_operands(p, &s, err);
    if (!rc && n->kind == NODE_WEIGHTED)
        rc = plan_dist(p, n->option ? &m->depth : NULL, n->choice, &s.dist, err);
    if (!rc && n->option) { /* the network does not outlive compiling */
        uint32_t *option = arena_array(p->work, (size_t)n->n_in, sizeof *option);

        if (!option) return fail_no_memory(err, m->where);
        s.item_option = memcpy(option, n->option, (size_t)n->n_in * sizeof *option);
    }
    if (rc) return rc;
    if (m->op && (m->op->flags & SN_OP_ALIAS)) s.kind = STEP_ALIAS;
    if (s.kind == STEP_ALIAS && (n->n_in == 0 || in[0] == VALUE_ABSENT))
        return sn_fail(err, SN_E_INVALID, m->where,
                       "input 0 of %s comes from an optional input that was not given",
                       m->op->type);
    s.in = in;
    before = maps(&s) || repeats(p, &s) ? made_before(p, &s) : NULL;
    if (before) {
        memcpy(map + n->out, before->out, (size_t)n->n_out * sizeof *map);
        return SN_OK;
    }
    for (int i = 0; i < n->n_out; i++) {
        out[i] = map[n->out + i] = plan_add_value(p);
        if (out[i] < 0) return fail_no_memory(err, m->where);
        if (s.kind == STEP_ALIAS) p->value[out[i]].root = p->value[in[0]].root;
    }
    s.out = out;
    return plan_add_step(p, &s) ? SN_OK : fail_no_memory(err, m->where);
}

sn_status plan_lower(struct sn_plan *p, const struct network *w, const sn_desc *in, sn_error *err)
{
    const size_t n_in = w->net->n_inputs, n_out = w->net->n_outputs;
    int         *map = arena_array(w->mem, (size_t)w->n_values + 1, sizeof *map);
    int         *io = arena_array(p->work, n_in + n_out + 1, sizeof *io);

    if (!map || !io) return fail_no_memory(err, "plan");
    p->room = n_in + 16; /* blends and conversions come on top */
    for (size_t i = 0; i < w->n_nodes; i++)
        p->room += w->node[i].live ? (size_t)w->node[i].n_out : 0;
    if (!again_init(&p->maps, p->room, p->work) || !again_init(&p->dists, p->room, p->work))
        return fail_no_memory(err, "plan");
    for (size_t i = 0; i < n_in; i++) {
        const int v = plan_add_value(p);

        if (v < 0) return fail_no_memory(err, "plan");
        /* An input that is absent is to operators like one that is not connected. */
        io[i] = map[i] = in[i].dtype == SN_NONE ? VALUE_ABSENT : v;
        p->value[v].place = PLACE_INPUT;
        p->value[v].port = (int)i;
    }
    for (size_t i = 0; i < w->n_nodes; i++)
        if (w->node[i].live) {
            sn_status rc = plan_ask(p, 256, err);

            if (!rc) rc = lower_node(p, &w->node[i], map, err);
            if (rc) return rc;
        }
    for (size_t i = 0; i < n_out; i++)
        io[n_in + i] = w->output[i] == VALUE_ABSENT ? VALUE_ABSENT : map[w->output[i]];
    p->input = io;
    p->output = io + n_in;
    return SN_OK;
}
