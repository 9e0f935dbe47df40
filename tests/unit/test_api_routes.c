/* routes against the document: what is served is described, what is described is
 * served, and the words of refusals are those of the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/route.h"
#include "http/words.h"
#include "resident/resident.h"
#include "support/api_call.h"

static json_t *document;

static int setup(void **state)
{
    struct answer a;

    assert_int_equal(api_fixture_setup(state), 0);
    a = api_ask_text(((struct api_fixture *)*state)->api, "GET /openapi.json", NULL);
    assert_int_equal(a.resp.status, 200);
    assert_non_null(a.json);
    document = json_incref(a.json);
    answer_fini(&a);
    return 0;
}

static int teardown(void **state)
{
    json_decref(document);
    return api_fixture_teardown(state);
}

static const char *lower(const char *method)
{
    static char text[16];
    size_t      i = 0;

    for (; method[i]; i++)
        text[i] = (char)(method[i] | 0x20);
    text[i] = '\0';
    return text;
}

static json_t *operation_of(const struct api_route_row *row)
{
    const json_t *path = json_object_get(json_object_get(document, "paths"), row->pattern);

    return json_object_get(path, lower(row->method));
}

/* A response or parameter, behind its $ref. */
static json_t *resolve(json_t *json)
{
    const char *ref = json_string_value(json_object_get(json, "$ref"));
    json_t     *at = document;

    if (!ref) return json;
    assert_memory_equal(ref, "#/", 2);
    for (ref += 2; *ref;) {
        const size_t n = strcspn(ref, "/");
        char         key[64];

        snprintf(key, sizeof key, "%.*s", (int)n, ref);
        at = json_object_get(at, key);
        ref += n + (ref[n] == '/');
    }
    assert_non_null(at);
    return at;
}

static void every_route_is_documented(void **state)
{
    (void)state;
    for (size_t i = 0; i < api_n_routes; i++) {
        const json_t *op = operation_of(&api_routes[i]);

        if (!op)
            fail_msg("%s %s is not in the document", api_routes[i].method, api_routes[i].pattern);
        assert_string_equal(json_string_value(json_object_get(op, "operationId")),
                            api_routes[i].name);
    }
}

static void every_documented_operation_has_a_route(void **state)
{
    json_t     *methods, *op;
    const char *path, *method;
    size_t      n = 0;

    (void)state;
    json_object_foreach(json_object_get(document, "paths"), path, methods)
    {
        json_object_foreach(methods, method, op)
        {
            bool found = false;

            if (strcmp(method, "parameters") == 0) continue; /* of all methods of the path */
            for (size_t i = 0; i < api_n_routes; i++)
                found |= strcmp(api_routes[i].pattern, path) == 0 &&
                         strcmp(lower(api_routes[i].method), method) == 0;
            if (!found) fail_msg("%s %s is documented, but not served", method, path);
            n++;
        }
    }
    assert_int_equal(n, api_n_routes);
}

/* "subnet|version" of the row and the query parameters of the operation. */
static void parameters_agree(void **state)
{
    (void)state;
    for (size_t i = 0; i < api_n_routes; i++) {
        const struct api_route_row *row = &api_routes[i];
        json_t                     *list = json_object_get(operation_of(row), "parameters"), *item;
        size_t                      k, n_query = 0, n_rows = row->query[0] ? 1 : 0;

        for (const char *at = row->query; *at; at++)
            n_rows += *at == '|';
        json_array_foreach(list, k, item)
        {
            const json_t *parameter = resolve(item);
            const char   *name = json_string_value(json_object_get(parameter, "name"));

            if (strcmp(json_string_value(json_object_get(parameter, "in")), "query") == 0) {
                n_query++;
                assert_true(api_word_in(row->query, name, strlen(name)));
            } else {
                char wild[32];

                snprintf(wild, sizeof wild, "{%s}", name);
                assert_non_null(strstr(row->pattern, wild));
            }
        }
        if (n_query != n_rows) fail_msg("%s: parameters differ", row->name);
    }
}

