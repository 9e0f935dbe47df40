/* enas: a controller that learns from rewards which architectures to draw.
 *
 * An LSTM decides the used choices one after the other in the order of the space, each from a
 * softmax that depends on all before it; rewards train it by REINFORCE (enas_reward.c).
 *
 *   resample   draws an architecture and remembers it. A choice that was set by hand is fed to
 *              the LSTM as if it had been drawn, but learns nothing from the reward
 *   export     the most likely candidate at every step, given those before
 *   forward    runs a drawn architecture, remembered as by resample
 *   probs      of each step of that most likely architecture: p(choice | best ones before)
 *
 *   options    see ENAS_OPTIONS in enas.h: {"seed": 0, "lstm_size": 64, "lstm_num_layers": 1,
 *              "tanh_constant": 1.5 (0: none), "temperature": 1, "learning_rate": 3.5e-4,
 *              "entropy_weight": 1e-4, "baseline_decay": 0.999, "baseline": 0,
 *              "gradient_clip": 5 (0: none), "remember": 1024}
 *   update     {"reward": 0.93}    of the last draw, or
 *              {"rewards": [{"choices": {...}, "reward": 0.93}, ...]}, and any of the options
 *              from tanh_constant on
 *   state      all of it, exact: parameters, optimiser, baseline, draws
 *
 * Choices that take several candidates are refused, as in NNI.
 *
 * Pham et al., Efficient Neural Architecture Search via Parameter Sharing, ICML 2018;
 * ReinforceController of NNI v2.8. */
#include "policy/enas.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "policy/decide.h"
#include "policy/document.h"
#include "policy/memory.h"
#include "supernet/op.h"

const char *const enas_option_name[ENAS_N_OPTIONS] = {
#define X(name, fallback, min, max) #name,
    ENAS_OPTIONS(X)
#undef X
};

static const struct range {
    double fallback, min, max;
} ranges[ENAS_N_OPTIONS] = {
#define X(name, fallback, min, max) {fallback, min, max},
    ENAS_OPTIONS(X)
#undef X
};

sn_status enas_read_options(const json_t *doc, enum enas_option first, double *option,
                            sn_error *err)
{
    for (enum enas_option i = first; i < ENAS_N_OPTIONS; i++) {
        const char  *name = enas_option_name[i];
        const double min = ranges[i].min, max = ranges[i].max;
        sn_status    rc = json_get_real(doc, name, "policy", &option[i], err);

        if (rc) return rc;
        if (!(option[i] >= min && option[i] <= max))
            return sn_fail(err, SN_E_INVALID, name, "%s is %g; it must be from %g to %g", name,
                           option[i], min, max);
        if (i < ENAS_N_SHAPE && option[i] != floor(option[i]))
            return sn_fail(err, SN_E_INVALID, name, "%s is %g; it must be a whole number", name,
                           option[i]);
    }
    return SN_OK;
}

void enas_apply_options(struct enas *e, const double *option)
{
    memcpy(e->option, option, sizeof e->option);
    e->net.tanh_constant = option[ENAS_tanh_constant];
    e->net.temperature = option[ENAS_temperature];
}

static sn_status create(struct enas *e, const sn_supernet *net, const double *option, uint64_t seed,
                        sn_error *err)
{
    const size_t n_draws = (size_t)option[ENAS_remember];
    sn_status    rc = enas_net_init(&e->net, net, (size_t)option[ENAS_lstm_size],
                                    (size_t)option[ENAS_lstm_num_layers], seed, err);

    if (rc) return rc;
    enas_apply_options(e, option);
    e->mean = policy_calloc(e->net.policy, e->net.n_theta, sizeof *e->mean);
    e->square = policy_calloc(e->net.policy, e->net.n_theta, sizeof *e->square);
    e->grad = policy_calloc(e->net.policy, e->net.n_theta, sizeof *e->grad);
    e->draw = policy_calloc(e->net.policy, n_draws, sizeof *e->draw);
    if (!e->mean || !e->square || !e->grad || !e->draw) return fail_no_memory(err, "policy");
    return SN_OK;
}

