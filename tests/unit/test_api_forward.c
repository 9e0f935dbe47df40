/* forward, resample, choices, subnets, export: what comes back is right, in both
 * forms, and nobody disturbs anybody. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "resident/resident.h"
#include "supernet/weights.h"
#include "support/api_call.h"

#define T   "/v1/supernets/tiny"
#define RUN "POST " T "/forward"
#define W1  "\"choices\": {\"w\": 1}"
#define W2  "\"choices\": {\"w\": 2}"

/* The arithmetic of tiny, see api_call.h. */
static double tiny(int w, double x0, double x1)
{
    return x0 + 2 * x1 + 0.5 + (w == 2 ? 10 * (3 * x0 + 4 * x1 + 0.25) : 0);
}

static struct api *api_of(void **state)
{
    return ((struct api_fixture *)*state)->api;
}

static struct answer ask_ok(struct api *api, const char *ask, const char *body)
{
    struct answer a = api_ask_text(api, ask, body);

    if (a.resp.status != 200 && a.resp.status != 201)
        fail_msg("%s: %d %.*s", ask, a.resp.status, (int)a.resp.n_body, (const char *)a.resp.body);
    return a;
}

/* The id of the subnet with this w. */
static void id_of(struct api *api, int w, char id[33])
{
    struct answer a;
    char          body[32];

    snprintf(body, sizeof body, "{\"w\": %d}", w);
    a = ask_ok(api, "POST " T "/subnets", body);
    snprintf(id, 33, "%s", answer_text(&a, "id"));
    answer_fini(&a);
}

/* The memory of all threads together may be above the limit; then fewer have to do. */
static void threads_do_not_make_a_forward_too_large(void **state)
{
    static const char body[] =
        "{\"inputs\": {\"image\": [[[[0,0,0,0,0,0,0,0],[0,0,0,0,0,0,0,0],[0,0,0,0,0,0,0,0],"
        "[0,0,0,0,0,0,0,0],[0,0,0,0,0,0,0,0],[0,0,0,0,0,0,0,0],[0,0,0,0,0,0,0,0],"
        "[0,0,0,0,0,0,0,0]]]]}}";
    struct api_config config = {.plan_cache_bytes = 1 << 20,
                                .subnet_cache = 4,
                                .max_body_bytes = 1 << 20,
                                .max_scratch_bytes = 1 << 20,
                                .max_batch = 1,
                                .max_subnets = 1};
    const int         n_threads[] = {1, 48};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct api *api;
        char        why[256];

        config.n_threads = n_threads[i];
        api = api_create(&config, why, sizeof why);
        assert_non_null(api);
        assert_true(api_load(api, "digits", NULL, why, sizeof why));
        api_expect(api, 200, "POST /v1/supernets/digits/resample", "{\"seed\": 7}");
        api_expect(api, 200, "POST /v1/supernets/digits/forward", body);
        api_free(api);
    }
}

static void a_batch_is_computed(void **state)
{
    struct answer a =
        ask_ok(api_of(state), RUN, "{\"inputs\": {\"x\": [[1, 2], [0.5, -1], [0, 0]]}, " W2 "}");

    assert_float_equal(answer_number(&a, "results.0.outputs.output.0.0"), tiny(2, 1, 2), 1e-4);
    assert_float_equal(answer_number(&a, "results.0.outputs.output.1.0"), tiny(2, 0.5, -1), 1e-4);
    assert_float_equal(answer_number(&a, "results.0.outputs.output.2.0"), tiny(2, 0, 0), 1e-4);
    assert_int_equal(json_array_size(answer_at(&a, "results.0.outputs.output")), 3);
    assert_int_equal(answer_number(&a, "results.0.version"), 2);
    assert_non_null(strstr(a.resp.note, "model=tiny subnet="));
    answer_fini(&a);
}

