/* feature_scale: a plug-in with one mixed operation and one policy.
 *
 *     FeatureScale   y = x * weight        x, y [..., num_features]
 *                    weight [max num_features], a subnet uses weight[:num_features]
 *     first          every choice gets its first candidate
 */
#include <supernet/op.h>

SN_PLUGIN;

/* ---- the operation ---- */

static const sn_arg_def args[] = {
    {"num_features", SN_KINDS(SN_KIND_INT), SN_ARG_CHOICE | SN_ARG_SOFT_MASK, NULL, NULL},
    {0},
};

/* One parameter, cut in one step, by argument 0. */
static const sn_param_def params[] = {{"weight", 0, 1, {0}}, {0}};

/* The shape of the shared weight: as large as the largest candidate needs. */
static sn_status shape(const sn_call *call, size_t k, sn_shape *ret_shape, sn_error *err)
{
    *ret_shape = (sn_shape){.rank = 1};
    if (!sn_value_int(&call->arg[0].super, &ret_shape->dim[k]) || ret_shape->dim[0] < 1)
        return sn_fail(err, SN_E_INVALID, call->where, "num_features must be at least 1");
    return SN_OK;
}

/* The part of it that one value leaves alive: a prefix. */
static sn_status slice(const sn_call *call, size_t k, int step, const sn_value *value,
                       sn_slice *ret_slice, sn_error *err)
{
    int64_t n;

    (void)step;
    if (!sn_value_int(value, &n) || n < 0 || n > call->param[k].shape.dim[0])
        return sn_fail(err, SN_E_INVALID, call->where, "num_features is out of range");
    *ret_slice = (sn_slice){.rank = 1};
    ret_slice->axis[0].n = 1;
    ret_slice->axis[0].piece[0] = (sn_range){0, n};
    return SN_OK;
}

/* What comes out of what goes in. Everything that can be wrong is refused here. */
static sn_status infer(sn_call *call, sn_error *err)
{
    const sn_shape *x = &call->in[0].shape;
    const int64_t   n = call->param[0].shape.dim[0];

    if (call->in[0].dtype != SN_F32 || x->rank < 1)
        return sn_fail(err, SN_E_DTYPE, call->where, "FeatureScale takes F32 of rank 1 or more");
    if (x->dim[x->rank - 1] != n)
        return sn_fail(err, SN_E_SHAPE, call->where, "the last axis is %lld, num_features is %lld",
                       (long long)x->dim[x->rank - 1], (long long)n);
    call->out[0] = call->in[0];
    return SN_OK;
}

/* All axes but the last may grow with the batch, and y grows as x does. */
static bool grow(const sn_call *call, const sn_growth *in, sn_growth *out)
{
    out[0] = in[0];
    return in[0].per_sample[call->in[0].shape.rank - 1] == 0;
}

/* Cannot fail, allocates nothing. `io` may hold a smaller batch than infer saw. */
static void forward(const sn_call *call, const sn_io *io)
{
    const float  *x = io->in[0].data, *w = io->param[0].data;
    const int64_t n = io->param[0].shape.dim[0], count = sn_shape_count(&io->in[0].shape);
    float        *y = io->out[0].data;

    (void)call;
    for (int64_t i = 0; i < count; i++)
        y[i] = x[i] * w[i % n];
}

static const sn_op feature_scale = {
    .size = sizeof(sn_op),
    .abi = SN_OP_ABI,
    .type = "FeatureScale",
    .args = args,
    .params = params,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .shape = shape,
    .slice = slice,
    .infer = infer,
    .forward = forward,
    .grow = grow,
};

/* ---- the policy ---- */

static sn_status resample(void *state, const sn_supernet *net, sn_rng *rng, sn_draft *draft,
                          sn_error *err)
{
    (void)state, (void)rng;
    for (size_t i = 0; i < sn_supernet_n_choices(net); i++) {
        const sn_choice *c = sn_supernet_choice(net, i);
        sn_status        rc;

        if (sn_draft_get(draft, i)) continue; /* decided by the caller */
        rc = sn_draft_set(draft, c->label, &c->candidate[0], err);
        if (rc != SN_OK) return rc;
    }
    return SN_OK;
}

static const sn_policy_class first = {
    .size = sizeof(sn_policy_class),
    .abi = SN_POLICY_ABI,
    .name = "first",
    .about = "every open choice gets its first candidate",
    .resample = resample,
};

/* ---- both are added the way the built-in ones are ---- */

SN_PLUGIN_EXPORT sn_status sn_plugin_main(sn_registry *reg, sn_error *err);

SN_PLUGIN_EXPORT sn_status sn_plugin_main(sn_registry *reg, sn_error *err)
{
    const sn_status rc = sn_registry_add_op(reg, &feature_scale, err);

    return rc ? rc : sn_registry_add_policy(reg, &first, err);
}
