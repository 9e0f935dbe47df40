/* number: Python's arithmetic on int64 and double. */
#include "space/number.h"

#include <float.h>
#include <math.h>

const char number_too_large[] = "the result is too large for a 64-bit integer";
const char number_division_by_zero[] = "division by zero";

const char *number_int_divmod(int64_t a, int64_t b, int64_t *ret_quotient, int64_t *ret_rest)
{
    int64_t q, r;

    if (b == 0) return number_division_by_zero;
    if (b == -1) { /* INT64_MIN / -1 traps */
        if (__builtin_sub_overflow((int64_t)0, a, ret_quotient)) return number_too_large;
        *ret_rest = 0;
        return NULL;
    }
    q = a / b;
    r = a % b;
    if (r != 0 && (r < 0) != (b < 0)) {
        q--;
        r += b;
    }
    *ret_quotient = q;
    *ret_rest = r;
    return NULL;
}

const char *number_int_mod(int64_t a, int64_t b, int64_t *ret_rest)
{
    int64_t quotient;

    if (b == -1) { /* the quotient may not fit, the rest always does */
        *ret_rest = 0;
        return NULL;
    }
    return number_int_divmod(a, b, &quotient, ret_rest);
}

const char *number_real_divmod(double a, double b, double *ret_quotient, double *ret_rest)
{
    double rest, quotient, whole;

    if (b == 0.0) return number_division_by_zero;
    rest = fmod(a, b);
    quotient = (a - rest) / b; /* nearly whole already: fmod is exact */
    if (rest != 0.0) {
        if ((b < 0.0) != (rest < 0.0)) {
            rest += b;
            quotient -= 1.0;
        }
    } else {
        rest = copysign(0.0, b);
    }
    if (quotient != 0.0) {
        whole = floor(quotient);
        if (quotient - whole > 0.5) whole += 1.0;
    } else {
        whole = copysign(0.0, a / b);
    }
    *ret_quotient = whole;
    *ret_rest = rest;
    return NULL;
}

static uint64_t magnitude(int64_t x)
{
    return x < 0 ? -(uint64_t)x : (uint64_t)x;
}

static int bits(uint64_t x)
{
    return x ? 64 - __builtin_clzll(x) : 0;
}

const char *number_int_ratio(int64_t a, int64_t b, double *ret_ratio)
{
    const uint64_t    n = magnitude(a), d = magnitude(b);
    const int         shift = bits(d) - bits(n) + 56 > 0 ? bits(d) - bits(n) + 56 : 0;
    unsigned __int128 scaled;
    uint64_t          q;
    double            ratio;

    if (b == 0) return number_division_by_zero;
    /* At least 56 bits of quotient. The last one also says whether anything is left
     * below, which is all that rounding to 53 bits can ask. */
    scaled = (unsigned __int128)n << shift;
    q = (uint64_t)(scaled / d) | (scaled % d != 0);
    ratio = ldexp((double)q, -shift);
    *ret_ratio = (a < 0) != (b < 0) ? -ratio : ratio;
    return NULL;
}

const char *number_int_pow(int64_t a, uint64_t b, int64_t *ret_power)
{
    int64_t power = 1, square = a;

    if (a == 0 || a == 1 || a == -1) {
        *ret_power = b == 0 ? 1 : a == -1 && b % 2 == 0 ? 1 : a;
        return NULL;
    }
    while (b > 0) {
        if ((b & 1) && __builtin_mul_overflow(power, square, &power)) return number_too_large;
        b >>= 1;
        if (b > 0 && __builtin_mul_overflow(square, square, &square)) return number_too_large;
    }
    *ret_power = power;
    return NULL;
}

/* x with a x = 1 modulo m, for 0 <= a < m; false if there is none. */
static bool inverse(uint64_t a, uint64_t m, uint64_t *ret_inverse)
{
    __int128 r0 = m, r1 = a, x0 = 0, x1 = 1;

    while (r1 != 0) {
        const __int128 q = r0 / r1, r2 = r0 - q * r1, x2 = x0 - q * x1;

        r0 = r1, r1 = r2;
        x0 = x1, x1 = x2;
    }
    if (r0 != 1) return false;
    *ret_inverse = (uint64_t)(x0 < 0 ? x0 + m : x0);
    return true;
}

