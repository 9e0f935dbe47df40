/* infer: shapes through the steps for the largest batch, and how each of them grows with it.
 *
 * Operators say how their outputs follow from what their inputs do (sn_op.grow), so that a
 * dimension is known for every batch without looking at one: per sample * N + a constant. Where
 * an operator cannot say so, the plan is one for a fixed batch. */
#include <stdio.h>
#include <string.h>

#include "compile/compile.h"
#include "run/combine.h"
#include "tensor/growth.h"

static bool is_batch(const sn_port *port, int dim)
{
    return port->symbol[dim] && !strcmp(port->symbol[dim], "N");
}

/* The size that a symbol has in the inputs before dimension (i, d), or -1. */
static int64_t symbol_size(const sn_supernet *net, const sn_desc *in, const char *symbol, size_t i,
                           int d)
{
    for (size_t j = 0; j <= i; j++)
        for (int e = 0; in[j].dtype != SN_NONE && e < (j == i ? d : in[j].shape.rank); e++)
            if (net->input[j].symbol[e] && !strcmp(net->input[j].symbol[e], symbol))
                return in[j].shape.dim[e];
    return -1;
}

/* "[N, 1, 8, 8]" as the specification has it. */
static const char *port_text(const sn_port *port, char *buf, size_t n_bytes)
{
    size_t at = (size_t)snprintf(buf, n_bytes, "[");

    for (int d = 0; d < port->desc.shape.rank && at < n_bytes; d++)
        at += (size_t)(port->symbol[d] ? snprintf(buf + at, n_bytes - at, "%s%s", d ? ", " : "",
                                                  port->symbol[d])
                                       : snprintf(buf + at, n_bytes - at, "%s%lld", d ? ", " : "",
                                                  (long long)port->desc.shape.dim[d]));
    if (at < n_bytes) snprintf(buf + at, n_bytes - at, "]");
    return buf;
}

/* Bytes that can be counted. */
static bool has_bytes(const sn_desc *desc)
{
    const int64_t n = sn_shape_count(&desc->shape);

    return n >= 0 && n <= PTRDIFF_MAX / (int64_t)sn_dtype_bytes(desc->dtype);
}

static sn_status check_input(const sn_supernet *net, const sn_desc *in, size_t i, sn_error *err)
{
    const sn_port *port = &net->input[i];
    const sn_desc *got = &in[i];
    char           want_text[256], got_text[192];

    if (got->dtype == SN_NONE) {
        if (port->optional) return SN_OK;
        return sn_fail(err, SN_E_INVALID, port->name, "input \"%s\" is missing", port->name);
    }
    if (got->dtype != port->desc.dtype)
        return sn_fail(err, SN_E_DTYPE, port->name, "input \"%s\" is %s, expected %s", port->name,
                       sn_dtype_name(got->dtype), sn_dtype_name(port->desc.dtype));
    for (int d = 0; d < got->shape.rank && got->shape.rank == port->desc.shape.rank; d++) {
        const int64_t size = got->shape.dim[d];
        const int64_t want =
            port->symbol[d] ? symbol_size(net, in, port->symbol[d], i, d) : port->desc.shape.dim[d];

        if (want >= 0 && size != want && port->symbol[d])
            return sn_fail(err, SN_E_SHAPE, port->name,
                           "dimension %d of input \"%s\" is %lld, but %s is %lld elsewhere", d,
                           port->name, (long long)size, port->symbol[d], (long long)want);
        if (want >= 0 && size != want) goto wrong;
        if (is_batch(port, d) && size < 1)
            return sn_fail(err, SN_E_SHAPE, port->name, "the batch of input \"%s\" is %lld",
                           port->name, (long long)size);
    }
    if (got->shape.rank == port->desc.shape.rank && has_bytes(got)) return SN_OK;
wrong:
    return sn_fail(err, SN_E_SHAPE, port->name, "input \"%s\" has shape %s, expected %s",
                   port->name, sn_shape_text(&got->shape, got_text, sizeof got_text),
                   port_text(port, want_text, sizeof want_text));
}

