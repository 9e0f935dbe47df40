/* tile: the micro-kernel (a part of set_*.c). A tile is `mr` positions by `nv` vectors of
 * output channels, held in registers while the products of one tap after another, and of one
 * input channel after another, are added: always in this order, whatever the tile.
 *
 *   y[i][j] = epilogue(sum over tap, k of x[tap][i][k] * panel[tap][k][j])
 *
 * The rows x[tap][i] are those of a matrix (gemm) or a list of pointers (convolution). */

enum { PANEL_VECS = KERNEL_PANEL / VL };

/* Tiles below one another, over the same channels. */
struct tile_run {
    long                count; /* of tiles */
    long                k;
    const float        *x; /* matrix: row stride ldx */
    long                ldx;
    const float *const *rows; /* list: [count][taps][mr] pointers, and where the taps are */
    const long         *tap;
    long                taps;
    const float        *w; /* first panel */
    long                panel;
    float              *y;
    long                ldy;
    const float        *scale, *shift, *residual; /* of these channels, or NULL */
    long                ld_residual;
    enum kernel_act     act;
    long                last;      /* channels in the last vector */
    const float        *next;      /* weights wanted after these, or NULL */
    long                next_size; /* in elements */
};

typedef void tile_function(const struct tile_run *r);

/* The numbers of channel k: bv = panel[k], and for every row c += x[k] * bv. */
INLINE void tile_step(const int mr, const int nv, vec c[][TILE_ROW_VECS], const float *const *x,
                      long k, const float *w, long panel)
{
    vec b[TILE_ROW_VECS];

#pragma GCC unroll 8
    for (int j = 0; j < nv; j++) {
        const float *at = w + j / PANEL_VECS * panel + j % PANEL_VECS * VL;

        b[j] = mr > 1 ? vec_held(at) : vec_load(at);
    }
#pragma GCC unroll 8
    for (int i = 0; i < mr; i++) {
        vec a = nv > 1 ? vec_spread(x[i] + k) : vec_set(x[i][k]);

#pragma GCC unroll 8
        for (int j = 0; j < nv; j++)
            c[i][j] = vec_fma(a, b[j], c[i][j]);
    }
}

/* Scale, shift, residual and the cheap activations in registers; the others afterwards,
 * on what is in the first-level cache. */
INLINE void tile_end(const int mr, const int nv, vec c[][TILE_ROW_VECS], const struct tile_run *r,
                     float *y, const float *residual)
{
#pragma GCC unroll 8
    for (int j = 0; j < nv; j++) {
        const long n = j == nv - 1 ? r->last : VL;
        const vec  scale = r->scale ? vec_load_n(r->scale + j * VL, n) : vec_set(1.0f);
        const vec  shift = r->shift ? vec_load_n(r->shift + j * VL, n) : vec_set(0.0f);

#pragma GCC unroll 8
        for (int i = 0; i < mr; i++)
            c[i][j] = vec_fma(c[i][j], scale, shift);
    }
    if (residual) {
#pragma GCC unroll 8
        for (int i = 0; i < mr; i++)
#pragma GCC unroll 8
            for (int j = 0; j < nv; j++)
                c[i][j] +=
                    vec_load_n(residual + i * r->ld_residual + j * VL, j == nv - 1 ? r->last : VL);
    }
    if (r->act == KERNEL_ACT_RELU || r->act == KERNEL_ACT_RELU6) {
#pragma GCC unroll 8
        for (int i = 0; i < mr; i++)
#pragma GCC unroll 8
            for (int j = 0; j < nv; j++)
                c[i][j] = vec_relu(c[i][j]);
    }
    if (r->act == KERNEL_ACT_RELU6) {
#pragma GCC unroll 8
        for (int i = 0; i < mr; i++)
#pragma GCC unroll 8
            for (int j = 0; j < nv; j++)
                c[i][j] = vec_min(vec_set(6.0f), c[i][j]);
    } else if (r->act == KERNEL_ACT_HARDSWISH) {
#pragma GCC unroll 8
        for (int i = 0; i < mr; i++)
#pragma GCC unroll 8
            for (int j = 0; j < nv; j++)
                c[i][j] = vec_hardswish(c[i][j]);
    }
    if (r->last == VL) {
#pragma GCC unroll 8
        for (int i = 0; i < mr; i++)
#pragma GCC unroll 8
            for (int j = 0; j < nv; j++)
                vec_store(y + i * r->ldy + j * VL, c[i][j]);
    } else {
#pragma GCC unroll 8
        for (int i = 0; i < mr; i++)
#pragma GCC unroll 8
            for (int j = 0; j < nv; j++)
                vec_store_n(y + i * r->ldy + j * VL, c[i][j], j == nv - 1 ? r->last : VL);
    }
    if (r->act > KERNEL_ACT_HARDSWISH)
        act_of[r->act](mr, (nv - 1) * VL + r->last, y, r->ldy, y, r->ldy);
}

