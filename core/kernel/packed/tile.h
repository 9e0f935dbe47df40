/* tile: the micro-kernel (a part of set_*.c). A tile is `mr` positions by `nv` vectors of output
 * channels, whose sums stay in registers. Products are added tap by tap, and input channel by input
 * channel: always in this order, whatever the tile's size, so results do not depend on it. Long
 * sums are blocked: all tiles use the weights of one part of the sum while these are in the cache,
 * and the partial sums are stored in between.
 *
 *   y[i][j] = epilogue(sum over tap, k of x[tap][i][k] * panel[tap][k][j])
 *
 * The rows x[tap][i] are those of a matrix (gemm) or a list of pointers (convolution). In groups of
 * four channels, four of the output from four of x, a vector holds several groups: there x[tap][i]
 * is a vector too, of which every four lanes take number k of their own four. */

enum { PANEL_VECS = KERNEL_PANEL / VL };

/* A run: a column of tiles over the same output channels. */
struct tile_run {
    long                count; /* of tiles */
    long                k;
    const float        *x; /* matrix: row stride ldx */
    long                ldx;
    const float *const *rows; /* list: [count][list_taps][mr] pointers */
    long                list_taps;
    const long         *tap; /* where the weights of a tap are */
    long                taps;
    const float        *w; /* first panel */
    long                panel;
    long                tap_from, k_from; /* where this part of the sum begins: tap, channel of x */
    bool                begins, ends;     /* first part of the sum; last part, which writes y */
    float              *sums;             /* partial sums [count * mr][nv * VL] */
    float              *y;
    long                ldy;
    const float        *scale, *shift, *residual; /* of these channels, or NULL */
    long                ld_residual;
    enum kernel_act     act;
    long         first, last;     /* lanes to write: of the first vector from, of the last up to */
    const float *next, *next_end; /* weights (of the first panel) to prefetch next */
    long         next_step;       /* floats to prefetch per panel every fourth k */
};

/* Returns how far `next` has come: what is still to be prefetched. */
typedef const float *tile_function(const struct tile_run *r);

/* TILE_HALVED: only half of the last vector's channels exist, so one register holds them for two
 * rows: an even row and the one after it. */
enum tile_width { TILE_WHOLE, TILE_HALVED };

/* One channel k of one tap: for every row c += x[k] * panel[k]. */
INLINE void tile_step(const int mr, const int nv, const enum tile_width width,
                      vec c[][TILE_ROW_VECS], const float *const *x, long k, const float *w,
                      long panel)
{
    const int whole = width == TILE_HALVED ? nv - 1 : nv;
    vec       b[TILE_ROW_VECS], before = vec_set(0.0f); /* the row above, if halved */

#pragma GCC unroll 8
    for (int j = 0; j < nv; j++) {
        const float *at = w + j / PANEL_VECS * panel + j % PANEL_VECS * VL;

        b[j] = j == whole ? vec_held_twice(at) : mr > 1 ? vec_held(at) : vec_load(at);
    }
#pragma GCC unroll 8
    for (int i = 0; i < mr; i++) {
        const vec a = nv > 1 ? vec_spread(x[i] + k) : vec_set(x[i][k]);

#pragma GCC unroll 8
        for (int j = 0; j < whole; j++)
            c[i][j] = vec_fma(a, b[j], c[i][j]);
        if (width == TILE_HALVED && i % 2)
            c[i - 1][whole] = vec_fma(vec_halves(before, a), b[whole], c[i - 1][whole]);
        else if (width == TILE_HALVED && i == mr - 1)
            c[i][whole] = vec_fma(a, b[whole], c[i][whole]);
        before = a;
    }
}

/* Move the halves of odd rows to registers of their own. */
INLINE void tile_part_rows(const int mr, const int nv, vec c[][TILE_ROW_VECS])
{
#pragma GCC unroll 8
    for (int i = 1; i < mr; i += 2)
        c[i][nv - 1] = vec_upper(c[i - 1][nv - 1]);
}

