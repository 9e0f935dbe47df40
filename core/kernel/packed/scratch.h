/* scratch: what lies where in the scratch memory of a kernel. The sizes are the same for
 * every set, so that a plan does not depend on the CPU. */
#ifndef KERNEL_PACKED_SCRATCH_H
#define KERNEL_PACKED_SCRATCH_H

#include "kernel/packed.h"

/* Positions of a convolution that are listed at a time: a multiple of every tile's height. */
enum { CONV_ROWS = 192 };

/* With as few channels as this, the taps of a kernel row become one long tap where
 * memory allows it: the first layer of a network. */
enum { CONV_FEW = 16 };

/* Rows of queries and keys that attention takes at a time. */
enum { ATTENTION_ROWS = 24, ATTENTION_KEYS = 256 };

static inline bool conv_may_merge(const struct packed_conv *s)
{
    return s->c <= CONV_FEW && s->kernel_w > 1 && s->dilation_w == 1;
}

static inline long round_up(long x, long to)
{
    return (x + to - 1) / to * to;
}

/* Floats of an image row with its margins, as far as taps reach. */
static inline long planes_width(const struct packed_conv *s)
{
    const long reached = (s->out_w - 1) * s->stride_w + s->kernel_w;

    return reached > s->pad_left + s->w ? reached : s->pad_left + s->w;
}

/* Tiles of Winograd at a time: a megabyte of floats in the transformed domain, if that is
 * not too few for a product. */
enum { WINOGRAD_FLOATS = 256 << 10, WINOGRAD_FEWEST = 48, WINOGRAD_MOST = 384 };

static inline long winograd_block(long c, long n, int m)
{
    const long tile = (round_up(c, KERNEL_PANEL) + round_up(n, KERNEL_PANEL)) * (m + 2) * (m + 2);
    const long tiles = WINOGRAD_FLOATS / tile / 24 * 24;

    return tiles < WINOGRAD_FEWEST ? WINOGRAD_FEWEST
           : tiles > WINOGRAD_MOST ? WINOGRAD_MOST
                                   : tiles;
}

#endif
