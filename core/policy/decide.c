/* decide: what is open, and subsets of candidates as one decision. */
#include "policy/decide.h"
#include "supernet/train.h"

bool decide_is_open(const sn_supernet *net, const sn_draft *draft, size_t i)
{
    return sn_supernet_choice(net, i)->n_users > 0 && !sn_draft_get(draft, i) &&
           !sn_draft_is_soft(draft, i);
}

sn_status decide_taken(const sn_choice *c, const bool *taken, sn_draft *draft, sn_error *err)
{
    sn_arena *mem = sn_arena_create();
    sn_value *item = mem ? arena_array(mem, c->n_candidates, sizeof *item) : NULL;
    size_t    n = 0;
    sn_status rc;

    if (item) {
        for (size_t i = 0; i < c->n_candidates; i++)
            if (taken[i]) item[n++] = c->candidate[i];
        const sn_value all = {.kind = SN_KIND_TUPLE, .as.tuple = {item, n}};

        rc = sn_draft_set(draft, c->label, n == 1 ? item : &all, err);
    } else {
        rc = fail_no_memory(err, c->label);
    }
    sn_arena_free(mem);
    return rc;
}