static sn_status enas_init(void *state, const sn_supernet *net, const char *options, sn_error *err)
{
    const char     *allowed[ENAS_N_OPTIONS + 1];
    double          option[ENAS_N_OPTIONS];
    struct document doc = {0};
    struct enas    *e = state;
    int64_t         seed = 0;
    sn_status       rc = SN_OK;

    memcpy(allowed, enas_option_name, sizeof enas_option_name);
    allowed[ENAS_N_OPTIONS] = "seed";
    for (size_t i = 0; i < ENAS_N_OPTIONS; i++)
        option[i] = ranges[i].fallback;
    e->net.policy = state;
    if (options) {
        rc = document_parse(state, options, allowed, COUNT(allowed), &doc, err);
        if (!rc) rc = json_get_int(doc.root, "seed", "policy", 0, INT64_MAX, &seed, err);
        if (!rc) rc = enas_read_options(doc.root, 0, option, err);
    }
    if (!rc) rc = create(e, net, option, (uint64_t)seed, err);
    document_end(&doc);
    return rc;
}

void enas_free_learnt(struct enas *e)
{
    void *const  policy = e->net.policy;
    const size_t n_draws = (size_t)e->option[ENAS_remember];

    for (size_t i = 0; e->draw && i < n_draws; i++)
        policy_free(policy, e->draw[i], e->net.n_fields, sizeof **e->draw);
    policy_free(policy, e->draw, n_draws, sizeof *e->draw);
    policy_free(policy, e->mean, e->net.n_theta, sizeof *e->mean);
    policy_free(policy, e->square, e->net.n_theta, sizeof *e->square);
}

static void enas_fini(void *state)
{
    struct enas *e = state;

    enas_free_learnt(e);
    policy_free(e->net.policy, e->grad, e->net.n_theta, sizeof *e->grad);
    enas_net_fini(&e->net);
}

/* ---- draws ---- */

const uint32_t *enas_draw_at(const struct enas *e, uint64_t i)
{
    const uint64_t n = (uint64_t)e->option[ENAS_remember];

    return i < e->n_held ? e->draw[(e->n_drawn - 1 - i) % n] : NULL;
}

sn_status enas_remember(struct enas *e, const uint32_t *draw, sn_error *err)
{
    const uint64_t n = (uint64_t)e->option[ENAS_remember];
    uint32_t     **at = &e->draw[e->n_drawn % n];

    if (!*at) *at = policy_calloc(e->net.policy, e->net.n_fields, sizeof **at);
    if (!*at) return fail_no_memory(err, "policy");
    memcpy(*at, draw, e->net.n_fields * sizeof **at);
    if (e->n_drawn == INT64_MAX) e->n_drawn = n + e->n_drawn % n; /* the same place of the ring */
    e->n_drawn++;
    if (e->n_held < n) e->n_held++;
    return SN_OK;
}

/* The place of what was set by hand. */
static sn_status fixed_candidate(const sn_choice *c, const sn_draft *draft, size_t choice,
                                 size_t *ret_candidate, sn_error *err)
{
    const sn_value *v = sn_draft_get(draft, choice);

    for (size_t k = 0; v && k < c->n_candidates; k++)
        if (sn_value_equal(&c->candidate[k], v)) {
            *ret_candidate = k;
            return SN_OK;
        }
    return sn_fail(err, SN_E_UNSUPPORTED, c->label,
                   "policy \"enas\" goes on from one candidate of each choice, but \"%s\" is %s",
                   c->label, v ? "set to several" : "left to a distribution");
}

static size_t most_likely(const double *p, size_t n)
{
    size_t best = 0;

    for (size_t k = 1; k < n; k++)
        if (p[k] > p[best]) best = k;
    return best;
}

