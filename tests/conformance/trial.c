/* trial: what all cases with a network begin with - load it, decide its choices - and
 * how a refusal is judged. */
#include "conformance.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "supernet/expr.h"
#include "supernet/train.h"

/* ---- refusals ---------------------------------------------------------------------- */

enum phase phase_of_error(const json_t *error, struct report *r)
{
    static const struct {
        const char *name;
        enum phase  phase;
    } phases[] = {
        {"init", PHASE_LOAD},   /* the ordinary module, and */
        {"mutate", PHASE_LOAD}, /* the supernet made of it, are one loading here */
        {"resample", PHASE_RESAMPLE}, {"forward", PHASE_FORWARD}, {"evaluate", PHASE_EVALUATE},
    };
    const char *name = json_string_value(json_object_get(error, "phase"));

    for (size_t i = 0; name && i < COUNT(phases); i++)
        if (strcmp(phases[i].name, name) == 0) return phases[i].phase;
    report_fail(r, "the expected error names no phase");
    return PHASE_COUNT;
}

static const char *phase_text(enum phase phase)
{
    static const char *const text[] = {"load", "resample", "forward", "evaluate"};

    return phase < PHASE_COUNT ? text[phase] : "?";
}

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), k = strlen(end);

    return n >= k && strcmp(text + n - k, end) == 0;
}

void check_refusal(const json_t *error, enum phase at, const sn_error *err, struct report *r)
{
    const enum phase want = phase_of_error(error, r);

    if (at > want)
        report_fail(r, "refused at %s, expected at %s: %s: %s", phase_text(at), phase_text(want),
                    err->where, err->text);
    /* The tensors of the case fit: a complaint about them is not the refusal that is
     * expected. No other shapes are known at load. */
    if (at == PHASE_LOAD &&
        (strcmp(err->where, "weights") == 0 || err->code == SN_E_SHAPE || err->code == SN_E_DTYPE))
        report_fail(r, "refused because of the tensors of the case: %s: %s", err->where, err->text);
    if (at == PHASE_LOAD && err->code == SN_E_UNKNOWN_NAME && ends_with(err->where, ".type"))
        report_fail(r, "the case cannot be expressed: %s: %s", err->where, err->text);
    if (err->code == SN_E_NO_MEMORY || err->code == SN_E_IO)
        report_fail(r, "not a refusal but a failure: %s", err->text);
    if (!*err->where) report_fail(r, "the refusal names no place: %s", err->text);
    if (!*err->text) report_fail(r, "the refusal has no sentence");
}

void fail_not_refused(struct report *r, const json_t *error)
{
    const char *message = json_string_value(json_object_get(error, "message"));

    report_fail(r, "not refused; the original says: %.200s", message ? message : "?");
    r->accepted = r->n_reasons == 1;
}

/* ---- loading -------------------------------------------------------------------------- */

static bool refuse(struct trial *t, enum phase at)
{
    t->at = at;
    return false;
}

static void check_space(struct trial *t)
{
    const json_t     *want = json_object_get(t->g->doc, "search_space");
    const size_t      n_all = sn_supernet_n_choices(t->net);
    const sn_choice **used = calloc(n_all + 1, sizeof *used);
    size_t            n = 0;

    if (!used) {
        report_fail(t->r, "no memory");
        return;
    }
    for (size_t i = 0; i < n_all; i++) /* a label in nobody's use is not part of a space */
        if (sn_supernet_choice(t->net, i)->n_users > 0) used[n++] = sn_supernet_choice(t->net, i);
    /* Null where the original failed before it had a space; absent where none is compared. */
    if (want && !json_is_null(want))
        compare_space(want, used, n, t->r);
    else if (want && json_is_null(json_object_get(t->g->doc, "error")))
        report_fail(t->r, "search_space is null, but nothing failed");
    free(used);
}

/* A case that ends while the network is made, or asks for its space alone, has no
 * tensors; then the network is loaded without any. */
static bool load_weights(struct trial *t)
{
    const json_t *error = json_object_get(t->g->doc, "error");

    if (json_array_size(json_object_get(t->g->doc, "params")) == 0 &&
        (strcmp(t->g->group, "probs") == 0 ||
         (json_is_object(error) && phase_of_error(error, t->r) == PHASE_LOAD)))
        return true;
    if (!bytes_of_params(t->g, &t->params, t->r)) return false;
    if (sn_weights_borrow(t->params.at, t->params.n, "params", &t->weights, &t->err) == SN_OK)
        return true;
    report_error(t->r, "weights of the case", &t->err);
    t->err = (sn_error){0};
    return false;
}

