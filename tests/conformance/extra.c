/* extra: what later versions of the original export. */
#include "conformance.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supernet/train.h"
#include "supernet/weights.h"

enum { SEED = 20230401 };

/* ---- probs: "<label>/<value>" -> weight ------------------------------------------- */

/* As Python's str(): a text without quotes, everything else as its repr. */
static void key_of(const char *label, const sn_value *v, char *buf, size_t n_bytes)
{
    char text[200];

    snprintf(buf, n_bytes, "%s/%s", label,
             v->kind == SN_KIND_TEXT ? v->as.text : sn_value_text(v, text, sizeof text));
}

static void add_probs(struct trial *t, sn_policy *policy, size_t i, json_t *all)
{
    const sn_choice *c = sn_supernet_choice(t->net, i);
    float           *weight = calloc(c->n_candidates + 1, sizeof *weight);
    sn_rng           rng;

    sn_rng_seed(&rng, SEED);
    if (!weight)
        report_fail(t->r, "no memory");
    else if (sn_policy_probs(policy, &rng, i, weight, &t->err) != SN_OK)
        report_error(t->r, "probs", &t->err);
    for (size_t j = 0; weight && t->r->n_reasons == 0 && j < c->n_candidates; j++) {
        char key[256];

        key_of(c->label, &c->candidate[j], key, sizeof key);
        json_object_set_new(all, key, json_real((double)weight[j]));
    }
    free(weight);
}

static void compare_probs(const json_t *want, const json_t *have, struct report *r)
{
    const char *key;
    json_t     *w;

    if (json_object_size(want) != json_object_size(have))
        report_fail(r, "%zu weights, expected %zu", json_object_size(have), json_object_size(want));
    json_object_foreach((json_t *)want, key, w)
    {
        const json_t *h = json_object_get(have, key);

        if (!h)
            report_fail(r, "there is no weight \"%s\"", key);
        else if (!(fabs(json_real_value(h) - json_number_value(w)) <= 1e-6))
            report_fail(r, "\"%s\" is %.9g, expected %.9g", key, json_real_value(h),
                        json_number_value(w));
    }
}

void run_probs(const struct golden *g, sn_registry *reg, struct report *r)
{
    struct trial t;
    sn_policy   *policy = NULL;
    json_t      *have = json_object();

    /* Neither weights nor inputs are part of such a case: the space is enough. */
    if (trial_load(&t, g, reg, r)) policy = trial_differentiable(&t);
    for (size_t i = 0; policy && i < sn_supernet_n_choices(t.net); i++)
        if (sn_supernet_choice(t.net, i)->n_users > 0) add_probs(&t, policy, i, have);
    if (policy)
        compare_probs(json_object_get(g->doc, "export_probs"), have, r);
    else if (t.err.code != SN_OK)
        report_error(r, "load", &t.err);
    json_decref(have);
    sn_policy_free(policy);
    trial_fini(&t);
}

/* ---- substate: the tensors of one sub-network ----------------------------------------- */

static bool export(struct trial *t, struct bytes *b)
{
    const sn_sink sink = bytes_sink(b);
    sn_draft     *draft = NULL;
    sn_policy    *policy = NULL;
    sn_subnet    *subnet = NULL;
    sn_rng        rng;
    bool          ok;

    sn_rng_seed(&rng, SEED);
    ok = sn_draft_create(t->net, &draft, &t->err) == SN_OK && trial_choose(t, draft) &&
         sn_policy_create(t->net, "path", NULL, &policy, &t->err) == SN_OK &&
         sn_policy_resample(policy, &rng, draft, &t->err) == SN_OK &&
         sn_draft_seal(draft, &subnet, &t->err) == SN_OK &&
         sn_subnet_write_weights(subnet, &sink, &t->err) == SN_OK;
    if (!ok && t->err.code != SN_OK) report_error(t->r, "export", &t->err);
    sn_subnet_unref(subnet);
    sn_policy_free(policy);
    sn_draft_free(draft);
    return ok;
}

static void compare_tensors(const struct golden *g, const sn_weights *have, struct report *r)
{
    static const char prefix[] = "sub.";
    const json_t     *names = json_object_get(g->doc, "sub_state");

    if (sn_weights_count(have) != json_array_size(names))
        report_fail(r, "%zu tensors, expected %zu", sn_weights_count(have), json_array_size(names));
    for (size_t i = 0; i < json_array_size(names) && i < sn_weights_count(have); i++) {
        const char *name = json_string_value(json_array_get(names, i)), *actual;
        sn_tensor   want, t;

        if (!name || strncmp(name, prefix, strlen(prefix)) != 0) {
            report_fail(r, "an entry of sub_state does not begin with \"%s\"", prefix);
            continue;
        }
        if (!golden_tensor(g, name, &want, r)) continue;
        actual = sn_weights_at(have, i, &t);
        if (strcmp(actual, name + strlen(prefix)) != 0)
            report_fail(r, "tensor %zu is \"%s\", expected \"%s\"", i, actual,
                        name + strlen(prefix));
        else
            compare_tensor(name, &want, &t, r);
    }
}

void run_substate(const struct golden *g, sn_registry *reg, struct report *r)
{
    struct trial t;
    struct bytes b = {0};
    sn_weights  *have = NULL;

    if (trial_load(&t, g, reg, r)) {
        if (export(&t, &b)) {
            if (sn_weights_borrow(b.at, b.n, "export", &have, &t.err) == SN_OK)
                compare_tensors(g, have, r);
            else
                report_error(r, "export", &t.err);
        }
    } else if (t.err.code != SN_OK) {
        report_error(r, "load", &t.err);
    }
    sn_weights_unref(have);
    bytes_fini(&b);
    trial_fini(&t);
}
