/* forward/inputs: inputs against the ports of the supernet; the batch. */
#include <stdio.h>
#include <string.h>

#include "http/tensor_json.h"
#include "supernet/weights.h"
#include "v1/forward/forward.h"

static struct problem *problem(struct forward *f)
{
    return &f->call->problem;
}

/* What a symbol stands for, once the first input has said it. */
struct symbols {
    size_t n;
    struct {
        const char *name, *input;
        int64_t     dim;
    } at[SN_MAX_PORTS * SN_MAX_RANK];
};

static enum problem_code bind_symbol(struct forward *f, struct symbols *s, const char *name,
                                     const char *input, int64_t dim)
{
    char place[160];

    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->at[i].name, name) == 0) {
            if (s->at[i].dim == dim) return P_OK;
            snprintf(place, sizeof place, "inputs.%.128s", input);
            return api_fail(problem(f), P_SHAPE, place, "%s is %lld here, but %lld in '%s'", name,
                            (long long)dim, (long long)s->at[i].dim, s->at[i].input);
        }
    s->at[s->n].name = name;
    s->at[s->n].input = input;
    s->at[s->n++].dim = dim;
    if (strcmp(name, "N") == 0) f->batch = dim;
    return P_OK;
}

bool api_forward_is_batch(const sn_port *port, int d)
{
    return d < port->desc.shape.rank && port->symbol[d] && strcmp(port->symbol[d], "N") == 0;
}

static enum problem_code bind_input(struct forward *f, struct symbols *s, const sn_port *port,
                                    const sn_tensor *t)
{
    struct problem *p = problem(f);
    char            place[160], want[256], got[256];
    bool            fits = t->shape.rank == port->desc.shape.rank;

    snprintf(place, sizeof place, "inputs.%.128s", port->name);
    if (t->dtype == SN_NONE) {
        if (port->optional) return P_OK;
        return api_fail(p, P_INVALID, place, "is missing; its shape is %s",
                        api_port_shape_text(port, want, sizeof want));
    }
    if (t->dtype != port->desc.dtype)
        return api_fail(p, P_DTYPE, place, "expected %s, got %s", sn_dtype_name(port->desc.dtype),
                        sn_dtype_name(t->dtype));
    for (int d = 0; d < t->shape.rank; d++)
        if (t->shape.dim[d] <= 0 &&
            !(fits && t->shape.dim[d] == 0 && api_forward_is_batch(port, d)))
            return api_fail(p, P_SHAPE, place,
                            "axis %d is empty; the shape is %s, of which only N may be 0", d,
                            api_port_shape_text(port, want, sizeof want));
    for (int d = 0; fits && d < t->shape.rank; d++)
        fits = port->desc.shape.dim[d] < 0 || port->desc.shape.dim[d] == t->shape.dim[d];
    if (!fits)
        return api_fail(p, P_SHAPE, place, "expected %s, got %s",
                        api_port_shape_text(port, want, sizeof want),
                        sn_shape_text(&t->shape, got, sizeof got));
    for (int d = 0; d < t->shape.rank; d++)
        if (port->desc.shape.dim[d] < 0 && port->symbol[d] &&
            bind_symbol(f, s, port->symbol[d], port->name, t->shape.dim[d]) != P_OK)
            return p->code;
    return P_OK;
}

enum problem_code api_forward_bind(struct forward *f)
{
    const struct api_config *config = f->call->config;
    const sn_supernet       *net = f->call->model->net;
    struct symbols           symbols = {0};

    f->batch = -1;
    for (size_t i = 0; i < sn_supernet_n_inputs(net); i++)
        if (bind_input(f, &symbols, sn_supernet_input(net, i), &f->request.in[i]) != P_OK)
            return problem(f)->code;
    if (f->batch > config->max_batch)
        return api_fail(problem(f), P_LIMIT, "inputs", "a batch of %lld is above the limit of %lld",
                        (long long)f->batch, (long long)config->max_batch);
    return P_OK;
}