/* tile_step() for groups of four channels: all four k at once. */
INLINE void tile_step_fours(const int mr, vec c[][TILE_ROW_VECS], const float *const *x,
                            const float *w, long last)
{
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) {
        const vec b = vec_held(w + k * KERNEL_PANEL);

#pragma GCC unroll 8
        for (int i = 0; i < mr; i++) {
            const vec a = last < VL ? vec_load_n(x[i], last) : vec_load(x[i]);

            c[i][0] = vec_fma(vec_fours(a, k), b, c[i][0]);
        }
    }
}

/* Prefetch a tile's cache lines: short pieces of distant rows, which the hardware prefetcher does
 * not predict. */
INLINE void tile_want(const int mr, const int nv, const float *at, long ld)
{
#pragma GCC unroll 8
    for (int i = 0; i < mr; i++)
#pragma GCC unroll 8
        for (int j = 0; j < nv; j += PANEL_VECS)
            __builtin_prefetch(at + i * ld + j * VL, 0, 3);
}

/* The same for writing: lines that another core owns are fetched while the sums are computed. */
INLINE void tile_claim(const int mr, const int nv, const float *at, long ld)
{
#pragma GCC unroll 8
    for (int i = 0; i < mr; i++)
#pragma GCC unroll 8
        for (int j = 0; j < nv; j += PANEL_VECS)
            __builtin_prefetch(at + i * ld + j * VL, 1, 3);
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
    if (r->first == 0 && r->last == VL) {
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
                vec_store_lanes(y + i * r->ldy + j * VL, c[i][j], j == 0 ? r->first : 0,
                                j == nv - 1 ? r->last : VL);
    }
    if (r->act > KERNEL_ACT_HARDSWISH) {
        y += r->first;
        act_of[r->act](mr, (nv - 1) * VL + r->last - r->first, y, r->ldy, y, r->ldy);
    }
}

enum tile_kind { TILE_OF_MATRIX, TILE_OF_LIST, TILE_OF_FOURS };

/* Compute the tiles of a run. Kind and sizes are compile-time constants where this is instantiated.
 */
INLINE const float *tile_walk(const int mr, const int nv, const enum tile_kind kind,
                              const enum tile_width width, const struct tile_run *r)
{
    const bool          listed = kind != TILE_OF_MATRIX;
    const long          k = r->k, panel = r->panel;
    const float *const *list = listed ? r->rows + r->tap_from * mr : NULL;
    const long         *taps = listed ? r->tap + r->tap_from : NULL;
    const float        *first = r->x, *residual = r->residual;
    float              *y = r->y, *sums = r->sums;
    const float        *next = r->next;
    const float *const  next_end = r->next_end;
    const long          step = r->next_step;

    for (long t = 0; t < r->count; t++) {
        vec c[TILE_ROWS][TILE_ROW_VECS];

#pragma GCC unroll 8
        for (int i = 0; i < mr; i++)
#pragma GCC unroll 8
            for (int j = 0; j < nv; j++)
                c[i][j] = r->begins ? vec_set(0.0f) : vec_load(sums + (i * nv + j) * VL);
        if (r->ends) tile_claim(mr, nv, y, r->ldy);
        if (r->ends && residual) tile_want(mr, nv, residual + mr * r->ld_residual, r->ld_residual);
        for (long tap = 0; tap < (listed ? r->taps : 1); tap++) {
            const float *x[TILE_ROWS];
            const float *w = r->w + (listed ? taps[tap] : 0);
            long         i = 0;

#pragma GCC unroll 8
            for (int row = 0; row < mr; row++)
                x[row] = (listed ? list[tap * mr + row] : first + row * r->ldx) + r->k_from;
            if (kind == TILE_OF_FOURS) {
                tile_step_fours(mr, c, x, w, r->last);
                continue;
            }
            for (; i + 4 <= k; i += 4, w += 4 * KERNEL_PANEL) {
#pragma GCC unroll 8
                for (int j = 0; j < nv; j += PANEL_VECS)
                    __builtin_prefetch(next + j / PANEL_VECS * panel, 0, 2);
                next += next < next_end ? step : 0;
#pragma GCC unroll 4
                for (int u = 0; u < 4; u++)
                    tile_step(mr, nv, width, c, x, i + u, w + u * KERNEL_PANEL, panel);
            }
            for (; i < k; i++, w += KERNEL_PANEL)
                tile_step(mr, nv, width, c, x, i, w, panel);
        }
        if (r->ends) {
            if (width == TILE_HALVED) tile_part_rows(mr, nv, c);
            tile_end(mr, nv, c, r, y, residual);
        } else {
#pragma GCC unroll 8
            for (int i = 0; i < mr; i++)
#pragma GCC unroll 8
                for (int j = 0; j < nv; j++)
                    vec_store(sums + (i * nv + j) * VL, c[i][j]);
        }
        if (listed)
            list += r->list_taps * mr;
        else
            first += mr * r->ldx;
        if (sums) sums += mr * nv * VL;
        y += mr * r->ldy;
        if (residual) residual += mr * r->ld_residual;
    }
    return next;
}

