/* bench_kernel: the packed kernels on the shapes of the networks, each beside OpenBLAS (for a
 * convolution: its product, without gathering the rows), as percent of what this machine's
 * fused multiply-add can do. The candidates take turns; a number is the lower quartile of 31
 * turns, because other programs only ever make it slower.
 *
 *   build/release/bench_kernel [gemm|conv|depthwise|winograd|attention|rows] */
#include <cblas.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/peak.h"
#include "kernel/packed.h"

enum { TURNS = 31, MOST = 5 };

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* ---- candidates --------------------------------------------------------------------------- */

static double peak;

static float *floats(size_t n)
{
    float *x = aligned_alloc(64, (n * sizeof(float) + 127) / 64 * 64);

    if (!x) {
        perror("bench_kernel");
        exit(1);
    }
    for (size_t i = 0; i < n; i++)
        x[i] = (float)((i * 2654435761u >> 8) % 2048) / 1024.0f - 1.0f;
    return x;
}

typedef void candidate(const struct kernel_table *set, const void *arg);

/* Candidate `run` with every set, then `other`; percents of the peak to ret_percent. */
static void race(const char *name, double flops, candidate *run, candidate *other, const void *arg,
                 double ret_percent[MOST])
{
    static double seconds[MOST][TURNS];
    const int     repeats = flops < 4e6 ? (int)(4e6 / flops) + 1 : 1;
    int           count = 0;

    while (kernel_table_at(count))
        count++;
    for (int turn = 0; turn < TURNS; turn++)
        for (int i = 0; i <= count; i++) {
            const double start = bench_now();

            for (int r = 0; i < count && r < repeats; r++)
                run(kernel_table_at(i), arg);
            for (int r = 0; i == count && other && r < repeats; r++)
                other(NULL, arg);
            seconds[i][turn] = (bench_now() - start) / repeats;
        }
    printf("%-28s", name);
    for (int i = 0; i <= count; i++) {
        qsort(seconds[i], TURNS, sizeof(double), by_size);
        if (i == count && !other) break;
        ret_percent[i] = flops / seconds[i][TURNS / 4] / peak * 100;
        printf(" %7.1f", ret_percent[i]);
    }
    printf("   %8.1f us\n", seconds[0][TURNS / 4] * 1e6);
}

static void heading(const char *what, bool other)
{
    printf("\n%-28s", what);
    for (int i = 0; kernel_table_at(i); i++)
        printf(" %7s", kernel_table_at(i)->name);
    printf("%s   time of the first\n", other ? "  OpenBL" : "");
}

/* The geometric mean of what has been added. */
struct mean {
    double log[MOST];
    int    count;
};

static void mean_add(struct mean *m, const double percent[MOST])
{
    for (int i = 0; i < MOST; i++)
        m->log[i] += percent[i] > 0 ? log(percent[i]) : 0;
    m->count++;
}

static void mean_print(const struct mean *m)
{
    printf("%-28s", "geometric mean");
    for (int i = 0; i < MOST && m->log[i] != 0; i++)
        printf(" %7.1f", exp(m->log[i] / m->count));
    printf("\n");
}

/* ---- products ----------------------------------------------------------------------------- */

/* Positions, output channels, input channels: of MobileNetV3, ResNet50, a ViT, a small net.
 * The weight is a prefix of one that is half as wide again. */
static const int products[][3] = {
    {12544, 24, 24}, {12544, 96, 24},  {3136, 32, 96},   {3136, 192, 32}, {784, 48, 192},
    {784, 288, 48},  {196, 96, 288},   {196, 576, 96},   {196, 816, 136}, {196, 136, 816},
    {49, 1152, 192}, {49, 192, 1152},  {3136, 64, 256},  {3136, 256, 64}, {784, 512, 128},
    {784, 128, 512}, {196, 1024, 256}, {196, 256, 1024}, {49, 2048, 512}, {49, 512, 2048},
    {197, 648, 216}, {197, 216, 256},  {197, 768, 216},  {197, 216, 864}, {16, 1000, 1280},
    {64, 48, 16},    {64, 16, 48},     {16, 40, 96},     {16, 96, 40},
};

struct product {
    struct packed_gemm s;
    const float       *w;
    long               m, n, ldw;
};

static void product_ours(const struct kernel_table *set, const void *arg)
{
    const struct product *p = arg;

    set->gemm(&p->s, 0, p->m, 0, p->n);
}

