/* real: doubles as Python prints them: the fewest digits that read back equal. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

enum { MOST_DIGITS = 17 };

/* v = 0.d1d2...dn * 10^point, v positive and finite. */
struct decimal {
    char digit[MOST_DIGITS + 1];
    int  n, point;
};

static bool reads_back(const struct decimal *d, double v)
{
    char buf[MOST_DIGITS + 16];

    snprintf(buf, sizeof buf, "%se%d", d->digit, d->point - d->n);
    return strtod(buf, NULL) == v;
}

/* The n-digit decimal nearest to v. */
static struct decimal nearest(double v, int n)
{
    struct decimal d = {.n = n};
    char           buf[MOST_DIGITS + 16];
    const char    *s = buf;

    snprintf(buf, sizeof buf, "%.*e", n - 1, v);
    for (int i = 0; i < n; s++)
        if (*s >= '0' && *s <= '9') d.digit[i++] = *s; /* skips the point of any locale */
    d.point = atoi(strchr(s, 'e') + 1) + 1;
    return d;
}

/* One unit in the last place more. */
static struct decimal next_above(struct decimal d)
{
    int i = d.n - 1;

    while (i >= 0 && d.digit[i] == '9')
        d.digit[i--] = '0';
    if (i >= 0) {
        d.digit[i]++;
    } else {
        d.digit[0] = '1';
        d.point++;
    }
    return d;
}

static struct decimal shortest(double v)
{
    const struct decimal below = nearest(v, MOST_DIGITS - 2), above = next_above(below);
    struct decimal       d = {0};

    /* Where that many digits do not read back, fewer cannot either. */
    for (int n = reads_back(&below, v) || reads_back(&above, v) ? 1 : MOST_DIGITS - 1;
         n <= MOST_DIGITS; n++) {
        d = nearest(v, n);
        if (reads_back(&d, v)) break;
        /* Below a power of two doubles are twice as dense as above: the nearest
         * decimal may miss it from below while the next one hits it from above. */
        d = next_above(d);
        if (reads_back(&d, v)) break;
    }
    while (d.n > 1 && d.digit[d.n - 1] == '0')
        d.digit[--d.n] = '\0';
    return d;
}

const char *real_text(double v, char buf[REAL_TEXT_BYTES])
{
    const char *const sign = signbit(v) ? "-" : "";
    struct decimal    d;

    if (isnan(v)) return strcpy(buf, "nan");
    if (isinf(v)) return strcat(strcpy(buf, sign), "inf");
    if (v == 0) return strcat(strcpy(buf, sign), "0.0");

    d = shortest(fabs(v));
    if (d.point > 16 || d.point < -3)
        snprintf(buf, REAL_TEXT_BYTES, "%s%c%s%se%+03d", sign, d.digit[0], d.n > 1 ? "." : "",
                 d.digit + 1, d.point - 1);
    else if (d.point <= 0)
        snprintf(buf, REAL_TEXT_BYTES, "%s0.%.*s%s", sign, -d.point, "000", d.digit);
    else if (d.point < d.n)
        snprintf(buf, REAL_TEXT_BYTES, "%s%.*s.%s", sign, d.point, d.digit, d.digit + d.point);
    else
        snprintf(buf, REAL_TEXT_BYTES, "%s%s%.*s.0", sign, d.digit, d.point - d.n,
                 "000000000000000");
    return buf;
}

const char *real_exact(double v, char buf[REAL_TEXT_BYTES])
{
    char  *point = buf;
    size_t n_point;

    snprintf(buf, REAL_TEXT_BYTES, "%.17g", v);
    point += strspn(point, "-0123456789");
    n_point = strcspn(point, "0123456789e");
    if (n_point == 0) return buf; /* "2", "1e-05" */
    memmove(point + 1, point + n_point, strlen(point + n_point) + 1);
    *point = '.'; /* whatever the locale has there */
    return buf;
}
