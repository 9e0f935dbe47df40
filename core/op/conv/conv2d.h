/* conv2d: what its two halves share: conv2d.c (load, slice, export) and
 * conv2d_infer.c (infer, run). */
#ifndef OP_CONV_CONV2D_H
#define OP_CONV_CONV2D_H

#include "kernel/conv.h"
#include "op/window.h"

/* Arguments. The last two are derived: the slicing step of weight axis 1, and the true
 * ratio, which is constant where channels and groups grow together. */
enum {
    CONV2D_IN,
    CONV2D_OUT,
    CONV2D_KERNEL,
    CONV2D_STRIDE,
    CONV2D_PADDING,
    CONV2D_DILATION,
    CONV2D_GROUPS,
    CONV2D_BIAS,
    CONV2D_MODE,
    CONV2D_PER_GROUP,
    CONV2D_RATIO
};
enum { CONV2D_WEIGHT_PARAM, CONV2D_BIAS_PARAM };

/* What is known about each axis without an input. */
struct conv2d_axes {
    int64_t       kernel[WINDOW_AXES]; /* of the live weight */
    int64_t       stride[WINDOW_AXES], dilation[WINDOW_AXES];
    int64_t       pad[WINDOW_AXES][2]; /* before and after */
    enum conv_pad mode;
};

/* What one image [c_in, h, w] goes through. */
struct conv2d_priv {
    struct conv_shape shape;   /* of the convolution itself: after the margins, if any */
    bool              margins; /* the image gets its margins before, in scratch memory: */
    enum conv_pad     mode;
    int               h, w, top, bottom, left, right;
    bool              pack; /* the live weight is a crop: its rows are gathered first */
    size_t            packed_at, columns_at; /* floats from the start of the scratch memory */
    /* For the variants over packed weights: the crop of the kernel, and the bias or NULL. */
    int          crop_y, crop_x;
    const float *bias;
};

/* An int or a bool whose kind was checked. */
static inline int64_t conv2d_int(const sn_value *v)
{
    int64_t i = 0;

    sn_value_int(v, &i);
    return i;
}

sn_status conv2d_pad_mode(const sn_call *call, enum conv_pad *ret_mode, sn_error *err);

/* A text must be "same" or "valid". */
sn_status conv2d_check_word(const sn_call *call, const sn_value *padding, sn_error *err);

/* "same" has no meaning for a stride other than 1. */
sn_status conv2d_check_same(const sn_call *call, const sn_value *padding, const sn_value *stride,
                            sn_error *err);

/* How many groups for an input of c channels, and how many of them each group reads. */
sn_status conv2d_resolve_groups(const sn_call *call, int64_t c, int64_t *ret_groups,
                                int64_t *ret_per_group, sn_error *err);

sn_status conv2d_resolve_axes(const sn_call *call, struct conv2d_axes *ret_axes, sn_error *err);

sn_status conv2d_infer(sn_call *call, sn_error *err);
void      conv2d_cost(const sn_call *call, sn_cost *ret_cost);
void      conv2d_forward(const sn_call *call, const sn_io *io);

/* The variant over packed weights and channels-last images. */
bool        conv2d_fits_packed(const sn_call *call);
size_t      conv2d_scratch_packed(const sn_call *call);
size_t      conv2d_gated_packed(const sn_call *call);
sn_channels conv2d_channels_packed(const sn_call *call);
void conv2d_forward_packed(const sn_call *call, const sn_io *io, const sn_epilogue *epilogue);

/* The same for an input of planes [C, H, W] with few channels: the first layer of a network. */
bool   conv2d_fits_planes(const sn_call *call);
size_t conv2d_scratch_planes(const sn_call *call);
void   conv2d_forward_planes(const sn_call *call, const sn_io *io, const sn_epilogue *epilogue);

/* The same by Winograd's F(2x2, 3x3) and F(4x4, 3x3). */
bool   conv2d_fits_winograd2(const sn_call *call);
bool   conv2d_fits_winograd4(const sn_call *call);
size_t conv2d_bytes_winograd2(const sn_tensor *whole, size_t k);
size_t conv2d_bytes_winograd4(const sn_tensor *whole, size_t k);
void   conv2d_pack_winograd2(const sn_tensor *whole, size_t k, void *packed);
void   conv2d_pack_winograd4(const sn_tensor *whole, size_t k, void *packed);
size_t conv2d_scratch_winograd2(const sn_call *call);
size_t conv2d_scratch_winograd4(const sn_call *call);
void   conv2d_forward_winograd2(const sn_call *call, const sn_io *io, const sn_epilogue *epilogue);
void   conv2d_forward_winograd4(const sn_call *call, const sn_io *io, const sn_epilogue *epilogue);

/* The plain convolution with an epilogue for each image while it is in the cache; for all paddings.
 */
bool conv2d_fits_rows(const sn_call *call);
void conv2d_forward_rows(const sn_call *call, const sn_io *io, const sn_epilogue *epilogue);

#endif
