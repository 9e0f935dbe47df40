/* Convolution: its kernels against their twins over odd sizes, and the operator against
 * rows calculated by hand. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "kernel/conv.h"
#include "support/op_call.h"

extern const sn_op sn_op_conv2d;

/* Two ways to add k products differ by rounding: about sqrt(k) units in the last place
 * of the largest sum. 8 leaves room for another order and for the bias. */
static void assert_close(const float *got, const float *want, size_t n, int k)
{
    float scale = 1.0f;

    for (size_t i = 0; i < n; i++)
        scale = fmaxf(scale, fabsf(want[i]));
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(got[i] - want[i]) <= 8.0f * FLT_EPSILON * sqrtf((float)k) * scale))
            fail_msg("element %zu: got %.9g, want %.9g", i, (double)got[i], (double)want[i]);
}

/* ---- kernels and their twins -------------------------------------------------------------- */

/* A row is a sentence: these channels in these groups, this kernel out of a weight with
 * these spare channels, rows and columns, over an image of this size. */
static const struct kernel_row {
    const char *name;
    int         groups, in, out; /* channels of each group */
    int         kernel[2], spare_in, spare_k;
    int         size[2], stride[2], dilation[2], pad[2];
    bool        bias;
} kernel_rows[] = {
    {"one number", 1, 1, 1, {1, 1}, 0, 0, {1, 1}, {1, 1}, {1, 1}, {0, 0}, true},
    {"pointwise", 1, 5, 7, {1, 1}, 0, 0, {5, 3}, {1, 1}, {1, 1}, {0, 0}, true},
    {"pointwise, channel prefix", 1, 5, 7, {1, 1}, 3, 0, {5, 3}, {1, 1}, {1, 1}, {0, 0}, false},
    {"pointwise, centre of 3x3", 1, 5, 7, {1, 1}, 0, 2, {5, 3}, {1, 1}, {1, 1}, {0, 0}, true},
    {"pointwise in groups", 3, 2, 4, {1, 1}, 1, 0, {4, 4}, {1, 1}, {1, 1}, {0, 0}, true},
    {"pointwise with stride", 1, 3, 2, {1, 1}, 0, 0, {7, 6}, {2, 3}, {1, 1}, {0, 0}, true},
    {"pointwise with padding", 1, 3, 2, {1, 1}, 0, 0, {3, 2}, {1, 1}, {1, 1}, {1, 2}, true},
    {"3x3, same size", 1, 4, 6, {3, 3}, 0, 0, {8, 9}, {1, 1}, {1, 1}, {1, 1}, true},
    {"3x3, channel prefix", 1, 4, 6, {3, 3}, 2, 0, {8, 9}, {1, 1}, {1, 1}, {1, 1}, true},
    {"3x3, centre of 5x5", 1, 4, 6, {3, 3}, 2, 2, {8, 9}, {1, 1}, {1, 1}, {1, 1}, true},
    {"2x5, centre of 5x8", 1, 3, 2, {2, 5}, 1, 3, {6, 11}, {1, 2}, {1, 1}, {0, 3}, false},
    {"3x3 in groups", 2, 3, 4, {3, 3}, 1, 2, {7, 5}, {2, 1}, {1, 1}, {1, 0}, true},
    {"padding larger than the image", 1, 2, 3, {5, 5}, 0, 0, {2, 1}, {1, 1}, {1, 1}, {4, 5}, true},
    {"a kernel larger than the image", 1, 2, 3, {5, 5}, 0, 0, {1, 1}, {1, 1}, {1, 1}, {2, 2}, true},
    {"dilation", 1, 3, 3, {3, 2}, 0, 0, {11, 9}, {1, 1}, {3, 4}, {2, 1}, true},
    {"stride and dilation", 1, 3, 3, {3, 3}, 0, 0, {13, 10}, {3, 2}, {2, 3}, {4, 5}, true},
    {"many strips", 1, 64, 3, {7, 7}, 0, 0, {33, 41}, {1, 1}, {1, 1}, {3, 3}, true},
    {"depthwise 3x3", 5, 1, 1, {3, 3}, 0, 0, {9, 8}, {1, 1}, {1, 1}, {1, 1}, true},
    {"depthwise, centre of 7x7", 5, 1, 1, {3, 3}, 0, 4, {9, 8}, {1, 1}, {1, 1}, {1, 1}, false},
    {"depthwise with multiplier", 3, 1, 2, {5, 3}, 2, 2, {9, 13}, {1, 1}, {1, 1}, {2, 1}, true},
    {"depthwise, stride", 4, 1, 1, {3, 5}, 0, 0, {10, 11}, {2, 3}, {1, 1}, {1, 2}, true},
    {"depthwise, stride and dilation",
     4,
     1,
     1,
     {3, 3},
     0,
     2,
     {10, 11},
     {3, 2},
     {2, 4},
     {3, 4},
     true},
    {"depthwise, padding larger than the image",
     2,
     1,
     1,
     {5, 5},
     0,
     0,
     {1, 2},
     {1, 2},
     {1, 1},
     {5, 6},
     true},
};

