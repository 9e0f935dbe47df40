/* enas_reward: REINFORCE. One update is one step of Adam on the mean over its rewards of
 *
 *     (reward + entropy_weight * entropy - baseline) * sum_t -log p_t
 *
 * where t runs over the choices that were drawn, not set by hand. As in the ENAS paper and in
 * NNI, the entropy term is that of the candidates taken, sum_t -p_t log p_t, and is part of the
 * reward, not differentiated; and the baseline moves towards a reward before the reward is
 * compared with it. The list of rewards is what NNI calls ctrl_steps_aggregate.
 *
 * log p is that of the controller as it is now, not as it was when it drew. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "policy/document.h"
#include "policy/enas.h"
#include "policy/memory.h"

/* Beyond it, the squares of gradients could overflow. */
static const double max_reward = 1e8;

/* One reward of an update, with its draw [n_fields]. */
struct reward {
    const uint32_t *draw;
    double          value;
};

/* ---- reading ---- */

static sn_status read_value(const json_t *doc, const char *where, double *ret_value, sn_error *err)
{
    char          place[128];
    const json_t *v = json_object_get(doc, "reward");

    json_place(where, "reward", place, sizeof place);
    if (!json_is_number(v))
        return sn_fail(err, SN_E_INVALID, place, "a reward must be a number, it is %s",
                       v ? "something else" : "missing");
    *ret_value = json_number_value(v);
    if (!(fabs(*ret_value) <= max_reward))
        return sn_fail(err, SN_E_INVALID, place, "a reward of %g is beyond %g", *ret_value,
                       max_reward);
    return SN_OK;
}

/* The field of a choice, n_fields if it has none: they are in the order of the choices. */
static size_t find_field(const struct enas *e, size_t choice)
{
    size_t low = 0, high = e->net.n_fields;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (e->net.field[middle].choice < choice)
            low = middle + 1;
        else
            high = middle;
    }
    return low < e->net.n_fields && e->net.field[low].choice == choice ? low : e->net.n_fields;
}

/* The fields that `choices` names: wanted[t] is a candidate, or ENAS_FIXED for any. */
static sn_status read_choices(const struct enas *e, const sn_supernet *net, const json_t *choices,
                              const char *where, uint32_t *wanted, sn_arena *mem, sn_error *err)
{
    const char *label;
    json_t     *json;
    sn_status   rc = policy_step(e->net.policy, e->net.n_fields, err);

    if (rc) return rc;
    for (size_t t = 0; t < e->net.n_fields; t++)
        wanted[t] = ENAS_FIXED;
    json_object_foreach((json_t *)choices, label, json)
    {
        char             place[256];
        const sn_choice *c;
        sn_value         value;
        size_t           i, t, k = 0;

        json_place(where, label, place, sizeof place);
        if (!sn_supernet_find_choice(net, label, &i))
            return sn_fail(err, SN_E_UNKNOWN_NAME, place, "no choice is labelled \"%s\"", label);
        t = find_field(e, i);
        if (t == e->net.n_fields) continue; /* nothing uses it: no draw says anything about it */
        c = sn_supernet_choice(net, i);
        rc = policy_step(e->net.policy, 16 + c->n_candidates, err);
        if (!rc) rc = json_value(json, place, mem, &value, err);
        if (rc) return rc;
        while (k < c->n_candidates && !sn_value_equal(&c->candidate[k], &value))
            k++;
        if (k == c->n_candidates)
            return sn_fail(err, SN_E_NOT_CANDIDATE, place,
                           "the value is none of the %zu candidates of \"%s\"", c->n_candidates,
                           label);
        wanted[t] = (uint32_t)k;
    }
    return SN_OK;
}

static bool is_draw(const struct enas *e, const uint32_t *draw, const uint32_t *wanted)
{
    for (size_t t = 0; t < e->net.n_fields; t++)
        if (wanted[t] != ENAS_FIXED && wanted[t] != (draw[t] & ~(uint32_t)ENAS_FIXED)) return false;
    return true;
}

