/* policies over HTTP: named instances, their logits, rewards and states; forward and export
 * by a policy; what is refused, and that nothing compiles anew for a new alpha. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "resident/resident.h"
#include "supernet/weights.h"
#include "support/alloc.h"
#include "support/api_call.h"

#define T "/v1/supernets/tiny"
#define D "/v1/supernets/digits"
#define X "\"inputs\": {\"x\": [[1, 2]]}"

static struct api *api_of(void **state)
{
    return ((struct api_fixture *)*state)->api;
}

static struct answer ask_ok(struct api *api, const char *ask, const char *body)
{
    struct answer a = api_ask_text(api, ask, body);

    if (a.resp.status / 100 != 2)
        fail_msg("%s: %d %.*s", ask, a.resp.status, (int)a.resp.n_body, (const char *)a.resp.body);
    return a;
}

/* The first logit of w that a GET gives. */
static double logit(struct api *api, const char *ask)
{
    struct answer a = ask_ok(api, ask, NULL);
    const double  v = answer_number(&a, "alpha.w.0");

    answer_fini(&a);
    return v;
}

/* tiny at x = 1, 2 where the second unit has weight p, once going in and once coming out:
 * 1 + 2 * 2 + 0.5 + 10 p * p * (3 + 4 * 2 + 0.25). */
static double blend(double p)
{
    return 5.5 + 112.5 * p * p;
}

static double softmax2(double a, double b)
{
    return 1.0 / (1.0 + exp(a - b));
}

static double forward(struct api *api, const char *body)
{
    struct answer a = ask_ok(api, "POST " T "/forward", body);
    const double  v = answer_number(&a, "results.0.outputs.output.0.0");

    answer_fini(&a);
    return v;
}

/* ---- instances ------------------------------------------------------------------------- */

static void a_policy_lives_and_dies(void **state)
{
    struct api   *api = api_of(state);
    struct answer a;

    api_expect(api, 404, "GET " T "/policies/p", NULL);
    api_expect(api, 201, "PUT " T "/policies/p", "{\"policy\": \"gumbel\", \"temperature\": 0.5}");
    a = ask_ok(api, "GET " T "/policies/p", NULL);
    assert_string_equal(answer_text(&a, "name"), "p");
    assert_string_equal(answer_text(&a, "policy"), "gumbel");
    assert_float_equal(answer_number(&a, "options.temperature"), 0.5, 0);
    answer_fini(&a);

    api_expect(api, 201, "PUT " T "/policies/a", "{\"policy\": \"max\"}");
    a = ask_ok(api, "GET " T "/policies", NULL);
    assert_int_equal(json_array_size(answer_at(&a, "policies")), 2);
    assert_string_equal(answer_text(&a, "policies.0.name"), "a");
    assert_string_equal(answer_text(&a, "policies.1.name"), "p");
    assert_string_equal(answer_text(&a, "classes.0.name"), "path");
    answer_fini(&a);

    api_expect(api, 200, "PUT " T "/policies/p", "{\"policy\": \"proxyless\"}");
    a = ask_ok(api, "GET " T "/policies/p", NULL);
    assert_string_equal(answer_text(&a, "policy"), "proxyless");
    answer_fini(&a);

    api_expect(api, 204, "DELETE " T "/policies/p", NULL);
    api_expect(api, 204, "DELETE " T "/policies/a", NULL);
    api_expect(api, 404, "DELETE " T "/policies/p", NULL);
    api_expect(api, 404, "GET " D "/policies/a", NULL);
}

static void two_policies_do_not_disturb_each_other(void **state)
{
    struct api *api = api_of(state);

    api_expect(api, 201, "PUT " T "/policies/a", "{\"policy\": \"differentiable\"}");
    api_expect(api, 201, "PUT " T "/policies/b", "{\"policy\": \"proxyless\"}");
    api_expect(api, 200, "PUT " T "/policies/a/alpha", "{\"w\": [1, 2]}");
    api_expect(api, 200, "PUT " T "/policies/b/alpha", "{\"w\": [3, 4]}");
    assert_float_equal(logit(api, "GET " T "/policies/a/alpha"), 1, 0);
    assert_float_equal(logit(api, "GET " T "/policies/b/alpha"), 3, 0);
    api_expect(api, 204, "DELETE " T "/policies/a", NULL);
    api_expect(api, 204, "DELETE " T "/policies/b", NULL);
}

