/* conv2d: two-dimensional convolution.
 *
 *   x      [N, in, H, W], or [in, H, W]
 *   weight [max_out, max_in_per_group, max_kh, max_kw]
 *          live: [:out, :in // groups, centre kh, centre kw], a view
 *   bias   [max_out]   live: [:out]
 *   y      [N, out, H', W']
 *
 * Nothing is aligned to groups: the live weight is a plain prefix, and its second
 * axis is as wide as the widest in_channels // groups of all assignments. In nni mode
 * it is as wide as the original makes it, which is never less where that works.
 *
 * conv2d_infer.c finds out what a convolution does; this file says what it is. */
#include "op/conv/conv2d.h"
#include "op/packed.h"

#include <limits.h>

/* ---- at load ---------------------------------------------------------------------- */

static const char *const names[] = {
    [CONV2D_IN] = "in_channels", [CONV2D_OUT] = "out_channels", [CONV2D_KERNEL] = "kernel_size",
    [CONV2D_STRIDE] = "stride",  [CONV2D_PADDING] = "padding",  [CONV2D_DILATION] = "dilation",
    [CONV2D_GROUPS] = "groups",
};

/* Groups of the module with the largest weights, as the original counts them: where
 * in_channels was written before groups and is a constant multiple r of it, by a
 * formula that is exact for r = 1 only; else the fewest groups, hence the widest weight. */
static sn_status super_groups(const sn_call *call, int64_t *ret_groups, sn_error *err)
{
    const sn_arg *in = &call->arg[CONV2D_IN], *groups = &call->arg[CONV2D_GROUPS];
    const sn_arg *ratio = &call->arg[CONV2D_RATIO];
    int64_t       n = 0;

    if (!groups->elastic) {
        sn_value_int(&groups->super, &n);
    } else if (in->elastic && in->position < groups->position && ratio->n_options == 1) {
        const int64_t r = (int64_t)ratio->super.as.real;

        sn_value_int(&groups->super, &n);
        if (r < 1)
            return op_fail(err, SN_E_INVALID, call, "groups",
                           "in_channels / groups is always %s, it must be at least 1",
                           VALUE_TEXT(&ratio->super));
        n /= r;
    } else {
        sn_value_int(&groups->option[0], &n);
    }
    if (n < 1)
        return op_fail(
            err, SN_E_INVALID, call, "groups",
            "the super module would have %lld groups, it needs at least 1 (compatibility "
            "nni-2.8 divides the largest groups by in_channels / groups)",
            (long long)n);
    *ret_groups = n;
    return SN_OK;
}

static sn_status check_divides(const sn_call *call, int channels, int64_t n, int64_t groups,
                               sn_error *err)
{
    if (n % groups == 0) return SN_OK;
    return op_fail(err, SN_E_INVALID, call, names[channels], "%lld is not divisible by %lld groups",
                   (long long)n, (long long)groups);
}

/* The original judges the super module, whatever can be sampled from it. */
static sn_status check_super(const sn_call *call, sn_error *err)
{
    int64_t   groups, n, pair[WINDOW_AXES];
    sn_status rc = super_groups(call, &groups, err);

    for (int a = CONV2D_IN; rc == SN_OK && a <= CONV2D_OUT; a++) {
        sn_value_int(&call->arg[a].super, &n);
        if (n < 1)
            return op_fail(err, SN_E_INVALID, call, names[a], "%lld must be at least 1",
                           (long long)n);
        rc = check_divides(call, a, n, groups, err);
    }
    for (int a = CONV2D_KERNEL; rc == SN_OK && a <= CONV2D_DILATION; a++)
        if (call->arg[a].super.kind != SN_KIND_TEXT)
            rc = window_pair(call, names[a], &call->arg[a].super, a != CONV2D_PADDING, pair, err);
    if (rc == SN_OK) rc = conv2d_check_word(call, &call->arg[CONV2D_PADDING].super, err);
    if (rc == SN_OK)
        rc = conv2d_check_same(call, &call->arg[CONV2D_PADDING].super,
                               &call->arg[CONV2D_STRIDE].super, err);
    return rc;
}

