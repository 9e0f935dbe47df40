/* half: 16-bit floats, widened exactly.
 *
 *   F16   1 sign, 5 exponent, 10 mantissa bits; exponent 0: mantissa * 2^-24
 *   BF16  the upper half of a float32
 */
#include <string.h>

#include "tensor/tensor.h"

static float from_bits(uint32_t bits)
{
    float f;

    memcpy(&f, &bits, sizeof f);
    return f;
}

float half_to_float(uint16_t bits)
{
    const uint32_t sign = (uint32_t)(bits & 0x8000) << 16;
    const uint32_t exponent = (bits >> 10) & 0x1f, mantissa = bits & 0x3ff;

    if (exponent == 0x1f) return from_bits(sign | 0x7f800000 | mantissa << 13); /* inf, NaN */
    if (exponent > 0) return from_bits(sign | (exponent + 127 - 15) << 23 | mantissa << 13);
    return sign ? -(float)mantissa * 0x1p-24f : (float)mantissa * 0x1p-24f;
}

float bfloat_to_float(uint16_t bits)
{
    return from_bits((uint32_t)bits << 16);
}
