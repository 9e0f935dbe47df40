/* enas: the controller's gradient is that of differences, and rewards teach it what to draw. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/enas_net.h"
#include "supernet/expr.h"
#include "supernet/train.h"

static const char spec[] =
    "{\"format\": \"supernet/1\", \"name\": \"t\","
    " \"inputs\": [{\"name\": \"x\", \"shape\": [\"N\", 4]}],"
    " \"choices\": {\"a\": [1, 2, 3], \"b\": [1, 2], \"c\": [1, 2, 3, 4], \"d\": [1, 2]},"
    " \"model\": {\"type\": \"Sequential\", \"layers\": ["
    "  {\"type\": \"Linear\", \"in_features\": 4, \"out_features\": \"a\"},"
    "  {\"type\": \"Linear\", \"in_features\": \"a\", \"out_features\": \"b\"},"
    "  {\"type\": \"Linear\", \"in_features\": \"b\", \"out_features\": \"c\"},"
    "  {\"type\": \"Linear\", \"in_features\": \"c\", \"out_features\": \"d\"}]}}";

static sn_supernet *load(void)
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

/* A row: for this controller, back-propagation and central differences agree. */
static const struct gradient {
    const char *name;
    size_t      size, n_layers;
    double      tanh_constant, temperature;
    double      weight[4];
} gradients[] = {
    {"one layer", 5, 1, 1.5, 1.0, {1, 1, 1, 1}},
    {"two layers", 4, 2, 1.5, 1.0, {1, 1, 1, 1}},
    {"three layers, negative weights", 3, 3, 2.5, 1.0, {-2, 1, 0.5, -1}},
    {"a temperature", 4, 1, 1.5, 0.5, {1, 1, 1, 1}},
    {"logits that are not squashed", 4, 2, 0.0, 2.0, {1, 1, 1, 1}},
    {"choices set by hand, which do not count", 4, 2, 1.5, 1.0, {0, 1, 0, 0.3}},
    {"a controller of one unit", 1, 1, 1.5, 1.0, {1, 1, 1, 1}},
};

static double loss(struct enas_net *net, const uint32_t *taken, const double *weight)
{
    double nll[4], sum = 0.0;

    assert_int_equal(enas_net_replay(net, taken, nll, NULL), SN_OK);
    for (int t = 0; t < 4; t++)
        sum += weight[t] * nll[t];
    return sum;
}

static void gradient_is_that_of_differences(void **state)
{
    static const uint32_t  taken[4] = {2, 0, 3, 1};
    const struct gradient *row = *state;
    const double           h = 1e-5;
    sn_supernet           *supernet = load();
    struct enas_net        net = {.tanh_constant = row->tanh_constant};
    double                *grad, largest = 0.0;

    net.temperature = row->temperature;
    assert_int_equal(enas_net_init(&net, supernet, row->size, row->n_layers, 11, NULL), SN_OK);
    assert_int_equal(net.n_fields, 4);
    grad = calloc(net.n_theta, sizeof *grad);
    loss(&net, taken, row->weight);
    assert_int_equal(enas_net_backward(&net, row->weight, grad, NULL), SN_OK);
    for (size_t i = 0; i < net.n_theta; i++) {
        const double at = net.theta[i];
        double       want;

        net.theta[i] = at + h;
        want = loss(&net, taken, row->weight);
        net.theta[i] = at - h;
        want = (want - loss(&net, taken, row->weight)) / (2.0 * h);
        net.theta[i] = at;
        largest = fmax(largest, fabs(want));
        if (fabs(grad[i] - want) > 1e-8 + 1e-6 * fabs(want))
            fail_msg("parameter %zu: %.12g, by differences %.12g", i, grad[i], want);
    }
    assert_true(largest > 1e-3); /* there was something to compare */
    free(grad);
    enas_net_fini(&net);
    sn_supernet_unref(supernet);
}

/* ---- learning ------------------------------------------------------------------------------- */

