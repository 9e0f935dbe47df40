/* network: a case that computes something: load, decide, compile, run, and hold what
 * comes out against what the original computed. */
#include "conformance.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supernet/expr.h"
#include "supernet/train.h"
#include "supernet/weights.h"

enum { SEED = 20230401 };

/* One case on its way; what it holds is freed at the end, wherever it stopped. */
struct run {
    struct trial       t;
    sn_exactness       exactness;
    sn_compile_options options;
    sn_draft          *draft;
    sn_policy         *policy;
    sn_subnet         *subnet;
    sn_plan           *plan;
    sn_state          *state;
    sn_desc           *in_desc;
    sn_tensor         *in, *out;
    size_t             n_in, n_out;
    float            **probs; /* one for each choice, in t.mem; NULL: not soft */
    void              *scratch;
};

static bool refuse(struct run *x, enum phase at)
{
    x->t.at = at;
    return false;
}

/* Results must be written: what is not shows as NaN. */
static void *poisoned(size_t n_bytes)
{
    void *p = aligned_alloc(SN_ALIGN_BYTES, (n_bytes / SN_ALIGN_BYTES + 1) * SN_ALIGN_BYTES);

    if (p) memset(p, 0xff, n_bytes);
    return p;
}

/* ---- deciding: path ---------------------------------------------------------------- */

/* {label: value} of all used labels, against an expected mapping. */
static void compare_decisions(struct run *x, const char *what, const json_t *want,
                              const sn_draft *draft, bool without_given)
{
    const json_t *chosen = json_object_get(x->t.g->doc, "chosen");
    size_t        n = 0;

    if (!json_is_object(want)) {
        report_fail(x->t.r, "\"%s\" is no mapping", what);
        return;
    }
    for (size_t i = 0; i < sn_supernet_n_choices(x->t.net); i++) {
        const sn_choice *c = sn_supernet_choice(x->t.net, i);
        const sn_value  *have = sn_draft_get(draft, i);
        const json_t    *v = json_object_get(want, c->label);
        char             text[256];

        if (c->n_users == 0) continue;
        /* A Cell in the form of edges returns only what it had to draw. */
        if (without_given && json_object_get(chosen, c->label) &&
            translate_is_edge_label(x->t.g, c->label))
            continue;
        n++;
        if (!have)
            report_fail(x->t.r, "%s: \"%s\" is still open", what, c->label);
        else if (!v)
            report_fail(x->t.r, "%s: \"%s\" is not expected", what, c->label);
        else if (!compare_value(v, have))
            report_fail(x->t.r, "%s: \"%s\" is %s", what, c->label,
                        sn_value_text(have, text, sizeof text));
    }
    if (n != json_object_size(want))
        report_fail(x->t.r, "%s: %zu labels, expected %zu", what, n, json_object_size(want));
}

static bool decide_path(struct run *x)
{
    const json_t *doc = x->t.g->doc;
    const bool    fails = !json_is_null(json_object_get(doc, "error"));
    const json_t *want = json_object_get(doc, "resampled");
    sn_rng        rng;

    if (json_is_null(json_object_get(doc, "chosen"))) return true; /* nothing was sampled */
    if (!trial_choose(&x->t, x->draft)) return false;
    if (sn_policy_create(x->t.net, "path", NULL, &x->policy, &x->t.err) != SN_OK) {
        report_error(x->t.r, "policy", &x->t.err);
        x->t.err = (sn_error){0};
        return false;
    }
    sn_rng_seed(&rng, SEED);
    if (sn_policy_resample(x->policy, &rng, x->draft, &x->t.err) != SN_OK)
        return refuse(x, PHASE_RESAMPLE);
    if (!json_is_null(want) || !fails) compare_decisions(x, "resampled", want, x->draft, true);
    return true;
}

/* ---- deciding: a distribution for every label ------------------------------------------ */

/* What the policy would export, decided in a draft of its own. */
static bool compare_exported(struct run *x)
{
    const json_t *want = json_object_get(x->t.g->doc, "exported");
    const bool    fails = !json_is_null(json_object_get(x->t.g->doc, "error"));
    sn_draft     *draft = NULL;
    sn_rng        rng;
    bool          ok;

    sn_rng_seed(&rng, SEED);
    ok = sn_draft_create(x->t.net, &draft, &x->t.err) == SN_OK &&
         sn_policy_best(x->policy, &rng, draft, &x->t.err) == SN_OK;
    if (ok && (!json_is_null(want) || !fails)) compare_decisions(x, "exported", want, draft, false);
    sn_draft_free(draft);
    return ok || refuse(x, PHASE_RESAMPLE);
}

/* The weights that the policy gives to a soft choice. */
static bool ask_policy(struct run *x, size_t i, sn_rng *rng, float *ret_probs)
{
    if (!x->policy) return true; /* that there is none is already a reason to fail */
    return sn_policy_probs(x->policy, rng, i, ret_probs, &x->t.err) == SN_OK ||
           refuse(x, PHASE_FORWARD);
}