static void alpha_alone_is_that_of_the_default(void **state)
{
    struct api   *api = api_of(state);
    struct answer a;

    assert_true(fabs(logit(api, "GET " T "/alpha")) < 0.01); /* made now: N(0, 1e-3) */
    api_expect(api, 200, "PUT " T "/alpha", "{\"alpha\": {\"w\": [0.5, -0.25]}}");
    assert_float_equal(logit(api, "GET " T "/policies/default/alpha"), 0.5, 0);
    a = ask_ok(api, "GET " T "/policies/default", NULL);
    assert_string_equal(answer_text(&a, "policy"), "differentiable");
    answer_fini(&a);

    /* what GET gives, PUT takes */
    a = ask_ok(api, "GET " T "/alpha", NULL);
    api_expect(api, 200, "PUT " T "/alpha", "{\"w\": [7, 7]}");
    {
        char body[256];

        snprintf(body, sizeof body, "%.*s", (int)a.resp.n_body, (const char *)a.resp.body);
        api_expect(api, 200, "PUT " T "/alpha", body);
    }
    answer_fini(&a);
    assert_float_equal(logit(api, "GET " T "/alpha"), 0.5, 0);
    api_expect(api, 204, "DELETE " T "/policies/default", NULL);
}

static void a_temperature_is_annealed(void **state)
{
    struct api   *api = api_of(state);
    struct answer a;

    api_expect(api, 201, "PUT " T "/policies/g", "{\"policy\": \"gumbel\"}");
    api_expect(api, 200, "PUT " T "/policies/g/alpha", "{\"alpha\": {\"w\": [0, 0]}}");
    api_expect(api, 200, "PUT " T "/policies/g/alpha", "{\"temperature\": 1e-6}");
    a = ask_ok(api, "GET " T "/export?format=probs&policy=g&seed=3", NULL);
    assert_float_equal(answer_number(&a, "w.1") + answer_number(&a, "w.2"), 1, 1e-6);
    assert_float_equal(fmax(answer_number(&a, "w.1"), answer_number(&a, "w.2")), 1, 1e-6);
    answer_fini(&a);
    api_expect(api, 204, "DELETE " T "/policies/g", NULL);
}

/* ---- forward ------------------------------------------------------------------------------- */

static void forward_blends_by_a_policy(void **state)
{
    struct api   *api = api_of(state);
    struct answer a;
    uint64_t      n_misses;
    char          id[33], body[128];

    api_expect(api, 200, "PUT " T "/alpha", "{\"w\": [0, 1]}");
    a = ask_ok(api, "POST " T "/forward", "{" X ", \"policy\": \"default\"}");
    assert_float_equal(answer_number(&a, "results.0.outputs.output.0.0"), blend(softmax2(0, 1)),
                       1e-3);
    snprintf(id, sizeof id, "%s", answer_text(&a, "results.0.subnet"));
    answer_fini(&a);

    /* a new alpha is an input of the run: nothing is compiled */
    n_misses = api_plan_cache_read(&api->plans).n_misses;
    for (int i = 0; i < 5; i++) {
        snprintf(body, sizeof body, "{\"w\": [%d, 0.5]}", i);
        api_expect(api, 200, "PUT " T "/alpha", body);
        assert_float_equal(forward(api, "{" X ", \"policy\": \"default\"}"),
                           blend(softmax2(i, 0.5)), 1e-3);
        snprintf(body, sizeof body, "{" X ", \"alpha\": {\"w\": [%d, 0.5]}}", i);
        assert_float_equal(forward(api, body), blend(softmax2(i, 0.5)), 1e-3);
    }
    assert_int_equal(api_plan_cache_read(&api->plans).n_misses, n_misses);

    /* the soft subnet has an id, for which somebody must say the weights */
    snprintf(body, sizeof body, "{" X ", \"subnet\": \"%s\", \"alpha\": {\"w\": [0, 0]}}", id);
    assert_float_equal(forward(api, body), blend(0.5), 1e-3);
    snprintf(body, sizeof body, "{" X ", \"subnet\": \"%s\"}", id);
    api_expect(api, 409, "POST " T "/forward", body);
    snprintf(body, sizeof body, "{" X ", \"subnets\": [{\"w\": 1}, \"%s\"]}", id);
    api_expect(api, 409, "POST " T "/forward", body);
    snprintf(body, sizeof body, "{" X ", \"subnet\": \"%s\", \"alpha\": {}}", id);
    api_expect(api, 409, "POST " T "/forward", body);

    /* choices fix a label beforehand */
    assert_float_equal(forward(api, "{" X ", \"policy\": \"default\", \"choices\": {\"w\": 2}}"),
                       blend(1), 1e-3);
    api_expect(api, 204, "DELETE " T "/policies/default", NULL);
}

