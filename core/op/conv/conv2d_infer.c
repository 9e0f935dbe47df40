/* conv2d_infer: what a convolution does with one image, and doing it.
 *
 * Under a distribution the weight comes blended at full size. Then a kernel keeps the
 * padding of the largest one, around which all others are centred; and groups, which
 * cannot be blended, follow the channels of the input in constant proportion. */
#include <limits.h>
#include <string.h>

#include "op/conv/conv2d.h"

/* ---- padding ------------------------------------------------------------------------ */

sn_status conv2d_pad_mode(const sn_call *call, enum conv_pad *ret_mode, sn_error *err)
{
    static const char *const word[] = {[CONV_PAD_ZEROS] = "zeros",
                                       [CONV_PAD_REFLECT] = "reflect",
                                       [CONV_PAD_REPLICATE] = "replicate",
                                       [CONV_PAD_CIRCULAR] = "circular"};
    const char              *text = op_text(call, CONV2D_MODE);

    for (size_t i = 0; text && i < COUNT(word); i++)
        if (strcmp(text, word[i]) == 0) {
            *ret_mode = (enum conv_pad)i;
            return SN_OK;
        }
    return op_fail(err, SN_E_INVALID, call, "padding_mode",
                   "%s must be one of 'zeros', 'reflect', 'replicate', 'circular'",
                   VALUE_TEXT(&call->arg[CONV2D_MODE].value));
}

sn_status conv2d_check_word(const sn_call *call, const sn_value *padding, sn_error *err)
{
    if (padding->kind != SN_KIND_TEXT || strcmp(padding->as.text, "same") == 0 ||
        strcmp(padding->as.text, "valid") == 0)
        return SN_OK;
    return op_fail(err, SN_E_INVALID, call, "padding",
                   "%s must be a number, a pair, 'same' or 'valid'", VALUE_TEXT(padding));
}

sn_status conv2d_check_same(const sn_call *call, const sn_value *padding, const sn_value *stride,
                            sn_error *err)
{
    int64_t pair[WINDOW_AXES] = {1, 1};

    if (padding->kind != SN_KIND_TEXT || strcmp(padding->as.text, "same") != 0) return SN_OK;
    if (op_ints(stride, WINDOW_AXES, pair) && pair[WINDOW_H] == 1 && pair[WINDOW_W] == 1)
        return SN_OK;
    return op_fail(err, SN_E_INVALID, call, "padding", "'same' needs stride 1, the stride is %s",
                   VALUE_TEXT(stride));
}

static sn_status check_soft_padding(const sn_call *call, sn_error *err)
{
    const sn_arg *kernel = &call->arg[CONV2D_KERNEL], *padding = &call->arg[CONV2D_PADDING];

    if (!kernel->soft) {
        if (!padding->soft) return SN_OK;
        return op_fail(err, SN_E_UNSUPPORTED, call, "padding",
                       "a distribution over the padding needs one over kernel_size");
    }
    for (size_t i = 0; i < kernel->n_options; i++)
        if (kernel->option[i].kind == SN_KIND_TUPLE)
            return op_fail(err, SN_E_UNSUPPORTED, call, "kernel_size",
                           "a distribution over pairs such as %s is not supported",
                           VALUE_TEXT(&kernel->option[i]));
    if (padding->value.kind == SN_KIND_TEXT)
        return op_fail(err, SN_E_UNSUPPORTED, call, "padding",
                       "%s is not supported under a distribution over kernel_size",
                       VALUE_TEXT(&padding->value));
    return SN_OK;
}

/* The paddings of a->kernel. In nni mode the margins of the other padding modes, and
 * all paddings under a distribution over kernels, are those of the super module. */
