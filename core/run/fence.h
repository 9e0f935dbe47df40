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

/* Number the memory of a plan, instead of offsets, and note its sizes. */
sn_status fence_memory(struct sn_plan *p, sn_error *err);

bool fence_run(struct run *r, int64_t batch, run_steps *steps);

#else

static inline sn_status fence_memory(struct sn_plan *p, sn_error *err)
{
    (void)p;
    (void)err;
    return SN_OK;
}

static inline bool fence_run(struct run *r, int64_t batch, run_steps *steps)
{
    return steps(r, batch);
}

#endif
#endif
