/* The convolutions over packed weights, of every set that this CPU runs: against the twin of
 * conv.h, and the same bits however the output is divided. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/conv.h"
#include "kernel/packed.h"
#include "support/floats.h"

enum { DEPTHWISE = 0 };

/* A row is a sentence: this kernel, from `crop` on in both directions of a weight that is
 * twice the crop larger, over the first channels of one with `more` input channels (of a group). */
/* clang-format off */
static const struct row {
    const char     *name;
    int             groups; /* or DEPTHWISE */
    int             c, n, more, gap; /* gap: floats between the pixels of x and of y */
    int             kernel[2], crop;
    int             size[2], stride[2], dilation[2], pad[2];
    bool            residual;
    enum kernel_act act;
} rows[] = {
    {"one number",
     1, 1, 1, 0, 0, {1, 1}, 0, {1, 1}, {1, 1}, {1, 1}, {0, 0}, false, KERNEL_ACT_NONE},
    {"3x3",
     1, 20, 24, 0, 0, {3, 3}, 0, {9, 7}, {1, 1}, {1, 1}, {1, 1}, false, KERNEL_ACT_RELU},
    {"3x3, prefix of channels",
     1, 20, 40, 9, 3, {3, 3}, 0, {9, 7}, {1, 1}, {1, 1}, {1, 1}, true, KERNEL_ACT_RELU},
    {"3x3, centre of 7x7",
     1, 18, 17, 4, 0, {3, 3}, 2, {8, 8}, {1, 1}, {1, 1}, {1, 1}, false, KERNEL_ACT_NONE},
    {"first layer",
     1, 3, 24, 0, 0, {3, 3}, 0, {17, 19}, {2, 2}, {1, 1}, {1, 1}, false, KERNEL_ACT_HARDSWISH},
    {"first layer, 7x7",
     1, 3, 33, 0, 0, {7, 7}, 0, {15, 13}, {2, 2}, {1, 1}, {3, 3}, false, KERNEL_ACT_RELU},
    {"grey, 5x5, no padding",
     1, 1, 16, 0, 0, {5, 5}, 0, {9, 11}, {1, 1}, {1, 1}, {0, 0}, false, KERNEL_ACT_NONE},
    {"few channels with a gap",
     1, 3, 8, 0, 2, {3, 3}, 0, {7, 7}, {1, 1}, {1, 1}, {1, 1}, false, KERNEL_ACT_NONE},
    {"few channels of more",
     1, 4, 12, 2, 0, {3, 3}, 0, {7, 7}, {1, 1}, {1, 1}, {1, 1}, false, KERNEL_ACT_NONE},
    {"few channels, image narrower than the kernel",
     1, 2, 9, 0, 0, {3, 7}, 0, {5, 2}, {1, 1}, {1, 1}, {1, 5}, false, KERNEL_ACT_NONE},
    {"strides differ",
     1, 17, 9, 0, 0, {3, 2}, 0, {11, 10}, {3, 2}, {1, 1}, {1, 0}, false, KERNEL_ACT_NONE},
    {"dilation",
     1, 5, 21, 0, 0, {3, 3}, 0, {12, 13}, {1, 2}, {2, 3}, {2, 3}, false, KERNEL_ACT_SILU},
    {"1x1 with stride",
     1, 33, 18, 0, 0, {1, 1}, 0, {7, 9}, {2, 2}, {1, 1}, {0, 0}, false, KERNEL_ACT_NONE},
    {"all padding",
     1, 19, 5, 0, 0, {3, 3}, 0, {1, 1}, {1, 1}, {1, 1}, {3, 3}, false, KERNEL_ACT_NONE},
    {"sums in parts of a tap",
     1, 423, 40, 9, 0, {3, 3}, 0, {11, 10}, {1, 1}, {1, 1}, {1, 1}, true, KERNEL_ACT_RELU},
    {"sums in parts of many taps",
     1, 27, 50, 5, 1, {13, 12}, 0, {14, 9}, {2, 1}, {1, 1}, {6, 5}, true, KERNEL_ACT_SILU},
    {"a long tap",
     1, 4000, 20, 0, 0, {1, 2}, 0, {5, 7}, {1, 1}, {1, 1}, {0, 1}, false, KERNEL_ACT_NONE},
    {"several lists of positions",
     1, 24, 24, 0, 0, {3, 3}, 0, {31, 29}, {1, 1}, {1, 1}, {1, 1}, false, KERNEL_ACT_NONE},
    {"depthwise 3x3",
     DEPTHWISE, 24, 24, 0, 0, {3, 3}, 0, {9, 14}, {1, 1}, {1, 1}, {1, 1}, false, KERNEL_ACT_RELU6},
    {"depthwise 3x3, stride 2",
     DEPTHWISE, 33, 33, 0, 2, {3, 3}, 0, {13, 15}, {2, 2}, {1, 1}, {1, 1}, true, KERNEL_ACT_RELU},
    {"depthwise 5x5",
     DEPTHWISE, 40, 40, 0, 0, {5, 5}, 0, {7, 7}, {1, 1}, {1, 1}, {2, 2}, false, KERNEL_ACT_HARDSWISH},
    {"depthwise 5x5, stride 2",
     DEPTHWISE, 8, 8, 0, 0, {5, 5}, 0, {14, 14}, {2, 2}, {1, 1}, {2, 2}, false, KERNEL_ACT_HARDSWISH},
    {"depthwise 5x5 of 7x7",
     DEPTHWISE, 17, 17, 0, 1, {5, 5}, 1, {11, 23}, {1, 1}, {1, 1}, {2, 2}, false, KERNEL_ACT_NONE},
    {"depthwise 3x3 of 7x7",
     DEPTHWISE, 48, 48, 0, 0, {3, 3}, 2, {6, 5}, {1, 1}, {1, 1}, {1, 1}, false, KERNEL_ACT_GELU},
    {"depthwise 7x7",
     DEPTHWISE, 19, 19, 0, 0, {7, 7}, 0, {7, 7}, {1, 1}, {1, 1}, {3, 3}, false, KERNEL_ACT_NONE},
    {"depthwise 7x7, stride 2",
     DEPTHWISE, 16, 16, 0, 0, {7, 7}, 0, {9, 30}, {2, 2}, {1, 1}, {3, 3}, false, KERNEL_ACT_NONE},
    {"depthwise 7x7, one pixel",
     DEPTHWISE, 3, 3, 0, 0, {7, 7}, 0, {1, 1}, {1, 1}, {1, 1}, {3, 3}, false, KERNEL_ACT_NONE},
    {"depthwise 3x3 far outside",
     DEPTHWISE, 5, 5, 0, 0, {3, 3}, 0, {2, 3}, {1, 1}, {1, 1}, {4, 5}, false, KERNEL_ACT_NONE},
    {"depthwise 4x2",
     DEPTHWISE, 21, 21, 0, 0, {4, 2}, 0, {9, 8}, {1, 2}, {1, 1}, {1, 1}, false, KERNEL_ACT_SIGMOID},
    {"depthwise with dilation",
     DEPTHWISE, 18, 18, 0, 0, {3, 3}, 0, {11, 12}, {1, 1}, {2, 3}, {2, 3}, false, KERNEL_ACT_NONE},
    {"depthwise 5x5 of every second pixel",
     DEPTHWISE, 33, 33, 0, 1, {5, 5}, 0, {17, 29}, {1, 1}, {2, 2}, {4, 4}, true, KERNEL_ACT_RELU},
    {"depthwise 3x3, stride and dilation 2",
     DEPTHWISE, 20, 20, 0, 0, {3, 3}, 0, {13, 21}, {2, 2}, {2, 2}, {2, 2}, false, KERNEL_ACT_NONE},
    {"depthwise 3x3, dilation 4 and stride 2",
     DEPTHWISE, 17, 17, 0, 0, {3, 3}, 0, {19, 37}, {2, 2}, {4, 4}, {4, 4}, true, KERNEL_ACT_SILU},
    {"depthwise 3x3, dilation 2 and stride 3",
     DEPTHWISE, 17, 17, 0, 0, {3, 3}, 0, {19, 37}, {3, 3}, {2, 2}, {2, 2}, true, KERNEL_ACT_NONE},
    {"depthwise 7x7, more dilation than pixels",
     DEPTHWISE, 16, 16, 0, 0, {7, 7}, 0, {4, 5}, {1, 1}, {9, 9}, {27, 27}, false, KERNEL_ACT_NONE},
    {"depthwise 9x8",
     DEPTHWISE, 19, 19, 0, 0, {9, 8}, 0, {12, 21}, {1, 1}, {1, 1}, {4, 3}, false, KERNEL_ACT_RELU},
    {"depthwise 1x11",
     DEPTHWISE, 31, 31, 0, 2, {1, 11}, 0, {5, 30}, {1, 1}, {1, 1}, {0, 5}, true, KERNEL_ACT_NONE},
    {"depthwise 13x13",
     DEPTHWISE, 18, 18, 0, 0, {13, 13}, 0, {15, 14}, {1, 1}, {1, 1}, {6, 6}, false, KERNEL_ACT_GELU},
    {"depthwise 9x9, stride 2",
     DEPTHWISE, 18, 18, 0, 0, {9, 9}, 0, {15, 24}, {2, 2}, {1, 1}, {4, 4}, false, KERNEL_ACT_NONE},
    {"depthwise 2x6",
     DEPTHWISE, 18, 18, 0, 0, {2, 6}, 0, {15, 24}, {1, 1}, {1, 1}, {1, 3}, false, KERNEL_ACT_NONE},
    {"depthwise, stride 3",
     DEPTHWISE, 18, 18, 0, 0, {3, 3}, 0, {11, 12}, {3, 3}, {1, 1}, {1, 1}, false, KERNEL_ACT_NONE},
    {"depthwise 3x3, seventy channels",
     DEPTHWISE, 70, 70, 0, 2, {3, 3}, 0, {13, 11}, {1, 1}, {1, 1}, {1, 1}, true, KERNEL_ACT_HARDSWISH},
    {"depthwise 3x3, stride 2, seventy channels",
     DEPTHWISE, 70, 70, 0, 0, {3, 3}, 0, {21, 30}, {2, 2}, {1, 1}, {1, 1}, false, KERNEL_ACT_RELU},
    {"depthwise 5x5, stride 2, many channels",
     DEPTHWISE, 200, 200, 0, 1, {5, 5}, 0, {21, 19}, {2, 2}, {1, 1}, {2, 2}, true, KERNEL_ACT_SILU},
    {"depthwise 3x3, dilation 2, many channels",
     DEPTHWISE, 130, 130, 0, 1, {3, 3}, 0, {15, 19}, {1, 1}, {2, 2}, {2, 2}, false, KERNEL_ACT_NONE},
    {"depthwise, many channels",
     DEPTHWISE, 700, 700, 0, 0, {5, 5}, 0, {6, 9}, {1, 1}, {1, 1}, {2, 2}, false, KERNEL_ACT_RELU},
    {"3x3 for Winograd, odd",
     1, 19, 35, 0, 1, {3, 3}, 0, {11, 13}, {1, 1}, {1, 1}, {1, 1}, true, KERNEL_ACT_RELU},
    {"3x3 for Winograd, prefix",
     1, 32, 48, 8, 0, {3, 3}, 0, {12, 8}, {1, 1}, {1, 1}, {1, 1}, false, KERNEL_ACT_HARDSWISH},
    {"3x3 for Winograd, no pad",
     1, 16, 16, 0, 0, {3, 3}, 0, {7, 6}, {1, 1}, {1, 1}, {0, 0}, false, KERNEL_ACT_NONE},
    {"3x3 for Winograd, blocks",
     1, 24, 24, 0, 0, {3, 3}, 0, {57, 41}, {1, 1}, {1, 1}, {1, 1}, false, KERNEL_ACT_NONE},
    {"groups of 4",
     8, 24, 32, 0, 0, {3, 3}, 0, {9, 7}, {1, 1}, {1, 1}, {1, 1}, true, KERNEL_ACT_RELU},
    {"groups of 4 from 4",
     12, 48, 48, 0, 0, {3, 3}, 0, {9, 7}, {1, 1}, {1, 1}, {1, 1}, true, KERNEL_ACT_RELU},
    {"groups of 4 from 4 of 6, centre of 5x5, no whole vectors",
     5, 20, 20, 2, 1, {3, 3}, 1, {10, 11}, {2, 1}, {1, 1}, {1, 1}, true, KERNEL_ACT_SILU},
    {"groups of 4 from 4, a huge kernel",
     3, 12, 12, 0, 0, {30, 30}, 0, {33, 34}, {1, 1}, {1, 1}, {2, 0}, false, KERNEL_ACT_NONE},
    {"groups of 4 from 4, 1x1",
     9, 36, 36, 0, 0, {1, 1}, 0, {9, 9}, {1, 1}, {1, 1}, {0, 0}, false, KERNEL_ACT_HARDSWISH},
    {"groups of 8, a residual and a slow activation",
     6, 48, 48, 0, 3, {3, 3}, 0, {11, 13}, {2, 2}, {1, 1}, {1, 1}, true, KERNEL_ACT_SILU},
    {"groups of 12 of a wider weight",
     5, 30, 60, 3, 0, {3, 3}, 1, {8, 9}, {1, 1}, {1, 1}, {1, 1}, false, KERNEL_ACT_HARDSWISH},
    {"groups of 24",
     4, 80, 96, 0, 0, {5, 5}, 0, {9, 9}, {1, 1}, {1, 1}, {2, 2}, true, KERNEL_ACT_GELU},
    {"groups of 16 and of 48, dilated",
     3, 48, 144, 0, 1, {3, 3}, 0, {12, 11}, {1, 1}, {2, 2}, {2, 2}, false, KERNEL_ACT_NONE},
    {"two groups of 65",
     2, 14, 130, 0, 0, {3, 3}, 0, {10, 10}, {1, 1}, {1, 1}, {1, 1}, true, KERNEL_ACT_SIGMOID},
    {"groups of one input",
     20, 20, 60, 0, 0, {3, 3}, 0, {7, 8}, {1, 1}, {1, 1}, {1, 1}, false, KERNEL_ACT_RELU6},
    {"groups of one output",
     19, 57, 19, 0, 0, {3, 3}, 0, {7, 8}, {1, 1}, {1, 1}, {1, 1}, true, KERNEL_ACT_TANH},
    {"groups with long sums",
     2, 700, 40, 0, 0, {3, 3}, 0, {5, 6}, {1, 1}, {1, 1}, {1, 1}, false, KERNEL_ACT_NONE},
    {"1x1 in groups",
     3, 33, 42, 0, 0, {1, 1}, 0, {13, 15}, {1, 1}, {1, 1}, {0, 0}, false, KERNEL_ACT_RELU},
};
/* clang-format on */

