/* Attention, norms, softmax, pooling, means and layouts of every set that this CPU runs, against
 * their twins over planes and dense rows. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/layernorm.h"
#include "kernel/packed.h"
#include "kernel/pool.h"
#include "kernel/softmax.h"
#include "support/floats.h"

#define FOR_EVERY_SET(set)                                                                         \
    for (const struct kernel_table *const *at =                                                    \
             (const struct kernel_table *[]){kernel_table_at(0), kernel_table_at(1),               \
                                             kernel_table_at(2), NULL};                            \
         *at; at++)                                                                                \
        for (const struct kernel_table *set = *at; set; set = NULL)

/* ---- attention ---------------------------------------------------------------------------- */

/* A row is a sentence: so many queries and keys of this size, values of that one; with bias
 * (2: masking a third of the keys, 3: and all of one row); the side of the grid, and where
 * distances are clipped. */
static const struct head {
    const char *name;
    long        l, s, d, dv;
    int         bias, side, length;
} heads[] = {
    {"one query, one key", 1, 1, 5, 3, 0, 0, 0},
    {"a small head", 7, 11, 8, 16, 0, 0, 0},
    {"a head of a transformer", 197, 197, 64, 64, 0, 0, 0},
    {"exactly a block of keys", 33, 256, 32, 48, 0, 0, 0},
    {"many keys, bias", 30, 700, 17, 40, 1, 0, 0},
    {"masked keys", 30, 600, 16, 16, 2, 0, 0},
    {"a row masked everywhere", 26, 300, 16, 16, 3, 0, 0},
    {"a grid", 50, 50, 32, 24, 0, 7, 6},
    {"a grid of AutoFormer", 197, 197, 64, 64, 0, 14, 14},
    {"distances are clipped", 50, 50, 19, 16, 0, 7, 2},
    {"all distances are clipped", 17, 17, 8, 16, 0, 4, 0},
    {"no cells but a token", 1, 1, 8, 16, 0, 1, 3},
    {"one cell", 2, 2, 8, 16, 0, 1, 3},
    {"a narrow grid", 60, 60, 8, 16, 0, 3, 5},
    {"the last row is not full", 58, 58, 8, 16, 1, 7, 14},
    {"many keys on a grid", 600, 600, 12, 20, 1, 24, 20},
    {"the same, clipped, masked", 530, 530, 20, 35, 3, 22, 9},
    {"a wide grid", 300, 300, 8, 16, 2, 70, 14},
};

/* The row of table t (0: distances of rows, 1: of columns) for a query and a key. */
static long relative_row(const struct packed_relative *r, int t, long query, long key)
{
    long distance;

    if (query == 0 || key == 0) return 0;
    distance = t == 0 ? (key - 1) / r->side - (query - 1) / r->side
                      : (key - 1) % r->side - (query - 1) % r->side;
    if (distance > r->length) distance = r->length;
    if (distance < -r->length) distance = -r->length;
    return r->length + 1 + distance;
}

static void expect_head(const struct packed_attention *s, const float *const table[2], float *want)
{
    double *p = malloc((size_t)s->s * sizeof *p);

    for (long i = 0; i < s->l; i++) {
        double most = -INFINITY, sum = 0;

        for (long j = 0; j < s->s; j++) {
            double score = 0;

            for (long c = 0; c < s->d; c++) {
                double key = (double)s->k[j * s->ldk + c];

                for (int t = 0; s->relative.side && t < 2; t++)
                    key += (double)table[t][relative_row(&s->relative, t, i, j) * s->d + c];
                score += (double)s->q[i * s->ldq + c] * key;
            }
            p[j] = score * (double)s->scale + (s->bias ? (double)s->bias[i * s->ld_bias + j] : 0);
            most = fmax(most, p[j]);
        }
        for (long j = 0; j < s->s; j++)
            sum += p[j] = exp(p[j] - most);
        for (long c = 0; c < s->dv; c++) {
            double y = 0;

            for (long j = 0; j < s->s; j++) {
                double value = (double)s->v[j * s->ldv + c];

                for (int t = 0; s->relative.side && t < 2; t++)
                    value +=
                        (double)s->relative
                            .value[t]
                                  [relative_row(&s->relative, t, i, j) * s->relative.ld_value + c];
                y += p[j] * value;
            }
            want[i * s->ldy + c] = (float)(y / sum);
        }
    }
    free(p);
}