/* 1 for a=3, more for d equal to b: the second needs the memory of the LSTM. */
static double reward_of(const sn_supernet *net, const sn_draft *draft)
{
    int64_t at[4];

    for (size_t i = 0; i < 4; i++)
        at[sn_supernet_choice(net, i)->label[0] - 'a'] = sn_draft_get(draft, i)->as.integer;
    return (at[0] == 3) + 2.0 * (at[3] == at[1]);
}

static double mean_reward(sn_policy *p, sn_supernet *net, sn_rng *rng, int n)
{
    double sum = 0.0;

    for (int i = 0; i < n; i++) {
        sn_draft *draft;

        assert_int_equal(sn_draft_create(net, &draft, NULL), SN_OK);
        assert_int_equal(sn_policy_resample(p, rng, draft, NULL), SN_OK);
        sum += reward_of(net, draft);
        sn_draft_free(draft);
    }
    return sum / n;
}

/* Ten draws, then their rewards, told apart by their choices. */
static void train(sn_policy *p, sn_supernet *net, sn_rng *rng)
{
    char     text[4096];
    size_t   n = (size_t)snprintf(text, sizeof text, "{\"rewards\": [");
    sn_error err = {0};

    for (int i = 0; i < 10; i++) {
        sn_draft *draft;

        assert_int_equal(sn_draft_create(net, &draft, NULL), SN_OK);
        assert_int_equal(sn_policy_resample(p, rng, draft, NULL), SN_OK);
        n += (size_t)snprintf(text + n, sizeof text - n, "%s{\"reward\": %g, \"choices\": {",
                              i ? ", " : "", reward_of(net, draft));
        for (size_t k = 0; k < 4; k++)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s\"%s\": %lld", k ? ", " : "",
                                  sn_supernet_choice(net, k)->label,
                                  (long long)sn_draft_get(draft, k)->as.integer);
        n += (size_t)snprintf(text + n, sizeof text - n, "}}");
        sn_draft_free(draft);
    }
    snprintf(text + n, sizeof text - n, "]}");
    if (sn_policy_update(p, text, &err) != SN_OK) fail_msg("%s: %s", err.where, err.text);
}

static void learns_what_is_rewarded(void **state)
{
    static const char options[] = "{\"seed\": 1, \"lstm_size\": 16, \"learning_rate\": 0.02,"
                                  " \"baseline_decay\": 0.9, \"tanh_constant\": 2.5}";
    sn_supernet      *net = load();
    sn_policy        *p;
    sn_draft         *draft;
    sn_rng            rng;
    double            before, after;

    (void)state;
    sn_rng_seed(&rng, 2);
    assert_int_equal(sn_policy_create(net, "enas", options, &p, NULL), SN_OK);
    before = mean_reward(p, net, &rng, 1000); /* uniform sampling: 1/3 + 2 * 1/2 */
    assert_true(fabs(before - 4.0 / 3.0) < 0.25);
    for (int i = 0; i < 150; i++)
        train(p, net, &rng);
    after = mean_reward(p, net, &rng, 1000);
    if (after < 2.7) fail_msg("%g before, %g after; 3 is the best there is", before, after);

    assert_int_equal(sn_draft_create(net, &draft, NULL), SN_OK);
    assert_int_equal(sn_policy_best(p, &rng, draft, NULL), SN_OK);
    assert_true(reward_of(net, draft) == 3.0);
    sn_draft_free(draft);
    sn_policy_free(p);
    sn_supernet_unref(net);
}

/* A reward below the baseline makes its draw less likely, one above more likely. */
static void baseline_decides_the_direction(void **state)
{
    const double want = *(const double *)*state;
    char         update[64];
    sn_supernet *net = load();
    sn_policy   *p;
    sn_draft    *draft;
    sn_rng       rng;
    size_t       k = 0;
    float        p0[4], p1[4];

    sn_rng_seed(&rng, 2);
    snprintf(update, sizeof update, "{\"reward\": %g}", want);
    assert_int_equal(sn_policy_create(net, "enas",
                                      "{\"baseline\": 0.5, \"entropy_weight\": 0,"
                                      " \"learning_rate\": 0.01}",
                                      &p, NULL),
                     SN_OK);
    assert_int_equal(sn_draft_create(net, &draft, NULL), SN_OK);
    assert_int_equal(sn_policy_resample(p, &rng, draft, NULL), SN_OK);
    while (!sn_value_equal(&sn_supernet_choice(net, 0)->candidate[k], sn_draft_get(draft, 0)))
        k++;
    assert_int_equal(sn_policy_probs(p, &rng, 0, p0, NULL), SN_OK);
    assert_int_equal(sn_policy_update(p, update, NULL), SN_OK);
    assert_int_equal(sn_policy_probs(p, &rng, 0, p1, NULL), SN_OK);
    assert_true(want > 0.5 ? p1[k] > p0[k] : p1[k] < p0[k]);
    sn_draft_free(draft);
    sn_policy_free(p);
    sn_supernet_unref(net);
}

