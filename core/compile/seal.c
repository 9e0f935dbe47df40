/* seal: copies what a run needs from the memory of compiling (plan->work) to that of the plan
 * (plan->mem). Plans are kept by the thousand, and most members of a step are only for the stages
 * before.
 *
 * Steps under distributions and with patched parameters are rare and stay where they are:
 * a plan that has one keeps the memory of compiling. */
#include <string.h>

#include "compile/compile.h"
#include "space/value.h"

static bool stays(const struct step *s)
{
    return s->kind == STEP_WEIGHTED || s->kind == STEP_BLEND || s->n_patches > 0;
}

/* ---- slots ----------------------------------------------------------------------------- */

struct slots {
    struct sn_plan *p;
    int            *of; /* [n_values] slot of a value, or VALUE_ABSENT */
    int             n;
};

static void use(struct slots *t, int value)
{
    if (value != VALUE_ABSENT && t->of[value] == VALUE_ABSENT) t->of[value] = t->n++;
}

static int slot_of(const struct slots *t, int value)
{
    return value == VALUE_ABSENT ? VALUE_ABSENT : t->of[value];
}

/* Number the values that tasks read or write. */
static void number_slots(struct slots *t)
{
    const struct sn_plan *p = t->p;

    for (size_t i = 0; i < p->info.n_in; i++)
        use(t, p->input[i]);
    for (size_t i = 0; i < p->info.n_out; i++)
        use(t, p->output[i]);
    for (size_t i = 0; i < p->n_steps; i++) {
        const struct step *s = &p->step[i];

        for (size_t k = 0; k < s->call.n_in; k++)
            use(t, s->in[k]);
        for (size_t k = 0; k < s->call.n_out; k++)
            use(t, s->out[k]);
        for (int k = 0; k < s->n_patches; k++)
            if (s->patch[k].value >= 0) use(t, s->patch[k].value);
        if (s->adds) use(t, s->residual);
        if (s->gated) use(t, s->gate);
    }
}

static sn_status fill_slots(const struct slots *t, sn_error *err)
{
    struct sn_plan *p = t->p;
    int64_t        *dim;
    size_t          n_dims = 0;

    for (int v = 0; v < p->n_values; v++)
        if (t->of[v] != VALUE_ABSENT)
            n_dims += (size_t)p->value[v].desc.shape.rank * (p->value[v].batch_dims ? 2 : 1);
    p->slot = arena_array(p->mem, (size_t)t->n + 1, sizeof *p->slot);
    dim = arena_array(p->mem, n_dims + 1, sizeof *dim);
    if (!p->slot || !dim) return fail_no_memory(err, "plan");
    for (int v = 0; v < p->n_values; v++) {
        const struct value *value = &p->value[v], *root = &p->value[value->root];
        const int           rank = value->desc.shape.rank;

        if (t->of[v] == VALUE_ABSENT) continue;
        p->slot[t->of[v]] = (struct slot){.dim = dim,
                                          .offset_bytes = root->offset_bytes,
                                          .port = root->port,
                                          .rank = (uint8_t)rank,
                                          .batch_dims = (uint8_t)value->batch_dims,
                                          .dtype = (uint8_t)value->desc.dtype,
                                          .place = (uint8_t)root->place,
                                          .layout = (uint8_t)value->layout,
                                          .span = (uint8_t)root->span};
        for (int d = 0; d < rank; d++)
            dim[d] = value->unit.dim[d] - value->growth.per_sample[d];
        dim += rank;
        if (!value->batch_dims) continue;
        memcpy(dim, value->growth.per_sample, (size_t)rank * sizeof *dim);
        dim += rank;
    }
    return SN_OK;
}

static const int *copy_ports(const struct slots *t, const int *value, size_t n, int *to)
{
    for (size_t i = 0; i < n; i++)
        to[i] = slot_of(t, value[i]);
    return to;
}

/* ---- tasks ------------------------------------------------------------------------------- */

static void *copy(struct sn_plan *p, const void *from, size_t n, size_t size)
{
    void *to = arena_array(p->mem, n + 1, size);

    return to && n ? memcpy(to, from, n * size) : to;
}

