/* gemm without a BLAS: for sanitizers, which cannot see into one, and for machines
 * that have none. */
#include "kernel/gemm.h"

void kernel_gemm_nt(int m, int n, int k, const float *x, int ldx, const float *w, int ldw, float *y,
                    int ldy, bool accumulate)
{
    ref_gemm_nt(m, n, k, x, ldx, w, ldw, y, ldy, accumulate);
}

void kernel_gemm_nn(int m, int n, int k, const float *x, int ldx, const float *w, int ldw, float *y,
                    int ldy, bool accumulate)
{
    ref_gemm_nn(m, n, k, x, ldx, w, ldw, y, ldy, accumulate);
}

/* The reference kernels run on the thread that calls them. */
void kernel_blas_set_threads(int n)
{
    (void)n;
}

const char *kernel_blas_describe(void)
{
    return "reference kernels";
}