static void remembers_only_so_many(void **state)
{
    sn_supernet *net = load();
    sn_policy   *p;
    sn_rng       rng;
    sn_error     err = {0};
    char         oldest[256] = "";
    int          forgotten = 0;

    (void)state;
    sn_rng_seed(&rng, 2);
    assert_int_equal(sn_policy_create(net, "enas", "{\"remember\": 2}", &p, NULL), SN_OK);
    for (int i = 0; i < 3; i++) {
        const sn_value a = {.kind = SN_KIND_INT, .as.integer = i + 1};
        sn_draft      *draft;

        assert_int_equal(sn_draft_create(net, &draft, NULL), SN_OK);
        assert_int_equal(sn_draft_set(draft, "a", &a, NULL), SN_OK);
        assert_int_equal(sn_policy_resample(p, &rng, draft, NULL), SN_OK);
        sn_draft_free(draft);
    }
    for (int i = 1; i <= 3; i++) {
        snprintf(oldest, sizeof oldest,
                 "{\"rewards\": [{\"choices\": {\"a\": %d}, \"reward\": 1}]}", i);
        memset(&err, 0, sizeof err);
        if (sn_policy_update(p, oldest, &err) == SN_OK) continue;
        forgotten++;
        assert_int_equal(i, 1);
        assert_int_equal(err.code, SN_E_INVALID);
        assert_non_null(strstr(err.text, "last 2 draws"));
    }
    assert_int_equal(forgotten, 1);
    sn_policy_free(p);
    sn_supernet_unref(net);
}

/* A row: this state is refused, and the policy stays as it was. */
static const struct damage {
    const char *name, *from, *to, *text;
} damages[] = {
    {"of another space", "\"a\"", "\"z\"", "another space"},
    {"of another size", "\"lstm_size\": 2.0", "\"lstm_size\": 3.0", "lstm_size"},
    {"with a parameter too few", "\"theta\": [", "\"theta\": [], \"mean\": [", ""},
    {"with a candidate that is none", "\"draws\": [[", "\"draws\": [[9, ", "a draw must"},
    {"with more draws than were drawn", "\"drawn\": 1", "\"drawn\": 0", "drawn"},
    {"without a member", "\"draws\"", "\"drown\"", "drown"},
};

static int append(void *cls, const void *bytes, size_t n)
{
    strncat(cls, bytes, n);
    return 0;
}

static void refuses_damaged_state(void **state)
{
    const struct damage *row = *state;
    static char          text[1 << 16], bad[1 << 16], after[1 << 16];
    sn_supernet         *net = load();
    sn_error             err = {0};
    sn_policy           *p;
    sn_draft            *draft;
    sn_rng               rng;
    const char          *at;

    text[0] = after[0] = 0;
    sn_rng_seed(&rng, 2);
    assert_int_equal(sn_policy_create(net, "enas", "{\"lstm_size\": 2}", &p, NULL), SN_OK);
    assert_int_equal(sn_draft_create(net, &draft, NULL), SN_OK);
    assert_int_equal(sn_policy_resample(p, &rng, draft, NULL), SN_OK);
    assert_int_equal(sn_policy_save(p, &(sn_sink){append, text}, NULL), SN_OK);
    at = strstr(text, row->from);
    assert_non_null(at);
    snprintf(bad, sizeof bad, "%.*s%s%s", (int)(at - text), text, row->to, at + strlen(row->from));
    assert_int_not_equal(sn_policy_load(p, bad, &err), SN_OK);
    if (!strstr(err.text, row->text)) fail_msg("\"%s\" lacks \"%s\"", err.text, row->text);
    assert_int_equal(sn_policy_save(p, &(sn_sink){append, after}, NULL), SN_OK);
    assert_string_equal(text, after);
    assert_int_equal(sn_policy_load(p, text, NULL), SN_OK);
    sn_draft_free(draft);
    sn_policy_free(p);
    sn_supernet_unref(net);
}

