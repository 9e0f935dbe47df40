/* The products over packed weights, of every set that this CPU runs: against a sum in double
 * precision, and the same bits however the output is divided. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/packed.h"
#include "support/floats.h"

/* A row is a sentence: y [m, n] from x [m, k] and the first n, and k from `from` on, of a
 * weight with so many more; x and y with so many floats between their rows, shifted from
 * their alignment; scale, shift, residual (2: y itself) and activation. */
static const struct row {
    const char     *name;
    long            m, n, k, more_n, more_k, from, gap_x, gap_y, shift;
    int             with; /* 1 scale, 2 shift, 4 residual, 8 residual in place */
    enum kernel_act act;
} rows[] = {
    {"one number", 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, KERNEL_ACT_NONE},
    {"one row", 1, 16, 5, 0, 0, 0, 0, 0, 0, 2, KERNEL_ACT_NONE},
    {"one row, many panels", 1, 1000, 77, 24, 3, 0, 0, 0, 0, 3, KERNEL_ACT_RELU},
    {"one row, a last half panel", 1, 136, 33, 0, 0, 0, 0, 0, 1, 3, KERNEL_ACT_SILU},
    {"two rows", 2, 40, 3, 0, 0, 0, 0, 0, 0, 3, KERNEL_ACT_RELU6},
    {"no sums", 5, 20, 0, 0, 4, 0, 4, 0, 0, 2, KERNEL_ACT_NONE},
    {"prefix of both", 49, 24, 24, 40, 12, 0, 0, 0, 0, 3, KERNEL_ACT_HARDSWISH},
    {"middle of k", 13, 56, 17, 8, 30, 9, 3, 5, 0, 1, KERNEL_ACT_NONE},
    {"eight columns", 19, 8, 40, 0, 0, 0, 0, 0, 0, 3, KERNEL_ACT_NONE},
    {"one column", 23, 1, 9, 0, 0, 0, 1, 1, 3, 3, KERNEL_ACT_NONE},
    {"seventeen columns", 7, 17, 9, 0, 0, 0, 1, 1, 3, 7, KERNEL_ACT_RELU},
    {"odd everything", 101, 83, 71, 5, 7, 3, 9, 11, 1, 7, KERNEL_ACT_TANH},
    {"half a vector, three rows", 3, 24, 9, 0, 0, 0, 1, 1, 1, 7, KERNEL_ACT_RELU},
    {"half a vector, five rows", 5, 40, 10, 8, 0, 0, 1, 1, 1, 7, KERNEL_ACT_NONE},
    {"less, of seven rows", 7, 51, 11, 0, 0, 0, 1, 1, 1, 7, KERNEL_ACT_SILU},
    {"half a vector, many rows", 63, 88, 12, 0, 0, 0, 1, 1, 1, 7, KERNEL_ACT_RELU6},
    {"residual in place", 50, 72, 31, 0, 0, 0, 0, 7, 0, 15, KERNEL_ACT_NONE},
    {"residual and gelu", 26, 100, 64, 0, 0, 0, 0, 0, 0, 6, KERNEL_ACT_GELU},
    {"sigmoid of a row", 1, 31, 64, 0, 0, 0, 0, 0, 0, 2, KERNEL_ACT_SIGMOID},
    {"hardsigmoid", 3, 47, 20, 0, 0, 0, 0, 0, 0, 2, KERNEL_ACT_HARDSIGMOID},
    {"tanh-gelu", 3, 48, 20, 0, 0, 0, 0, 0, 0, 2, KERNEL_ACT_GELU_TANH},
    {"several blocks of rows", 997, 40, 129, 0, 0, 0, 0, 0, 0, 3, KERNEL_ACT_RELU},
    {"sums in parts", 205, 90, 2501, 0, 6, 2, 1, 3, 1, 7, KERNEL_ACT_RELU},
    {"sums in parts, in place", 20, 33, 4003, 0, 0, 0, 0, 0, 0, 15, KERNEL_ACT_HARDSWISH},
    {"long sums", 30, 90, 2003, 0, 5, 0, 0, 0, 0, 3, KERNEL_ACT_NONE},
};

