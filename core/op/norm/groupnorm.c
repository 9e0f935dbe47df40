/* groupnorm: normalise groups of channels of one example by their own moments.
 *
 *   x [N, C, ...]           any rank from 2; C = num_channels, in num_groups equal groups
 *   weight, bias [max_C]    with affine; live: prefixes
 *
 * Independent of the batch, so it fits any width: PyTorch refuses a single value per
 * group in a batch of one; here it is what it is in larger ones, the bias. A
 * distribution over num_channels is ignored, as in BatchNorm2d: all of them. */
#include <math.h>

#include "kernel/norm2d.h"
#include "kernel/packed.h"
#include "op/op_internal.h"

enum { ARG_GROUPS, ARG_CHANNELS, ARG_EPS, ARG_AFFINE };
enum { P_WEIGHT, P_BIAS, N_PARAMS };

static const char *const names[] = {[ARG_GROUPS] = "num_groups", [ARG_CHANNELS] = "num_channels"};

static sn_status groupnorm_check(const sn_call *call, sn_error *err)
{
    const sn_arg *groups = &call->arg[ARG_GROUPS], *channels = &call->arg[ARG_CHANNELS];
    int64_t       g = 0, c = 0;
    sn_status     rc;

    if ((rc = op_check_not_negative(call, ARG_EPS, "eps", err))) return rc;
    for (int a = ARG_GROUPS; a <= ARG_CHANNELS; a++)
        for (size_t i = 0; i < call->arg[a].n_options; i++)
            if (!sn_value_int(&call->arg[a].option[i], &c) || c < 1)
                return op_fail(err, SN_E_INVALID, call, names[a],
                               "%s must be an integer of at least 1",
                               VALUE_TEXT(&call->arg[a].option[i]));
    /* Which combinations are sampled is not known here, unless there is one. */
    sn_value_int(&groups->super, &g);
    sn_value_int(&channels->super, &c);
    if (groups->n_options == 1 && channels->n_options == 1 && c % g != 0)
        return op_fail(err, SN_E_INVALID, call, "num_channels",
                       "%lld is not divisible by %lld groups", (long long)c, (long long)g);
    return SN_OK;
}

static sn_status groupnorm_shape(const sn_call *call, size_t k, sn_shape *ret_shape, sn_error *err)
{
    int64_t n = 0;

    (void)k;
    (void)err;
    sn_value_int(&call->arg[ARG_CHANNELS].super, &n);
    *ret_shape = op_bool(call, ARG_AFFINE) ? SHAPE(n) : SHAPE_ABSENT;
    return SN_OK;
}

static sn_status groupnorm_slice(const sn_call *call, size_t k, int s, const sn_value *value,
                                 sn_slice *ret_slice, sn_error *err)
{
    sn_slice  slice = op_slice_full(&call->param[k].shape);
    sn_range  r;
    sn_status rc = op_prefix(call, "num_channels", call->param[k].shape.dim[0], value, &r, err);

    (void)s;
    if (rc != SN_OK) return rc;
    op_slice_set(&slice, 0, r);
    *ret_slice = slice;
    return SN_OK;
}

static sn_status groupnorm_infer(sn_call *call, sn_error *err)
{
    const int64_t channels = op_int(call, ARG_CHANNELS), groups = op_int(call, ARG_GROUPS);
    sn_status     rc = op_need_f32(call, 0, "x", 2, err);
    sn_shape      x;

    if (rc != SN_OK) return rc;
    x = call->in[0].shape;
    if (x.dim[1] != channels)
        return op_fail(err, SN_E_SHAPE, call, NULL,
                       "input x %s has %lld channels, num_channels is %lld", SHAPE_TEXT(&x),
                       (long long)x.dim[1], (long long)channels);
    if (channels % groups != 0)
        return op_fail(err, SN_E_SHAPE, call, "num_channels",
                       "%lld is not divisible by %lld groups", (long long)channels,
                       (long long)groups);
    rc = op_set_scratch(call, 3, channels, 1, err);
    return rc == SN_OK ? op_set_out(call, 0, SN_F32, &x, err) : rc;
}

static void groupnorm_cost(const sn_call *call, sn_cost *ret_cost)
{
    op_cost(call, N_PARAMS, (uint64_t)op_count(&call->out[0].shape), ret_cost);
}

