/* pack: weights into panels of 16 output channels, see packed.h. Done once for a supernet. */
#include "kernel/packed.h"

size_t kernel_pack_bytes(const struct kernel_weight *w)
{
    const long panels = w->n / KERNEL_PANEL + (w->n % KERNEL_PANEL != 0);
    size_t     bytes = KERNEL_PANEL * sizeof(float);

    if (__builtin_mul_overflow(bytes, (size_t)panels, &bytes) ||
        __builtin_mul_overflow(bytes, (size_t)w->kernel_h, &bytes) ||
        __builtin_mul_overflow(bytes, (size_t)w->kernel_w, &bytes) ||
        __builtin_mul_overflow(bytes, (size_t)w->k, &bytes))
        return 0;
    return bytes;
}

struct kernel_panels kernel_packed_at(const struct kernel_weight *w, const float *at)
{
    const long tap = w->k * KERNEL_PANEL;

    return (struct kernel_panels){at, w->kernel_h * w->kernel_w * tap, w->kernel_w * tap, tap};
}

struct kernel_panels kernel_panels_from(struct kernel_panels w, long n, long k, long y, long x)
{
    w.at += n / KERNEL_PANEL * w.panel + y * w.tap_y + x * w.tap_x + k * KERNEL_PANEL;
    return w;
}

struct kernel_panels kernel_pack(const struct kernel_weight *w, float *at)
{
    float *to = at;

    for (long n0 = 0; n0 < w->n; n0 += KERNEL_PANEL) {
        const long count = w->n - n0 < KERNEL_PANEL ? w->n - n0 : KERNEL_PANEL;

        for (long y = 0; y < w->kernel_h; y++)
            for (long x = 0; x < w->kernel_w; x++)
                for (long k = 0; k < w->k; k++, to += KERNEL_PANEL) {
                    const float *from =
                        w->data + n0 * w->ld_n + k * w->ld_k + y * w->ld_y + x * w->ld_x;

                    for (long j = 0; j < KERNEL_PANEL; j++)
                        to[j] = j < count ? from[j * w->ld_n] : 0.0f;
                }
    }
    return kernel_packed_at(w, at);
}

/* ---- Winograd: u = g w g^T, in double precision, because it is done once ------------------- */

static const double winograd2[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
static const double winograd4[6][3] = {{1 / 4.0, 0, 0},
                                       {-1 / 6.0, -1 / 6.0, -1 / 6.0},
                                       {-1 / 6.0, 1 / 6.0, -1 / 6.0},
                                       {1 / 24.0, 1 / 12.0, 1 / 6.0},
                                       {1 / 24.0, -1 / 12.0, 1 / 6.0},
                                       {0, 0, 1}};

static struct kernel_weight winograd_shape(const struct kernel_weight *w, int m)
{
    return (struct kernel_weight){.n = w->n, .k = w->k, .kernel_h = m + 2, .kernel_w = m + 2};
}

size_t kernel_winograd_pack_bytes(const struct kernel_weight *w, int m)
{
    const struct kernel_weight u = winograd_shape(w, m);

    return kernel_pack_bytes(&u);
}

struct kernel_panels kernel_winograd_pack(const struct kernel_weight *w, int m, float *at)
{
    const struct kernel_weight u = winograd_shape(w, m);
    const struct kernel_panels to = kernel_packed_at(&u, at);
    const double(*g)[3] = m == 2 ? winograd2 : winograd4;

    for (long n = 0; n < (w->n + KERNEL_PANEL - 1) / KERNEL_PANEL * KERNEL_PANEL; n++)
        for (long k = 0; k < w->k; k++)
            for (int i = 0; i < m + 2; i++)
                for (int j = 0; j < m + 2; j++) {
                    double sum = 0;

                    for (int y = 0; n < w->n && y < 3; y++)
                        for (int x = 0; x < 3; x++)
                            sum +=
                                g[i][y] * g[j][x] *
                                (double)
                                    w->data[n * w->ld_n + k * w->ld_k + y * w->ld_y + x * w->ld_x];
                    at[n / KERNEL_PANEL * to.panel + i * to.tap_y + j * to.tap_x +
                       k * KERNEL_PANEL + n % KERNEL_PANEL] = (float)sum;
                }
    return to;
}
