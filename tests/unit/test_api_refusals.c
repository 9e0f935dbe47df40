/* refusals: every way to ask wrongly has its status, its word and its sentence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/api_call.h"

#define D   "/v1/supernets/digits"
#define T   "/v1/supernets/tiny"
#define RUN "POST " T "/forward"

/* A row is a sentence: this request gets this status and word, and the sentence
 * has this text in it, at this place. */
static const struct row {
    const char *name, *ask, *body;
    int         status;
    const char *code, *where, *text;
} rows[] = {
    /* paths and queries */
    {"a path that is nowhere", "GET /v2", NULL, 404, "not_found", "path", "'/v2'"},
    {"a malformed escape", "GET " D "%4/space", NULL, 400, "malformed", "path", "percent"},
    {"an escaped end of text", "GET " D "%00", NULL, 400, "malformed", "path", "percent"},
    {"a supernet that is not loaded", "GET /v1/supernets/nobody", NULL, 404, "unknown_supernet",
     "path", "'nobody'"},
    {"an unknown parameter", "GET " D "/export?form=spec", NULL, 422, "invalid", "query",
     "did you mean 'format'? Known are format, subnet"},
    {"a parameter where there is none", "GET " D "/space?x=1", NULL, 422, "invalid", "query",
     "no parameters"},
    {"a parameter twice", "GET " D "/export?subnet=1&subnet=2", NULL, 400, "malformed", "query",
     "twice"},
    {"a malformed parameter", "GET " D "/export?subnet=%g1", NULL, 400, "malformed", "query",
     "escape"},
    {"a body where none belongs", "GET " D, "{}", 413, "too_large", "body", "limit of 0"},

    /* loading */
    {"a path that climbs", "PUT /v1/supernets/x", "{\"path\": \"tiny/../other\"}", 422, "invalid",
     "path", "without '..'"},
    {"an absolute path", "PUT /v1/supernets/x", "{\"path\": \"/etc\"}", 422, "invalid", "path",
     "'/etc'"},
    {"an empty path", "PUT /v1/supernets/x", "{\"path\": \"\"}", 422, "invalid", "path", "folder"},
    {"no path", "PUT /v1/supernets/x", "{}", 422, "invalid", "path", "missing"},
    {"a folder that is not there", "PUT /v1/supernets/x", "{\"path\": \"gone\"}", 422, "io",
     "spec.json", "No such file"},
    {"a name with a space", "PUT /v1/supernets/a%20b", "{\"path\": \"tiny\"}", 422, "invalid",
     "name", "'a b'"},
    {"a name like a hidden file", "PUT /v1/supernets/..", "{\"path\": \"tiny\"}", 422, "invalid",
     "name", "'..'"},
    {"an unknown member", "PUT /v1/supernets/x", "{\"path\": \"tiny\", \"dir\": 1}", 422, "invalid",
     "body", "'dir' is unknown"},
    {"unloading what is not loaded", "DELETE /v1/supernets/x", NULL, 404, "unknown_supernet",
     "path", "'x'"},

    /* JSON */
    {"no JSON", "POST " D "/resample", "seed=1", 400, "malformed", "body", "line 1 column"},
    {"JSON that ends early", "POST " D "/resample", "{\"seed\": 1", 400, "malformed", "body", ""},
    {"two documents", "POST " D "/resample", "{} {}", 400, "malformed", "body", ""},
    {"a member twice", "POST " D "/resample", "{\"seed\": 1, \"seed\": 2}", 400, "malformed",
     "body", "duplicate"},
    {"bytes that are no UTF-8", "POST " D "/resample", "{\"policy\": \"\xff\"}", 400, "malformed",
     "body", ""},
    {"a list as body", "POST " D "/resample", "[]", 422, "invalid", "body", "not an array"},
    {"a number beyond 64 bits", "POST " D "/resample", "{\"seed\": 99999999999999999999}", 422,
     "invalid", "body", ""},

    /* resample */
    {"a misspelt seed", "POST " D "/resample", "{\"sed\": 1}", 422, "invalid", "body", "'sed'"},
    {"a negative seed", "POST " D "/resample", "{\"seed\": -1}", 422, "invalid", "seed", "-1"},
    {"a seed with a fraction", "POST " D "/resample", "{\"seed\": 1.0}", 422, "invalid", "seed",
     "integer"},
    {"no subnets", "POST " D "/resample", "{\"count\": 0}", 422, "invalid", "count", "below 1"},
    {"too many subnets", "POST " D "/resample", "{\"count\": 17}", 413, "limit", "count", "16"},
    {"an unknown policy", "POST " D "/resample", "{\"policy\": \"best\"}", 422, "unknown_name",
     "policy", "'path'"},
    {"a memo of a wrong value", "POST " D "/resample", "{\"memo\": {\"width\": 13}}", 422,
     "not_candidate", "memo.width", "13 is not one of 12, 16, 24, 32"},
    {"a memo of an unknown label", "POST " D "/resample", "{\"memo\": {\"breadth\": 1}}", 422,
     "unknown_name", "memo.breadth", "breadth"},
    {"a memo that is a list", "POST " D "/resample", "{\"memo\": []}", 422, "invalid", "memo",
     "object"},

    /* choices and subnets */
    {"no current subnet", "GET " D "/choices", NULL, 409, "undecided", "choices", "resample"},
    {"a partial set", "PUT " T "/choices", "{}", 409, "undecided", NULL, "takes 1, 2"},
    {"an unknown label", "PUT " T "/choices", "{\"v\": 1}", 422, "unknown_name", "choices.v",
     "there are w"},
    {"a misspelt wrapper", "PUT " T "/choices", "{\"choises\": {\"w\": 1}}", 422, "not_candidate",
     "choices.choises", "object"},
    {"text for a number", "PUT " T "/choices", "{\"w\": \"1\"}", 422, "not_candidate", "choices.w",
     "'1' is not one of 1, 2"},
    {"a bool for a number", "PUT " D "/choices", "{\"depth\": false}", 422, "not_candidate",
     "choices.depth", "False"},
    {"a list for a number", "PUT " T "/choices", "{\"w\": [1]}", 422, "not_candidate", "choices.w",
     ""},
    {"lists without end", "PUT " T "/choices", "{\"w\": [[[[[[1]]]]]]}", 422, "not_candidate",
     "choices.w", "deeply"},
    {"an unknown completion", "PUT " T "/choices", "{\"choices\": {}, \"complete\": \"max\"}", 422,
     "invalid", "complete", "current"},
    {"completion from nothing", "PUT " T "/choices", "{\"choices\": {}, \"complete\": \"current\"}",
     409, "undecided", "complete", "no current subnet"},
    {"completion by an unknown policy", "PUT " T "/choices",
     "{\"complete\": {\"policy\": \"none\"}}", 422, "unknown_name", "policy", "'none'"},
    {"a misspelt completion", "PUT " T "/choices", "{\"complete\": {\"sed\": 1}}", 422, "invalid",
     "complete", "'sed'"},
    {"a subnet nobody made", "GET " T "/subnets/00ff", NULL, 404, "unknown_subnet", "path", "00ff"},
    {"forgetting what is unknown", "DELETE " T "/subnets/00ff", NULL, 404, "unknown_subnet", "path",
     "00ff"},
    {"exporting nothing", "GET " T "/export", NULL, 409, "undecided", "subnet", "no current"},
    {"exporting what is unknown", "GET " T "/export?subnet=1", NULL, 404, "unknown_subnet",
     "subnet", "'1'"},
    {"an unknown format", "GET " T "/export?format=tar", NULL, 422, "invalid", "format",
     "choices, spec and safetensors"},

    /* forward: which subnet */
    {"no subnet at all", RUN, "{\"inputs\": {\"x\": [[1, 2]]}}", 409, "undecided", "subnet", ""},
    {"an unknown subnet in the body", RUN, "{\"inputs\": {\"x\": [[1, 2]]}, \"subnet\": \"ab\"}",
     422, "unknown_subnet", "subnet", "'ab'"},
    {"an unknown subnet in the query", RUN "?subnet=ab", "{\"inputs\": {\"x\": [[1, 2]]}}", 404,
     "unknown_subnet", "subnet", "'ab'"},
    {"two who say what to run", RUN,
     "{\"inputs\": {\"x\": [[1, 2]]}, \"subnet\": \"ab\", \"choices\": {\"w\": 1}}", 422, "invalid",
     "body", "only one"},
    {"body and query", RUN "?subnet=ab", "{\"inputs\": {\"x\": [[1, 2]]}, \"choices\": {\"w\": 1}}",
     422, "invalid", "subnet", "only one"},
    {"inline choices of a wrong value", RUN,
     "{\"inputs\": {\"x\": [[1, 2]]}, \"choices\": {\"w\": 3}}", 422, "not_candidate", "choices.w",
     "3 is not one of 1, 2"},
    {"inline choices as a list", RUN, "{\"inputs\": {\"x\": [[1, 2]]}, \"choices\": [1]}", 422,
     "invalid", "choices", "array"},
    {"an empty list of subnets", RUN, "{\"inputs\": {\"x\": [[1, 2]]}, \"subnets\": []}", 422,
     "invalid", "subnets", "empty"},
    {"a number among subnets", RUN, "{\"inputs\": {\"x\": [[1, 2]]}, \"subnets\": [{\"w\": 1}, 1]}",
     422, "invalid", "subnets[1]", "integer"},
    {"a wrong value among subnets", RUN,
     "{\"inputs\": {\"x\": [[1, 2]]}, \"subnets\": [{\"w\": 1}, {\"w\": 9}]}", 422, "not_candidate",
     "subnets[1].w", "9"},
    {"too many subnets at once", RUN,
     "{\"inputs\": {\"x\": [[1, 2]]}, \"subnets\": "
     "[{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},"
     "{}]}",
     413, "limit", "subnets", "17"},
    {"a version from yesterday", RUN "?version=1", "{\"inputs\": {\"x\": [[1, 2]]}}", 409, "stale",
     "version", "version 2 is"},
    {"a version in the body", RUN, "{\"inputs\": {\"x\": [[1, 2]]}, \"version\": 7}", 409, "stale",
     "version", "7"},
    {"no number of a version", RUN "?version=1a", "{\"inputs\": {\"x\": [[1, 2]]}}", 422, "invalid",
     "version", "'1a'"},

    /* forward: inputs */
    {"an empty body", RUN, NULL, 400, "malformed", "body", "inputs"},
    {"an input that is missing", RUN, "{\"choices\": {\"w\": 1}}", 422, "invalid", "inputs.x",
     "missing; its shape is [N, 2]"},
    {"an unknown input", RUN, "{\"inputs\": {\"y\": [[1, 2]]}}", 422, "unknown_name", "inputs.y",
     "'x'"},
    {"an input twice", RUN, "{\"inputs\": {\"x\": [[1, 2]], \"x\": [[1, 2]]}}", 400, "malformed",
     "inputs.x", "twice"},
    {"a misspelt member", RUN, "{\"input\": {\"x\": [[1, 2]]}, \"choices\": {\"w\": 1}}", 422,
     "invalid", "body", "'input' is unknown"},
    {"inputs that are a list", RUN, "{\"inputs\": [[1, 2]]}", 422, "invalid", "inputs", "object"},
    {"a row too short", RUN, "{\"inputs\": {\"x\": [[1, 2], [3]]}}", 422, "shape", "inputs.x[1]",
     "1 elements instead of 2; the shape is [N, 2]"},
    {"a row too long", RUN, "{\"inputs\": {\"x\": [[1, 2, 3, 4]]}}", 422, "shape", "inputs.x[0]",
     "4 elements instead of 2"},
    {"too flat", RUN, "{\"inputs\": {\"x\": [1, 2]}}", 422, "shape", "inputs.x[0]",
     "expected an array, got a number"},
    {"too deep", RUN, "{\"inputs\": {\"x\": [[[1], 2]]}}", 422, "shape", "inputs.x[0][0]",
     "expected a number, got an array"},
    {"a sample without numbers", RUN, "{\"inputs\": {\"x\": [[]]}, \"choices\": {\"w\": 1}}", 422,
     "shape", "inputs.x[0]", "has 0 elements instead of 2"},
    {"a text among numbers", RUN, "{\"inputs\": {\"x\": [[1, \"2\"]]}}", 422, "dtype",
     "inputs.x[0][1]", "got a string"},
    {"a null among numbers", RUN, "{\"inputs\": {\"x\": [[1, null]]}}", 422, "dtype",
     "inputs.x[0][1]", "got null"},
    {"a number too large for the type", RUN, "{\"inputs\": {\"x\": [[1, 1e39]]}}", 422, "dtype",
     "inputs.x[0][1]", "1e39"},
    {"a word that is no JSON", RUN, "{\"inputs\": {\"x\": [[1, NaN]]}}", 400, "malformed", "body",
     "line 1 column 23: expected a number, not 'N'"},
    {"an array that does not end", RUN, "{\"inputs\": {\"x\": [[1, 2]", 400, "malformed", "body",
     "the body ends"},
    {"a trailing comma", RUN, "{\"inputs\": {\"x\": [[1, 2],]}}", 400, "malformed", "body", "']'"},
    {"text behind the document", RUN, "{\"inputs\": {\"x\": [[1, 2]]}}}", 400, "malformed", "body",
     "the end of the body"},
    {"a lower-case word as a number", RUN, "{\"inputs\": {\"x\": [[1, nan]]}}", 400, "malformed",
     "body", "expected a number, not 'n'"},
    {"an infinity among numbers", RUN, "{\"inputs\": {\"x\": [[1, -Infinity]]}}", 400, "malformed",
     "body", "a number"},
    {"a hexadecimal number", RUN, "{\"inputs\": {\"x\": [[1, 0x10]]}}", 400, "malformed", "body",
     "a number"},
    {"a leading plus", RUN, "{\"inputs\": {\"x\": [[1, +1]]}}", 400, "malformed", "body",
     "a number"},
    {"a leading zero", RUN, "{\"inputs\": {\"x\": [[1, 01]]}}", 400, "malformed", "body",
     "a number"},
    {"a point and no digits", RUN, "{\"inputs\": {\"x\": [[1, 1.]]}}", 400, "malformed", "body",
     "a number"},
    {"nan where an array belongs", RUN, "{\"inputs\": {\"x\": nan}}", 400, "malformed", "body", ""},
    {"nan as a value of a choice", RUN,
     "{\"inputs\": {\"x\": [[1, 2]]}, \"choices\": {\"w\": nan}}", 400, "malformed", "body", ""},
    {"inf as a seed", "POST " D "/resample", "{\"seed\": inf}", 400, "malformed", "body", ""},
    {"nan as a logit", "PUT " D "/alpha", "{\"width\": [nan, 0, 0, 0]}", 400, "malformed", "body",
     ""},
    {"1. as a logit", "PUT " D "/alpha", "{\"width\": [1., 0, 0, 0]}", 400, "malformed", "body",
     ""},
    {"a member without a value", RUN, "{\"inputs\":", 400, "malformed", "body", "the body ends"},
    {"a result JSON cannot say", RUN,
     "{\"inputs\": {\"x\": [[1, 2], [3e38, 3e38]]}, \"choices\": {\"w\": 1}}", 422, "not_finite",
     "outputs.output[1][0]", "safetensors"},
    {"a batch above the limit", RUN,
     "{\"choices\": {\"w\": 1}, \"inputs\": {\"x\": ["
     "[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],"
     "[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],"
     "[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],"
     "[1,2],[1,2],[1,2],[1,2]]}}",
     413, "limit", "inputs", "a batch of 49 is above the limit of 48"},
};