static void groupnorm_forward(const sn_call *call, const sn_io *io)
{
    const sn_shape *shape = &io->in[0].shape;
    const int64_t   c = shape->dim[1], plane = op_count_axes(shape, 2, shape->rank);
    const int64_t   per_group = c / op_int(call, ARG_GROUPS);
    const double    eps = op_float(call, ARG_EPS);
    const float    *x = io->in[0].data, *weight = NULL, *bias = NULL;
    float          *centre = io->scratch, *scale = centre + c, *shift = scale + c;
    float          *y = io->out[0].data;

    if (plane == 0) return;
    if (op_has_param(call, P_WEIGHT)) weight = io->param[P_WEIGHT].data;
    if (op_has_param(call, P_BIAS)) bias = io->param[P_BIAS].data;
    for (int64_t i = 0; i < shape->dim[0]; i++, x += c * plane, y += c * plane) {
        for (int64_t j = 0; j < c; j += per_group) {
            double mean, var, a;

            kernel_moments(1, per_group * plane, 0, x + j * plane, &mean, &var);
            a = 1.0 / sqrt(var + eps);
            for (int64_t k = j; k < j + per_group; k++) {
                const double scaled = weight ? a * weight[k] : a;

                centre[k] = (float)mean;
                scale[k] = (float)scaled;
                shift[k] = (float)((bias ? bias[k] : 0.0) - (mean - centre[k]) * scaled);
            }
        }
        kernel_normalise(1, c, plane, x, centre, scale, shift, y);
    }
}

static bool fits_last(const sn_call *call)
{
    return call->in[0].shape.rank == 4;
}

static void groupnorm_forward_last(const sn_call *call, const sn_io *io,
                                   const sn_epilogue *epilogue)
{
    const sn_shape *shape = &io->in[0].shape;
    const long      c = shape->dim[1], pixels = shape->dim[2] * shape->dim[3];
    const float    *x = io->in[0].data, *weight = NULL, *bias = NULL;
    float          *y = io->out[0].data;

    (void)epilogue;
    if (op_has_param(call, P_WEIGHT)) weight = io->param[P_WEIGHT].data;
    if (op_has_param(call, P_BIAS)) bias = io->param[P_BIAS].data;
    for (int64_t i = 0; i < shape->dim[0]; i++, x += c * pixels, y += c * pixels)
        kernel_table()->groupnorm(pixels, c, op_int(call, ARG_GROUPS), x, c, weight, bias,
                                  (float)op_float(call, ARG_EPS), y, c);
}

static const sn_variant groupnorm_variants[] = {
    {
        .size = sizeof(sn_variant),
        .name = "channels last",
        .layout_in = SN_LAYOUT_CHANNELS_LAST,
        .layout = SN_LAYOUT_CHANNELS_LAST,
        .fits = fits_last,
        .forward = groupnorm_forward_last,
    },
    {0},
};

static sn_status groupnorm_export_args(const sn_call *call, sn_value *arg_out, sn_arena *mem,
                                       sn_error *err)
{
    static const int sizes[] = {ARG_GROUPS, ARG_CHANNELS, -1};

    (void)mem;
    (void)err;
    op_export_sizes(call, sizes, arg_out);
    return SN_OK;
}

enum { INT = SN_KINDS(SN_KIND_INT), NUMBER = SN_KINDS(SN_KIND_FLOAT) | SN_KINDS(SN_KIND_INT) };

static const sn_arg_def groupnorm_args[] = {
    [ARG_GROUPS] = {"num_groups", INT, SN_ARG_CHOICE | SN_ARG_SOFT_REFUSE, NULL, NULL},
    [ARG_CHANNELS] = {"num_channels", INT, SN_ARG_CHOICE | SN_ARG_SOFT_FULL, NULL, NULL},
    [ARG_EPS] = {"eps", NUMBER, SN_ARG_CHOICE | SN_ARG_SOFT_REFUSE, "1e-5", NULL},
    [ARG_AFFINE] = {"affine", SN_KINDS(SN_KIND_BOOL), SN_ARG_FIXED, "true", NULL},
    [ARG_AFFINE + 1] = {NULL, 0, 0, NULL, NULL},
};

static const sn_param_def groupnorm_params[] = {
    [P_WEIGHT] = {"weight", 0, 1, {ARG_CHANNELS}},
    [P_BIAS] = {"bias", 0, 1, {ARG_CHANNELS}},
    [N_PARAMS] = {NULL, 0, 0, {0}},
};

const sn_op sn_op_groupnorm = {
    .size = sizeof(sn_op),
    .abi = SN_OP_ABI,
    .type = "GroupNorm",
    .flags = SN_OP_SAMPLES | SN_OP_STEADY_SCRATCH,
    .args = groupnorm_args,
    .params = groupnorm_params,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .check = groupnorm_check,
    .shape = groupnorm_shape,
    .slice = groupnorm_slice,
    .infer = groupnorm_infer,
    .cost = groupnorm_cost,
    .forward = groupnorm_forward,
    .export_args = groupnorm_export_args,
    .variants = groupnorm_variants,
};
