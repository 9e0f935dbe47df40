/* the contract of HTTP: what was acknowledged stays, what is given is taken back, what was created
 * says where it is. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "resident/resident.h"
#include "supernet/op.h"
#include "support/api_call.h"

#define T   "/v1/supernets/tiny"
#define ONE "{\"inputs\": {\"x\": [[1, 2]]}, \"choices\": {\"w\": 1}}"

static struct api *api_of(void **state)
{
    return ((struct api_fixture *)*state)->api;
}

/* ---- a load while somebody learns ---- */

static atomic_bool over;

static void *load_again(void *cls)
{
    while (!atomic_load(&over))
        api_expect(cls, 200, "PUT " T, "{\"path\": \"tiny\"}");
    return NULL;
}

static void what_was_acknowledged_survives_a_load(void **state)
{
    struct api *api = api_of(state);
    pthread_t   thread[2];
    char        ask[128], body[64];

    api_expect(api, 201, "PUT " T "/policies/mine", "{\"policy\": \"differentiable\"}");
    atomic_store(&over, false);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, load_again, api), 0);
    for (int i = 1; i <= 150; i++) {
        struct answer a, b;

        /* learned, and read by the next request */
        snprintf(body, sizeof body, "{\"w\": [%d, 0]}", i);
        api_expect(api, 200, "PUT " T "/policies/mine/alpha", body);
        a = api_ask_text(api, "GET " T "/policies/mine/alpha", NULL);
        assert_int_equal(answer_number(&a, "alpha.w.0"), i);
        answer_fini(&a);

        /* chosen */
        snprintf(body, sizeof body, "{\"w\": %d}", 1 + i % 2);
        a = api_ask_text(api, "PUT " T "/choices", body);
        assert_int_equal(a.resp.status, 200);
        b = api_ask_text(api, "GET " T "/choices", NULL);
        assert_string_equal(answer_text(&a, "id"), answer_text(&b, "id"));
        answer_fini(&b);

        /* remembered, forgotten */
        snprintf(ask, sizeof ask, "DELETE " T "/subnets/%s", answer_text(&a, "id"));
        answer_fini(&a);
        api_expect(api, 204, ask, NULL);
        memcpy(ask, "GET    ", 7);
        memmove(ask + 4, ask + 7, strlen(ask + 7) + 1);
        api_expect(api, 404, ask, NULL);

        /* created, deleted */
        api_expect(api, 201, "PUT " T "/policies/brief", "{\"policy\": \"gumbel\"}");
        api_expect(api, 204, "DELETE " T "/policies/brief", NULL);
        api_expect(api, 404, "GET " T "/policies/brief", NULL);
    }
    atomic_store(&over, true);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    api_expect(api, 204, "DELETE " T "/policies/mine", NULL);
}

static void a_load_says_what_it_kept(void **state)
{
    struct api   *api = api_of(state);
    struct answer a;

    api_expect(api, 201, "PUT " T "/policies/mine", "{\"policy\": \"differentiable\"}");
    api_expect(api, 200, "POST " T "/resample", NULL);
    a = api_ask_text(api, "PUT " T, "{\"path\": \"other\"}");
    assert_int_equal(a.resp.status, 200);
    assert_int_equal(answer_number(&a, "kept.policies"), 1);
    assert_true(answer_number(&a, "kept.subnets") >= 1);
    answer_fini(&a);
    api_expect(api, 200, "PUT " T, "{\"path\": \"tiny\"}");
    api_expect(api, 204, "DELETE " T "/policies/mine", NULL);
}

/* ---- one rule for loading and unloading ---- */

static void without_a_model_directory_nothing_is_unloaded(void **state)
{
    struct api *api = api_fixture_create(NULL);
    char        why[256];

    (void)state;
    assert_true(api_load(api, "digits", NULL, why, sizeof why));
    api_expect(api, 403, "PUT /v1/supernets/digits", "{\"path\": \"tiny\"}");
    api_expect(api, 403, "DELETE /v1/supernets/digits", NULL);
    api_expect(api, 200, "GET /v1/supernets/digits", NULL);
    api_free(api);
}

/* ---- what GET gives PUT takes ---- */