static void check(const struct answer *a, int status, const char *code, const char *where,
                  const char *text)
{
    const char *got = a->resp.body;

    if (a->resp.status != status)
        fail_msg("%d instead of %d: %.*s", a->resp.status, status, (int)a->resp.n_body, got);
    assert_string_equal(a->resp.content_type, "application/json");
    assert_string_equal(answer_text(a, "error.code"), code);
    assert_string_equal(answer_text(a, "error.request"), "test-1");
    if (where) assert_string_equal(answer_text(a, "error.where"), where);
    if (!strstr(answer_text(a, "error.text"), text))
        fail_msg("no \"%s\" in \"%s\"", text, answer_text(a, "error.text"));
}

static struct api_fixture *fixture;

static void check_row(void **state)
{
    const struct row *row = *state;
    struct answer     a = api_ask_text(fixture->api, row->ask, row->body);

    check(&a, row->status, row->code, row->where, row->text);
    answer_fini(&a);
}

/* ---- what is in headers ---- */

static const struct header_row {
    const char     *name;
    struct question q;
    int             status;
    const char     *code, *where;
} header_rows[] = {
    {"a body of plain text",
     {"POST " D "/resample", "{}", .content_type = "text/plain"},
     415,
     "unsupported_media_type",
     "Content-Type"},
    {"a form from a browser",
     {"POST " D "/resample", "{}", .content_type = "application/x-www-form-urlencoded",
      .origin = "http://example.org"},
     415,
     "unsupported_media_type",
     "Content-Type"},
    {"tensors where JSON is due",
     {"POST " D "/resample", "{}", .content_type = "application/x-safetensors"},
     415,
     "unsupported_media_type",
     "Content-Type"},
    {"an answer as a page", {"GET " D, .accept = "text/html"}, 406, "not_acceptable", "Accept"},
    {"JSON refused in so many words",
     {"GET " D, .accept = "application/json;q=0, text/*"},
     406,
     "not_acceptable",
     "Accept"},
    {"metrics as JSON",
     {"GET /metrics", .accept = "application/json"},
     406,
     "not_acceptable",
     "Accept"},
    {"a specification as tensors",
     {"GET " T "/export?format=spec", .accept = "application/x-safetensors"},
     406,
     "not_acceptable",
     "Accept"},
    {"no safetensors",
     {RUN, "{\"inputs\": {}}", .content_type = "application/x-safetensors"},
     400,
     "malformed",
     NULL},
};

