/* attention: one head, by online softmax: the attention weights are never stored as a whole (a part
 * of set_*.c).
 *
 * For a block of queries, blocks of keys one after the other: compute scores, 2^(score - largest so
 * far), and add the weighted values to the output, which is rescaled when a larger score turns up.
 * Scores are multiplied by log2(e) from the start, so that powers of 2 do for powers of e.
 *
 * Relative position costs little because the grid is regular. A query has one number for every
 * row of the grid and one for every column, two short windows of its products with the tables
 * (window_of), and a score adds one of each. The values' tables are further values, whose weights
 * are the sums over rows and over columns (add_window). */

/* ---- keys and values as panels ------------------------------------------------------------- */

typedef float vec4 __attribute__((vector_size(16)));

/* Columns of a panel of keys that are collected before their cache lines are stored. */
enum { PACK_COLUMNS = 64 };

/* Four rows [k] as four lanes of a panel. */
INLINE void pack_lanes(long k, const float *const x[4], float *at)
{
    long c = 0;

    for (; c + 4 <= k; c += 4, at += 4 * KERNEL_PANEL) {
        vec4 row[4], low[2], high[2], out[4];

        for (long j = 0; j < 4; j++)
            memcpy(&row[j], x[j] + c, sizeof row[j]);
        for (long j = 0; j < 2; j++) {
            low[j] = __builtin_shufflevector(row[2 * j], row[2 * j + 1], 0, 4, 1, 5);
            high[j] = __builtin_shufflevector(row[2 * j], row[2 * j + 1], 2, 6, 3, 7);
        }
        out[0] = __builtin_shufflevector(low[0], low[1], 0, 1, 4, 5);
        out[1] = __builtin_shufflevector(low[0], low[1], 2, 3, 6, 7);
        out[2] = __builtin_shufflevector(high[0], high[1], 0, 1, 4, 5);
        out[3] = __builtin_shufflevector(high[0], high[1], 2, 3, 6, 7);
        for (long j = 0; j < 4; j++)
            memcpy(at + j * KERNEL_PANEL, &out[j], sizeof out[j]);
    }
    for (; c < k; c++, at += KERNEL_PANEL)
        for (long j = 0; j < 4; j++)
            at[j] = x[j][c];
}

/* k of the columns of a panel with `rows` rows, the others are 0. */
static void pack_panel(long rows, long k, const float *x, long ldx, float *at)
{
    static const float zeros[PACK_COLUMNS];

    for (long i = 0; i < KERNEL_PANEL; i += 4) {
        const float *row[4];

        for (long j = 0; j < 4; j++)
            row[j] = i + j < rows ? x + (i + j) * ldx : zeros;
        pack_lanes(k, row, at + i);
    }
}

/* Store a cache line; `shared`: with a streaming store, past the cache, because other cores will
 * read it. An ordinary store would first invalidate their old copies, and they would then fetch the
 * line from this core's cache: slower than both going through memory. */
INLINE void pack_line(bool shared, float *at, vec v)
{
    if (shared)
        vec_stream(at, v);
    else
        vec_store(at, v);
}

/* Rows of x become columns of panels [ceil(s / 16)][d][16]. */
static void attention_pack_keys(const struct packed_attention *s, long s0, long s1)
{
    float lines[PACK_COLUMNS * KERNEL_PANEL] __attribute__((aligned(64)));

    for (long i = s0; i < s1; i += KERNEL_PANEL)
        for (long c = 0; c < s->d; c += PACK_COLUMNS) {
            const long rows = s1 - i < KERNEL_PANEL ? s1 - i : KERNEL_PANEL;
            const long columns = s->d - c < PACK_COLUMNS ? s->d - c : PACK_COLUMNS;
            float     *at = s->panels + i * s->d + c * KERNEL_PANEL;

            pack_panel(rows, columns, s->k + i * s->ldk + c, s->ldk, lines);
            for (long j = 0; j < columns * KERNEL_PANEL; j += VL)
                pack_line(s->shared, at + j, vec_load(lines + j));
        }
    if (s->shared) vec_streamed();
}

