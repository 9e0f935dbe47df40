/* policy: what every policy draws, exports and weighs; what it refuses, without changing
 * anything; states that come back exactly. The controller's learning is in
 * test_policy_enas.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "supernet/host.h"
#include "supernet/op.h"
#include "supernet/supernet.h"
#include "supernet/train.h"
#include "support/alloc.h"

/* One choice of every sort: numbers, tuples, texts of a LayerChoice (the largest in the
 * middle), two of three inputs, any of two inputs, and one that nothing uses. */
static const char space[] =
    "{\"format\": \"supernet/1\", \"name\": \"t\","
    " \"inputs\": [{\"name\": \"x\", \"shape\": [\"N\", 4, 5, 5]}],"
    " \"choices\": {\"w\": [4, 8, 6], \"k\": [[1, 1], [3, 3], [3, 1]], \"idle\": [1, 2]},"
    " \"model\": {\"type\": \"Graph\", \"inputs\": [\"x\"], \"outputs\": [\"any\"], \"nodes\": ["
    "  {\"name\": \"a\", \"type\": \"Conv2d\", \"in_channels\": 4, \"out_channels\": \"w\","
    "   \"kernel_size\": \"k\", \"padding\": \"same\", \"inputs\": [\"x\"]},"
    "  {\"name\": \"op\", \"type\": \"LayerChoice\", \"label\": \"op\", \"inputs\": [\"a\"],"
    "   \"candidates\": ["
    "    {\"name\": \"skip\", \"type\": \"Identity\"},"
    "    {\"name\": \"large\", \"type\": \"Conv2d\", \"in_channels\": \"w\","
    "     \"out_channels\": \"w\", \"kernel_size\": 3, \"padding\": 1},"
    "    {\"name\": \"small\", \"type\": \"Conv2d\", \"in_channels\": \"w\","
    "     \"out_channels\": \"w\", \"kernel_size\": 1},"
    "    {\"name\": \"act\", \"type\": \"ReLU\"}]},"
    "  {\"name\": \"two\", \"type\": \"InputChoice\", \"label\": \"two\", \"n_candidates\": 3,"
    "   \"n_chosen\": 2, \"inputs\": [\"a\", \"op\", \"a\"]},"
    "  {\"name\": \"any\", \"type\": \"InputChoice\", \"label\": \"any\", \"n_candidates\": 2,"
    "   \"n_chosen\": null, \"inputs\": [\"two\", \"op\"]}]}}";

/* The same without choices of several. */
static const char plain[] =
    "{\"format\": \"supernet/1\", \"name\": \"t\","
    " \"inputs\": [{\"name\": \"x\", \"shape\": [\"N\", 4]}],"
    " \"choices\": {\"w\": [4, 8, 6], \"v\": [1, 2], \"idle\": [1, 2]},"
    " \"model\": {\"type\": \"Sequential\", \"layers\": ["
    "  {\"type\": \"Linear\", \"in_features\": 4, \"out_features\": \"w\"},"
    "  {\"type\": \"Linear\", \"in_features\": \"w\", \"out_features\": \"v\"}]}}";

static sn_supernet *load(const char *spec)
{
    sn_error     err = {0};
    sn_registry *reg;
    sn_supernet *net;

    assert_int_equal(sn_registry_create(&reg, &err), SN_OK);
    if (sn_supernet_load(spec, strlen(spec), NULL, reg, &net, &err) != SN_OK)
        fail_msg("%s: %s", err.where, err.text);
    sn_registry_unref(reg);
    return net;
}

static size_t choice_of(const sn_supernet *net, const char *label)
{
    size_t i;

    assert_true(sn_supernet_find_choice(net, label, &i));
    return i;
}

static sn_policy *create(sn_supernet *net, const char *name, const char *options)
{
    sn_error   err = {0};
    sn_policy *p;

    if (sn_policy_create(net, name, options, &p, &err) != SN_OK)
        fail_msg("%s: %s", err.where, err.text);
    return p;
}

/* "w=4 k=(1, 1) ..." of a draft: soft choices are "~", open ones left out. */
static void describe(const sn_supernet *net, const sn_draft *draft, char *buf, size_t n)
{
    size_t used = 0;

    buf[0] = 0;
    for (size_t i = 0; i < sn_supernet_n_choices(net); i++) {
        const sn_value *v = sn_draft_get(draft, i);
        char            text[64];

        if (!v && !sn_draft_is_soft(draft, i)) continue;
        used += (size_t)snprintf(buf + used, n - used, "%s%s=%s", used ? " " : "",
                                 sn_supernet_choice(net, i)->label,
                                 v ? sn_value_text(v, text, sizeof text) : "~");
        assert_true(used < n);
    }
}