static float *numbers(int64_t n, unsigned seed)
{
    float *x = malloc((size_t)(n + 1) * sizeof *x);

    assert_non_null(x);
    op_call_fill(x, n, seed);
    return x;
}

/* Output pixels of one axis. */
static int windows(const struct kernel_row *row, int axis)
{
    const int extent = row->dilation[axis] * (row->kernel[axis] - 1) + 1;

    return (row->size[axis] + 2 * row->pad[axis] - extent) / row->stride[axis] + 1;
}

static void check_kernel(void **state)
{
    const struct kernel_row *row = *state;
    const struct conv_shape  s = {.groups = row->groups,
                                  .c_in = row->groups * row->in,
                                  .h = row->size[0],
                                  .w = row->size[1],
                                  .c_out = row->groups * row->out,
                                  .out_h = windows(row, 0),
                                  .out_w = windows(row, 1),
                                  .kernel_h = row->kernel[0],
                                  .kernel_w = row->kernel[1],
                                  .stride_h = row->stride[0],
                                  .stride_w = row->stride[1],
                                  .dilation_h = row->dilation[0],
                                  .dilation_w = row->dilation[1],
                                  .pad_top = row->pad[0],
                                  .pad_left = row->pad[1]};
    const ptrdiff_t          ld_row = row->kernel[1] + row->spare_k;
    const ptrdiff_t          ld_in = ld_row * (row->kernel[0] + row->spare_k);
    const ptrdiff_t          ld_out = ld_in * (row->in + row->spare_in);
    const ptrdiff_t          n_y = (ptrdiff_t)s.c_out * s.out_h * s.out_w;
    const int                k = row->in * row->kernel[0] * row->kernel[1];
    float *x = numbers((ptrdiff_t)s.c_in * s.h * s.w, 1), *w = numbers(ld_out * s.c_out, 2);
    float *bias = numbers(s.c_out, 3), *packed = numbers((ptrdiff_t)s.c_out * k, 4);
    float *y = numbers(n_y, 5), *want = numbers(n_y, 6),
          *scratch = numbers(kernel_conv_scratch(&s), 7);
    struct conv_weight weight = {w + row->spare_k / 2 * (ld_row + 1), ld_out, ld_in, ld_row,
                                 row->bias ? bias : NULL};

    assert_true(s.out_h > 0 && s.out_w > 0);
    ref_conv(&s, x, &weight, want);
    if (conv_is_depthwise(&s)) {
        kernel_conv_depthwise(&s, x, &weight, y);
        assert_close(y, want, (size_t)n_y, k);
    } else if (!conv_rows_are_dense(&s, &weight)) {
        weight = conv_pack_rows(&s, &weight, packed);
        assert_true(conv_rows_are_dense(&s, &weight));
    }
    kernel_conv(&s, x, &weight, y, scratch);
    assert_close(y, want, (size_t)n_y, k);
    if (conv_rows_are_dense(&s, &weight)) { /* the general kernel does every shape */
        struct conv_shape general = s;
        float            *columns;

        columns = numbers((ptrdiff_t)k * s.out_h * s.out_w, 8);
        op_call_fill(y, n_y, 9);
        kernel_conv_im2col(&general, x, &weight, y, columns);
        assert_close(y, want, (size_t)n_y, k);
        free(columns);
    }
    free(x);
    free(w);
    free(bias);
    free(packed);
    free(y);
    free(want);
    free(scratch);
}