/* The newest draw that agrees with what `choices` says. */
static sn_status find_draw(const struct enas *e, const sn_supernet *net, const json_t *choices,
                           const char *where, const uint32_t **ret_draw, sn_error *err)
{
    sn_arena       *mem = sn_arena_create();
    uint32_t       *wanted = mem ? arena_array(mem, e->net.n_fields + 1, sizeof *wanted) : NULL;
    const uint32_t *draw = NULL;
    sn_status       rc = wanted ? read_choices(e, net, choices, where, wanted, mem, err)
                                : fail_no_memory(err, where);

    for (uint64_t i = 0; !rc && (draw = enas_draw_at(e, i)); i++) {
        if (is_draw(e, draw, wanted)) break;
        rc = policy_step(e->net.policy, 1 + e->net.n_fields / 4, err);
    }
    sn_arena_free(mem);
    if (rc) return rc;
    if (!draw)
        return sn_fail(err, SN_E_INVALID, where,
                       "these choices are none of the last %.0f draws of this policy",
                       (double)e->n_held);
    *ret_draw = draw;
    return SN_OK;
}

static sn_status read_reward(const struct enas *e, const sn_supernet *net, const json_t *item,
                             const char *where, struct reward *ret_reward, sn_error *err)
{
    static const char *const allowed[] = {"choices", "reward"};
    char                     place[64];
    const json_t            *choices = NULL;
    sn_status                rc;

    if (!json_is_object(item))
        return sn_fail(err, SN_E_INVALID, where,
                       "must be an object {\"choices\": {...}, \"reward\": number}");
    rc = json_check_members(item, where, allowed, COUNT(allowed), err);
    if (!rc) rc = json_need(item, "choices", where, &choices, err);
    if (!rc) rc = json_get_object(item, "choices", where, &choices, err);
    if (!rc) rc = read_value(item, where, &ret_reward->value, err);
    if (!rc)
        rc = find_draw(e, net, choices, json_place(where, "choices", place, sizeof place),
                       &ret_reward->draw, err);
    return rc;
}

/* All rewards of the document into memory to free(). */
static sn_status read_rewards(const struct enas *e, const sn_supernet *net, const json_t *doc,
                              struct reward **ret_reward, size_t *ret_n, sn_error *err)
{
    const json_t  *one = json_object_get(doc, "reward"), *list = NULL;
    struct reward *reward;
    sn_status      rc = json_get_array(doc, "rewards", "policy", &list, err);
    size_t         n = one ? 1 : json_array_size(list);

    if (rc) return rc;
    if (one && list)
        return sn_fail(err, SN_E_INVALID, "policy", "only one of reward and rewards can be given");
    if (list && n == 0) return sn_fail(err, SN_E_INVALID, "rewards", "the list is empty");
    reward = calloc(n + 1, sizeof *reward);
    if (!reward) return fail_no_memory(err, "policy");
    if (one) {
        rc = read_value(doc, "", &reward->value, err);
        reward->draw = enas_draw_at(e, 0);
        if (!rc && !reward->draw)
            rc = sn_fail(err, SN_E_INVALID, "reward",
                         "nothing was drawn yet that the reward could be for");
    }
    for (size_t i = 0; !rc && list && i < n; i++) {
        char where[64];

        snprintf(where, sizeof where, "rewards[%zu]", i);
        rc = read_reward(e, net, json_array_get(list, i), where, &reward[i], err);
    }
    if (rc) {
        free(reward);
        return rc;
    }
    *ret_reward = reward;
    *ret_n = n;
    return SN_OK;
}

/* ---- learning ---- */

/* Add the gradient of one reward's term. taken and weight [n_fields] are work space. */
static sn_status add_gradient(struct enas *e, const struct reward *r, double share, uint32_t *taken,
                              double *weight, sn_error *err)
{
    const double decay = e->option[ENAS_baseline_decay];
    double       entropy = 0.0, value, *baseline = &e->option[ENAS_baseline];
    sn_status    rc;

    for (size_t t = 0; t < e->net.n_fields; t++)
        taken[t] = r->draw[t] & ~(uint32_t)ENAS_FIXED;
    rc = enas_net_replay(&e->net, taken, weight, err); /* -log p for now */
    if (rc) return rc;
    for (size_t t = 0; t < e->net.n_fields; t++)
        if (!(r->draw[t] & ENAS_FIXED)) entropy += weight[t] * exp(-weight[t]);
    value = r->value + e->option[ENAS_entropy_weight] * entropy;
    *baseline = decay * *baseline + (1.0 - decay) * value;
    for (size_t t = 0; t < e->net.n_fields; t++)
        weight[t] = r->draw[t] & ENAS_FIXED ? 0.0 : share * (value - *baseline);
    return enas_net_backward(&e->net, weight, e->grad, err);
}

