/* test_forward_result: both forms of a forward's answer are written of one result, which here
 * nobody has computed: no request, no plan, no run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "resident/resident.h"
#include "supernet/expr.h"
#include "supernet/weights.h"
#include "support/api_call.h"
#include "v1/forward/result.h"

enum { N_SAMPLES = 3 };

struct written {
    struct call    call;
    struct account account;
    struct model  *m;
    sn_subnet     *subnet[2];
};

static void begin(struct written *w, void **state, size_t most)
{
    struct api               *api = ((struct api_fixture *)*state)->api;
    static struct api_config  config;
    static struct api_request req;

    *w = (struct written){.call = {.api = api, .config = &config, .req = &req}};
    account_init(&w->account, (size_t[N_POTS]){[POT_BUFFERS] = most});
    w->call.account = &w->account;
    w->call.body = (struct api_buf){.account = &w->account, .purpose = ACCOUNT_REPLIES};
    w->m = api_store_take(&api->store, "tiny");
    assert_non_null(w->m);
    for (int i = 0; i < 2; i++) {
        const sn_value value = {.kind = SN_KIND_INT, .as.integer = i + 1};
        sn_draft      *draft = NULL;
        sn_error       err = {0};

        assert_int_equal(sn_draft_create(w->m->net, &draft, &err), SN_OK);
        assert_int_equal(sn_draft_set(draft, "w", &value, &err), SN_OK);
        assert_int_equal(sn_draft_seal(draft, &w->subnet[i], &err), SN_OK);
        sn_draft_free(draft);
    }
}

/* Subnet 1, subnet 0, and 1 once more; outputs of [3, 1]. */
static struct forward_result *describe(struct written *w)
{
    const sn_shape         shape = {2, {N_SAMPLES, 1}};
    struct forward_result *r = api_forward_result(&w->call, 3);

    assert_non_null(r);
    r->net = w->m->net;
    r->version = 7;
    r->several = true;
    api_forward_result_add(r, w->subnet[1]);
    api_forward_result_add(r, w->subnet[0]);
    api_forward_result_add(r, w->subnet[1]);
    assert_int_equal(r->n_items, 2);
    assert_int_equal(r->n_answers, 3);
    for (size_t i = 0; i < r->n_items; i++) {
        r->item[i].n_out = 1;
        r->item[i].n_bytes = N_SAMPLES * sizeof(float);
        r->item[i].out = api_call_alloc(&w->call, sizeof *r->item[i].out);
        r->item[i].out[0] = sn_tensor_dense(SN_F32, &shape, NULL);
    }
    return r;
}

static void compute(struct written *w, struct forward_result *r)
{
    assert_int_equal(api_forward_result_alloc(&w->call, r), P_OK);
    for (size_t i = 0; i < r->n_items; i++)
        for (int k = 0; k < N_SAMPLES; k++)
            ((float *)r->item[i].out[0].data)[k] = (float)i * 10 + (float)k;
}

/* All that was charged is given back. */
static void end(struct written *w)
{
    api_call_drop_result(&w->call);
    api_buf_fini(&w->call.body);
    account_discharge(&w->account, ACCOUNT_REQUESTS, w->call.n_charged);
    assert_int_equal(account_pot_used(&w->account, ACCOUNT_REPLIES), 0);
    sn_arena_free(w->call.mem);
    sn_subnet_unref(w->subnet[0]);
    sn_subnet_unref(w->subnet[1]);
    api_model_unref(w->m);
}

static void json_says_every_answer_in_order(void **state)
{
    struct written         w;
    struct forward_result *r;
    char                   want[512];
    const char            *one, *two;

    begin(&w, state, 0);
    r = describe(&w);
    api_forward_begin_json(r);
    compute(&w, r);
    assert_int_equal(w.call.body.n, 0);
    assert_int_equal(api_forward_write_json(&w.call, r), P_OK);
    one = sn_subnet_id(w.subnet[0]), two = sn_subnet_id(w.subnet[1]);
    snprintf(
        want, sizeof want,
        "{\"results\": [{\"subnet\": \"%s\", \"version\": 7, \"outputs\": {\"output\": "
        "[[0], [1], [2]]}},\n"
        "  {\"subnet\": \"%s\", \"version\": 7, \"outputs\": {\"output\": [[10], [11], [12]]}},"
        "\n  {\"subnet\": \"%s\", \"version\": 7, \"outputs\": {\"output\": "
        "[[0], [1], [2]]}}]}\n",
        two, one, two);
    assert_int_equal(w.call.body.n, strlen(want));
    assert_memory_equal(w.call.body.at, want, strlen(want));
    /* and the numbers are gone, before the result is */
    assert_int_equal(account_used(&w.account, ACCOUNT_REPLIES), w.call.body.charged);
    end(&w);
}

static void safetensors_are_sent_from_where_they_were_computed(void **state)
{
    struct written         w;
    struct forward_result *r;
    sn_weights            *read = NULL;
    const char            *data;
    char                   name[64];
    sn_tensor              t;

    begin(&w, state, 0);
    r = describe(&w);
    assert_int_equal(api_forward_begin_safetensors(&w.call, r), P_OK);
    assert_int_equal(r->n_front % SN_ALIGN_BYTES, 0);
    compute(&w, r);
    data = r->item[0].out[0].data;
    assert_int_equal(api_forward_write_safetensors(&w.call, r), P_OK);
    assert_ptr_equal(w.call.body.at + r->n_front, data);
    assert_int_equal(account_used(&w.account, ACCOUNT_REPLIES), w.call.body.charged);
    assert_int_equal(sn_weights_borrow(w.call.body.at, w.call.body.n, "answer", &read, NULL),
                     SN_OK);
    assert_int_equal(sn_weights_count(read), 2);
    assert_string_equal(sn_weights_metadata(read, "version"), "7");
    snprintf(name, sizeof name, "%s/output", sn_subnet_id(w.subnet[0]));
    assert_true(sn_weights_find(read, name, &t));
    assert_float_equal(((float *)t.data)[2], 12, 0);
    sn_weights_unref(read);
    end(&w);
}

static void without_room_nothing_is_computed_and_nothing_is_kept(void **state)
{
    for (int binary = 0; binary < 2; binary++) {
        struct written         w;
        struct forward_result *r;

        begin(&w, state, 4096);
        r = describe(&w);
        if (binary)
            assert_int_equal(api_forward_begin_safetensors(&w.call, r), P_OK);
        else
            api_forward_begin_json(r);
        assert_true(account_charge(&w.account, ACCOUNT_BODIES,
                                   4096 - account_pot_used(&w.account, ACCOUNT_BODIES)));
        assert_int_equal(api_forward_result_alloc(&w.call, r), P_BUSY);
        account_discharge(&w.account, ACCOUNT_BODIES, account_used(&w.account, ACCOUNT_BODIES));
        end(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_says_every_answer_in_order),
        cmocka_unit_test(safetensors_are_sent_from_where_they_were_computed),
        cmocka_unit_test(without_room_nothing_is_computed_and_nothing_is_kept),
    };

    return cmocka_run_group_tests_name("forward_result", tests, api_fixture_setup,
                                       api_fixture_teardown);
}