/* Every margin that each mode allows, against walking step by step. */
static void margins_are_those_of_the_twin(void **state)
{
    static const enum conv_pad modes[] = {CONV_PAD_ZEROS, CONV_PAD_REFLECT, CONV_PAD_REPLICATE,
                                          CONV_PAD_CIRCULAR};
    const int                  c = 2, h = 3, w = 4;
    float                     *x = numbers((int64_t)c * h * w, 1);

    (void)state;
    for (size_t m = 0; m < COUNT(modes); m++)
        for (int top = 0; top < 3; top++)
            for (int left = 0; left < 4; left++) {
                const int    bottom = (top + 1) % 3, right = (left + 2) % 4;
                const size_t n = (size_t)(c * (top + h + bottom) * (left + w + right));
                float       *y = numbers((int64_t)n, 2), *want = numbers((int64_t)n, 3);

                kernel_pad2d(modes[m], c, h, w, top, bottom, left, right, x, y);
                ref_pad2d(modes[m], c, h, w, top, bottom, left, right, x, want);
                assert_memory_equal(y, want, n * sizeof *y);
                free(y);
                free(want);
            }
    free(x);
}

/* ---- the operator, calculated by hand ------------------------------------------------------- */

/* The weight is w[o, c, i, j] = 1000 o + 100 c + 10 i + j + 1, the bias 0.5 for every
 * channel, the input 1, 2, 3, ...: what comes out tells what was read. */
