/* Twin of attention: one row of scores at a time, in double precision. */
#include <math.h>
#include <stddef.h>

#include "kernel/attention.h"

void ref_attention(int l, int s, int d, const float *q, int ldq, const float *k, int ldk,
                   const float *v, int ldv, const float *bias, float *p, float *y, int ldy)
{
    for (ptrdiff_t i = 0; i < l; i++) {
        double max = -INFINITY, sum = 0.0;

        for (ptrdiff_t j = 0; j < s; j++) {
            double score = bias ? bias[i * s + j] : 0.0;

            for (ptrdiff_t c = 0; c < d; c++)
                score += (double)q[i * ldq + c] * k[j * ldk + c];
            p[i * s + j] = (float)score;
            max = fmax(max, p[i * s + j]);
        }
        for (ptrdiff_t j = 0; j < s; j++)
            sum += exp(p[i * s + j] - max);
        for (ptrdiff_t j = 0; j < s; j++)
            p[i * s + j] = (float)(exp(p[i * s + j] - max) / sum);
        for (ptrdiff_t c = 0; c < d; c++) {
            double mixed = 0.0;

            for (ptrdiff_t j = 0; j < s; j++)
                mixed += (double)p[i * s + j] * v[j * ldv + c];
            y[i * ldy + c] = (float)mixed;
        }
    }
}
