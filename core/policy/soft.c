/* soft: the policies whose subnets blend candidates.
 *
 *   differentiable   weights = softmax(alpha)
 *                    Liu et al., DARTS: Differentiable Architecture Search, ICLR 2019
 *   gumbel           weights = softmax((alpha + Gumbel noise) / temperature), new noise for
 *                    every request; the caller anneals the temperature
 *                    Jang et al., Categorical Reparameterization with Gumbel-Softmax, ICLR 2017
 *
 *   resample   leaves every open choice to its distribution
 *   export     the largest logit, the first of equal ones; the k largest in ascending order of
 *              their places where k are chosen, all where any number is
 *   forward    every candidate at once, blended by the weights
 *   probs      the weights
 *
 *   options   {"seed": 0, "temperature": 1.0, "alpha": {"label": [logits]}}
 *   update    {"alpha": {...}, "temperature": 0.5}    all of it or nothing
 *   state     {"alpha": {...}, "temperature": 0.5}
 * temperature is for gumbel alone. */
#include <math.h>
#include <stdlib.h>

#include "base/json.h"
#include "policy/alpha.h"
#include "policy/document.h"
#include "policy/edges.h"
#include "supernet/op.h"

struct soft {
    struct alpha alpha;
    double       temperature;
};

/* What init, update and load have in common: members that may all be absent. */
static sn_status take(struct soft *s, const sn_supernet *net, const json_t *doc, sn_error *err)
{
    double        temperature = s->temperature;
    const json_t *alpha = json_object_get(doc, "alpha");
    sn_status     rc = json_get_real(doc, "temperature", "policy", &temperature, err);

    if (!rc && !((float)temperature > 0.0f && isfinite((float)temperature)))
        rc = sn_fail(err, SN_E_INVALID, "temperature",
                     "temperature is %g, it must be a finite number above 0", temperature);
    if (!rc && alpha) rc = alpha_update(&s->alpha, net, alpha, err);
    if (!rc) s->temperature = temperature;
    return rc;
}

static sn_status read(struct soft *s, const sn_supernet *net, const char *text, bool gumbel,
                      sn_error *err)
{
    static const char *const allowed[] = {"alpha", "temperature"};
    struct document          doc;
    sn_status                rc = document_parse(s, text, allowed, gumbel ? 2 : 1, &doc, err);

    if (rc) return rc;
    rc = take(s, net, doc.root, err);
    document_end(&doc);
    return rc;
}

static sn_status init(struct soft *s, const sn_supernet *net, const char *options, bool gumbel,
                      sn_error *err)
{
    static const char *const allowed[] = {"seed", "alpha", "temperature"};
    struct document          doc = {0};
    int64_t                  seed = 0;
    sn_status                rc = SN_OK;

    s->temperature = 1.0;
    s->alpha.policy = s;
    if (options) {
        rc = document_parse(s, options, allowed, gumbel ? 3 : 2, &doc, err);
        if (!rc) rc = json_get_int(doc.root, "seed", "policy", 0, INT64_MAX, &seed, err);
    }
    if (!rc) rc = alpha_init(&s->alpha, net, (uint64_t)seed, err);
    if (!rc) rc = edges_init(&s->alpha, net, (uint64_t)seed, err);
    if (!rc && doc.root) rc = take(s, net, doc.root, err);
    document_end(&doc);
    return rc;
}

static void soft_fini(void *state)
{
    alpha_fini(&((struct soft *)state)->alpha);
}

static sn_status soft_resample(void *state, const sn_supernet *net, sn_rng *rng, sn_draft *draft,
                               sn_error *err)
{
    const sn_status rc = alpha_soften(&((struct soft *)state)->alpha, net, draft, err);

    (void)rng;
    return rc ? rc : edges_soften(net, draft, err);
}

static sn_status soft_best(void *state, const sn_supernet *net, sn_rng *rng, sn_draft *draft,
                           sn_error *err)
{
    const struct alpha *a = &((struct soft *)state)->alpha;
    const sn_status     rc = alpha_best(a, net, draft, err);

    (void)rng;
    return rc ? rc : edges_best(a, net, draft, err);
}

