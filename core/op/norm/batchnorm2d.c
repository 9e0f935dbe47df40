/* batchnorm2d: y = (x - mean) / sqrt(var + eps) * weight + bias, for each channel.
 *
 *   x [N, C, ...]                       any rank from 2; C = num_features
 *   weight, bias [max_C]                with affine
 *   running_mean, running_var [max_C]   with track_running_stats; live: prefixes
 *   num_batches_tracked []              counts the calls in training mode; may be missing
 *
 * Mean and variance are the running ones, or those of the batch in training mode and
 * where nothing is tracked. A distribution over num_features is ignored: all of them. */
#include <math.h>

#include "kernel/norm2d.h"
#include "op/packed.h"
#include "tensor/growth.h"

enum { ARG_FEATURES, ARG_EPS, ARG_MOMENTUM, ARG_AFFINE, ARG_TRACK };
enum { P_WEIGHT, P_BIAS, P_MEAN, P_VAR, P_BATCHES, N_PARAMS };

/* What the original does only with its own module: it takes over as soon as one
 * argument is a choice. */
static bool is_mixed_nni(const sn_call *call)
{
    return call->nni && (call->arg[ARG_FEATURES].elastic || call->arg[ARG_EPS].elastic ||
                         call->arg[ARG_MOMENTUM].elastic);
}

/* Batches in training mode are counted; by the original only in ordinary modules. */
static bool counts_batches(const sn_call *call)
{
    return op_has_param(call, P_BATCHES) && !is_mixed_nni(call);
}

static sn_status batchnorm2d_check(const sn_call *call, sn_error *err)
{
    const sn_arg *features = &call->arg[ARG_FEATURES], *momentum = &call->arg[ARG_MOMENTUM];
    int64_t       n = 0;
    sn_status     rc;

    if ((rc = op_check_not_negative(call, ARG_EPS, "eps", err))) return rc;
    if ((rc = op_check_not_negative(call, ARG_MOMENTUM, "momentum", err))) return rc;
    /* The original cuts like Python, so only its largest width must make sense. */
    for (size_t i = call->nni ? features->n_options - 1 : 0; i < features->n_options; i++)
        if (!sn_value_int(&features->option[i], &n) || n < 1)
            return op_fail(err, SN_E_INVALID, call, "num_features",
                           "%s must be an integer of at least 1", VALUE_TEXT(&features->option[i]));
    for (size_t i = 0; i < momentum->n_options; i++)
        if (momentum->option[i].kind == SN_KIND_NULL && is_mixed_nni(call))
            return op_fail(err, SN_E_UNSUPPORTED, call, "momentum",
                           "null is not supported beside choices (compatibility nni-2.8)");
    return SN_OK;
}

static sn_status batchnorm2d_shape(const sn_call *call, size_t k, sn_shape *ret_shape,
                                   sn_error *err)
{
    const bool there = op_bool(call, k <= P_BIAS ? ARG_AFFINE : ARG_TRACK);
    int64_t    n = 0;

    (void)err;
    sn_value_int(&call->arg[ARG_FEATURES].super, &n);
    *ret_shape = !there ? SHAPE_ABSENT : k == P_BATCHES ? (sn_shape){.rank = 0} : SHAPE(n);
    return SN_OK;
}

static sn_status batchnorm2d_slice(const sn_call *call, size_t k, int s, const sn_value *value,
                                   sn_slice *ret_slice, sn_error *err)
{
    sn_slice  slice = op_slice_full(&call->param[k].shape);
    sn_range  r;
    sn_status rc = op_prefix(call, "num_features", call->param[k].shape.dim[0], value, &r, err);

    (void)s;
    if (rc != SN_OK) return rc;
    op_slice_set(&slice, 0, r);
    *ret_slice = slice;
    return SN_OK;
}

static bool uses_batch(const sn_call *call)
{
    return call->mode == SN_TRAIN || !op_has_param(call, P_MEAN);
}

/* C of the live parameters; -1 if there are none. */
static int64_t live_features(const sn_call *call)
{
    for (int k = P_WEIGHT; k <= P_VAR; k++)
        if (op_has_param(call, (size_t)k)) return call->param[k].shape.dim[0];
    return -1;
}