/* x [k, n] as rows from `row` of panels [ceil(n / 16)][rows][16]: columns stay columns. */
static void pack_columns(bool shared, long k, long n, const float *x, long ldx, long row, long rows,
                         float *at)
{
    at += row * KERNEL_PANEL;
    for (long j = 0; j < n; j += KERNEL_PANEL, at += rows * KERNEL_PANEL)
        for (long i = 0; i < k; i++)
            for (long c = 0; c < KERNEL_PANEL; c += VL) {
                const long left = n - j - c;

                pack_line(shared, at + i * KERNEL_PANEL + c,
                          left >= VL ? vec_load(x + i * ldx + j + c)
                          : left > 0 ? vec_load_n(x + i * ldx + j + c, left)
                                     : vec_set(0.0f));
            }
}

static void attention_pack_values(const struct packed_attention *s, long s0, long s1)
{
    const struct attention_layout a = attention_layout(s);
    float                        *values = s->panels + round_up(s->s, KERNEL_PANEL) * s->d;
    const long                    rows = s->s + a.tables;

    pack_columns(s->shared, s1 - s0, s->dv, s->v + s0 * s->ldv, s->ldv, s0, rows, values);
    for (int t = 0; s1 == s->s && a.table > 0 && t < 2; t++)
        pack_columns(s->shared, a.table, s->dv, s->relative.value[t], s->relative.ld_value,
                     s->s + t * a.table, rows, values);
    if (s->shared) vec_streamed();
}

/* ---- windows ------------------------------------------------------------------------------- */

/* Rows of a table for the distances first, first + 1, ... : count of them, clipped at both ends.
 * For token 0 (the class token), which is no cell of the grid, all are row 0. */
struct window {
    bool apart;
    long at, count; /* row for the first distance, were it not clipped */
    long low, high; /* [low, high) are inside, the others clipped */
    long last;
};

INLINE struct window window_of(bool apart, long first, long count, long length)
{
    struct window w = {.apart = apart, .at = length + 1 + first, .count = count};

    w.last = 2 * length + 1;
    w.low = w.at < 1 ? 1 - w.at : 0;
    w.high = w.last + 1 - w.at;
    if (w.low > count) w.low = count;
    if (w.high > count) w.high = count;
    if (w.high < w.low) w.high = w.low;
    return w;
}

/* to[i] = the number of row i of the window */
INLINE void window_read(const struct window *w, const float *table, float *to)
{
    if (w->apart) {
        for (long i = 0; i < w->count; i += VL)
            vec_store(to + i, vec_set(table[0]));
        return;
    }
    for (long i = 0; i < w->low; i++)
        to[i] = table[1];
    for (long i = w->low; i < w->high; i += VL)
        vec_store(to + i, vec_load(table + w->at + i));
    for (long i = w->high; i < w->count; i++)
        to[i] = table[w->last];
}

/* The other way: add from[i], 0 beyond the window, to row i. */
INLINE void window_add(const struct window *w, const float *from, float *table)
{
    if (w->apart) {
        vec sum = vec_set(0.0f);

        for (long i = 0; i < w->count; i += VL)
            sum += vec_load(from + i);
        table[0] += vec_sum(sum);
        return;
    }
    for (long i = 0; i < w->low; i++)
        table[1] += from[i];
    for (long i = w->low; i < w->high; i += VL) {
        const long n = w->high - i;
        float     *row = table + w->at + i;

        vec_store(row, vec_load(row) + (n < VL ? vec_load_n(from + i, n) : vec_load(from + i)));
    }
    for (long i = w->high; i < w->count; i++)
        table[w->last] += from[i];
}

/* ---- scores and weights -------------------------------------------------------------------- */

/* The current block of keys as rows of the grid: the first begins at `column`, the last may be
 * incomplete. */
struct lines {
    long key, row, column;
    long count, first, last; /* lengths of the first and the last */
};

