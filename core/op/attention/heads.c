/* heads: see heads.h. Two parallel loops: first over the rows of the keys, which are projected and
 * packed for all heads; then over the rows of the queries, which one thread takes from their
 * projection through all heads to the output. */
#include "op/attention/heads.h"

#include <string.h>

/* Unused rows between the parts of two threads: a panel of keys may begin up to a panel before a
 * thread's own part; and the hardware prefetches some lines beyond those a core writes, which would
 * take them from the thread that wrote there. */
enum { GAP = KERNEL_PANEL + 4 };

/* Offsets in the scratch memory, in bytes. Shared memory is at both ends, each thread's own next to
 * it, the rows are in the middle. So in the next layer, with more heads or fewer, most of a
 * thread's memory is at the same addresses, and still in its core's cache.
 *
 *     mask | panels of half the heads | of threads | rows [q, k, v] | of threads | other panels
 */
struct layout {
    int64_t ld;                           /* of rows */
    int64_t gap;                          /* between threads, in rows */
    size_t  rows, mask;                   /* [l or keys, ld] [l, keys] */
    size_t  panels[2], panels_each;       /* of a head */
    size_t  attention[2], attention_each; /* of a thread */
    int64_t heads_before, threads_before; /* the rows */
    size_t  n_bytes;                      /* 0: too many */
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

/* The sizes of a head. */
static struct packed_attention head_of(const struct heads *h)
{
    return (struct packed_attention){.l = h->l,
                                     .s = h->keys,
                                     .d = h->d,
                                     .dv = h->d,
                                     .scale = h->scale,
                                     .ld_bias = h->keys,
                                     .relative = h->relative};
}

/* One thread needs no room for a middle. */
static struct layout layout_make(const struct heads *h, int n_threads)
{
    const struct packed_attention s = head_of(h);
    const int64_t                 inner = h->heads * h->d;
    const int64_t                 rows = h->l > h->keys ? h->l : h->keys;
    const int64_t                 threads = n_threads < rows ? n_threads : rows;
    struct layout                 y = {
                        .ld = 3 * inner,
                        .panels_each = packed_attention_panels(&s),
                        .attention_each = packed_attention_scratch(&s),
                        .heads_before = threads > 1 ? (h->heads + 1) / 2 : h->heads,
                        .threads_before = (threads + 1) / 2,
                        .n_bytes = SN_ALIGN_BYTES /* 0 would mean too many */
    };

    if ((threads - 1) * GAP <= rows / 4) y.gap = GAP; /* unless that costs too much memory */
    if (y.panels_each == 0 || y.attention_each == 0) y.n_bytes = 0;
    y.mask = reserve(&y, h->mask ? h->l : 0, h->keys, sizeof(float));
    y.panels[0] = reserve(&y, y.heads_before, 1, y.panels_each);
    y.attention[0] = reserve(&y, y.threads_before, 1, y.attention_each);
    y.rows = reserve(&y, rows + (threads - 1) * y.gap, y.ld, sizeof(float));
    if (threads > 1) {
        y.attention[1] = reserve(&y, y.threads_before, 1, y.attention_each);
        y.panels[1] = reserve(&y, y.heads_before, 1, y.panels_each);
    }
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

/* Of queries (0), keys (1) or values (2), where a thread has its own. */
static float *thread_rows(const struct run *r, int i, int thread)
{
    return part_of(r, r->at.rows) + thread * r->at.gap * r->at.ld + i * r->h->heads * r->h->d;
}

static float *attention_of(const struct run *r, int64_t thread)
{
    const int64_t behind = thread - r->at.threads_before;

    return behind < 0 ? part_of(r, r->at.attention[0] + (size_t)thread * r->at.attention_each)
                      : part_of(r, r->at.attention[1] + (size_t)behind * r->at.attention_each);
}

static float *panels_of(const struct run *r, int64_t head)
{
    const int64_t behind = head - r->at.heads_before;

    return behind < 0 ? part_of(r, r->at.panels[0] + (size_t)head * r->at.panels_each)
                      : part_of(r, r->at.panels[1] + (size_t)behind * r->at.panels_each);
}

static struct packed_attention head_at(const struct run *r, int64_t head, int thread)
{
    struct packed_attention s = head_of(r->h);