enum way { RESAMPLE, BEST };

/* Let the policy decide a draft, in which w=6 is set beforehand if asked. */
static void decide(sn_policy *p, sn_supernet *net, enum way way, bool memo, sn_rng *rng, char *buf,
                   size_t n)
{
    const sn_value six = {.kind = SN_KIND_INT, .as.integer = 6};
    sn_draft      *draft;
    sn_error       err = {0};

    assert_int_equal(sn_draft_create(net, &draft, &err), SN_OK);
    if (memo) assert_int_equal(sn_draft_set(draft, "w", &six, &err), SN_OK);
    if ((way == BEST ? sn_policy_best : sn_policy_resample)(p, rng, draft, &err) != SN_OK)
        fail_msg("%s: %s", err.where, err.text);
    describe(net, draft, buf, n);
    sn_draft_free(draft);
}

/* ---- decisions that leave nothing to chance -------------------------------------------- */

#define ALPHA                                                                                      \
    "{\"alpha\": {\"w\": [0, 1, 2], \"k\": [90, 0, 0], \"op\": [0, 0, 1, 1],"                      \
    " \"two\": [50, 0, 100], \"any\": [-200, 0]}}"

/* A row: this policy decides so. */
static const struct decision {
    const char *name, *policy, *options;
    enum way    way;
    bool        memo;
    const char *want;
} decisions[] = {
    {"max: the largest values, the most parameters, the last inputs, all of any", "max", NULL,
     RESAMPLE, false, "w=8 k=(3, 3) op='large' two=(1, 2) any=(0, 1)"},
    {"min: the smallest values, the first without parameters, the first inputs", "min", NULL,
     RESAMPLE, false, "w=4 k=(1, 1) op='skip' two=(0, 1) any=0"},
    {"max exports what it resamples", "max", NULL, BEST, false,
     "w=8 k=(3, 3) op='large' two=(1, 2) any=(0, 1)"},
    {"what is set by hand stays", "max", "{}", RESAMPLE, true,
     "w=6 k=(3, 3) op='large' two=(1, 2) any=(0, 1)"},
    {"differentiable leaves everything to its distribution", "differentiable", NULL, RESAMPLE,
     false, "w=~ k=~ op=~ two=~ any=~"},
    {"but what is set by hand stays", "gumbel", NULL, RESAMPLE, true, "w=6 k=~ op=~ two=~ any=~"},
    {"export: the first largest logit, two of two, all of any", "differentiable", ALPHA, BEST,
     false, "w=6 k=(1, 1) op='small' two=(0, 2) any=(0, 1)"},
    {"gumbel exports without noise", "gumbel", ALPHA, BEST, false,
     "w=6 k=(1, 1) op='small' two=(0, 2) any=(0, 1)"},
    {"proxyless exports as differentiable does", "proxyless", ALPHA, BEST, false,
     "w=6 k=(1, 1) op='small' two=(0, 2) any=(0, 1)"},
    {"logits far apart leave proxyless no choice, also where weights underflow", "proxyless",
     "{\"alpha\": {\"w\": [0, 200, 0], \"k\": [0, 0, 200], \"op\": [200, 0, 0, 0],"
     " \"two\": [-200, 200, 0], \"any\": [-200, 0]}}",
     RESAMPLE, false, "w=8 k=(3, 1) op='skip' two=(1, 2) any=1"},
};

static void decides(void **state)
{
    const struct decision *row = *state;
    sn_supernet           *net = load(space);
    sn_policy             *p = create(net, row->policy, row->options);
    sn_rng                 rng;
    char                   got[256];

    sn_rng_seed(&rng, 1);
    decide(p, net, row->way, row->memo, &rng, got, sizeof got);
    assert_string_equal(got, row->want);
    sn_policy_free(p);
    sn_supernet_unref(net);
}

/* ---- draws ------------------------------------------------------------------------------- */

static const char *const drawing[] = {"path", "random", "proxyless", "enas"};

