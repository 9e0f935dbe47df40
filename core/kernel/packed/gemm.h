/* gemm: y [m, n] = epilogue(x [m, k] w^T) (a part of set_*.c). x is not packed: its numbers are
 * broadcast from where they are. Rows are taken in blocks that stay in the second-level cache while
 * all panels of w are multiplied. */

/* Rows of a block. Every block reads all weights, so blocks are large: half of a second-level cache
 * of 512 KB, or most of it if sums are blocked. If the weights fit into the first-level cache, the
 * block does too. Affects speed only. */
INLINE long gemm_block(long m, long k, long n)
{
    const long row = (k > 0 ? k : 1) * (long)sizeof(float);
    long       rows, blocks;

    if (tile_in_parts(k, TILE_NV)) {
        rows = (400 << 10) / row / TILE_ROWS * TILE_ROWS;
        if (rows > TILE_PART_ROWS) rows = TILE_PART_ROWS;
    } else {
        rows = (row * n <= 16 << 10 ? 24 << 10 : 256 << 10) / row / TILE_ROWS * TILE_ROWS;
    }
    if (rows < 24) rows = 24;
    blocks = (m + rows - 1) / rows;
    return blocks > 0 ? (m + blocks - 1) / blocks : 1;
}

static void gemm(const struct packed_gemm *s, long m0, long m1, long n0, long n1)
{
    static const long origin = 0;
    const long        block = gemm_block(m1 - m0, s->k, n1 - n0);
    const bool        take_one = m1 - m0 == 1;

    for (long m = m0; m < m1; m += block) {
        const long rows = m1 - m < block ? m1 - m : block;
        int        take;

        for (long n = n0; n < n1; n += take * VL) {
            const long      vecs = (n1 - n + VL - 1) / VL;
            enum tile_width width;
            struct tile_run r = {
                .k = s->k, .ldx = s->ldx, .tap = &origin, .taps = 1, .ldy = s->ldy};

            /* One row needs few registers: many panels at once hide the latency of memory. */
            take = take_one && vecs >= TILE_ROW_VECS ? TILE_ROW_VECS : tile_take(vecs);
            tile_channels(&r, &s->w, &s->epilogue, n);
            r.x = s->x + m * s->ldx;
            r.y = s->y + m * s->ldy + n;
            r.residual = s->epilogue.residual
                             ? s->epilogue.residual + m * s->epilogue.ld_residual + n
                             : NULL;
            r.last = n + take * VL <= n1 ? VL : n1 - n - (take - 1) * VL;
            if (n + take * VL < n1 && !take_one) {
                r.next = r.w + take / PANEL_VECS * r.panel;
                r.next_end = r.next + s->k * KERNEL_PANEL;
            } else if (n + take * VL >= n1 && m + rows == m1 && s->next) {
                r.next = s->next;
                r.next_end = r.next + s->k * KERNEL_PANEL;
            }
            width = tile_width(take, r.last, rows);
            tile_sums_run(&r, take, tile_matrix[width][take], tile_split(rows, tile_rows[take]));
        }
    }
}
