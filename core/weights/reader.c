/* reader: any part of a tensor's bytes, without packing the whole of it.
 *
 * The bytes of a strided tensor are runs: the axes at the end that lie without gaps make one run,
 * and the others say where each run begins. */
#include <string.h>

#include "weights/weights.h"

/* Elements of one run, and the number of axes before it. */
static int64_t run_of(const sn_tensor *t, int *ret_n_outer)
{
    int64_t run = 1;
    int     d = t->shape.rank;

    while (d > 0 && (t->shape.dim[d - 1] == 1 || t->stride[d - 1] == run))
        run *= t->shape.dim[--d];
    *ret_n_outer = d;
    return run;
}

/* The first element of run i. */
static const char *run_at(const sn_tensor *t, int n_outer, uint64_t i)
{
    int64_t offset = 0;

    for (int d = n_outer; d-- > 0;) {
        const uint64_t dim = (uint64_t)t->shape.dim[d];

        offset += (int64_t)(i % dim) * t->stride[d];
        i /= dim;
    }
    return (const char *)t->data + offset * (int64_t)sn_dtype_bytes(t->dtype);
}

void weights_read_part(const sn_tensor *t, uint64_t at, size_t n, void *to)
{
    int            n_outer;
    const uint64_t run = (uint64_t)run_of(t, &n_outer) * sn_dtype_bytes(t->dtype);
    char          *next = to;

    while (n > 0) {
        const uint64_t in_run = at % run;
        const size_t   part = run - in_run < n ? (size_t)(run - in_run) : n;

        memcpy(next, run_at(t, n_outer, at / run) + in_run, part);
        next += part;
        at += part;
        n -= part;
    }
}
