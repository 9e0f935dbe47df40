/* batches: the first samples of a case alone. A plan for all samples gives the bits of one that was
 * made for just so many. */
#include "conformance.h"

#include <stdlib.h>
#include <string.h>

#include "supernet/host.h"
#include "supernet/train.h"
#include "supernet/weights.h"

struct tensors {
    size_t    n;
    sn_tensor at[SN_MAX_PORTS];
};

static void tensors_fini(struct tensors *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->at[i].data);
}

static void *room(const sn_desc *d, int fill)
{
    const size_t n_bytes = (size_t)sn_shape_count(&d->shape) * sn_dtype_bytes(d->dtype);
    void        *p = malloc(n_bytes + 1);

    return p ? memset(p, fill, n_bytes) : NULL;
}

/* The axis that holds the samples; -1: none does. */
static int batch_axis(const sn_port *port)
{
    for (int d = 0; d < port->desc.shape.rank; d++)
        if (port->symbol[d] && strcmp(port->symbol[d], "N") == 0) return d;
    return -1;
}

/* The first `batch` of them, dense. */
static bool take_first(const sn_tensor *all, int axis, int64_t batch, sn_tensor *ret_part)
{
    sn_desc d = {all->dtype, all->shape};
    size_t  outer = 1, inner = sn_dtype_bytes(all->dtype), part, whole;

    if (axis >= 0) d.shape.dim[axis] = batch;
    for (int i = 0; i < d.shape.rank; i++)
        *(i < axis ? &outer : &inner) *= (size_t)(i == axis ? 1 : d.shape.dim[i]);
    part = axis >= 0 ? inner * (size_t)batch : inner;
    whole = axis >= 0 ? inner * (size_t)all->shape.dim[axis] : inner;
    *ret_part = sn_tensor_dense(d.dtype, &d.shape, room(&d, 0));
    for (size_t i = 0; ret_part->data && i < outer; i++)
        memcpy((char *)ret_part->data + i * part, (const char *)all->data + i * whole, part);
    return ret_part->data;
}

static sn_status run(const struct batches *b, sn_plan *plan, const struct tensors *in,
                     int64_t batch, struct tensors *ret_out, sn_error *err)
{
    const sn_plan_info *info = sn_plan_describe(plan);
    sn_desc             desc[SN_MAX_PORTS];
    sn_run_options      options = {.size = sizeof options, .probs = b->probs};
    sn_status           rc = SN_OK;

    *ret_out = (struct tensors){.n = info->n_out};
    sn_plan_outputs(plan, batch, desc);
    for (size_t i = 0; i < info->n_out; i++)
        if (desc[i].dtype != SN_NONE)
            ret_out->at[i] = sn_tensor_dense(desc[i].dtype, &desc[i].shape, room(&desc[i], 0xff));
    options.scratch =
        aligned_alloc(SN_ALIGN_BYTES, (info->scratch_bytes / SN_ALIGN_BYTES + 1) * SN_ALIGN_BYTES);
    if (options.scratch) memset(options.scratch, 0xff, info->scratch_bytes);
    if (b->options.mode == SN_TRAIN)
        rc = sn_state_create(sn_subnet_supernet(b->subnet), &options.state, err);
    if (rc == SN_OK) rc = sn_plan_forward(plan, in->at, ret_out->at, &options, err);
    sn_state_free(options.state);
    free(options.scratch);
    return rc;
}

static void compare(const struct tensors *alone, const struct tensors *wide, int64_t batch,
                    struct report *r)
{
    for (size_t i = 0; i < alone->n; i++) {
        const sn_tensor *a = &alone->at[i], *w = &wide->at[i];

        if (a->dtype != w->dtype || !sn_shape_equal(&a->shape, &w->shape))
            report_fail(r, "%d samples: output %zu has another shape in a plan for more",
                        (int)batch, i);
        else if (a->data &&
                 memcmp(a->data, w->data,
                        (size_t)sn_shape_count(&a->shape) * sn_dtype_bytes(a->dtype)) != 0)
            report_fail(r, "%d samples: output %zu has other bits in a plan for more", (int)batch,
                        i);
    }
}

static void compare_batch(const struct batches *b, int64_t batch, struct report *r)
{
    const sn_supernet *net = sn_subnet_supernet(b->subnet);
    sn_compile_options options = b->options;
    struct tensors     in = {.n = options.n_in}, alone = {0}, wide = {0};
    sn_desc            desc[SN_MAX_PORTS];
    sn_plan           *plan = NULL;
    sn_error           err = {0};
    bool               done = true;

    for (size_t i = 0; i < in.n; i++) {
        done =
            done && take_first(&b->in[i], batch_axis(sn_supernet_input(net, i)), batch, &in.at[i]);
        desc[i] = (sn_desc){in.at[i].dtype, in.at[i].shape};
    }
    options.in = desc;
    done = done && sn_plan_compile(b->subnet, &options, &plan, &err) == SN_OK &&
           run(b, plan, &in, batch, &alone, &err) == SN_OK &&
           run(b, b->plan, &in, batch, &wide, &err) == SN_OK;
    if (done)
        compare(&alone, &wide, batch, r);
    else
        report_error(r, "forward of its first samples", &err);
    tensors_fini(&in);
    tensors_fini(&alone);
    tensors_fini(&wide);
    sn_plan_unref(plan);
}

void compare_batches(const struct batches *b, struct report *r)
{
    const sn_plan_info *info = sn_plan_describe(b->plan);

    for (int64_t batch = 1; !info->fixed_batch && batch < info->max_batch; batch++)
        compare_batch(b, batch, r);
}