/* Everything a row needs. */
struct fixture {
    struct packed_conv s;
    long               positions, groups, channels; /* channels of the packed weight */
    float             *x, *w, *packed, *winograd[2], *scale, *shift, *residual, *want;
    void              *scratch;
    size_t             size_y;
};

/* What ref_conv says, with the epilogue, in the layout of y. */
static void expect(struct fixture *f, const struct row *t, long all_h, long all_w)
{
    const struct packed_conv  *s = &f->s;
    const struct conv_shape    shape = {.groups = (int)f->groups,
                                        .c_in = t->c,
                                        .h = (int)s->h,
                                        .w = (int)s->w,
                                        .c_out = t->n,
                                        .out_h = (int)s->out_h,
                                        .out_w = (int)s->out_w,
                                        .kernel_h = t->kernel[0],
                                        .kernel_w = t->kernel[1],
                                        .stride_h = t->stride[0],
                                        .stride_w = t->stride[1],
                                        .dilation_h = t->dilation[0],
                                        .dilation_w = t->dilation[1],
                                        .pad_top = t->pad[0],
                                        .pad_left = t->pad[1]};
    const struct conv_weight   w = {.data = f->w + t->crop * all_w + t->crop,
                                    .ld_out = f->channels * all_h * all_w,
                                    .ld_in = all_h * all_w,
                                    .ld_row = all_w};
    float                     *planes = floats_of((size_t)(t->c * s->h * s->w), 0, 0);
    float                     *y = floats_of((size_t)(t->n * f->positions), 0, 0);
    const struct kernel_table *plain = NULL;

    for (int i = 0; kernel_table_at(i); i++)
        plain = kernel_table_at(i);
    plain->to_nchw(t->c, s->h * s->w, 0, s->h * s->w, f->x, s->ldx, planes);
    ref_conv(&shape, planes, &w, y);
    f->want = floats_of(f->size_y, 0, 7);
    for (long i = 0; i < f->positions; i++)
        for (long j = 0; j < t->n; j++) {
            float v = y[j * f->positions + i] * f->scale[j] + f->shift[j];

            if (t->residual) v += f->residual[i * s->ldy + j];
            plain->act(t->act, 1, &v, &f->want[i * s->ldy + j]);
        }
    floats_free(planes);
    floats_free(y);
}