static void several_subnets_answer_in_order(void **state)
{
    char          one[33], body[256];
    struct answer a;

    id_of(api_of(state), 1, one);
    snprintf(body, sizeof body,
             "{\"subnets\": [{\"w\": 2}, \"%s\", {\"w\": 2}], \"inputs\": {\"x\": [[1, 2]]}}", one);
    a = ask_ok(api_of(state), RUN, body);
    assert_int_equal(json_array_size(answer_at(&a, "results")), 3);
    assert_float_equal(answer_number(&a, "results.0.outputs.output.0.0"), tiny(2, 1, 2), 1e-4);
    assert_float_equal(answer_number(&a, "results.1.outputs.output.0.0"), tiny(1, 1, 2), 1e-4);
    assert_float_equal(answer_number(&a, "results.2.outputs.output.0.0"), tiny(2, 1, 2), 1e-4);
    assert_string_equal(answer_text(&a, "results.1.subnet"), one);
    answer_fini(&a);
}

/* Named three times, by its choices and by its id: it is answered as often, and has the same bits.
 */
static void a_subnet_that_is_named_again_runs_once(void **state)
{
    struct api    *api = api_of(state);
    const uint64_t before = atomic_load(&api->metrics.n_runs);
    char           two[33], body[256];
    struct answer  a;

    id_of(api, 2, two);
    snprintf(body, sizeof body,
             "{\"subnets\": [{\"w\": 2}, {\"w\": 1}, \"%s\", {\"w\": 2}], \"mode\": \"train\", "
             "\"inputs\": {\"x\": [[1, 2]]}}",
             two);
    a = ask_ok(api, RUN, body);
    assert_int_equal(atomic_load(&api->metrics.n_runs) - before, 2);
    assert_int_equal(json_array_size(answer_at(&a, "results")), 4);
    assert_true(json_equal(answer_at(&a, "results.0"), answer_at(&a, "results.2")));
    assert_true(json_equal(answer_at(&a, "results.0"), answer_at(&a, "results.3")));
    assert_false(json_equal(answer_at(&a, "results.0"), answer_at(&a, "results.1")));
    assert_non_null(answer_at(&a, "results.3.state"));
    answer_fini(&a);
}

static void an_inline_subnet_is_not_current(void **state)
{
    struct answer a;
    char          one[33];

    api_expect(api_of(state), 200, "PUT " T "/choices", "{\"w\": 1}");
    a = ask_ok(api_of(state), RUN, "{\"inputs\": {\"x\": [[1, 2]]}, " W2 "}");
    answer_fini(&a);
    a = ask_ok(api_of(state), RUN, "{\"inputs\": {\"x\": [[1, 2]]}}");
    assert_float_equal(answer_number(&a, "results.0.outputs.output.0.0"), tiny(1, 1, 2), 1e-4);
    answer_fini(&a);

    /* forgetting the current one leaves none */
    id_of(api_of(state), 1, one);
    {
        char ask[128];

        snprintf(ask, sizeof ask, "DELETE " T "/subnets/%s", one);
        api_expect(api_of(state), 204, ask, NULL);
        api_expect(api_of(state), 404, ask, NULL);
    }
    api_expect(api_of(state), 409, "GET " T "/choices", NULL);
}

/* ---- the binary form ---- */

struct document {
    char  *at;
    size_t n;
};

static int append(void *cls, const void *bytes, size_t n_bytes)
{
    struct document *d = cls;

    d->at = realloc(d->at, d->n + n_bytes + 1);
    assert_non_null(d->at);
    memcpy(d->at + d->n, bytes, n_bytes);
    d->n += n_bytes;
    return 0;
}

/* x as a safetensors body with up to one pair of metadata. */
static struct document body_of(const char *name, sn_dtype dtype, const sn_shape *shape, void *data,
                               const char *key, const char *value)
{
    const sn_tensor t = sn_tensor_dense(dtype, shape, data);
    struct document d = {0};
    const sn_sink   sink = {append, &d};

    assert_int_equal(sn_tensors_write(&name, &t, 1, &key, &value, key ? 1 : 0, &sink, NULL), SN_OK);
    return d;
}

