/* Matrix products against their twins: odd sizes, row strides longer than a row, sums
 * of nothing, and what lies between the rows of the result. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "kernel/gemm.h"
#include "supernet/pool.h"
#include "support/op_call.h"

enum { SIDE = 70, GAP = 3, MOST = (SIDE + GAP) * (SIDE + GAP) };

typedef void gemm(int m, int n, int k, const float *x, int ldx, const float *w, int ldw, float *y,
                  int ldy, bool accumulate);

/* The value of the definition: a sum in double precision. */
static double product(bool transposed, int i, int j, int k, const float *x, int ldx, const float *w,
                      int ldw)
{
    double sum = 0.0;

    for (int l = 0; l < k; l++)
        sum += (double)x[i * ldx + l] * (transposed ? w[j * ldw + l] : w[l * ldw + j]);
    return sum;
}

static void check(gemm *f, bool transposed, int m, int n, int k, int gap, bool accumulate)
{
    static float x[MOST], w[MOST], y[MOST], before[MOST];
    const int    ldx = k + gap, ldw = (transposed ? k : n) + gap, ldy = n + gap;

    op_call_fill(x, MOST, 1);
    op_call_fill(w, MOST, 2);
    op_call_fill(before, MOST, 3);
    memcpy(y, before, sizeof y);
    f(m, n, k, x, ldx, w, ldw, y, ldy, accumulate);
    for (int at = 0; at < MOST; at++) {
        const int i = ldy ? at / ldy : 0, j = ldy ? at % ldy : 0;
        double    want = before[at];

        if (i < m && j < n) {
            want = product(transposed, i, j, k, x, ldx, w, ldw);
            if (accumulate) want += before[at];
        }
        if (fabs(y[at] - want) > 1e-6 * (1 + k))
            fail_msg("[%d, %d] of m %d n %d k %d gap %d: %g, not %g", i, j, m, n, k, gap, y[at],
                     want);
    }
}

static void check_sizes(gemm *f, bool transposed)
{
    static const int size[] = {0, 1, 2, 3, 7, 8, 17, 33, SIDE};

    for (size_t m = 0; m < COUNT(size); m++)
        for (size_t n = 0; n < COUNT(size); n++)
            for (size_t k = 0; k < COUNT(size); k++)
                for (int gap = 0; gap <= GAP; gap += GAP) {
                    check(f, transposed, size[m], size[n], size[k], gap, false);
                    check(f, transposed, size[m], size[n], size[k], gap, true);
                }
}

static void x_times_w_transposed(void **state)
{
    (void)state;
    check_sizes(kernel_gemm_nt, true);
}

static void x_times_w(void **state)
{
    (void)state;
    check_sizes(kernel_gemm_nn, false);
}

static void twin_of_x_times_w_transposed(void **state)
{
    (void)state;
    check_sizes(ref_gemm_nt, true);
}

static void twin_of_x_times_w(void **state)
{
    (void)state;
    check_sizes(ref_gemm_nn, false);
}

/* A live prefix of one row: its stride is that of the whole weight, or anything. */
static void one_row_may_have_any_stride(void **state)
{
    const float x[] = {1, 2, 3}, w[] = {4, 5, 6};
    float       y[] = {0, -1};

    (void)state;
    kernel_gemm_nt(1, 1, 3, x, 0, w, 0, y, 0, false);
    assert_float_equal(y[0], 32, 0);
    assert_float_equal(y[1], -1, 0);
}

static void old_contents_are_not_read_unless_accumulating(void **state)
{
    const float x[] = {1, 2}, w[] = {3, 4};
    float       y[] = {NAN};

    (void)state;
    kernel_gemm_nt(1, 1, 2, x, 2, w, 2, y, 1, false);
    assert_float_equal(y[0], 11, 0);
    y[0] = NAN;
    kernel_gemm_nn(1, 1, 2, x, 2, w, 1, y, 1, false);
    assert_float_equal(y[0], 11, 0);
    y[0] = NAN;
    kernel_gemm_nt(1, 1, 0, x, 0, w, 0, y, 1, false);
    assert_float_equal(y[0], 0, 0);
}

static void the_library_says_what_it_computes_with(void **state)
{
    (void)state;
    sn_blas_set_threads(1);
    assert_true(strncmp(sn_blas_describe(), "OpenBLAS", 8) == 0 ||
                strcmp(sn_blas_describe(), "reference kernels") == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(x_times_w_transposed),
        cmocka_unit_test(x_times_w),
        cmocka_unit_test(twin_of_x_times_w_transposed),
        cmocka_unit_test(twin_of_x_times_w),
        cmocka_unit_test(one_row_may_have_any_stride),
        cmocka_unit_test(old_contents_are_not_read_unless_accumulating),
        cmocka_unit_test(the_library_says_what_it_computes_with),
    };

    return cmocka_run_group_tests_name("gemm", tests, NULL, NULL);
}