#define TILE_AS(mr, nv, width, suffix)                                                             \
    OUTLINE const float *tile_matrix_##mr##x##nv##suffix(const struct tile_run *r)                 \
    {                                                                                              \
        return tile_walk(mr, nv, TILE_OF_MATRIX, width, r);                                        \
    }                                                                                              \
    OUTLINE const float *tile_listed_##mr##x##nv##suffix(const struct tile_run *r)                 \
    {                                                                                              \
        return tile_walk(mr, nv, TILE_OF_LIST, width, r);                                          \
    }
#define TILE(mr, nv)      TILE_AS(mr, nv, TILE_WHOLE, )
#define TILE_HALF(mr, nv) TILE_AS(mr, nv, TILE_HALVED, _half)
TILES(TILE)
TILE_HALVES(TILE_HALF)

/* [whole or halved][vectors][rows] */
#define TILE_MATRIX(mr, nv)      [TILE_WHOLE][nv][mr] = tile_matrix_##mr##x##nv,
#define TILE_LISTED(mr, nv)      [TILE_WHOLE][nv][mr] = tile_listed_##mr##x##nv,
#define TILE_MATRIX_HALF(mr, nv) [TILE_HALVED][nv][mr] = tile_matrix_##mr##x##nv##_half,
#define TILE_LISTED_HALF(mr, nv) [TILE_HALVED][nv][mr] = tile_listed_##mr##x##nv##_half,
static tile_function *const tile_matrix[2][TILE_ROW_VECS + 1][TILE_ROWS + 1] = {
    TILES(TILE_MATRIX) TILE_HALVES(TILE_MATRIX_HALF)};
static tile_function *const tile_listed[2][TILE_ROW_VECS + 1][TILE_ROWS + 1] = {
    TILES(TILE_LISTED) TILE_HALVES(TILE_LISTED_HALF)};

#define TILE_FOURS(mr)                                                                             \
    OUTLINE const float *tile_fours_##mr(const struct tile_run *r)                                 \
    {                                                                                              \
        return tile_walk(mr, 1, TILE_OF_FOURS, TILE_WHOLE, r);                                     \
    }
TILE_HEIGHTS(TILE_FOURS)

/* [rows], one vector wide */
#define TILE_FOURS_OF(mr) [mr] = tile_fours_##mr,
static tile_function *const tile_fours[TILE_ROWS + 1] = {TILE_HEIGHTS(TILE_FOURS_OF)};

/* How many of the remaining vectors the next tile takes: TILE_NV until the end. With 16 lanes (a
 * vector is a panel), four are taken as two and two rather than three and one. */
INLINE int tile_take(long vecs)
{
    if (vecs <= TILE_NV_LAST) return (int)vecs;
    return PANEL_VECS == 1 && vecs == TILE_NV + 1 ? TILE_NV - 1 : TILE_NV;
}

/* TILE_HALVED if the last of `take` vectors has at most half its lanes in use, and there are two
 * rows to share it. */
INLINE enum tile_width tile_width(int take, long last, long rows)
{
    return last <= VL / 2 && rows > 1 && tile_matrix[TILE_HALVED][take][2] ? TILE_HALVED
                                                                           : TILE_WHOLE;
}