static const struct row {
    const char *name, *args;
    bool        nni;
    sn_shape    x, y;
    float       first[6]; /* the first outputs; the rest is not looked at */
} rows[] = {
    {"a 1x1 kernel multiplies",
     "in_channels = 1; out_channels = 2; kernel_size = 1",
     false,
     {4, {1, 1, 1, 2}},
     {4, {1, 2, 1, 2}},
     {1.5f, 2.5f, 1001.5f, 2002.5f}},
    {"channels are prefixes",
     "in_channels = 1 of 1, 3; out_channels = 1 of 1, 2; kernel_size = 1",
     false,
     {4, {1, 1, 1, 2}},
     {4, {1, 1, 1, 2}},
     {1.5f, 2.5f}},
    {"a smaller kernel is the centre",
     "in_channels = 1; out_channels = 1; kernel_size = 1 of 1, 3",
     false,
     {4, {1, 1, 1, 2}},
     {4, {1, 1, 1, 2}},
     {12.5f, 24.5f}}, /* w[1, 1] = 12 */
    {"an odd rest is dropped at the end: 2 of 5 is [1:3]",
     "in_channels = 1; out_channels = 1; kernel_size = (1, 2) of (1, 2), (1, 5)",
     false,
     {4, {1, 1, 1, 2}},
     {4, {1, 1, 1, 1}},
     {1 * 2 + 2 * 3 + 0.5f}},
    {"ours: the super kernel is the maximum of each component",
     "in_channels = 1; out_channels = 1; kernel_size = (1, 3) of (1, 3), (3, 1); padding = (0, 1)",
     false,
     {4, {1, 1, 1, 1}},
     {4, {1, 1, 1, 1}},
     {12.5f}}, /* of 3x3 the middle row; of it the middle column meets the only pixel */
    {"nni: the super kernel is the lexicographic maximum, and a negative start counts from the end",
     "in_channels = 1; out_channels = 1; kernel_size = (1, 5) of (1, 5), (3, 3)",
     true,
     {4, {1, 1, 1, 1}},
     {4, {1, 1, 1, 1}},
     {13.5f}}, /* K = 3, k = 5: [-1:4] is the last column, of the middle row */
    {"nni: a negative odd rest is rounded down",
     "in_channels = 1; out_channels = 1; kernel_size = (1, 6) of (1, 6), (3, 3)",
     true,
     {4, {1, 1, 1, 2}},
     {4, {1, 1, 1, 1}},
     {1 * 12 + 2 * 13 + 0.5f}}, /* K = 3, k = 6: [-2:4] is the last two columns */
    {"one image without a batch",
     "in_channels = 1; out_channels = 1; kernel_size = 1",
     false,
     {3, {1, 1, 2}},
     {3, {1, 1, 2}},
     {1.5f, 2.5f}},
    {"same pads the floor half first",
     "in_channels = 1; out_channels = 1; kernel_size = (1, 2); padding = same",
     false,
     {4, {1, 1, 1, 2}},
     {4, {1, 1, 1, 2}},
     {1 * 1 + 2 * 2 + 0.5f, 2 * 1 + 0.5f}},
    {"depthwise: each channel has its kernel",
     "in_channels = 2 of 2, 4; out_channels = 2 of 2, 4; groups = 2 of 2, 4; kernel_size = 1; "
     "in_channels // groups = 1; in_channels / groups = 1.0",
     false,
     {4, {1, 2, 1, 1}},
     {4, {1, 2, 1, 1}},
     {1.5f, 2002.5f}},
    {"groups are not aligned: the live weight is a plain prefix",
     "in_channels = 4; out_channels = 2; groups = 2 of 1, 2; kernel_size = 1",
     false,
     {4, {1, 4, 1, 1}},
     {4, {1, 2, 1, 1}},
     {1 * 1 + 2 * 101 + 0.5f, 3 * 1001 + 4 * 1101 + 0.5f}},
    {"reflected margins",
     "in_channels = 1; out_channels = 1; kernel_size = (1, 3); padding = (0, 1); padding_mode = "
     "reflect",
     false,
     {4, {1, 1, 1, 2}},
     {4, {1, 1, 1, 2}},
     {2 * 1 + 1 * 2 + 2 * 3 + 0.5f, 1 * 1 + 2 * 2 + 1 * 3 + 0.5f}},
    {"replicated margins",
     "in_channels = 1; out_channels = 1; kernel_size = (1, 3); padding = (0, 1); padding_mode = "
     "replicate",
     false,
     {4, {1, 1, 1, 2}},
     {4, {1, 1, 1, 2}},
     {1 * 1 + 1 * 2 + 2 * 3 + 0.5f, 1 * 1 + 2 * 2 + 2 * 3 + 0.5f}},
    {"ours: margins of the sampled padding",
     "in_channels = 1; out_channels = 1; kernel_size = 1; padding = 0 of 0, 1; padding_mode = "
     "circular",
     false,
     {4, {1, 1, 1, 2}},
     {4, {1, 1, 1, 2}},
     {1.5f, 2.5f}},
    {"nni: margins of the super padding",
     "in_channels = 1; out_channels = 1; kernel_size = 1; padding = (0, 0) of (0, 0), (0, 1); "
     "padding_mode = circular",
     true,
     {4, {1, 1, 1, 2}},
     {4, {1, 1, 1, 4}},
     {2.5f, 1.5f, 2.5f, 1.5f}},
    {"nni: a distribution over kernels has the super padding",
     "in_channels = 1; out_channels = 1; kernel_size ~ 1, 3; padding = 0 of 0, 1",
     true,
     {4, {1, 1, 1, 1}},
     {4, {1, 1, 1, 1}},
     {12.5f}},
    {"a distribution over groups: as many as the input has channels for",
     "in_channels ~ 2, 4; out_channels ~ 2, 4; groups ~ 2, 4; kernel_size = 1; "
     "in_channels // groups = 1; in_channels / groups = 1.0",
     false,
     {4, {1, 2, 1, 1}},
     {4, {1, 4, 1, 1}},
     {1.5f, 1001.5f, 2 * 2001 + 0.5f, 2 * 3001 + 0.5f}},
};