/* Scale the gradient down to its largest norm; false if it overflowed. */
static bool clip(double *grad, size_t n, double max_norm)
{
    double norm = 0.0;

    for (size_t i = 0; i < n; i++)
        norm += grad[i] * grad[i];
    norm = sqrt(norm);
    if (!isfinite(norm)) return false;
    for (size_t i = 0; max_norm > 0.0 && norm > max_norm && i < n; i++)
        grad[i] *= max_norm / norm;
    return true;
}

/* Adam with the constants of PyTorch. */
static void step(struct enas *e)
{
    const double b1 = 0.9, b2 = 0.999, eps = 1e-8,
                 n = (double)(e->n_updates += e->n_updates < INT64_MAX);
    const double rate = e->option[ENAS_learning_rate] / (1.0 - pow(b1, n));
    const double scale = 1.0 / (1.0 - pow(b2, n));

    for (size_t i = 0; i < e->net.n_theta; i++) {
        e->mean[i] = b1 * e->mean[i] + (1.0 - b1) * e->grad[i];
        e->square[i] = b2 * e->square[i] + (1.0 - b2) * e->grad[i] * e->grad[i];
        e->net.theta[i] -= rate * e->mean[i] / (sqrt(e->square[i] * scale) + eps);
    }
}

static sn_status learn(struct enas *e, const struct reward *reward, size_t n, sn_error *err)
{
    uint32_t *taken = calloc(e->net.n_fields + 1, sizeof *taken);
    double   *weight = calloc(e->net.n_fields + 1, sizeof *weight);
    sn_status rc = taken && weight ? SN_OK : fail_no_memory(err, "policy");

    if (!rc) rc = policy_step(e->net.policy, 2 * e->net.n_theta, err);
    if (!rc) memset(e->grad, 0, e->net.n_theta * sizeof *e->grad);
    for (size_t i = 0; !rc && i < n; i++)
        rc = add_gradient(e, &reward[i], 1.0 / (double)n, taken, weight, err);
    if (!rc) {
        if (clip(e->grad, e->net.n_theta, e->option[ENAS_gradient_clip]))
            step(e);
        else
            rc = sn_fail(err, SN_E_INVALID, "reward",
                         "the gradient overflowed; the policy stays as it was");
    }
    free(taken);
    free(weight);
    return rc;
}

sn_status enas_update(void *state, const sn_supernet *net, const char *text, sn_error *err)
{
    enum { N_NUMBERS = ENAS_N_OPTIONS - ENAS_N_SHAPE };
    const char     *allowed[N_NUMBERS + 2] = {"reward", "rewards"};
    struct enas    *e = state;
    double          option[ENAS_N_OPTIONS], old[ENAS_N_OPTIONS];
    struct reward  *reward = NULL;
    size_t          n = 0;
    struct document doc;
    sn_status       rc;

    memcpy(allowed + 2, enas_option_name + ENAS_N_SHAPE, N_NUMBERS * sizeof *allowed);
    rc = document_parse(state, text, allowed, COUNT(allowed), &doc, err);
    if (rc) return rc;
    memcpy(option, e->option, sizeof option);
    memcpy(old, e->option, sizeof old);
    rc = enas_read_options(doc.root, ENAS_N_SHAPE, option, err);
    if (!rc) rc = read_rewards(e, net, doc.root, &reward, &n, err);
    if (!rc) enas_apply_options(e, option);
    if (!rc && n) rc = learn(e, reward, n, err);
    if (rc) enas_apply_options(e, old);
    free(reward);
    document_end(&doc);
    return rc;
}