static const char binary[] = "application/x-safetensors";

static struct answer ask_binary(struct api *api, const char *ask, const struct document *d,
                                const char *accept)
{
    return api_ask(
        api,
        &(struct question){
            .ask = ask, .body = d->at, .n_body = d->n, .content_type = binary, .accept = accept});
}

static void both_forms_give_the_same_bits(void **state)
{
    const sn_shape  shape = {2, {3, 2}};
    float           x[] = {1, 2, 0.5f, -1, 0.1f, 0.3f};
    struct document d = body_of("x", SN_F32, &shape, x, "choices", "{\"w\": 2}");
    struct answer   b = ask_binary(api_of(state), RUN, &d, "*/*");
    struct answer   a = ask_ok(api_of(state), RUN,
                               "{\"inputs\": {\"x\": [[1, 2], [0.5, -1], [0.1, 0.3]]}, " W2 "}");
    sn_weights     *w = NULL;
    sn_tensor       out;

    assert_int_equal(b.resp.status, 200);
    assert_string_equal(b.resp.content_type, binary);
    assert_int_equal(sn_weights_borrow(b.resp.body, b.resp.n_body, "answer", &w, NULL), SN_OK);
    assert_int_equal(sn_weights_count(w), 1);
    assert_true(sn_weights_find(w, "output", &out));
    assert_int_equal(out.shape.dim[0], 3);
    for (int i = 0; i < 3; i++) {
        char path[64];

        snprintf(path, sizeof path, "results.0.outputs.output.%d.0", i);
        assert_true((float)answer_number(&a, path) == ((float *)out.data)[i]);
    }
    assert_string_equal(sn_weights_metadata(w, "subnet"), answer_text(&a, "results.0.subnet"));
    assert_string_equal(sn_weights_metadata(w, "version"), "2");
    sn_weights_unref(w);
    answer_fini(&a);
    answer_fini(&b);

    /* binary in, JSON out */
    b = ask_binary(api_of(state), RUN, &d, "application/json");
    assert_float_equal(answer_number(&b, "results.0.outputs.output.0.0"), tiny(2, 1, 2), 1e-4);
    answer_fini(&b);
    free(d.at);
}

static void several_subnets_are_told_apart_by_their_ids(void **state)
{
    const sn_shape  shape = {2, {1, 2}};
    float           x[] = {1, 2};
    char            one[33], two[33], list[128], name[64];
    struct document d;
    struct answer   b;
    sn_weights     *w = NULL;
    sn_tensor       out;

    id_of(api_of(state), 1, one);
    id_of(api_of(state), 2, two);
    snprintf(list, sizeof list, "[{\"w\": 2}, \"%s\", \"%s\"]", one, two);
    d = body_of("x", SN_F32, &shape, x, "subnets", list);
    b = ask_binary(api_of(state), RUN, &d, NULL);
    assert_int_equal(b.resp.status, 200);
    assert_int_equal(sn_weights_borrow(b.resp.body, b.resp.n_body, "answer", &w, NULL), SN_OK);
    assert_int_equal(sn_weights_count(w), 2); /* the one that was named twice came once */
    snprintf(name, sizeof name, "%s/output", one);
    assert_true(sn_weights_find(w, name, &out));
    assert_float_equal(*(float *)out.data, tiny(1, 1, 2), 1e-4);
    snprintf(name, sizeof name, "%s/output", two);
    assert_true(sn_weights_find(w, name, &out));
    assert_float_equal(*(float *)out.data, tiny(2, 1, 2), 1e-4);
    snprintf(list, sizeof list, "[\"%s\", \"%s\", \"%s\"]", two, one, two);
    assert_string_equal(sn_weights_metadata(w, "subnets"), list);
    sn_weights_unref(w);
    answer_fini(&b);
    free(d.at);
}