/* What the steps of a block of queries share. */
struct attention_block {
    const struct packed_attention *s;
    struct attention_layout        a;
    float                         *at; /* the scratch */
    long                           first, count;
    float         most[ATTENTION_ROWS], sum[ATTENTION_ROWS]; /* over the keys so far */
    float         shift[ATTENTION_ROWS]; /* `most`, or 0 if all keys so far are masked */
    float        *y;                     /* [count, dv] */
    long          ldy;
    long          k0, n; /* the current block of keys */
    const float  *next;  /* panels to prefetch, a part with each block; or NULL */
    struct lines  lines;
    struct window rows[ATTENTION_ROWS], columns[ATTENTION_ROWS];
};

/* Part `part` of the scratch, row i of ld. */
INLINE float *attention_at(const struct attention_block *b, long part, long i, long ld)
{
    return b->at + part + i * ld;
}

/* y = x w [k, n] * scale (NULL: 1), or added to y */
static void attention_product(long m, long n, long k, const float *x, long ldx,
                              struct kernel_panels w, const float *next, const float *scale,
                              bool add, float *y, long ldy)
{
    const struct packed_gemm s = {
        .k = k,
        .x = x,
        .ldx = ldx,
        .w = w,
        .next = next,
        .y = y,
        .ldy = ldy,
        .epilogue = {.scale = scale, .residual = add ? y : NULL, .ld_residual = ldy}};

    gemm(&s, 0, m, 0, n);
}

INLINE void row_scale(float *x, long n, float by)
{
    long i = 0;

    for (; i + VL <= n; i += VL)
        vec_store(x + i, vec_load(x + i) * vec_set(by));
    if (i < n) vec_store_n(x + i, vec_load_n(x + i, n - i) * vec_set(by), n - i);
}

/* Update the largest score of query i; if it grows, rescale its sum and output. */
INLINE void attention_most(struct attention_block *b, long i, float most)
{
    const float old = b->most[i];

    if (!(most > old)) most = old;
    if (b->k0 > 0 && most > old) {
        const vec   v = vec_exp2_weight(vec_set(old - most));
        const float by = v[0];

        row_scale(b->y + i * b->ldy, b->s->dv, by);
        if (b->a.table) row_scale(attention_at(b, b->a.share, i, b->a.ld_table), b->a.ld_table, by);
        b->sum[i] *= by;
    }
    b->most[i] = most;
    b->shift[i] = most == -INFINITY ? 0.0f : most;
}

static void add_bias(const struct attention_block *b, long i, float *x)
{
    const float *bias = b->s->bias + (b->first + i) * b->s->ld_bias + b->k0;
    const vec    log2e = vec_set(1.44269504f);

    for (long j = 0; j < b->n; j += VL) {
        const long k = b->n - j < VL ? b->n - j : VL;

        vec_store(x + j, vec_fma(vec_load_n(bias + j, k), log2e, vec_load(x + j)));
    }
}

/* The scores of query i, then in the same place 2^(score - shift). */
INLINE void attention_scores(struct attention_block *b, long i, float *x)
{
    vec most = vec_set(-INFINITY);

    for (long j = 0; j < b->n; j += VL)
        most = vec_max(most, vec_load(x + j));
    attention_most(b, i, vec_most(most));
}

INLINE void attention_powers(struct attention_block *b, long i, float *x)
{
    const vec shift = vec_set(b->shift[i]);
    vec       sum = vec_set(0.0f);

    for (long j = 0; j < b->n; j += VL) {
        const vec p = vec_exp2_weight(vec_load(x + j) - shift);

        vec_store(x + j, p);
        sum += p;
    }
    b->sum[i] += vec_sum(sum);
}

/* ---- the same with relative position ------------------------------------------------------- */

static struct lines lines_of(long key, long end, long side)
{
    struct lines l = {.key = key, .row = (key - 1) / side, .column = (key - 1) % side};

    if (key >= end) return l;
    l.count = (end - 2) / side - l.row + 1;
    l.last = (end - 2) % side + 1;
    l.first = l.count > 1 ? side - l.column : l.last - l.column;
    return l;
}

INLINE long line_length(const struct lines *l, long i, long side)
{
    return i == 0 ? l->first : i == l->count - 1 ? l->last : side;
}