static void forward_draws_by_a_policy(void **state)
{
    struct api *api = api_of(state);
    double      first, drawn[2] = {0};

    assert_float_equal(forward(api, "{" X ", \"policy\": \"max\"}"), blend(1), 1e-3);
    assert_float_equal(forward(api, "{" X ", \"policy\": \"min\"}"), blend(0), 1e-3);
    first = forward(api, "{" X ", \"policy\": \"path\", \"seed\": 4}");
    for (int i = 0; i < 32; i++) {
        char body[128];

        snprintf(body, sizeof body, "{" X ", \"policy\": \"random\", \"seed\": %d}", i);
        drawn[forward(api, body) > 10]++;
        assert_float_equal(forward(api, "{" X ", \"policy\": \"path\", \"seed\": 4}"), first, 0);
    }
    assert_true(drawn[0] > 0 && drawn[1] > 0);
}

struct bytes {
    unsigned char at[4096];
    size_t        n;
};

static int append(void *cls, const void *bytes, size_t n)
{
    struct bytes *b = cls;

    memcpy(b->at + b->n, bytes, n);
    b->n += n;
    return 0;
}

static struct answer forward_binary(struct api *api, const char *query, const char *const *keys,
                                    const char *const *values, size_t n)
{
    static const char *const names[] = {"x"};
    const sn_shape           shape = {2, {1, 2}};
    float                    x[] = {1, 2};
    const sn_tensor          t = sn_tensor_dense(SN_F32, &shape, x);
    struct bytes             body = {.n = 0};
    char                     ask[128];
    struct question          q = {
                 .ask = ask, .content_type = "application/x-safetensors", .accept = "application/json"};

    snprintf(ask, sizeof ask, "POST " T "/forward%s", query);
    assert_int_equal(
        sn_tensors_write(names, &t, 1, keys, values, n, &(sn_sink){append, &body}, NULL), SN_OK);
    q.body = body.at;
    q.n_body = body.n;
    return api_ask(api, &q);
}

/* A row: this metadata and query give this number, or this status. */
static const struct binary {
    const char *query, *key[2], *value[2];
    int         status;
    double      want;
} binaries[] = {
    {"", {"alpha", NULL}, {"{\"w\": [0, 0]}", NULL}, 200, 33.625},
    {"", {"policy", NULL}, {"max", NULL}, 200, 118},
    {"?policy=min", {NULL, NULL}, {NULL, NULL}, 200, 5.5},
    {"?policy=path&seed=1", {NULL, NULL}, {NULL, NULL}, 200, -1},
    {"", {"policy", "choices"}, {"max", "{\"w\": 1}"}, 200, 5.5},
    {"", {"policy", "seed"}, {"path", "1"}, 200, -1},
    {"", {"policy", "seed"}, {"path", "x"}, 422, 0},
    {"", {"policy", "alpha"}, {"max", "{}"}, 422, 0},
    {"?policy=min", {"policy", NULL}, {"max", NULL}, 422, 0},
    {"?seed=1", {NULL, NULL}, {NULL, NULL}, 422, 0},
    {"?policy=min&seed=-1", {NULL, NULL}, {NULL, NULL}, 422, 0},
    {"?policy=nobody", {NULL, NULL}, {NULL, NULL}, 422, 0},
    {"", {"alpha", NULL}, {"{", NULL}, 400, 0},
    {"", {"alpha", NULL}, {"{\"w\": [0]}", NULL}, 422, 0},
};