static void binary_shows_what_json_cannot(void **state)
{
    const sn_shape  shape = {2, {1, 2}};
    float           x[] = {3e38f, 3e38f};
    struct document d = body_of("x", SN_F32, &shape, x, "choices", "{\"w\": 1}");
    struct answer   b = ask_binary(api_of(state), RUN, &d, NULL);
    sn_weights     *w = NULL;
    sn_tensor       out;

    assert_int_equal(b.resp.status, 200);
    assert_int_equal(sn_weights_borrow(b.resp.body, b.resp.n_body, "answer", &w, NULL), SN_OK);
    assert_true(sn_weights_find(w, "output", &out));
    assert_true(isinf(*(float *)out.data));
    sn_weights_unref(w);
    answer_fini(&b);
    free(d.at);
}

static const struct {
    const char *name, *input, *key, *value, *ask;
    sn_dtype    dtype;
    sn_shape    shape;
    int         status;
    const char *code;
} binary_refusals[] = {
    {"another name", "y", NULL, NULL, RUN, SN_F32, {2, {1, 2}}, 422, "unknown_name"},
    {"another type", "x", "choices", "{\"w\": 1}", RUN, SN_F64, {2, {1, 2}}, 422, "dtype"},
    {"another shape", "x", "choices", "{\"w\": 1}", RUN, SN_F32, {2, {1, 3}}, 422, "shape"},
    {"another rank", "x", "choices", "{\"w\": 1}", RUN, SN_F32, {1, {2}}, 422, "shape"},
    {"a sample without numbers",
     "x",
     "choices",
     "{\"w\": 1}",
     RUN,
     SN_F32,
     {2, {1, 0}},
     422,
     "shape"},
    {"choices that are no JSON", "x", "choices", "w=1", RUN, SN_F32, {2, {1, 2}}, 400, "malformed"},
    {"choices that are no object", "x", "choices", "1", RUN, SN_F32, {2, {1, 2}}, 422, "invalid"},
    {"an unknown subnet", "x", "subnet", "ab", RUN, SN_F32, {2, {1, 2}}, 422, "unknown_subnet"},
    {"subnets that are no list", "x", "subnets", "{}", RUN, SN_F32, {2, {1, 2}}, 422, "invalid"},
    {"an old version", "x", "version", "1", RUN, SN_F32, {2, {1, 2}}, 409, "stale"},
    {"no version", "x", "version", "one", RUN, SN_F32, {2, {1, 2}}, 422, "invalid"},
    {"a version with a sign", "x", "version", "+2", RUN, SN_F32, {2, {1, 2}}, 422, "invalid"},
    {"a misspelt choices", "x", "chioces", "{\"w\": 1}", RUN, SN_F32, {2, {1, 2}}, 422, "invalid"},
    {"a misspelt policy", "x", "polcy", "path", RUN, SN_F32, {2, {1, 2}}, 422, "invalid"},
    {"a key of anybody's", "x", "author", "me", RUN, SN_F32, {2, {1, 2}}, 422, "invalid"},
    {"a key of the inputs", "x", "inputs", "{}", RUN, SN_F32, {2, {1, 2}}, 422, "invalid"},
    {"a format of nobody's", "x", "format", "json", RUN, SN_F32, {2, {1, 2}}, 422, "invalid"},
    {"a mode that is none", "x", "mode", "test", RUN, SN_F32, {2, {1, 2}}, 422, "invalid"},
    {"a seed for nobody", "x", "seed", "7", RUN, SN_F32, {2, {1, 2}}, 422, "invalid"},
    {"modes that differ",
     "x",
     "mode",
     "eval",
     RUN "?mode=train",
     SN_F32,
     {2, {1, 2}},
     422,
     "invalid"},
    {"policies that differ",
     "x",
     "policy",
     "path",
     RUN "?policy=p",
     SN_F32,
     {2, {1, 2}},
     422,
     "invalid"},
    {"body and query",
     "x",
     "choices",
     "{\"w\": 1}",
     RUN "?subnet=ab",
     SN_F32,
     {2, {1, 2}},
     422,
     "invalid"},
};