/* Ours: no option may be wrong by itself; what only some combinations get wrong is
 * found when one of them is sampled, unless there is only one combination. */
static sn_status check_options(const sn_call *call, sn_error *err)
{
    static const int sizes[] = {CONV2D_IN, CONV2D_OUT, CONV2D_GROUPS};
    const sn_arg    *padding = &call->arg[CONV2D_PADDING], *stride = &call->arg[CONV2D_STRIDE];
    const sn_arg    *groups = &call->arg[CONV2D_GROUPS];
    sn_status        rc = SN_OK;

    for (size_t s = 0; s < COUNT(sizes); s++) {
        const sn_arg *arg = &call->arg[sizes[s]];

        for (size_t i = 0; i < arg->n_options; i++) {
            int64_t n;

            if (!sn_value_int(&arg->option[i], &n) || n < 1)
                return op_fail(err, SN_E_INVALID, call, names[sizes[s]],
                               "%s must be an integer of at least 1", VALUE_TEXT(&arg->option[i]));
        }
    }
    if (conv2d_int(&call->arg[CONV2D_PER_GROUP].super) < 1)
        return op_fail(err, SN_E_INVALID, call, "groups",
                       "there are always more groups than in_channels, of which there are at most "
                       "%lld",
                       (long long)conv2d_int(&call->arg[CONV2D_IN].super));
    for (size_t s = 0; rc == SN_OK && s < 2 && groups->n_options == 1; s++)
        if (call->arg[sizes[s]].n_options == 1)
            rc = check_divides(call, sizes[s], conv2d_int(&call->arg[sizes[s]].super),
                               conv2d_int(&groups->super), err);
    for (int a = CONV2D_KERNEL; rc == SN_OK && a <= CONV2D_DILATION; a++)
        if (a != CONV2D_PADDING) rc = window_check_options(call, names[a], a, 1, err);
    for (size_t i = 0; rc == SN_OK && i < padding->n_options; i++) {
        int64_t pair[WINDOW_AXES];

        if (padding->option[i].kind == SN_KIND_TEXT)
            rc = conv2d_check_word(call, &padding->option[i], err);
        else
            rc = window_pair(call, "padding", &padding->option[i], 0, pair, err);
    }
    if (rc == SN_OK && padding->n_options == 1 && stride->n_options == 1)
        rc = conv2d_check_same(call, &padding->super, &stride->super, err);
    return rc;
}

static sn_status conv2d_check(const sn_call *call, sn_error *err)
{
    enum conv_pad mode;
    sn_status     rc = conv2d_pad_mode(call, &mode, err);

    if (rc == SN_OK) rc = call->nni ? check_super(call, err) : check_options(call, err);
    return rc;
}

static sn_status conv2d_shape(const sn_call *call, size_t k, sn_shape *ret_shape, sn_error *err)
{
    const int64_t out = conv2d_int(&call->arg[CONV2D_OUT].super);
    int64_t       width, groups, kernel[WINDOW_AXES];
    sn_status     rc;

    if (k == CONV2D_BIAS_PARAM) {
        *ret_shape = op_bool(call, CONV2D_BIAS) ? SHAPE(out) : SHAPE_ABSENT;
        return SN_OK;
    }
    rc = window_pair(call, "kernel_size", &call->arg[CONV2D_KERNEL].super, 1, kernel, err);
    if (rc != SN_OK) return rc;
    if (call->nni) {
        rc = super_groups(call, &groups, err);
        if (rc != SN_OK) return rc;
        width = conv2d_int(&call->arg[CONV2D_IN].super) / groups;
    } else {
        width = conv2d_int(&call->arg[CONV2D_PER_GROUP].super);
    }
    *ret_shape = SHAPE(out, width, kernel[WINDOW_H], kernel[WINDOW_W]);
    return SN_OK;
}