static void product_blas(const struct kernel_table *set, const void *arg)
{
    const struct product *p = arg;

    (void)set;
    if (p->m == 1)
        cblas_sgemv(CblasRowMajor, CblasNoTrans, (int)p->n, (int)p->s.k, 1, p->w, (int)p->ldw,
                    p->s.x, 1, 0, p->s.y, 1);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)p->m, (int)p->n, (int)p->s.k, 1,
                    p->s.x, (int)p->s.ldx, p->w, (int)p->ldw, 0, p->s.y, (int)p->s.ldy);
}

static void bench_product(long m, long n, long k, double percent[MOST])
{
    const long                 all = k + (k / 2 + 7) / 8 * 8;
    float                     *x = floats((size_t)(m * k)), *w = floats((size_t)(n * all));
    float                     *y = floats((size_t)(m * n)), *scale = floats((size_t)n);
    const struct kernel_weight weight = {w, n, all, 1, 1, all, 1, 0, 0};
    float                     *packed = floats(kernel_pack_bytes(&weight) / sizeof(float));
    char                       name[64];
    const struct product       p = {
              .s = {.k = k,
                    .x = x,
                    .ldx = k,
                    .w = kernel_pack(&weight, packed),
                    .y = y,
                    .ldy = n,
                    .epilogue = {.scale = scale, .shift = scale, .act = KERNEL_ACT_RELU}},
              .w = w,
              .m = m,
              .n = n,
              .ldw = all};

    snprintf(name, sizeof name, "%ld, %ld, %ld", m, n, k);
    race(name, 2.0 * (double)m * (double)n * (double)k, product_ours, product_blas, &p, percent);
    free(x);
    free(w);
    free(y);
    free(scale);
    free(packed);
}

static void bench_gemm(void)
{
    struct mean mean = {0};
    double      percent[MOST] = {0};

    heading("1x1, linear: m, n, k", true);
    for (size_t i = 0; i < sizeof products / sizeof products[0]; i++) {
        bench_product(products[i][0], products[i][1], products[i][2], percent);
        mean_add(&mean, percent);
    }
    mean_print(&mean);
    bench_product(1, 1000, 1280, percent);
}

/* ---- convolutions ------------------------------------------------------------------------- */

struct convolution {
    struct packed_conv s;
    struct product     product; /* what OpenBLAS is asked instead */
    void              *scratch;
    int                m;
};

static void conv_ours(const struct kernel_table *set, const void *arg)
{
    const struct convolution *c = arg;

    set->conv(&c->s, 0, c->s.out_h * c->s.out_w, 0, c->product.n, c->scratch);
}

static void depthwise_ours(const struct kernel_table *set, const void *arg)
{
    const struct convolution *c = arg;

    set->depthwise(&c->s, 0, c->s.out_h, 0, c->s.c);
}

static void winograd_ours(const struct kernel_table *set, const void *arg)
{
    const struct convolution *c = arg;

    set->winograd(&c->s, c->m, 0, packed_winograd_tiles(&c->s, c->m), 0, c->product.n, c->scratch);
}

static void conv_blas(const struct kernel_table *set, const void *arg)
{
    product_blas(set, &((const struct convolution *)arg)->product);
}

