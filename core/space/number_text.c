/* number_text: numbers as Python reads and rounds them.
 *
 * Everything goes through a row of decimal digits and an exponent: the value of
 * "d d d d" and exponent e is 0.dddd * 10^e. No decimal point passes through
 * libc, so the program's locale does not matter. */
#include <ctype.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "space/number.h"

/* 767 digits write every double exactly; longer inputs are refused. */
enum { EXACT_DIGITS = 767, MAX_DIGITS = 1024 };

struct decimal {
    char digit[MAX_DIGITS];
    int  n;
    long exponent;
};

/* The n digits of x >= 0 that libc rounds to, correctly, half to even. */
static void decimal_of(double x, int n, struct decimal *ret)
{
    char        text[EXACT_DIGITS + 32];
    const char *at = text;

    snprintf(text, sizeof text, "%.*e", n - 1, x);
    ret->n = 0;
    for (; *at && *at != 'e'; at++)
        if (isdigit((unsigned char)*at)) /* skips the locale's decimal point */
            ret->digit[ret->n++] = *at;
    ret->exponent = strtol(at + 1, NULL, 10) + 1;
}

static double decimal_value(const struct decimal *d)
{
    char text[MAX_DIGITS + 32];

    snprintf(text, sizeof text, "%.*se%ld", d->n, d->digit, d->exponent - d->n);
    return strtod(d->n > 0 ? text : "0", NULL);
}

const char *number_real_round(double x, int64_t digits, double *ret_rounded)
{
    struct decimal d;
    long           keep;
    bool           up;

    /* Python's own bounds: no digit is there to be cut, or none is left. */
    if (!isfinite(x) || x == 0.0 || digits > 323) {
        *ret_rounded = x;
        return NULL;
    }
    if (digits < -308) {
        *ret_rounded = copysign(0.0, x);
        return NULL;
    }
    decimal_of(fabs(x), EXACT_DIGITS, &d);
    keep = d.exponent + (long)digits;
    if (keep < 0) {
        *ret_rounded = copysign(0.0, x);
        return NULL;
    }
    if (keep >= d.n) {
        *ret_rounded = x;
        return NULL;
    }
    up = d.digit[keep] > '5';
    if (d.digit[keep] == '5') {
        up = keep > 0 && (d.digit[keep - 1] - '0') % 2 != 0;
        for (int i = (int)keep + 1; i < d.n && !up; i++)
            up = d.digit[i] != '0';
    }
    d.n = (int)keep;
    for (int i = d.n - 1; up; i--) {
        if (i < 0) { /* 9.99 -> 10: all digits are 0 by now */
            memmove(d.digit + 1, d.digit, (size_t)d.n);
            d.digit[0] = '1';
            d.n++;
            d.exponent++;
            break;
        }
        up = d.digit[i] == '9';
        d.digit[i] = up ? '0' : (char)(d.digit[i] + 1);
    }
    x = copysign(decimal_value(&d), x);
    if (isinf(x)) return "the rounded value is too large for a float";
    *ret_rounded = x;
    return NULL;
}

/* Digits with single underscores between them, from *at on; their number. */
static int read_digits(const char **at, const char *end, struct decimal *d, int *ret_dropped)
{
    const char *p = *at;
    int         n = 0;

    for (; p < end; p++) {
        if (*p == '_' && n > 0 && p + 1 < end && isdigit((unsigned char)p[1])) continue;
        if (!isdigit((unsigned char)*p)) break;
        if (d->n == MAX_DIGITS)
            ++*ret_dropped;
        else if (d->n > 0 || *p != '0')
            d->digit[d->n++] = *p;
        else
            d->exponent--; /* a leading zero only moves the point */
        n++;
    }
    *at = p;
    return n;
}

bool number_parse_real(const char *text, size_t n, double *ret_real)
{
    const char    *at = text, *end = text + n;
    struct decimal d = {.n = 0, .exponent = 0};
    int            n_whole, n_fraction = 0, dropped = 0;
    long           exponent = 0;

    if (n > INT_MAX / 2) return false;
    n_whole = read_digits(&at, end, &d, &dropped);
    d.exponent += n_whole;
    if (at < end && *at == '.') {
        at++;
        n_fraction = read_digits(&at, end, &d, &dropped);
    }
    if (n_whole + n_fraction == 0 || dropped > 0) return false;
    if (at < end && (*at == 'e' || *at == 'E')) {
        bool negative = false, any = false;

        at++;
        if (at < end && (*at == '+' || *at == '-')) negative = *at++ == '-';
        for (; at < end; at++) {
            if (*at == '_' && any && at + 1 < end && isdigit((unsigned char)at[1])) continue;
            if (!isdigit((unsigned char)*at)) break;
            any = true;
            if (exponent < 1000000) exponent = exponent * 10 + (*at - '0');
        }
        if (!any) return false;
        d.exponent += negative ? -exponent : exponent;
    }
    if (at != end) return false;
    *ret_real = decimal_value(&d);
    return true;
}

/* [*at, *end) without the blanks around it, as str.strip() sees them. */
static void strip(const char **at, const char **end)
{
    static const char blanks[] = " \t\n\v\f\r\x1c\x1d\x1e\x1f";

    while (*at < *end && strchr(blanks, **at))
        ++*at;
    while (*at < *end && strchr(blanks, (*end)[-1]))
        --*end;
}

const char *number_text_to_int(const char *text, int64_t *ret_integer)
{
    static const char *const refused = "the text is no integer";
    const char              *at = text, *end = text + strlen(text);
    int64_t                  value = 0;
    bool                     negative = false, large = false, any = false;

    strip(&at, &end);
    if (at < end && (*at == '+' || *at == '-')) negative = *at++ == '-';
    for (; at < end; at++) {
        if (*at == '_' && any && at + 1 < end && isdigit((unsigned char)at[1])) continue;
        if (!isdigit((unsigned char)*at)) return refused;
        any = true;
        large = large || __builtin_mul_overflow(value, (int64_t)10, &value) ||
                __builtin_sub_overflow(value, (int64_t)(*at - '0'), &value);
    }
    if (!any) return refused;
    /* Collected below zero, where there is one more. */
    if (large || (!negative && __builtin_sub_overflow((int64_t)0, value, &value)))
        return number_too_large;
    *ret_integer = value;
    return NULL;
}

static bool is_word(const char *at, size_t n, const char *word)
{
    if (n != strlen(word)) return false;
    for (size_t i = 0; i < n; i++)
        if (tolower((unsigned char)at[i]) != word[i]) return false;
    return true;
}

const char *number_text_to_real(const char *text, double *ret_real)
{
    const char *at = text, *end = text + strlen(text);
    bool        negative = false;
    double      value;

    strip(&at, &end);
    if (at < end && (*at == '+' || *at == '-')) negative = *at++ == '-';
    if (is_word(at, (size_t)(end - at), "inf") || is_word(at, (size_t)(end - at), "infinity"))
        value = INFINITY;
    else if (is_word(at, (size_t)(end - at), "nan"))
        value = NAN;
    else if (!number_parse_real(at, (size_t)(end - at), &value))
        return "the text is no number";
    *ret_real = negative ? -value : value;
    return NULL;
}