bool trial_load(struct trial *t, const struct golden *g, sn_registry *reg, struct report *r)
{
    char *spec;

    *t = (struct trial){.g = g, .r = r, .mem = sn_arena_create()};
    if (!t->mem) {
        report_fail(r, "no memory");
        return false;
    }
    if (!load_weights(t)) return false;
    spec = translate(g, r);
    if (!spec || r->n_reasons > 0) {
        free(spec);
        return false;
    }
    sn_supernet_load(spec, strlen(spec), t->weights, reg, &t->net, &t->err);
    free(spec);
    if (t->err.code != SN_OK) return refuse(t, PHASE_LOAD);
    if (!t->net) {
        report_fail(r, "loading gave neither a supernet nor an error");
        return false;
    }
    check_space(t);
    return true;
}

void trial_fini(struct trial *t)
{
    sn_supernet_unref(t->net);
    sn_weights_unref(t->weights);
    sn_arena_free(t->mem);
    bytes_fini(&t->params);
}

/* ---- deciding --------------------------------------------------------------------------- */

bool trial_choose(struct trial *t, sn_draft *draft)
{
    const json_t *chosen = json_object_get(t->g->doc, "chosen");

    for (size_t i = 0; i < sn_supernet_n_choices(t->net); i++) {
        const sn_choice *c = sn_supernet_choice(t->net, i);
        const json_t    *v = json_object_get(chosen, c->label);
        sn_value         value;

        if (c->n_users == 0) continue; /* labels that are not used are ignored */
        if (!v && c->n_candidates != 1) {
            report_fail(t->r, "chosen lacks \"%s\", which has %zu candidates", c->label,
                        c->n_candidates);
            return false;
        }
        if (!v) continue;
        if (!value_from_json(v, t->mem, &value)) {
            report_fail(t->r, "the chosen value of \"%s\" is no value", c->label);
            return false;
        }
        if (sn_draft_set(draft, c->label, &value, &t->err) != SN_OK)
            return refuse(t, PHASE_RESAMPLE);
    }
    return true;
}

bool softmax_of(const json_t *alpha, float *ret_weight, size_t n)
{
    float largest = -INFINITY, sum = 0;

    if (json_array_size(alpha) != n) return false;
    for (size_t i = 0; i < n; i++) {
        ret_weight[i] = (float)json_number_value(json_array_get(alpha, i));
        if (ret_weight[i] > largest) largest = ret_weight[i];
    }
    for (size_t i = 0; i < n; i++) {
        ret_weight[i] = expf(ret_weight[i] - largest);
        sum += ret_weight[i];
    }
    for (size_t i = 0; i < n; i++)
        ret_weight[i] /= sum;
    return true;
}

/* Edges of Cells have logits, though nothing reads them as a decision. */
static bool has_logits(const sn_choice *c)
{
    return c->n_users > 0 || c->soft_only;
}

/* {"alpha": {label: logits}} without the labels of the case that the network does not use. */
static char *alphas(const struct trial *t)
{
    const json_t *choices = json_object_get(t->g->doc, "choices");
    json_t       *used = json_object(), *update, *logits;
    const char   *label;
    char         *text;

    json_object_foreach(json_object_get(t->g->doc, "alpha"), label, logits)
    {
        size_t i;
        bool   known = sn_supernet_find_choice(t->net, label, &i);

        if (known ? has_logits(sn_supernet_choice(t->net, i)) : !json_object_get(choices, label))
            json_object_set(used, label, logits);
    }
    update = json_pack("{s:o}", "alpha", used);
    text = json_dumps(update, JSON_COMPACT);
    json_decref(update);
    return text;
}

/* The original takes the logits when it builds the network: a refusal is one of loading. */
sn_policy *trial_differentiable(struct trial *t)
{
    sn_policy *policy = NULL;
    char      *update = alphas(t);

    if (!update) {
        report_fail(t->r, "the logits cannot be written");
    } else if (sn_policy_create(t->net, "differentiable", NULL, &policy, &t->err) != SN_OK) {
        report_error(t->r, "policy", &t->err); /* that there is none is no refusal of a case */
        t->err = (sn_error){0};
    } else if (sn_policy_update(policy, update, &t->err) != SN_OK) {
        t->at = PHASE_LOAD;
        policy = sn_policy_free(policy);
    }
    free(update);
    return policy;
}