static void same_seed_same_draws(void **state)
{
    const char  *name = *state;
    sn_supernet *net = load(plain);
    char         got[2][8][128];
    sn_rng       rng;

    for (int round = 0; round < 2; round++) {
        sn_policy *p = create(net, name, NULL);

        sn_rng_seed(&rng, 7);
        for (int i = 0; i < 8; i++)
            decide(p, net, RESAMPLE, false, &rng, got[round][i], sizeof got[round][i]);
        sn_policy_free(p);
    }
    for (int i = 0; i < 8; i++)
        assert_string_equal(got[0][i], got[1][i]);
    for (int i = 1; strcmp(got[0][0], got[0][i]) == 0; i++)
        assert_true(i < 7); /* and they are not all the same */
    sn_supernet_unref(net);
}

/* A row: over many draws of this policy, each candidate of `label` comes this often. For
 * choices of several it counts how often a place is among them. */
static const struct frequency {
    const char *name, *policy, *options, *label;
    double      want[4];
} frequencies[] = {
    {"path draws uniformly", "path", NULL, "op", {0.25, 0.25, 0.25, 0.25}},
    {"path draws every pair as often", "path", NULL, "two", {2 / 3., 2 / 3., 2 / 3.}},
    {"path draws every non-empty subset as often", "path", NULL, "any", {2 / 3., 2 / 3.}},
    {"random is path", "random", NULL, "w", {1 / 3., 1 / 3., 1 / 3.}},
    {"proxyless draws from the softmax",
     "proxyless",
     "{\"alpha\": {\"op\": [0, 1.0986122886681098, 0.6931471805599453, 0.6931471805599453]}}",
     "op",
     {0.125, 0.375, 0.25, 0.25}},
    /* p = 1/2, 1/4, 1/4: P(first) = 1/2 + 2 * 1/4 * (1/2 / (3/4)) = 5/6 */
    {"proxyless draws pairs without putting back",
     "proxyless",
     "{\"alpha\": {\"two\": [0.6931471805599453, 0, 0]}}",
     "two",
     {5 / 6., 7 / 12., 7 / 12.}},
    {"proxyless draws one of any number",
     "proxyless",
     "{\"alpha\": {\"any\": [1.0986122886681098, 0]}}",
     "any",
     {0.75, 0.25}},
};

static void count(const sn_choice *c, const sn_value *v, double *hits)
{
    for (size_t k = 0; k < c->n_candidates; k++) {
        bool hit = sn_value_equal(&c->candidate[k], v);

        if (v->kind == SN_KIND_TUPLE && c->several)
            for (size_t i = 0; i < v->as.tuple.n; i++)
                hit |= sn_value_equal(&c->candidate[k], &v->as.tuple.item[i]);
        hits[k] += hit;
    }
}

static void draws_so_often(void **state)
{
    enum { N = 20000 };
    const struct frequency *row = *state;
    sn_supernet            *net = load(space);
    sn_policy              *p = create(net, row->policy, row->options);
    const size_t            at = choice_of(net, row->label);
    double                  hits[4] = {0};
    sn_rng                  rng;

    sn_rng_seed(&rng, 3);
    for (int i = 0; i < N; i++) {
        sn_draft *draft;

        assert_int_equal(sn_draft_create(net, &draft, NULL), SN_OK);
        assert_int_equal(sn_policy_resample(p, &rng, draft, NULL), SN_OK);
        count(sn_supernet_choice(net, at), sn_draft_get(draft, at), hits);
        sn_draft_free(draft);
    }
    for (size_t k = 0; k < sn_supernet_choice(net, at)->n_candidates; k++) {
        /* Five standard deviations. */
        const double near = 5.0 * sqrt(row->want[k] * (1.0 - row->want[k]) / N);

        if (fabs(hits[k] / N - row->want[k]) > near)
            fail_msg("candidate %zu: %g, expected %g", k, hits[k] / N, row->want[k]);
    }
    sn_policy_free(p);
    sn_supernet_unref(net);
}

/* ---- weights ------------------------------------------------------------------------------ */

static void softmax_of_alpha(void **state)
{
    sn_supernet *net = load(space);
    sn_policy   *p = create(net, *state, "{\"alpha\": {\"w\": [0, 1, 2]}}");
    const double sum = 1.0 + exp(1.0) + exp(2.0);
    float        got[3];

    assert_int_equal(sn_policy_probs(p, NULL, choice_of(net, "w"), got, NULL), SN_OK);
    for (int k = 0; k < 3; k++)
        assert_true(fabs(got[k] - exp(k) / sum) < 1e-6);
    sn_policy_free(p);
    sn_supernet_unref(net);
}