static void forward_by_a_policy_in_binary(void **state)
{
    for (size_t i = 0; i < sizeof binaries / sizeof *binaries; i++) {
        const struct binary *row = &binaries[i];
        struct answer        a = forward_binary(api_of(state), row->query, row->key, row->value,
                                                !!row->key[0] + !!row->key[1]);

        if (a.resp.status != row->status)
            fail_msg("row %zu: %d %.*s", i, a.resp.status, (int)a.resp.n_body,
                     (const char *)a.resp.body);
        if (row->status == 200 && row->want >= 0)
            assert_float_equal(answer_number(&a, "results.0.outputs.output.0.0"), row->want, 1e-3);
        answer_fini(&a);
    }
}

/* ---- resample, export ------------------------------------------------------------------------ */

static void resample_names_what_is_soft(void **state)
{
    struct api   *api = api_of(state);
    struct answer a = ask_ok(api, "POST " T "/resample", "{\"policy\": \"default\"}");

    assert_string_equal(answer_text(&a, "subnets.0.soft.0"), "w");
    assert_string_equal(answer_text(&a, "policy"), "default");
    assert_int_equal(json_object_size(answer_at(&a, "memo")), 0);
    answer_fini(&a);
    a = ask_ok(api, "GET " T "/choices", NULL); /* it became the current one */
    assert_string_equal(answer_text(&a, "soft.0"), "w");
    answer_fini(&a);
    api_expect(api, 409, "POST " T "/forward", "{" X "}");
    a = ask_ok(api, "PUT " T "/choices", "{\"complete\": {\"policy\": \"max\"}}");
    assert_float_equal(answer_number(&a, "choices.w"), 2, 0);
    assert_null(answer_at(&a, "soft"));
    answer_fini(&a);
    api_expect(api, 204, "DELETE " T "/policies/default", NULL);
}

static void export_takes_the_best(void **state)
{
    struct api   *api = api_of(state);
    struct answer a;

    api_expect(api, 201, "PUT " T "/policies/p",
               "{\"policy\": \"proxyless\", \"alpha\": {\"w\": [0.5, 0.25]}}");
    a = ask_ok(api, "GET " T "/export?policy=p", NULL);
    assert_float_equal(answer_number(&a, "w"), 1, 0);
    answer_fini(&a);
    a = ask_ok(api, "GET " T "/export?format=probs&policy=p", NULL);
    assert_float_equal(answer_number(&a, "w.1"), softmax2(0.25, 0.5), 1e-6);
    assert_float_equal(answer_number(&a, "w.2"), softmax2(0.5, 0.25), 1e-6);
    answer_fini(&a);
    api_expect(api, 200, "PUT " T "/policies/p/alpha", "{\"w\": [0, 1]}");
    a = ask_ok(api, "GET " T "/export?format=spec&policy=p", NULL);
    assert_float_equal(answer_number(&a, "model.layers.0.out_features"), 2, 0);
    answer_fini(&a);
    api_expect(api, 204, "DELETE " T "/policies/p", NULL);
}

/* ---- rewards and states ------------------------------------------------------------------------
 */