static void a_state_that_is_given_is_taken_back(void **state)
{
    struct api   *api = api_of(state);
    struct answer a, b;

    api_expect(api, 201, "PUT " T "/policies/big", "{\"policy\": \"enas\", \"lstm_size\": 80}");
    a = api_ask_text(api, "GET " T "/policies/big/state", NULL);
    assert_int_equal(a.resp.status, 200);
    assert_true(a.resp.n_body > 1 << 20 && a.resp.n_body < 4 << 20);
    b = api_ask(api, &(struct question){.ask = "PUT " T "/policies/big/state",
                                        .body = a.resp.body,
                                        .n_body = a.resp.n_body});
    assert_int_equal(b.resp.status, 200);
    answer_fini(&a);
    answer_fini(&b);

    /* what would not be taken back is not given, and the sentence says what to do */
    api_expect(api, 200, "PUT " T "/policies/big", "{\"policy\": \"enas\", \"lstm_size\": 192}");
    a = api_ask_text(api, "GET " T "/policies/big/state", NULL);
    assert_int_equal(a.resp.status, 413);
    assert_string_equal(answer_text(&a, "error.code"), "limit");
    assert_non_null(strstr(answer_text(&a, "error.text"), "--max-body"));
    answer_fini(&a);
    api_expect(api, 204, "DELETE " T "/policies/big", NULL);
}

/* What a controller has learnt is handed over, however large it is: not written and read. */
static void a_large_policy_does_not_keep_a_supernet_from_being_loaded(void **state)
{
    struct api   *api = api_of(state);
    struct answer a;

    api_expect(api, 201, "PUT " T "/policies/big", "{\"policy\": \"enas\", \"lstm_size\": 256}");
    api_expect(api, 200, "POST " T "/resample", "{\"policy\": \"big\"}");
    api_expect(api, 200, "PUT /v1/supernets/tiny", "{\"path\": \"tiny\"}");
    api_expect(api, 200, "PUT /v1/supernets/tiny", "{\"path\": \"tiny\"}");
    api_expect(api, 200, "POST " T "/policies/big/reward", "{\"reward\": 1}"); /* of that draw */
    a = api_ask_text(api, "POST " T "/resample", "{\"policy\": \"big\", \"seed\": 1}");
    assert_int_equal(a.resp.status, 200);
    answer_fini(&a);
    api_expect(api, 204, "DELETE " T "/policies/big", NULL);
}

static sn_status decide_nothing(void *state, const sn_supernet *net, sn_rng *rng, sn_draft *draft,
                                sn_error *err)
{
    (void)state, (void)net, (void)rng, (void)draft, (void)err;
    return SN_OK;
}

static sn_status count_update(void *state, const sn_supernet *net, const char *text, sn_error *err)
{
    (void)net, (void)text, (void)err;
    ++*(int *)state;
    return SN_OK;
}

static sn_status save_count(const void *state, const sn_supernet *net, const sn_sink *sink,
                            sn_error *err)
{
    char text[32];

    (void)net, (void)err;
    snprintf(text, sizeof text, "{\"n\": %d}", *(const int *)state);
    return sink->write(sink->cls, text, strlen(text)) == 0 ? SN_OK : SN_E_IO;
}

static sn_status load_count(void *state, const sn_supernet *net, const char *text, sn_error *err)
{
    (void)net, (void)err;
    return sscanf(text, "{\"n\": %d}", (int *)state) == 1 ? SN_OK : SN_E_INVALID;
}

/* As a plug-in has it that knows nothing of moving. */
static void what_cannot_be_handed_over_is_saved_and_loaded(void **state)
{
    static const sn_policy_class counter = {.size = sizeof counter,
                                            .abi = SN_POLICY_ABI,
                                            .name = "counter",
                                            .about = "counts",
                                            .state_bytes = sizeof(int),
                                            .resample = decide_nothing,
                                            .update = count_update,
                                            .save = save_count,
                                            .load = load_count};
    struct api                  *api = api_of(state);
    struct answer                a;

    assert_int_equal(sn_registry_add_policy(api->registry, &counter, NULL), SN_OK);
    api_expect(api, 201, "PUT " T "/policies/c", "{\"policy\": \"counter\"}");
    api_expect(api, 200, "POST " T "/policies/c/reward", "{\"reward\": 1}");
    api_expect(api, 200, "PUT /v1/supernets/tiny", "{\"path\": \"tiny\"}");
    api_expect(api, 200, "POST " T "/policies/c/reward", "{\"reward\": 1}");
    a = api_ask_text(api, "GET " T "/policies/c/state", NULL);
    assert_int_equal((int)answer_number(&a, "n"), 2);
    answer_fini(&a);
    api_expect(api, 204, "DELETE " T "/policies/c", NULL);
}