/* Image size, channels in and out, kernel, stride; kind: 0 dense, 1 depthwise, 2 and 4 Winograd. */
static void bench_convolution(long size, long in, long out, int kernel, int stride, int kind,
                              double percent[MOST])
{
    const long out_size = (size + kernel / 2 * 2 - kernel) / stride + 1, m = out_size * out_size;
    const long each = kind == 1 ? 1 : in, all = kind == 1 || in < 16 ? each : in + in / 2;
    const long k = each * kernel * kernel;
    float     *x = floats((size_t)(size * size * in)), *y = floats((size_t)(m * out));
    float     *w = floats((size_t)(out * all * kernel * kernel)), *scale = floats((size_t)out);
    float     *rows = floats((size_t)(m * k));
    const struct kernel_weight weight = {
        w, out, all, kernel, kernel, all * kernel * kernel, kernel * kernel, kernel, 1};
    float *packed =
        floats((kind < 2 ? kernel_pack_bytes(&weight) : kernel_winograd_pack_bytes(&weight, kind)) /
               sizeof(float));
    struct convolution c = {
        .s = {.h = size,
              .w = size,
              .c = in,
              .out_h = out_size,
              .out_w = out_size,
              .kernel_h = kernel,
              .kernel_w = kernel,
              .stride_h = stride,
              .stride_w = stride,
              .dilation_h = 1,
              .dilation_w = 1,
              .pad_top = kernel / 2,
              .pad_left = kernel / 2,
              .x = x,
              .ldx = in,
              .y = y,
              .ldy = out,
              .epilogue = {.scale = scale, .shift = scale, .act = KERNEL_ACT_RELU}},
        .product = {.s = {.k = k, .x = rows, .ldx = k, .y = y, .ldy = out},
                    .w = w,
                    .m = m,
                    .n = out,
                    .ldw = k},
        .m = kind};
    char name[64];

    c.s.weight =
        kind < 2 ? kernel_pack(&weight, packed) : kernel_winograd_pack(&weight, kind, packed);
    c.scratch =
        floats((kind < 2 ? packed_conv_scratch(&c.s) : packed_winograd_scratch(&c.s, out, kind)) /
               sizeof(float));
    snprintf(name, sizeof name, "%ldx%ld %ld->%ld k%d s%d", size, size, in, out, kernel, stride);
    race(name, 2.0 * (double)m * (double)out * (double)k,
         kind == 0   ? conv_ours
         : kind == 1 ? depthwise_ours
                     : winograd_ours,
         kind == 1 ? NULL : conv_blas, &c, percent);
    free(x);
    free(y);
    free(w);
    free(scale);
    free(rows);
    free(packed);
    free(c.scratch);
}

static const int dense[][5] = {
    {112, 32, 64, 3, 1},  {56, 64, 64, 3, 1},  {56, 88, 88, 3, 1},   {28, 128, 128, 3, 1},
    {14, 256, 256, 3, 1}, {7, 512, 512, 3, 1}, {28, 256, 256, 3, 2}, {14, 512, 512, 3, 2},
    {14, 64, 64, 5, 1},   {224, 3, 24, 3, 2},  {224, 3, 64, 7, 2},   {8, 1, 16, 3, 1},
};

static void bench_dense(void)
{
    struct mean mean = {0};
    double      percent[MOST] = {0};

    heading("dense", true);
    for (size_t i = 0; i < sizeof dense / sizeof dense[0]; i++) {
        bench_convolution(dense[i][0], dense[i][1], dense[i][2], dense[i][3], dense[i][4], 0,
                          percent);
        if (dense[i][1] > 3) mean_add(&mean, percent);
    }
    printf("without the first layers: ");
    mean_print(&mean);
}

static void bench_winograd(void)
{
    double percent[MOST];

    for (int m = 2; m <= 4; m += 2) {
        heading(m == 2 ? "F(2x2, 3x3), of direct" : "F(4x4, 3x3), of direct", true);
        for (size_t i = 0; i < 6; i++)
            bench_convolution(dense[i][0], dense[i][1], dense[i][2], 3, 1, m, percent);
    }
}

static const int channelwise[][4] = {
    {112, 24, 3, 1}, {112, 96, 3, 2}, {56, 144, 5, 1}, {56, 144, 7, 1}, {56, 192, 5, 2},
    {28, 240, 3, 1}, {28, 288, 5, 1}, {28, 288, 7, 1}, {28, 288, 3, 2}, {14, 480, 3, 1},
    {14, 576, 5, 1}, {14, 816, 7, 1}, {14, 816, 5, 2}, {7, 960, 3, 1},  {7, 1152, 5, 1},
    {7, 1152, 7, 1}, {8, 48, 3, 1},   {8, 96, 5, 2},
};

static void bench_depthwise(void)
{
    struct mean mean = {0};
    double      percent[MOST] = {0};

    heading("depthwise", false);
    for (size_t i = 0; i < sizeof channelwise / sizeof channelwise[0]; i++) {
        const int *t = channelwise[i];

        bench_convolution(t[0], t[1], t[1], t[2], t[3], 1, percent);
        mean_add(&mean, percent);
    }
    mean_print(&mean);
}

/* ---- attention ---------------------------------------------------------------------------- */

struct head {
    struct packed_attention s;
    void                   *scratch;
};

static void head_ours(const struct kernel_table *set, const void *arg)
{
    const struct head *h = arg;

    set->attention_pack_keys(&h->s, 0, h->s.s);
    set->attention_pack_values(&h->s, 0, h->s.s);
    set->attention(&h->s, 0, h->s.l, h->scratch);
}