static sn_status resolve_padding(const sn_call *call, struct conv2d_axes *a, sn_error *err)
{
    const bool    super = call->nni && (a->mode != CONV_PAD_ZEROS || call->arg[CONV2D_KERNEL].soft);
    const sn_arg *arg = call->arg;
    const sn_value *padding = super ? &arg[CONV2D_PADDING].super : &arg[CONV2D_PADDING].value;
    int64_t         kernel[WINDOW_AXES], dilation[WINDOW_AXES], pair[WINDOW_AXES];
    sn_status       rc = check_soft_padding(call, err);

    if (rc == SN_OK) rc = conv2d_check_word(call, padding, err);
    if (rc != SN_OK) return rc;
    if (padding->kind != SN_KIND_TEXT) {
        rc = window_pair(call, "padding", padding, 0, pair, err);
        for (int i = 0; rc == SN_OK && i < WINDOW_AXES; i++)
            a->pad[i][0] = a->pad[i][1] = pair[i];
        return rc;
    }
    memcpy(kernel, a->kernel, sizeof kernel);
    memcpy(dilation, a->dilation, sizeof dilation);
    if (super) {
        rc = window_pair(call, "kernel_size", &arg[CONV2D_KERNEL].super, 1, kernel, err);
        if (rc == SN_OK)
            rc = window_pair(call, "dilation", &arg[CONV2D_DILATION].super, 1, dilation, err);
    } else {
        rc = conv2d_check_same(call, padding, &arg[CONV2D_STRIDE].value, err);
    }
    for (int i = 0; rc == SN_OK && i < WINDOW_AXES; i++) {
        const int64_t total = padding->as.text[0] == 's' ? dilation[i] * (kernel[i] - 1) : 0;

        a->pad[i][0] = total / 2;
        a->pad[i][1] = total - total / 2;
    }
    return rc;
}

sn_status conv2d_resolve_axes(const sn_call *call, struct conv2d_axes *ret_axes, sn_error *err)
{
    const sn_shape    *weight = &call->param[CONV2D_WEIGHT_PARAM].shape;
    struct conv2d_axes a = {.mode = CONV_PAD_ZEROS};
    sn_status          rc = conv2d_pad_mode(call, &a.mode, err);

    if (rc == SN_OK)
        rc = window_pair(call, "stride", &call->arg[CONV2D_STRIDE].value, 1, a.stride, err);
    if (rc == SN_OK)
        rc = window_pair(call, "dilation", &call->arg[CONV2D_DILATION].value, 1, a.dilation, err);
    for (int i = 0; rc == SN_OK && i < WINDOW_AXES; i++) {
        a.kernel[i] = weight->dim[2 + i];
        if (a.kernel[i] < 1)
            rc = op_fail(err, SN_E_SHAPE, call, "kernel_size", "%s leaves nothing of the weight",
                         VALUE_TEXT(&call->arg[CONV2D_KERNEL].value));
    }
    if (rc == SN_OK) rc = resolve_padding(call, &a, err);
    if (rc == SN_OK) *ret_axes = a;
    return rc;
}

/* Margins made from the image must find enough of it. */
static sn_status check_margins(const sn_call *call, enum conv_pad mode, int64_t size,
                               int64_t before, int64_t after, sn_error *err)
{
    const int64_t most = mode == CONV_PAD_REFLECT    ? size - 1
                         : mode == CONV_PAD_CIRCULAR ? size
                                                     : INT_MAX;

    if (before <= most && after <= most) return SN_OK;
    return op_fail(err, SN_E_SHAPE, call, "padding",
                   "%lld is too much: an axis of %lld elements has a %s margin of at most %lld",
                   (long long)(before > after ? before : after), (long long)size,
                   mode == CONV_PAD_REFLECT ? "reflected" : "circular", (long long)most);
}

/* ---- channels and groups ------------------------------------------------------------- */

static sn_status soft_groups(const sn_call *call, int64_t c, int64_t *ret_groups, sn_error *err)
{
    const sn_arg *ratio = &call->arg[CONV2D_RATIO];
    const double  r = ratio->n_options == 1 ? ratio->option[0].as.real : 0.0;

    if (!call->arg[CONV2D_IN].elastic || !call->arg[CONV2D_OUT].elastic || ratio->n_options != 1)
        return op_fail(err, SN_E_UNSUPPORTED, call, "groups",
                       "a distribution over groups needs choices in in_channels and out_channels, "
                       "and a constant in_channels / groups");
    if (r < 1.0 || r != (double)(int64_t)r)
        return op_fail(err, SN_E_UNSUPPORTED, call, "groups",
                       "under a distribution, in_channels / groups must be whole, it is %s",
                       VALUE_TEXT(&ratio->option[0]));
    if (c % (int64_t)r != 0)
        return op_fail(err, SN_E_SHAPE, call, NULL,
                       "input x has %lld channels, not a multiple of in_channels / groups = %lld",
                       (long long)c, (long long)r);
    *ret_groups = c / (int64_t)r;
    return SN_OK;
}