static double activate(enum kernel_act act, double x)
{
    switch (act) {
    case KERNEL_ACT_RELU:
        return fmax(x, 0);
    case KERNEL_ACT_RELU6:
        return fmin(fmax(x, 0), 6);
    case KERNEL_ACT_HARDSWISH:
        return x * fmin(fmax(x + 3, 0), 6) / 6;
    case KERNEL_ACT_HARDSIGMOID:
        return fmin(fmax(x + 3, 0), 6) / 6;
    case KERNEL_ACT_SILU:
        return x / (1 + exp(-x));
    case KERNEL_ACT_SIGMOID:
        return 1 / (1 + exp(-x));
    case KERNEL_ACT_GELU:
        return x * 0.5 * erfc(-x * M_SQRT1_2);
    case KERNEL_ACT_GELU_TANH:
        return x / 2 * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case KERNEL_ACT_TANH:
        return tanh(x);
    default:
        return x;
    }
}

static void check_row(void **state)
{
    const struct row          *t = *state;
    const long                 all_n = t->n + t->more_n, all_k = t->from + t->k + t->more_k;
    const long                 ldx = t->k + t->gap_x, ldy = t->n + t->gap_y;
    const size_t               size_y = (size_t)(t->m * ldy);
    float                     *x = floats_random((size_t)(t->m * ldx), (size_t)t->shift, 1);
    float                     *w = floats_random((size_t)(all_n * all_k), 0, 2);
    float                     *scale = floats_random((size_t)t->n, 1, 3);
    float                     *shift = floats_random((size_t)t->n, 2, 4);
    float                     *residual = floats_random(size_y, (size_t)t->shift, 5);
    float                     *want = floats_of(size_y, 0, 7);
    const struct kernel_weight all = {w, all_n, all_k, 1, 1, all_k, 1, 0, 0};
    const size_t               bytes = kernel_pack_bytes(&all);
    float                     *packed = floats_of(bytes / sizeof(float), 0, NAN);
    struct packed_gemm         s = {.k = t->k, .x = x, .ldx = ldx, .ldy = ldy};

    assert_int_equal(bytes % 64, 0);
    s.w = kernel_panels_from(kernel_pack(&all, packed), 0, t->from, 0, 0);
    s.epilogue = (struct kernel_epilogue){t->with & 1 ? scale : NULL, t->with & 2 ? shift : NULL,
                                          NULL, ldy, t->act};
    for (long i = 0; i < t->m; i++)
        for (long j = 0; j < t->n; j++) {
            double sum = 0;

            for (long k = 0; k < t->k; k++)
                sum += (double)x[i * ldx + k] * (double)w[j * all_k + t->from + k];
            sum = sum * (t->with & 1 ? (double)scale[j] : 1) +
                  (t->with & 2 ? (double)shift[j] : 0) +
                  (t->with & 4 ? (double)residual[i * ldy + j] : 0);
            want[i * ldy + j] = (float)activate(t->act, sum);
        }

    const struct kernel_table *set;

    for (int i = 0; (set = kernel_table_at(i)) != NULL; i++) {
        float *whole = floats_of(size_y, (size_t)t->shift, 7);
        float *parts = floats_of(size_y, (size_t)t->shift, 7);

        if (t->with & 8) {
            memcpy(whole, residual, size_y * sizeof(float));
            memcpy(parts, residual, size_y * sizeof(float));
        }
        s.y = whole;
        s.epilogue.residual = !(t->with & 4) ? NULL : t->with & 8 ? whole : residual;
        set->gemm(&s, 0, t->m, 0, t->n);
        s.y = parts;
        s.epilogue.residual = !(t->with & 4) ? NULL : t->with & 8 ? parts : residual;
        for (long m = 0, step = 1; m < t->m; m += step, step = step % 11 + 3)
            for (long n = 0, wide = KERNEL_PANEL; n < t->n; n += wide, wide += 2 * KERNEL_PANEL)
                set->gemm(&s, m, m + step < t->m ? m + step : t->m, n,
                          n + wide < t->n ? n + wide : t->n);
        assert_floats_close(whole, want, (size_t)t->m, (size_t)t->n, (size_t)ldy,
                            4 * FLT_EPSILON * sqrt((double)t->k + 4), set->name);
        assert_floats_same(whole, parts, (size_t)t->m, (size_t)t->n, (size_t)ldy, set->name);
        for (long r = 0; r + 1 < t->m && !(t->with & 8); r++) /* the gaps are nobody's */
            for (long j = t->n; j < ldy; j++)
                assert_true(whole[r * ldy + j] == 7);
        floats_free(whole);
        floats_free(parts);
    }
    floats_free(x);
    floats_free(w);
    floats_free(scale);
    floats_free(shift);
    floats_free(residual);
    floats_free(want);
    floats_free(packed);
}