static void check_row(void **state)
{
    const struct row *row = *state;
    struct op_call    c;
    sn_error          err = {0};
    const sn_shape   *shape;
    float             x[16], *w, *bias;
    const float      *y;

    op_call_init(&c, &sn_op_conv2d, row->args, row->nni, SN_EVAL);
    assert_int_equal(op_call_load(&c, &err), SN_OK);
    shape = &c.whole[0].shape;
    w = c.whole[0].data;
    bias = c.whole[1].data;
    for (int64_t o = 0; o < shape->dim[0]; o++) {
        bias[o] = 0.5f;
        for (int64_t i = 0; i < shape->dim[1] * shape->dim[2] * shape->dim[3]; i++)
            *w++ = (float)(1000 * o + i / shape->dim[3] / shape->dim[2] * 100 +
                           i / shape->dim[3] % shape->dim[2] * 10 + i % shape->dim[3] + 1);
    }
    for (size_t i = 0; i < COUNT(x); i++)
        x[i] = (float)(i + 1);
    if (op_call_infer(&c, row->x, &err) != SN_OK) fail_msg("%s: %s", err.where, err.text);
    assert_true(sn_shape_equal(&c.out[0].shape, &row->y));
    y = op_call_run(&c, x);
    for (int64_t i = 0; i < sn_shape_count(&row->y) && i < 6; i++)
        assert_float_equal(y[i], row->first[i], 0.0f);
    op_call_fini(&c);
}

/* ---- refusals: the place and the exact sentence ------------------------------------------------
 */