/* ---- slices ------------------------------------------------------------------------ */

/* The middle k of the axis; one more is dropped behind it than before it if K - k is
 * odd. In nni mode k can be larger than the axis: then the start is negative, and
 * counts from the end as in Python. */
static sn_status centre(const sn_call *call, int64_t axis_size, int64_t k, sn_range *ret_range,
                        sn_error *err)
{
    const int64_t rest = axis_size - k, start = (rest - (rest & 1)) / 2;

    if (rest < 0 && !call->nni)
        return op_fail(err, SN_E_SHAPE, call, "kernel_size",
                       "%lld is more than the %lld of the weight", (long long)k,
                       (long long)axis_size);
    *ret_range = op_python_range(axis_size, start, start + k);
    return SN_OK;
}

static sn_status slice_kernel(const sn_call *call, const sn_shape *weight, const sn_value *value,
                              sn_slice *slice, sn_error *err)
{
    int64_t   kernel[WINDOW_AXES];
    sn_status rc = window_pair(call, "kernel_size", value, call->nni ? INT_MIN : 1, kernel, err);

    for (int i = 0; rc == SN_OK && i < WINDOW_AXES; i++) {
        sn_range r;

        rc = centre(call, weight->dim[2 + i], kernel[i], &r, err);
        if (rc == SN_OK) op_slice_set(slice, 2 + i, r);
    }
    return rc;
}

static sn_status conv2d_slice(const sn_call *call, size_t k, int s, const sn_value *value,
                              sn_slice *ret_slice, sn_error *err)
{
    /* The steps of both parameters: what each cuts is its own axis, the kernel two. */
    static const char *const step[] = {"out_channels", "in_channels // groups"};
    const sn_shape          *whole = &call->param[k].shape;
    sn_slice                 slice = op_slice_full(whole);
    sn_range                 r = {0};
    sn_status                rc;

    if (s == 2) {
        rc = slice_kernel(call, whole, value, &slice, err);
    } else {
        rc = op_prefix(call, step[s], whole->dim[s], value, &r, err);
        op_slice_set(&slice, s, r);
    }
    if (rc == SN_OK) *ret_slice = slice;
    return rc;
}

/* ---- export ------------------------------------------------------------------------ */

/* The paddings that are applied, as a value that makes a fixed module apply them. */
static sn_status export_padding(const sn_call *call, const struct conv2d_axes *a,
                                sn_value *ret_value, sn_arena *mem, sn_error *err)
{
    bool same = a->stride[WINDOW_H] == 1 && a->stride[WINDOW_W] == 1, even = true;

    for (int i = 0; i < WINDOW_AXES; i++) {
        const int64_t total = a->dilation[i] * (a->kernel[i] - 1);

        even = even && a->pad[i][0] == a->pad[i][1];
        same = same && a->pad[i][0] == total / 2 && a->pad[i][1] == total - total / 2;
    }
    if (even)
        return window_pair_value(a->pad[WINDOW_H][0], a->pad[WINDOW_W][0], mem, ret_value, call,
                                 err);
    if (!same)
        return op_fail(
            err, SN_E_UNSUPPORTED, call, "padding",
            "the padding of the super kernel, %lld and %lld rows, %lld and %lld columns, "
            "cannot be written for a kernel of %lld x %lld",
            (long long)a->pad[WINDOW_H][0], (long long)a->pad[WINDOW_H][1],
            (long long)a->pad[WINDOW_W][0], (long long)a->pad[WINDOW_W][1],
            (long long)a->kernel[WINDOW_H], (long long)a->kernel[WINDOW_W]);
    *ret_value = (sn_value){.kind = SN_KIND_TEXT, .as.text = "same"};
    return SN_OK;
}