static void sizes_that_overflow_are_zero(void **state)
{
    const struct kernel_weight huge = {NULL, 1L << 40, 1L << 40, 1, 1, 0, 0, 0, 0};
    const struct kernel_weight none = {NULL, 0, 5, 1, 1, 0, 0, 0, 0};

    (void)state;
    assert_int_equal(kernel_pack_bytes(&huge), 0);
    assert_int_equal(kernel_pack_bytes(&none), 0);
    assert_int_equal(kernel_winograd_pack_bytes(&huge, 4), 0);
}

/* Panels times a vector of k are the same product as x times that vector. */
static void scaled_panels_are_a_scaled_product(void **state)
{
    enum { N = 40, K = 21, MORE = 5, M = 9 };
    float *w = floats_random(N * (K + MORE), 0, 1), *x = floats_random(M * K, 0, 2);
    float *by = floats_random(K, 1, 3), *scaled = floats_of(48 * K, 0, NAN);
    float *packed = floats_of(48 * (K + MORE), 0, 0), *xs = floats_of(M * K, 0, 0);
    float *got = floats_of(M * N, 0, 0), *want = floats_of(M * N, 0, 0);
    const struct kernel_weight all = {w, N, K + MORE, 1, 1, K + MORE, 1, 0, 0};
    const struct kernel_panels panels = kernel_pack(&all, packed);
    const struct kernel_table *set;

    (void)state;
    for (int i = 0; (set = kernel_table_at(i)) != NULL; i++) {
        struct packed_gemm s = {.k = K, .x = x, .ldx = K, .y = got, .ldy = N};

        set->scale(M, K, x, K, by, xs, K);
        s.w = set->scale_panels(&panels, K, 0, 16, by, scaled);
        s.w = set->scale_panels(&panels, K, 16, N, by, scaled);
        set->gemm(&s, 0, M, 0, N);
        s = (struct packed_gemm){.k = K, .x = xs, .ldx = K, .w = panels, .y = want, .ldy = N};
        set->gemm(&s, 0, M, 0, N);
        assert_floats_close(got, want, M, N, N, 16 * FLT_EPSILON, set->name);
    }
    floats_free(w);
    floats_free(x);
    floats_free(by);
    floats_free(scaled);
    floats_free(packed);
    floats_free(xs);
    floats_free(got);
    floats_free(want);
}

int main(void)
{
    enum { ROWS = sizeof rows / sizeof rows[0] };
    struct CMUnitTest tests[ROWS + 2] = {
        cmocka_unit_test(sizes_that_overflow_are_zero),
        cmocka_unit_test(scaled_panels_are_a_scaled_product),
    };

    for (size_t i = 0; i < ROWS; i++)
        tests[i + 2] = (struct CMUnitTest){
            .name = rows[i].name, .test_func = check_row, .initial_state = (void *)&rows[i]};
    return cmocka_run_group_tests_name("packed gemm", tests, NULL, NULL);
}
