/* tensor: what the library does with tensors beyond the public header. */
#ifndef TENSOR_TENSOR_H
#define TENSOR_TENSOR_H

#include "base/base.h"
#include "supernet/op.h"

/* The exact float32 of 16 bits; subnormals, infinities and NaN payloads survive. */
float half_to_float(uint16_t bits);
float bfloat_to_float(uint16_t bits);

/* src -> dst, both strided as they like, of equal shape. Equal dtypes, or F16 or
 * BF16 into F32, which is exact. They must not overlap. */
void tensor_copy(const sn_tensor *src, const sn_tensor *dst);

/* A slice that fits the shape, and what shape it has. SN_E_SHAPE otherwise. */
sn_status slice_shape(const sn_shape *whole, const sn_slice *s, sn_shape *ret_shape, sn_error *err);

/* The pieces of `whole` (F32) one after the other along every axis, dense:
 * rows {[0, 2), [4, 6)} of w [8, k] -> dst [4, k]. The slice fits (slice_shape). */
void tensor_gather(const sn_tensor *whole, const sn_slice *s, float *dst);

#endif