/* Run the rows of r.x or r.rows, `nv` vectors wide. */
static void tile_rows_run(struct tile_run r, int nv, tile_function *const *of, struct tile_split s)
{
    const long tiles = s.higher + s.lower;

    r.next_step = tiles < 4 ? KERNEL_PANEL : (4 * KERNEL_PANEL + tiles - 1) / tiles;
    if (s.higher > 0) {
        const long rows = s.higher * (s.height + 1);

        r.count = s.higher;
        r.next = of[s.height + 1](&r);
        if (r.x) r.x += rows * r.ldx;
        r.y += rows * r.ldy;
        if (r.sums) r.sums += rows * nv * VL;
        if (r.rows) r.rows += rows * r.list_taps;
        if (r.residual) r.residual += rows * r.ld_residual;
    }
    r.count = s.lower;
    of[s.height](&r);
}

/* Bytes of weights in one part of a long sum, which stay in the second-level cache; and most rows
 * that use them, whose partial sums stay in the first-level cache. */
enum { TILE_PART_BYTES = 96 << 10, TILE_PART_ROWS = 104 };

/* Products of one part: channels times taps. */
INLINE long tile_part(int nv)
{
    const long panels = (nv + PANEL_VECS - 1) / PANEL_VECS;

    return TILE_PART_BYTES / (panels * KERNEL_PANEL * (long)sizeof(float));
}

/* Is the sum so long that blocking it is worth storing and loading partial sums? */
INLINE bool tile_in_parts(long k, int nv)
{
    return k > tile_part(nv) * 9 / 4;
}

/* tile_sums_run() with the sum in parts. */
static void tile_parts_run(const struct tile_run *whole, int nv, tile_function *const *of,
                           struct tile_split s)
{
    const long most = tile_part(nv), k = whole->k, taps = whole->taps;
    const long parts = (k + most - 1) / most, step = round_up((k + parts - 1) / parts, 4);
    const long taps_step = parts > 1 ? 1 : most / k;
    float      sums[TILE_PART_ROWS * TILE_NV_LAST * VL] __attribute__((aligned(64)));

    for (long tap = 0; tap < taps; tap += taps_step)
        for (long i = 0; i < k; i += step) {
            const bool      last = i + step >= k;
            struct tile_run r = *whole;

            r.sums = sums;
            r.begins = tap == 0 && i == 0;
            r.ends = tap + taps_step >= taps && last;
            r.tap_from = tap;
            r.taps = taps - tap < taps_step ? taps - tap : taps_step;
            r.k_from += i;
            r.k = last ? k - i : step;
            r.w += i * KERNEL_PANEL;
            if (!r.ends) {
                r.next = last ? whole->w + whole->tap[tap + taps_step]
                              : r.w + whole->tap[tap] + step * KERNEL_PANEL;
                r.next_end = r.next + r.taps * r.k * KERNEL_PANEL;
            }
            tile_rows_run(r, nv, of, s);
        }
}

/* Run the rows of r->x or r->rows, `nv` vectors wide, over all taps and channels. */
INLINE void tile_sums_run(struct tile_run *r, int nv, tile_function *const *of, struct tile_split s)
{
    const long rows = (s.higher + s.lower) * s.height + s.higher;

    if (rows > 1 && rows <= TILE_PART_ROWS && tile_in_parts(r->taps * r->k, nv)) {
        tile_parts_run(r, nv, of, s);
    } else {
        r->begins = r->ends = true;
        tile_rows_run(*r, nv, of, s);
    }
}

/* Point the run to the weights, scale, shift and so on of output channels from n on. */
INLINE void tile_channels(struct tile_run *r, const struct kernel_panels *w,
                          const struct kernel_epilogue *e, long n)
{
    r->w = w->at + n / KERNEL_PANEL * w->panel + n % KERNEL_PANEL;
    r->panel = w->panel;
    r->next = r->next_end = r->w;
    r->scale = e->scale ? e->scale + n : NULL;
    r->shift = e->shift ? e->shift + n : NULL;
    r->ld_residual = e->ld_residual;
    r->act = e->act;
}