static sn_status save_without_end(const void *state, const sn_supernet *net, const sn_sink *sink,
                                  sn_error *err)
{
    static const char piece[1024] = "";

    (void)state, (void)net, (void)err;
    while (sink->write(sink->cls, piece, sizeof piece) == 0) {}
    return SN_E_IO;
}

/* What is too long is refused where that is known, not when all of it was written. */
static void a_state_is_written_as_far_as_it_is_taken(void **state)
{
    static const sn_policy_class endless = {.size = sizeof endless,
                                            .abi = SN_POLICY_ABI,
                                            .name = "endless",
                                            .about = "never saved",
                                            .resample = decide_nothing,
                                            .save = save_without_end};
    struct api                  *api = api_of(state);
    struct answer                a;

    assert_int_equal(sn_registry_add_policy(api->registry, &endless, NULL), SN_OK);
    api_expect(api, 201, "PUT " T "/policies/e", "{\"policy\": \"endless\"}");
    for (int i = 0; i < 2; i++) {
        a = api_ask_text(api, i ? "GET " T "/policies/e/alpha" : "GET " T "/policies/e/state",
                         NULL);
        assert_int_equal(a.resp.status, 413);
        assert_string_equal(answer_text(&a, "error.code"), "limit");
        assert_non_null(strstr(answer_text(&a, "error.text"), "more than 4194304 bytes"));
        answer_fini(&a);
    }
    api_expect(api, 204, "DELETE " T "/policies/e", NULL);
}

/* ---- small print of HTTP ---- */

static void what_is_created_says_where_it_is(void **state)
{
    struct api   *api = api_of(state);
    struct answer a;
    char          place[128];

    a = api_ask_text(api, "PUT /v1/supernets/new%2Done", "{\"path\": \"tiny\"}");
    assert_int_equal(a.resp.status, 201);
    assert_string_equal(a.resp.location, "/v1/supernets/new-one");
    answer_fini(&a);
    a = api_ask_text(api, "POST /v1/supernets/new-one/subnets", "{\"w\": 2}");
    assert_int_equal(a.resp.status, 201);
    snprintf(place, sizeof place, "/v1/supernets/new-one/subnets/%s", answer_text(&a, "id"));
    assert_string_equal(a.resp.location, place);
    answer_fini(&a);
    a = api_ask_text(api, "POST /v1/supernets/new-one/subnets", "{\"w\": 2}");
    assert_int_equal(a.resp.status, 200);
    assert_string_equal(a.resp.location, "");
    answer_fini(&a);
    a = api_ask_text(api, "PUT /v1/supernets/new-one/policies/p", "{\"policy\": \"gumbel\"}");
    assert_int_equal(a.resp.status, 201);
    assert_string_equal(a.resp.location, "/v1/supernets/new-one/policies/p");
    answer_fini(&a);
    api_expect(api, 200, "PUT /v1/supernets/new-one/policies/p", "{\"policy\": \"gumbel\"}");
    a = api_ask_text(api, "PUT /v1/supernets/new-one", "{\"path\": \"tiny\"}");
    assert_int_equal(a.resp.status, 200);
    assert_string_equal(a.resp.location, "");
    answer_fini(&a);
    api_expect(api, 204, "DELETE /v1/supernets/new-one", NULL);
}