static void bodies_and_answers_agree(void **state)
{
    (void)state;
    for (size_t i = 0; i < api_n_routes; i++) {
        const struct api_route_row *row = &api_routes[i];
        const json_t *op = operation_of(row), *responses = json_object_get(op, "responses");
        const json_t *body = json_object_get(json_object_get(op, "requestBody"), "content");
        const json_t *ok = json_object_get(json_object_get(responses, "200"), "content");

        assert_int_equal(json_object_size(body), row->takes == TAKES_NOTHING   ? 0
                                                 : row->takes == TAKES_TENSORS ? 2
                                                                               : 1);
        assert_int_equal(
            json_is_true(json_object_get(json_object_get(op, "requestBody"), "required")),
            row->takes == TAKES_JSON || row->takes == TAKES_TENSORS);
        assert_int_equal(json_object_get(responses, "415") != NULL, row->takes != TAKES_NOTHING);
        if (ok)
            assert_int_equal(json_object_size(ok), row->gives[1] == MEDIA_OTHER ? 1 : 2);
        else
            assert_non_null(json_object_get(responses, "204"));
        assert_non_null(json_object_get(responses, "405"));
    }
}

/* Every refusal that a route can meet is described, and no other. */
static void statuses_agree(void **state)
{
    (void)state;
    for (size_t i = 0; i < api_n_routes; i++) {
        const struct api_route_row *row = &api_routes[i];
        json_t                     *responses = json_object_get(operation_of(row), "responses");
        const bool machine = strchr(row->pattern + 1, '/') == NULL; /* /healthz and the like */
        const struct {
            const char *status;
            bool        can;
        } want[] = {
            {"400", true}, /* percent escapes, the query */
            {"403", !machine || strcmp(row->name, "openapi") == 0},
            {"404", strchr(row->pattern, '{') != NULL},
            {"405", true},
            {"406", true},
            {"413", true},
            {"415", row->takes != TAKES_NOTHING},
            {"422", true},
            {"503", true}, /* memory */
            {"504", row->thread == API_WORKER},
        };

        for (size_t k = 0; k < sizeof want / sizeof *want; k++)
            if ((json_object_get(responses, want[k].status) != NULL) != want[k].can)
                fail_msg("%s: %s", row->name, want[k].status);
    }
}

/* Whatever follows from `json`, references too. */
static void check_open(json_t *json, const char *what, int depth)
{
    const char *key;
    json_t     *value;
    size_t      i;

    if (depth > 40 || !json) return;
    if (json_is_array(json)) json_array_foreach(json, i, value) check_open(value, what, depth + 1);
    if (!json_is_object(json)) return;
    if (json_object_get(json, "$ref")) {
        check_open(resolve(json), what, depth + 1);
        return;
    }
    if (json_is_false(json_object_get(json, "additionalProperties")) ||
        json_is_array(json_object_get(json, "enum")) || json_object_get(json, "const"))
        fail_msg("%s: an answer that cannot grow", what);
    json_object_foreach(json, key, value) if (strncmp(key, "example", 7) != 0)
        check_open(value, what, depth + 1);
}

/* Answers gain members and words; requests are strict. */
static void answers_may_grow(void **state)
{
    (void)state;
    for (size_t i = 0; i < api_n_routes; i++)
        check_open(json_object_get(operation_of(&api_routes[i]), "responses"), api_routes[i].name,
                   0);
}

static void every_answer_has_an_id_and_what_is_created_a_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < api_n_routes; i++) {
        json_t     *responses = json_object_get(operation_of(&api_routes[i]), "responses"), *value;
        const char *status;

        json_object_foreach(responses, status, value)
        {
            const json_t *headers = json_object_get(resolve(value), "headers");

            if (!json_object_get(headers, "X-Request-Id"))
                fail_msg("%s: %s has no X-Request-Id", api_routes[i].name, status);
            assert_int_equal(json_object_get(headers, "Location") != NULL,
                             strcmp(status, "201") == 0);
        }
    }
}

