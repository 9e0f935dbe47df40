/* gemm: single-precision matrix products. blas/gemm_blas.c (OpenBLAS) or
 * blas/gemm_ref.c (plain C: the twin, and the build for sanitizers) is linked. */
#ifndef KERNEL_GEMM_H
#define KERNEL_GEMM_H

#include <stdbool.h>

/* y[m, n] = x[m, k] w[n, k]^T (+ y if accumulate)   ldx, ldw, ldy: row strides in elements */
void kernel_gemm_nt(int m, int n, int k, const float *x, int ldx, const float *w, int ldw, float *y,
                    int ldy, bool accumulate);

/* y[m, n] = x[m, k] w[k, n] (+ y if accumulate) */
void kernel_gemm_nn(int m, int n, int k, const float *x, int ldx, const float *w, int ldw, float *y,
                    int ldy, bool accumulate);

/* Threads of the BLAS, process-wide; and which one it is, for people. */
void        kernel_blas_set_threads(int n);
const char *kernel_blas_describe(void);

/* The plain twins, always linked. */
void ref_gemm_nt(int m, int n, int k, const float *x, int ldx, const float *w, int ldw, float *y,
                 int ldy, bool accumulate);
void ref_gemm_nn(int m, int n, int k, const float *x, int ldx, const float *w, int ldw, float *y,
                 int ldy, bool accumulate);

#endif