/* Softmax of the logits; the policy must agree. */
static bool fill_probs(struct run *x, size_t i, sn_rng *rng)
{
    const sn_choice *c = sn_supernet_choice(x->t.net, i);
    const json_t    *alpha = json_object_get(json_object_get(x->t.g->doc, "alpha"), c->label);
    float           *own = sn_arena_alloc(x->t.mem, (c->n_candidates + 1) * sizeof *own);
    float           *policy = sn_arena_alloc(x->t.mem, (c->n_candidates + 1) * sizeof *policy);

    if (!own || !policy) {
        report_fail(x->t.r, "no memory");
        return false;
    }
    if (!ask_policy(x, i, rng, policy)) return false;
    x->probs[i] = alpha ? own : policy; /* an inner choice, such as an edge, has no logits here */
    if (alpha && !softmax_of(alpha, own, c->n_candidates)) {
        report_fail(x->t.r, "\"%s\" has %zu candidates and %zu logits", c->label, c->n_candidates,
                    json_array_size(alpha));
        return false;
    }
    for (size_t j = 0; x->policy && j < c->n_candidates; j++)
        if (!(fabsf(policy[j] - x->probs[i][j]) <= 1e-6f))
            report_fail(x->t.r, "weight %zu of \"%s\" is %.9g, expected %.9g", j, c->label,
                        (double)policy[j], (double)x->probs[i][j]);
    return true;
}

static bool decide_soft(struct run *x)
{
    const json_t *alpha = json_object_get(x->t.g->doc, "alpha");
    const size_t  n = sn_supernet_n_choices(x->t.net);
    sn_rng        rng;

    x->policy = trial_differentiable(&x->t);
    if (x->t.err.code != SN_OK) return false;
    if (x->policy && !compare_exported(x)) return false;
    x->probs = sn_arena_alloc(x->t.mem, (n + 1) * sizeof *x->probs);
    if (!x->probs) {
        report_fail(x->t.r, "no memory");
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        const sn_choice *c = sn_supernet_choice(x->t.net, i);

        if (json_object_get(alpha, c->label) &&
            sn_draft_soften(x->draft, c->label, &x->t.err) != SN_OK)
            return refuse(x, PHASE_RESAMPLE);
    }
    sn_rng_seed(&rng, SEED);
    if (x->policy && sn_policy_resample(x->policy, &rng, x->draft, &x->t.err) != SN_OK)
        return refuse(x, PHASE_RESAMPLE);
    for (size_t i = 0; i < n; i++)
        if (sn_draft_is_soft(x->draft, i) && !fill_probs(x, i, &rng)) return false;
    return true;
}

/* ---- compiling -------------------------------------------------------------------------- */

static bool collect_inputs(struct run *x)
{
    const json_t *names = json_object_get(x->t.g->doc, "inputs");

    x->n_in = json_array_size(names);
    x->in = calloc(x->n_in + 1, sizeof *x->in);
    x->in_desc = calloc(x->n_in + 1, sizeof *x->in_desc);
    if (!x->in || !x->in_desc) {
        report_fail(x->t.r, "no memory");
        return false;
    }
    for (size_t i = 0; i < x->n_in; i++) {
        const char *name = json_string_value(json_array_get(names, i));

        if (!name || !golden_tensor(x->t.g, name, &x->in[i], x->t.r)) return false;
        x->in_desc[i] = (sn_desc){x->in[i].dtype, x->in[i].shape};
    }
    return true;
}

static bool collect_outputs(struct run *x, const sn_plan_info *info)
{
    x->n_out = info->n_out;
    x->out = calloc(x->n_out + 1, sizeof *x->out);
    if (!x->out) {
        report_fail(x->t.r, "no memory");
        return false;
    }
    for (size_t i = 0; i < x->n_out; i++) {
        const sn_desc *d = &info->out[i];
        void          *data;

        if (d->dtype == SN_NONE) continue; /* not produced */
        data = poisoned((size_t)sn_shape_count(&d->shape) * sn_dtype_bytes(d->dtype));
        if (!data) {
            report_fail(x->t.r, "no memory");
            return false;
        }
        x->out[i] = sn_tensor_dense(d->dtype, &d->shape, data);
    }
    x->scratch = poisoned(info->scratch_bytes);
    return x->scratch != NULL;
}

static bool compile(struct run *x)
{
    const bool train = json_is_true(json_object_get(x->t.g->doc, "training"));

    if (sn_draft_seal(x->draft, &x->subnet, &x->t.err) != SN_OK) return refuse(x, PHASE_RESAMPLE);
    if (!collect_inputs(x)) return false;
    x->options = (sn_compile_options){.size = sizeof x->options,
                                      .mode = train ? SN_TRAIN : SN_EVAL,
                                      .exactness = x->exactness,
                                      .in = x->in_desc,
                                      .n_in = x->n_in};
    if (sn_plan_compile(x->subnet, &x->options, &x->plan, &x->t.err) != SN_OK)
        return refuse(x, PHASE_FORWARD);
    if (train && sn_state_create(x->t.net, &x->state, &x->t.err) != SN_OK)
        return refuse(x, PHASE_FORWARD);
    return collect_outputs(x, sn_plan_describe(x->plan));
}