    s.q = thread_rows(r, 0, thread) + head * s.d;
    s.k = thread_rows(r, 1, thread) + head * s.d;
    s.v = thread_rows(r, 2, thread) + head * s.d;
    s.y = thread_rows(r, 0, thread) + head * s.d;
    s.ldq = s.ldk = s.ldv = s.ldy = r->at.ld;
    s.bias = r->h->mask ? part_of(r, r->at.mask) : NULL;
    s.panels = panels_of(r, head);
    return s;
}

/* Rows from to `to` of projection i; `next` is wanted after its weights. */
static void project(const struct run *r, int i, int64_t from, int64_t to, int thread,
                    const float *next)
{
    const struct heads      *h = r->h;
    const struct packed_gemm g = {.k = h->width[i],
                                  .x = h->x[i],
                                  .ldx = h->ld[i],
                                  .w = h->in[i].w,
                                  .next = next,
                                  .y = thread_rows(r, i, thread),
                                  .ldy = r->at.ld,
                                  .epilogue = {.shift = h->in[i].bias}};

    if (from < to) kernel_table()->gemm(&g, from, to, 0, h->heads * h->d);
}

/* Keys (i = 1) or values (i = 2) from to `to`. */
static void make_rows(const struct run *r, int i, int64_t from, int64_t to, int thread)
{
    const struct heads *h = r->h;
    const size_t        n_bytes = (size_t)(h->heads * h->d) * sizeof(float);

    project(r, i, from, to < h->s ? to : h->s, thread, NULL);
    for (int64_t row = from > h->s ? from : h->s; row < to; row++)
        if (row == h->s && h->appended[i - 1])
            memcpy(thread_rows(r, i, thread) + row * r->at.ld, h->appended[i - 1], n_bytes);
        else
            memset(thread_rows(r, i, thread) + row * r->at.ld, 0, n_bytes);
}

/* A panel of keys is written by one thread, which makes all its keys. */
static int64_t panel_at(const struct run *r, int64_t key)
{
    return key < r->h->keys ? key / KERNEL_PANEL * KERNEL_PANEL : key;
}

/* Ask for rows of x, which another thread has made. */
static void want_rows(const struct run *r, int i, int64_t from, int64_t to)
{
    const int64_t end = to < r->h->s ? to * r->h->ld[i] : r->h->s * r->h->ld[i];

    for (int64_t at = from * r->h->ld[i]; at < end; at += SN_ALIGN_BYTES / sizeof(float))
        __builtin_prefetch(r->h->x[i] + at, 0, 2);
}

static void pack_keys(const void *cls, int64_t from, int64_t to, int thread)
{
    const struct run *r = cls;
    const int64_t     key_from = panel_at(r, from), key_to = panel_at(r, to);

    want_rows(r, 1, key_from, from); /* they come while the values are made */
    make_rows(r, 2, from, to, thread);
    make_rows(r, 1, key_from, key_to, thread);
    for (int64_t head = 0; head < r->h->heads; head++) {
        struct packed_attention s = head_at(r, head, thread);

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
    struct packed_gemm  g = {.k = h->heads * h->d,
                             .x = thread_rows(r, 0, thread),
                             .ldx = r->at.ld,
                             .w = h->out.w,
                             .y = h->y,
                             .ldy = h->ld_y,
                             .epilogue = h->epilogue};

    if (to - from < h->l) /* the other half of the first keys; heads ask for the next one's */
        next = panels_of(r, 0) + (from > 0 ? 0 : h->keys / 2 * h->d);
    project(r, 0, from, to, thread, next);
    for (int64_t head = 0; head < h->heads; head++) {
        struct packed_attention s = head_at(r, head, thread);

        if (next && head + 1 < h->heads) s.next = panels_of(r, head + 1);
        if (h->mask && (head == 0 || h->mask_by_head))
            h->mask(h->mask_cls, head, from, to, part_of(r, r->at.mask));
        kernel_table()->attention(&s, from, to, attention_of(r, thread));
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