/* What each query of the block adds to scores, for every row and every column of the grid. For all
 * queries before the first is used: loading a vector right after storing its parts would stall
 * (store forwarding fails). */
static void relative_windows(struct attention_block *b)
{
    const struct packed_relative *r = &b->s->relative;

    b->lines = lines_of(b->k0 > 0 ? b->k0 : 1, b->k0 + b->n, r->side);
    for (long i = 0; i < b->count; i++) {
        const long   query = b->first + i, cell = query > 0 ? query - 1 : 0;
        const float *looked = attention_at(b, b->a.looked, i, b->a.ld_table);
        float       *columns = attention_at(b, b->a.by_column, i, b->a.ld_columns);

        b->rows[i] =
            window_of(query == 0, b->lines.row - cell / r->side, b->lines.count, r->length);
        window_read(&b->rows[i], looked, attention_at(b, b->a.by_row, i, b->a.ld_lines));
        if (b->k0 > 0) continue;
        b->columns[i] = window_of(query == 0, -(cell % r->side), r->side, r->length);
        window_read(&b->columns[i], looked + b->a.ld_table / 2, columns);
        vec_store(columns + r->side, vec_set(-INFINITY));
    }
}

/* n numbers 0, then -inf */
INLINE vec ends_after(long n)
{
    static const float ends[2 * KERNEL_PANEL] = {[KERNEL_PANEL... 2 * KERNEL_PANEL - 1] =
                                                     -INFINITY};

    return vec_load(ends + KERNEL_PANEL - n);
}

/* n scores and what is added to them; `cut`: there may be less than a vector. */
INLINE vec relative_score(const float *x, vec add, bool cut, long n)
{
    if (cut && n < VL) add += ends_after(n);
    return add + vec_load(x);
}

/* The scores are put together in a line where every row of the grid starts with a vector and ends
 * with -inf: so no store needs a mask, and every row and every column has its sum. `vecs` vectors
 * make a row, and the first begins with column 0; 0: whatever they do. */
INLINE void relative_scores(const int vecs, struct attention_block *b, long i, float *x,
                            float *line)
{
    const struct lines l = b->lines;
    const long         side = b->s->relative.side, begin = vecs ? 0 : l.column;
    const float       *looked = attention_at(b, b->a.looked, i, b->a.ld_table);
    const float       *by_row = attention_at(b, b->a.by_row, i, b->a.ld_lines);
    const float       *by_column = attention_at(b, b->a.by_column, i, b->a.ld_columns);
    vec                most = vec_set(-INFINITY), column[2];

    for (int j = 0; j < 2; j++)
        column[j] = j < vecs ? vec_load(by_column + j * VL) : most;
    if (b->k0 == 0) { /* token 0 */
        most = vec_set(x[0] + looked[0] + looked[b->a.ld_table / 2]) + ends_after(1);
        vec_store(line, most);
    }
    line += VL;
    x += l.key - b->k0;
    for (long r = 0; r < l.count; r++) {
        const vec  row = vec_set(by_row[r]);
        const long length = line_length(&l, r, side), from = r == 0 ? begin : 0;
        const bool cut = from + length < side;

        for (long j = 0; vecs == 0 && j < length; j += VL, line += VL) {
            const vec v =
                relative_score(x + j, row + vec_load(by_column + from + j), cut, length - j);

            vec_store(line, v);
            most = vec_max(most, v);
        }
#pragma GCC unroll 2
        for (int j = 0; j < vecs; j++)
            if (j == 0 || j * VL < length) {
                const vec v = relative_score(x + j * VL, row + column[j], cut, length - j * VL);

                vec_store(line, v);
                most = vec_max(most, v);
                line += VL;
            }
        x += length;
    }
    attention_most(b, i, vec_most(most));
}