static void set_up(struct fixture *f, const struct row *t)
{
    const long all_h = t->kernel[0] + 2 * t->crop, all_w = t->kernel[1] + 2 * t->crop;
    const bool three = t->groups == 1 && t->kernel[0] == 3 && t->kernel[1] == 3 && t->crop == 0 &&
                       t->stride[0] * t->stride[1] * t->dilation[0] * t->dilation[1] == 1;

    *f = (struct fixture){.groups = t->groups == DEPTHWISE ? t->c : t->groups};
    f->channels = t->c / f->groups + t->more;
    f->s = (struct packed_conv){
        .h = t->size[0],
        .w = t->size[1],
        .c = t->groups == DEPTHWISE ? t->c : t->c / t->groups,
        .group = t->groups > 1 ? t->n / t->groups : 0,
        .out_h =
            (t->size[0] + 2 * t->pad[0] - t->dilation[0] * (t->kernel[0] - 1) - 1) / t->stride[0] +
            1,
        .out_w =
            (t->size[1] + 2 * t->pad[1] - t->dilation[1] * (t->kernel[1] - 1) - 1) / t->stride[1] +
            1,
        .kernel_h = t->kernel[0],
        .kernel_w = t->kernel[1],
        .stride_h = t->stride[0],
        .stride_w = t->stride[1],
        .dilation_h = t->dilation[0],
        .dilation_w = t->dilation[1],
        .pad_top = t->pad[0],
        .pad_left = t->pad[1],
        .ldx = t->c + t->gap,
        .ldy = t->n + t->gap};
    f->positions = f->s.out_h * f->s.out_w;
    f->size_y = (size_t)(f->positions * f->s.ldy);
    f->x = floats_random((size_t)(f->s.h * f->s.w * f->s.ldx - t->gap), 1, 1);
    f->w = floats_random((size_t)(t->n * f->channels * all_h * all_w), 0, 2);
    f->scale = floats_random((size_t)t->n, 1, 3);
    f->shift = floats_random((size_t)t->n, 3, 4);
    f->residual = floats_random(f->size_y, 1, 5);

    const struct kernel_weight all = {f->w,          t->n,  f->channels,
                                      all_h,         all_w, f->channels * all_h * all_w,
                                      all_h * all_w, all_w, 1};

    f->packed = floats_of(kernel_pack_bytes(&all) / sizeof(float), 0, NAN);
    f->s.x = f->x;
    f->s.weight = kernel_panels_from(kernel_pack(&all, f->packed), 0, 0, t->crop, t->crop);
    f->s.epilogue = (struct kernel_epilogue){f->scale, f->shift, t->residual ? f->residual : NULL,
                                             f->s.ldy, t->act};
    for (int m = 2; three && m <= 4; m += 2) {
        f->winograd[m / 2 - 1] =
            floats_of(kernel_winograd_pack_bytes(&all, m) / sizeof(float), 0, NAN);
        kernel_winograd_pack(&all, m, f->winograd[m / 2 - 1]);
    }
    expect(f, t, all_h, all_w);
}

