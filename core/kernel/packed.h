/* packed: the kernels of the engine. Weights are packed once for a supernet, activations
 * are NHWC, and every kernel ends in a fused epilogue.
 *
 * A weight w [n, k, kernel_h, kernel_w] lies in panels of 16 output channels:
 *
 *   [ceil(n / 16)][kernel_h][kernel_w][k][16]      64-byte aligned, the last panel zero-filled
 *
 * A part of it is the same memory: a prefix of n is fewer panels, a range of k is an
 * offset of 16 floats a channel and a shorter inner loop, a centre crop of the kernel is
 * an offset of taps. A linear layer has one tap. A depthwise weight [c, 1, kh, kw] has k = 1.
 *
 * A matrix or an image is given with the distance of its rows or pixels in elements (ld...),
 * so that a range of channels is one too. Outputs must not overlap inputs unless said.
 *
 * Every function works on a part of its output: rows (positions, image rows) m0 to m1 and
 * channels n0 to n1, where n0 is a multiple of 16. An output number is computed by the same
 * operations in the same order whatever the part, so that parts may be shared by threads,
 * and rows by batches, without changing a bit. */
#ifndef KERNEL_PACKED_H
#define KERNEL_PACKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KERNEL_PANEL = 16 };

/* ---- weights ------------------------------------------------------------------------- */

/* A packed weight or a part of one; distances in elements. */
struct kernel_panels {
    const float *at; /* first panel, first tap in use, first channel in use */
    long         panel, tap_y, tap_x;
};

/* Where the numbers of an unpacked weight are: row-major or any part of it. */
struct kernel_weight {
    const float *data;
    long         n, k, kernel_h, kernel_w;
    long         ld_n, ld_k, ld_y, ld_x;
};

/* Bytes of w packed (data is not read); 0 if the number overflows. */
size_t kernel_pack_bytes(const struct kernel_weight *w);

/* Pack w into `at`, 64-byte aligned. With groups, k is what each of them reads. */
struct kernel_panels kernel_pack(const struct kernel_weight *w, float *at);

/* The panels that kernel_pack made there, without writing. */
struct kernel_panels kernel_packed_at(const struct kernel_weight *w, const float *at);

/* A part: from output channel n (a multiple of 16), input channel k and tap (y, x) on. */
struct kernel_panels kernel_panels_from(struct kernel_panels w, long n, long k, long y, long x);

/* The same for a 3x3 weight in the Winograd domain of F(m x m, 3x3), m = 2 or 4: panels with
 * (m + 2) x (m + 2) taps. Prefixes of n and k work as before, crops do not. */
size_t               kernel_winograd_pack_bytes(const struct kernel_weight *w, int m);
struct kernel_panels kernel_winograd_pack(const struct kernel_weight *w, int m, float *at);

/* ---- epilogue ------------------------------------------------------------------------ */

enum kernel_act {
    KERNEL_ACT_NONE,
    KERNEL_ACT_RELU,
    KERNEL_ACT_RELU6,
    KERNEL_ACT_HARDSWISH,
    KERNEL_ACT_HARDSIGMOID,
    KERNEL_ACT_SILU,
    KERNEL_ACT_SIGMOID,
    KERNEL_ACT_GELU, /* of erf */
    KERNEL_ACT_GELU_TANH,
    KERNEL_ACT_TANH,
    KERNEL_ACT_COUNT
};

/* y = act(x * scale + shift + residual); what is NULL is left out (scale 1, shift 0).
 * scale and shift are indexed by output channel, the residual as y is. It may be y itself. */
struct kernel_epilogue {
    const float    *scale, *shift;
    const float    *residual;
    long            ld_residual;
    enum kernel_act act;
};

/* ---- shapes -------------------------------------------------------------------------- */

/* y [m, n] = epilogue(x [m, k] w [n, k]^T) */
struct packed_gemm {
    long                   k;
    const float           *x;
    long                   ldx;
    struct kernel_panels   w;
    const float           *next; /* panels to prefetch after w, of the same shape; or NULL */
    float                 *y;
    long                   ldy;
    struct kernel_epilogue epilogue;
};