static sn_status batchnorm2d_infer(sn_call *call, sn_error *err)
{
    const sn_arg *features = &call->arg[ARG_FEATURES];
    sn_status     rc = op_need_f32(call, 0, "x", 2, err);
    sn_shape      x;
    int64_t       live = live_features(call);

    if (rc != SN_OK) return rc;
    x = call->in[0].shape;
    if (is_mixed_nni(call) && !op_has_param(call, P_WEIGHT) &&
        !sn_value_equal(&features->value, &features->super))
        return op_fail(err, SN_E_UNSUPPORTED, call, "num_features",
                       "%s of %s: without affine parameters all features must be used "
                       "(compatibility nni-2.8)",
                       VALUE_TEXT(&features->value), VALUE_TEXT(&features->super));
    /* The original does not look at num_features, only at what it has cut. */
    if (live < 0) live = call->nni ? x.dim[1] : op_int(call, ARG_FEATURES);
    if (x.dim[1] != live)
        return op_fail(err, SN_E_SHAPE, call, NULL,
                       "input x %s has %lld channels, num_features is %lld", SHAPE_TEXT(&x),
                       (long long)x.dim[1], (long long)live);
    if (uses_batch(call) && x.dim[0] * op_count_axes(&x, 2, x.rank) == 1)
        return op_fail(
            err, SN_E_SHAPE, call, NULL,
            "the statistics of the batch need more than 1 value per channel, input x is %s",
            SHAPE_TEXT(&x));
    if (call->mode == SN_TRAIN && op_has_param(call, P_MEAN) && op_is_null(call, ARG_MOMENTUM) &&
        !counts_batches(call))
        return op_fail(err, SN_E_UNSUPPORTED, call, "momentum",
                       "null, a cumulative average, needs num_batches_tracked in training mode");
    rc = op_set_scratch(call, uses_batch(call) ? 3 : 2, x.dim[1], 1, err);
    return rc == SN_OK ? op_set_out(call, 0, SN_F32, &x, err) : rc;
}

/* A plan is for one batch only (false) if it takes statistics of the batch from one value for each
 * channel and sample: other batches could be 1, which has no variance and is refused. */
static bool batchnorm2d_grow(const sn_call *call, const sn_growth *in, sn_growth *out)
{
    const sn_shape *x = &call->in[0].shape;

    out[0] = in[0];
    return growth_only(&in[0], 0) &&
           !(uses_batch(call) && in[0].per_sample[0] && op_count_axes(x, 2, x->rank) == 1);
}

static void batchnorm2d_cost(const sn_call *call, sn_cost *ret_cost)
{
    /* Running statistics are read, but are no parameters. */
    op_cost(call, P_MEAN, (uint64_t)op_count(&call->out[0].shape), ret_cost);
    if (op_has_param(call, P_MEAN))
        ret_cost->bytes_moved += 2 * sizeof(float) * (uint64_t)call->in[0].shape.dim[1];
}

/* Count this batch; returns how far the running statistics move towards it. A null
 * momentum makes them the average over all batches. */
static double momentum_of(const sn_call *call, const sn_io *io)
{
    int64_t *n = counts_batches(call) ? io->param[P_BATCHES].data : NULL;

    if (n) ++*n;
    return op_is_null(call, ARG_MOMENTUM) && n ? 1.0 / (double)*n : op_float(call, ARG_MOMENTUM);
}

/* The variance of the batch counts as an estimate from n values. */
static void update(const sn_io *io, int64_t c, double momentum, double mean, double var, double n)
{
    float *running_mean = io->param[P_MEAN].data, *running_var = io->param[P_VAR].data;

    running_mean[c] = (float)((1.0 - momentum) * running_mean[c] + momentum * mean);
    running_var[c] = (float)((1.0 - momentum) * running_var[c] + momentum * var * n / (n - 1.0));
}

/* Channel c as y = x * scale + shift, for given statistics. */
static void fold(const sn_call *call, const sn_tensor *param, int64_t c, double mean, double var,
                 float *scale, float *shift)
{
    const float *weight = param[P_WEIGHT].data, *bias = param[P_BIAS].data;
    double       a = 1.0 / sqrt(var + op_float(call, ARG_EPS));

    if (op_has_param(call, P_WEIGHT)) a *= weight[c];
    scale[c] = (float)a;
    shift[c] = (float)((op_has_param(call, P_BIAS) ? bias[c] : 0.0) - mean * a);
}

static bool batchnorm2d_affine(const sn_call *call, float *scale, float *shift)
{
    const float *mean = call->param[P_MEAN].data, *var = call->param[P_VAR].data;

    if (uses_batch(call)) return false;
    for (int64_t c = 0; c < call->in[0].shape.dim[1]; c++)
        fold(call, call->param, c, mean[c], var[c], scale, shift);
    return true;
}

static bool batchnorm2d_samples(const sn_call *call)
{
    return !uses_batch(call);
}

static void batchnorm2d_forward(const sn_call *call, const sn_io *io)
{
    const sn_shape *x = &io->in[0].shape;
    const int64_t   n = x->dim[0], n_channels = x->dim[1], plane = op_count_axes(x, 2, x->rank);
    const float    *in = io->in[0].data;
    float          *scale = io->scratch, *shift = scale + n_channels, *centre = shift + n_channels;
    const bool      learns = call->mode == SN_TRAIN && op_has_param(call, P_MEAN);
    double          momentum = 0.0;

    if (n * plane == 0) return;
    if (learns) momentum = momentum_of(call, io);
    for (int64_t c = 0; c < n_channels; c++) {
        double mean, var;

        if (!uses_batch(call)) {
            mean = ((const float *)io->param[P_MEAN].data)[c];
            var = ((const float *)io->param[P_VAR].data)[c];
            fold(call, io->param, c, mean, var, scale, shift);
            continue;
        }
        kernel_moments(n, plane, n_channels * plane, in + c * plane, &mean, &var);
        if (learns) update(io, c, momentum, mean, var, (double)(n * plane));
        centre[c] = (float)mean;
        fold(call, io->param, c, mean - centre[c], var, scale, shift);
    }
    if (uses_batch(call))
        kernel_normalise(n, n_channels, plane, in, centre, scale, shift, io->out[0].data);
    else
        kernel_scale_shift(n, n_channels, plane, in, scale, shift, io->out[0].data);
}