/* What an operator's infer takes, in steps of the budget. */
enum { STEP_WORK = 32 };

/* ---- shapes ---------------------------------------------------------------------------- */

/* An optional input of the supernet that was not given may be wired to an operator that needs it.
 */
static sn_status check_present(const struct step *s, const sn_desc *in, sn_error *err)
{
    const sn_op *op = s->module->op;

    for (size_t k = 0; k < s->call.n_in && k < (size_t)op->min_in; k++)
        if (in[k].dtype == SN_NONE)
            return sn_fail(err, SN_E_INVALID, s->call.where,
                           "input %zu of %s comes from an optional input that was not given", k,
                           op->type);
    return SN_OK;
}

/* Bytes that can be counted. */
static bool is_possible(const sn_desc *desc)
{
    const int64_t n = sn_shape_count(&desc->shape);

    if (desc->dtype == SN_NONE) return true;
    return (unsigned)desc->dtype < SN_DTYPE_COUNT && n >= 0 &&
           n <= PTRDIFF_MAX / (int64_t)sn_dtype_bytes(desc->dtype);
}

static sn_status infer_step(struct sn_plan *p, struct step *s, sn_error *err)
{
    sn_desc  *in = (sn_desc *)s->call.in;
    sn_status rc;

    for (size_t k = 0; k < s->call.n_in; k++)
        in[k] = s->in[k] == VALUE_ABSENT ? (sn_desc){.dtype = SN_NONE} : p->value[s->in[k]].desc;
    if (s->kind != STEP_OP && s->kind != STEP_ALIAS) return combine_infer(s, in, s->call.out, err);
    rc = check_present(s, in, err);
    if (!rc)
        rc = fail_foreign(err, s->module->op->infer(&s->call, err), s->call.where, s->module->type);
    /* An operator of a plug-in may say anything. */
    for (size_t k = 0; !rc && k < s->call.n_out; k++)
        if (!is_possible(&s->call.out[k]))
            rc = sn_fail(err, SN_E_SHAPE, s->call.where,
                         "output %zu of %s has an impossible shape or element type", k,
                         s->module->type);
    return rc;
}

/* Everything that the subnet computes, before steps are fused. */
static void add_cost(struct sn_plan *p, const struct step *s)
{
    sn_cost cost = {0};

    if (s->kind != STEP_OP || !s->module->op->cost) return;
    s->module->op->cost(&s->call, &cost);
    if (p->counted[s->module->index]) cost.params = 0; /* it runs again, with the same ones */
    p->counted[s->module->index] = true;
    p->info.cost.macs += cost.macs;
    p->info.cost.params += cost.params;
    p->info.cost.bytes_moved += cost.bytes_moved;
    if (p->module_cost) {
        sn_cost *own = &p->module_cost[s->module->index];

        own->macs += cost.macs;
        own->params += cost.params;
        own->bytes_moved += cost.bytes_moved;
    }
}

static sn_status infer_steps(struct sn_plan *p, sn_error *err)
{
    for (size_t i = 0; i < p->n_steps; i++) {
        struct step *s = &p->step[i];
        sn_status    rc;

        if (s->kind == STEP_BLEND) continue;
        rc = plan_spend(p, s, STEP_WORK, err);
        if (!rc) rc = infer_step(p, s, err);
        if (rc) return rc;
        s->scratch_bytes = s->call.scratch_bytes;
        for (size_t k = 0; k < s->call.n_out; k++)
            p->value[s->out[k]].desc = s->call.out[k];
        add_cost(p, s);
    }
    return SN_OK;
}

/* ---- how they grow ----------------------------------------------------------------------- */

static void set_growth(struct value *v, const sn_growth *growth)
{
    v->growth = *growth;
    v->batch_dims = 0;
    for (int d = 0; d < v->desc.shape.rank; d++)
        if (growth->per_sample[d]) v->batch_dims |= 1u << d;
}