static void tear_down(struct fixture *f)
{
    floats_free(f->x);
    floats_free(f->w);
    floats_free(f->packed);
    floats_free(f->winograd[0]);
    floats_free(f->winograd[1]);
    floats_free(f->scale);
    floats_free(f->shift);
    floats_free(f->residual);
    floats_free(f->want);
}

static void *scratch_of(size_t bytes)
{
    void *p = NULL;

    assert_true(bytes > 0);
    assert_int_equal(posix_memalign(&p, 64, bytes), 0);
    memset(p, 0xff, bytes); /* not a number */
    return p;
}

static void check_dense(struct fixture *f, const struct row *t, const struct kernel_table *set)
{
    float *whole = floats_of(f->size_y, 1, 7), *parts = floats_of(f->size_y, 1, 7);
    void  *scratch = scratch_of(packed_conv_scratch(&f->s));

    f->s.y = whole;
    set->conv(&f->s, 0, f->positions, 0, t->n, scratch);
    f->s.y = parts;
    for (long m = 0, step = 1; m < f->positions; m += step, step += 4)
        for (long n = 0; n < t->n; n += KERNEL_PANEL)
            set->conv(&f->s, m, m + step < f->positions ? m + step : f->positions, n,
                      n + KERNEL_PANEL < t->n ? n + KERNEL_PANEL : t->n, scratch);
    assert_floats_close(whole, f->want, (size_t)f->positions, (size_t)t->n, (size_t)f->s.ldy,
                        4 * FLT_EPSILON * sqrt((double)f->s.c * t->kernel[0] * t->kernel[1] + 4.0),
                        set->name);
    assert_floats_same(whole, parts, (size_t)f->positions, (size_t)t->n, (size_t)f->s.ldy,
                       set->name);
    floats_free(whole);
    floats_free(parts);
    free(scratch);
}