static void check_header_row(void **state)
{
    const struct header_row *row = *state;
    struct answer            a = api_ask(fixture->api, &row->q);

    check(&a, row->status, row->code, row->where, "");
    answer_fini(&a);
}

/* ---- what needs a set-up of its own ---- */

static void a_body_above_the_limit_is_not_read(void **state)
{
    const size_t  n = (4 << 20) + 1;
    char         *body = calloc(1, n);
    struct answer a;

    (void)state;
    assert_non_null(body);
    a = api_ask(fixture->api, &(struct question){.ask = RUN, .body = body, .n_body = n});
    check(&a, 413, "too_large", "body", "4194305");
    answer_fini(&a);
    free(body);
}

static void a_stopped_request_says_so(void **state)
{
    const atomic_bool stop = true;
    const char       *body = "{\"inputs\": {\"x\": [[1, 2]]}, \"choices\": {\"w\": 1}}";
    struct answer     a = api_ask(fixture->api, &(struct question){RUN, body, .stop = &stop});

    (void)state;
    check(&a, 504, "stopped", "", "stopped");
    answer_fini(&a);
    a = api_ask(fixture->api, &(struct question){"POST " T "/resample", "{}", .stop = &stop});
    check(&a, 504, "stopped", "", "stopped");
    answer_fini(&a);
}

