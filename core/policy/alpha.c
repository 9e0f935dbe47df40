/* alpha: architecture logits and what is read from them. */
#include "policy/alpha.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "policy/decide.h"
#include "policy/memory.h"
#include "supernet/train.h"

double alpha_normal(sn_rng *rng)
{
    const double u = 1.0 - sn_rng_unit(rng), v = sn_rng_unit(rng); /* u > 0 */

    return sqrt(-2.0 * log(u)) * cos(2.0 * M_PI * v);
}

double alpha_gumbel(sn_rng *rng)
{
    return -log(-log1p(-sn_rng_unit(rng)) + 1e-300); /* 1 - u is never 0 */
}

sn_status alpha_init(struct alpha *a, const sn_supernet *net, uint64_t seed, sn_error *err)
{
    const size_t n = sn_supernet_n_choices(net);
    float       *at;
    sn_rng       rng;
    sn_status    rc;

    sn_rng_seed(&rng, seed);
    a->n_choices = n;
    for (size_t i = 0; i < n; i++)
        a->n_all += sn_supernet_choice(net, i)->n_candidates;
    rc = policy_step(a->policy, 8 * a->n_all, err);
    if (rc) return rc;
    a->logit = policy_calloc(a->policy, n, sizeof *a->logit);
    a->room = policy_calloc(a->policy, n, sizeof *a->room);
    a->all = at = policy_calloc(a->policy, a->n_all, sizeof *a->all);
    if (!a->logit || !a->room || !a->all)
        return fail_no_memory(err, "policy"); /* the caller calls alpha_fini */
    for (size_t i = 0; i < n; i++) {
        const sn_choice *c = sn_supernet_choice(net, i);

        a->room[i] = at;
        at += c->n_candidates;
        if (c->n_users == 0) continue;
        a->logit[i] = a->room[i];
        for (size_t k = 0; k < c->n_candidates; k++)
            a->logit[i][k] = (float)(1e-3 * alpha_normal(&rng));
    }
    return SN_OK;
}

void alpha_fini(struct alpha *a)
{
    policy_free(a->policy, a->logit, a->n_choices, sizeof *a->logit);
    policy_free(a->policy, a->room, a->n_choices, sizeof *a->room);
    policy_free(a->policy, a->all, a->n_all, sizeof *a->all);
}

/* Check one label's logits and, with `take`, copy them. */
static sn_status read_logits(const struct alpha *a, const sn_supernet *net, const char *label,
                             const json_t *list, bool take, sn_error *err)
{
    const sn_choice *c;
    size_t           i;

    if (!sn_supernet_find_choice(net, label, &i) || !a->logit[i])
        return sn_fail(err, SN_E_UNKNOWN_NAME, label, "no choice labelled \"%s\" has logits",
                       label);
    c = sn_supernet_choice(net, i);
    if (!json_is_array(list) || json_array_size(list) != c->n_candidates)
        return sn_fail(err, SN_E_INVALID, label,
                       "choice \"%s\" takes a list of %zu logits, one for each candidate, not %zu",
                       label, c->n_candidates, json_array_size(list));
    if (!take && policy_step(a->policy, 8 * c->n_candidates, err)) return SN_E_STOPPED;
    for (size_t k = 0; k < c->n_candidates; k++) {
        const json_t *v = json_array_get(list, k);
        const float   logit = (float)json_number_value(v);

        if (!json_is_number(v) || !isfinite(logit))
            return sn_fail(err, SN_E_INVALID, label,
                           "logit %zu of choice \"%s\" is no finite number", k, label);
        if (take) a->logit[i][k] = logit;
    }
    return SN_OK;
}

sn_status alpha_update(struct alpha *a, const sn_supernet *net, const json_t *labels, sn_error *err)
{
    const char *label;
    json_t     *list;

    if (!json_is_object(labels))
        return sn_fail(err, SN_E_INVALID, "alpha",
                       "alpha must be an object, {\"label\": [logits]}");
    for (int take = 0; take < 2; take++)
        json_object_foreach((json_t *)labels, label, list)
        {
            const sn_status rc = read_logits(a, net, label, list, take, err);

            if (rc) return rc;
        }
    return SN_OK;
}

sn_status alpha_write(const struct alpha *a, const sn_supernet *net, struct text *t,
                      const sn_sink *sink, sn_error *err)
{
    bool      first = true;
    sn_status rc;

    text_add(t, "{", 1);
    for (size_t i = 0; i < a->n_choices; i++) {
        const sn_choice *c = sn_supernet_choice(net, i);

        if (!a->logit[i]) continue;
        rc = policy_step(a->policy, 16 * c->n_candidates, err);
        if (rc) {
            free(t->at);
            return rc;
        }
        rc = text_drain(t, sink, err);
        if (rc) return rc;
        text_add(t, ", ", first ? 0 : 2);
        first = false;
        text_json_string(t, c->label);
        text_add(t, ": [", 3);
        for (size_t k = 0; k < c->n_candidates; k++) {
            const sn_value v = {.kind = SN_KIND_FLOAT, .as.real = a->logit[i][k]};

            text_add(t, ", ", k ? 2 : 0);
            text_json_value(t, &v);
        }
        text_add(t, "]", 1);
    }
    text_add(t, "}", 1);
    return SN_OK;
}