/* A row: at this temperature, the largest weight of a draw is in this range. */
static const struct temperature {
    const char *name, *options;
    double      least, most;
} temperatures[] = {
    {"gumbel near temperature 0 is one-hot", "{\"temperature\": 1e-3}", 0.999, 1.0},
    {"gumbel at the smallest temperature is one-hot, and no NaN", "{\"temperature\": 1e-45}", 1.0,
     1.0},
    {"gumbel at a large temperature is uniform", "{\"temperature\": 1e4}", 1 / 3., 0.335},
};

static void gumbel_at(void **state)
{
    const struct temperature *row = *state;
    sn_supernet              *net = load(space);
    sn_policy                *p = create(net, "gumbel", row->options);
    double                    mean = 0.0;
    sn_rng                    rng;

    sn_rng_seed(&rng, 5);
    for (int i = 0; i < 100; i++) {
        float got[3];

        assert_int_equal(sn_policy_probs(p, &rng, choice_of(net, "w"), got, NULL), SN_OK);
        assert_true(fabsf(got[0] + got[1] + got[2] - 1.0f) < 1e-5f);
        mean += fmaxf(got[0], fmaxf(got[1], got[2])) / 100.0;
    }
    assert_true(mean >= row->least - 1e-6 && mean <= row->most + 1e-6);
    sn_policy_free(p);
    sn_supernet_unref(net);
}

/* The largest Gumbel-softmax weight falls as softmax(alpha) says. */
static void gumbel_argmax_is_softmax(void **state)
{
    enum { N = 20000 };
    sn_supernet *net = load(space);
    sn_policy   *p = create(net, "gumbel", "{\"alpha\": {\"w\": [0, 0, 1.0986122886681098]}}");
    int          hits = 0;
    sn_rng       rng;

    (void)state;
    sn_rng_seed(&rng, 5);
    for (int i = 0; i < N; i++) {
        float got[3];

        assert_int_equal(sn_policy_probs(p, &rng, choice_of(net, "w"), got, NULL), SN_OK);
        hits += got[2] > got[0] && got[2] > got[1];
    }
    assert_true(fabs(hits / (double)N - 0.6) < 5.0 * sqrt(0.24 / N));
    sn_policy_free(p);
    sn_supernet_unref(net);
}

/* ---- refusals ------------------------------------------------------------------------------ */

/* A row: creating this policy with these options fails so. */
static const struct creation {
    const char *name, *policy, *options;
    sn_status   code;
    const char *text;
} creations[] = {
    {"an unknown policy is refused with the known ones", "darts", NULL, SN_E_UNKNOWN_NAME,
     "there are path, differentiable, gumbel, proxyless, max, min, random, enas"},
    {"a policy without options says so", "path", "{\"seed\": 1}", SN_E_INVALID, "no options"},
    {"options are an object", "max", "[]", SN_E_INVALID, "expected an object"},
    {"options are JSON", "gumbel", "{", SN_E_SYNTAX, ""},
    {"a misspelt option is refused", "gumbel", "{\"temprature\": 1}", SN_E_INVALID,
     "did you mean \"temperature\""},
    {"differentiable has no temperature", "differentiable", "{\"temperature\": 1}", SN_E_INVALID,
     "temperature"},
    {"a temperature is above 0", "gumbel", "{\"temperature\": 0}", SN_E_INVALID, "above 0"},
    {"also as a float", "gumbel", "{\"temperature\": 1e-60}", SN_E_INVALID, "above 0"},
    {"a seed is no negative number", "proxyless", "{\"seed\": -1}", SN_E_INVALID, "-1"},
    {"alpha of an unknown label", "proxyless", "{\"alpha\": {\"z\": [1]}}", SN_E_UNKNOWN_NAME,
     "\"z\""},
    {"enas does not decide choices of several", "enas", NULL, SN_E_UNSUPPORTED, "\"two\""},
};