/* ---- results -------------------------------------------------------------------------------- */

static void compare_outputs(struct run *x)
{
    const json_t *names = json_object_get(x->t.g->doc, "outputs");

    if (json_array_size(names) != x->n_out) {
        report_fail(x->t.r, "%zu outputs, expected %zu", x->n_out, json_array_size(names));
        return;
    }
    for (size_t i = 0; i < x->n_out; i++) {
        const json_t *name = json_array_get(names, i);
        sn_tensor     want;

        if (json_is_null(name)) {
            if (x->out[i].dtype != SN_NONE) report_fail(x->t.r, "output %zu should be absent", i);
        } else if (!json_is_string(name)) {
            report_fail(x->t.r, "an entry of outputs is no text");
        } else if (golden_tensor(x->t.g, json_string_value(name), &want, x->t.r)) {
            compare_tensor(json_string_value(name), &want, &x->out[i], x->t.r);
        }
    }
}

/* The tensor after the call: of the state in training mode, if it is a statistic that
 * training moves; otherwise the loaded one, which nothing may have touched. */
static bool find_after(const struct run *x, const char *name, sn_tensor *ret_tensor)
{
    for (size_t i = 0; x->state && i < sn_state_count(x->state); i++)
        if (strcmp(sn_state_at(x->state, i, ret_tensor), name) == 0) return true;
    return sn_weights_find(x->t.weights, name, ret_tensor);
}

static void compare_states(struct run *x)
{
    static const char prefix[] = "after.";
    const json_t     *before = json_object_get(x->t.g->doc, "state_before");
    const json_t     *after = json_object_get(x->t.g->doc, "state_after");

    if (json_array_size(before) != json_array_size(after))
        report_fail(x->t.r, "state_before and state_after do not have the same length");
    for (size_t i = 0; i < json_array_size(after); i++) {
        const char *name = json_string_value(json_array_get(after, i));
        sn_tensor   want, have;

        if (!name || strncmp(name, prefix, strlen(prefix)) != 0)
            report_fail(x->t.r, "an entry of state_after does not begin with \"%s\"", prefix);
        else if (golden_tensor(x->t.g, name, &want, x->t.r)) {
            if (find_after(x, name + strlen(prefix), &have))
                compare_tensor(name, &want, &have, x->t.r);
            else
                report_fail(x->t.r, "there is no state \"%s\"", name + strlen(prefix));
        }
    }
}

static bool forward(struct run *x)
{
    const sn_run_options options = {.size = sizeof options,
                                    .scratch = x->scratch,
                                    .probs = (const float *const *)x->probs,
                                    .state = x->state};

    if (sn_plan_forward(x->plan, x->in, x->out, &options, &x->t.err) != SN_OK)
        return refuse(x, PHASE_FORWARD);
    return true;
}

/* ---- the whole case ---------------------------------------------------------------------------
 */

static bool decide(struct run *x)
{
    if (sn_draft_create(x->t.net, &x->draft, &x->t.err) != SN_OK) return refuse(x, PHASE_RESAMPLE);
    return golden_is_path(x->t.g) ? decide_path(x) : decide_soft(x);
}

static void fini(struct run *x)
{
    for (size_t i = 0; x->out && i < x->n_out; i++)
        free(x->out[i].data);
    free(x->out);
    free(x->in);
    free(x->in_desc);
    free(x->scratch);
    sn_state_free(x->state);
    sn_plan_unref(x->plan);
    sn_subnet_unref(x->subnet);
    sn_policy_free(x->policy);
    sn_draft_free(x->draft);
    trial_fini(&x->t);
}

void run_network(const struct golden *g, sn_registry *reg, sn_exactness exactness, struct report *r)
{
    const json_t *error = json_object_get(g->doc, "error");
    struct run    x = {.exactness = exactness};
    const bool    done = trial_load(&x.t, g, reg, r) && decide(&x) && compile(&x) && forward(&x);

    if (json_is_object(error)) {
        if (done)
            fail_not_refused(r, error);
        else if (x.t.err.code != SN_OK)
            check_refusal(error, x.t.at, &x.t.err, r);
    } else if (done) {
        const struct batches b = {x.subnet, x.plan, x.options, x.in, (const float *const *)x.probs};

        compare_outputs(&x);
        compare_states(&x);
        compare_batches(&b, r);
    } else if (x.t.err.code != SN_OK) {
        static const char *const doing[] = {"load", "resample", "forward", "evaluate"};

        report_error(r, doing[x.t.at], &x.t.err);
    }
    if (!done && x.t.err.code == SN_OK && r->n_reasons == 0)
        report_fail(r, "stopped without a reason");
    fini(&x);
}