void alpha_softmax(const struct alpha *a, size_t choice, size_t n, const float *noise,
                   float temperature, float *ret_probs)
{
    float most = -INFINITY, sum = 0.0f;

    for (size_t k = 0; k < n; k++) {
        ret_probs[k] = a->logit[choice][k] + (noise ? noise[k] : 0.0f);
        most = fmaxf(most, ret_probs[k]);
    }
    /* Differences first: no temperature, however small, makes an infinity of the largest. */
    for (size_t k = 0; k < n; k++)
        sum += ret_probs[k] = expf((ret_probs[k] - most) / temperature);
    for (size_t k = 0; k < n; k++)
        ret_probs[k] /= sum;
}

sn_status alpha_probs(const struct alpha *a, const sn_supernet *net, size_t choice,
                      float *ret_probs, sn_error *err)
{
    const sn_choice *c = sn_supernet_choice(net, choice);

    if (choice >= a->n_choices || !a->logit[choice])
        return sn_fail(err, SN_E_UNKNOWN_NAME, c ? c->label : "policy", "nothing uses this choice");
    alpha_softmax(a, choice, c->n_candidates, NULL, 1.0f, ret_probs);
    return SN_OK;
}

/* The `n` largest of a choice's logits, first come first on ties, as one decision. */
static sn_status set_largest(const double *logit, const sn_choice *c, size_t n, sn_draft *draft,
                             sn_error *err)
{
    bool     *taken = calloc(c->n_candidates, sizeof *taken);
    sn_status rc;

    if (!taken) return fail_no_memory(err, c->label);
    for (size_t i = 0; i < n; i++) {
        size_t best = c->n_candidates;

        for (size_t j = 0; j < c->n_candidates; j++)
            if (!taken[j] && (best == c->n_candidates || logit[j] > logit[best])) best = j;
        taken[best] = true;
    }
    rc = decide_taken(c, taken, draft, err);
    free(taken);
    return rc;
}

/* Decide choice i by its `n` largest logits, with noise if there is an rng. */
static sn_status decide(const struct alpha *a, const sn_supernet *net, size_t i, size_t n,
                        sn_rng *rng, sn_draft *draft, sn_error *err)
{
    const sn_choice *c = sn_supernet_choice(net, i);
    double          *logit;
    sn_status        rc = policy_step(a->policy, (n / 4 + 8) * c->n_candidates, err);

    if (rc) return rc;
    logit = malloc(c->n_candidates * sizeof *logit);
    if (!logit) return fail_no_memory(err, c->label);
    for (size_t k = 0; k < c->n_candidates; k++)
        logit[k] = a->logit[i][k] + (rng ? alpha_gumbel(rng) : 0.0);
    rc = set_largest(logit, c, n, draft, err);
    free(logit);
    return rc;
}

sn_status alpha_draw(const struct alpha *a, const sn_supernet *net, size_t choice, sn_rng *rng,
                     sn_draft *draft, sn_error *err)
{
    const size_t n = sn_supernet_choice(net, choice)->n_chosen;

    return decide(a, net, choice, n ? n : 1, rng, draft, err);
}

sn_status alpha_best(const struct alpha *a, const sn_supernet *net, sn_draft *draft, sn_error *err)
{
    for (size_t i = 0; i < a->n_choices; i++) {
        const sn_choice *c = sn_supernet_choice(net, i);
        sn_status        rc;

        if (!a->logit[i] || !decide_is_open(net, draft, i)) continue;
        rc = decide(a, net, i, c->n_chosen ? c->n_chosen : c->n_candidates, NULL, draft, err);
        if (rc) return rc;
    }
    return SN_OK;
}

sn_status alpha_soften(const struct alpha *a, const sn_supernet *net, sn_draft *draft,
                       sn_error *err)
{
    for (size_t i = 0; i < sn_supernet_n_choices(net); i++) {
        sn_status rc;

        if (!a->logit[i] || !decide_is_open(net, draft, i)) continue;
        rc = policy_step(a->policy, 16, err);
        if (rc) return rc;
        rc = sn_draft_soften(draft, sn_supernet_choice(net, i)->label, err);
        if (rc) return rc;
    }
    return SN_OK;
}