static sn_status no_logits(size_t choice, const sn_supernet *net, sn_error *err)
{
    const sn_choice *c = sn_supernet_choice(net, choice);

    return sn_fail(err, SN_E_UNKNOWN_NAME, c ? c->label : "policy", "nothing uses this choice");
}

/* ---- differentiable ---------------------------------------------------------------- */

static sn_status differentiable_init(void *state, const sn_supernet *net, const char *options,
                                     sn_error *err)
{
    return init(state, net, options, false, err);
}

static sn_status differentiable_probs(void *state, const sn_supernet *net, sn_rng *rng,
                                      size_t choice, float *ret_probs, sn_error *err)
{
    (void)rng;
    return alpha_probs(&((struct soft *)state)->alpha, net, choice, ret_probs, err);
}

static sn_status differentiable_update(void *state, const sn_supernet *net, const char *text,
                                       sn_error *err)
{
    return read(state, net, text, false, err);
}

static sn_status differentiable_save(const void *state, const sn_supernet *net, const sn_sink *sink,
                                     sn_error *err)
{
    struct text t = {0};
    sn_status   rc;

    text_printf(&t, "{\"alpha\": ");
    rc = alpha_write(&((const struct soft *)state)->alpha, net, &t, sink, err);
    if (rc) return rc;
    text_printf(&t, "}");
    return text_flush(&t, sink, err);
}

const sn_policy_class sn_policy_differentiable = {
    .size = sizeof(sn_policy_class),
    .abi = SN_POLICY_ABI,
    .name = "differentiable",
    .about = "every candidate at once, weighted by the softmax of architecture logits",
    .state_bytes = sizeof(struct soft),
    .init = differentiable_init,
    .fini = soft_fini,
    .resample = soft_resample,
    .best = soft_best,
    .probs = differentiable_probs,
    .update = differentiable_update,
    .save = differentiable_save,
    .load = differentiable_update,
    .movable = true,
};

/* ---- gumbel -------------------------------------------------------------------------- */

static sn_status gumbel_init(void *state, const sn_supernet *net, const char *options,
                             sn_error *err)
{
    return init(state, net, options, true, err);
}

static sn_status gumbel_probs(void *state, const sn_supernet *net, sn_rng *rng, size_t choice,
                              float *ret_probs, sn_error *err)
{
    const struct soft *s = state;
    size_t             n;
    float             *noise;

    if (choice >= s->alpha.n_choices || !s->alpha.logit[choice]) return no_logits(choice, net, err);
    n = sn_supernet_choice(net, choice)->n_candidates;
    noise = malloc(n * sizeof *noise);
    if (!noise) return fail_no_memory(err, "policy");
    for (size_t k = 0; k < n; k++)
        noise[k] = (float)alpha_gumbel(rng);
    alpha_softmax(&s->alpha, choice, n, noise, (float)s->temperature, ret_probs);
    free(noise);
    return SN_OK;
}

static sn_status gumbel_update(void *state, const sn_supernet *net, const char *text, sn_error *err)
{
    return read(state, net, text, true, err);
}

static sn_status gumbel_save(const void *state, const sn_supernet *net, const sn_sink *sink,
                             sn_error *err)
{
    const struct soft *s = state;
    const sn_value     temperature = {.kind = SN_KIND_FLOAT, .as.real = s->temperature};
    struct text        t = {0};
    sn_status          rc;

    text_printf(&t, "{\"temperature\": ");
    text_json_value(&t, &temperature);
    text_printf(&t, ", \"alpha\": ");
    rc = alpha_write(&s->alpha, net, &t, sink, err);
    if (rc) return rc;
    text_printf(&t, "}");
    return text_flush(&t, sink, err);
}

const sn_policy_class sn_policy_gumbel = {
    .size = sizeof(sn_policy_class),
    .abi = SN_POLICY_ABI,
    .name = "gumbel",
    .about = "as differentiable, with Gumbel noise and a temperature that the caller anneals",
    .state_bytes = sizeof(struct soft),
    .init = gumbel_init,
    .fini = soft_fini,
    .resample = soft_resample,
    .best = soft_best,
    .probs = gumbel_probs,
    .update = gumbel_update,
    .save = gumbel_save,
    .load = gumbel_update,
    .movable = true,
};
