/* The account of memory: its arithmetic, and what the API answers when a pot is empty: 413 where it
 * would never do, 503 where others hold too much, and nothing was changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "support/api_call.h"

#define T "/v1/supernets/tiny"

static void a_pot_is_shared_and_bounded(void **state)
{
    struct account a;

    (void)state;
    account_init(&a, (size_t[N_POTS]){[POT_BUFFERS] = 100});
    assert_true(account_charge(&a, ACCOUNT_BODIES, 60));
    assert_false(account_charge(&a, ACCOUNT_REPLIES, 41));
    assert_true(account_charge(&a, ACCOUNT_REPLIES, 40));
    assert_int_equal(account_used(&a, ACCOUNT_BODIES), 60);
    assert_int_equal(account_pot_used(&a, ACCOUNT_REQUESTS), 100);
    assert_int_equal(account_reserve(&a, ACCOUNT_REQUESTS, 5, 1), 0);
    assert_true(account_charge(&a, ACCOUNT_SUBNETS, SIZE_MAX / 2)); /* no limit there */
    account_force(&a, ACCOUNT_REPLIES, 10);
    assert_true(account_is_over(&a, ACCOUNT_BODIES));
    assert_false(account_charge(&a, ACCOUNT_BODIES, 0));
    account_discharge(&a, ACCOUNT_BODIES, 60);
    assert_false(account_is_over(&a, ACCOUNT_BODIES));
    assert_int_equal(account_reserve(&a, ACCOUNT_REQUESTS, 60, 2), 25);
    account_settle(&a, ACCOUNT_REQUESTS, 25, 20);
    assert_int_equal(account_used(&a, ACCOUNT_REQUESTS), 20);
    assert_true(account_charge(&a, ACCOUNT_BODIES, 30));
    assert_false(account_charge(&a, ACCOUNT_BODIES, 1));
}

static struct api *small_api(const char *dir, size_t buffers, size_t kept)
{
    const struct api_config config = {.model_dir = dir,
                                      .plan_cache_bytes = 1 << 20,
                                      .subnet_cache = 1000,
                                      .max_body_bytes = 4 << 20,
                                      .max_scratch_bytes = 4 << 20,
                                      .pot_bytes = {[POT_BUFFERS] = buffers, [POT_KEPT] = kept},
                                      .max_batch = 512,
                                      .max_subnets = 256,
                                      .max_supernets = 2,
                                      .blas_threads = 1};
    char                    why[512] = "", path[128];
    struct api             *api = api_create(&config, why, sizeof why);

    assert_non_null(api);
    snprintf(path, sizeof path, "%s/tiny", dir);
    if (!api_load(api, "tiny", path, why, sizeof why)) fail_msg("%s", why);
    return api;
}

static void what_never_fits_is_413_and_what_others_hold_503(void **state)
{
    struct api_fixture *f = *state;
    struct api         *api = small_api(f->dir, 8192, 0);
    const char         *ask = "POST " T "/resample", *body = "{\"count\": 200, \"seed\": 1}";
    struct answer       a = api_ask_text(api, ask, body);

    assert_int_equal(a.resp.status, 413);
    assert_string_equal(answer_text(&a, "error.code"), "limit");
    assert_non_null(strstr(answer_text(&a, "error.text"), "buffer-memory"));
    answer_fini(&a);
    body = "{\"count\": 60, \"seed\": 1}";
    api_expect(api, 200, ask, body);
    assert_true(account_charge(api_account(api), ACCOUNT_BODIES, 7000)); /* somebody else */
    a = api_ask_text(api, ask, body);
    assert_int_equal(a.resp.status, 503);
    assert_string_equal(answer_text(&a, "error.code"), "busy");
    assert_true(a.resp.retry_after > 0);
    answer_fini(&a);
    account_discharge(api_account(api), ACCOUNT_BODIES, 7000);
    api_expect(api, 200, ask, body);
    assert_int_equal(account_pot_used(api_account(api), ACCOUNT_BODIES), 0);
    api_free(api);
}