/* Asked of the live weight alone: there may be no input to infer from. */
static sn_status conv2d_export_args(const sn_call *call, sn_value *arg_out, sn_arena *mem,
                                    sn_error *err)
{
    const sn_shape    *weight = &call->param[CONV2D_WEIGHT_PARAM].shape;
    struct conv2d_axes a;
    const struct {
        int            arg;
        const int64_t *pair;
    } pairs[] = {
        {CONV2D_KERNEL, a.kernel}, {CONV2D_STRIDE, a.stride}, {CONV2D_DILATION, a.dilation}};
    int64_t   groups = 0, per_group = 0, in = 0;
    sn_status rc = conv2d_resolve_axes(call, &a, err);

    if (__builtin_mul_overflow(weight->dim[1], op_int(call, CONV2D_GROUPS), &in)) in = 0;
    if (rc == SN_OK) rc = conv2d_resolve_groups(call, in, &groups, &per_group, err);
    if (rc == SN_OK) rc = export_padding(call, &a, &arg_out[CONV2D_PADDING], mem, err);
    for (size_t i = 0; rc == SN_OK && i < COUNT(pairs); i++)
        rc = window_pair_value(pairs[i].pair[WINDOW_H], pairs[i].pair[WINDOW_W], mem,
                               &arg_out[pairs[i].arg], call, err);
    if (rc != SN_OK) return rc;
    arg_out[CONV2D_IN] = op_int_value(in);
    arg_out[CONV2D_OUT] = op_int_value(weight->dim[0]);
    arg_out[CONV2D_GROUPS] = op_int_value(groups);
    return SN_OK;
}

/* ---- the table ------------------------------------------------------------------------ */

enum {
    INT = SN_KINDS(SN_KIND_INT),
    PAIR = SN_KINDS(SN_KIND_INT) | SN_KINDS(SN_KIND_TUPLE),
    TEXT = SN_KINDS(SN_KIND_TEXT),
    MASK = SN_ARG_CHOICE | SN_ARG_SOFT_MASK,
    FULL = SN_ARG_CHOICE | SN_ARG_SOFT_FULL,
    REFUSE = SN_ARG_CHOICE | SN_ARG_SOFT_REFUSE
};

static const sn_arg_def conv2d_args[] = {
    [CONV2D_IN] = {"in_channels", INT, MASK, NULL, NULL},
    [CONV2D_OUT] = {"out_channels", INT, MASK, NULL, NULL},
    [CONV2D_KERNEL] = {"kernel_size", PAIR, MASK | SN_ARG_COMPONENTS, NULL, NULL},
    [CONV2D_STRIDE] = {"stride", PAIR, REFUSE | SN_ARG_COMPONENTS, "1", NULL},
    [CONV2D_PADDING] = {"padding", PAIR | TEXT, FULL | SN_ARG_COMPONENTS, "0", "same|valid"},
    [CONV2D_DILATION] = {"dilation", PAIR, REFUSE | SN_ARG_COMPONENTS, "1", NULL},
    [CONV2D_GROUPS] = {"groups", INT, FULL, "1", NULL},
    [CONV2D_BIAS] = {"bias", SN_KINDS(SN_KIND_BOOL), SN_ARG_FIXED, "true", NULL},
    [CONV2D_MODE] = {"padding_mode", TEXT, SN_ARG_FIXED, "\"zeros\"",
                     "zeros|reflect|replicate|circular"},
    [CONV2D_PER_GROUP] = {"in_channels // groups", INT, MASK | SN_ARG_DERIVED,
                          "in_channels // groups", NULL},
    [CONV2D_RATIO] = {"in_channels / groups", SN_KINDS(SN_KIND_FLOAT), FULL | SN_ARG_DERIVED,
                      "in_channels / groups", NULL},
    [CONV2D_RATIO + 1] = {NULL, 0, 0, NULL, NULL},
};

static const sn_param_def conv2d_params[] = {
    [CONV2D_WEIGHT_PARAM] = {"weight", 0, 3, {CONV2D_OUT, CONV2D_PER_GROUP, CONV2D_KERNEL}},
    [CONV2D_BIAS_PARAM] = {"bias", 0, 1, {CONV2D_OUT}},
    [CONV2D_BIAS_PARAM + 1] = {NULL, 0, 0, {0}},
};