/* All inputs grow as the first does; along axis 0 alone, if `batch_only`. */
static bool inputs_agree(const sn_call *call, const sn_growth *in, bool batch_only)
{
    for (size_t k = 0; k < call->n_in; k++) {
        const sn_shape *x = &call->in[k].shape, *first = &call->in[0].shape;

        if (call->in[k].dtype == SN_NONE || !growth_equal(&in[k], &in[0])) return false;
        if (batch_only ? x->rank < 1 || x->dim[0] != first->dim[0] || !growth_only(&in[k], 0)
                       : !sn_shape_equal(x, first))
            return false;
    }
    return true;
}

/* Growth that follows from the flags of an operator. */
static bool grow_by_flags(const struct step *s, const sn_growth *in, sn_growth *out)
{
    const sn_call *call = &s->call;
    const unsigned flags = s->module->op->flags;
    const bool     pointwise = flags & SN_OP_POINTWISE;

    if (!pointwise && !(flags & SN_OP_SAMPLES)) return false;
    if (call->n_in == 0 || !inputs_agree(call, in, !pointwise)) return false;
    for (size_t k = 0; k < call->n_out; k++) {
        const sn_desc *y = &call->out[k];

        if (y->dtype == SN_NONE) continue;
        if (pointwise ? !sn_shape_equal(&y->shape, &call->in[0].shape)
                      : y->shape.rank < 1 || y->shape.dim[0] != call->in[0].shape.dim[0])
            return false;
        out[k] = in[0];
    }
    return true;
}

/* Refuse growth that gives a negative size at batch 1: an operator (of a plug-in) that is wrong
 * about itself. */
static bool is_sound(const struct sn_plan *p, const sn_desc *desc, const sn_growth *growth)
{
    for (int d = 0; d < SN_MAX_RANK; d++) {
        int64_t less;

        if (growth->per_sample[d] == 0) continue;
        if (growth->per_sample[d] < 0 || desc->dtype == SN_NONE || d >= desc->shape.rank ||
            __builtin_mul_overflow(growth->per_sample[d], p->info.max_batch, &less) ||
            less > desc->shape.dim[d])
            return false;
    }
    return true;
}

/* The growth of the outputs of `s`; false: unknown. */
static bool grow_step(struct sn_plan *p, struct step *s)
{
    sn_growth in[SN_MAX_PORTS], out[SN_MAX_PORTS];
    bool      any = false;

    if (s->kind == STEP_BLEND) return true;
    for (size_t k = 0; k < s->call.n_in && !any; k++)
        any = s->in[k] != VALUE_ABSENT && p->value[s->in[k]].batch_dims;
    if (!any) return true;
    memset(out, 0, s->call.n_out * sizeof *out);
    for (size_t k = 0; k < s->call.n_in; k++)
        in[k] = s->in[k] == VALUE_ABSENT ? (sn_growth){0} : p->value[s->in[k]].growth;
    if (s->kind != STEP_OP && s->kind != STEP_ALIAS) {
        if (!combine_grow(s, in, out)) return false;
    } else if (s->module->op->grow ? !s->module->op->grow(&s->call, in, out)
                                   : !grow_by_flags(s, in, out)) {
        return false;
    }
    for (size_t k = 0; k < s->call.n_out; k++) {
        if (!is_sound(p, &s->call.out[k], &out[k])) return false;
        set_growth(&p->value[s->out[k]], &out[k]);
    }
    return true;
}

static void grow_inputs(struct sn_plan *p)
{
    const sn_supernet *net = p->subnet->net;

    for (size_t i = 0; i < net->n_inputs; i++) {
        sn_growth growth = {0};

        if (p->input[i] == VALUE_ABSENT) continue;
        for (int d = 0; d < net->input[i].desc.shape.rank; d++)
            growth.per_sample[d] = is_batch(&net->input[i], d);
        set_growth(&p->value[p->input[i]], &growth);
    }
}

/* A plan for one batch: all shapes are constant. */
static void fix_batch(struct sn_plan *p)
{
    const sn_growth none = {0};

    p->info.fixed_batch = true;
    for (int v = 0; v < p->n_values; v++)
        set_growth(&p->value[v], &none);
}