/* The sums over rows take the place of the line behind them. */
INLINE void relative_powers(const int vecs, struct attention_block *b, long i, float *x,
                            float *line)
{
    const struct lines l = b->lines;
    const long         side = b->s->relative.side, begin = vecs ? 0 : l.column;
    const vec          shift = vec_set(b->shift[i]), zero = vec_set(0.0f);
    float             *row_sum = attention_at(b, b->a.row_sum, i, b->a.ld_lines);
    float             *column_sum = attention_at(b, b->a.column_sum, i, b->a.ld_columns);
    float             *sums = line;
    vec                in_column[2] = {zero, zero}, sum = zero;

    for (long j = 0; vecs == 0 && j < side; j += VL)
        vec_store(column_sum + j, zero);
    if (b->k0 == 0) {
        float *share = attention_at(b, b->a.share, i, b->a.ld_table);

        sum = vec_exp2_weight(vec_load(line) - shift);
        vec_store(x, sum);
        share[0] += sum[0];
        share[b->a.ld_table / 2] += sum[0];
    }
    line += VL;
    x += l.key - b->k0;
    for (long r = 0; r < l.count; r++) {
        const long length = line_length(&l, r, side);
        float     *column = column_sum + (r == 0 ? begin : 0);
        vec        in_row = zero;

        /* What a store writes beyond the row is written once more. */
        for (long j = 0; vecs == 0 && j < length; j += VL, line += VL) {
            const vec p = vec_exp2_weight(vec_load(line) - shift);

            vec_store(x + j, p);
            vec_store(column + j, vec_load(column + j) + p);
            in_row += p;
        }
#pragma GCC unroll 2
        for (int j = 0; j < vecs; j++)
            if (j == 0 || j * VL < length) {
                const vec p = vec_exp2_weight(vec_load(line) - shift);

                vec_store(x + j * VL, p);
                in_column[j] += p;
                in_row += p;
                line += VL;
            }
        vec_store(sums + r * VL, in_row);
        sum += in_row;
        x += length;
    }
    for (long r = 0; r < l.count; r += VL) {
        for (long k = l.count; k < r + VL; k++)
            vec_store(sums + k * VL, zero);
        vec_store(row_sum + r, vec_sums(sums + r * VL));
    }
#pragma GCC unroll 2
    for (int j = 0; j < vecs; j++)
        vec_store(column_sum + j * VL, in_column[j]);
    b->sum[i] += vec_sum(sum);
}

/* The weights of the tables; with the last keys they follow those of the values. */
static void relative_shares(struct attention_block *b, long i, float *x)
{
    float *share = attention_at(b, b->a.share, i, b->a.ld_table);

    window_add(&b->rows[i], attention_at(b, b->a.row_sum, i, b->a.ld_lines), share);
    window_add(&b->columns[i], attention_at(b, b->a.column_sum, i, b->a.ld_columns),
               share + b->a.ld_table / 2);
    for (int t = 0; b->k0 + b->n == b->s->s && t < 2; t++)
        for (long j = 0; j < b->a.table; j += VL)
            vec_store(x + b->n + t * b->a.table + j, vec_load(share + t * b->a.ld_table / 2 + j));
}

/* ---- blocks -------------------------------------------------------------------------------- */

static void attention_group(struct attention_block *b, long i0, long i1)
{
    for (long i = i0; i < i1; i++) {
        float *x = attention_at(b, b->a.score, i, b->a.ld_score);

        if (b->s->bias) add_bias(b, i, x);
        attention_scores(b, i, x);
    }
    for (long i = i0; i < i1; i++)
        attention_powers(b, i, attention_at(b, b->a.score, i, b->a.ld_score));
}

INLINE void relative_group(const int vecs, struct attention_block *b, long i0, long i1)
{
    for (long i = i0; i < i1; i++) {
        float *x = attention_at(b, b->a.score, i, b->a.ld_score);

        if (b->s->bias) add_bias(b, i, x);
        relative_scores(vecs, b, i, x, attention_at(b, b->a.line, i - i0, b->a.ld_line));
    }
    for (long i = i0; i < i1; i++)
        relative_powers(vecs, b, i, attention_at(b, b->a.score, i, b->a.ld_score),
                        attention_at(b, b->a.line, i - i0, b->a.ld_line));
}

