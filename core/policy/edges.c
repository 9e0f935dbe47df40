/* edges: from the logits of edges to operators and inputs, as nni.retiarii exports them. */
#include "policy/edges.h"

#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "policy/decide.h"
#include "policy/memory.h"
#include "supernet/train.h"

static bool has_edges(const struct module *m)
{
    return m->kind == STRUCT_CELL;
}

/* A label that several modules share keeps its logits if one of them is no such Cell. */
static void drop_derived(struct alpha *a, const sn_supernet *net, size_t *n_uses)
{
    for (size_t i = 0; i < net->n_modules; i++) {
        const struct module *m = net->module[i];

        for (size_t k = 0; has_edges(m) && k < m->cell.n_picks; k++) {
            n_uses[m->cell.op[k]]++;
            n_uses[m->cell.input[k]]++;
        }
    }
    for (size_t i = 0; i < a->n_choices; i++)
        if (n_uses[i] > 0 && net->choice[i].n_users <= n_uses[i]) a->logit[i] = NULL;
}

sn_status edges_init(struct alpha *a, const sn_supernet *net, uint64_t seed, sn_error *err)
{
    size_t *n_uses = calloc(a->n_choices + 1, sizeof *n_uses);
    sn_rng  rng;

    if (!n_uses) return fail_no_memory(err, "policy");
    drop_derived(a, net, n_uses);
    free(n_uses);
    sn_rng_seed(&rng, ~seed);
    for (size_t i = 0; i < a->n_choices; i++) {
        const sn_choice *c = &net->choice[i];

        if (!c->soft_only) continue;
        a->logit[i] = a->room[i];
        for (size_t k = 0; k < c->n_candidates; k++)
            a->logit[i][k] = (float)(1e-3 * alpha_normal(&rng));
    }
    return SN_OK;
}

/* All its labels have values, and not only because they have a single candidate. */
static bool is_decided(const sn_supernet *net, const sn_draft *draft, const struct module *m)
{
    bool by_hand = false;

    for (size_t k = 0; k < 2 * m->cell.n_picks; k++) {
        const size_t i = k % 2 ? m->cell.input[k / 2] : m->cell.op[k / 2];

        if (!sn_draft_get(draft, i)) return false;
        by_hand = by_hand || net->choice[i].n_candidates > 1;
    }
    return by_hand;
}

sn_status edges_soften(const sn_supernet *net, sn_draft *draft, sn_error *err)
{
    for (size_t i = 0; i < net->n_modules; i++) {
        const struct module *m = net->module[i];

        if (!has_edges(m) || is_decided(net, draft, m)) continue;
        for (int j = 0; j < m->n_in; j++) {
            const sn_status rc = sn_draft_soften(draft, net->choice[m->cell.edge[j]].label, err);

            if (rc) return rc;
        }
    }
    return SN_OK;
}

struct entry {
    float       logit;
    int         input;
    size_t      op;
    const char *name;
    bool        best; /* of its input */
};

static int best_first(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->logit != y->logit) return x->logit < y->logit ? 1 : -1;
    if (x->input != y->input) return x->input < y->input ? 1 : -1;
    return strcmp(y->name, x->name);
}

static int chosen_first(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->best != y->best) return x->best ? -1 : 1;
    return best_first(a, b);
}

/* All operators on all inputs of a node, in the order in which they are taken. */
static size_t rank(const struct alpha *a, const sn_supernet *net, const struct module *m,
                   struct entry *entry)
{
    bool   seen[SN_MAX_PORTS] = {false};
    size_t n = 0;

    for (int j = 0; j < m->n_in; j++)
        for (size_t o = 0; o < m->cell.n_ops; o++) {
            const size_t edge = m->cell.edge[j];

            entry[n++] = (struct entry){.logit = a->logit[edge][o],
                                        .input = j,
                                        .op = o,
                                        .name = net->choice[edge].candidate[o].as.text};
        }
    qsort(entry, n, sizeof *entry, best_first);
    for (size_t i = 0; i < n; i++) {
        entry[i].best = !seen[entry[i].input];
        seen[entry[i].input] = true;
    }
    qsort(entry, n, sizeof *entry, chosen_first);
    return n;
}

static sn_status set_open(const sn_supernet *net, sn_draft *draft, size_t choice, size_t candidate,
                          sn_error *err)
{
    const sn_choice *c = &net->choice[choice];

    if (!decide_is_open(net, draft, choice)) return SN_OK;
    return sn_draft_set(draft, c->label, &c->candidate[candidate], err);
}

static sn_status decide_node(const struct alpha *a, const sn_supernet *net, const struct module *m,
                             sn_draft *draft, sn_error *err)
{
    const size_t  n_entries = (size_t)m->n_in * m->cell.n_ops;
    struct entry *entry;
    sn_status     rc = policy_step(a->policy, 64 * n_entries, err);
    size_t        n;

    if (rc) return rc;
    entry = calloc(n_entries + 1, sizeof *entry);
    if (!entry) return fail_no_memory(err, "policy");
    n = rank(a, net, m, entry);
    for (size_t k = 0; !rc && k < m->cell.n_picks; k++) {
        rc = set_open(net, draft, m->cell.op[k], entry[k % n].op, err);
        if (!rc) rc = set_open(net, draft, m->cell.input[k], (size_t)entry[k % n].input, err);
    }
    free(entry);
    return rc;
}

sn_status edges_best(const struct alpha *a, const sn_supernet *net, sn_draft *draft, sn_error *err)
{
    for (size_t i = 0; i < net->n_modules; i++) {
        const sn_status rc =
            has_edges(net->module[i]) ? decide_node(a, net, net->module[i], draft, err) : SN_OK;

        if (rc) return rc;
    }
    return SN_OK;
}