static void set_units(struct sn_plan *p)
{
    for (int v = 0; v < p->n_values; v++) {
        struct value *value = &p->value[v];

        value->unit = value->desc.shape;
        for (int d = 0; d < value->unit.rank; d++)
            value->unit.dim[d] -=
                value->growth.per_sample[d] * (p->info.max_batch > 0 ? p->info.max_batch - 1 : 0);
    }
}

/* ---- temporary memory of steps ------------------------------------------------------------ */

/* Batches that an operator is asked about one by one. */
enum { ASK_MOST = 4096 };

static bool is_steady(const struct sn_plan *p, const struct step *s)
{
    if (s->kind != STEP_OP || s->module->op->flags & SN_OP_STEADY_SCRATCH) return true;
    for (size_t k = 0; k < s->call.n_in; k++)
        if (s->in[k] != VALUE_ABSENT && p->value[s->in[k]].batch_dims) return false;
    return true;
}

static size_t scratch_now(const struct step *s)
{
    size_t n = s->call.scratch_bytes;

    if (s->variant && s->variant->scratch_bytes) n = s->variant->scratch_bytes(&s->call);
    if (s->gated && __builtin_add_overflow(n, s->variant->gated_bytes(&s->call), &n)) n = SIZE_MAX;
    return n;
}

/* Infer at another batch; what the values say is that of the largest. */
static sn_status infer_at(struct sn_plan *p, struct step *s, int64_t batch)
{
    sn_desc *in = (sn_desc *)s->call.in;

    for (size_t k = 0; k < s->call.n_in; k++) {
        const struct value *v = s->in[k] == VALUE_ABSENT ? NULL : &p->value[s->in[k]];

        in[k] = v ? v->desc : (sn_desc){.dtype = SN_NONE};
        for (int d = 0; v && d < in[k].shape.rank; d++)
            in[k].shape.dim[d] -= v->growth.per_sample[d] * (p->info.max_batch - batch);
    }
    return s->module->op->infer(&s->call, NULL);
}

size_t plan_scratch(struct sn_plan *p, struct step *s)
{
    size_t most = scratch_now(s);

    if (is_steady(p, s)) return most;
    for (int64_t batch = 1; batch <= p->info.max_batch; batch++) /* the largest one last */
        if (infer_at(p, s, batch) == SN_OK && scratch_now(s) > most) most = scratch_now(s);
    return most;
}

/* The most temporary memory over all batches, for an operator that does not promise
 * SN_OP_STEADY_SCRATCH. */
static bool keeps_its_word(struct sn_plan *p, struct step *s)
{
    bool kept = p->info.max_batch <= ASK_MOST;

    if (is_steady(p, s)) return true;
    for (int64_t batch = 1; kept && batch < p->info.max_batch; batch++)
        kept = plan_spend(p, s, STEP_WORK, NULL) == SN_OK && infer_at(p, s, batch) == SN_OK;
    return infer_at(p, s, p->info.max_batch) == SN_OK && kept;
}

/* ------------------------------------------------------------------------------------------ */

sn_status plan_infer(struct sn_plan *p, const sn_desc *in, sn_error *err)
{
    const sn_supernet *net = p->subnet->net;
    bool               known = true;
    sn_status          rc;

    for (size_t i = 0; i < net->n_inputs; i++) {
        rc = check_input(net, in, i, err);
        if (rc) return rc;
        for (int d = 0; in[i].dtype != SN_NONE && d < in[i].shape.rank; d++)
            if (is_batch(&net->input[i], d)) p->info.max_batch = in[i].shape.dim[d];
        if (p->input[i] != VALUE_ABSENT) p->value[p->input[i]].desc = in[i];
    }
    p->counted = arena_array(p->work, net->n_modules + 1, sizeof *p->counted);
    if (!p->counted) return fail_no_memory(err, "plan");
    rc = infer_steps(p, err);
    if (rc) return rc;
    grow_inputs(p);
    for (size_t i = 0; known && i < p->n_steps; i++)
        known = grow_step(p, &p->step[i]) && keeps_its_word(p, &p->step[i]);
    if (!known) fix_batch(p);
    set_units(p);
    return p->n_steps ? plan_spend(p, &p->step[0], 0, err) : SN_OK; /* stopped on the way? */
}