static void a_draining_daemon_is_not_ready(void **state)
{
    struct api   *api = api_fixture_create(NULL);
    struct answer a;

    (void)state;
    api_expect(api, 200, "GET /readyz", NULL);
    api_drain(api);
    a = api_ask_text(api, "GET /readyz", NULL);
    check(&a, 503, "draining", "", "shutting down");
    assert_true(a.resp.retry_after > 0);
    answer_fini(&a);
    api_expect(api, 200, "GET /healthz", NULL);
    api_free(api);
}

static void without_a_model_directory_nothing_is_loaded(void **state)
{
    struct api   *api = api_fixture_create(NULL);
    struct answer a = api_ask_text(api, "PUT /v1/supernets/x", "{\"path\": \"tiny\"}");

    (void)state;
    check(&a, 403, "forbidden", "path", "--model-dir");
    answer_fini(&a);
    api_free(api);
}

static void the_server_can_refuse_in_the_same_form(void **state)
{
    struct answer a = {0};

    (void)state;
    api_problem(503, "busy", "", "a \"quote\"\n and \xff", "test-1", &a.resp);
    a.json = json_loadb(a.resp.body, a.resp.n_body, 0, NULL);
    check(&a, 503, "busy", "", "a \"quote\"\n and \xEF\xBF\xBD");
    answer_fini(&a);
}