static void enas_is_rewarded_by_choices(void **state)
{
    struct api   *api = api_of(state);
    struct answer a;
    char          body[512], *saved, ids[2][33];

    api_expect(api, 201, "PUT " D "/policies/c",
               "{\"policy\": \"enas\", \"lstm_size\": 8, \"seed\": 1, \"learning_rate\": 0.01}");
    api_expect(api, 422, "POST " D "/policies/c/reward", "{\"reward\": 1}");
    a = ask_ok(api, "POST " D "/resample", "{\"policy\": \"c\", \"seed\": 5, \"count\": 3}");
    for (int i = 0; i < 3; i++) {
        char  place[32];
        char *choices;

        snprintf(place, sizeof place, "subnets.%d.%s", i, i % 2 ? "memo" : "choices");
        choices = json_dumps(answer_at(&a, place), 0);
        snprintf(body, sizeof body, "{\"rewards\": [{\"choices\": %s, \"reward\": 0.5}]}", choices);
        api_expect(api, 200, "POST " D "/policies/c/reward", body);
        free(choices);
    }
    answer_fini(&a);
    api_expect(api, 200, "POST " D "/policies/c/reward", "{\"reward\": 0.75}");
    api_expect(api, 422, "GET " D "/policies/c/alpha", NULL);

    /* another one with this state draws the same */
    a = ask_ok(api, "GET " D "/policies/c/state", NULL);
    saved = strndup(a.resp.body, a.resp.n_body);
    answer_fini(&a);
    api_expect(api, 201, "PUT " D "/policies/d", "{\"policy\": \"enas\", \"lstm_size\": 8}");
    api_expect(api, 422, "PUT " D "/policies/d/state", "{\"theta\": []}");
    api_expect(api, 200, "PUT " D "/policies/d/state", saved);
    for (int i = 0; i < 2; i++) {
        a = ask_ok(api, "POST " D "/resample",
                   i ? "{\"policy\": \"c\", \"seed\": 9}" : "{\"policy\": \"d\", \"seed\": 9}");
        snprintf(ids[i], sizeof ids[i], "%s", answer_text(&a, "subnets.0.id"));
        answer_fini(&a);
    }
    assert_string_equal(ids[0], ids[1]);
    free(saved);
    api_expect(api, 204, "DELETE " D "/policies/c", NULL);
    api_expect(api, 204, "DELETE " D "/policies/d", NULL);
}

/* ---- reloads
 * ------------------------------------------------------------------------------------- */