static void check_depthwise(struct fixture *f, const struct row *t, const struct kernel_table *set)
{
    const long h = f->s.out_h;
    float     *whole = floats_of(f->size_y, 1, 7), *parts = floats_of(f->size_y, 1, 7);

    f->s.y = whole;
    set->depthwise(&f->s, 0, h, 0, t->n);
    f->s.y = parts;
    for (long y = 0, step = 1; y < h; y += step, step++)
        for (long c = 0; c < t->n; c += KERNEL_PANEL)
            set->depthwise(&f->s, y, y + step < h ? y + step : h, c,
                           c + KERNEL_PANEL < t->n ? c + KERNEL_PANEL : t->n);
    assert_floats_close(whole, f->want, (size_t)f->positions, (size_t)t->n, (size_t)f->s.ldy,
                        4 * FLT_EPSILON * sqrt(t->kernel[0] * t->kernel[1] + 4.0), set->name);
    assert_floats_same(whole, parts, (size_t)f->positions, (size_t)t->n, (size_t)f->s.ldy,
                       set->name);
    memset(parts, 0xff, f->size_y * sizeof *parts);
    f->s.shared = true;
    for (long y = 0, step = 1; y < h; y += step, step++)
        set->depthwise(&f->s, y, y + step < h ? y + step : h, 0, t->n);
    f->s.shared = false;
    assert_floats_same(whole, parts, (size_t)f->positions, (size_t)t->n, (size_t)f->s.ldy,
                       set->name);
    floats_free(whole);
    floats_free(parts);
}

