/* fuse: a step does what follows it in its epilogue.
 *
 * A step that runs as a variant is merged with the only reader of its result: a normalisation by
 * channel becomes its scale and shift, an addition its residual, an activation its activation. The
 * merged step takes the place of the reader, after all that it reads.
 *
 *     conv -> BatchNorm2d -> Add(x) -> ReLU      becomes      conv with an epilogue
 */
#include "compile/compile.h"
#include "tensor/growth.h"

/* For every batch. */
static bool same_desc(const struct sn_plan *p, int a, int b)
{
    return p->value[a].desc.dtype == p->value[b].desc.dtype &&
           growth_equal(&p->value[a].growth, &p->value[b].growth) &&
           sn_shape_equal(&p->value[a].desc.shape, &p->value[b].desc.shape);
}

/* y = x * scale + shift of an operator, from the supernet where they are a prefix of its own;
 * scale stays NULL if it is not affine. */
static sn_status fold(struct sn_plan *p, const struct step *s, const float **ret_scale,
                      const float **ret_shift, sn_error *err)
{
    const sn_op *op = s->module->op;
    const size_t n = (size_t)s->call.in[0].shape.dim[1] + 16; /* kernels read whole vectors */
    float       *scale, *shift;
    sn_status    rc;

    if (s->n_gathers) return SN_OK; /* not copied together yet */
    rc = pack_affine(s->module, p->subnet->net, &s->call, ret_scale, ret_shift, err);
    if (rc != SN_OK || *ret_scale) return rc;
    scale = arena_array(p->mem, n, sizeof *scale);
    shift = arena_array(p->mem, n, sizeof *shift);
    if (!scale || !shift) return fail_no_memory(err, s->call.where);
    if (!op->affine(&s->call, scale, shift)) return SN_OK;
    *ret_scale = scale;
    *ret_shift = shift;
    return SN_OK;
}

static bool fuse_affine(struct sn_plan *p, struct step *s, const struct step *next, sn_error *err,
                        sn_status *rc)
{
    if (!(s->variant->fuses & SN_FUSES_AFFINE) || !next->module->op->affine || next->n_patches ||
        p->value[s->out[0]].desc.shape.rank < 2 || s->scale || s->act != SN_ACT_NONE || s->adds)
        return false;
    *rc = fold(p, next, &s->scale, &s->shift, err);
    return *rc == SN_OK && s->scale;
}

/* [N, C, 1, 1] beside [N, C, H, W] */
static bool is_gate(const struct value *gate_value, const struct value *x_value)
{
    const sn_desc *gate = &gate_value->desc, *x = &x_value->desc;
    const int64_t *g = gate->shape.dim, *d = x->shape.dim;

    return growth_equal(&gate_value->growth, &x_value->growth) && gate->dtype == SN_F32 &&
           gate->shape.rank == 4 && x->shape.rank == 4 && g[0] == d[0] && g[1] == d[1] &&
           g[2] == 1 && g[3] == 1;
}

static bool fuse_residual(const struct sn_plan *p, struct step *s, const struct step *next)
{
    int other;

    if (!(s->variant->fuses & SN_FUSES_RESIDUAL) || !(next->module->op->flags & SN_OP_ADD) ||
        next->call.n_in != 2 || s->act != SN_ACT_NONE || s->adds)
        return false;
    other = next->in[next->in[0] == s->out[0]];
    if (other == VALUE_ABSENT || !same_desc(p, other, s->out[0])) return false;
    s->adds = true;
    s->residual = other;
    return true;
}

static bool fuse_act(struct step *s, const struct step *next)
{
    if (!(s->variant->fuses & SN_FUSES_ACT) || !next->module->op->act || s->act != SN_ACT_NONE)
        return false;
    s->act = next->module->op->act(&next->call);
    /* One that this library does not know, of a plug-in, is a step of its own. */
    if ((unsigned)s->act > SN_ACT_GELU) s->act = SN_ACT_NONE;
    return s->act != SN_ACT_NONE;
}

/* Squeeze and excite: `s` is the only reader of x * gate, and multiplies on its own. */
static void fuse_gate(struct sn_plan *p, struct step *s, const struct readers *r)
{
    const int    v = s->call.n_in == 1 ? s->in[0] : VALUE_ABSENT;
    const int    i = v == VALUE_ABSENT || r->n[v] != 1 ? -1 : r->made[v];
    struct step *mul = i < 0 ? NULL : &p->step[i];
    int          x, gate;

    if (!mul || mul->kind != STEP_OP || !(mul->module->op->flags & SN_OP_MUL) || mul->n_patches ||
        mul->call.n_in != 2 || mul->call.mode != SN_EVAL || !s->variant->gated_bytes)
        return;
    x = mul->in[0];
    gate = mul->in[1];
    if (x == VALUE_ABSENT || gate == VALUE_ABSENT || x == gate) return;
    if (!same_desc(p, x, v)) {
        x = gate;
        gate = mul->in[0];
    }
    if (!same_desc(p, x, v) || !is_gate(&p->value[gate], &p->value[v]) ||
        !s->variant->gated_bytes(&s->call))
        return;
    *(int *)s->in = x;
    s->gated = true;
    s->gate = gate;
    mul->kind = STEP_DROPPED;
}

/* Let `s` do what `next`, the only reader of its result, does. */
static bool take_over(struct sn_plan *p, struct step *s, const struct step *next, sn_error *err,
                      sn_status *rc)
{
    if (next->adds) return false; /* it reads our result as its residual */
    if (next->kind == STEP_ALIAS) return same_desc(p, next->out[0], s->out[0]);
    if (next->kind != STEP_OP || next->call.mode != SN_EVAL) return false;
    return fuse_affine(p, s, next, err, rc) ||
           (*rc == SN_OK && (fuse_residual(p, s, next) || fuse_act(s, next)));
}

enum { FUSE_STEPS = 8 };

sn_status plan_fuse(struct sn_plan *p, sn_error *err)
{
    sn_arena      *work = sn_arena_create();
    struct readers r;
    sn_status      rc = SN_OK;

    if (!work || !plan_readers(p, work, &r)) {
        sn_arena_free(work);
        return fail_no_memory(err, "plan");
    }
    for (size_t i = 0; rc == SN_OK && i < p->n_steps; i++) {
        struct step *s = &p->step[i];

        rc = plan_spend(p, s, FUSE_STEPS, err);
        if (rc != SN_OK) break;
        if (s->variant) fuse_gate(p, s, &r);
        /* A normalisation that follows nothing runs as an epilogue alone. */
        if (s->variant && s->module->op->affine && !s->scale)
            rc = fold(p, s, &s->scale, &s->shift, err);
        if (s->variant && s->module->op->affine && !s->scale && !s->adds) s->variant = NULL;
        while (rc == SN_OK && s->variant && s->call.n_out == 1 && r.n[s->out[0]] == 1) {
            struct step *next = &p->step[r.step[s->out[0]]];

            if (!take_over(p, s, next, err, &rc)) break;
            p->value[next->out[0]].root = next->out[0]; /* an alias no more */
            s->out = next->out;
            *next = *s; /* stands behind all that it reads */
            s->kind = STEP_DROPPED;
            s = next;
        }
    }
    sn_arena_free(work);
    return rc;
}
