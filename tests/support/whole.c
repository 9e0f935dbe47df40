#include "support/whole.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/model.h"
#include "supernet/expr.h"
#include "supernet/host.h"

enum { MAX_TENSORS = 255 };

static sn_supernet *load(const char *spec, size_t n_bytes, sn_weights *weights)
{
    sn_error     err = {0};
    sn_registry *reg;
    sn_supernet *net = NULL;

    assert_int_equal(sn_registry_create(&reg, &err), SN_OK);
    if (sn_supernet_load(spec, n_bytes, weights, reg, &net, &err) != SN_OK)
        fail_msg("%s: %s\n%s", err.where, err.text, spec);
    sn_registry_unref(reg);
    return net;
}

/* What a supernet without weights says it needs. */
static void list_tensors(const sn_supernet *net, sn_arena *mem, struct net_tensor *ret)
{
    size_t n = 0;

    for (size_t i = 0; i < net->n_modules; i++) {
        const struct module *m = net->module[i];

        for (size_t k = 0; k < m->n_params; k++) {
            const sn_shape *shape = &m->param[k].shape;

            if (m->param[k].dtype != SN_F32)
                continue; /* or a count of batches, which may be missing */
            assert_true(n < MAX_TENSORS && shape->rank <= 4);
            ret[n].name = *m->path ? arena_printf(mem, "%s.%s", m->path, m->op->params[k].name)
                                   : m->op->params[k].name;
            ret[n].rank = shape->rank;
            memcpy(ret[n].dim, shape->dim, sizeof ret[n].dim);
            n++;
        }
    }
}

void whole_load(struct whole *w, const char *spec)
{
    struct net_tensor tensor[MAX_TENSORS + 1] = {0};
    sn_arena         *mem = sn_arena_create();
    sn_supernet      *bare = load(spec, strlen(spec), NULL);
    sn_weights       *weights;
    size_t            n;

    list_tensors(bare, mem, tensor);
    w->bytes = net_weights(tensor, &n);
    assert_int_equal(sn_weights_borrow(w->bytes, n, "weights", &weights, NULL), SN_OK);
    w->net = load(spec, strlen(spec), weights);
    sn_weights_unref(weights);
    sn_supernet_unref(bare);
    sn_arena_free(mem);
}

void whole_fini(struct whole *w)
{
    sn_supernet_unref(w->net);
    free(w->bytes);
}

size_t whole_run(sn_subnet *subnet, const float *x, float *y, size_t cap)
{
    const sn_supernet *net = sn_subnet_supernet(subnet);
    sn_desc            desc[SN_MAX_PORTS];
    sn_tensor          in[SN_MAX_PORTS], out[SN_MAX_PORTS];
    sn_compile_options options = {.size = sizeof options, .in = desc};
    sn_run_options     run = {.size = sizeof run};
    sn_error           err = {0};
    sn_plan           *plan = NULL;
    size_t             n = 0;

    options.n_in = sn_supernet_n_inputs(net);
    for (size_t i = 0; i < options.n_in; i++) {
        desc[i] = sn_supernet_input(net, i)->desc;
        in[i] = sn_tensor_dense(SN_F32, &desc[i].shape, (float *)x);
        x += sn_shape_count(&desc[i].shape);
    }
    if (sn_plan_compile(subnet, &options, &plan, &err) != SN_OK)
        fail_msg("%s: %s", err.where, err.text);
    for (size_t i = 0; i < sn_plan_describe(plan)->n_out; i++) {
        const sn_shape *shape = &sn_plan_describe(plan)->out[i].shape;

        out[i] = sn_tensor_dense(SN_F32, shape, y + n);
        n += (size_t)sn_shape_count(shape);
        assert_true(n <= cap);
    }
    run.scratch = aligned_alloc(64, (sn_plan_describe(plan)->scratch_bytes + 127) / 64 * 64);
    if (sn_plan_forward(plan, in, out, &run, &err) != SN_OK)
        fail_msg("%s: %s", err.where, err.text);
    free(run.scratch);
    sn_plan_unref(plan);
    return n;
}

struct bytes {
    char  *at;
    size_t n;
};

static int append(void *cls, const void *bytes, size_t n)
{
    struct bytes *b = cls;

    b->at = realloc(b->at, b->n + n + 1);
    memcpy(b->at + b->n, bytes, n);
    b->n += n;
    b->at[b->n] = 0;
    return 0;
}

void whole_export(struct whole *w, sn_subnet *subnet)
{
    struct bytes spec = {0}, tensors = {0};
    sn_sink      to_spec = {append, &spec}, to_tensors = {append, &tensors};
    sn_error     err = {0};
    sn_weights  *weights;

    if (sn_subnet_write_spec(subnet, &to_spec, &err) != SN_OK ||
        sn_subnet_write_weights(subnet, &to_tensors, &err) != SN_OK)
        fail_msg("%s: %s", err.where, err.text);
    w->bytes = tensors.at;
    assert_int_equal(sn_weights_borrow(tensors.at, tensors.n, "export", &weights, NULL), SN_OK);
    w->net = load(spec.at, spec.n, weights);
    sn_weights_unref(weights);
    free(spec.at);
}

sn_subnet *whole_seal(struct whole *w)
{
    return net_choose(w->net, "");
}
