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

#include "policy/decide.h"
#include "policy/path.h"
#include "space/value.h"

static bool is_below(const char *path, const char *user, const char *name)
{
    const size_t n_user = strlen(user), n_name = strlen(name);

    return !strncmp(path, user, n_user) && path[n_user] == '.' &&
           !strncmp(path + n_user + 1, name, n_name) &&
           (path[n_user + 1 + n_name] == '.' || path[n_user + 1 + n_name] == '\0');
}

/* Parameters of a LayerChoice's candidate, over all modules that share the label. */
static uint64_t n_params(const sn_supernet *net, const sn_choice *c, size_t candidate)
{
    uint64_t n = 0;

    for (size_t u = 0; u < c->n_users; u++)
        for (size_t i = 0; i < sn_supernet_n_modules(net); i++) {
            const sn_module *m = sn_supernet_module(net, i);

            if (is_below(m->path, c->user[u], c->candidate[candidate].as.text)) n += m->n_params;
        }
    return n;
}

/* Above 0: candidate a is larger than candidate b. */
static int compare(const sn_supernet *net, const sn_choice *c, size_t a, size_t b)
{
    const sn_value *va = &c->candidate[a], *vb = &c->candidate[b];

    if (va->kind == SN_KIND_TEXT && vb->kind == SN_KIND_TEXT) {
        const uint64_t na = c->several ? n_params(net, c, a) : 0;
        const uint64_t nb = c->several ? n_params(net, c, b) : 0;

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

/* Decide every open choice by its candidates that are extreme in direction `sign`. */
static sn_status corner(const sn_supernet *net, int sign, sn_draft *draft, sn_error *err)
{
    for (size_t i = 0; i < sn_supernet_n_choices(net); i++) {
        const sn_choice *c = sn_supernet_choice(net, i);
        size_t           k = c->n_chosen ? c->n_chosen : sign > 0 ? c->n_candidates : 1;
        bool            *taken;
        sn_status        rc;

        if (!decide_is_open(net, draft, i)) continue;
        taken = calloc(c->n_candidates, sizeof *taken);
        if (!taken) return fail_no_memory(err, c->label);
        for (; k > 0; k--) {
            size_t best = c->n_candidates;

            for (size_t j = 0; j < c->n_candidates; j++)
                if (!taken[j] && (best == c->n_candidates || sign * compare(net, c, j, best) > 0))
                    best = j;
            taken[best] = true;
        }
        rc = decide_taken(c, taken, draft, err);
        free(taken);
        if (rc) return rc;
    }
    return SN_OK;
}

static sn_status max_resample(void *state, const sn_supernet *net, sn_rng *rng, sn_draft *draft,
                              sn_error *err)
{
    (void)state, (void)rng;
    return corner(net, 1, draft, err);
}

static sn_status min_resample(void *state, const sn_supernet *net, sn_rng *rng, sn_draft *draft,
                              sn_error *err)
{
    (void)state, (void)rng;
    return corner(net, -1, draft, err);
}

const sn_policy_class sn_policy_max = {
    .size = sizeof(sn_policy_class),
    .abi = SN_POLICY_ABI,
    .name = "max",
    .about = "the largest candidate of every choice",
    .init = path_init,
    .resample = max_resample,
};

const sn_policy_class sn_policy_min = {
    .size = sizeof(sn_policy_class),
    .abi = SN_POLICY_ABI,
    .name = "min",
    .about = "the smallest candidate of every choice",
    .init = path_init,
    .resample = min_resample,
};

const sn_policy_class sn_policy_random = {
    .size = sizeof(sn_policy_class),
    .abi = SN_POLICY_ABI,
    .name = "random",
    .about = "as path, under the name that the sandwich rule uses",
    .init = path_init,
    .resample = path_resample,
};