const char *number_int_pow_mod(int64_t a, int64_t b, int64_t m, int64_t *ret_power)
{
    const uint64_t mod = magnitude(m);
    uint64_t       base, exponent = magnitude(b), power = 1;
    int64_t        rest;

    if (m == 0) return "the third argument of pow is 0";
    if (mod == 1) {
        *ret_power = 0;
        return NULL;
    }
    base = magnitude(a) % mod;
    if (a < 0 && base != 0) base = mod - base;
    if (b < 0 && !inverse(base, mod, &base))
        return "the base of pow has no inverse for this modulus";
    for (; exponent > 0; exponent >>= 1) {
        if (exponent & 1) power = (uint64_t)((unsigned __int128)power * base % mod);
        base = (uint64_t)((unsigned __int128)base * base % mod);
    }
    rest = (int64_t)power; /* below 2^63 */
    *ret_power = m < 0 && rest != 0 ? rest + m : rest;
    return NULL;
}

const char *number_real_pow(double a, double b, double *ret_power)
{
    const bool odd = fmod(fabs(b), 2.0) == 1.0;
    double     power;

    /* IEEE's pow, except where Python raises. */
    if (a == 0.0 && b < 0.0 && isfinite(b)) return "0 has no negative power: division by zero";
    if (isfinite(a) && a < 0.0 && isfinite(b) && b != floor(b))
        return "a negative number to the power of a fraction is a complex number";
    if (isnan(a) || isnan(b)) {
        *ret_power = pow(a, b);
        return NULL;
    }
    power = pow(fabs(a), b);
    if (isfinite(a) && isfinite(b) && isinf(power)) return "the result is too large for a float";
    *ret_power = signbit(a) && odd ? -power : power;
    return NULL;
}

const char *number_shift_left(int64_t a, int64_t n, int64_t *ret_shifted)
{
    if (n < 0) return "the shift count is negative";
    if (a == 0) {
        *ret_shifted = 0;
        return NULL;
    }
    if (n > 63 || (a < 0 ? a < INT64_MIN >> n : a > INT64_MAX >> n)) return number_too_large;
    *ret_shifted = (int64_t)((uint64_t)a << n);
    return NULL;
}

const char *number_shift_right(int64_t a, int64_t n, int64_t *ret_shifted)
{
    if (n < 0) return "the shift count is negative";
    *ret_shifted = a >> (n > 63 ? 63 : n);
    return NULL;
}

const char *number_real_to_int(double x, int64_t *ret_integer)
{
    if (!isfinite(x)) return isnan(x) ? "nan has no integer" : "infinity has no integer";
    x = trunc(x);
    if (x < -0x1p63 || x >= 0x1p63) return number_too_large;
    *ret_integer = (int64_t)x;
    return NULL;
}

const char *number_int_round(int64_t x, int64_t digits, int64_t *ret_rounded)
{
    __int128 unit = 1, q, rest;

    if (digits >= 0) {
        *ret_rounded = x;
        return NULL;
    }
    if (digits < -19) { /* 10^20 / 2 is more than any x */
        *ret_rounded = 0;
        return NULL;
    }
    for (int64_t i = digits; i < 0; i++)
        unit *= 10;
    q = x / unit;
    rest = x - q * unit;
    if (rest < 0) {
        q--;
        rest += unit;
    }
    if (2 * rest > unit || (2 * rest == unit && q % 2 != 0)) q++;
    q *= unit;
    if (q < INT64_MIN || q > INT64_MAX) return number_too_large;
    *ret_rounded = (int64_t)q;
    return NULL;
}

double number_real_round_whole(double x)
{
    const double rounded = round(x);

    return fabs(x - rounded) == 0.5 ? 2.0 * round(x / 2.0) : rounded;
}

enum value_order number_compare(int64_t a, double b)
{
    int64_t whole;

    if (isnan(b)) return VALUE_UNORDERED;
    if (b >= 0x1p63) return VALUE_LESS;
    if (b < -0x1p63) return VALUE_GREATER;
    whole = (int64_t)b; /* toward zero */
    if (a != whole) return a < whole ? VALUE_LESS : VALUE_GREATER;
    if (b == (double)whole) return VALUE_EQUAL;
    return b > (double)whole ? VALUE_LESS : VALUE_GREATER;
}