sn_status conv2d_resolve_groups(const sn_call *call, int64_t c, int64_t *ret_groups,
                                int64_t *ret_per_group, sn_error *err)
{
    const sn_shape *weight = &call->param[CONV2D_WEIGHT_PARAM].shape;
    const int64_t   in = op_int(call, CONV2D_IN), out = weight->dim[0];
    int64_t         groups = 0, per_group = weight->dim[1];

    if (call->arg[CONV2D_GROUPS].soft) {
        const sn_status rc = soft_groups(call, c, &groups, err);

        if (rc != SN_OK) return rc;
        /* What lies behind the constant in_channels / groups is masked and not read. */
        if (c / groups < per_group) per_group = c / groups;
    } else {
        groups = op_int(call, CONV2D_GROUPS);
        if (groups < 1)
            return op_fail(err, SN_E_INVALID, call, "groups", "%lld must be at least 1",
                           (long long)groups);
        if (!call->nni && in % groups != 0)
            return op_fail(err, SN_E_SHAPE, call, "in_channels",
                           "%lld is not divisible by %lld groups", (long long)in,
                           (long long)groups);
        /* Blended weights are as wide as the widest: with fewer input channels for
         * each group here, the rest is masked and not read. */
        if (call->arg[CONV2D_IN].soft && in / groups < per_group) per_group = in / groups;
    }
    if (out < 1 || out % groups != 0)
        return op_fail(err, SN_E_SHAPE, call, "out_channels",
                       "%lld is not divisible by %lld groups", (long long)out, (long long)groups);
    if (per_group < 1 || c % groups != 0 || c / groups != per_group)
        return op_fail(err, SN_E_SHAPE, call, NULL,
                       "input x has %lld channels, %lld * %lld are expected: %lld for each of %lld "
                       "groups",
                       (long long)c, (long long)per_group, (long long)groups, (long long)per_group,
                       (long long)groups);
    *ret_groups = groups;
    *ret_per_group = per_group;
    return SN_OK;
}

/* ---- infer ------------------------------------------------------------------------------ */

static struct conv_weight weight_of(const sn_tensor *param)
{
    const sn_tensor *w = &param[CONV2D_WEIGHT_PARAM], *b = &param[CONV2D_BIAS_PARAM];

    return (struct conv_weight){.data = w->data,
                                .ld_out = w->stride[0],
                                .ld_in = w->stride[1],
                                .ld_row = w->stride[2],
                                .bias = b->dtype == SN_NONE ? NULL : b->data};
}

/* n more floats, the next part aligned; false on overflow. */
static bool take(size_t *at, ptrdiff_t n)
{
    const size_t per_line = SN_ALIGN_BYTES / sizeof(float);

    return n >= 0 && !__builtin_add_overflow(*at, (size_t)n, at) &&
           !__builtin_add_overflow(*at, per_line - 1, at) && ((*at &= ~(per_line - 1)), true);
}

/* Scratch memory: the image with its margins, packed weight rows, columns. */
static sn_status lay_out(sn_call *call, struct conv2d_priv *p, sn_error *err)
{
    const struct conv_shape *s = &p->shape;
    const struct conv_weight w = weight_of(call->param);
    ptrdiff_t                image, rows;
    size_t                   end = 0;
    bool                     fits;

    p->pack = !conv_is_depthwise(s) && !conv_rows_are_dense(s, &w);
    fits =
        !__builtin_mul_overflow((ptrdiff_t)s->c_in, (ptrdiff_t)s->h * s->w, &image) &&
        !__builtin_mul_overflow((ptrdiff_t)s->c_out,
                                (ptrdiff_t)s->c_in / s->groups * s->kernel_h * s->kernel_w, &rows);
    fits = fits && take(&end, p->margins ? image : 0);
    p->packed_at = end;
    fits = fits && take(&end, p->pack ? rows : 0);
    p->columns_at = end;
    fits = fits && take(&end, kernel_conv_scratch(s));
    if (!fits || end > PTRDIFF_MAX / sizeof(float))
        return op_fail(err, SN_E_LIMIT, call, NULL, "the convolution of one image is too large");
    call->scratch_bytes = end * sizeof(float);
    return SN_OK;
}