/* The image as planes, whatever the number of channels. */
static void check_planes(struct fixture *f, const struct row *t, const struct kernel_table *set)
{
    float             *whole = floats_of(f->size_y, 1, 7), *parts = floats_of(f->size_y, 1, 7);
    float             *planes = floats_of((size_t)(t->c * f->s.h * f->s.w), 0, NAN);
    struct packed_conv s = f->s;
    void              *scratch = scratch_of(packed_planes_scratch(&s));
    const long         h = s.out_h;

    set->to_nchw(t->c, s.h * s.w, 0, s.h * s.w, f->x, s.ldx, planes);
    s.x = planes;
    s.y = whole;
    set->planes(&s, 0, h, 0, t->n, scratch);
    s.y = parts;
    for (long y = 0, step = 1; y < h; y += step, step++)
        for (long n = 0; n < t->n; n += KERNEL_PANEL)
            set->planes(&s, y, y + step < h ? y + step : h, n,
                        n + KERNEL_PANEL < t->n ? n + KERNEL_PANEL : t->n, scratch);
    assert_floats_close(whole, f->want, (size_t)f->positions, (size_t)t->n, (size_t)s.ldy,
                        4 * FLT_EPSILON * sqrt(t->c * t->kernel[0] * t->kernel[1] + 4.0),
                        set->name);
    assert_floats_same(whole, parts, (size_t)f->positions, (size_t)t->n, (size_t)s.ldy, set->name);
    floats_free(whole);
    floats_free(parts);
    floats_free(planes);
    free(scratch);
}

