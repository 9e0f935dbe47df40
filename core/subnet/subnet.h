/* subnet: decisions about the choices of one supernet, first open (draft), then sealed. */
#ifndef SUBNET_SUBNET_H
#define SUBNET_SUBNET_H

#include "base/budget.h"
#include "live/decision.h"
#include "supernet/host.h"
#include "supernet/train.h"

struct sn_draft {
    sn_supernet     *net;
    sn_arena        *mem;
    struct decision *decision; /* by choice */
    sn_arena        *lists;    /* decisions that name several; NULL: none yet */
    size_t           tidy_at_bytes;
    sn_limits        limits; /* of sealing, and of reading choices */
};

struct sn_subnet {
    atomic_size_t    n_refs;
    sn_supernet     *net;
    sn_arena        *mem;
    struct decision *decision; /* by choice; inactive ones are open */
    bool            *active;   /* by choice */
    bool             soft;     /* some active choice is a distribution */
    char             id[33];
};

/* As sn_draft_set(), and what was decided before stays in memory until it is tidied up. */
sn_status draft_set(sn_draft *draft, const char *label, const sn_value *value, sn_error *err);
void      draft_tidy(sn_draft *draft);

/* What work on a draft may take. */
struct budget draft_budget(const sn_draft *draft);

#endif
