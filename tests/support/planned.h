/* planned: a small supernet from its document to a plan that runs. */
#ifndef SUPPORT_PLANNED_H
#define SUPPORT_PLANNED_H

#include "supernet/supernet.h"
#include "support/net.h"

#define SPEC(inputs, model)                                                                        \
    "{\"format\": \"supernet/1\", \"name\": \"t\", \"inputs\": [" inputs "], \"model\": " model "}"
#define IN(name, shape) "{\"name\": \"" name "\", \"shape\": [" shape "]}"
#define GRAPH(inputs, nodes, outputs)                                                              \
    "{\"type\": \"Graph\", \"inputs\": [" inputs "], \"outputs\": [" outputs                       \
    "], \"nodes\": [" nodes "]}"
#define ADD(name, a, b)                                                                            \
    "{\"name\": \"" name "\", \"type\": \"Add\", \"inputs\": [\"" a "\", \"" b "\"]}"
#define MEAN(name, from)                                                                           \
    "{\"name\": \"" name "\", \"type\": \"Mean\", \"dim\": [2, 3], \"inputs\": [\"" from "\"]}"
#define TURN(name, from, in, out)                                                                  \
    "{\"name\": \"" name "\", \"type\": \"Conv2d\", \"in_channels\": " in                          \
    ", \"out_channels\": " out ", \"kernel_size\": 1, \"bias\": false, \"inputs\": [\"" from       \
    "\"]}"

struct planned {
    void        *bytes;
    sn_supernet *net;
    sn_subnet   *subnet;
    sn_plan     *plan;
    sn_error     err;
};

/* Load, choose, seal and compile for n_in (at most 3) inputs of these shapes, absent where
 * the rank is 0; the status is that of the
 * compilation, all else fails the test. */
sn_status planned_make(struct planned *w, const char *spec, const struct net_tensor *tensors,
                       const char *choices, const sn_shape *shape, size_t n_in, int n_threads);

/* Run a plan of one input on x; the outputs (at most 3) are malloc()ed, ret_n: elements of a sample
 * of each. */
void planned_run(struct planned *w, const sn_shape *shape, float *x, int64_t batch, int n_threads,
                 float **ret_y, int64_t *ret_n);

/* The same on these threads; NULL: on one. */
void planned_run_on(struct planned *w, const sn_shape *shape, float *x, int64_t batch,
                    const sn_parallel *threads, float **ret_y, int64_t *ret_n);

void planned_end(struct planned *w);

#endif
