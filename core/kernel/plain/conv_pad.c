/* conv_pad: make the surroundings of an image from the image itself. */
#include <string.h>

#include "kernel/conv.h"

/* Which of n elements is at index i, where i may be outside [0, n). */
static int source(enum conv_pad mode, int i, int n)
{
    switch (mode) {
    case CONV_PAD_REFLECT:
        return i < 0 ? -i : i < n ? i : 2 * (n - 1) - i;
    case CONV_PAD_CIRCULAR:
        return i < 0 ? i + n : i < n ? i : i - n;
    case CONV_PAD_REPLICATE:
        return i < 0 ? 0 : i < n ? i : n - 1;
    case CONV_PAD_ZEROS:
        break;
    }
    return i >= 0 && i < n ? i : -1;
}

/* Only the margins need source(); what lies between is copied. */
void kernel_pad2d(enum conv_pad mode, int c, int h, int w, int top, int bottom, int left, int right,
                  const float *x, float *y)
{
    for (int i = 0; i < c; i++)
        for (int r = -top; r < h + bottom; r++, y += left + w + right) {
            const int    from = source(mode, r, h);
            const float *row = x + ((ptrdiff_t)i * h + from) * w;

            if (from < 0) {
                memset(y, 0, (size_t)(left + w + right) * sizeof *y);
                continue;
            }
            memcpy(y + left, row, (size_t)w * sizeof *y);
            for (int k = left > 0 ? -left : w; k < w + right; k = k == -1 ? w : k + 1) {
                const int at = source(mode, k, w);

                y[left + k] = at < 0 ? 0.0f : row[at];
            }
        }
}