static const struct refusal {
    const char *name, *args;
    bool        nni;
    sn_shape    x;
    sn_status   status;
    const char *where, *text;
} refusals[] = {
    {"channels that groups do not divide",
     "in_channels = 3; out_channels = 4; kernel_size = 1; groups = 2",
     false,
     {4, {1, 3, 4, 4}},
     SN_E_INVALID,
     "op.in_channels",
     "3 is not divisible by 2 groups"},
    {"the same, as sampled",
     "in_channels = 3 of 2, 3; out_channels = 4; kernel_size = 1; groups = 2",
     false,
     {4, {1, 3, 4, 4}},
     SN_E_SHAPE,
     "op.in_channels",
     "3 is not divisible by 2 groups"},
    {"an unknown padding word",
     "in_channels = 1; out_channels = 1; kernel_size = 1; padding = wide",
     false,
     {4, {1, 1, 4, 4}},
     SN_E_INVALID,
     "op.padding",
     "'wide' must be a number, a pair, 'same' or 'valid'"},
    {"same with a stride",
     "in_channels = 1; out_channels = 1; kernel_size = 3; padding = same; stride = 2",
     false,
     {4, {1, 1, 4, 4}},
     SN_E_INVALID,
     "op.padding",
     "'same' needs stride 1, the stride is 2"},
    {"ours: same with a sampled stride",
     "in_channels = 1; out_channels = 1; kernel_size = 3; padding = same; stride = (1, 2) of (1, "
     "1), (1, 2)",
     false,
     {4, {1, 1, 4, 4}},
     SN_E_INVALID,
     "op.padding",
     "'same' needs stride 1, the stride is (1, 2)"},
    {"nni: same with a stride that was not sampled",
     "in_channels = 1; out_channels = 1; kernel_size = 3; padding = same; stride = 1 of 1, 2",
     true,
     {4, {1, 1, 4, 4}},
     SN_E_INVALID,
     "op.padding",
     "'same' needs stride 1, the stride is 2"},
    {"a negative padding",
     "in_channels = 1; out_channels = 1; kernel_size = 1; padding = -1",
     false,
     {4, {1, 1, 4, 4}},
     SN_E_INVALID,
     "op.padding",
     "-1 must be at least 0"},
    {"no stride",
     "in_channels = 1; out_channels = 1; kernel_size = 1; stride = (1, 0)",
     false,
     {4, {1, 1, 4, 4}},
     SN_E_INVALID,
     "op.stride",
     "(1, 0) must be at least 1"},
    {"a kernel of three numbers",
     "in_channels = 1; out_channels = 1; kernel_size = (1, 2, 3)",
     false,
     {4, {1, 1, 4, 4}},
     SN_E_INVALID,
     "op.kernel_size",
     "(1, 2, 3) is neither an integer nor a pair of them"},
    {"other channels than expected",
     "in_channels = 4; out_channels = 2; kernel_size = 1; groups = 2",
     false,
     {4, {1, 3, 4, 4}},
     SN_E_SHAPE,
     "op",
     "input x has 3 channels, 2 * 2 are expected: 2 for each of 2 groups"},
    {"a kernel larger than the image",
     "in_channels = 1; out_channels = 1; kernel_size = 5; padding = 1",
     false,
     {4, {1, 1, 2, 9}},
     SN_E_SHAPE,
     "op.kernel_size",
     "5 x 5 with dilation 1 covers more than the padded input of 4 x 11"},
    {"too large a reflection",
     "in_channels = 1; out_channels = 1; kernel_size = 1; padding = 3; padding_mode = reflect",
     false,
     {4, {1, 1, 9, 3}},
     SN_E_SHAPE,
     "op.padding",
     "3 is too much: an axis of 3 elements has a reflected margin of at most 2"},
    {"an unknown padding mode",
     "in_channels = 1; out_channels = 1; kernel_size = 1; padding_mode = ring",
     false,
     {4, {1, 1, 4, 4}},
     SN_E_INVALID,
     "op.padding_mode",
     "'ring' must be one of 'zeros', 'reflect', 'replicate', 'circular'"},
    {"a vector",
     "in_channels = 1; out_channels = 1; kernel_size = 1",
     false,
     {2, {1, 1}},
     SN_E_SHAPE,
     "op",
     "input x [1, 1] has too few axes, it needs 3 or more"},
    {"a huge padding",
     "in_channels = 1; out_channels = 1; kernel_size = 1; padding = 2000000000",
     false,
     {4, {1, 1, 4, 4}},
     SN_E_LIMIT,
     "op",
     "a dimension of the padded input is 4000000004, at most 2147483647 is supported"},
    {"a padding beyond every limit",
     "in_channels = 1; out_channels = 1; kernel_size = 1; padding = 9223372036854775807",
     false,
     {4, {1, 1, 4, 4}},
     SN_E_LIMIT,
     "op.padding",
     "9223372036854775807 is larger than 2147483647"},
    {"nni: super groups become 0",
     "in_channels = 3 of 3, 6; out_channels = 3 of 3, 6; kernel_size = 1; groups = 1 of 1, 2; "
     "in_channels // groups = 3; in_channels / groups = 3.0",
     true,
     {4, {1, 3, 4, 4}},
     SN_E_INVALID,
     "op.groups",
     "the super module would have 0 groups, it needs at least 1 (compatibility nni-2.8 divides the "
     "largest groups by in_channels / groups)"},
    {"soft groups without soft channels",
     "in_channels = 4; out_channels = 4; kernel_size = 1; groups ~ 2, 4",
     false,
     {4, {1, 4, 4, 4}},
     SN_E_UNSUPPORTED,
     "op.groups",
     "a distribution over groups needs choices in in_channels and out_channels, and a constant "
     "in_channels / groups"},
    {"a soft padding alone",
     "in_channels = 1; out_channels = 1; kernel_size = 3; padding ~ 0, 1",
     false,
     {4, {1, 1, 4, 4}},
     SN_E_UNSUPPORTED,
     "op.padding",
     "a distribution over the padding needs one over kernel_size"},
    {"soft pairs",
     "in_channels = 1; out_channels = 1; kernel_size ~ (1, 3), (3, 3)",
     false,
     {4, {1, 1, 4, 4}},
     SN_E_UNSUPPORTED,
     "op.kernel_size",
     "a distribution over pairs such as (1, 3) is not supported"},
    {"a soft kernel with same",
     "in_channels = 1; out_channels = 1; kernel_size ~ 1, 3; padding = same",
     false,
     {4, {1, 1, 4, 4}},
     SN_E_UNSUPPORTED,
     "op.padding",
     "'same' is not supported under a distribution over kernel_size"},
};

static void check_refusal(void **state)
{
    const struct refusal *row = *state;
    struct op_call        c;
    sn_error              err = {0};
    sn_status             rc;

    op_call_init(&c, &sn_op_conv2d, row->args, row->nni, SN_EVAL);
    rc = op_call_load(&c, &err);
    if (rc == SN_OK) rc = op_call_infer(&c, row->x, &err);
    assert_int_equal(rc, row->status);
    assert_string_equal(err.text, row->text);
    assert_string_equal(err.where, row->where);
    op_call_fini(&c);
}

/* ---- the super module, costs and exports
 * ---------------------------------------------------------- */