/* Walk the tiles of a run. `listed` and the sizes are constants where this is instantiated. */
INLINE void tile_walk(const int mr, const int nv, const bool listed, const struct tile_run *r)
{
    const long          k = r->k, panel = r->panel;
    const float *const *list = r->rows;
    const float        *first = r->x, *residual = r->residual;
    float              *y = r->y;
    const float        *next = r->next ? r->next : r->w;
    const float *const  next_end = r->next ? r->next + r->next_size : r->w;

    for (long t = 0; t < r->count; t++) {
        vec c[TILE_ROWS][TILE_ROW_VECS];

#pragma GCC unroll 8
        for (int i = 0; i < mr; i++)
#pragma GCC unroll 8
            for (int j = 0; j < nv; j++)
                c[i][j] = vec_set(0.0f);
        for (long tap = 0; tap < (listed ? r->taps : 1); tap++) {
            const float *x[TILE_ROWS];
            const float *w = r->w + (listed ? r->tap[tap] : 0);
            long         i = 0;

#pragma GCC unroll 8
            for (int row = 0; row < mr; row++)
                x[row] = listed ? list[row] : first + row * r->ldx;
            for (; i + 4 <= k; i += 4, w += 4 * KERNEL_PANEL) {
#pragma GCC unroll 8
                for (int j = 0; j < nv; j += PANEL_VECS)
                    __builtin_prefetch(next + j / PANEL_VECS * panel, 0, 2);
                next += next < next_end ? KERNEL_PANEL : 0;
#pragma GCC unroll 4
                for (int u = 0; u < 4; u++)
                    tile_step(mr, nv, c, x, i + u, w + u * KERNEL_PANEL, panel);
            }
            for (; i < k; i++, w += KERNEL_PANEL)
                tile_step(mr, nv, c, x, i, w, panel);
            if (listed) list += mr;
        }
        tile_end(mr, nv, c, r, y, residual);
        first += mr * r->ldx;
        y += mr * r->ldy;
        if (residual) residual += mr * r->ld_residual;
    }
}

#define TILE(mr, nv)                                                                               \
    OUTLINE void tile_matrix_##mr##x##nv(const struct tile_run *r)                                 \
    {                                                                                              \
        tile_walk(mr, nv, false, r);                                                               \
    }                                                                                              \
    OUTLINE void tile_listed_##mr##x##nv(const struct tile_run *r)                                 \
    {                                                                                              \
        tile_walk(mr, nv, true, r);                                                                \
    }
TILES(TILE)

/* [vectors][rows] */
#define TILE_MATRIX(mr, nv) [nv][mr] = tile_matrix_##mr##x##nv,
#define TILE_LISTED(mr, nv) [nv][mr] = tile_listed_##mr##x##nv,
static tile_function *const tile_matrix[TILE_ROW_VECS + 1][TILE_ROWS + 1] = {TILES(TILE_MATRIX)};
static tile_function *const tile_listed[TILE_ROW_VECS + 1][TILE_ROWS + 1] = {TILES(TILE_LISTED)};

/* How many vectors the next tile takes of those that are left: whole panels up to the end,
 * and where a vector is a panel, rather two tiles of two than a last one of one. */
INLINE int tile_take(long vecs)
{
    if (vecs <= TILE_NV_LAST) return (int)vecs;
    return PANEL_VECS == 1 && vecs == TILE_NV + 1 ? TILE_NV - 1 : TILE_NV;
}

/* `rows` rows below one another as tiles of almost equal height: 49 are 4 of 6 and 5 of 5, and
 * never is the last tile a single row. The higher tiles come first. */
struct tile_split {
    int  height; /* of the lower tiles */
    long higher, lower;
};

INLINE struct tile_split tile_split(long rows, int most)
{
    const long tiles = (rows + most - 1) / most;

    return (struct tile_split){(int)(rows / tiles), rows % tiles, tiles - rows % tiles};
}

/* Run the rows of r->x or r->rows; the run is used up. */
static void tile_rows_run(struct tile_run *r, tile_function *const *of, struct tile_split s)
{
    if (s.higher > 0) {
        const long rows = s.higher * (s.height + 1);

        r->count = s.higher;
        of[s.height + 1](r);
        r->x += rows * r->ldx;
        r->y += rows * r->ldy;
        r->rows += rows * r->taps;
        if (r->residual) r->residual += rows * r->ld_residual;
        r->next = NULL; /* the first tiles have asked for it */
    }
    r->count = s.lower;
    of[s.height](r);
}

/* Channels n and on of the output: where the run finds weights, scale and so on. */
INLINE void tile_channels(struct tile_run *r, const struct kernel_panels *w,
                          const struct kernel_epilogue *e, long n)
{
    r->w = w->at + n / KERNEL_PANEL * w->panel + n % KERNEL_PANEL;
    r->panel = w->panel;
    r->scale = e->scale ? e->scale + n : NULL;
    r->shift = e->shift ? e->shift + n : NULL;
    r->ld_residual = e->ld_residual;
    r->act = e->act;
}