/* Matrix sizes and strides are handed to kernels as ints. Each product has factors that
 * are ints already, so it fits in 64 bits. */
static sn_status check_limits(const sn_call *call, const int64_t *padded, const int64_t *out,
                              const int64_t *kernel, int64_t per_group, sn_error *err)
{
    const sn_tensor *weight = &call->param[CONV2D_WEIGHT_PARAM];
    const struct {
        const char *what;
        int64_t     n;
    } rows[] = {
        {"the number of input pixels", padded[WINDOW_H] * padded[WINDOW_W]},
        {"the number of output pixels", out[WINDOW_H] * out[WINDOW_W]},
        {"the size of the kernel", kernel[WINDOW_H] * kernel[WINDOW_W]},
        {"the weights of an output channel", per_group * kernel[WINDOW_H] * kernel[WINDOW_W]},
        {"the row stride of the weight", weight->stride[0]},
        {"out_channels", weight->shape.dim[0]},
    };
    sn_status rc = SN_OK;

    for (size_t i = 0; rc == SN_OK && i < COUNT(rows); i++)
        rc = op_need_int(call, rows[i].what, rows[i].n, err);
    return rc;
}

/* Along each axis: the live kernel, the size with paddings, and the windows in it. */
static sn_status infer_axes(const sn_call *call, const struct window_image *x,
                            const struct conv2d_axes *a, int64_t *ret_padded, int64_t *ret_out,
                            sn_error *err)
{
    for (int i = 0; i < WINDOW_AXES; i++) {
        const int64_t size = i == WINDOW_H ? x->h : x->w;
        sn_status     rc;

        ret_padded[i] = size + a->pad[i][0] + a->pad[i][1];
        ret_out[i] = window_count(ret_padded[i], a->kernel[i], a->stride[i], a->dilation[i]);
        rc = op_need_int(call, "a dimension of the padded input", ret_padded[i], err);
        if (rc == SN_OK) rc = check_margins(call, a->mode, size, a->pad[i][0], a->pad[i][1], err);
        if (rc != SN_OK) return rc;
    }
    if (ret_out[WINDOW_H] > 0 && ret_out[WINDOW_W] > 0) return SN_OK;
    return op_fail(err, SN_E_SHAPE, call, "kernel_size",
                   "%lld x %lld with dilation %s covers more than the padded input of %lld x %lld",
                   (long long)a->kernel[WINDOW_H], (long long)a->kernel[WINDOW_W],
                   VALUE_TEXT(&call->arg[CONV2D_DILATION].value), (long long)ret_padded[WINDOW_H],
                   (long long)ret_padded[WINDOW_W]);
}

/* Where the live parameters are. Channels are prefixes, so what is left of the offset of the
 * weight is the crop of the kernel. */
static void keep_live(const sn_call *call, struct conv2d_priv *p)
{
    const sn_tensor *live = &call->param[CONV2D_WEIGHT_PARAM];
    const sn_tensor *bias = &call->param[CONV2D_BIAS_PARAM];
    const sn_tensor *whole = call->whole ? &call->whole[CONV2D_WEIGHT_PARAM] : live;
    const ptrdiff_t  at = (const float *)live->data - (const float *)whole->data;

    p->crop_y = (int)(at / whole->shape.dim[3]);
    p->crop_x = (int)(at % whole->shape.dim[3]);
    p->bias = bias->dtype == SN_NONE ? NULL : bias->data;
}

