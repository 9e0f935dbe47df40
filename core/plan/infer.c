/* infer: shapes through the steps, once for batch 1 and once for the largest batch.
 *
 * Comparing the two tells which dimensions grow with the batch, so that a run needs no
 * inference: dimension = unit * batch where the bit is set, constant otherwise. */
#include <stdio.h>
#include <string.h>

#include "plan/plan.h"

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
    if (got->shape.rank == port->desc.shape.rank && sn_shape_count(&got->shape) >= 0) return SN_OK;
wrong:
    return sn_fail(err, SN_E_SHAPE, port->name, "input \"%s\" has shape %s, expected %s",
                   port->name, sn_shape_text(&got->shape, got_text, sizeof got_text),
                   port_text(port, want_text, sizeof want_text));
}

/* One pass over all steps; inputs have been set. */
static sn_status infer_steps(struct sn_plan *p, sn_error *err)
{
    for (size_t i = 0; i < p->n_steps; i++) {
        struct step *s = &p->step[i];
        sn_desc     *in = (sn_desc *)s->call.in;
        sn_status    rc = SN_OK;

        if (s->kind == STEP_BLEND) continue;
        for (size_t k = 0; k < s->call.n_in; k++)
            in[k] =
                s->in[k] == VALUE_ABSENT ? (sn_desc){.dtype = SN_NONE} : p->value[s->in[k]].desc;
        if (s->kind == STEP_OP || s->kind == STEP_ALIAS)
            rc = s->module->op->infer(&s->call, err);
        else
            rc = combine_infer(s, in, s->call.out, err);
        if (rc) return rc;
        s->scratch_bytes = s->call.scratch_bytes;
        for (size_t k = 0; k < s->call.n_out; k++)
            p->value[s->out[k]].desc = s->call.out[k];
    }
    return SN_OK;
}

static void set_inputs(struct sn_plan *p, const sn_desc *in, bool one)
{
    const sn_supernet *net = p->subnet->net;

    for (size_t i = 0; i < net->n_inputs; i++) {
        if (p->input[i] == VALUE_ABSENT) continue;
        sn_desc *desc = &p->value[p->input[i]].desc;

        *desc = in[i];
        for (int d = 0; one && d < desc->shape.rank; d++)
            if (is_batch(&net->input[i], d)) desc->shape.dim[d] = 1;
    }
}

/* Which dimensions are multiples of the batch; false if one is neither that nor constant. */
static bool find_batch_dims(struct value *v, int64_t batch)
{
    for (int d = 0; d < v->desc.shape.rank; d++) {
        const int64_t one = v->unit.dim[d], all = v->desc.shape.dim[d];

        if (one == all) continue;
        if (one * batch != all) return false;
        v->batch_dims |= 1u << d;
    }
    return v->unit.rank == v->desc.shape.rank;
}

/* What infer wrote down for each operator, one after the other; priv is cleared for the next pass.
 */
static char *take_privs(struct sn_plan *p)
{
    size_t n_bytes = 1;
    char  *all, *at;

    for (size_t i = 0; i < p->n_steps; i++)
        if (p->step[i].module->op) n_bytes += p->step[i].module->op->priv_bytes;
    all = at = sn_arena_alloc(p->work, n_bytes);
    for (size_t i = 0; all && i < p->n_steps; i++) {
        const sn_op *op = p->step[i].module->op;

        if (!op || !p->step[i].call.priv) continue;
        memcpy(at, p->step[i].call.priv, op->priv_bytes);
        memset(p->step[i].call.priv, 0, op->priv_bytes);
        at += op->priv_bytes;
    }
    return all;
}

/* With the batch anywhere but in front, what an operator takes for the height of an image may
 * grow with it. Then its notes are true for one batch only. */
static bool notes_depend_on_batch(const struct sn_plan *p, const char *at)
{
    bool elsewhere = false;

    for (int v = 0; v < p->n_values; v++)
        elsewhere = elsewhere || p->value[v].batch_dims & ~1u;
    for (size_t i = 0; elsewhere && i < p->n_steps; i++) {
        const sn_op *op = p->step[i].module->op;

        if (!op || !p->step[i].call.priv) continue;
        if (memcmp(at, p->step[i].call.priv, op->priv_bytes)) return true;
        at += op->priv_bytes;
    }
    return false;
}

sn_status plan_infer(struct sn_plan *p, const sn_desc *in, sn_error *err)
{
    const sn_supernet *net = p->subnet->net;
    const char        *notes = NULL;
    sn_status          rc;

    for (size_t i = 0; i < net->n_inputs; i++) {
        rc = check_input(net, in, i, err);
        if (rc) return rc;
        for (int d = 0; in[i].dtype != SN_NONE && d < in[i].shape.rank; d++)
            if (is_batch(&net->input[i], d)) p->info.max_batch = in[i].shape.dim[d];
    }
    if (p->info.max_batch > 1) {
        set_inputs(p, in, true);
        p->fixed_batch = infer_steps(p, NULL) != SN_OK; /* training may need more than one */
        for (int v = 0; v < p->n_values; v++)
            p->value[v].unit = p->value[v].desc.shape;
        notes = take_privs(p);
        if (!notes) return fail_no_memory(err, "plan");
    }
    set_inputs(p, in, false);
    rc = infer_steps(p, err);
    if (rc) return rc;
    for (int v = 0; v < p->n_values; v++) {
        if (p->info.max_batch <= 1)
            p->value[v].unit = p->value[v].desc.shape;
        else if (!p->fixed_batch && !find_batch_dims(&p->value[v], p->info.max_batch))
            p->fixed_batch = true;
    }
    if (notes && !p->fixed_batch) p->fixed_batch = notes_depend_on_batch(p, notes);
    return SN_OK;
}