static void *aligned(size_t n_bytes)
{
    void *p = NULL;

    assert_int_equal(posix_memalign(&p, 64, n_bytes), 0);
    memset(p, 0xff, n_bytes);
    return p;
}

/* All at once, in parts of growing size, and over the queries. */
static void run_head(const struct kernel_table *set, struct packed_attention *s, const float *want)
{
    const size_t ld = (size_t)s->ldy;
    const float *q = s->q;
    float *whole = floats_of((size_t)s->l * ld, 1, 7), *parts = floats_of((size_t)s->l * ld, 1, 7),
          *over = floats_of((size_t)s->l * ld + (size_t)s->ldq, 1, 7);
    void *scratch = aligned(packed_attention_scratch(s));

    s->panels = aligned(packed_attention_panels(s));
    s->y = whole;
    s->shared = false;
    set->attention_pack_keys(s, 0, s->s);
    set->attention_pack_values(s, 0, s->s);
    set->attention(s, 0, s->l, scratch);
    assert_floats_close(whole, want, (size_t)s->l, (size_t)s->dv, ld, 2e-6, set->name);

    memset(s->panels, 0xff, packed_attention_panels(s));
    s->y = parts;
    s->shared = true;
    for (long i = s->s, step = 1; i > 0; i -= step, step += 2)
        set->attention_pack_values(s, i > step ? i - step : 0, i);
    for (long to = s->s, panels = 1; to > 0; panels++) {
        const long last = (to - 1) / KERNEL_PANEL, first = last < panels ? 0 : last - panels + 1;

        set->attention_pack_keys(s, first * KERNEL_PANEL, to);
        to = first * KERNEL_PANEL;
    }
    for (long i = 0, step = 1; i < s->l; i += step, step += 2)
        set->attention(s, i, i + step < s->l ? i + step : s->l, scratch);
    assert_floats_same(whole, parts, (size_t)s->l, (size_t)s->dv, ld, set->name);

    s->y = over;
    if (s->ldq == s->ldy) {
        memcpy(over, q, (size_t)(s->l * s->ldq - 3) * sizeof *over);
        s->q = over;
        set->attention(s, 0, s->l, scratch);
        assert_floats_same(whole, over, (size_t)s->l, (size_t)s->dv, ld, set->name);
        s->q = q;
    }
    floats_free(whole);
    floats_free(parts);
    floats_free(over);
    free(s->panels);
    free(scratch);
}

static void check_head(void **state)
{
    const struct head      *t = *state;
    const long              rows = 2 * t->length + 2;
    struct packed_attention s = {.l = t->l,
                                 .s = t->s,
                                 .d = t->d,
                                 .dv = t->dv,
                                 .scale = 0.5f,
                                 .ldq = t->d + 3,
                                 .ldk = t->d + 1,
                                 .ldv = t->dv + 2,
                                 .ldy = t->dv + 3,
                                 .ld_bias = t->s};
    float                  *q = floats_random((size_t)(s.l * s.ldq - 3), 1, 1),
          *k = floats_random((size_t)(s.s * s.ldk - 1), 2, 2);
    float *v = floats_random((size_t)(s.s * s.ldv - 2), 3, 3),
          *bias = floats_random((size_t)(s.l * s.s), 1, 4);
    float *key[2], *value[2], *packed[2], *want = floats_of((size_t)(s.l * s.ldy), 0, 7);

    for (long i = 0; i < s.l * s.s; i++)
        if ((t->bias >= 2 && i % s.s % 3 == 1) || (t->bias == 3 && i / s.s == 5))
            bias[i] = -INFINITY;
    s.q = q;
    s.k = k;
    s.v = v;
    s.bias = t->bias ? bias : NULL;
    s.relative = (struct packed_relative){.side = t->side, .length = t->length, .ld_value = t->dv};
    for (int i = 0; i < 2; i++) {
        struct kernel_weight w = {
            .n = rows, .k = t->d, .kernel_h = 1, .kernel_w = 1, .ld_n = t->d, .ld_k = 1};

        w.data = key[i] = floats_random((size_t)(rows * t->d), 1, (uint32_t)(5 + i));
        s.relative.value[i] = value[i] =
            floats_random((size_t)(rows * t->dv), 1, (uint32_t)(7 + i));
        packed[i] = aligned(kernel_pack_bytes(&w));
        s.relative.key[i] = kernel_pack(&w, packed[i]);
    }
    expect_head(&s, (const float *const *)key, want);
    FOR_EVERY_SET(set)
    run_head(set, &s, want);
    for (int i = 0; i < 2; i++) {
        floats_free(key[i]);
        floats_free(value[i]);
        free(packed[i]);
    }
    floats_free(q);
    floats_free(k);
    floats_free(v);
    floats_free(bias);
    floats_free(want);
}

