#include "support/planned.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/threads.h"

sn_status planned_make(struct planned *w, const char *spec, const struct net_tensor *tensors,
                       const char *choices, const sn_shape *shape, size_t n_in, int n_threads)
{
    sn_desc            in[3] = {0};
    sn_compile_options options = {
        .size = sizeof options, .in = in, .n_in = n_in, .n_threads = n_threads};

    *w = (struct planned){0};
    for (size_t i = 0; i < n_in; i++)
        if (shape[i].rank > 0) in[i] = (sn_desc){SN_F32, shape[i]};
    w->net = net_load(spec, tensors, &w->bytes);
    w->subnet = net_choose(w->net, choices);
    return sn_plan_compile(w->subnet, &options, &w->plan, &w->err);
}

void planned_run(struct planned *w, const sn_shape *shape, float *x, int64_t batch, int n_threads,
                 float **ret_y, int64_t *ret_n)
{
    const sn_parallel threads = threads_of(n_threads);

    planned_run_on(w, shape, x, batch, n_threads > 1 ? &threads : NULL, ret_y, ret_n);
}

void planned_run_on(struct planned *w, const sn_shape *shape, float *x, int64_t batch,
                    const sn_parallel *threads, float **ret_y, int64_t *ret_n)
{
    const sn_plan_info  *info = sn_plan_describe(w->plan);
    const sn_run_options options = {.size = sizeof options,
                                    .scratch =
                                        aligned_alloc(64, (info->scratch_bytes + 127) / 64 * 64),
                                    .parallel = threads};
    const sn_tensor      in = sn_tensor_dense(SN_F32, shape, x);
    sn_desc              desc[3];
    sn_tensor            out[3];

    assert_true(info->n_out <= 3);
    memset(options.scratch, 0xff, info->scratch_bytes); /* not a number */
    sn_plan_outputs(w->plan, batch, desc);
    for (size_t k = 0; k < info->n_out; k++) {
        ret_n[k] = sn_shape_count(&desc[k].shape) / batch;
        ret_y[k] = malloc((size_t)(ret_n[k] * batch) * sizeof(float));
        out[k] = sn_tensor_dense(SN_F32, &desc[k].shape, ret_y[k]);
    }
    assert_int_equal(sn_plan_forward(w->plan, &in, out, &options, &w->err), SN_OK);
    free(options.scratch);
}

void planned_end(struct planned *w)
{
    sn_plan_unref(w->plan);
    sn_subnet_unref(w->subnet);
    sn_supernet_unref(w->net);
    free(w->bytes);
}
