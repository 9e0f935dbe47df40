/* attention: one head, without ever holding all its weights (a part of set_*.c).
 *
 * Keys and values are packed as the panels of two products. A block of query rows then
 * meets one block of keys after another: scores, their exponentials against the largest
 * score so far, and a share of the output, which is corrected when that maximum grows. */

/* x [n, k] packed as panels [ceil(n / 16)][k][16]: rows become columns. */
static struct kernel_panels attention_pack_rows(long n, long k, const float *x, long ldx, float *at)
{
    const struct kernel_weight w = {
        .data = x, .n = n, .k = k, .kernel_h = 1, .kernel_w = 1, .ld_n = ldx, .ld_k = 1};

    return kernel_pack(&w, at);
}

/* x [k, n] packed as panels [ceil(n / 16)][k][16]: columns stay columns. */
static struct kernel_panels attention_pack_columns(long k, long n, const float *x, long ldx,
                                                   float *at)
{
    for (long j = 0; j < n; j += KERNEL_PANEL)
        for (long i = 0; i < k; i++, at += KERNEL_PANEL)
            for (long c = 0; c < KERNEL_PANEL; c += VL) {
                const long left = n - j - c;

                vec_store(at + c, left >= VL ? vec_load(x + i * ldx + j + c)
                                  : left > 0 ? vec_load_n(x + i * ldx + j + c, left)
                                             : vec_set(0.0f));
            }
    at -= round_up(n, KERNEL_PANEL) * k;
    return (struct kernel_panels){at, k * KERNEL_PANEL, k * KERNEL_PANEL, k * KERNEL_PANEL};
}

/* y (+)= x w */
static void attention_product(long m, long n, long k, const float *x, long ldx,
                              struct kernel_panels w, bool add, float *y, long ldy)
{
    const struct packed_gemm s = {
        .k = k,
        .x = x,
        .ldx = ldx,
        .w = w,
        .y = y,
        .ldy = ldy,
        .epilogue = {.residual = add ? y : NULL, .ld_residual = ldy}
    };

    gemm(&s, 0, m, 0, n);
}

INLINE void row_scale(float *x, long n, float by)
{
    for (long i = 0; i < n; i += VL) {
        const long k = n - i < VL ? n - i : VL;

        vec_store_n(x + i, vec_load_n(x + i, k) * vec_set(by), k);
    }
}

/* What the steps of a block of rows share. */
struct attention_rows {
    long   first, count;
    float  most[ATTENTION_ROWS], sum[ATTENTION_ROWS]; /* of the keys so far */
    float *score;                                     /* [count, ATTENTION_KEYS] */
    float *looked_up, *share;                         /* [count, rows of the tables] */
    long   ld_table;
};

/* The scores of one query and keys k0 to k0 + n, already q k^T: scale, bias, relative position. */
static void attention_scores(const struct packed_attention *s, const struct attention_rows *r,
                             long i, long k0, long n)
{
    const struct packed_relative *rel = &s->relative;
    float                        *score = r->score + i * ATTENTION_KEYS;
    const float *bias = s->bias ? s->bias + (r->first + i) * s->ld_bias + k0 : NULL;

    for (int t = 0; t < rel->tables; t++) {
        const int16_t *index = rel->index + (t * s->l + r->first + i) * s->s + k0;
        const float   *from = r->looked_up + i * r->ld_table;

        for (long j = 0; j < n; j++)
            score[j] += from[index[j]];
    }
    for (long j = 0; j < n; j += VL) {
        const long k = n - j < VL ? n - j : VL;
        vec        v = vec_load_n(score + j, k) * vec_set(s->scale);

        vec_store_n(score + j, bias ? v + vec_load_n(bias + j, k) : v, k);
    }
}