static void there_is_one_version(void **state)
{
    const json_t *info = json_object_get(document, "info");

    (void)state;
    assert_string_equal(json_string_value(json_object_get(info, "version")), SN_VERSION);
    assert_string_equal(sn_version(), SN_VERSION);
    assert_non_null(strstr(api_describe(), "supernet " SN_VERSION ","));
}

/* Every word of the table is in the document's enumeration, and the other way round. */
static void words_agree(void **state)
{
    json_t *schemas = json_object_get(json_object_get(document, "components"), "schemas");
    json_t *words = json_object_get(json_object_get(schemas, "Code"), "x-extensible-enum"), *word;
    size_t  i;

    (void)state;
    for (int code = P_OK + 1; code < PROBLEM_COUNT; code++) {
        bool found = false;

        json_array_foreach(words, i, word)
        {
            found |= strcmp(json_string_value(word), api_problem_word(code)) == 0;
        }
        if (!found) fail_msg("'%s' is not documented", api_problem_word(code));
    }
    json_array_foreach(words, i, word)
    {
        bool found = false;

        for (int code = P_OK + 1; code < PROBLEM_COUNT; code++)
            found |= strcmp(json_string_value(word), api_problem_word(code)) == 0;
        if (!found) fail_msg("'%s' is documented, but unknown", json_string_value(word));
    }
}

static const struct {
    const char     *method, *path;
    int             status;
    const char     *name;
    enum api_thread thread;
    size_t          max_body;
} asked[] = {
    {"GET", "/healthz", 200, "healthz", API_LOOP, 0},
    {"HEAD", "/healthz", 200, "healthz", API_LOOP, 0},
    {"POST", "/v1/supernets/digits/forward", 200, "forward", API_WORKER, 4 << 20},
    {"POST", "/v1/supernets/nobody/forward", 200, "forward", API_WORKER, 4 << 20},
    {"PUT", "/v1/supernets/digits/choices", 200, "put_choices", API_WORKER, 4 << 20},
    {"DELETE", "/v1/supernets/digits/subnets/1", 200, "delete_subnet", API_WORKER, 0},
    {"DELETE", "/v1/supernets", 405, "none", API_LOOP, 0},
    {"GET", "/v1/supernets/", 404, "none", API_LOOP, 0},
    {"GET", "/", 404, "none", API_LOOP, 0},
    {"GET", "", 404, "none", API_LOOP, 0},
    {"GET", "/v1/supernets/a/b", 404, "none", API_LOOP, 0},
    {"GET", "/v1/supernets//space", 404, "none", API_LOOP, 0},
    {"GET", "*", 404, "none", API_LOOP, 0},
};

static void the_server_learns_what_a_request_may_cost(void **state)
{
    const struct api_fixture *f = *state;

    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        const struct api_route r = api_route(f->api, asked[i].method, asked[i].path);

        assert_int_equal(r.status, asked[i].status);
        assert_string_equal(r.name, asked[i].name);
        assert_int_equal(r.thread, asked[i].thread);
        assert_int_equal(r.max_body_bytes, asked[i].max_body);
    }
}

static void a_refused_method_lists_the_others(void **state)
{
    const struct api_fixture *f = *state;
    struct answer             a = api_ask_text(f->api, "PATCH /v1/supernets/digits", NULL);

    assert_int_equal(a.resp.status, 405);
    assert_string_equal(a.resp.allow, "GET, HEAD, PUT, DELETE, OPTIONS");
    answer_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_documented),
        cmocka_unit_test(every_documented_operation_has_a_route),
        cmocka_unit_test(parameters_agree),
        cmocka_unit_test(bodies_and_answers_agree),
        cmocka_unit_test(statuses_agree),
        cmocka_unit_test(answers_may_grow),
        cmocka_unit_test(every_answer_has_an_id_and_what_is_created_a_place),
        cmocka_unit_test(there_is_one_version),
        cmocka_unit_test(words_agree),
        cmocka_unit_test(the_server_learns_what_a_request_may_cost),
        cmocka_unit_test(a_refused_method_lists_the_others),
    };

    return cmocka_run_group_tests_name("api_routes", tests, setup, teardown);
}
