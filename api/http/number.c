/* number: the inner loop of tensors as JSON.
 *
 * Both directions rest on one fact: a decimal m * 10^e with m < 2^53 and |e| <= 22
 * is one exact integer times or divided by one exact power of ten, so that a
 * single IEEE operation rounds it correctly. What does not fit goes to libc. */
#include "http/number.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_EXACT_POWER = 22 };

static const double power10[MAX_EXACT_POWER + 1] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

const char *api_number_scan(const char *p, const char *end, bool *ret_is_integer)
{
    bool is_integer = true;

    if (p < end && *p == '-') p++;
    if (p == end || !is_digit(*p)) return NULL;
    if (*p == '0')
        p++;
    else
        while (p < end && is_digit(*p))
            p++;
    if (p < end && *p == '.') {
        is_integer = false;
        if (++p == end || !is_digit(*p)) return NULL;
        while (p < end && is_digit(*p))
            p++;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        is_integer = false;
        if (++p < end && (*p == '+' || *p == '-')) p++;
        if (p == end || !is_digit(*p)) return NULL;
        while (p < end && is_digit(*p))
            p++;
    }
    /* libc reads on through "0x1" and to the end of memory: a number must stop
     * where JSON says, inside the text. */
    if (p == end || !strchr(",]} \t\r\n", *p) || *p == '\0') return NULL;
    *ret_is_integer = is_integer;
    return p;
}

double api_number_parse(const char *p, const char *end)
{
    const char *start = p;
    uint64_t    m = 0;
    int         n_digits = 0, e = 0;
    const bool  negative = *p == '-';
    double      x;

    if (negative) p++;
    for (; p < end && is_digit(*p); p++, n_digits += m != 0)
        if (n_digits < 19) m = m * 10 + (uint64_t)(*p - '0');
    if (p < end && *p == '.')
        for (p++; p < end && is_digit(*p); p++, n_digits += m != 0, e--)
            if (n_digits < 19) m = m * 10 + (uint64_t)(*p - '0');
    if (p < end && (*p == 'e' || *p == 'E') && end - p <= 5)
        e += atoi(p + 1); /* ends at `end`, see api_number_scan */
    else if (p < end)
        return strtod(start, NULL);

    if (n_digits > 19 || m > UINT64_C(1) << 53 || e < -MAX_EXACT_POWER || e > MAX_EXACT_POWER)
        return strtod(start, NULL);
    x = e < 0 ? (double)m / power10[-e] : (double)m * power10[e];
    return negative ? -x : x;
}

bool api_number_parse_int(const char *p, const char *end, int64_t *ret_integer)
{
    const bool negative = *p == '-';
    int64_t    x = 0;

    for (p += negative; p < end; p++) {
        const int64_t digit = *p - '0';

        if (__builtin_mul_overflow(x, 10, &x) ||
            __builtin_add_overflow(x, negative ? -digit : digit, &x))
            return false;
    }
    *ret_integer = x;
    return true;
}

/* "d.ddd" with m = ddd... of n digits and the first digit worth 10^e10. */
static size_t put_decimal(char *to, bool negative, uint64_t m, int e10)
{
    char   digits[24];
    int    n = 0;
    size_t at = 0;

    for (; m % 10 == 0 && m; m /= 10) {}
    for (; m; m /= 10)
        digits[n++] = (char)('0' + m % 10);
    for (int i = 0, j = n - 1; i < j; i++, j--) {
        const char c = digits[i];

        digits[i] = digits[j];
        digits[j] = c;
    }

    if (negative) to[at++] = '-';
    if (e10 < -5 || e10 > 15) { /* 1.25e-07 */
        to[at++] = digits[0];
        if (n > 1) {
            to[at++] = '.';
            memcpy(to + at, digits + 1, (size_t)n - 1);
            at += (size_t)n - 1;
        }
        return at + (size_t)sprintf(to + at, "e%+03d", e10);
    }
    if (e10 < 0) { /* 0.00125 */
        to[at++] = '0';
        to[at++] = '.';
        for (int i = -1; i > e10; i--)
            to[at++] = '0';
        memcpy(to + at, digits, (size_t)n);
        at += (size_t)n;
    } else { /* 125, 1.25, 12500 */
        for (int i = 0; i < n || i <= e10; i++) {
            if (i == e10 + 1) to[at++] = '.';
            to[at++] = i < n ? digits[i] : '0';
        }
    }
    to[at] = '\0';
    return at;
}

/* The %g of fewest digits that reads back as x. */
static size_t put_slowly(char *to, double x, int first, int last, bool is_float)
{
    int n = 0;

    for (int digits = first; digits <= last; digits++) {
        n = snprintf(to, API_NUMBER_BYTES, "%.*g", digits, x);
        if (is_float ? (float)strtod(to, NULL) == (float)x : strtod(to, NULL) == x) break;
    }
    return (size_t)n;
}

size_t api_number_float(char *to, float x)
{
    const double a = fabs((double)x);
    int          e10;

    assert(isfinite(x));
    if (x == 0.0f) return (size_t)sprintf(to, signbit(x) ? "-0.0" : "0");
    if (a < 1e-12 || a >= 1e22) /* below FLT_MIN the digits run out */
        return put_slowly(to, (double)x, a < (double)FLT_MIN ? 1 : 6, 9, true);

    /* floor(log10(a)), put right below if it is off by one */
    e10 = (int)floor(log10(a));
    /* Any decimal of six digits survives a float, so that fewer than six are the
     * six with zeros cut off; nine always suffice. */
    for (int digits = 6; digits <= 9; digits++) {
        const int scale = digits - 1 - e10; /* m = a * 10^scale */
        uint64_t  m;
        double    back;

        m = (uint64_t)llround(scale < 0 ? a / power10[-scale] : a * power10[scale]);
        back = scale < 0 ? (double)m * power10[-scale] : (double)m / power10[scale];
        if (m && (float)back == (float)a) {
            int first = -scale; /* what the first digit of m is worth */

            for (uint64_t r = m; r >= 10; r /= 10)
                first++;
            return put_decimal(to, x < 0, m, first);
        }
    }
    return put_slowly(to, (double)x, 6, 9, true);
}

size_t api_number_double(char *to, double x)
{
    assert(isfinite(x));
    if (x == 0.0 && signbit(x)) return (size_t)sprintf(to, "-0.0");
    return put_slowly(to, x, 15, 17, false);
}
