/* fence: builds with SN_FENCE run plans between pages that nobody may touch.
 *
 * There every value, every step's temporary memory, every input and every output of a run has
 * pages of its own. A run goes over the plan twice: once everything begins where a page begins,
 * once it ends where a page ends, and the pages around are closed: what reads or writes outside
 * faults at once. Memory is filled with one number and then with another, so that the outputs
 * differ where they depend on what nobody has written.
 *
 * In all other builds this is nothing. */
#ifndef RUN_FENCE_H
#define RUN_FENCE_H

#include "run/run.h"

/* All steps, for so many samples; false if stopped. */
typedef bool run_steps(struct run *r, int64_t batch);

#ifdef SN_FENCE

/* What has to lie apart: in the plan its numbers stand where offsets do in other builds. */
struct fence {
    size_t  n;
    size_t *bytes; /* [n] of temporary memory and of distributions; values know their shapes */
};

bool fence_run(struct run *r, int64_t batch, run_steps *steps);

#else

static inline bool fence_run(struct run *r, int64_t batch, run_steps *steps)
{
    return steps(r, batch);
}

#endif
#endif