static void attention_rows(struct attention_block *b)
{
    const struct packed_attention *s = b->s;
    const struct attention_layout *a = &b->a;
    const long                     d = s->d, rows = s->s + a->tables;
    const struct kernel_panels     keys = {.at = s->panels, .panel = d * KERNEL_PANEL};
    const struct kernel_panels     values = {.at = s->panels + round_up(s->s, KERNEL_PANEL) * d,
                                             .panel = rows * KERNEL_PANEL};
    const float                   *q = s->q + b->first * s->ldq, *scale = b->at + a->scale;
    float                         *y = s->y + b->first * s->ldy, *score = b->at + a->score;

    for (long i = 0; i < b->count; i++) {
        b->most[i] = -INFINITY;
        b->sum[i] = 0.0f;
    }
    if (a->table) {
        for (int t = 0; t < 2; t++)
            attention_product(b->count, a->table, d, q, s->ldq, s->relative.key[t], NULL, scale,
                              false, b->at + a->looked + t * a->ld_table / 2, a->ld_table);
        memset(b->at + a->share, 0, (size_t)(b->count * a->ld_table) * sizeof(float));
    }
    b->y = s->s > ATTENTION_KEYS ? b->at + a->y : y;
    b->ldy = s->s > ATTENTION_KEYS ? s->dv : s->ldy;
    for (long k0 = 0; k0 < s->s; k0 += ATTENTION_KEYS) {
        const long n = s->s - k0 < ATTENTION_KEYS ? s->s - k0 : ATTENTION_KEYS;

        b->k0 = k0;
        b->n = n;
        if (a->table) relative_windows(b);
        attention_product(b->count, n, d, q, s->ldq, kernel_panels_from(keys, k0, 0, 0, 0), NULL,
                          scale, false, score, a->ld_score);
        for (long i = 0; i < b->count; i++) /* floats beyond the end that vector loads touch */
            vec_store(score + i * a->ld_score + n, vec_set(a->table ? 0.0f : -INFINITY));
        for (long i = 0; i < b->count; i += ATTENTION_GROUP) {
            const long to = b->count - i < ATTENTION_GROUP ? b->count : i + ATTENTION_GROUP;

            if (!a->table)
                attention_group(b, i, to);
            else if (b->lines.column == 0 && s->relative.side <= VL)
                relative_group(1, b, i, to);
            else if (b->lines.column == 0 && s->relative.side <= 2 * VL)
                relative_group(2, b, i, to);
            else
                relative_group(0, b, i, to);
        }
        for (long i = 0; a->table && i < b->count; i++)
            relative_shares(b, i, attention_at(b, a->score, i, a->ld_score));
        attention_product(b->count, s->dv, k0 + n == s->s ? rows - k0 : n, score, a->ld_score,
                          kernel_panels_from(values, 0, k0, 0, 0), b->next, NULL, k0 > 0, b->y,
                          b->ldy);
    }
    for (long i = 0; i < b->count; i++) {
        const vec by = vec_set(1.0f / b->sum[i]);

        for (long j = 0; j < s->dv; j += VL) {
            const long k = s->dv - j < VL ? s->dv - j : VL;

            vec_store_n(y + i * s->ldy + j, vec_load_n(b->y + i * b->ldy + j, k) * by, k);
        }
    }
}

static void attention(const struct packed_attention *s, long l0, long l1, void *scratch)
{
    struct attention_block b = {.s = s, .a = attention_layout(s), .at = scratch, .first = l0};
    const long panels = s->next ? (long)(packed_attention_panels(s) / sizeof(float)) : 0;

    for (long i = 0; i < b.a.scales; i += VL)
        vec_store(b.at + b.a.scale + i, vec_set(s->scale * 1.44269504f));
    /* Between the rows of the tables lie numbers that are read, though not used. */
    memset(b.at + b.a.looked, 0, (size_t)(b.a.share - b.a.looked) * sizeof(float));
    for (; b.first < l1; b.first += b.count) {
        b.count = l1 - b.first <= ATTENTION_ROWS ? l1 - b.first : ATTENTION_STEP;
        if (s->next) b.next = s->next + panels * (b.first - l0) / (l1 - l0);
        attention_rows(&b);
    }
}
