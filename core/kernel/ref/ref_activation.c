/* Twins of the activations: the definition, in double precision. */
#include <math.h>

#include "kernel/activation.h"

static double relu6(double x)
{
    if (isnan(x)) return x;
    return fmin(fmax(x, 0.0), 6.0);
}

#define REF_ACTIVATION(name, expression)                                                           \
    void ref_##name(size_t n, const float *x, float *y)                                            \
    {                                                                                              \
        for (size_t i = 0; i < n; i++) {                                                           \
            const double v = x[i];                                                                 \
                                                                                                   \
            y[i] = (float)(expression);                                                            \
        }                                                                                          \
    }

REF_ACTIVATION(relu, isnan(v) ? v : fmax(v, 0.0))
REF_ACTIVATION(relu6, relu6(v))
REF_ACTIVATION(hardsigmoid, relu6(v + 3.0) / 6.0)
REF_ACTIVATION(hardswish, v *relu6(v + 3.0) / 6.0)
REF_ACTIVATION(sigmoid, 1.0 / (1.0 + exp(-v)))
REF_ACTIVATION(silu, v / (1.0 + exp(-v)))
REF_ACTIVATION(tanh, tanh(v))
REF_ACTIVATION(gelu, 0.5 * v * (1.0 + erf(v / sqrt(2.0))))
REF_ACTIVATION(gelu_tanh, 0.5 * v * (1.0 + tanh(sqrt(2.0 / M_PI) * (v + 0.044715 * v * v * v))))
