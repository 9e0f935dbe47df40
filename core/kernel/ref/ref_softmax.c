/* Twin of softmax, in double precision. */
#include <math.h>

#include "kernel/softmax.h"

void ref_softmax(size_t outer, size_t n, size_t inner, const float *x, float *y)
{
    for (size_t o = 0; o < outer; o++)
        for (size_t i = 0; i < inner; i++) {
            const size_t at = o * n * inner + i;
            double       max = -INFINITY, sum = 0.0;

            for (size_t j = 0; j < n; j++)
                max = fmax(max, x[at + j * inner]);
            for (size_t j = 0; j < n; j++)
                sum += exp(x[at + j * inner] - max);
            for (size_t j = 0; j < n; j++)
                y[at + j * inner] = (float)(exp(x[at + j * inner] - max) / sum);
        }
}
