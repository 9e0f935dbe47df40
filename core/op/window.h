/* window: what convolution and pooling share: arguments that are an integer or a
 * pair, and how many windows fit along an axis. */
#ifndef OP_WINDOW_H
#define OP_WINDOW_H

#include "op/op_internal.h"

enum { WINDOW_H, WINDOW_W, WINDOW_AXES };

/* An int (for both axes) or a pair, each number from `min` to INT_MAX. `name` is the
 * argument's. */
sn_status window_pair(const sn_call *call, const char *name, const sn_value *v, int64_t min,
                      int64_t *ret_pair, sn_error *err);

/* At load: every value that argument `a` can take is such a pair, null ones aside. */
sn_status window_check_options(const sn_call *call, const char *name, int a, int64_t min,
                               sn_error *err);

/* x [N, C, H, W], or [C, H, W] for one image without a batch. */
struct window_image {
    int64_t n, c, h, w;
    bool    batched;
};

/* Input 0 as images; H and W are named as messages call the input. */
sn_status window_image(const sn_call *call, struct window_image *ret_image, sn_error *err);

/* The shape of an output that has c channels of h x w. */
sn_shape window_shape(const struct window_image *image, int64_t c, int64_t h, int64_t w);

/* Windows along an axis of `size` elements, paddings included: 0 if none fits. */
int64_t window_count(int64_t size, int64_t kernel, int64_t stride, int64_t dilation);

/* The same for pooling of `size` elements with `pad` on both sides. With `ceil`, the
 * last window may hang over the end, but must start inside or in the padding before. */
int64_t window_count_pool(int64_t size, int64_t pad, int64_t kernel, int64_t stride,
                          int64_t dilation, bool ceil);

/* As PyTorch writes it: one int for both axes if they agree, else a pair. */
sn_status window_pair_value(int64_t h, int64_t w, sn_arena *mem, sn_value *ret_value,
                            const sn_call *call, sn_error *err);

#endif