static void refuses_creation(void **state)
{
    const struct creation *row = *state;
    sn_supernet           *net = load(space);
    sn_error               err = {0};
    sn_policy             *p = NULL;

    assert_int_equal(sn_policy_create(net, row->policy, row->options, &p, &err), row->code);
    assert_null(p);
    if (!strstr(err.text, row->text)) fail_msg("\"%s\" lacks \"%s\"", err.text, row->text);
    sn_supernet_unref(net);
}

/* A row: this update fails so, and the policy stays as it was. */
static const struct refusal {
    const char *name, *policy, *update;
    sn_status   code;
    const char *text;
} refusals[] = {
    {"too few logits", "differentiable", "{\"alpha\": {\"v\": [1, 2], \"w\": [1, 2]}}",
     SN_E_INVALID, "a list of 3 logits"},
    {"too many logits", "proxyless", "{\"alpha\": {\"v\": [1, 2], \"w\": [1, 2, 3, 4]}}",
     SN_E_INVALID, "not 4"},
    {"an unknown label after a good one", "gumbel", "{\"alpha\": {\"v\": [1, 2], \"z\": [1]}}",
     SN_E_UNKNOWN_NAME, "\"z\""},
    {"a label that nothing uses", "gumbel", "{\"alpha\": {\"v\": [1, 2], \"idle\": [1, 2]}}",
     SN_E_UNKNOWN_NAME, "\"idle\""},
    {"a logit that is no number", "proxyless", "{\"alpha\": {\"w\": [1, \"2\", 3]}}", SN_E_INVALID,
     "logit 1"},
    {"NaN is no JSON", "differentiable", "{\"alpha\": {\"w\": [1, NaN, 3]}}", SN_E_SYNTAX, ""},
    {"a logit beyond float32", "differentiable",
     "{\"alpha\": {\"v\": [0, 0], \"w\": [1, 1e39, 3]}}", SN_E_INVALID, "no finite number"},
    {"logits that are no list", "differentiable", "{\"alpha\": {\"w\": {}}}", SN_E_INVALID,
     "a list"},
    {"alpha that is no object", "proxyless", "{\"alpha\": [1]}", SN_E_INVALID, "an object"},
    {"good logits and a bad temperature", "gumbel",
     "{\"alpha\": {\"w\": [1, 2, 3]}, \"temperature\": -1}", SN_E_INVALID, "above 0"},
    {"a good temperature and bad logits", "gumbel", "{\"alpha\": {\"w\": [1]}, \"temperature\": 2}",
     SN_E_INVALID, "a list of 3"},
    {"a member that is none", "differentiable", "{\"reward\": 1}", SN_E_INVALID, "\"reward\""},
    {"a reward before any draw", "enas", "{\"reward\": 1}", SN_E_INVALID, "nothing was drawn"},
    {"a reward that is no number", "enas", "{\"reward\": \"1\"}", SN_E_INVALID, "number"},
    {"a reward beyond all bounds", "enas", "{\"reward\": 1e300}", SN_E_INVALID, "beyond"},
    {"one reward and several", "enas", "{\"reward\": 1, \"rewards\": []}", SN_E_INVALID,
     "only one"},
    {"no rewards", "enas", "{\"rewards\": []}", SN_E_INVALID, "empty"},
    {"a reward without choices", "enas", "{\"rewards\": [{\"reward\": 1}]}", SN_E_INVALID,
     "choices"},
    {"a reward for an unknown label", "enas",
     "{\"rewards\": [{\"choices\": {\"z\": 1}, \"reward\": 1}]}", SN_E_UNKNOWN_NAME, "\"z\""},
    {"a reward for a value that is no candidate", "enas",
     "{\"rewards\": [{\"choices\": {\"w\": 5}, \"reward\": 1}]}", SN_E_NOT_CANDIDATE, "\"w\""},
    {"a reward for what was never drawn", "enas",
     "{\"rewards\": [{\"choices\": {\"w\": 4}, \"reward\": 1}]}", SN_E_INVALID, "last 0 draws"},
    {"a learning rate and a bad temperature", "enas",
     "{\"learning_rate\": 0.1, \"temperature\": 0}", SN_E_INVALID, "temperature"},
    {"the size of a controller that exists", "enas", "{\"lstm_size\": 3}", SN_E_INVALID,
     "\"lstm_size\""},
    {"path learns nothing", "path", "{}", SN_E_UNSUPPORTED, "no state to update"},
};

struct bytes {
    char  *at;
    size_t n;
};