/* ---- rows --------------------------------------------------------------------------------- */

static void layernorm_is_its_twin(void **state)
{
    (void)state;
    FOR_EVERY_SET(set)
    for (size_t n = 1; n < 300; n = n * 3 / 2 + 1) {
        enum { M = 3 };
        float *x = floats_random(M * n, 1, 1), *w = floats_random(n, 1, 2),
              *b = floats_random(n, 2, 3);
        float *y = floats_of(M * n, 1, 0), *want = floats_of(M * n, 0, 0);

        set->layernorm(M, (long)n, x, (long)n, w, b, 1e-5f, y, (long)n);
        ref_layernorm(M, n, x, w, b, 1e-5f, want);
        assert_floats_close(y, want, M, n, n, 2e-5, set->name);
        set->layernorm(M, (long)n, x, (long)n, NULL, NULL, 1e-5f, x, (long)n);
        set->layernorm(M, (long)n, x, (long)n, w, b, 0.0f, x, (long)n); /* twice is once */
        if (n > 3) assert_floats_close(x, want, M, n, n, 2e-4, set->name);
        floats_free(x);
        floats_free(w);
        floats_free(b);
        floats_free(y);
        floats_free(want);
    }
}

static void groupnorm_is_layernorm_of_groups(void **state)
{
    enum { PIXELS = 35, C = 42, GROUPS = 6, EACH = C / GROUPS, ALL = PIXELS * EACH };

    (void)state;
    FOR_EVERY_SET(set)
    {
        float *x = floats_random(PIXELS * C, 1, 1), *y = floats_of(PIXELS * C, 3, 0);
        float *w = floats_random(C, 1, 2), *b = floats_random(C, 1, 3), line[ALL], want[ALL],
              got[ALL];

        set->groupnorm(PIXELS, C, GROUPS, x, C, w, b, 1e-5f, y, C);
        for (int g = 0; g < GROUPS; g++) {
            for (int i = 0; i < ALL; i++)
                line[i] = x[i / EACH * C + g * EACH + i % EACH];
            ref_layernorm(1, ALL, line, NULL, NULL, 1e-5f, want);
            for (int i = 0; i < ALL; i++) {
                const int c = g * EACH + i % EACH;

                want[i] = want[i] * w[c] + b[c];
                got[i] = y[i / EACH * C + c];
            }
            assert_floats_close(got, want, 1, ALL, ALL, 2e-6, set->name);
        }
        floats_free(x);
        floats_free(y);
        floats_free(w);
        floats_free(b);
    }
}

static void softmax_is_its_twin(void **state)
{
    (void)state;
    FOR_EVERY_SET(set)
    for (size_t n = 1; n < 300; n = n * 3 / 2 + 1) {
        enum { M = 6 };
        float *x = floats_random(M * n, 1, 1), *y = floats_of(M * n, 1, 0),
              *want = floats_of(M * n, 0, 0);

        for (size_t i = 0; i < n; i++) {
            x[n + i] *= 200;          /* far apart */
            x[2 * n + i] = -INFINITY; /* nothing left */
        }
        x[3 * n + n / 2] = INFINITY;
        x[4 * n + n - 1] = NAN;
        if (n > 1) x[5 * n] = -INFINITY;
        set->softmax(M, (long)n, x, (long)n, y, (long)n);
        ref_softmax(M, n, 1, x, want);
        for (size_t i = 0; i < M * n; i++)
            assert_int_equal(isnan(y[i]) != 0, isnan(want[i]) != 0);
        assert_floats_close(y, want, M, n, n, 5e-7, set->name);
        floats_free(x);
        floats_free(y);
        floats_free(want);
    }
}