static void binary_requests_are_refused_as_well(void **state)
{
    static char zeros[64];

    for (size_t i = 0; i < sizeof binary_refusals / sizeof binary_refusals[0]; i++) {
        struct document d =
            body_of(binary_refusals[i].input, binary_refusals[i].dtype, &binary_refusals[i].shape,
                    zeros, binary_refusals[i].key, binary_refusals[i].value);
        struct answer a = ask_binary(api_of(state), binary_refusals[i].ask, &d, NULL);

        if (a.resp.status != binary_refusals[i].status)
            fail_msg("%s: %d", binary_refusals[i].name, a.resp.status);
        assert_string_equal(answer_text(&a, "error.code"), binary_refusals[i].code);
        answer_fini(&a);
        free(d.at);
    }
}

/* ---- resample and choices ---- */

static void a_seed_is_a_promise(void **state)
{
    struct answer a = ask_ok(api_of(state), "POST /v1/supernets/digits/resample", "{\"seed\": 7}");
    struct answer b =
        ask_ok(api_of(state), "POST /v1/supernets/digits/resample", "{\"seed\": 7, \"count\": 3}");
    struct answer c = ask_ok(api_of(state), "POST /v1/supernets/digits/resample", NULL);
    struct answer d;
    char          again[64];

    /* the same on every machine: these are the values, not just twice the same */
    assert_string_equal(answer_text(&a, "subnets.0.choices.op0"), "depthwise");
    assert_int_equal(answer_number(&a, "memo.width"), 24);
    assert_true(json_equal(answer_at(&a, "memo"), answer_at(&a, "subnets.0.memo")));
    assert_string_equal(answer_text(&a, "subnets.0.id"), answer_text(&b, "subnets.0.id"));
    assert_int_equal(json_array_size(answer_at(&b, "subnets")), 3);
    assert_true(json_equal(answer_at(&b, "memo"), answer_at(&b, "subnets.2.memo")));

    /* every label is drawn, the active ones are the choices */
    assert_int_equal(json_object_size(answer_at(&a, "memo")), 17);
    assert_null(answer_at(&a, "subnets.0.choices.op2"));
    assert_non_null(answer_at(&a, "memo.op2"));

    /* the answer names the seed that was not given */
    snprintf(again, sizeof again, "{\"seed\": %.0f}", answer_number(&c, "seed"));
    d = ask_ok(api_of(state), "POST /v1/supernets/digits/resample", again);
    assert_string_equal(answer_text(&c, "subnets.0.id"), answer_text(&d, "subnets.0.id"));
    answer_fini(&a);
    answer_fini(&b);
    answer_fini(&c);
    answer_fini(&d);
}

static void a_single_subnet_becomes_current(void **state)
{
    struct answer a = ask_ok(api_of(state), "POST /v1/supernets/digits/resample", "{\"seed\": 8}");
    struct answer b = ask_ok(api_of(state), "POST /v1/supernets/digits/resample", "{\"count\": 2}");
    struct answer c = ask_ok(api_of(state), "GET /v1/supernets/digits/choices", NULL);
    struct answer d = ask_ok(api_of(state), "GET /v1/supernets/digits", NULL);

    assert_string_equal(answer_text(&c, "id"), answer_text(&a, "subnets.0.id"));
    assert_true(json_equal(answer_at(&c, "choices"), answer_at(&a, "subnets.0.choices")));
    assert_string_equal(answer_text(&d, "current"), answer_text(&a, "subnets.0.id"));
    answer_fini(&a);
    answer_fini(&b);
    answer_fini(&c);
    answer_fini(&d);
}

static void what_is_set_beforehand_stays(void **state)
{
    struct answer a = ask_ok(api_of(state), "POST /v1/supernets/digits/resample",
                             "{\"memo\": {\"width\": 32, \"ratio0\": 1.5}, \"count\": 5}");

    for (int i = 0; i < 5; i++) {
        char path[64];

        snprintf(path, sizeof path, "subnets.%d.choices.width", i);
        assert_int_equal(answer_number(&a, path), 32);
        snprintf(path, sizeof path, "subnets.%d.memo.ratio0", i);
        assert_float_equal(answer_number(&a, path), 1.5, 0);
    }
    answer_fini(&a);
}

