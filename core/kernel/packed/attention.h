/* attention: one head, without ever holding all its weights (a part of set_*.c).
 *
 * A block of queries meets one block of keys after another: scores, their powers of two against
 * the largest score so far, and a share of the output, which is corrected when that maximum
 * grows. Scores are in units of log 2 from the start.
 *
 * Relative position costs little because the grid is regular. A query has one number for every
 * row of the grid and one for every column, two short windows of its products with the tables
 * (window_of), and a score adds one of each. The values' tables are further values, whose weights
 * are the sums over rows and over columns (add_window). */

/* ---- keys and values as panels ------------------------------------------------------------- */

typedef float vec4 __attribute__((vector_size(16)));

/* Four rows of x [.., k] as four lanes of a panel. */
INLINE void pack_lanes(long k, const float *x, long ldx, float *at)
{
    long c = 0;

    for (; c + 4 <= k; c += 4, at += 4 * KERNEL_PANEL) {
        vec4 row[4], low[2], high[2], out[4];

        for (long j = 0; j < 4; j++)
            memcpy(&row[j], x + j * ldx + c, sizeof row[j]);
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
            at[j] = x[j * ldx + c];
}

/* Rows from to `to` of x [n, k] into panels [ceil(n / 16)][k][16]: rows become columns. */
static void pack_rows(long from, long to, long n, long k, const float *x, long ldx, float *at)
{
    long i = from;

    while (i < to) {
        float *lane = at + i / KERNEL_PANEL * KERNEL_PANEL * k + i % KERNEL_PANEL;

        if (i % 4 == 0 && i + 4 <= to) {
            pack_lanes(k, x + i * ldx, ldx, lane);
            i += 4;
        } else {
            for (long c = 0; c < k; c++)
                lane[c * KERNEL_PANEL] = x[i * ldx + c];
            i++;
        }
    }
    for (; to == n && i % KERNEL_PANEL; i++)
        for (long c = 0; c < k; c++)
            at[i / KERNEL_PANEL * KERNEL_PANEL * k + c * KERNEL_PANEL + i % KERNEL_PANEL] = 0.0f;
}

/* x [k, n] as rows from `row` of panels [ceil(n / 16)][rows][16]: columns stay columns. */
static void pack_columns(long k, long n, const float *x, long ldx, long row, long rows, float *at)
{
    at += row * KERNEL_PANEL;
    for (long j = 0; j < n; j += KERNEL_PANEL, at += rows * KERNEL_PANEL)
        for (long i = 0; i < k; i++)
            for (long c = 0; c < KERNEL_PANEL; c += VL) {
                const long left = n - j - c;

                vec_store(at + i * KERNEL_PANEL + c, left >= VL ? vec_load(x + i * ldx + j + c)
                                                     : left > 0
                                                         ? vec_load_n(x + i * ldx + j + c, left)
                                                         : vec_set(0.0f));
            }
}

static void attention_pack(const struct packed_attention *s, long s0, long s1)
{
    const struct attention_layout a = attention_layout(s);
    float                        *values = s->panels + round_up(s->s, KERNEL_PANEL) * s->d;
    const long                    rows = s->s + a.tables;

    pack_rows(s0, s1, s->s, s->d, s->k, s->ldk, s->panels);
    pack_columns(s1 - s0, s->dv, s->v + s0 * s->ldv, s->ldv, s0, rows, values);
    for (int t = 0; s1 == s->s && a.table > 0 && t < 2; t++)
        pack_columns(a.table, s->dv, s->relative.value[t], s->relative.ld_value, s->s + t * a.table,
                     rows, values);
}

/* ---- windows ------------------------------------------------------------------------------- */

/* Rows of a table for the distances first, first + 1, ... : count of them, clipped at both ends.
 * To the token that stands apart, and from it, all are row 0. */
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

/* What the steps of a block of queries share. */
struct attention_block {
    const struct packed_attention *s;
    struct attention_layout        a;
    float                         *at; /* the scratch */
    long                           first, count;
    float  most[ATTENTION_ROWS], sum[ATTENTION_ROWS]; /* of the keys so far */
    float *y;                                         /* [count, dv] */
    long   ldy;
};

/* y = x w [k, n] * scale (NULL: 1), or added to y */
static void attention_product(long m, long n, long k, const float *x, long ldx,
                              struct kernel_panels w, const float *scale, bool add, float *y,
                              long ldy)
{
    const struct packed_gemm s = {
        .k = k,
        .x = x,
        .ldx = ldx,
        .w = w,
        .y = y,
        .ldy = ldy,
        .epilogue = {.scale = scale, .residual = add ? y : NULL, .ld_residual = ldy}
    };

    gemm(&s, 0, m, 0, n);
}

INLINE void row_scale(float *x, long n, float by)
{
    long i = 0;

    for (; i + VL <= n; i += VL)
        vec_store(x + i, vec_load(x + i) * vec_set(by));
    if (i < n) vec_store_n(x + i, vec_load_n(x + i, n - i) * vec_set(by), n - i);
}

/* Query i of the block has a new largest score: what it had is corrected. Returns that score, or
 * 0 where all is masked so far. */
static float attention_correct(struct attention_block *b, long i, long k0, float most)
{
    const float old = b->most[i];

    if (!(most > old)) most = old;
    if (k0 > 0 && most > old) {
        const vec   v = vec_exp2_weight(vec_set(old - most));
        const float by = v[0];

        row_scale(b->y + i * b->ldy, b->s->dv, by);
        if (b->a.table) row_scale(b->at + b->a.share + i * b->a.ld_table, b->a.ld_table, by);
        b->sum[i] *= by;
    }
    b->most[i] = most;
    return most == -INFINITY ? 0.0f : most;
}

/* Query i meets keys k0 to k0 + n: weights take the place of the scores x. */
static void attention_weights(struct attention_block *b, long i, long k0, long n, float *x)
{
    vec most = vec_set(-INFINITY), sum = vec_set(0.0f), shift;

    vec_store(x + n, most);
    for (long j = 0; j < n; j += VL)
        most = vec_max(most, vec_load(x + j));
    shift = vec_set(attention_correct(b, i, k0, vec_most(most)));
    for (long j = 0; j < n; j += VL) {
        const vec p = vec_exp2_weight(vec_load(x + j) - shift);

        vec_store(x + j, p);
        sum += p;
    }
    b->sum[i] += vec_sum(sum);
}

/* The cells of the grid among keys k0 to k0 + n, row by row: `length` of them from column
 * `column` on. */
struct cells {
    long key, row, column, length;
};

INLINE struct cells cells_from(long key, long end, long side)
{
    struct cells c = {.key = key, .row = (key - 1) / side, .column = (key - 1) % side};

    c.length = side - c.column < end - key ? side - c.column : end - key;
    return c;
}

INLINE struct cells cells_next(struct cells c, long end, long side)
{
    c.key += c.length;
    c.row++;
    c.column = 0;
    c.length = side < end - c.key ? side : end - c.key;
    return c;
}

/* The same with relative position. The scores are put together in a line where every row of the
 * grid starts with a vector and ends with -inf: so no store needs a mask, and every row and every
 * column has its sum. */
static void attention_weights_relative(struct attention_block *b, long i, long k0, long n, float *x)
{
    static const float            ends[2 * KERNEL_PANEL] = {[KERNEL_PANEL] = -INFINITY,
                                                            -INFINITY,
                                                            -INFINITY,
                                                            -INFINITY,
                                                            -INFINITY,
                                                            -INFINITY,
                                                            -INFINITY,
                                                            -INFINITY,
                                                            -INFINITY,
                                                            -INFINITY,
                                                            -INFINITY,
                                                            -INFINITY,
                                                            -INFINITY,
                                                            -INFINITY,
                                                            -INFINITY,
                                                            -INFINITY};
    const struct packed_relative *r = &b->s->relative;
    const long         side = r->side, query = b->first + i, end = k0 + n, half = b->a.ld_table / 2;
    const struct cells cells = cells_from(k0 > 0 ? k0 : 1, end, side);
    const long         lines = cells.key < end ? (end - 2) / side - cells.row + 1 : 0;
    const float       *looked = b->at + b->a.looked + i * b->a.ld_table;
    float             *share = b->at + b->a.share + i * b->a.ld_table;
    float             *line = b->at + b->a.line, *to = line + VL;
    float             *by_row = b->at + b->a.by_row, *by_column = b->at + b->a.by_column;
    float             *row_sum = b->at + b->a.row_sum, *column_sum = b->at + b->a.column_sum;
    const struct window rows =
        window_of(query == 0, cells.row - (query - 1) / side, lines, r->length);
    const struct window columns = window_of(query == 0, -((query - 1) % side), side, r->length);
    vec                 most = vec_set(-INFINITY), shift;
    float               sum = 0.0f;

    vec_store(x + n, vec_set(0.0f));
    window_read(&rows, looked, by_row);
    window_read(&columns, looked + half, by_column);
    vec_store(by_column + side, vec_set(-INFINITY));
    if (k0 == 0) {
        most = vec_set(x[0] + looked[0] + looked[half]) + vec_load(ends + KERNEL_PANEL - 1);
        vec_store(line, most);
    }
    for (struct cells c = cells; c.key < end; c = cells_next(c, end, side)) {
        const vec  row = vec_set(by_row[c.row - cells.row]);
        const bool cut = c.column + c.length < side;

        for (long j = 0; j < c.length; j += VL, to += VL) {
            vec v = vec_load(x + c.key - k0 + j) + (row + vec_load(by_column + c.column + j));

            if (cut && c.length - j < VL) v += vec_load(ends + KERNEL_PANEL - (c.length - j));
            vec_store(to, v);
            most = vec_max(most, v);
        }
    }
    shift = vec_set(attention_correct(b, i, k0, vec_most(most)));
    for (long j = 0; j < side; j += VL)
        vec_store(column_sum + j, vec_set(0.0f));
    vec_store(row_sum + lines, vec_set(0.0f));
    to = line + VL;
    if (k0 == 0) { /* the token that stands apart */
        const vec p = vec_exp2_weight(vec_load(line) - shift);

        vec_store(x, p);
        sum = p[0];
        share[0] += sum;
        share[half] += sum;
    }
    for (struct cells c = cells; c.key < end; c = cells_next(c, end, side)) {
        vec in_row = vec_set(0.0f);

        for (long j = 0; j < c.length; j += VL, to += VL) {
            const vec p = vec_exp2_weight(vec_load(to) - shift);
            float    *column = column_sum + c.column + j;

            vec_store(x + c.key - k0 + j, p); /* what is too much is written once more */
            vec_store(column, vec_load(column) + p);
            in_row += p;
        }
        row_sum[c.row - cells.row] = vec_sum(in_row);
        sum += row_sum[c.row - cells.row];
    }
    window_add(&rows, row_sum, share);
    window_add(&columns, column_sum, share + half);
    b->sum[i] += sum;
}

/* The scores of query i and keys k0 to k0 + n, as their product left them, become weights; with
 * the last keys the weights of the tables follow. */
static void attention_row(struct attention_block *b, long i, long k0, long n)
{
    const struct packed_attention *s = b->s;
    float                         *x = b->at + b->a.score + i * b->a.ld_score;
    const vec                      log2e = vec_set(1.44269504f);

    if (s->bias) {
        const float *bias = s->bias + (b->first + i) * s->ld_bias + k0;

        for (long j = 0; j < n; j += VL) {
            const long k = n - j < VL ? n - j : VL;

            vec_store(x + j, vec_fma(vec_load_n(bias + j, k), log2e, vec_load(x + j)));
        }
    }
    if (!b->a.table) {
        attention_weights(b, i, k0, n, x);
        return;
    }
    attention_weights_relative(b, i, k0, n, x);
    for (int t = 0; k0 + n == s->s && t < 2; t++)
        for (long j = 0; j < b->a.table; j += VL)
            vec_store(x + n + t * b->a.table + j,
                      vec_load(b->at + b->a.share + i * b->a.ld_table + t * b->a.ld_table / 2 + j));
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
            attention_product(b->count, a->table, d, q, s->ldq, s->relative.key[t], scale, false,
                              b->at + a->looked + t * a->ld_table / 2, a->ld_table);
        memset(b->at + a->share, 0, (size_t)(b->count * a->ld_table) * sizeof(float));
    }
    b->y = s->s > ATTENTION_KEYS ? b->at + a->y : y;
    b->ldy = s->s > ATTENTION_KEYS ? s->dv : s->ldy;
    for (long k0 = 0; k0 < s->s; k0 += ATTENTION_KEYS) {
        const long n = s->s - k0 < ATTENTION_KEYS ? s->s - k0 : ATTENTION_KEYS;

        attention_product(b->count, n, d, q, s->ldq, kernel_panels_from(keys, k0, 0, 0, 0), scale,
                          false, score, a->ld_score);
        for (long i = 0; i < b->count; i++)
            attention_row(b, i, k0, n);
        attention_product(b->count, s->dv, k0 + n == s->s ? rows - k0 : n, score, a->ld_score,
                          kernel_panels_from(values, 0, k0, 0, 0), NULL, k0 > 0, b->y, b->ldy);
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

    for (long i = 0; i < b.a.line - b.a.scale; i++)
        b.at[b.a.scale + i] = s->scale * 1.44269504f;
    /* Between the rows of the tables lie numbers that are read, though not used. */
    memset(b.at + b.a.looked, 0, (size_t)(b.a.share - b.a.looked) * sizeof(float));
    for (; b.first < l1; b.first += b.count) {
        b.count = l1 - b.first <= ATTENTION_ROWS ? l1 - b.first : ATTENTION_STEP;
        attention_rows(&b);
    }
}
