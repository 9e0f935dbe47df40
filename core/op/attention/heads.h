/* heads: multi-head attention over packed weights, for the variants of both attention operators.
 * One element of the batch at a time, so that scratch memory does not grow with the batch. */
#ifndef OP_ATTENTION_HEADS_H
#define OP_ATTENTION_HEADS_H

#include "op/packed.h"

struct heads_projection {
    struct kernel_panels w;
    const float         *bias; /* or NULL */
};

/* Additive mask of head h, rows from to `to` of m [l, keys]. */
typedef void heads_mask(const void *cls, int64_t h, int64_t from, int64_t to, float *m);

/* Of query (0), key (1) and value (2): x [.., width], ld apart. The width inside is heads * d. */
struct heads {
    int64_t                 l, s; /* queries, keys */
    int64_t                 keys; /* s and the appended ones */
    int64_t                 heads, d;
    int64_t                 width[3], ld[3];
    const float            *x[3];
    struct heads_projection in[3], out;
    const float            *appended[2]; /* the first key and value appended; NULL: zeros */
    float                   scale;
    struct packed_relative  relative;
    heads_mask             *mask; /* or NULL */
    const void             *mask_cls;
    bool                    mask_by_head; /* false: all heads have the mask of head 0 */
    float                  *y;            /* [l, width of the output] */
    int64_t                 width_y, ld_y;
    struct kernel_epilogue  epilogue; /* without the bias */
};

/* Bytes of scratch, from the sizes, whether there is a mask and relative.side and .length;
 * 0 if the number overflows, or if there is nothing to attend to. */
size_t heads_scratch(const struct heads *h, int n_threads);

void heads_run(const struct heads *h, const sn_call *call, const sn_io *io);

#endif