static void choices_are_completed_if_asked(void **state)
{
    struct answer a = ask_ok(api_of(state), "PUT /v1/supernets/digits/choices",
                             "{\"choices\": {\"width\": 16}, \"complete\": {\"seed\": 3}}");
    struct answer b = ask_ok(api_of(state), "PUT /v1/supernets/digits/choices",
                             "{\"choices\": {\"width\": 24}, \"complete\": \"current\"}");

    assert_int_equal(answer_number(&a, "choices.width"), 16);
    assert_int_equal(answer_number(&a, "seed"), 3);
    assert_int_equal(answer_number(&b, "choices.width"), 24);
    assert_int_equal(json_object_set_new(answer_at(&a, "choices"), "width", json_integer(24)), 0);
    assert_true(json_equal(answer_at(&a, "choices"), answer_at(&b, "choices")));
    answer_fini(&a);
    answer_fini(&b);
}

static void an_export_can_be_put_back(void **state)
{
    struct answer a = ask_ok(api_of(state), "POST /v1/supernets/digits/resample", "{\"seed\": 9}");
    struct answer b = ask_ok(api_of(state), "GET /v1/supernets/digits/export", NULL);
    char         *text = json_dumps(b.json, 0);
    struct answer c, d;

    assert_true(json_equal(b.json, answer_at(&a, "subnets.0.choices")));
    c = api_ask_text(api_of(state), "POST /v1/supernets/digits/subnets", text);
    assert_int_equal(c.resp.status, 200); /* known from resample */
    assert_string_equal(answer_text(&c, "id"), answer_text(&a, "subnets.0.id"));
    {
        char wrapped[1024];

        snprintf(wrapped, sizeof wrapped, "{\"choices\": %s}", text);
        d = ask_ok(api_of(state), "PUT /v1/supernets/digits/choices", wrapped);
    }
    assert_string_equal(answer_text(&c, "id"), answer_text(&d, "id"));
    free(text);
    answer_fini(&a);
    answer_fini(&b);
    answer_fini(&c);
    answer_fini(&d);
}

static void only_so_many_subnets_are_remembered(void **state)
{
    struct answer a = ask_ok(api_of(state), "POST /v1/supernets/digits/resample",
                             "{\"seed\": 11, \"count\": 16}");
    char          ask[128];

    for (int i = 0; i < 16; i++) {
        char path[64];

        snprintf(path, sizeof path, "subnets.%d.id", i);
        snprintf(ask, sizeof ask, "GET /v1/supernets/digits/subnets/%s", answer_text(&a, path));
        api_expect(api_of(state), i < 8 ? 404 : 200, ask, NULL); /* the limit is 8 */
    }
    answer_fini(&a);
}

/* ---- export ---- */