static void mean_is_the_mean(void **state)
{
    enum { M = 49, C = 77, LD = 80 };

    (void)state;
    FOR_EVERY_SET(set)
    {
        float *x = floats_random(M * LD, 1, 1), got[C], want[C];

        set->mean(M, C, x, LD, 1.0f / M, got);
        for (int c = 0; c < C; c++) {
            double sum = 0;

            for (int i = 0; i < M; i++)
                sum += (double)x[i * LD + c];
            want[c] = (float)(sum / M);
        }
        assert_floats_close(got, want, 1, C, C, 1e-6, set->name);
        floats_free(x);
    }
}

static void layouts_are_transposed_and_back(void **state)
{
    static const long sizes[][2] = {{1, 1}, {2, 40}, {3, 50}, {4, 19}, {17, 33}, {64, 7}, {16, 16}};

    (void)state;
    FOR_EVERY_SET(set)
    for (size_t t = 0; t < sizeof sizes / sizeof sizes[0]; t++) {
        const long c = sizes[t][0], pixels = sizes[t][1], ld = c + 2, part = pixels / 3;
        float     *x = floats_random((size_t)(c * pixels), 1, 1),
              *back = floats_of((size_t)(c * pixels), 1, 0);
        float *y = floats_of((size_t)(pixels * ld - 2), 1, 7);

        set->to_nhwc(c, pixels, 0, part, x, y, ld);
        set->to_nhwc(c, pixels, part, pixels, x, y, ld);
        for (long i = 0; i < pixels; i++) {
            for (long j = 0; j < c; j++)
                assert_true(y[i * ld + j] == x[j * pixels + i]);
            if (i + 1 < pixels) assert_true(y[i * ld + c] == 7 && y[i * ld + c + 1] == 7);
        }
        set->to_nchw(c, pixels, 0, part, y, ld, back);
        set->to_nchw(c, pixels, part, pixels, y, ld, back);
        assert_floats_same(back, x, 1, (size_t)(c * pixels), (size_t)(c * pixels), set->name);
        floats_free(x);
        floats_free(y);
        floats_free(back);
    }
}

static void numbers_are_repeated(void **state)
{
    (void)state;
    FOR_EVERY_SET(set)
    for (long times = 1; times <= 9; times++)
        for (long n = 1; n <= 67; n += 11) {
            float *x = floats_random((size_t)n, 1, 1), *y = floats_of((size_t)(n * times), 1, 7);

            set->repeat(n, times, x, y);
            for (long i = 0; i < n * times; i++)
                assert_true(y[i] == x[i / times]);
            floats_free(x);
            floats_free(y);
        }
}

/* ---- pooling ------------------------------------------------------------------------------ */

/* A row is a sentence: windows of this size over an image of that one. */
static const struct window {
    const char *name;
    int         c, h, w, kernel, stride, pad, dilation;
    bool        count_pad;
    float       divisor;
} windows[] = {
    {"2x2", 5, 8, 6, 2, 2, 0, 1, false, 0},
    {"3x3, stride 2, padded", 17, 9, 7, 3, 2, 1, 1, false, 0},
    {"3x3, padding counts", 40, 7, 9, 3, 1, 1, 1, true, 0},
    {"5x5, divisor", 16, 11, 9, 5, 3, 2, 1, false, 7},
    {"3x3, dilation", 9, 11, 9, 3, 1, 2, 2, false, 0},
    {"the whole image", 33, 7, 7, 7, 7, 0, 1, false, 0},
    {"2x2, stride 3", 20, 9, 8, 2, 3, 1, 1, true, 0},
    {"many columns", 19, 4, 300, 3, 1, 1, 1, false, 0},
    {"many columns, stride 2", 6, 5, 291, 3, 2, 1, 1, true, 0},
    {"many columns, dilation", 4, 12, 270, 3, 2, 1, 5, false, 0},
    {"wider than many columns", 18, 131, 150, 129, 4, 3, 1, false, 0},
};

