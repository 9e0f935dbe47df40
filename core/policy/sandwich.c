/* sandwich: the fixed corners of a space, and a random path between them.
 *
 *   max      the largest candidate of every choice; all of a choice of any number
 *   min      the smallest candidate of every choice
 *   random   as "path"; the name that the sandwich rule uses
 *
 * Numbers and tuples are compared by value. The candidates of a LayerChoice are compared by
 * the parameters of their modules, as their names say nothing. Of equal ones, and of those
 * without a common order, the first listed is taken. k-of-n choices get the k largest or
 * smallest ones.
 *
 * resample, export and forward all give this one subnet ("random": a new one); there are no
 * probabilities and no state.
 *
 * Yu and Huang, Universally Slimmable Networks and Improved Training Techniques, ICCV 2019. */
#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "policy/decide.h"
#include "policy/memory.h"
#include "policy/path.h"
#include "space/value.h"
#include "supernet/op.h"

/* Parameters of all modules inside of each one and of itself: [n_modules]. */
static uint64_t *count_params(const sn_supernet *net)
{
    uint64_t *n = calloc(net->n_modules + 1, sizeof *n);

    for (size_t i = net->n_modules; n && i-- > 0;) { /* parents come first */
        n[i] += net->info[i].n_params;
        if (net->info[i].parent >= 0) n[net->info[i].parent] += n[i];
    }
    return n;
}

/* Of each candidate of a LayerChoice, over all modules that share its label: the candidates of
 * choice i begin at size[first[i]]. Other choices have no sizes. */
struct sizes {
    size_t   *first;
    uint64_t *size;
};

static void sizes_fini(struct sizes *s)
{
    free(s->first);
    free(s->size);
}

static bool sizes_init(struct sizes *s, const sn_supernet *net)
{
    uint64_t *n_params = count_params(net);
    size_t    n = 0;

    s->first = calloc(net->n_choices + 1, sizeof *s->first);
    for (size_t i = 0; s->first && i < net->n_choices; i++) {
        s->first[i] = n;
        n += net->choice[i].n_candidates;
    }
    s->size = calloc(n + 1, sizeof *s->size);
    for (size_t i = 0; n_params && s->first && s->size && i < net->n_modules; i++) {
        const struct module *m = net->module[i];

        for (size_t k = 0; m->kind == STRUCT_LAYER_CHOICE && k < m->n_children; k++)
            s->size[s->first[m->choice] + k] += n_params[m->child[k]->index];
    }
    free(n_params);
    return n_params && s->first && s->size;
}

/* Above 0: candidate a is larger than candidate b. */
static int compare(const struct sizes *s, const sn_supernet *net, size_t i, size_t a, size_t b)
{
    const sn_value *va = &net->choice[i].candidate[a], *vb = &net->choice[i].candidate[b];

    if (va->kind == SN_KIND_TEXT && vb->kind == SN_KIND_TEXT) {
        const uint64_t na = s->size[s->first[i] + a], nb = s->size[s->first[i] + b];

        return na < nb ? -1 : na > nb;
    }
    switch (value_compare(va, vb)) {
    case VALUE_LESS:
        return -1;
    case VALUE_GREATER:
        return 1;
    default:
        return 0;
    }
}

/* Decide choice i by its candidates that are extreme in direction `sign`. */
static sn_status decide(const void *state, const struct sizes *s, const sn_supernet *net, size_t i,
                        int sign, sn_draft *draft, sn_error *err)
{
    const sn_choice *c = &net->choice[i];
    size_t           k = c->n_chosen ? c->n_chosen : sign > 0 ? c->n_candidates : 1;
    sn_status        rc = policy_step(state, 2 * (k + 4) * c->n_candidates, err);
    bool            *taken;

    if (rc) return rc;
    taken = calloc(c->n_candidates, sizeof *taken);
    if (!taken) return fail_no_memory(err, c->label);
    for (; k > 0; k--) {
        size_t best = c->n_candidates;

        for (size_t j = 0; j < c->n_candidates; j++)
            if (!taken[j] && (best == c->n_candidates || sign * compare(s, net, i, j, best) > 0))
                best = j;
        taken[best] = true;
    }
    rc = decide_taken(c, taken, draft, err);
    free(taken);
    return rc;
}

static sn_status corner(const void *state, const sn_supernet *net, int sign, sn_draft *draft,
                        sn_error *err)
{
    struct sizes s = {0};
    sn_status    rc = policy_step(state, net->n_modules, err);

    if (!rc && !sizes_init(&s, net)) rc = fail_no_memory(err, "policy");
    for (size_t i = 0; !rc && i < net->n_choices; i++)
        if (decide_is_open(net, draft, i)) rc = decide(state, &s, net, i, sign, draft, err);
    sizes_fini(&s);
    return rc;
}

static sn_status max_resample(void *state, const sn_supernet *net, sn_rng *rng, sn_draft *draft,
                              sn_error *err)
{
    (void)rng;
    return corner(state, net, 1, draft, err);
}

static sn_status min_resample(void *state, const sn_supernet *net, sn_rng *rng, sn_draft *draft,
                              sn_error *err)
{
    (void)rng;
    return corner(state, net, -1, draft, err);
}

const sn_policy_class sn_policy_max = {
    .size = sizeof(sn_policy_class),
    .abi = SN_POLICY_ABI,
    .name = "max",
    .about = "the largest candidate of every choice",
    .init = path_init,
    .resample = max_resample,
    .movable = true,
};

const sn_policy_class sn_policy_min = {
    .size = sizeof(sn_policy_class),
    .abi = SN_POLICY_ABI,
    .name = "min",
    .about = "the smallest candidate of every choice",
    .init = path_init,
    .resample = min_resample,
    .movable = true,
};

const sn_policy_class sn_policy_random = {
    .size = sizeof(sn_policy_class),
    .abi = SN_POLICY_ABI,
    .name = "random",
    .about = "as path, under the name that the sandwich rule uses",
    .init = path_init,
    .resample = path_resample,
    .movable = true,
};
