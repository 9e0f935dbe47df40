/* test_plan_cache: a plan is found for what it was made for, and for nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "resident/resident.h"
#include "support/api_call.h"

struct world {
    struct api    *api;
    struct model  *m;
    sn_subnet     *subnet[2]; /* w is 1 and 2 */
    struct account account;
};

static struct world open_world(void **state)
{
    struct world        w = {.api = ((struct api_fixture *)*state)->api};
    static const size_t no_limit[N_POTS] = {0};

    account_init(&w.account, no_limit);
    w.m = api_store_take(&w.api->store, "tiny");
    assert_non_null(w.m);
    for (int i = 0; i < 2; i++) {
        const sn_value value = {.kind = SN_KIND_INT, .as.integer = i + 1};
        sn_draft      *draft = NULL;
        sn_error       err = {0};

        assert_int_equal(sn_draft_create(w.m->net, &draft, &err), SN_OK);
        assert_int_equal(sn_draft_set(draft, "w", &value, &err), SN_OK);
        assert_int_equal(sn_draft_seal(draft, &w.subnet[i], &err), SN_OK);
        sn_draft_free(draft);
    }
    return w;
}

static void close_world(struct world *w)
{
    sn_subnet_unref(w->subnet[0]);
    sn_subnet_unref(w->subnet[1]);
    api_model_unref(w->m);
}

/* The plan of a subnet for a batch, rounded up to `largest`; unreferenced: the cache has it. */
static sn_plan *get(struct plan_cache *c, struct world *w, sn_subnet *subnet,
                    sn_compile_options options, int64_t batch, int64_t largest)
{
    const sn_desc  in = {SN_F32, {2, {batch, 2}}}, most = {SN_F32, {2, {largest, 2}}};
    struct problem p = {0};
    sn_plan       *plan = NULL;

    options.size = sizeof options;
    options.in = &in;
    options.n_in = 1;
    assert_int_equal(api_plan_cache_get(c, w->m, subnet, &options, &most, &plan, &p), P_OK);
    assert_non_null(plan);
    sn_plan_unref(plan);
    return plan;
}

static void a_plan_is_found_only_for_what_it_depends_on(void **state)
{
    static const sn_compile_options options[] = {
        {.mode = SN_EVAL, .exactness = SN_EXACTNESS_SPEC, .n_threads = 1},
        {.mode = SN_TRAIN, .exactness = SN_EXACTNESS_SPEC, .n_threads = 1},
        {.mode = SN_EVAL, .exactness = SN_EXACTNESS_DIRECT, .n_threads = 1},
        {.mode = SN_EVAL, .exactness = SN_EXACTNESS_SPEC, .n_threads = 2},
        {.mode = SN_EVAL, .n_threads = 1, .scratch_limit_bytes = 1 << 20},
    };
    enum { N = sizeof options / sizeof options[0] };
    struct world      w = open_world(state);
    struct plan_cache c;
    sn_plan          *plan[2 * N];

    assert_true(api_plan_cache_init(&c, 64 << 20, &w.account));
    for (int i = 0; i < 2 * N; i++) {
        plan[i] = get(&c, &w, w.subnet[i % 2], options[i / 2], 3, 4);
        for (int k = 0; k < i; k++)
            assert_ptr_not_equal(plan[i], plan[k]);
    }
    assert_int_equal(api_plan_cache_read(&c).n_misses, 2 * N);
    for (int i = 0; i < 2 * N; i++)
        assert_ptr_equal(get(&c, &w, w.subnet[i % 2], options[i / 2], 2, 4), plan[i]);
    assert_int_equal(api_plan_cache_read(&c).n_hits, 2 * N);
    assert_ptr_not_equal(get(&c, &w, w.subnet[0], options[0], 5, 8), plan[0]);
    api_plan_cache_fini(&c);
    assert_int_equal(account_used(&w.account, ACCOUNT_PLANS), 0);
    close_world(&w);
}

/* The subnet of a key is told by what it has decided: another draft gives another object. */
static void an_equal_subnet_finds_the_plan(void **state)
{
    const sn_compile_options options = {.n_threads = 1};
    struct world             w = open_world(state), other = open_world(state);
    struct plan_cache        c;
    sn_plan                 *plan;

    assert_ptr_not_equal(w.subnet[0], other.subnet[0]);
    assert_true(api_plan_cache_init(&c, 64 << 20, &w.account));
    plan = get(&c, &w, w.subnet[0], options, 1, 1);
    assert_ptr_equal(get(&c, &w, other.subnet[0], options, 1, 1), plan);
    assert_ptr_not_equal(get(&c, &w, other.subnet[1], options, 1, 1), plan);
    api_plan_cache_fini(&c);
    close_world(&other);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_is_found_only_for_what_it_depends_on),
        cmocka_unit_test(an_equal_subnet_finds_the_plan),
    };

    return cmocka_run_group_tests_name("plan_cache", tests, api_fixture_setup,
                                       api_fixture_teardown);
}