static void check_window(void **state)
{
    const struct window *t = *state;
    const int            span = t->dilation * (t->kernel - 1) + 1;
    const int            out_h = (t->h + 2 * t->pad - span) / t->stride + 1,
              out_w = (t->w + 2 * t->pad - span) / t->stride + 1;
    const size_t            in = (size_t)(t->c * t->h * t->w), out = (size_t)(t->c * out_h * out_w);
    const struct pool_shape shape = {t->c,      t->h,        t->w,       out_h,     out_w,
                                     t->kernel, t->kernel,   t->stride,  t->stride, t->pad,
                                     t->pad,    t->dilation, t->dilation};
    float                  *planes = floats_random(in, 0, 1), *want = floats_of(out, 0, 0),
          *pixels = floats_of(in, 1, 0);
    float             *got = floats_of(out, 1, 0), *back = floats_of(out, 0, 0);
    struct packed_pool s = {t->h,      t->w,      t->c,      out_h,       out_w,       t->kernel,
                            t->kernel, t->stride, t->stride, t->dilation, t->dilation, t->pad,
                            t->pad,    pixels,    t->c,      got,         t->c};

    planes[in / 2] = NAN;
    planes[in / 3] = -INFINITY;
    FOR_EVERY_SET(set)
    {
        set->to_nhwc(t->c, t->h * t->w, 0, t->h * t->w, planes, pixels, t->c);
        ref_max_pool(&shape, planes, want);
        set->max_pool(&s, 0, out_h / 2);
        set->max_pool(&s, out_h / 2, out_h);
        set->to_nchw(t->c, out_h * out_w, 0, out_h * out_w, got, t->c, back);
        for (size_t i = 0; i < out; i++)
            assert_true(isnan(want[i]) ? isnan(back[i]) : want[i] == back[i]);
        if (t->dilation > 1) continue;
        ref_avg_pool(&shape, t->count_pad, (double)t->divisor, planes, want);
        set->avg_pool(&s, t->count_pad, t->pad, t->pad, t->divisor, 0, out_h);
        set->to_nchw(t->c, out_h * out_w, 0, out_h * out_w, got, t->c, back);
        for (size_t i = 0; i < out; i++)
            if (isfinite(want[i]))
                assert_true(fabsf(want[i] - back[i]) <= 1e-6f);
            else
                assert_true(isnan(want[i]) ? isnan(back[i]) : want[i] == back[i]);
    }
    floats_free(planes);
    floats_free(want);
    floats_free(pixels);
    floats_free(got);
    floats_free(back);
}

int main(void)
{
    enum {
        HEADS = sizeof heads / sizeof heads[0],
        WINDOWS = sizeof windows / sizeof windows[0],
        REST = 5
    };
    struct CMUnitTest tests[REST + HEADS + WINDOWS] = {
        cmocka_unit_test(layernorm_is_its_twin),
        cmocka_unit_test(groupnorm_is_layernorm_of_groups),
        cmocka_unit_test(softmax_is_its_twin),
        cmocka_unit_test(mean_is_the_mean),
        cmocka_unit_test(layouts_are_transposed_and_back),
        cmocka_unit_test(numbers_are_repeated),
    };

    for (size_t i = 0; i < HEADS; i++)
        tests[REST + i] = (struct CMUnitTest){
            .name = heads[i].name, .test_func = check_head, .initial_state = (void *)&heads[i]};
    for (size_t i = 0; i < WINDOWS; i++)
        tests[REST + HEADS + i] = (struct CMUnitTest){.name = windows[i].name,
                                                      .test_func = check_window,
                                                      .initial_state = (void *)&windows[i]};
    return cmocka_run_group_tests_name("packed rows", tests, NULL, NULL);
}