/* As in a vision transformer: the cells of a 14 x 14 grid, behind a token. */
static void bench_attention(void)
{
    enum { L = 197, D = 64, LD = 3 * 4 * D, LENGTH = 14, ROWS = 2 * LENGTH + 2 };
    float                     *qkv = floats(L * LD), *y = floats(L * D), *table = floats(ROWS * D);
    const struct kernel_weight w = {
        .data = table, .n = ROWS, .k = D, .kernel_h = 1, .kernel_w = 1, .ld_n = D, .ld_k = 1};
    float               *packed = floats(kernel_pack_bytes(&w) / sizeof(float));
    struct kernel_panels key = kernel_pack(&w, packed);
    struct head          h = {.s = {.l = L,
                                    .s = L,
                                    .d = D,
                                    .dv = D,
                                    .scale = 0.125f,
                                    .q = qkv,
                                    .k = qkv + 4 * D,
                                    .v = qkv + 8 * D,
                                    .ldq = LD,
                                    .ldk = LD,
                                    .ldv = LD,
                                    .y = y,
                                    .ldy = D}};
    double               percent[MOST];

    heading("attention, 197 tokens of 64", false);
    for (int side = 0; side <= 14; side += 14) {
        h.s.relative = (struct packed_relative){side, LENGTH, {key, key}, {table, table}, D};
        h.scratch = floats(packed_attention_scratch(&h.s) / sizeof(float));
        h.s.panels = floats(packed_attention_panels(&h.s) / sizeof(float));
        race(side ? "relative position" : "one head", 4.0 * L * L * D, head_ours, NULL, &h,
             percent);
        free(h.scratch);
        free(h.s.panels);
    }
    free(qkv);
    free(y);
    free(table);
    free(packed);
}

/* ---- rows: nanoseconds for each number ---------------------------------------------------- */

enum { ROWS = 197, WIDTH = 864 };
static float *row_x, *row_y, *row_w;

static void row_layernorm(const struct kernel_table *set, const void *arg)
{
    (void)arg;
    set->layernorm(ROWS, WIDTH, row_x, WIDTH, row_w, row_w, 1e-5f, row_y, WIDTH);
}

static void row_softmax(const struct kernel_table *set, const void *arg)
{
    (void)arg;
    set->softmax(ROWS, WIDTH, row_x, WIDTH, row_y, WIDTH);
}

static void row_act(const struct kernel_table *set, const void *arg)
{
    set->act(*(const enum kernel_act *)arg, (size_t)ROWS * WIDTH, row_x, row_y);
}

static void row_scale(const struct kernel_table *set, const void *arg)
{
    (void)arg;
    set->scale(ROWS, WIDTH, row_x, WIDTH, row_w, row_y, WIDTH);
}

static void bench_rows(void)
{
    static const struct {
        const char     *name;
        candidate      *run;
        enum kernel_act act;
    } rows[] = {
        {"layernorm", row_layernorm, 0},
        {"softmax", row_softmax, 0},
        {"scale", row_scale, 0},
        {"relu", row_act, KERNEL_ACT_RELU},
        {"hardswish", row_act, KERNEL_ACT_HARDSWISH},
        {"sigmoid", row_act, KERNEL_ACT_SIGMOID},
        {"silu", row_act, KERNEL_ACT_SILU},
        {"tanh", row_act, KERNEL_ACT_TANH},
        {"gelu", row_act, KERNEL_ACT_GELU},
    };

    row_x = floats(ROWS * WIDTH);
    row_y = floats(ROWS * WIDTH);
    row_w = floats(WIDTH);
    heading("one operation a number", false);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double percent[MOST];

        race(rows[i].name, (double)ROWS * WIDTH, rows[i].run, NULL, &rows[i].act, percent);
    }
    free(row_x);
    free(row_y);
    free(row_w);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } parts[] = {{"gemm", bench_gemm},           {"conv", bench_dense},
                 {"depthwise", bench_depthwise}, {"winograd", bench_winograd},
                 {"attention", bench_attention}, {"rows", bench_rows}};

    peak = bench_peak();
    if (peak <= 0) {
        fprintf(stderr, "bench_kernel: no fused multiply-add to compare with\n");
        return 1;
    }
    openblas_set_num_threads(1);
    printf("peak: %.1f GFLOP/s; percent of it\n", peak / 1e9);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (argc < 2 || strcmp(argv[1], parts[i].name) == 0) parts[i].run();
    return 0;
}
