/* conv2d_packed: convolutions of channels-last images over packed weights. Ordinary and
 * depthwise ones; other groups, and margins that are not zeros, run on rows. */
#include "op/conv2d.h"
#include "op/packed.h"

static bool is_depthwise(const struct conv_shape *s)
{
    return s->groups == s->c_in && s->c_out == s->c_in && s->groups > 1;
}

static struct packed_conv conv_of(const struct conv_shape *s)
{
    return (struct packed_conv){.h = s->h,
                                .w = s->w,
                                .c = is_depthwise(s) ? 1 : s->c_in,
                                .out_h = s->out_h,
                                .out_w = s->out_w,
                                .kernel_h = s->kernel_h,
                                .kernel_w = s->kernel_w,
                                .stride_h = s->stride_h,
                                .stride_w = s->stride_w,
                                .dilation_h = s->dilation_h,
                                .dilation_w = s->dilation_w,
                                .pad_top = s->pad_top,
                                .pad_left = s->pad_left,
                                .ldx = s->c_in,
                                .ldy = s->c_out};
}

bool conv2d_fits_packed(const sn_call *call)
{
    const struct conv2d_priv *p = call->priv;

    return call->in[0].shape.rank == 4 && !p->margins &&
           (p->shape.groups == 1 || is_depthwise(&p->shape));
}

/* Merged shifts, then what the kernel wants. */
static size_t merged_bytes(const struct conv_shape *s)
{
    const size_t n = (size_t)s->c_out * sizeof(float);

    return (n + SN_ALIGN_BYTES - 1) & ~(size_t)(SN_ALIGN_BYTES - 1);
}

size_t conv2d_scratch_packed(const sn_call *call)
{
    const struct conv2d_priv *p = call->priv;
    const struct packed_conv  s = conv_of(&p->shape);

    return merged_bytes(&p->shape) + packed_conv_scratch(&s);
}

/* All images are one matrix. */
static void run_pointwise(const struct kernel_table *kernel, const struct packed_conv *s, int64_t n,
                          long c_out)
{
    const struct packed_gemm g = {.k = s->c,
                                  .x = s->x,
                                  .ldx = s->ldx,
                                  .w = s->weight,
                                  .y = s->y,
                                  .ldy = s->ldy,
                                  .epilogue = s->epilogue};

    kernel->gemm(&g, 0, n * s->out_h * s->out_w, 0, c_out);
}

void conv2d_forward_packed(const sn_call *call, const sn_io *io, const sn_epilogue *epilogue)
{
    const struct conv2d_priv  *p = call->priv;
    const struct kernel_table *kernel = kernel_table();
    const sn_tensor           *bias = &io->param[CONV2D_BIAS_PARAM];
    const int64_t              n = io->in[0].shape.dim[0];
    const long                 c_out = p->shape.c_out;
    struct packed_conv         s = conv_of(&p->shape);

    s.x = io->in[0].data;
    s.y = io->out[0].data;
    s.weight = op_panels(call, io);
    s.epilogue = op_packed_epilogue(epilogue, bias->dtype == SN_NONE ? NULL : bias->data, c_out,
                                    io->scratch);
    s.epilogue.ld_residual = c_out;
    if (!is_depthwise(&p->shape) && conv_is_pointwise(&p->shape)) {
        run_pointwise(kernel, &s, n, c_out);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        if (is_depthwise(&p->shape))
            kernel->depthwise(&s, 0, s.out_h, 0, c_out, NULL, 0);
        else
            kernel->conv(&s, 0, s.out_h * s.out_w, 0, c_out,
                         (char *)io->scratch + merged_bytes(&p->shape));
        s.x += s.h * s.w * s.ldx;
        s.y += s.out_h * s.out_w * s.ldy;
        if (s.epilogue.residual) s.epilogue.residual += s.out_h * s.out_w * c_out;
    }
}
