/* blocks: a first-fit allocator of offsets, in logarithmic time. */
#include "compile/blocks.h"

struct block {
    size_t   from, bytes, most; /* most: of the blocks below and itself */
    uint32_t order;             /* random; parents have the larger one */
    uint32_t left, right;
};

bool blocks_init(struct blocks *b, size_t most, sn_arena *mem)
{
    *b = (struct blocks){.block = arena_array(mem, most + 3, sizeof *b->block)};
    return b->block;
}

void blocks_start(struct blocks *b)
{
    b->root = b->spare = b->n = 0;
    blocks_give(b, 0, SIZE_MAX / 2);
}

static void update(struct blocks *b, uint32_t t)
{
    struct block *me = &b->block[t];
    const size_t  left = b->block[me->left].most, right = b->block[me->right].most;

    me->most = me->bytes > left ? me->bytes : left;
    if (right > me->most) me->most = right;
}

/* All of `low` is before all of `high`. */
static uint32_t merge(struct blocks *b, uint32_t low, uint32_t high)
{
    if (!low || !high) return low + high;
    if (b->block[low].order > b->block[high].order) {
        b->block[low].right = merge(b, b->block[low].right, high);
        update(b, low);
        return low;
    }
    b->block[high].left = merge(b, low, b->block[high].left);
    update(b, high);
    return high;
}

static void split(struct blocks *b, uint32_t t, size_t from, uint32_t *ret_low, uint32_t *ret_high)
{
    if (!t) {
        *ret_low = *ret_high = 0;
        return;
    }
    if (b->block[t].from < from) {
        split(b, b->block[t].right, from, &b->block[t].right, ret_high);
        *ret_low = t;
    } else {
        split(b, b->block[t].left, from, ret_low, &b->block[t].left);
        *ret_high = t;
    }
    update(b, t);
}

/* Unlink the first or the last of a tree that is not empty, and make room for another. */
static uint32_t drop_end(struct blocks *b, uint32_t t, bool last)
{
    struct block *me = &b->block[t];
    uint32_t     *next = last ? &me->right : &me->left, rest;

    if (*next) {
        *next = drop_end(b, *next, last);
        update(b, t);
        return t;
    }
    rest = last ? me->left : me->right;
    me->left = b->spare;
    b->spare = t;
    return rest;
}

static const struct block *end_of(const struct blocks *b, uint32_t t, bool last)
{
    uint32_t next;

    while ((next = last ? b->block[t].right : b->block[t].left))
        t = next;
    return &b->block[t];
}

static uint32_t take(struct blocks *b, uint32_t t, size_t n_bytes, size_t *ret_from)
{
    struct block *me = &b->block[t];

    if (b->block[me->left].most >= n_bytes) {
        me->left = take(b, me->left, n_bytes, ret_from);
    } else if (me->bytes >= n_bytes) {
        *ret_from = me->from;
        me->from += n_bytes;
        me->bytes -= n_bytes;
        if (me->bytes == 0) {
            const uint32_t rest = merge(b, me->left, me->right);

            me->left = b->spare;
            b->spare = t;
            return rest;
        }
    } else {
        me->right = take(b, me->right, n_bytes, ret_from);
    }
    update(b, t);
    return t;
}

size_t blocks_take(struct blocks *b, size_t n_bytes)
{
    size_t from = BLOCKS_NONE;

    if (b->block[b->root].most >= n_bytes) b->root = take(b, b->root, n_bytes, &from);
    return from;
}

/* Priorities of a treap: random numbers keep it balanced whatever the offsets are. */
static uint32_t scatter(uint32_t n)
{
    n = (n ^ n >> 16) * 0x7feb352d;
    n = (n ^ n >> 15) * 0x846ca68b;
    return n ^ n >> 16;
}

void blocks_give(struct blocks *b, size_t from, size_t n_bytes)
{
    uint32_t            low, high, t;
    const struct block *end;

    split(b, b->root, from, &low, &high);
    end = end_of(b, low, true);
    if (low && end->from + end->bytes == from) {
        from = end->from;
        n_bytes += end->bytes;
        low = drop_end(b, low, true);
    }
    end = end_of(b, high, false);
    if (high && from + n_bytes == end->from) {
        n_bytes += end->bytes;
        high = drop_end(b, high, false);
    }
    t = b->spare;
    if (t)
        b->spare = b->block[t].left;
    else
        t = ++b->n;
    b->block[t] =
        (struct block){.from = from, .bytes = n_bytes, .most = n_bytes, .order = scatter(t)};
    b->root = merge(b, merge(b, low, t), high);
}