static const struct shape_row {
    const char *name, *args;
    bool        nni;
    sn_shape    weight;
} shape_rows[] = {
    {"ours: as wide as the widest in_channels // groups of all assignments",
     "in_channels = 4 of 4, 8; out_channels = 8; kernel_size = 3; groups = 4 of 2, 4",
     false,
     {4, {8, 4, 3, 3}}},
    {"nni: as wide as the fewest groups make it",
     "groups = 2 of 2, 4; in_channels = 2 of 2, 4; out_channels = 4; kernel_size = 3",
     true,
     {4, {4, 2, 3, 3}}},
    {"nni: proportional groups after in_channels",
     "in_channels = 2 of 2, 4; groups = 2 of 2, 4; out_channels = 4; kernel_size = 3; "
     "in_channels // groups = 1; in_channels / groups = 1.0",
     true,
     {4, {4, 1, 3, 3}}},
    {"nni: proportional groups, by the formula that divides twice",
     "in_channels = 4 of 4, 8; groups = 2 of 2, 4; out_channels = 8; kernel_size = 3; "
     "in_channels // groups = 2; in_channels / groups = 2.0",
     true,
     {4, {8, 4, 3, 3}}},
    {"ours: pairs per component",
     "in_channels = 1; out_channels = 1; kernel_size = (3, 5) of (3, 5), (5, 3)",
     false,
     {4, {1, 1, 5, 5}}},
    {"nni: pairs in lexicographic order",
     "in_channels = 1; out_channels = 1; kernel_size = (3, 5) of (3, 5), (5, 3)",
     true,
     {4, {1, 1, 5, 3}}},
};

static void check_shape(void **state)
{
    const struct shape_row *row = *state;
    struct op_call          c;
    sn_error                err = {0};
    char                    text[64];

    op_call_init(&c, &sn_op_conv2d, row->args, row->nni, SN_EVAL);
    if (op_call_load(&c, &err) != SN_OK) fail_msg("%s: %s", err.where, err.text);
    if (!sn_shape_equal(&c.whole[0].shape, &row->weight))
        fail_msg("the weight is %s", sn_shape_text(&c.whole[0].shape, text, sizeof text));
    op_call_fini(&c);
}

/* Arguments of a fixed module that does the same, one for each of the operator's names. */
static const struct export_row {
    const char *name, *args;
    bool        nni;
    const char *out; /* in, out, kernel, stride, padding, dilation, groups; NULL: refused */
} export_rows[] = {
    {"prefixes and a crop",
     "in_channels = 2 of 2, 4; out_channels = 3 of 3, 5; kernel_size = 3 of 3, 5; padding = 1 of "
     "1, 2",
     false, "2 3 3 1 1 1 1"},
    {"pairs stay pairs", "in_channels = 2; out_channels = 3; kernel_size = (1, 3); stride = (2, 1)",
     false, "2 3 (1, 3) (2, 1) 0 1 1"},
    {"an even same stays a word",
     "in_channels = 1; out_channels = 1; kernel_size = 2 of 2, 4; padding = same", false,
     "1 1 2 1 'same' 1 1"},
    {"an odd same becomes a number",
     "in_channels = 1; out_channels = 1; kernel_size = 3; padding = same; dilation = 2", false,
     "1 1 3 1 2 2 1"},
    {"nni: the padding of the super kernel",
     "in_channels = 1; out_channels = 1; kernel_size = 1 of 1, 3; padding = 0 of 0, 1; "
     "padding_mode = reflect",
     true, "1 1 1 1 1 1 1"},
    {"nni: a super padding that no fixed module has",
     "in_channels = 1; out_channels = 1; kernel_size = 2 of 2, 4; padding = same; padding_mode = "
     "circular",
     true, NULL},
    {"nni: the kernel that Python's slice leaves",
     "in_channels = 1; out_channels = 1; kernel_size = (1, 5) of (1, 5), (3, 3)", true,
     "1 1 1 1 0 1 1"},
};

