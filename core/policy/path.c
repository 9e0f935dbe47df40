/* path: uniform path sampling. Every open choice gets one of its candidates, each
 * with the same probability; a k-of-n choice gets k different ones in ascending
 * order, and a choice of any number a non-empty subset.
 *
 * resample, export and forward all draw; there are no probabilities, no options and no state.
 *
 * Guo et al., Single Path One-Shot Neural Architecture Search with Uniform
 * Sampling, ECCV 2020. */
#include "policy/path.h"

#include "policy/decide.h"
#include "policy/document.h"
#include "policy/memory.h"
#include "supernet/op.h"

sn_status path_init(void *state, const sn_supernet *net, const char *options, sn_error *err)
{
    struct document doc;
    sn_status       rc;

    (void)net;
    if (!options) return SN_OK;
    rc = document_parse(state, options, NULL, 0, &doc, err);
    if (!rc) document_end(&doc);
    return rc;
}

/* k different candidates, by selection sampling: candidate i is taken with
 * probability (still wanted) / (still to come). */
static sn_status draw_k(const sn_choice *c, size_t k, sn_rng *rng, sn_draft *draft, sn_error *err)
{
    sn_arena *mem = sn_arena_create();
    bool     *taken = mem ? arena_array(mem, c->n_candidates, sizeof *taken) : NULL;
    size_t    wanted = k;
    sn_status rc;

    if (taken)
        for (size_t i = 0; i < c->n_candidates; i++)
            if (sn_rng_below(rng, c->n_candidates - i) < wanted) {
                taken[i] = true;
                wanted--;
            }
    rc = taken ? decide_taken(c, taken, draft, err) : fail_no_memory(err, c->label);
    sn_arena_free(mem);
    return rc;
}

/* Any non-empty subset: a coin for each candidate, again until one fell. */
static sn_status draw_any(const sn_choice *c, sn_rng *rng, sn_draft *draft, sn_error *err)
{
    sn_arena *mem = sn_arena_create();
    bool     *taken = mem ? arena_array(mem, c->n_candidates, sizeof *taken) : NULL;
    size_t    n = 0;
    sn_status rc;

    while (taken && n == 0)
        for (size_t i = 0; i < c->n_candidates; i++)
            if ((taken[i] = sn_rng_below(rng, 2))) n++;
    rc = taken ? decide_taken(c, taken, draft, err) : fail_no_memory(err, c->label);
    sn_arena_free(mem);
    return rc;
}

sn_status path_resample(void *state, const sn_supernet *net, sn_rng *rng, sn_draft *draft,
                        sn_error *err)
{
    for (size_t i = 0; i < sn_supernet_n_choices(net); i++) {
        const sn_choice *c = sn_supernet_choice(net, i);
        sn_status        rc;

        if (!decide_is_open(net, draft, i)) continue;
        rc = policy_step(state, 16 + c->n_candidates, err);
        if (rc) return rc;
        if (c->n_chosen == 1)
            rc = sn_draft_set(draft, c->label, &c->candidate[sn_rng_below(rng, c->n_candidates)],
                              err);
        else
            rc = c->n_chosen ? draw_k(c, c->n_chosen, rng, draft, err)
                             : draw_any(c, rng, draft, err);
        if (rc) return rc;
    }
    return SN_OK;
}

const sn_policy_class sn_policy_path = {
    .size = sizeof(sn_policy_class),
    .abi = SN_POLICY_ABI,
    .name = "path",
    .about = "uniform path sampling: every open choice gets a random candidate",
    .init = path_init,
    .resample = path_resample,
    .movable = true,
};