static bool fits_last(const sn_call *call)
{
    return call->in[0].shape.rank == 4 && !uses_batch(call);
}

/* The planner has folded the statistics into scale and shift. */
static void batchnorm2d_forward_last(const sn_call *call, const sn_io *io,
                                     const sn_epilogue *epilogue)
{
    const sn_shape        *x = &io->in[0].shape;
    const long             c = x->dim[1], m = x->dim[0] * x->dim[2] * x->dim[3];
    struct kernel_epilogue e = op_packed_epilogue(epilogue, NULL, c, NULL);

    (void)call;
    e.ld_residual = c;
    kernel_table()->epilogue(m, c, io->in[0].data, c, &e, io->out[0].data, c);
}

static const sn_variant batchnorm2d_variants[] = {
    {
        .size = sizeof(sn_variant),
        .name = "channels last",
        .layout_in = SN_LAYOUT_CHANNELS_LAST,
        .layout = SN_LAYOUT_CHANNELS_LAST,
        .fuses = SN_FUSES_RESIDUAL | SN_FUSES_ACT,
        .lean = true,
        .fits = fits_last,
        .forward = batchnorm2d_forward_last,
    },
    {0},
};

static sn_status batchnorm2d_export_args(const sn_call *call, sn_value *arg_out, sn_arena *mem,
                                         sn_error *err)
{
    const int64_t live = live_features(call);

    (void)mem;
    (void)err;
    arg_out[ARG_FEATURES] = op_int_value(live < 0 ? op_int(call, ARG_FEATURES) : live);
    return SN_OK;
}

enum {
    NUMBER = SN_KINDS(SN_KIND_FLOAT) | SN_KINDS(SN_KIND_INT),
    REFUSE = SN_ARG_CHOICE | SN_ARG_SOFT_REFUSE
};

static const sn_arg_def batchnorm2d_args[] = {
    [ARG_FEATURES] = {"num_features", SN_KINDS(SN_KIND_INT), SN_ARG_CHOICE | SN_ARG_SOFT_FULL, NULL,
                      NULL},
    [ARG_EPS] = {"eps", NUMBER, REFUSE, "1e-5", NULL},
    [ARG_MOMENTUM] = {"momentum", NUMBER | SN_KINDS(SN_KIND_NULL), REFUSE, "0.1", NULL},
    [ARG_AFFINE] = {"affine", SN_KINDS(SN_KIND_BOOL), SN_ARG_FIXED, "true", NULL},
    [ARG_TRACK] = {"track_running_stats", SN_KINDS(SN_KIND_BOOL), SN_ARG_FIXED, "true", NULL},
    [ARG_TRACK + 1] = {NULL, 0, 0, NULL, NULL},
};

static const sn_param_def batchnorm2d_params[] = {
    [P_WEIGHT] = {"weight", 0, 1, {ARG_FEATURES}},
    [P_BIAS] = {"bias", 0, 1, {ARG_FEATURES}},
    [P_MEAN] = {"running_mean", SN_PARAM_STATE, 1, {ARG_FEATURES}},
    [P_VAR] = {"running_var", SN_PARAM_STATE, 1, {ARG_FEATURES}},
    /* Old checkpoints do not have it: then batches are not counted. */
    [P_BATCHES] = {"num_batches_tracked", SN_PARAM_STATE | SN_PARAM_I64 | SN_PARAM_UNUSED, 0, {0}},
    [N_PARAMS] = {NULL, 0, 0, {0}},
};

const sn_op sn_op_batchnorm2d = {
    .size = sizeof(sn_op),
    .abi = SN_OP_ABI,
    .type = "BatchNorm2d",
    .flags = SN_OP_SAMPLES | SN_OP_STEADY_SCRATCH,
    .args = batchnorm2d_args,
    .params = batchnorm2d_params,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .check = batchnorm2d_check,
    .shape = batchnorm2d_shape,
    .slice = batchnorm2d_slice,
    .infer = batchnorm2d_infer,
    .cost = batchnorm2d_cost,
    .forward = batchnorm2d_forward,
    .export_args = batchnorm2d_export_args,
    .variants = batchnorm2d_variants,
    .affine = batchnorm2d_affine,
    .samples = batchnorm2d_samples,
    .grow = batchnorm2d_grow,
};
