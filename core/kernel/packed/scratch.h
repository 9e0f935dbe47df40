/* scratch: the layout of each kernel's scratch memory. Sizes are the same for every set, so that a
 * plan does not depend on the CPU. */
#ifndef KERNEL_PACKED_SCRATCH_H
#define KERNEL_PACKED_SCRATCH_H

#include "kernel/packed.h"

/* Positions of a convolution that are listed at a time: a multiple of every tile's height. */
enum { CONV_ROWS = 192 };

/* Up to this many channels, the taps of a kernel row are merged into one long tap where they are
 * contiguous in memory: the first layer of a network. */
enum { CONV_FEW = 16 };

/* Queries that attention takes at a time (the last time up to ATTENTION_ROWS, so that no few are
 * left), and keys. */
enum { ATTENTION_STEP = 24, ATTENTION_ROWS = 32, ATTENTION_KEYS = 256 };

/* Queries whose powers are computed together, so that the CPU can overlap their chains of dependent
 * instructions. */
enum { ATTENTION_GROUP = 4 };

static inline bool conv_may_merge(const struct packed_conv *s)
{
    return s->c <= CONV_FEW && s->kernel_w > 1 && s->dilation_w == 1 && s->group == 0;
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

/* What lies where in the scratch of attention; offsets and distances in floats. Vectors may be
 * read and written up to a panel beyond the end of every part. */
struct attention_layout {
    long table, tables;        /* rows of one table of relative position, of both */
    long ld_score, ld_table;   /* [ATTENTION_ROWS][...] */
    long score, looked, share; /* scores; products with the tables; weights by row of a table */
    long y;                    /* the mixture so far, if the keys come in several blocks */
    long scale, scales;        /* one number, so often */
    long ld_lines, ld_columns; /* numbers by row and by column of the grid, for a query */
    long by_row, by_column, row_sum, column_sum;
    long line, ld_line; /* [ATTENTION_GROUP][...]: see attention.h */
    long floats;
};

static inline long attention_part(struct attention_layout *a, long floats)
{
    const long at = a->floats;

    a->floats += round_up(floats + KERNEL_PANEL, KERNEL_PANEL);
    return at;
}

static inline struct attention_layout attention_layout(const struct packed_attention *s)
{
    const struct packed_relative *r = &s->relative;
    const long                    side = r->side > 0 ? round_up(r->side, KERNEL_PANEL) : 0;
    const long                    lines = r->side > 0 ? ATTENTION_KEYS / r->side + 2 : 0;
    struct attention_layout       a = {.table = r->side > 0 ? 2 * r->length + 2 : 0};

    a.tables = 2 * a.table;
    a.ld_table = 2 * round_up(a.table, KERNEL_PANEL);
    a.ld_score = ATTENTION_KEYS + round_up(a.tables, KERNEL_PANEL) + KERNEL_PANEL;
    a.score = attention_part(&a, ATTENTION_ROWS * a.ld_score);
    a.looked = attention_part(&a, ATTENTION_ROWS * a.ld_table);
    a.share = attention_part(&a, ATTENTION_ROWS * a.ld_table);
    a.y = attention_part(&a, s->s > ATTENTION_KEYS ? ATTENTION_ROWS * s->dv : 0);
    a.scales = a.table > ATTENTION_KEYS ? a.table : ATTENTION_KEYS;
    a.scale = attention_part(&a, a.scales);
    a.ld_line = KERNEL_PANEL + round_up(lines, KERNEL_PANEL) * side;
    a.line = attention_part(&a, ATTENTION_GROUP * a.ld_line);
    a.ld_lines = round_up(lines, KERNEL_PANEL) + KERNEL_PANEL;
    a.ld_columns = side + KERNEL_PANEL;
    a.by_row = attention_part(&a, ATTENTION_ROWS * a.ld_lines);
    a.by_column = attention_part(&a, ATTENTION_ROWS * a.ld_columns);
    a.row_sum = attention_part(&a, ATTENTION_ROWS * a.ld_lines);
    a.column_sum = attention_part(&a, ATTENTION_ROWS * a.ld_columns);
    return a;
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