static int append(void *cls, const void *bytes, size_t n)
{
    struct bytes *b = cls;

    b->at = realloc(b->at, b->n + n + 1);
    memcpy(b->at + b->n, bytes, n);
    b->n += n;
    b->at[b->n] = 0;
    return 0;
}

static char *save(const sn_policy *p)
{
    struct bytes  b = {0};
    const sn_sink sink = {append, &b};

    assert_int_equal(sn_policy_save(p, &sink, NULL), SN_OK);
    return b.at;
}

static void refuses_update(void **state)
{
    const struct refusal *row = *state;
    sn_supernet          *net = load(plain);
    sn_policy            *p = create(net, row->policy, NULL);
    const bool            keeps = strcmp(row->policy, "path") != 0;
    char                 *before = keeps ? save(p) : NULL, *after;
    sn_error              err = {0};

    assert_int_equal(sn_policy_update(p, row->update, &err), row->code);
    if (!strstr(err.text, row->text)) fail_msg("\"%s\" lacks \"%s\"", err.text, row->text);
    if (keeps) {
        after = save(p);
        assert_string_equal(before, after);
        free(after);
    }
    free(before);
    sn_policy_free(p);
    sn_supernet_unref(net);
}

/* ---- states ---------------------------------------------------------------------------------- */

/* A row: after this update, the state of one instance makes another one equal. */
static const struct keeping {
    const char *name, *policy, *options, *update;
} keepings[] = {
    {"differentiable keeps its logits", "differentiable", NULL,
     "{\"alpha\": {\"w\": [0.1, -1e-30, 12345.678]}}"},
    {"gumbel keeps its temperature, too", "gumbel", NULL,
     "{\"alpha\": {\"w\": [0.1, 0.2, 0.3]}, \"temperature\": 0.7}"},
    {"proxyless keeps its logits", "proxyless", NULL, "{\"alpha\": {\"v\": [0.1, 3e38]}}"},
    {"enas keeps parameters, optimiser, baseline and draws", "enas",
     "{\"lstm_size\": 8, \"lstm_num_layers\": 2, \"remember\": 3, \"learning_rate\": 0.1}",
     "{\"reward\": 0.75, \"temperature\": 0.9}"},
};

static void keeps_state(void **state)
{
    const struct keeping *row = *state;
    sn_supernet          *net = load(plain);
    sn_policy            *a = create(net, row->policy, row->options);
    sn_policy            *b = create(net, row->policy, row->options);
    char                  ta[128], tb[128], *sa, *sb;
    sn_rng                ra, rb;
    sn_error              err = {0};

    sn_rng_seed(&ra, 1);
    for (int i = 0; i < 5; i++)
        decide(a, net, RESAMPLE, i == 4, &ra, ta, sizeof ta);
    assert_int_equal(sn_policy_update(a, row->update, NULL), SN_OK);
    sa = save(a);
    if (sn_policy_load(b, sa, &err) != SN_OK) fail_msg("%s: %s", err.where, err.text);
    for (int round = 0; round < 3; round++) {
        sb = save(b);
        assert_string_equal(sa, sb);
        free(sa);
        free(sb);
        sn_rng_seed(&ra, 9), sn_rng_seed(&rb, 9);
        decide(a, net, RESAMPLE, false, &ra, ta, sizeof ta);
        decide(b, net, RESAMPLE, false, &rb, tb, sizeof tb);
        assert_string_equal(ta, tb);
        assert_int_equal(sn_policy_update(a, row->update, NULL), SN_OK);
        assert_int_equal(sn_policy_update(b, row->update, NULL), SN_OK);
        sa = save(a);
    }
    free(sa);
    sn_policy_free(a);
    sn_policy_free(b);
    sn_supernet_unref(net);
}

/* Whatever allocation fails, creation, draw, update and state report it and leak nothing. */
static void survives_lack_of_memory(void **state)
{
    const struct keeping *row = *state;
    sn_supernet          *net = load(plain);
    sn_policy            *p;
    char                 *saved;
    bool                  done = false;

    p = create(net, row->policy, row->options);
    saved = save(p);
    sn_policy_free(p);
    for (size_t n = 1; !done; n++) {
        sn_draft *draft = NULL;
        sn_error  err = {0};
        sn_rng    rng;

        p = NULL;
        sn_rng_seed(&rng, 1);
        alloc_fail_at(n);
        if (sn_policy_create(net, row->policy, row->options, &p, &err) == SN_OK &&
            sn_draft_create(net, &draft, &err) == SN_OK &&
            sn_policy_resample(p, &rng, draft, &err) == SN_OK &&
            sn_policy_update(p, row->update, &err) == SN_OK)
            sn_policy_load(p, saved, &err);
        done = !alloc_failed();
        alloc_fail_at(0);
        assert_int_equal(err.code, done ? SN_OK : SN_E_NO_MEMORY);
        sn_draft_free(draft);
        sn_policy_free(p);
        assert_true(n < 1000);
    }
    free(saved);
    sn_supernet_unref(net);
}

