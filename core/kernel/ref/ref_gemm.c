/* Matrix products without tricks: tests compare the fast ones with these. */
#include <stddef.h>

#include "kernel/gemm.h"

void ref_gemm_nt(int m, int n, int k, const float *x, int ldx, const float *w, int ldw, float *y,
                 int ldy, bool accumulate)
{
    for (ptrdiff_t i = 0; i < m; i++)
        for (ptrdiff_t j = 0; j < n; j++) {
            float sum = 0.0f;

            for (ptrdiff_t l = 0; l < k; l++)
                sum += x[i * ldx + l] * w[j * ldw + l];
            y[i * ldy + j] = accumulate ? y[i * ldy + j] + sum : sum;
        }
}

/* Row by row of w, so that the innermost loop runs along memory. */
void ref_gemm_nn(int m, int n, int k, const float *x, int ldx, const float *w, int ldw, float *y,
                 int ldy, bool accumulate)
{
    for (ptrdiff_t i = 0; i < m; i++) {
        if (!accumulate)
            for (ptrdiff_t j = 0; j < n; j++)
                y[i * ldy + j] = 0.0f;
        for (ptrdiff_t l = 0; l < k; l++)
            for (ptrdiff_t j = 0; j < n; j++)
                y[i * ldy + j] += x[i * ldx + l] * w[l * ldw + j];
    }
}
