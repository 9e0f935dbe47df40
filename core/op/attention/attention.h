/* attention: what the two halves of MultiheadAttention share: attention.c (load, slice, infer,
 * the plain forward, export) and attention_packed.c (the variant over packed weights). */
#ifndef OP_ATTENTION_ATTENTION_H
#define OP_ATTENTION_ATTENTION_H

#include "op/op_internal.h"

/* The last two arguments are derived. */
enum {
    ARG_EMBED,
    ARG_HEADS,
    ARG_DROPOUT,
    ARG_BIAS,
    ARG_BIAS_KV,
    ARG_ZERO_ATTN,
    ARG_KDIM,
    ARG_VDIM,
    ARG_BATCH_FIRST,
    ARG_NEED_WEIGHTS,
    ARG_SEPARATE,
    ARG_K_WIDTH,
    ARG_V_WIDTH
};
enum { IN_QUERY, IN_KEY, IN_VALUE, IN_PADDING, IN_MASK };
enum { OUT_Y, OUT_WEIGHTS };
enum { W_IN, W_Q, W_K, W_V, W_IN_BIAS, W_BIAS_K, W_BIAS_V, W_OUT, W_OUT_BIAS, N_PARAMS };

/* One of query, key and value as a strided matrix for each batch element. */
struct attention_seq {
    int64_t length, batch, width;
    int64_t row, element; /* strides from row to row, from batch element to batch element */
};

struct attention_seq attention_read(const sn_call *call, const sn_shape *shape);

/* The sizes of one call, and where its parts are in scratch memory, in floats. */
struct attention_sizes {
    int64_t embed, heads, batch, l, s;
    int64_t keys;          /* s and the appended ones */
    int64_t q, k, v, p, m; /* [l, embed] [keys, embed] [keys, embed] [l, keys] [l, keys] */
    int64_t n_floats;      /* -1: too many */
};

struct attention_sizes attention_sizes_of(const sn_call *call, const struct attention_seq *query,
                                          const struct attention_seq *key);

/* What is added to the scores [l, keys] of head h of batch element n, for queries from to
 * `to`: a float mask itself, of the others -inf where they are set. The appended keys are never
 * masked. In the compatibility mode a float padding mask hides where it is not 0 next to a bool
 * attention mask. */
void attention_mask(const sn_call *call, const sn_io *io, const struct attention_sizes *y,
                    int64_t n, int64_t h, int64_t from, int64_t to, float *m);

/* The variant. */
size_t attention_bytes_packed(const sn_tensor *whole, size_t k);
void   attention_pack(const sn_tensor *whole, size_t k, void *packed);
size_t attention_scratch_packed(const sn_call *call);
bool   attention_fits_packed(const sn_call *call);
void   attention_forward_packed(const sn_call *call, const sn_io *io, const sn_epilogue *epilogue);

#endif
