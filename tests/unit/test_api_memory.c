/* Every error path once: the 1st, 2nd, 3rd ... allocation fails until the request gets
 * through. Each failure is a 503 with Retry-After, and the API serves on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/alloc.h"
#include "support/api_call.h"

#define T "/v1/supernets/tiny"

static const struct row {
    const char *name, *ask, *body, *accept;
    int         status;
} rows[] = {
    {"list", "GET /v1/supernets", NULL, NULL, 200},
    {"describe", "GET " T, NULL, NULL, 200},
    {"load again", "PUT " T, "{\"path\": \"tiny\"}", NULL, 200},
    {"space", "GET " T "/space", NULL, NULL, 200},
    {"resample", "POST " T "/resample", "{\"memo\": {\"w\": 1}, \"seed\": 1}", NULL, 200},
    {"set choices", "PUT " T "/choices", "{\"choices\": {\"w\": 1}, \"complete\": {\"seed\": 2}}",
     NULL, 200},
    {"read choices", "GET " T "/choices", NULL, NULL, 200},
    {"seal", "POST " T "/subnets", "{\"w\": 2}", NULL, 200},
    {"forward", "POST " T "/forward",
     "{\"inputs\": {\"x\": [[1, 2], [3, 4]]}, \"subnets\": [{\"w\": 1}, {\"w\": 2}]}", NULL, 200},
    {"forward to tensors", "POST " T "/forward",
     "{\"inputs\": {\"x\": [[1, 2], [3, 4]]}, \"choices\": {\"w\": 1}}",
     "application/x-safetensors", 200},
    {"export choices", "GET " T "/export", NULL, NULL, 200},
    {"export a specification", "GET " T "/export?format=spec", NULL, NULL, 200},
    {"export weights", "GET " T "/export?format=safetensors", NULL, NULL, 200},
    {"metrics", "GET /metrics", NULL, NULL, 200},
    {"a query", "GET " T "/export?format=choices", NULL, NULL, 200},
    {"the document", "GET /openapi.json", NULL, NULL, 200},
};

static struct api_fixture *fixture;

/* The request alone: what the test allocates itself must not be what fails. */
static struct api_response ask(const struct row *row, char *path, char *query)
{
    struct api_request  req = {.path = path,
                               .query = query,
                               .accept = row->accept,
                               .request_id = "test-1",
                               .body = row->body,
                               .n_body = row->body ? strlen(row->body) : 0};
    struct api_worker   worker = {0};
    struct api_response resp;
    char                method[8];

    snprintf(method, sizeof method, "%.*s", (int)strcspn(row->ask, " "), row->ask);
    req.method = method;
    api_handle(fixture->api, &worker, &req, &resp);
    api_worker_fini(&worker);
    return resp;
}

static void gets_through_at_last(void **state)
{
    const struct row *row = *state;
    char              path[128], *query;

    snprintf(path, sizeof path, "%s", strchr(row->ask, ' ') + 1);
    query = strchr(path, '?');
    if (query) *query++ = '\0';

    for (size_t n = 1;; n++) {
        struct api_response resp;
        bool                failed;

        alloc_fail_at(n);
        resp = ask(row, path, query);
        failed = alloc_failed();
        alloc_fail_at(0);
        if (!failed) {
            assert_int_equal(resp.status, row->status);
            api_response_fini(&resp);
            return;
        }
        /* A cache that could not grow is no failure of the request. */
        if (resp.status != row->status) {
            if (resp.status != 503)
                fail_msg("allocation %zu: %d %.*s", n, resp.status, (int)resp.n_body,
                         (const char *)resp.body);
            assert_true(resp.retry_after > 0);
        }
        api_response_fini(&resp);
        assert_true(n < 100000);
    }
}

int main(void)
{
    enum { N = sizeof rows / sizeof rows[0] };
    struct CMUnitTest tests[N];
    void             *state;
    int               n_failed;

    for (size_t i = 0; i < N; i++)
        tests[i] = (struct CMUnitTest){.name = rows[i].name,
                                       .test_func = gets_through_at_last,
                                       .initial_state = (void *)&rows[i]};
    if (api_fixture_setup(&state) != 0) return 1;
    fixture = state;
    n_failed = cmocka_run_group_tests_name("api_memory", tests, NULL, NULL);
    api_fixture_teardown(&state);
    return n_failed;
}