/* 40 inputs with names of 190 letters: its description has no room, so that it is not loaded. */
static void what_cannot_be_answered_is_not_done(void **state)
{
    struct api_fixture *f = *state;
    struct api         *api = small_api(f->dir, 4096, 0);
    char                path[128];
    FILE               *file;

    snprintf(path, sizeof path, "%s/wide", f->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/wide/spec.json", f->dir);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs("{\"format\": \"supernet/1\", \"name\": \"wide\", \"inputs\": [", file);
    for (int i = 0; i < 40; i++)
        fprintf(file, "%s{\"name\": \"x%0190d\", \"shape\": [\"N\", 2]}", i ? ", " : "", i);
    fputs("], \"model\": {\"type\": \"Add\"}}", file);
    fclose(file);
    snprintf(path, sizeof path, "%s/wide/weights.safetensors", f->dir);
    file = fopen(path, "w");
    assert_non_null(file);
    fwrite("\2\0\0\0\0\0\0\0{}", 1, 10, file);
    fclose(file);

    api_expect(api, 413, "PUT /v1/supernets/wide", "{\"path\": \"wide\"}");
    api_expect(api, 404, "GET /v1/supernets/wide/choices", NULL);
    assert_int_equal(account_pot_used(api_account(api), ACCOUNT_REPLIES), 0);
    api_free(api);
}

static void what_is_kept_is_charged_until_it_goes(void **state)
{
    struct api_fixture *f = *state;
    struct api         *api = small_api(f->dir, 0, 300 << 10);
    struct account     *a = api_account(api);
    const size_t        empty = account_used(a, ACCOUNT_SUPERNETS);

    assert_true(empty > 0);
    api_expect(api, 201, "PUT " T "/policies/p", "{\"policy\": \"gumbel\"}");
    assert_true(account_used(a, ACCOUNT_POLICIES) > 0);
    api_expect(api, 413, "PUT " T "/policies/q", "{\"policy\": \"enas\", \"lstm_size\": 256}");
    api_expect(api, 404, "GET " T "/policies/q", NULL);
    api_expect(api, 204, "DELETE " T "/policies/p", NULL);
    assert_int_equal(account_used(a, ACCOUNT_POLICIES), 0);
    api_expect(api, 200, "POST " T "/resample", "{\"seed\": 1, \"count\": 9}");
    assert_true(account_used(a, ACCOUNT_SUBNETS) > 0);
    api_expect(api, 201, "PUT /v1/supernets/second", "{\"path\": \"other\"}");
    api_expect(api, 413, "PUT /v1/supernets/third", "{\"path\": \"other\"}");
    api_expect(api, 200, "PUT /v1/supernets/second", "{\"path\": \"other\"}");
    api_expect(api, 204, "DELETE /v1/supernets/second", NULL);
    assert_int_equal(account_used(a, ACCOUNT_SUPERNETS), empty);
    api_expect(api, 204, "DELETE " T, NULL);
    for (int i = 0; i < N_PURPOSES; i++)
        assert_int_equal(account_used(a, (enum account_purpose)i), 0);
    api_free(api);
}

static const struct {
    const char *ask, *body;
} changes[] = {
    {"PUT " T, "{\"path\": \"other\"}"},
    {"PUT /v1/supernets/fresh", "{\"path\": \"other\"}"},
    {"PUT " T "/choices", "{\"w\": 2}"},
    {"PUT " T "/policies/fresh", "{\"policy\": \"gumbel\"}"},
    {"POST " T "/policies/e/reward", "{\"reward\": 1}"},
    {"PUT " T "/alpha", "{\"w\": [1, 2]}"},
    {"POST " T "/resample", "{\"seed\": 2, \"memo\": {\"w\": 2}}"},
};

static char *text_of(struct api *api, const char *ask)
{
    struct answer a = api_ask_text(api, ask, NULL);
    char         *text = strndup(a.resp.body, a.resp.n_body);

    assert_non_null(text);
    answer_fini(&a);
    return text;
}

static void past_its_deadline_nothing_is_changed(void **state)
{
    static const char *const looks[] = {
        "GET " T,          "GET " T "/choices",          "GET " T "/policies",
        "GET " T "/alpha", "GET " T "/policies/e/state", "GET /v1/supernets/fresh"};
    enum { N_LOOKS = sizeof looks / sizeof looks[0] };
    struct api_fixture *f = *state;
    const atomic_bool   stop = true;
    struct api         *api = small_api(f->dir, 0, 0);
    char               *before[N_LOOKS];

    api_expect(api, 200, "PUT " T "/choices", "{\"w\": 1}");
    api_expect(api, 201, "PUT " T "/policies/e", "{\"policy\": \"enas\"}");
    api_expect(api, 200, "POST " T "/resample", "{\"policy\": \"e\", \"seed\": 1}");
    api_expect(api, 200, "GET " T "/alpha", NULL);
    for (size_t i = 0; i < N_LOOKS; i++)
        before[i] = text_of(api, looks[i]);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct answer a = api_ask(
            api, &(struct question){.ask = changes[i].ask, .body = changes[i].body, .stop = &stop});

        if (a.resp.status != 504)
            fail_msg("%s: %d %.*s", changes[i].ask, a.resp.status, (int)a.resp.n_body,
                     (const char *)a.resp.body);
        assert_non_null(strstr(a.resp.stopped, "stopped"));
        answer_fini(&a);
    }
    for (size_t i = 0; i < N_LOOKS; i++) {
        char *after = text_of(api, looks[i]);

        assert_string_equal(after, before[i]);
        free(after);
        free(before[i]);
    }
    api_free(api);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pot_is_shared_and_bounded),
        cmocka_unit_test(what_never_fits_is_413_and_what_others_hold_503),
        cmocka_unit_test(what_cannot_be_answered_is_not_done),
        cmocka_unit_test(what_is_kept_is_charged_until_it_goes),
        cmocka_unit_test(past_its_deadline_nothing_is_changed),
    };

    return cmocka_run_group_tests_name("api_account", tests, api_fixture_setup,
                                       api_fixture_teardown);
}