/* An image x [h, w, c] -> y [out_h, out_w, n], the pixels of a row side by side and rows
 * without a gap: row i starts at i * w * ldx. What lies outside x counts as zero. `conv` and
 * `winograd` take more images that follow without a gap, all else is for the caller to repeat.
 * Depthwise: n = c, and c of the weight is 1. Only `conv` knows other groups: `group` channels of
 * the output read c channels of x, the next ones the next c. */
struct packed_conv {
    long                   h, w, c;
    long                   out_h, out_w;
    int                    kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    int                    pad_top, pad_left;
    long                   group; /* 0: one group */
    const float           *x;
    long                   ldx;
    struct kernel_panels   weight;
    float                 *y;
    long                   ldy;
    struct kernel_epilogue epilogue;
    bool                   shared; /* depthwise: other threads compute the rows above or below */
};

/* Bytes of scratch for one thread; 0 if the number overflows. Scratch is 64-byte aligned. */
size_t packed_conv_scratch(const struct packed_conv *s);
size_t packed_planes_scratch(const struct packed_conv *s);
size_t packed_winograd_scratch(const struct packed_conv *s, long n, int m);

/* Tiles of m x m outputs of an image. */
static inline long packed_winograd_tiles(const struct packed_conv *s, int m)
{
    return ((s->out_h + m - 1) / m) * ((s->out_w + m - 1) / m);
}

/* Relative position in a grid, as AutoFormer has it. Token 0 (the class token) is not in the grid;
 * the others are its cells, row by row. With r and c the distances of query i and key j in rows and
 * in columns, both clipped to `length`:
 *
 *   score[i, j] += scale * q[i] . (key[0][length + 1 + r] + key[1][length + 1 + c])
 *   y[i]        += sum over j of p[i, j] * (value[0][length + 1 + r] + value[1][length + 1 + c])
 *
 * and row 0 of the tables where i or j is token 0. A table has 2 * length + 2 rows. */
struct packed_relative {
    long                 side;   /* cells in a row of the grid; 0: no relative position */
    long                 length; /* at least 0 */
    struct kernel_panels key[2]; /* tables [rows, d] packed */
    const float         *value[2];
    long                 ld_value;
};

/* One head: y [l, dv] = softmax(scale * q k^T + bias) v, for q [l, d], k [s, d], v [s, dv].
 * A row that is masked everywhere (-inf) becomes NaN. y may be q. */
struct packed_attention {
    long                   l, s, d, dv;
    float                  scale;
    const float           *q, *k, *v;
    long                   ldq, ldk, ldv;
    const float           *bias; /* [l, s] or NULL */
    long                   ld_bias;
    float                 *y;
    long                   ldy;
    struct packed_relative relative;
    float                 *panels; /* keys and values as they are packed, aligned to a line */
    bool                   shared; /* several threads read what each packs: use streaming stores */
    const float           *next;   /* panels to prefetch after these, or NULL */
};

/* Bytes of the panels, and of scratch for one thread; 0 if the number overflows. */
size_t packed_attention_panels(const struct packed_attention *s);
size_t packed_attention_scratch(const struct packed_attention *s);

/* x [h, w, c] -> y [out_h, out_w, c]. A window starts at out * stride - pad. */
struct packed_pool {
    long         h, w, c;
    long         out_h, out_w;
    int          kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    int          pad_top, pad_left;
    const float *x;
    long         ldx;
    float       *y;
    long         ldy;
};

/* ---- kernels ------------------------------------------------------------------------- */

/* One set for each kind of CPU: same arguments, same layouts; bits differ between sets. */
struct kernel_table {
    const char *name; /* "avx512", "avx2", "c" */

    /* Rows m0 to m1, channels n0 to n1 of y. One row is a matrix-vector product. */
    void (*gemm)(const struct packed_gemm *s, long m0, long m1, long n0, long n1);

    /* Positions (row-major pixels of the output images) m0 to m1, channels n0 to n1. */
    void (*conv)(const struct packed_conv *s, long m0, long m1, long n0, long n1, void *scratch);

    /* Rows of the output image y0 to y1, channels c0 to c1. */
    void (*depthwise)(const struct packed_conv *s, long y0, long y1, long c0, long c1);