static size_t draw_from(const double *p, size_t n, sn_rng *rng)
{
    double at = sn_rng_unit(rng);
    size_t k = 0;

    while (k + 1 < n && at >= p[k])
        at -= p[k++];
    return k;
}

/* Run the controller over the draft; rng NULL takes the most likely candidates. */
static sn_status decide(struct enas *e, const sn_supernet *net, sn_rng *rng, sn_draft *draft,
                        uint32_t *ret_draw, sn_error *err)
{
    enas_net_begin(&e->net);
    for (size_t t = 0; t < e->net.n_fields; t++) {
        const struct enas_field *f = &e->net.field[t];
        const sn_choice         *c = sn_supernet_choice(net, f->choice);
        const double            *p = enas_net_step(&e->net);
        const bool               open = decide_is_open(net, draft, f->choice);
        size_t                   k = p && !rng ? most_likely(p, f->n) : 0;
        sn_status                rc;

        if (!p) return enas_net_stopped(err);
        if (open && rng) k = draw_from(p, f->n, rng);
        rc = open ? sn_draft_set(draft, c->label, &c->candidate[k], err)
                  : fixed_candidate(c, draft, f->choice, &k, err);
        if (rc) return rc;
        enas_net_take(&e->net, k);
        ret_draw[t] = (uint32_t)k | (open ? 0 : ENAS_FIXED);
    }
    return SN_OK;
}

static sn_status enas_resample(void *state, const sn_supernet *net, sn_rng *rng, sn_draft *draft,
                               sn_error *err)
{
    struct enas *e = state;
    uint32_t    *drawn = calloc(e->net.n_fields + 1, sizeof *drawn);
    sn_status    rc = drawn ? SN_OK : fail_no_memory(err, "policy");

    if (!rc) rc = decide(e, net, rng, draft, drawn, err);
    if (!rc) rc = enas_remember(e, drawn, err);
    free(drawn);
    return rc;
}

static sn_status enas_best(void *state, const sn_supernet *net, sn_rng *rng, sn_draft *draft,
                           sn_error *err)
{
    struct enas *e = state;
    uint32_t    *drawn = calloc(e->net.n_fields + 1, sizeof *drawn);
    sn_status    rc = drawn ? SN_OK : fail_no_memory(err, "policy");

    (void)rng;
    if (!rc) rc = decide(e, net, NULL, draft, drawn, err);
    free(drawn);
    return rc;
}

static sn_status enas_probs(void *state, const sn_supernet *net, sn_rng *rng, size_t choice,
                            float *ret_probs, sn_error *err)
{
    struct enas     *e = state;
    const sn_choice *c = sn_supernet_choice(net, choice);

    (void)rng;
    enas_net_begin(&e->net);
    for (size_t t = 0; t < e->net.n_fields; t++) {
        const struct enas_field *f = &e->net.field[t];
        const double            *p = enas_net_step(&e->net);

        if (!p) return enas_net_stopped(err);
        if (f->choice == choice) {
            for (size_t k = 0; k < f->n; k++)
                ret_probs[k] = (float)p[k];
            return SN_OK;
        }
        enas_net_take(&e->net, most_likely(p, f->n));
    }
    return sn_fail(err, SN_E_UNKNOWN_NAME, c ? c->label : "policy", "nothing uses this choice");
}

const sn_policy_class sn_policy_enas = {
    .size = sizeof(sn_policy_class),
    .abi = SN_POLICY_ABI,
    .name = "enas",
    .about = "a controller that learns from rewards which architectures to draw",
    .state_bytes = sizeof(struct enas),
    .init = enas_init,
    .fini = enas_fini,
    .resample = enas_resample,
    .best = enas_best,
    .probs = enas_probs,
    .update = enas_update,
    .save = enas_save,
    .load = enas_load,
    .movable = true,
};
