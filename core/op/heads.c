/* heads: see heads.h. Threads share the rows twice: first those of the keys, which are projected
 * and packed for all heads, then those of the queries, which go from their projection through all
 * heads to the output. */
#include "op/heads.h"

#include <string.h>

/* Offsets in the scratch memory, in bytes. */
struct layout {
    size_t q, k, v, mask;             /* [l, inner] [keys, inner] [keys, inner] [l, keys] */
    size_t panels, panels_each;       /* of a head */
    size_t attention, attention_each; /* of a thread */
    size_t n_bytes;                   /* 0: too many */
};

static size_t reserve(struct layout *y, int64_t a, int64_t b, size_t each)
{
    const size_t at = y->n_bytes;
    size_t       n;

    if (at == 0 || __builtin_mul_overflow((size_t)a, (size_t)b, &n) ||
        __builtin_mul_overflow(n, each, &n) || n > PTRDIFF_MAX - SN_ALIGN_BYTES - at)
        y->n_bytes = 0;
    else
        y->n_bytes = at + ((n + SN_ALIGN_BYTES - 1) & ~(size_t)(SN_ALIGN_BYTES - 1));
    return at;
}

static struct packed_attention head_of(const struct heads *h)
{
    return (struct packed_attention){.l = h->l,
                                     .s = h->keys,
                                     .d = h->d,
                                     .dv = h->d,
                                     .scale = h->scale,
                                     .ldq = h->heads * h->d,
                                     .ldk = h->heads * h->d,
                                     .ldv = h->heads * h->d,
                                     .ld_bias = h->keys,
                                     .ldy = h->heads * h->d,
                                     .relative = h->relative};
}

static struct layout layout_make(const struct heads *h, int n_threads)
{
    const struct packed_attention s = head_of(h);
    const int64_t                 inner = h->heads * h->d;
    struct layout                 y = {.n_bytes = SN_ALIGN_BYTES}; /* 0 would mean too many */

    y.panels_each = packed_attention_panels(&s);
    y.attention_each = packed_attention_scratch(&s);
    if (y.panels_each == 0 || y.attention_each == 0) y.n_bytes = 0;
    y.q = reserve(&y, h->l, inner, sizeof(float));
    y.k = reserve(&y, h->keys, inner, sizeof(float));
    y.v = reserve(&y, h->keys, inner, sizeof(float));
    y.mask = reserve(&y, h->mask ? h->l : 0, h->keys, sizeof(float));
    y.panels = reserve(&y, h->heads, 1, y.panels_each);
    y.attention = reserve(&y, n_threads, 1, y.attention_each);
    return y;
}

size_t heads_scratch(const struct heads *h, int n_threads)
{
    if (h->l < 1 || h->keys < 1 || h->d < 1) return 0;
    return layout_make(h, n_threads).n_bytes;
}

/* ---- the two rounds ------------------------------------------------------------------------ */

struct run {
    const struct heads *h;
    struct layout       at;
    char               *scratch;
};

static float *part_of(const struct run *r, size_t at)
{
    return (float *)(r->scratch + at);
}

static struct packed_attention head_at(const struct run *r, int64_t head)
{
    struct packed_attention s = head_of(r->h);

    s.q = part_of(r, r->at.q) + head * s.d;
    s.k = part_of(r, r->at.k) + head * s.d;
    s.v = part_of(r, r->at.v) + head * s.d;
    s.y = part_of(r, r->at.q) + head * s.d;
    s.bias = r->h->mask ? part_of(r, r->at.mask) : NULL;
    s.panels = part_of(r, r->at.panels + (size_t)head * r->at.panels_each);
    return s;
}

