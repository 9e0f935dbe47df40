/* operand: the arguments of a live operator, and which part of each parameter is live.
 *
 * A prefix or a crop is a view into the mapped file. Several pieces on an axis (the rows of q, k
 * and v) are none: whoever needs their data has to copy them together. */
#include "live/operand.h"

#include "tensor/tensor.h"

sn_status operand_args(const struct decision *decision, const struct module *m, sn_arena *mem,
                       sn_arg *arg, sn_error *err)
{
    for (size_t a = 0; a < m->n_args; a++) {
        const struct arg_slot *slot = &m->arg[a];

        arg[a] = (sn_arg){.value = slot->super,
                          .super = slot->super,
                          .option = slot->option,
                          .n_options = slot->n_options,
                          .soft = decision_is_soft(decision, slot),
                          .elastic = slot->expr != NULL,
                          .position = slot->position};
        if (!arg[a].soft) {
            const sn_status rc = decision_evaluate(decision, slot, mem, &arg[a].value, err);

            if (rc) return rc;
        }
    }
    return SN_OK;
}

bool operand_is_full(const sn_slice *s, int axis, int64_t size)
{
    return s->axis[axis].n == 1 && s->axis[axis].piece[0].start == 0 &&
           s->axis[axis].piece[0].stop == size;
}

/* Everything; axes that the tensor does not have stay as they are. */
static void cut_nothing(sn_slice *s, const sn_shape *whole)
{
    s->rank = whole->rank;
    for (int d = 0; d < s->rank; d++) {
        s->axis[d].n = 1;
        s->axis[d].piece[0] = (sn_range){0, whole->dim[d]};
    }
}

/* What an operator, of a plug-in too, says is cut: inside of the tensor, in pieces there is room
 * for. */
sn_status operand_slice(const struct module *m, const sn_call *call, size_t k, int s,
                        const sn_value *value, sn_slice *ret_slice, sn_error *err)
{
    const sn_shape *whole = &call->param[k].shape;
    sn_status       rc =
        fail_foreign(err, m->op->slice(call, k, s, value, ret_slice, err), m->where, m->type);

    if (rc) return rc;
    if (ret_slice->rank != whole->rank) goto outside;
    for (int d = 0; d < whole->rank; d++) {
        if (ret_slice->axis[d].n < 1 || ret_slice->axis[d].n > SN_MAX_PIECES) goto outside;
        for (int i = 0; i < ret_slice->axis[d].n; i++) {
            const sn_range r = ret_slice->axis[d].piece[i];

            if (r.start < 0 || r.stop < r.start || r.stop > whole->dim[d]) goto outside;
        }
    }
    return SN_OK;
outside:
    return sn_fail(err, SN_E_SHAPE, call->where, "%s cuts \"%s\" where that has nothing", m->type,
                   m->op->params[k].name);
}

/* Narrow `cut` by `by`. Two steps that cut one axis keep what both keep. */
static sn_status narrow(sn_slice *cut, const sn_slice *by, const sn_tensor *whole,
                        const char *where, sn_error *err)
{
    for (int d = 0; d < cut->rank; d++) {
        const sn_range r = by->axis[d].piece[0];
        sn_range      *c = &cut->axis[d].piece[0];

        if (operand_is_full(by, d, whole->shape.dim[d])) continue;
        if (operand_is_full(cut, d, whole->shape.dim[d])) {
            cut->axis[d] = by->axis[d];
            continue;
        }
        if (by->axis[d].n != 1 || cut->axis[d].n != 1)
            return sn_fail(err, SN_E_UNSUPPORTED, where,
                           "two slicing steps cut axis %d of a parameter into pieces", d);
        c->start = r.start > c->start ? r.start : c->start;
        c->stop = r.stop < c->stop ? r.stop : c->stop;
        if (c->stop < c->start) c->stop = c->start;
    }
    return SN_OK;
}

static bool has_pieces(const sn_slice *s)
{
    for (int d = 0; d < s->rank; d++)
        if (s->axis[d].n != 1) return true;
    return false;
}

float *operand_gather(const sn_tensor *whole, const sn_slice *cut, int64_t count, sn_arena *mem)
{
    char *to = sn_arena_alloc(mem, (size_t)count * sizeof(float) + SN_ALIGN_BYTES);

    if (!to) return NULL;
    to += -(uintptr_t)to & (SN_ALIGN_BYTES - 1);
    tensor_gather(whole, cut, (float *)to);
    return (float *)to;
}

/* The shape of what is left, dense, without its data. */
static sn_tensor gathered(const sn_slice *cut)
{
    sn_shape shape = {.rank = cut->rank};

    for (int d = 0; d < cut->rank; d++)
        for (int k = 0; k < cut->axis[d].n; k++)
            shape.dim[d] += cut->axis[d].piece[k].stop - cut->axis[d].piece[k].start;
    return sn_tensor_dense(SN_F32, &shape, NULL);
}

sn_status operand_param(const struct module *m, const sn_call *whole, size_t k,
                        struct live_param *live, sn_error *err)
{
    const sn_param_def *def = &m->op->params[k];
    const sn_tensor    *t = &whole->param[k];

    live->tensor = *t;
    live->in_pieces = false;
    live->n_masks = 0;
    if (t->dtype == SN_NONE) return SN_OK;
    cut_nothing(&live->cut, &t->shape);
    for (int s = 0; s < def->n_steps; s++) {
        const sn_arg *arg = &whole->arg[def->step[s]];
        sn_slice      one;
        sn_status     rc;

        if (arg->soft && (m->arg[def->step[s]].flags & SN_ARG_SOFT_MASK)) {
            live->mask[live->n_masks++] = s;
            continue;
        }
        rc = operand_slice(m, whole, k, s, &arg->value, &one, err);
        if (!rc) rc = narrow(&live->cut, &one, t, m->where, err);
        if (rc) return rc;
    }
    live->in_pieces = has_pieces(&live->cut);
    if (!live->in_pieces) return sn_tensor_slice(t, &live->cut, &live->tensor, err);
    live->tensor = gathered(&live->cut);
    return SN_OK;
}
