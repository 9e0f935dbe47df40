/* attention as two matrix products around a softmax. */
#include "kernel/attention.h"

#include <stddef.h>

#include "kernel/gemm.h"
#include "kernel/softmax.h"

void kernel_attention(int l, int s, int d, const float *q, int ldq, const float *k, int ldk,
                      const float *v, int ldv, const float *bias, float *p, float *y, int ldy)
{
    const size_t n = (size_t)l * (size_t)s;

    kernel_gemm_nt(l, s, d, q, ldq, k, ldk, p, s, false);
    if (bias)
        for (size_t i = 0; i < n; i++)
            p[i] += bias[i];
    kernel_softmax((size_t)l, (size_t)s, 1, p, p);
    kernel_gemm_nn(l, d, s, p, s, v, ldv, y, ldy, false);
}