static void check_export(void **state)
{
    const struct export_row *row = *state;
    struct op_call           c;
    sn_error                 err = {0};
    sn_value                 out[SN_MAX_ARGS] = {0};
    char                     text[256] = "", one[64];
    sn_status                rc;

    op_call_init(&c, &sn_op_conv2d, row->args, row->nni, SN_EVAL);
    assert_int_equal(op_call_load(&c, &err), SN_OK);
    rc = op_call_infer(&c, (sn_shape){4, {1, c.arg[0].value.as.integer, 9, 9}}, &err);
    assert_int_equal(rc, SN_OK);
    for (size_t a = 0; a < c.n_args; a++)
        out[a] = c.arg[a].value;
    rc = sn_op_conv2d.export_args(&c.call, out, c.mem, &err);
    assert_int_equal(rc, row->out ? SN_OK : SN_E_UNSUPPORTED);
    for (size_t a = 0; row->out && a < 7; a++) {
        strcat(text, a ? " " : "");
        strcat(text, sn_value_text(&out[a], one, sizeof one));
    }
    if (row->out) assert_string_equal(text, row->out);
    op_call_fini(&c);
}

static void cost_counts_what_is_live(void **state)
{
    struct op_call c;
    sn_cost        cost = {0};

    (void)state;
    op_call_init(&c, &sn_op_conv2d,
                 "in_channels = 2 of 2, 4; out_channels = 3 of 3, 5; kernel_size = 3 of 3, 5",
                 false, SN_EVAL);
    assert_int_equal(op_call_load(&c, NULL), SN_OK);
    assert_int_equal(op_call_infer(&c, (sn_shape){4, {2, 2, 5, 6}}, NULL), SN_OK);
    sn_op_conv2d.cost(&c.call, &cost);
    assert_int_equal(cost.macs, 2 * 3 * (3 * 4) * (2 * 9));
    assert_int_equal(cost.params, 3 * 2 * 9 + 3);
    assert_int_equal(cost.bytes_moved, 4 * (2 * 2 * 5 * 6 + 3 * 2 * 9 + 3 + 2 * 3 * 3 * 4));
    op_call_fini(&c);
}

/* Scratch memory is for one image at a time, and private data never depends on the batch. */
static void scratch_does_not_grow_with_the_batch(void **state)
{
    struct op_call c;
    unsigned char  priv[512];
    size_t         scratch;

    (void)state;
    op_call_init(&c, &sn_op_conv2d,
                 "in_channels = 2; out_channels = 3; kernel_size = 3 of 3, 5; padding = 1; "
                 "padding_mode = circular",
                 false, SN_EVAL);
    assert_true(sn_op_conv2d.priv_bytes <= sizeof priv);
    assert_int_equal(op_call_load(&c, NULL), SN_OK);
    assert_int_equal(op_call_infer(&c, (sn_shape){4, {1, 2, 5, 6}}, NULL), SN_OK);
    memcpy(priv, c.call.priv, sn_op_conv2d.priv_bytes);
    scratch = c.call.scratch_bytes;
    assert_int_equal(op_call_infer(&c, (sn_shape){4, {64, 2, 5, 6}}, NULL), SN_OK);
    assert_int_equal(c.call.scratch_bytes, scratch);
    assert_memory_equal(c.call.priv, priv, sn_op_conv2d.priv_bytes);
    op_call_fini(&c);
}

#define ADD(rows, function)                                                                        \
    for (size_t i = 0; i < COUNT(rows); i++)                                                       \
        tests[n++] = (struct CMUnitTest)                                                           \
        {                                                                                          \
            .name = (rows)[i].name, .test_func = (function),                                       \
            .initial_state = (void *)(uintptr_t) & (rows)[i]                                       \
        }

int main(void)
{
    static const struct CMUnitTest single[] = {
        cmocka_unit_test(margins_are_those_of_the_twin),
        cmocka_unit_test(cost_counts_what_is_live),
        cmocka_unit_test(scratch_does_not_grow_with_the_batch),
    };
    static struct CMUnitTest tests[COUNT(kernel_rows) + COUNT(rows) + COUNT(refusals) +
                                   COUNT(shape_rows) + COUNT(export_rows) + COUNT(single)];
    size_t                   n = 0;

    ADD(kernel_rows, check_kernel);
    ADD(rows, check_row);
    ADD(refusals, check_refusal);
    ADD(shape_rows, check_shape);
    ADD(export_rows, check_export);
    for (size_t i = 0; i < COUNT(single); i++)
        tests[n++] = single[i];
    return cmocka_run_group_tests_name("conv2d", tests, NULL, NULL);
}