static const sn_variant conv2d_variants[] = {
    {
        .size = sizeof(sn_variant),
        .name = "planes",
        .layout_in = SN_LAYOUT_ROWS,
        .layout = SN_LAYOUT_CHANNELS_LAST,
        .fuses = SN_FUSES_AFFINE | SN_FUSES_RESIDUAL | SN_FUSES_ACT,
        .lean = true,
        .fits = conv2d_fits_planes,
        .packed_bytes = op_packed_bytes,
        .pack = op_pack,
        .scratch_bytes = conv2d_scratch_planes,
        .forward = conv2d_forward_planes,
    },
    {
        .size = sizeof(sn_variant),
        .name = "winograd4",
        .layout_in = SN_LAYOUT_CHANNELS_LAST,
        .layout = SN_LAYOUT_CHANNELS_LAST,
        .fuses = SN_FUSES_AFFINE | SN_FUSES_RESIDUAL | SN_FUSES_ACT | SN_FUSES_IN_PLACE,
        .winograd = true,
        .lean = true,
        .fits = conv2d_fits_winograd4,
        .packed_bytes = conv2d_bytes_winograd4,
        .pack = conv2d_pack_winograd4,
        .scratch_bytes = conv2d_scratch_winograd4,
        .forward = conv2d_forward_winograd4,
    },
    {
        .size = sizeof(sn_variant),
        .name = "winograd2",
        .layout_in = SN_LAYOUT_CHANNELS_LAST,
        .layout = SN_LAYOUT_CHANNELS_LAST,
        .fuses = SN_FUSES_AFFINE | SN_FUSES_RESIDUAL | SN_FUSES_ACT | SN_FUSES_IN_PLACE,
        .winograd = true,
        .lean = true,
        .fits = conv2d_fits_winograd2,
        .packed_bytes = conv2d_bytes_winograd2,
        .pack = conv2d_pack_winograd2,
        .scratch_bytes = conv2d_scratch_winograd2,
        .forward = conv2d_forward_winograd2,
    },
    {
        .size = sizeof(sn_variant),
        .name = "packed",
        .layout_in = SN_LAYOUT_CHANNELS_LAST,
        .layout = SN_LAYOUT_CHANNELS_LAST,
        .fuses = SN_FUSES_AFFINE | SN_FUSES_RESIDUAL | SN_FUSES_ACT | SN_FUSES_IN_PLACE,
        .lean = true,
        .fits = conv2d_fits_packed,
        .packed_bytes = op_packed_bytes,
        .pack = op_pack,
        .scratch_bytes = conv2d_scratch_packed,
        .gated_bytes = conv2d_gated_packed,
        .channels = conv2d_channels_packed,
        .forward = conv2d_forward_packed,
    },
    {
        .size = sizeof(sn_variant),
        .name = "rows",
        .layout = SN_LAYOUT_ROWS,
        .fuses = SN_FUSES_AFFINE | SN_FUSES_RESIDUAL | SN_FUSES_ACT,
        .fits = conv2d_fits_rows,
        .forward = conv2d_forward_rows,
    },
    {0},
};

const sn_op sn_op_conv2d = {
    .size = sizeof(sn_op),
    .abi = SN_OP_ABI,
    .type = "Conv2d",
    .flags = SN_OP_SAMPLES | SN_OP_STEADY_SCRATCH,
    .args = conv2d_args,
    .params = conv2d_params,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .priv_bytes = sizeof(struct conv2d_priv),
    .check = conv2d_check,
    .shape = conv2d_shape,
    .slice = conv2d_slice,
    .infer = conv2d_infer,
    .cost = conv2d_cost,
    .forward = conv2d_forward,
    .export_args = conv2d_export_args,
    .variants = conv2d_variants,
    .grow = op_grow_images,
};