sn_status conv2d_infer(sn_call *call, sn_error *err)
{
    const int64_t       n_out = call->param[CONV2D_WEIGHT_PARAM].shape.dim[0];
    struct conv2d_priv *p = call->priv;
    struct conv2d_axes  a;
    struct window_image x;
    sn_shape            y;
    int64_t             groups = 0, per_group = 0, out[WINDOW_AXES], padded[WINDOW_AXES];
    sn_status           rc = window_image(call, &x, err);

    if (rc == SN_OK) rc = conv2d_resolve_groups(call, x.c, &groups, &per_group, err);
    if (rc == SN_OK) rc = conv2d_resolve_axes(call, &a, err);
    if (rc == SN_OK) rc = infer_axes(call, &x, &a, padded, out, err);
    if (rc == SN_OK) rc = check_limits(call, padded, out, a.kernel, per_group, err);
    if (rc != SN_OK) return rc;
    if (call->nni && a.mode == CONV_PAD_CIRCULAR && !x.batched)
        return op_fail(err, SN_E_UNSUPPORTED, call, "padding_mode",
                       "'circular' needs a batch, input x is %s (compatibility nni-2.8)",
                       SHAPE_TEXT(&call->in[0].shape));

    *p = (struct conv2d_priv){
        .shape = {.groups = (int)groups,
                  .c_in = (int)x.c,
                  .h = (int)x.h,
                  .w = (int)x.w,
                  .c_out = (int)n_out,
                  .out_h = (int)out[WINDOW_H],
                  .out_w = (int)out[WINDOW_W],
                  .kernel_h = (int)a.kernel[WINDOW_H],
                  .kernel_w = (int)a.kernel[WINDOW_W],
                  .stride_h = (int)a.stride[WINDOW_H],
                  .stride_w = (int)a.stride[WINDOW_W],
                  .dilation_h = (int)a.dilation[WINDOW_H],
                  .dilation_w = (int)a.dilation[WINDOW_W],
                  .pad_top = (int)a.pad[WINDOW_H][0],
                  .pad_left = (int)a.pad[WINDOW_W][0]},
        .mode = a.mode,
        .h = (int)x.h,
        .w = (int)x.w,
        .top = (int)a.pad[WINDOW_H][0],
        .bottom = (int)a.pad[WINDOW_H][1],
        .left = (int)a.pad[WINDOW_W][0],
        .right = (int)a.pad[WINDOW_W][1],
    };
    p->margins = a.mode != CONV_PAD_ZEROS && (p->top || p->bottom || p->left || p->right);
    if (p->margins) {
        p->shape.h = (int)padded[WINDOW_H];
        p->shape.w = (int)padded[WINDOW_W];
        p->shape.pad_top = p->shape.pad_left = 0;
    }
    keep_live(call, p);
    y = window_shape(&x, n_out, out[WINDOW_H], out[WINDOW_W]);
    rc = lay_out(call, p, err);
    return rc == SN_OK ? op_set_out(call, 0, SN_F32, &y, err) : rc;
}

/* ---- run -------------------------------------------------------------------------------- */

void conv2d_cost(const sn_call *call, sn_cost *ret_cost)
{
    const struct conv2d_priv *p = call->priv;
    const uint64_t            row =
        (uint64_t)(p->shape.c_in / p->shape.groups * p->shape.kernel_h * p->shape.kernel_w);

    op_cost(call, 2, (uint64_t)op_count(&call->out[0].shape) * row, ret_cost);
}

bool conv2d_fits_rows(const sn_call *call)
{
    return call->in[0].shape.rank == 4;
}

void conv2d_forward_rows(const sn_call *call, const sn_io *io, const sn_epilogue *epilogue)
{
    const struct conv2d_priv *p = call->priv;
    const struct conv_shape  *s = &p->shape;
    const int64_t             n = io->in[0].shape.rank == 4 ? io->in[0].shape.dim[0] : 1;
    const ptrdiff_t           plane = (ptrdiff_t)s->out_h * s->out_w;
    struct conv_weight        w = weight_of(io->param);
    sn_epilogue               e = epilogue ? *epilogue : (sn_epilogue){0};
    sn_tensor                 residual = e.residual ? *e.residual : (sn_tensor){0};
    float                    *margins = io->scratch;
    const float              *x = io->in[0].data;
    float                    *y = io->out[0].data;

    if (e.residual) e.residual = &residual;
    if (p->pack) w = conv_pack_rows(s, &w, margins + p->packed_at);
    for (int64_t i = 0; i < n; i++) {
        const float *image = x;

        if (p->margins) {
            kernel_pad2d(p->mode, s->c_in, p->h, p->w, p->top, p->bottom, p->left, p->right, x,
                         margins);
            image = margins;
        }
        kernel_conv(s, image, &w, y, margins + p->columns_at);
        if (epilogue) op_epilogue(1, s->c_out, plane, &e, y);
        x += (ptrdiff_t)s->c_in * p->h * p->w;
        y += s->c_out * plane;
        if (e.residual) residual.data = (float *)residual.data + s->c_out * plane;
    }
}

void conv2d_forward(const sn_call *call, const sn_io *io)
{
    conv2d_forward_rows(call, io, NULL);
}
