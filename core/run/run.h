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
    int64_t               batch, first;        /* samples under way, and the first of them */
    int64_t               base[MAX_SPANS + 1]; /* the first sample that a span has values of */
    int64_t               row_from, row_to; /* of all values, as matrices; row_to 0: all of all */
};

/* The shape of a value with a batch. */
sn_shape run_shape(const struct slot *v, int64_t batch);

/* One task, on the samples under way. */
void run_task(const struct run *r, const struct task *t);

#endif