/* One query meets keys k0 to k0 + n: its weights replace the scores, what it had is corrected. */
static void attention_weights(const struct packed_attention *s, struct attention_rows *r, long i,
                              long k0, long n)
{
    const struct packed_relative *rel = &s->relative;
    float      *p = r->score + i * ATTENTION_KEYS, *share = r->share + i * r->ld_table;
    const float old = r->most[i], here = row_max(p, n);
    const float most = old > here ? old : here;
    const float finite = most == -INFINITY ? 0.0f : most; /* all masked so far */

    if (k0 > 0 && most > old) {
        vec   v = vec_exp(vec_set(old - finite));
        float by = v[0];

        row_scale(s->y + (r->first + i) * s->ldy, s->dv, by);
        if (rel->tables) row_scale(share, rel->rows, by);
        r->sum[i] *= by;
    }
    r->most[i] = most;
    r->sum[i] += row_exp(p, n, finite, 1.0f, p);
    for (int t = 0; t < rel->tables; t++) {
        const int16_t *index = rel->index + (t * s->l + r->first + i) * s->s + k0;

        /* Neighbours often share a row: one sum in a register, not a chain through memory. */
        for (long j = 0; j < n;) {
            const int16_t row = index[j];
            float         sum = 0.0f;

            for (; j < n && index[j] == row; j++)
                sum += p[j];
            share[row] += sum;
        }
    }
}

static void attention(const struct packed_attention *s, long l0, long l1, void *scratch)
{
    const struct packed_relative *rel = &s->relative;
    const long                    out = round_up(s->dv, KERNEL_PANEL);
    const long                    tables = rel->tables ? round_up(rel->rows, KERNEL_PANEL) : 0;
    float                        *at = scratch;
    struct attention_rows         r = {.ld_table = tables};
    struct kernel_panels          keys, values, table_keys = {0}, table_values = {0};

    keys = attention_pack_rows(s->s, s->d, s->k, s->ldk, at);
    at += round_up(s->s, KERNEL_PANEL) * s->d;
    values = attention_pack_columns(s->s, s->dv, s->v, s->ldv, at);
    at += s->s * out;
    r.score = at;
    at += ATTENTION_ROWS * ATTENTION_KEYS;
    if (rel->tables) {
        table_keys = attention_pack_rows(rel->rows, s->d, rel->key, rel->ld_key, at);
        at += tables * s->d;
        table_values = attention_pack_columns(rel->rows, s->dv, rel->value, rel->ld_value, at);
        at += tables * out;
    }
    r.looked_up = at;
    r.share = at + ATTENTION_ROWS * tables;

    for (r.first = l0; r.first < l1; r.first += ATTENTION_ROWS) {
        const float *q = s->q + r.first * s->ldq;
        float       *y = s->y + r.first * s->ldy;

        r.count = l1 - r.first < ATTENTION_ROWS ? l1 - r.first : ATTENTION_ROWS;
        for (long i = 0; i < r.count; i++) {
            r.most[i] = -INFINITY;
            r.sum[i] = 0.0f;
        }
        if (rel->tables) {
            attention_product(r.count, rel->rows, s->d, q, s->ldq, table_keys, false, r.looked_up,
                              tables);
            memset(r.share, 0, (size_t)(r.count * tables) * sizeof(float));
        }
        for (long k0 = 0; k0 < s->s; k0 += ATTENTION_KEYS) {
            const long n = s->s - k0 < ATTENTION_KEYS ? s->s - k0 : ATTENTION_KEYS;

            attention_product(r.count, n, s->d, q, s->ldq, kernel_panels_from(keys, k0, 0, 0, 0),
                              false, r.score, ATTENTION_KEYS);
            for (long i = 0; i < r.count; i++) {
                attention_scores(s, &r, i, k0, n);
                attention_weights(s, &r, i, k0, n);
            }
            attention_product(r.count, s->dv, n, r.score, ATTENTION_KEYS,
                              kernel_panels_from(values, 0, k0, 0, 0), k0 > 0, y, s->ldy);
        }
        if (rel->tables)
            attention_product(r.count, s->dv, rel->rows, r.share, tables, table_values, true, y,
                              s->ldy);
        for (long i = 0; i < r.count; i++)
            row_scale(y + i * s->ldy, s->dv, 1.0f / r.sum[i]);
    }
}
