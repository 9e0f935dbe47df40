/* gemm over OpenBLAS. The only file that knows cblas.h, and the one door to the
 * threads of the BLAS, which are process-wide. */
#include <assert.h>
#include <cblas.h>
#include <stddef.h>
#include <string.h>

#include "kernel/gemm.h"

/* BLAS wants every row stride to be at least as long as a row and at least 1, also
 * where there is one row only and nobody looks at it. */
static int row_stride(int n_rows, int row, int stride)
{
    assert(n_rows <= 1 || stride >= row);
    return stride > row ? stride : row > 1 ? row : 1;
}

/* Sums of nothing: BLAS need not write y then. */
static void clear(int m, int n, float *y, int ldy)
{
    for (int i = 0; i < m; i++)
        memset(y + (ptrdiff_t)i * ldy, 0, (size_t)n * sizeof *y);
}

static void gemm(CBLAS_TRANSPOSE trans_w, int m, int n, int k, const float *x, int ldx,
                 const float *w, int ldw, float *y, int ldy, bool accumulate)
{
    if (m <= 0 || n <= 0) return;
    if (k <= 0) {
        if (!accumulate) clear(m, n, y, ldy);
        return;
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, trans_w, m, n, k, 1.0f, x, row_stride(m, k, ldx), w,
                trans_w == CblasTrans ? row_stride(n, k, ldw) : row_stride(k, n, ldw),
                accumulate ? 1.0f : 0.0f, y, row_stride(m, n, ldy));
}

void kernel_gemm_nt(int m, int n, int k, const float *x, int ldx, const float *w, int ldw, float *y,
                    int ldy, bool accumulate)
{
    gemm(CblasTrans, m, n, k, x, ldx, w, ldw, y, ldy, accumulate);
}

void kernel_gemm_nn(int m, int n, int k, const float *x, int ldx, const float *w, int ldw, float *y,
                    int ldy, bool accumulate)
{
    gemm(CblasNoTrans, m, n, k, x, ldx, w, ldw, y, ldy, accumulate);
}

void kernel_blas_set_threads(int n)
{
    openblas_set_num_threads(n);
}

const char *kernel_blas_describe(void)
{
    return openblas_get_config(); /* names the version, the build and the core */
}