/* A state may have been edited: fewer draws than were drawn, and counters at their ends. What it
 * makes of itself it takes back. */
static void takes_a_state_with_fewer_draws(void **state)
{
    static const char *const drawn[] = {"1", "2", "100", "9223372036854775806",
                                        "9223372036854775807"};
    static char              text[1 << 16], edited[1 << 16];
    sn_supernet             *net = load();
    sn_error                 err = {0};
    sn_policy               *p;
    sn_draft                *draft;
    sn_rng                   rng;

    (void)state;
    sn_rng_seed(&rng, 2);
    assert_int_equal(sn_policy_create(net, "enas", "{\"lstm_size\": 2, \"remember\": 3}", &p, NULL),
                     SN_OK);
    text[0] = 0;
    assert_int_equal(sn_policy_save(p, &(sn_sink){append, text}, NULL), SN_OK);
    for (size_t i = 0; i < sizeof drawn / sizeof *drawn; i++) {
        const char *at = strstr(text, "\"updates\": 0, \"drawn\": 0");

        assert_non_null(at);
        snprintf(edited, sizeof edited, "%.*s\"updates\": %s, \"drawn\": %s%s", (int)(at - text),
                 text, drawn[i], drawn[i], at + strlen("\"updates\": 0, \"drawn\": 0"));
        assert_int_equal(sn_policy_load(p, edited, &err), SN_OK);
        assert_int_equal(sn_policy_update(p, "{\"reward\": 1}", &err), SN_E_INVALID);
        for (int k = 0; k < 5; k++) {
            edited[0] = 0;
            assert_int_equal(sn_policy_save(p, &(sn_sink){append, edited}, NULL), SN_OK);
            if (sn_policy_load(p, edited, &err) != SN_OK)
                fail_msg("%s: %s: %s", drawn[i], err.where, err.text);
            assert_int_equal(sn_draft_create(net, &draft, NULL), SN_OK);
            assert_int_equal(sn_policy_resample(p, &rng, draft, NULL), SN_OK);
            assert_int_equal(sn_policy_update(p, "{\"reward\": 1}", &err), SN_OK);
            sn_draft_free(draft);
        }
    }
    sn_policy_free(p);
    sn_supernet_unref(net);
}

int main(void)
{
    static const double      high = 0.9, low = 0.1;
    static struct CMUnitTest test[32];
    size_t                   n = 0;

    for (size_t i = 0; i < sizeof gradients / sizeof *gradients; i++)
        test[n++] = (struct CMUnitTest){gradients[i].name, gradient_is_that_of_differences, NULL,
                                        NULL, (void *)&gradients[i]};
    test[n++] = (struct CMUnitTest){"rewards teach it what to draw", learns_what_is_rewarded, NULL,
                                    NULL, NULL};
    test[n++] = (struct CMUnitTest){"a reward above the baseline makes its draw more likely",
                                    baseline_decides_the_direction, NULL, NULL, (void *)&high};
    test[n++] = (struct CMUnitTest){"a reward below the baseline makes its draw less likely",
                                    baseline_decides_the_direction, NULL, NULL, (void *)&low};
    test[n++] = (struct CMUnitTest){"only the last draws can be rewarded", remembers_only_so_many,
                                    NULL, NULL, NULL};
    test[n++] = (struct CMUnitTest){"a state may have fewer draws than were drawn",
                                    takes_a_state_with_fewer_draws, NULL, NULL, NULL};
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++)
        test[n++] = (struct CMUnitTest){damages[i].name, refuses_damaged_state, NULL, NULL,
                                        (void *)&damages[i]};
    return _cmocka_run_group_tests("enas", test, n, NULL, NULL);
}