/* The bounds that packed.h states, with room for small sums: relative to the largest output. */
static void check_winograd(struct fixture *f, const struct row *t, const struct kernel_table *set,
                           int m)
{
    const long tiles = packed_winograd_tiles(&f->s, m), k = t->c + t->more;
    float     *whole = floats_of(f->size_y, 1, 7), *parts = floats_of(f->size_y, 1, 7);
    void      *scratch = scratch_of(packed_winograd_scratch(&f->s, t->n, m));
    const struct kernel_weight u = {.n = t->n, .k = k, .kernel_h = m + 2, .kernel_w = m + 2};
    struct packed_conv         s = f->s;

    s.weight = kernel_packed_at(&u, f->winograd[m / 2 - 1]);
    s.y = whole;
    set->winograd(&s, m, 0, tiles, 0, t->n, scratch);
    s.y = parts;
    for (long i = 0, step = 1; i < tiles; i += step, step++)
        for (long n = 0; n < t->n; n += KERNEL_PANEL)
            set->winograd(&s, m, i, i + step < tiles ? i + step : tiles, n,
                          n + KERNEL_PANEL < t->n ? n + KERNEL_PANEL : t->n, scratch);
    assert_floats_close(whole, f->want, (size_t)f->positions, (size_t)t->n, (size_t)s.ldy,
                        m == 2 ? 2e-6 : 1e-5, set->name);
    assert_floats_same(whole, parts, (size_t)f->positions, (size_t)t->n, (size_t)s.ldy, set->name);
    floats_free(whole);
    floats_free(parts);
    free(scratch);
}

/* Three images at once, in parts that do not end with them, have the bits of one at a time.
 * m: of Winograd's, or 0 for the direct sum. */