static void options_lists_the_methods(void **state)
{
    static const char *const rows[][2] = {
        {"OPTIONS *", "GET, HEAD, POST, PUT, DELETE, OPTIONS"},
        {"OPTIONS /healthz", "GET, HEAD, OPTIONS"},
        {"OPTIONS " T, "GET, HEAD, PUT, DELETE, OPTIONS"},
        {"OPTIONS " T "/forward", "POST, OPTIONS"},
        {"OPTIONS /v1/supernets/gone/choices", "GET, HEAD, PUT, OPTIONS"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct answer a = api_ask_text(api_of(state), rows[i][0], NULL);

        assert_int_equal(a.resp.status, 204);
        assert_string_equal(a.resp.allow, rows[i][1]);
        assert_int_equal(a.resp.n_body, 0);
        answer_fini(&a);
    }
    api_expect(api_of(state), 404, "OPTIONS /v2", NULL);
}

static void an_encoded_body_is_refused(void **state)
{
    struct question q = {.ask = "POST " T "/forward", .body = ONE, .content_encoding = "gzip"};
    struct answer   a = api_ask(api_of(state), &q);

    assert_int_equal(a.resp.status, 415);
    assert_string_equal(answer_text(&a, "error.where"), "Content-Encoding");
    answer_fini(&a);
    q.content_encoding = "identity";
    a = api_ask(api_of(state), &q);
    assert_int_equal(a.resp.status, 200);
    answer_fini(&a);
}

static void where_a_body_is_needed_an_empty_one_is_malformed(void **state)
{
    static const char *const asks[] = {
        "PUT /v1/supernets/x",        "PUT " T "/choices",
        "POST " T "/subnets",         "POST " T "/forward",
        "PUT " T "/policies/p",       "PUT " T "/alpha",
        "PUT " T "/policies/p/alpha", "POST " T "/policies/p/reward",
        "PUT " T "/policies/p/state",
    };

    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++)
        api_expect(api_of(state), 400, asks[i], NULL);
    api_expect(api_of(state), 200, "POST " T "/resample", NULL);
}

/* ---- names ---- */

static void one_rule_for_names(void **state)
{
    char name[140], ask[512], why[256];

    static const char *const bad[] = {"",     ".",   "..",  ".a",    "a b",
                                      "a/b",  "a%b", "a+b", "a\x01", "\xc3\xa9t\xc3\xa9",
                                      "a\nb", "~",   "a?b"};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t n = (size_t)sprintf(ask, "PUT /v1/supernets/");

        assert_false(api_load(api_of(state), bad[i], NULL, why, sizeof why));
        if (!bad[i][0]) continue; /* in a path, that is no name at all */
        for (const char *c = bad[i]; *c; c++)
            n += (size_t)sprintf(ask + n, "%%%02X", (unsigned char)*c);
        api_expect(api_of(state), 422, ask, "{\"path\": \"tiny\"}");
        sprintf(ask + n, "/policies/p");
        api_expect(api_of(state), 404, ask, "{\"policy\": \"gumbel\"}");
    }
    memset(name, 'x', sizeof name);
    name[128] = '\0'; /* as long as may be, and every letter escaped */
    assert_true(api_load(api_of(state), name, NULL, why, sizeof why));
    {
        size_t n = (size_t)sprintf(ask, "DELETE /v1/supernets/");

        for (int i = 0; i < 128; i++)
            n += (size_t)sprintf(ask + n, "%%78");
        api_expect(api_of(state), 204, ask, NULL);
    }
    name[128] = 'x', name[129] = '\0';
    assert_false(api_load(api_of(state), name, NULL, why, sizeof why));
    snprintf(ask, sizeof ask, "PUT /v1/supernets/%s", name);
    api_expect(api_of(state), 422, ask, "{\"path\": \"tiny\"}");
}

static void a_name_of_ten_thousand_bytes_is_refused_or_unknown(void **state)
{
    char  *ask = malloc(10100);
    size_t n = (size_t)sprintf(ask, "PUT /v1/supernets/");

    memset(ask + n, 'x', 10000);
    ask[n + 10000] = '\0';
    api_expect(api_of(state), 422, ask, "{\"path\": \"tiny\"}");
    memcpy(ask, "GET", 3);
    api_expect(api_of(state), 404, ask, NULL);
    free(ask);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_acknowledged_survives_a_load),
        cmocka_unit_test(a_load_says_what_it_kept),
        cmocka_unit_test(without_a_model_directory_nothing_is_unloaded),
        cmocka_unit_test(a_state_that_is_given_is_taken_back),
        cmocka_unit_test(a_large_policy_does_not_keep_a_supernet_from_being_loaded),
        cmocka_unit_test(what_cannot_be_handed_over_is_saved_and_loaded),
        cmocka_unit_test(a_state_is_written_as_far_as_it_is_taken),
        cmocka_unit_test(what_is_created_says_where_it_is),
        cmocka_unit_test(options_lists_the_methods),
        cmocka_unit_test(an_encoded_body_is_refused),
        cmocka_unit_test(where_a_body_is_needed_an_empty_one_is_malformed),
        cmocka_unit_test(one_rule_for_names),
        cmocka_unit_test(a_name_of_ten_thousand_bytes_is_refused_or_unknown),
    };

    return cmocka_run_group_tests_name("api_contract", tests, api_fixture_setup,
                                       api_fixture_teardown);
}