/* The stand-alone network, loaded under another name, gives the same outputs. */
static void an_export_is_a_supernet_with_nothing_left_to_choose(void **state)
{
    struct api_fixture *f = *state;
    struct answer       spec, weights, a, b;
    char                path[128];
    FILE               *file;

    api_expect(f->api, 200, "PUT " T "/choices", "{\"w\": 1}");
    spec = api_ask_text(f->api, "GET " T "/export?format=spec", NULL);
    weights = api_ask_text(f->api, "GET " T "/export?format=safetensors", NULL);
    assert_int_equal(spec.resp.status, 200);
    assert_int_equal(weights.resp.status, 200);
    assert_string_equal(weights.resp.content_type, binary);

    snprintf(path, sizeof path, "mkdir -p %s/alone", f->dir);
    assert_int_equal(system(path), 0);
    snprintf(path, sizeof path, "%s/alone/spec.json", f->dir);
    assert_non_null(file = fopen(path, "w"));
    assert_int_equal(fwrite(spec.resp.body, 1, spec.resp.n_body, file), spec.resp.n_body);
    assert_int_equal(fclose(file), 0);
    snprintf(path, sizeof path, "%s/alone/weights.safetensors", f->dir);
    assert_non_null(file = fopen(path, "w"));
    assert_int_equal(fwrite(weights.resp.body, 1, weights.resp.n_body, file), weights.resp.n_body);
    assert_int_equal(fclose(file), 0);
    answer_fini(&spec);
    answer_fini(&weights);

    api_expect(f->api, 201, "PUT /v1/supernets/alone", "{\"path\": \"alone\"}");
    a = ask_ok(f->api, "POST /v1/supernets/alone/forward",
               "{\"inputs\": {\"x\": [[1, 2]]}, \"choices\": {}}");
    b = ask_ok(f->api, RUN, "{\"inputs\": {\"x\": [[1, 2]]}, " W1 "}");
    assert_true(answer_number(&a, "results.0.outputs.output.0.0") ==
                answer_number(&b, "results.0.outputs.output.0.0"));
    answer_fini(&a);
    answer_fini(&b);
    api_expect(f->api, 204, "DELETE /v1/supernets/alone", NULL);
}

/* ---- many at once ---- */

struct client {
    struct api *api;
    int         w, n_wrong;
};

static void *ask_again_and_again(void *cls)
{
    struct client *c = cls;

    for (int i = 0; i < 200; i++) {
        char          body[128];
        struct answer a;
        const double  x0 = i % 7, x1 = i % 5;

        snprintf(body, sizeof body, "{\"inputs\": {\"x\": [[%g, %g]]}, \"choices\": {\"w\": %d}}",
                 x0, x1, c->w);
        a = api_ask_text(c->api, RUN, body);
        c->n_wrong += a.resp.status != 200 ||
                      fabs(json_number_value(answer_at(&a, "results.0.outputs.output.0.0")) -
                           tiny(c->w, x0, x1)) > 1e-3;
        answer_fini(&a);
    }
    return NULL;
}

/* Clients with different subnets, others who change the current one, and one who
 * replaces the supernet by itself all the time. */
static void nobody_disturbs_anybody(void **state)
{
    struct client clients[4];
    pthread_t     threads[4];

    for (int i = 0; i < 4; i++) {
        clients[i] = (struct client){api_of(state), 1 + i % 2, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, ask_again_and_again, &clients[i]), 0);
    }
    for (int i = 0; i < 50; i++) {
        api_expect(api_of(state), 200, "POST " T "/resample", NULL);
        api_expect(api_of(state), 200, "PUT " T, "{\"path\": \"tiny\"}");
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(clients[i].n_wrong, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_do_not_make_a_forward_too_large),
        cmocka_unit_test(a_batch_is_computed),
        cmocka_unit_test(several_subnets_answer_in_order),
        cmocka_unit_test(a_subnet_that_is_named_again_runs_once),
        cmocka_unit_test(an_inline_subnet_is_not_current),
        cmocka_unit_test(both_forms_give_the_same_bits),
        cmocka_unit_test(several_subnets_are_told_apart_by_their_ids),
        cmocka_unit_test(binary_shows_what_json_cannot),
        cmocka_unit_test(binary_requests_are_refused_as_well),
        cmocka_unit_test(a_seed_is_a_promise),
        cmocka_unit_test(a_single_subnet_becomes_current),
        cmocka_unit_test(what_is_set_beforehand_stays),
        cmocka_unit_test(choices_are_completed_if_asked),
        cmocka_unit_test(an_export_can_be_put_back),
        cmocka_unit_test(only_so_many_subnets_are_remembered),
        cmocka_unit_test(an_export_is_a_supernet_with_nothing_left_to_choose),
        cmocka_unit_test(nobody_disturbs_anybody),
    };

    return cmocka_run_group_tests_name("api_forward", tests, api_fixture_setup,
                                       api_fixture_teardown);
}