/* A copy of all that an operator may read through its call. */
static sn_status copy_call(struct sn_plan *p, const struct step *s, sn_call **ret_call,
                           sn_error *err)
{
    const struct module *m = s->module;
    sn_call             *call = copy(p, &s->call, 1, sizeof *call);
    sn_arg              *arg = copy(p, s->call.arg, m->n_args, sizeof *arg);
    sn_tensor           *param = copy(p, s->call.param, m->n_params, sizeof *param);
    bool                 copied = call && arg && param;

    if (!copied) return fail_no_memory(err, s->call.where);
    for (size_t a = 0; a < m->n_args; a++)
        copied = copied && value_copy(p->mem, &s->call.arg[a].value, &arg[a].value);
    call->arg = arg;
    call->param = param;
    call->in = copy(p, s->call.in, s->call.n_in, sizeof *call->in);
    call->out = copy(p, s->call.out, s->call.n_out, sizeof *call->out);
    call->priv = copy(p, s->call.priv, 1, m->op->priv_bytes);
    if (!copied || !call->in || !call->out || !call->priv)
        return fail_no_memory(err, s->call.where);
    *ret_call = call;
    return plan_gather(p, p->mem, s, param, err);
}

static sn_status seal_step(struct sn_plan *p, const struct slots *t, const struct step *s,
                           struct task *ret, sn_error *err)
{
    const size_t n_in = s->call.n_in, n_out = s->call.n_out;
    int         *io = arena_array(p->mem, n_in + n_out + 1, sizeof *io);
    sn_call     *call = NULL;
    sn_status    rc = SN_OK;

    if (!io) return fail_no_memory(err, s->call.where);
    copy_ports(t, s->in, n_in, io);
    copy_ports(t, s->out, n_out, io + n_in);
    *ret = (struct task){.module = s->module,
                         .variant = s->variant,
                         .packed = s->packed,
                         .scale = s->scale,
                         .shift = s->shift,
                         .io = io,
                         .offset_bytes = s->offset_bytes,
                         .residual = s->adds ? slot_of(t, s->residual) : VALUE_ABSENT,
                         .gate = s->gated ? slot_of(t, s->gate) : VALUE_ABSENT,
                         .kind = (uint8_t)s->kind,
                         .act = (uint8_t)s->act,
                         .n_in = (uint8_t)n_in,
                         .n_out = (uint8_t)n_out};
    if (s->chain_to && s->chain_from == (size_t)(s - p->step))
        ret->chain = (uint8_t)(s->chain_to - s->chain_from);
    ret->chain_of_channels = s->chain_of_channels;
    if (stays(s)) {
        for (int k = 0; k < s->n_patches; k++)
            if (s->patch[k].value >= 0)
                ((struct patch *)s->patch)[k].value = slot_of(t, s->patch[k].value);
        ret->step = s;
        ret->call = &s->call;
        rc = plan_gather(p, p->work, s, (sn_tensor *)s->call.param, err);
    } else if (s->kind == STEP_OP && s->variant && s->variant->lean) {
        ret->priv = copy(p, s->call.priv, 1, s->module->op->priv_bytes);
        if (!ret->priv) return fail_no_memory(err, s->call.where);
    } else if (s->kind == STEP_OP) {
        rc = copy_call(p, s, &call, err);
        ret->call = call;
    }
    return rc;
}

sn_status plan_seal(struct sn_plan *p, sn_error *err)
{
    struct slots t = {.p = p, .of = arena_array(p->work, (size_t)p->n_values + 1, sizeof *t.of)};
    int         *io = arena_array(p->mem, p->info.n_in + p->info.n_out + 1, sizeof *io);
    bool         keeps = p->n_dists > 0;
    sn_status    rc;

    p->task = arena_array(p->mem, p->n_steps + 1, sizeof *p->task);
    if (!t.of || !io || !p->task) return fail_no_memory(err, "plan");
    for (int v = 0; v < p->n_values; v++)
        t.of[v] = VALUE_ABSENT;
    number_slots(&t);
    rc = fill_slots(&t, err);
    p->in_slot = copy_ports(&t, p->input, p->info.n_in, io);
    p->out_slot = copy_ports(&t, p->output, p->info.n_out, io + p->info.n_in);
    for (size_t i = 0; rc == SN_OK && i < p->n_steps; i++) {
        rc = plan_ask(p, 64, err);
        if (rc == SN_OK) rc = seal_step(p, &t, &p->step[i], &p->task[i], err);
        keeps = keeps || stays(&p->step[i]);
    }
    if (rc != SN_OK) return rc;
    p->n_tasks = p->n_steps;
    p->n_slots = (size_t)t.n;
    p->step = NULL;
    p->value = NULL;
    p->input = p->output = NULL;
    if (!keeps) p->work = sn_arena_free(p->work);
    p->info.plan_bytes = arena_bytes(p->mem) + (keeps ? arena_bytes(p->work) : 0);
    return SN_OK;
}
