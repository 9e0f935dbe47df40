/* scratch: how much of it a kernel needs, see packed.h. */
#include "kernel/packed/scratch.h"

/* *sum += a * b * c * d, rounded up to 64; false if the number overflows. */
static bool add(size_t *sum, long a, long b, long c, long d)
{
    size_t bytes = (size_t)a;

    return !__builtin_mul_overflow(bytes, (size_t)b, &bytes) &&
           !__builtin_mul_overflow(bytes, (size_t)c, &bytes) &&
           !__builtin_mul_overflow(bytes, (size_t)d, &bytes) &&
           !__builtin_add_overflow(bytes, 63, &bytes) &&
           !__builtin_add_overflow(*sum, bytes & ~(size_t)63, sum);
}

size_t packed_conv_scratch(const struct packed_conv *s)
{
    const bool merge = conv_may_merge(s);
    size_t     sum = 0;

    if (!add(&sum, s->c, merge ? s->kernel_w : 1, 1, sizeof(float)) ||
        !add(&sum, s->kernel_h, s->kernel_w, 1, sizeof(long)) ||
        !add(&sum, s->kernel_h, s->kernel_w, CONV_ROWS, sizeof(float *)) ||
        (merge && !add(&sum, s->kernel_h, s->kernel_w * s->c, CONV_ROWS, sizeof(float))))
        return 0;
    return sum;
}

size_t packed_winograd_scratch(const struct packed_conv *s, long n, int m)
{
    const long block = winograd_block(s->c, n, m), taps = (m + 2) * (m + 2);
    size_t     sum = 0;

    if (!add(&sum, round_up(s->c, KERNEL_PANEL), 1, 1, sizeof(float)) ||
        !add(&sum, round_up(s->c, KERNEL_PANEL), taps, block, sizeof(float)) ||
        !add(&sum, round_up(n, KERNEL_PANEL), taps, block, sizeof(float)))
        return 0;
    return sum;
}

size_t packed_attention_scratch(const struct packed_attention *s)
{
    const long keys = round_up(s->s, KERNEL_PANEL), out = round_up(s->dv, KERNEL_PANEL);
    const long rows = s->relative.tables ? round_up(s->relative.rows, KERNEL_PANEL) : 0;
    size_t     sum = 0;

    if (!add(&sum, keys, s->d, 1, sizeof(float)) || !add(&sum, s->s, out, 1, sizeof(float)) ||
        !add(&sum, ATTENTION_ROWS, ATTENTION_KEYS, 1, sizeof(float)) ||
        !add(&sum, rows, s->d, 1, sizeof(float)) || !add(&sum, rows, out, 1, sizeof(float)) ||
        !add(&sum, 2 * ATTENTION_ROWS, rows, 1, sizeof(float)))
        return 0;
    return sum;
}
