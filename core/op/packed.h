/* packed: what the variants over packed weights and channels-last images share. */
#ifndef OP_PACKED_H
#define OP_PACKED_H

#include "kernel/packed.h"
#include "op/op_internal.h"

/* A row-major parameter [n, k, kernel_h, kernel_w], or [n, k] with one tap. */
struct kernel_weight op_packed_weight(const sn_tensor *whole);

/* sn_variant.packed_bytes and pack of operators whose parameter 0 is such a weight. */
size_t op_packed_bytes(const sn_tensor *whole, size_t k);
void   op_pack(const sn_tensor *whole, size_t k, void *packed);

/* The epilogue for n channels behind a bias (or NULL): y * scale + (bias * scale + shift).
 * `merged` has room for n floats. */
struct kernel_epilogue op_packed_epilogue(const sn_epilogue *e, const float *bias, int64_t n,
                                          float *merged);

/* y [n, c] from x [n, c, h, w], channels last: the mean of every channel of an image. */
size_t      op_image_mean_scratch(const sn_call *call);
sn_channels op_image_mean_channels(const sn_call *call);
void        op_image_mean(const sn_call *call, const sn_io *io);

#endif