/* Rows from to `to` of projection i; `next` is wanted after its weights. */
static void project(const struct run *r, int i, int64_t from, int64_t to, const float *next,
                    float *y)
{
    const struct heads      *h = r->h;
    const int64_t            inner = h->heads * h->d;
    const struct packed_gemm g = {.k = h->width[i],
                                  .x = h->x[i],
                                  .ldx = h->ld[i],
                                  .w = h->in[i].w,
                                  .next = next,
                                  .y = y,
                                  .ldy = inner,
                                  .epilogue = {.shift = h->in[i].bias}};

    if (from < to) kernel_table()->gemm(&g, from, to, 0, inner);
}

/* Keys (i = 1) or values (i = 2) from to `to`. */
static void make_rows(const struct run *r, int i, int64_t from, int64_t to)
{
    const struct heads *h = r->h;
    const size_t        inner = (size_t)(h->heads * h->d);
    float              *rows = part_of(r, i == 1 ? r->at.k : r->at.v);

    project(r, i, from, to < h->s ? to : h->s, NULL, rows);
    for (int64_t row = from > h->s ? from : h->s; row < to; row++)
        if (row == h->s && h->appended[i - 1])
            memcpy(rows + (size_t)row * inner, h->appended[i - 1], inner * sizeof *rows);
        else
            memset(rows + (size_t)row * inner, 0, inner * sizeof *rows);
}

/* A panel of keys is written by one thread. */
static int64_t panel_at(const struct run *r, int64_t key)
{
    return key < r->h->keys ? key / KERNEL_PANEL * KERNEL_PANEL : key;
}

static void pack_keys(const void *cls, int64_t from, int64_t to, int thread)
{
    const struct run *r = cls;
    const int64_t     key_from = panel_at(r, from), key_to = panel_at(r, to);

    (void)thread;
    make_rows(r, 1, key_from, key_to);
    make_rows(r, 2, from, to);
    for (int64_t head = 0; head < r->h->heads; head++) {
        struct packed_attention s = head_at(r, head);

        s.shared = to - from < s.s;
        kernel_table()->attention_pack_keys(&s, key_from, key_to);
        kernel_table()->attention_pack_values(&s, from, to);
    }
}

static void answer_queries(const void *cls, int64_t from, int64_t to, int thread)
{
    const struct run   *r = cls;
    const struct heads *h = r->h;
    const float        *next = NULL; /* that another thread has packed */
    float *attention = part_of(r, r->at.attention + (size_t)thread * r->at.attention_each);
    struct packed_gemm g = {.k = h->heads * h->d,
                            .x = part_of(r, r->at.q),
                            .ldx = h->heads * h->d,
                            .w = h->out.w,
                            .y = h->y,
                            .ldy = h->ld_y,
                            .epilogue = h->epilogue};

    if (to - from < h->l) /* the other half of the first keys; heads ask for the next one's */
        next = head_at(r, 0).panels + (from > 0 ? 0 : h->keys / 2 * h->d);
    project(r, 0, from, to, next, part_of(r, r->at.q));
    for (int64_t head = 0; head < h->heads; head++) {
        struct packed_attention s = head_at(r, head);

        if (next && head + 1 < h->heads) s.next = head_at(r, head + 1).panels;
        if (h->mask && (head == 0 || h->mask_by_head))
            h->mask(h->mask_cls, head, from, to, part_of(r, r->at.mask));
        kernel_table()->attention(&s, from, to, attention);
    }
    g.epilogue.shift = h->out.bias;
    kernel_table()->gemm(&g, from, to, 0, h->width_y);
}

void heads_run(const struct heads *h, const sn_call *call, const sn_io *io)
{
    const struct run r = {.h = h, .at = layout_make(h, call->n_threads), .scratch = io->scratch};
    const double     inner = (double)(h->heads * h->d);

    op_share(call, io, h->keys, 1, (double)h->s * inner * (double)(h->width[1] + h->width[2]),
             pack_keys, &r);
    op_share(call, io, h->l, 1,
             (double)h->l * inner * (double)(h->width[0] + 2 * h->keys + h->width_y),
             answer_queries, &r);
}
