/* scratch: how much of it a kernel needs, see packed.h. */
#include "kernel/packed/scratch.h"

/* *sum += a * b * c * d, rounded up to 64; false if the number overflows. */
static bool add(long *sum, long a, long b, long c, long d)
{
    return !__builtin_mul_overflow(a, b, &a) && !__builtin_mul_overflow(a, c, &a) &&
           !__builtin_mul_overflow(a, d, &a) && !__builtin_add_overflow(a, 63, &a) &&
           !__builtin_add_overflow(*sum, a & ~63L, sum);
}

size_t packed_conv_scratch(const struct packed_conv *s)
{
    const bool merge = conv_may_merge(s);
    long       sum = 0;

    if (!add(&sum, s->group > 0 ? s->ldx : s->c, merge ? s->kernel_w : 1, 1, sizeof(float)) ||
        !add(&sum, s->kernel_h, s->kernel_w, 1, sizeof(long)) ||
        !add(&sum, s->kernel_h, s->kernel_w, 1, sizeof(long)) ||
        !add(&sum, s->kernel_h, s->kernel_w, CONV_ROWS, sizeof(float *)) ||
        (merge && !add(&sum, s->kernel_h, s->kernel_w * s->c, CONV_ROWS, sizeof(float))))
        return 0;
    return (size_t)sum;
}

size_t packed_planes_scratch(const struct packed_conv *s)
{
    long sum = 0;

    if (!add(&sum, s->kernel_h, s->kernel_w, s->c, 2 * sizeof(long)) ||
        !add(&sum, s->kernel_h, s->c, planes_width(s), sizeof(float)))
        return 0;
    return (size_t)sum;
}

size_t packed_winograd_scratch(const struct packed_conv *s, long n, int m)
{
    const long taps = (m + 2) * (m + 2);
    long       sum = 0, c, channels;

    /* A part with fewer channels takes more tiles, but never more than WINOGRAD_FLOATS. */
    if (__builtin_add_overflow(s->c, KERNEL_PANEL - 1, &c) ||
        __builtin_add_overflow(c, n, &channels) ||
        __builtin_add_overflow(channels, KERNEL_PANEL, &channels) ||
        !add(&sum, c, 1, 1, sizeof(float)) || !add(&sum, WINOGRAD_FLOATS, 1, 1, sizeof(float)) ||
        !add(&sum, channels, taps, WINOGRAD_FEWEST, sizeof(float)) ||
        !add(&sum, 2 * taps, KERNEL_PANEL, 1, sizeof(float)))
        return 0;
    return (size_t)sum;
}

size_t packed_attention_panels(const struct packed_attention *s)
{
    const struct attention_layout a = attention_layout(s);
    long                          sum = 0;

    if (!add(&sum, round_up(s->s, KERNEL_PANEL), s->d, 1, sizeof(float)) ||
        !add(&sum, s->s + a.tables, round_up(s->dv, KERNEL_PANEL), 1, sizeof(float)))
        return 0;
    return (size_t)sum;
}

size_t packed_attention_scratch(const struct packed_attention *s)
{
    return (size_t)attention_layout(s).floats * sizeof(float);
}