#define ROWS(table, function)                                                                      \
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)                                      \
        test[n++] = (struct CMUnitTest)                                                            \
        {                                                                                          \
            table[i].name, function, NULL, NULL, (void *)&table[i]                                 \
        }

/* ---- another load of the same document ---- */

static void a_policy_moves_to_another_load_of_its_document(void **state)
{
    static const char *const classes[] = {"path",      "differentiable", "gumbel",
                                          "proxyless", "enas",           "max",
                                          "min",       "random",         "stationary"};
    sn_policy_class          stationary = {
                 .size = sizeof stationary, .abi = SN_POLICY_ABI, .name = "stationary"};
    sn_registry *reg;
    sn_supernet *net[3];
    sn_error     err = {0};

    (void)state;
    assert_int_equal(sn_registry_create(&reg, NULL), SN_OK);
    stationary.resample = sn_registry_policy_at(reg, 0)->resample;
    assert_int_equal(sn_registry_add_policy(reg, &stationary, NULL), SN_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(sn_supernet_load(i < 2 ? plain : space, strlen(i < 2 ? plain : space),
                                          NULL, reg, &net[i], NULL),
                         SN_OK);
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        const bool movable = strcmp(classes[i], "stationary") != 0;
        sn_policy *p;
        sn_draft  *draft;
        sn_rng     rng;

        sn_rng_seed(&rng, 1);
        assert_int_equal(sn_policy_create(net[0], classes[i], NULL, &p, NULL), SN_OK);
        assert_int_equal(sn_policy_is_movable(p), movable);
        assert_int_equal(sn_policy_move(p, net[2], &err),
                         movable ? SN_E_INVALID : SN_E_UNSUPPORTED);
        assert_int_equal(sn_policy_move(p, net[1], &err), movable ? SN_OK : SN_E_UNSUPPORTED);
        if (movable) {
            assert_int_equal(sn_draft_create(net[1], &draft, NULL), SN_OK);
            assert_int_equal(sn_policy_resample(p, &rng, draft, NULL), SN_OK);
            sn_draft_free(draft);
        }
        sn_policy_free(p);
    }
    for (int i = 0; i < 3; i++)
        sn_supernet_unref(net[i]);
    sn_registry_unref(reg);
}

int main(void)
{
    static struct CMUnitTest test[128];
    size_t                   n = 0;

    ROWS(decisions, decides);
    for (size_t i = 0; i < sizeof drawing / sizeof *drawing; i++)
        test[n++] = (struct CMUnitTest){"the same seed gives the same draws", same_seed_same_draws,
                                        NULL, NULL, (void *)(uintptr_t)drawing[i]};
    ROWS(frequencies, draws_so_often);
    test[n++] =
        (struct CMUnitTest){"a policy moves to another load of its document",
                            a_policy_moves_to_another_load_of_its_document, NULL, NULL, NULL};
    test[n++] = (struct CMUnitTest){"differentiable weighs by the softmax", softmax_of_alpha, NULL,
                                    NULL, (void *)(uintptr_t) "differentiable"};
    test[n++] = (struct CMUnitTest){"so does proxyless", softmax_of_alpha, NULL, NULL,
                                    (void *)(uintptr_t) "proxyless"};
    ROWS(temperatures, gumbel_at);
    test[n++] = (struct CMUnitTest){"gumbel's largest weight falls as the softmax says",
                                    gumbel_argmax_is_softmax, NULL, NULL, NULL};
    ROWS(creations, refuses_creation);
    ROWS(refusals, refuses_update);
    ROWS(keepings, keeps_state);
    ROWS(keepings, survives_lack_of_memory);
    return _cmocka_run_group_tests("policy", test, n, NULL, NULL);
}