enum {
    N_ROWS = sizeof rows / sizeof rows[0],
    N_HEADERS = sizeof header_rows / sizeof header_rows[0]
};

int main(void)
{
    struct CMUnitTest tests[N_ROWS + N_HEADERS + 5] = {
        cmocka_unit_test(a_body_above_the_limit_is_not_read),
        cmocka_unit_test(a_stopped_request_says_so),
        cmocka_unit_test(a_draining_daemon_is_not_ready),
        cmocka_unit_test(without_a_model_directory_nothing_is_loaded),
        cmocka_unit_test(the_server_can_refuse_in_the_same_form),
    };
    void *state;
    int   n_failed;

    for (size_t i = 0; i < N_ROWS; i++)
        tests[5 + i] = (struct CMUnitTest){
            .name = rows[i].name, .test_func = check_row, .initial_state = (void *)&rows[i]};
    for (size_t i = 0; i < N_HEADERS; i++)
        tests[5 + N_ROWS + i] = (struct CMUnitTest){.name = header_rows[i].name,
                                                    .test_func = check_header_row,
                                                    .initial_state = (void *)&header_rows[i]};
    if (api_fixture_setup(&state) != 0) return 1;
    fixture = state;
    n_failed = cmocka_run_group_tests_name("api_refusals", tests, NULL, NULL);
    api_fixture_teardown(&state);
    return n_failed;
}
