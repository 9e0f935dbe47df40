/* growth: see growth.h. */
#include "tensor/growth.h"

#include <string.h>

bool growth_any(const sn_growth *g)
{
    for (int d = 0; d < SN_MAX_RANK; d++)
        if (g->per_sample[d]) return true;
    return false;
}

bool growth_equal(const sn_growth *a, const sn_growth *b)
{
    return memcmp(a->per_sample, b->per_sample, sizeof a->per_sample) == 0;
}

bool growth_only(const sn_growth *g, int axis)
{
    for (int d = 0; d < SN_MAX_RANK; d++)
        if (g->per_sample[d] && d != axis) return false;
    return true;
}

bool growth_broadcast(sn_shape *y, sn_growth *grows, const sn_shape *x, const sn_growth *x_grows)
{
    const int rank = y->rank > x->rank ? y->rank : x->rank;
    sn_shape  shape = {.rank = rank};
    sn_growth growth = {0};

    for (int i = 0; i < rank; i++) {
        const int     a = i - (rank - y->rank), b = i - (rank - x->rank);
        const int64_t y_dim = a < 0 ? 1 : y->dim[a], y_more = a < 0 ? 0 : grows->per_sample[a];
        const int64_t x_dim = b < 0 ? 1 : x->dim[b], x_more = b < 0 ? 0 : x_grows->per_sample[b];
        const bool    same = y_dim == x_dim && y_more == x_more;
        const bool    repeats_y = y_dim == 1 && y_more == 0;

        if (!same && !repeats_y && !(x_dim == 1 && x_more == 0)) return false;
        shape.dim[i] = repeats_y ? x_dim : y_dim;
        growth.per_sample[i] = repeats_y ? x_more : y_more;
    }
    *y = shape;
    *grows = growth;
    return true;
}

bool growth_count(const sn_shape *shape, const sn_growth *g, int from, int to, int64_t *ret_count,
                  int64_t *ret_per_sample)
{
    int64_t count = 1, per_sample = 0;

    for (int d = from; d < to; d++) {
        if (per_sample && g->per_sample[d]) return false; /* N * N */
        if (__builtin_mul_overflow(per_sample ? per_sample : count,
                                   per_sample ? shape->dim[d] : g->per_sample[d], &per_sample) ||
            __builtin_mul_overflow(count, shape->dim[d], &count))
            return false;
    }
    *ret_count = count;
    *ret_per_sample = per_sample;
    return true;
}
