/* proxyless: one path at a time, drawn from architecture logits.
 *
 *   resample   one candidate from softmax(alpha) for every open choice. A k-of-n choice gets k
 *              different ones, drawn one after the other without putting back, in ascending
 *              order; a choice of any number gets one, as in NNI
 *   export     the largest logit, as for "differentiable"
 *   forward    runs a path drawn as by resample
 *   probs      softmax(alpha)
 *
 *   options    {"seed": 0, "alpha": {"label": [logits]}}
 *   update     {"alpha": {...}}    all of it or nothing
 *   state      {"alpha": {...}}
 *
 * Cai et al., ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware,
 * ICLR 2019. */
#include <stdlib.h>

#include "base/json.h"
#include "policy/alpha.h"
#include "policy/decide.h"
#include "policy/document.h"
#include "supernet/op.h"

static sn_status read_alpha(struct alpha *a, const sn_supernet *net, const char *text,
                            sn_error *err)
{
    static const char *const allowed[] = {"alpha"};
    struct document          doc;
    sn_status rc = document_parse(a->policy, text, allowed, COUNT(allowed), &doc, err);

    if (rc) return rc;
    if (json_object_get(doc.root, "alpha"))
        rc = alpha_update(a, net, json_object_get(doc.root, "alpha"), err);
    document_end(&doc);
    return rc;
}

static sn_status proxyless_init(void *state, const sn_supernet *net, const char *options,
                                sn_error *err)
{
    static const char *const allowed[] = {"seed", "alpha"};
    struct document          doc = {0};
    int64_t                  seed = 0;
    sn_status                rc = SN_OK;

    ((struct alpha *)state)->policy = state;
    if (options) {
        rc = document_parse(state, options, allowed, COUNT(allowed), &doc, err);
        if (!rc) rc = json_get_int(doc.root, "seed", "policy", 0, INT64_MAX, &seed, err);
    }
    if (!rc) rc = alpha_init(state, net, (uint64_t)seed, err);
    if (!rc && json_object_get(doc.root, "alpha"))
        rc = alpha_update(state, net, json_object_get(doc.root, "alpha"), err);
    document_end(&doc);
    return rc;
}

static void proxyless_fini(void *state)
{
    alpha_fini(state);
}

static sn_status proxyless_resample(void *state, const sn_supernet *net, sn_rng *rng,
                                    sn_draft *draft, sn_error *err)
{
    const struct alpha *a = state;

    for (size_t i = 0; i < a->n_choices; i++) {
        sn_status rc;

        if (!decide_is_open(net, draft, i)) continue;
        rc = alpha_draw(a, net, i, rng, draft, err);
        if (rc) return rc;
    }
    return SN_OK;
}

static sn_status proxyless_best(void *state, const sn_supernet *net, sn_rng *rng, sn_draft *draft,
                                sn_error *err)
{
    (void)rng;
    return alpha_best(state, net, draft, err);
}

static sn_status proxyless_probs(void *state, const sn_supernet *net, sn_rng *rng, size_t choice,
                                 float *ret_probs, sn_error *err)
{
    (void)rng;
    return alpha_probs(state, net, choice, ret_probs, err);
}

static sn_status proxyless_update(void *state, const sn_supernet *net, const char *text,
                                  sn_error *err)
{
    return read_alpha(state, net, text, err);
}

static sn_status proxyless_save(const void *state, const sn_supernet *net, const sn_sink *sink,
                                sn_error *err)
{
    struct text t = {0};
    sn_status   rc;

    text_printf(&t, "{\"alpha\": ");
    rc = alpha_write(state, net, &t, sink, err);
    if (rc) return rc;
    text_printf(&t, "}");
    return text_flush(&t, sink, err);
}

const sn_policy_class sn_policy_proxyless = {
    .size = sizeof(sn_policy_class),
    .abi = SN_POLICY_ABI,
    .name = "proxyless",
    .about = "one path at a time, drawn from the softmax of architecture logits",
    .state_bytes = sizeof(struct alpha),
    .init = proxyless_init,
    .fini = proxyless_fini,
    .resample = proxyless_resample,
    .best = proxyless_best,
    .probs = proxyless_probs,
    .update = proxyless_update,
    .save = proxyless_save,
    .load = proxyless_update,
    .movable = true,
};