static void new_weights_keep_policies(void **state)
{
    const struct api_fixture *f = *state;
    char                      path[256];
    FILE                     *file;

    api_expect(f->api, 200, "PUT " T "/alpha", "{\"w\": [0.5, 1.5]}");
    api_expect(f->api, 201, "PUT " T "/policies/m", "{\"policy\": \"max\"}");
    api_expect(f->api, 200, "PUT " T, "{\"path\": \"other\"}"); /* results twice as large */
    assert_float_equal(logit(f->api, "GET " T "/alpha"), 0.5, 0);
    assert_float_equal(forward(f->api, "{" X ", \"policy\": \"default\"}"),
                       2 * blend(softmax2(0.5, 1.5)), 1e-3);
    assert_float_equal(forward(f->api, "{" X ", \"policy\": \"m\"}"), 2 * blend(1), 1e-3);

    /* another specification drops them: its labels may be others */
    snprintf(path, sizeof path, "%s/third", f->dir);
    assert_int_equal(mkdir(path, 0777), 0);
    snprintf(path, sizeof path, "cp %s/tiny/* %s/third", f->dir, f->dir);
    assert_int_equal(system(path), 0);
    snprintf(path, sizeof path, "%s/third/spec.json", f->dir);
    assert_non_null(file = fopen(path, "a"));
    assert_true(fputs("\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
    api_expect(f->api, 200, "PUT " T, "{\"path\": \"third\"}");
    api_expect(f->api, 404, "GET " T "/policies/m", NULL);
    assert_true(fabs(logit(f->api, "GET " T "/alpha")) < 0.01);
    api_expect(f->api, 204, "DELETE " T "/policies/default", NULL);
    api_expect(f->api, 200, "PUT " T, "{\"path\": \"tiny\"}");
}

/* ---- refusals
 * ---------------------------------------------------------------------------------------- */

/* A row: this request is refused with this status, word and text. */
static const struct refusal {
    const char *name, *ask, *body;
    int         status;
    const char *code, *text;
} refusals[] = {
    {"a policy that is not there", "GET " T "/policies/p", NULL, 404, "unknown_policy", "'p'"},
    {"its alpha", "GET " T "/policies/p/alpha", NULL, 404, "unknown_policy", "'p'"},
    {"its state", "PUT " T "/policies/p/state", "{}", 404, "unknown_policy", "'p'"},
    {"a reward for it", "POST " T "/policies/p/reward", "{\"reward\": 1}", 404, "unknown_policy",
     "creates one"},
    {"a class is no instance", "GET " T "/policies/path/alpha", NULL, 404, "unknown_policy",
     "'path'"},
    {"a policy of no class", "PUT " T "/policies/p", "{}", 422, "invalid", "is missing"},
    {"a policy of an unknown class", "PUT " T "/policies/p", "{\"policy\": \"darts\"}", 422,
     "unknown_name", "known: 'path', 'differentiable'"},
    {"a class that is no text", "PUT " T "/policies/p", "{\"policy\": 3}", 422, "invalid",
     "string"},
    {"an option that is none", "PUT " T "/policies/p", "{\"policy\": \"path\", \"tau\": 1}", 422,
     "invalid", "no options"},
    {"an instance that is called like a class", "PUT " T "/policies/path",
     "{\"policy\": \"gumbel\"}", 422, "invalid", "something else"},
    {"a name that is none", "PUT " T "/policies/.p", "{\"policy\": \"gumbel\"}", 422, "invalid",
     "no name"},
    {"options that are malformed", "PUT " T "/policies/p", "{\"policy\": ", 400, "malformed", ""},
    {"logits of an unknown label", "PUT " T "/alpha", "{\"v\": [1, 2]}", 422, "unknown_name",
     "\"v\""},
    {"too few logits", "PUT " T "/alpha", "{\"w\": [1]}", 422, "invalid", "2 logits"},
    {"logits that are no list", "PUT " T "/alpha", "{\"w\": 1}", 422, "invalid", "\"w\""},
    {"a reward that is none", "POST " T "/policies/default/reward", "{\"reward\": 1}", 422,
     "invalid", "\"reward\""},
    {"resample by nobody", "POST " T "/resample", "{\"policy\": \"p\"}", 422, "unknown_name",
     "'p'"},
    {"forward by nobody", "POST " T "/forward", "{" X ", \"policy\": \"p\"}", 422, "unknown_name",
     "'p'"},
    {"policy and alpha", "POST " T "/forward", "{" X ", \"policy\": \"max\", \"alpha\": {}}", 422,
     "invalid", "only one of policy and alpha"},
    {"policy and several subnets", "POST " T "/forward",
     "{" X ", \"policy\": \"max\", \"subnets\": [{\"w\": 1}]}", 422, "invalid", "not a list"},
    {"a seed for nobody", "POST " T "/forward", "{" X ", \"seed\": 1, \"choices\": {\"w\": 1}}",
     422, "invalid", "a seed is for a policy"},
    {"alpha that is no object", "POST " T "/forward", "{" X ", \"alpha\": [1]}", 422, "invalid",
     "an object"},
    {"inline logits that are too many", "POST " T "/forward",
     "{" X ", \"alpha\": {\"w\": [1, 2, 3]}}", 422, "invalid", "2 logits"},
    {"inline logits of an unknown label", "POST " T "/forward", "{" X ", \"alpha\": {\"v\": [1]}}",
     422, "unknown_name", "\"v\""},
    {"a label with a value and logits", "POST " T "/forward",
     "{" X ", \"alpha\": {\"w\": [1, 2]}, \"choices\": {\"w\": 1}}", 422, "invalid",
     "set by choices as well"},
    {"logits of what a subnet decides", "POST " T "/forward",
     "{" X ", \"alpha\": {\"w\": [1, 2]}, \"subnet\": \"@1\"}", 422, "invalid",
     "is decided in subnet"},
    {"a reward of nothing", "POST " T "/policies/default/reward", "{}", 422, "invalid",
     "empty object"},
    {"a state of nothing", "PUT " T "/policies/default/state", "{}", 422, "invalid",
     "empty object"},
    {"a seed with a sign", "GET " T "/export?policy=path&seed=+1", NULL, 422, "invalid",
     "no whole number"},
    {"a seed with a zero before it", "GET " T "/export?policy=path&seed=01", NULL, 422, "invalid",
     "no whole number"},
    {"labels that have neither", "POST " T "/forward", "{" X ", \"alpha\": {}}", 409, "undecided",
     ""},
    {"a seed that is negative", "POST " T "/forward", "{" X ", \"policy\": \"max\", \"seed\": -1}",
     422, "invalid", "below 0"},
    {"export of a policy and a subnet", "GET " T "/export?policy=max&subnet=1", NULL, 422,
     "invalid", "only one"},
    {"probs of nobody", "GET " T "/export?format=probs", NULL, 422, "invalid", "is missing"},
    {"probs of a subnet", "GET " T "/export?format=probs&policy=max&subnet=1", NULL, 422, "invalid",
     "not of a subnet"},
    {"probs of a policy without", "GET " T "/export?format=probs&policy=max", NULL, 422,
     "unsupported", "no probabilities"},
    {"export with a seed for nobody", "GET " T "/export?seed=1", NULL, 422, "invalid",
     "is for a policy"},
    {"export with a seed that is none", "GET " T "/export?policy=path&seed=x", NULL, 422, "invalid",
     "'x'"},
    {"a state of a policy without", "GET " T "/policies/default/state?x=1", NULL, 422, "invalid",
     "no parameters"},
};

static struct api_fixture *fixture;

static void refuses(void **state)
{
    const struct refusal *row = *state;
    struct answer         seal = api_ask_text(fixture->api, "POST " T "/subnets", "{\"w\": 1}");
    const char           *at = row->body ? strstr(row->body, "@1") : NULL; /* the id of that */
    char                  body[256];
    struct answer         a;

    if (at)
        snprintf(body, sizeof body, "%.*s%s%s", (int)(at - row->body), row->body,
                 answer_text(&seal, "id"), at + 2);
    a = api_ask_text(fixture->api, row->ask, at ? body : row->body);
    answer_fini(&seal);
    if (a.resp.status != row->status || strcmp(answer_text(&a, "error.code"), row->code) ||
        !strstr(answer_text(&a, "error.text"), row->text))
        fail_msg("%d %.*s", a.resp.status, (int)a.resp.n_body, (const char *)a.resp.body);
    answer_fini(&a);
}

static void so_many_policies_and_no_more(void **state)
{
    struct api *api = api_of(state);
    char        ask[64];

    for (int i = 0; i < API_MAX_INSTANCES; i++) {
        snprintf(ask, sizeof ask, "PUT " T "/policies/p%d", i);
        api_expect(api, 201, ask, "{\"policy\": \"max\"}");
    }
    api_expect(api, 413, "PUT " T "/policies/more", "{\"policy\": \"max\"}");
    api_expect(api, 200, "PUT " T "/policies/p3", "{\"policy\": \"min\"}");
    for (int i = 0; i < API_MAX_INSTANCES; i++) {
        snprintf(ask, sizeof ask, "DELETE " T "/policies/p%d", i);
        api_expect(api, 204, ask, NULL);
    }
}

/* ---- many at once
 * ------------------------------------------------------------------------------------- */

static void *work(void *cls)
{
    struct api *api = cls;

    for (int i = 0; i < 40; i++) {
        /* somebody deletes it in between: then it is a new one, or a class that nobody knows */
        static const char *const asks[][2] = {
            {"PUT " T "/policies/shared", "{\"policy\": \"enas\", \"lstm_size\": 4}"},
            {"POST " T "/resample", "{\"policy\": \"shared\", \"count\": 4}"},
            {"POST " T "/policies/shared/reward", "{\"reward\": 0.5}"},
            {"GET " T "/policies/shared/state", NULL},
            {"POST " T "/forward", "{" X ", \"policy\": \"shared\"}"},
            {"PUT " T "/alpha", "{\"w\": [0, 1]}"},
            {"POST " T "/forward", "{" X ", \"policy\": \"default\"}"},
            {"GET " T "/policies", NULL},
            {"DELETE " T "/policies/shared", NULL},
        };

        for (size_t k = 0; k < sizeof asks / sizeof *asks; k++) {
            if (k == 8 && i % 8) continue;
            struct answer a = api_ask_text(api, asks[k][0], asks[k][1]);

            if (a.resp.status / 100 != 2 && a.resp.status != 404 && a.resp.status != 422) abort();
            answer_fini(&a);
        }
    }
    return NULL;
}

static void many_at_once(void **state)
{
    pthread_t thread[4];

    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, work, api_of(state)), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    api_ask_text(api_of(state), "DELETE " T "/policies/shared", NULL);
    api_expect(api_of(state), 204, "DELETE " T "/policies/default", NULL);
}

/* ---- lack of memory
 * ------------------------------------------------------------------------------------- */

static const struct scarce {
    const char *name, *ask, *body;
} scarce[] = {
    {"create", "PUT " T "/policies/scarce", "{\"policy\": \"gumbel\", \"temperature\": 2}"},
    {"list", "GET " T "/policies", NULL},
    {"set alpha", "PUT " T "/policies/scarce/alpha", "{\"w\": [1, 2]}"},
    {"save", "GET " T "/policies/scarce/state", NULL},
    {"restore", "PUT " T "/policies/scarce/state", "{\"alpha\": {\"w\": [1, 2]}}"},
    {"forward by a policy", "POST " T "/forward", "{" X ", \"policy\": \"scarce\"}"},
    {"forward by logits", "POST " T "/forward", "{" X ", \"alpha\": {\"w\": [1, 2]}}"},
    {"export the best", "GET " T "/export?policy=scarce", NULL},
    {"export probs", "GET " T "/export?format=probs&policy=scarce", NULL},
    {"load again", "PUT " T, "{\"path\": \"tiny\"}"},
};

static void gets_through_at_last(void **state)
{
    const struct scarce *row = *state;
    bool                 failed = true;

    for (size_t n = 1; failed; n++) {
        char                method[8], path[128], *query;
        struct api_response resp;
        struct api_worker   worker = {0};
        struct api_request  req = {.method = method,
                                   .path = path,
                                   .request_id = "test-1",
                                   .body = row->body,
                                   .n_body = row->body ? strlen(row->body) : 0};

        sscanf(row->ask, "%7s %127s", method, path);
        query = strchr(path, '?');
        if (query) *query++ = '\0';
        req.query = query;
        alloc_fail_at(n);
        api_handle(fixture->api, &worker, &req, &resp);
        failed = alloc_failed();
        alloc_fail_at(0);
        if (resp.status / 100 != 2 && !(failed && resp.status == 503))
            fail_msg("allocation %zu: %d %.*s", n, resp.status, (int)resp.n_body,
                     (const char *)resp.body);
        api_response_fini(&resp);
        api_worker_fini(&worker);
        assert_true(n < 100000);
    }
}

int main(void)
{
    static const struct CMUnitTest stories[] = {
        cmocka_unit_test(a_policy_lives_and_dies),
        cmocka_unit_test(two_policies_do_not_disturb_each_other),
        cmocka_unit_test(alpha_alone_is_that_of_the_default),
        cmocka_unit_test(a_temperature_is_annealed),
        cmocka_unit_test(forward_blends_by_a_policy),
        cmocka_unit_test(forward_draws_by_a_policy),
        cmocka_unit_test(forward_by_a_policy_in_binary),
        cmocka_unit_test(resample_names_what_is_soft),
        cmocka_unit_test(export_takes_the_best),
        cmocka_unit_test(enas_is_rewarded_by_choices),
        cmocka_unit_test(new_weights_keep_policies),
        cmocka_unit_test(so_many_policies_and_no_more),
        cmocka_unit_test(many_at_once),
    };
    static struct CMUnitTest tests[64];
    size_t                   n = 0;
    int                      n_failed;
    void                    *state;

    n_failed = cmocka_run_group_tests_name("api_policies", stories, api_fixture_setup,
                                           api_fixture_teardown);
    if (api_fixture_setup(&state) != 0) return 1;
    fixture = state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        tests[n++] =
            (struct CMUnitTest){refusals[i].name, refuses, NULL, NULL, (void *)&refusals[i]};
    for (size_t i = 0; i < sizeof scarce / sizeof *scarce; i++)
        tests[n++] = (struct CMUnitTest){scarce[i].name, gets_through_at_last, NULL, NULL,
                                         (void *)&scarce[i]};
    n_failed += _cmocka_run_group_tests("api_policies: refusals", tests, n, NULL, NULL);
    api_fixture_teardown(&state);
    return n_failed;
}