    /* The same sums as conv, dilation 1, for an image that lies as planes: x [c, h, w], ldx is
     * not used. Rows of the output image y0 to y1, channels n0 to n1. For few channels. */
    void (*planes)(const struct packed_conv *s, long y0, long y1, long n0, long n1, void *scratch);

    /* 3x3, stride 1, dilation 1, with weights of kernel_winograd_pack: tiles t0 to t1 of
     * those of all images, channels n0 to n1. Relative to the largest output the
     * error is about 1e-6 for m = 2 and 1e-5 for m = 4 (direct: 2e-7);
     * tests/unit/test_packed_conv.c. */
    void (*winograd)(const struct packed_conv *s, int m, long t0, long t1, long n0, long n1,
                     void *scratch);

    /* Keys s0 to s1 of one head into s->panels, and values: all before the first query is
     * answered. The keys are those of whole panels: s0 is a multiple of 16, so is s1, or it is
     * s. */
    void (*attention_pack_keys)(const struct packed_attention *s, long s0, long s1);
    void (*attention_pack_values)(const struct packed_attention *s, long s0, long s1);

    /* Rows l0 to l1 of one head. */
    void (*attention)(const struct packed_attention *s, long l0, long l1, void *scratch);

    /* y[i] = act(x[i]); y may be x. Error bounds: tests/unit/test_packed_act.c. */
    void (*act)(enum kernel_act act, size_t n, const float *x, float *y);

    /* y [m, n] = act(x * scale[n] + shift[n] + residual): an epilogue alone. y may be x. */
    void (*epilogue)(long m, long n, const float *x, long ldx, const struct kernel_epilogue *e,
                     float *y, long ldy);

    /* y [m, n] = x * by[n]; y may be x. (Squeeze and excite.) */
    void (*scale)(long m, long n, const float *x, long ldx, const float *by, float *y, long ldy);

    /* The panels of channels n0 to n1, times by[k], to `at` (same shape, densely: panel k * 16).
     * The cheaper squeeze-and-excite before a 1x1 convolution with fewer channels than rows. */
    struct kernel_panels (*scale_panels)(const struct kernel_panels *w, long k, long n0, long n1,
                                         const float *by, float *at);

    /* y[c] = sum over the m rows of x, from first to last, times `by` (1 / m: global mean). */
    void (*mean)(long m, long c, const float *x, long ldx, float by, float *y);

    /* Rows of the output y0 to y1. Largest (NaN wins), or sum / divisor, or if that is 0 /
     * the number of elements: inside x, or with count_pad inside x and its padding
     * (pad_bottom, pad_right after it). */
    void (*max_pool)(const struct packed_pool *s, long y0, long y1);
    void (*avg_pool)(const struct packed_pool *s, bool count_pad, int pad_bottom, int pad_right,
                     float divisor, long y0, long y1);

    /* Every row of x [m, n] to mean 0 and variance 1, times weight plus bias (NULL: without);
     * y may be x. */
    void (*layernorm)(long m, long n, const float *x, long ldx, const float *weight,
                      const float *bias, float eps, float *y, long ldy);

    /* x [pixels, c] of one image in `groups` of c / groups channels to mean 0, variance 1;
     * weight, bias [c] or NULL. y may be x. */
    void (*groupnorm)(long pixels, long c, long groups, const float *x, long ldx,
                      const float *weight, const float *bias, float eps, float *y, long ldy);

    /* Rows of x [m, n]; y may be x. -inf everywhere, NaN or +inf in a row: NaN. */
    void (*softmax)(long m, long n, const float *x, long ldx, float *y, long ldy);

    /* Pixels p0 to p1 of x [c, pixels] dense to y [pixels, c] and back, ld of the pixels. */
    void (*to_nhwc)(long c, long pixels, long p0, long p1, const float *x, float *y, long ldy);
    void (*to_nchw)(long c, long pixels, long p0, long p1, const float *x, long ldx, float *y);

    /* y [n * times]: every number of x [n] `times` times over. */
    void (*repeat)(long n, long times, const float *x, float *y);
};

/* The best set for this CPU; a constant. */
const struct kernel_table *kernel_table(void);

/* All that this CPU can run, best first, ends with NULL (for tests and benchmarks). */
const struct kernel_table *kernel_table_at(int i);

#endif
