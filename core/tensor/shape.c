/* shape: count, compare, print. */
#include <stdio.h>

#include "base/base.h"
#include "supernet/weights.h"

SN_EXPORT int64_t sn_shape_count(const sn_shape *shape)
{
    int64_t n = 1;
    bool    empty = false, overflow = false;

    if (shape->rank < 0 || shape->rank > SN_MAX_RANK) return -1;
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dim[i] < 0) return -1;
        if (shape->dim[i] == 0)
            empty = true; /* [2^62, 0, 2^62] counts nothing, in any order */
        else if (__builtin_mul_overflow(n, shape->dim[i], &n))
            overflow = true;
    }
    return empty ? 0 : overflow ? -1 : n;
}

SN_EXPORT bool sn_shape_equal(const sn_shape *a, const sn_shape *b)
{
    if (a->rank != b->rank) return false;
    for (int i = 0; i < a->rank && i < SN_MAX_RANK; i++)
        if (a->dim[i] != b->dim[i]) return false;
    return a->rank >= 0 && a->rank <= SN_MAX_RANK; /* others are no shapes */
}

SN_EXPORT const char *sn_shape_text(const sn_shape *shape, char *buf, size_t n_bytes)
{
    size_t used = 0;

    if (n_bytes == 0) return buf;
    buf[0] = '\0';
    if (shape->rank < 0 || shape->rank > SN_MAX_RANK)
        snprintf(buf, n_bytes, "[rank %d]", shape->rank); /* no shape: a caller may say anything */
    for (int i = 0; shape->rank <= SN_MAX_RANK && i <= shape->rank && used < n_bytes; i++) {
        const char *const before = i == 0 ? "[" : i < shape->rank ? ", " : "";
        int               n;

        if (i < shape->rank)
            n = snprintf(buf + used, n_bytes - used, "%s%lld", before, (long long)shape->dim[i]);
        else
            n = snprintf(buf + used, n_bytes - used, "%s]", before);
        used += (size_t)n;
    }
    return buf;
}
