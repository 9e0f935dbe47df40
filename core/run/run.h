/* run: what a run of a plan, and each task in it, knows. */
#ifndef RUN_RUN_H
#define RUN_RUN_H

#include "run/plan.h"

/* One run, or one lane of it: where the bytes of every value are. */
struct run {
    const sn_plan        *plan;
    const sn_run_options *options;
    const sn_parallel    *parallel; /* of its steps */
    const sn_tensor      *in;
    const sn_tensor      *out;
    char                 *scratch;
    int64_t               batch, first;        /* samples of this round: how many, from which on */
    int64_t               base[MAX_SPANS + 1]; /* by span: the first sample in its buffers */
    int64_t               row_from, row_to;    /* of a chain of rows; row_to 0: all rows */
};

/* The shape of a value for this batch. */
sn_shape run_shape(const struct slot *v, int64_t batch);

/* Run one task on the samples of this round. */
void run_task(const struct run *r, const struct task *t);

#endif