static void check_images(struct fixture *f, const struct row *t, const struct kernel_table *set,
                         int m)
{
    enum { IMAGES = 3 };
    const struct kernel_weight u = {
        .n = t->n, .k = t->c + t->more, .kernel_h = m + 2, .kernel_w = m + 2};
    const size_t size_x = (size_t)(f->s.h * f->s.w * f->s.ldx);
    const long   units = m ? packed_winograd_tiles(&f->s, m) : f->positions;
    float       *x = floats_of(IMAGES * size_x, 1, 0), *residual = NULL;
    float       *each = floats_of(IMAGES * f->size_y, 1, 7);
    float       *all = floats_of(IMAGES * f->size_y, 1, 7);
    void        *scratch =
        scratch_of(m ? packed_winograd_scratch(&f->s, t->n, m) : packed_conv_scratch(&f->s));
    struct packed_conv s = f->s;

    if (m) s.weight = kernel_packed_at(&u, f->winograd[m / 2 - 1]);
    residual = floats_random(IMAGES * f->size_y, 1, 5);
    for (int i = 0; i < IMAGES; i++) {
        for (size_t j = 0; j < size_x - (size_t)t->gap; j++)
            x[(size_t)i * size_x + j] = f->x[j] * (float)(i - 1);
        s.x = x + (size_t)i * size_x;
        s.y = each + (size_t)i * f->size_y;
        if (t->residual) s.epilogue.residual = residual + (size_t)i * f->size_y;
        if (m)
            set->winograd(&s, m, 0, units, 0, t->n, scratch);
        else
            set->conv(&s, 0, units, 0, t->n, scratch);
    }
    s.x = x;
    s.y = all;
    if (t->residual) s.epilogue.residual = residual;
    for (long from = 0, step = units / 2 + 1; from < IMAGES * units; from += step) {
        const long to = from + step < IMAGES * units ? from + step : IMAGES * units;

        if (m)
            set->winograd(&s, m, from, to, 0, t->n, scratch);
        else
            set->conv(&s, from, to, 0, t->n, scratch);
    }
    assert_floats_same(all, each, (size_t)(IMAGES * f->positions), (size_t)t->n, (size_t)s.ldy,
                       set->name);
    floats_free(x);
    floats_free(residual);
    floats_free(each);
    floats_free(all);
    free(scratch);
}

static void check_row(void **state)
{
    const struct row *t = *state;
    struct fixture    f;

    set_up(&f, t);
    for (int i = 0; kernel_table_at(i); i++) {
        const struct kernel_table *set = kernel_table_at(i);

        if (t->groups == DEPTHWISE) {
            check_depthwise(&f, t, set);
        } else {
            check_dense(&f, t, set);
            check_images(&f, t, set, 0);
            if (t->groups == 1 && t->dilation[0] == 1 && t->dilation[1] == 1)
                check_planes(&f, t, set);
            for (int m = 2; f.winograd[0] && m <= 4; m += 2) {
                check_winograd(&f, t, set, m);
                check_images(&f, t, set, m);
            }
        }
    }
    tear_down(&f);
}

static void scratch_that_overflows_is_zero(void **state)
{
    const struct packed_conv s = {.h = 9,
                                  .w = 9,
                                  .c = 1L << 61,
                                  .out_h = 9,
                                  .out_w = 9,
                                  .kernel_h = 3,
                                  .kernel_w = 3,
                                  .dilation_w = 1};

    (void)state;
    assert_int_equal(packed_conv_scratch(&s), 0);
}

int main(void)
{
    enum { ROWS = sizeof rows / sizeof rows[0] };
    struct CMUnitTest tests[ROWS + 1] = {cmocka_unit_test(scratch_that_overflows_is_zero)};

    for (size_t i = 0; i < ROWS; i++)
        tests[i + 1] = (struct CMUnitTest){
            .name = rows[i].name, .test_func = check_row, .initial_state = (void *)&rows[i]};
    return cmocka_run_group_tests_name("packed convolutions", tests, NULL, NULL);
}
