/* Costs and steps: what was fused is counted, by modules as in all, and without weights. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "supernet/engine.h"
#include "support/planned.h"

/* 16 channels in, w out: 16 w weights, and 2 w of the normalisation. */
static const char spec[] = "{\"format\": \"supernet/1\", \"name\": \"t\", \"inputs\": [" IN(
    "x", "\"N\", 16, 4, 4") "], \"choices\": {\"w\": [4, 8]}, \"model\": {\"type\": "
                            "\"Sequential\", \"layers\": [{\"name\": \"conv\", \"type\": "
                            "\"Conv2d\", \"in_channels\": 16, \"out_channels\": \"w\", "
                            "\"kernel_size\": 1, \"bias\": false}, {\"name\": \"bn\", \"type\": "
                            "\"BatchNorm2d\", \"num_features\": \"w\"}, {\"type\": \"ReLU\"}]}}";

static const struct net_tensor tensors[] = {
    {"conv.weight", 4, {8, 16, 1, 1}}, {"bn.weight", 1, {8}},      {"bn.bias", 1, {8}},
    {"bn.running_mean", 1, {8}},       {"bn.running_var", 1, {8}}, {NULL, 0, {0}},
};

enum { BATCH = 3, N_MODULES = 4 };

static sn_compile_options options_for(const sn_desc *in)
{
    return (sn_compile_options){.size = sizeof(sn_compile_options), .in = in, .n_in = 1};
}

static void check(const sn_cost *total, const sn_cost *by, int64_t w)
{
    sn_cost sum = {0};

    assert_int_equal(total->macs, (uint64_t)(BATCH * 16 * w * (16 + 1)));
    assert_int_equal(total->params, (uint64_t)(w * 16 + 2 * w));
    for (size_t i = 0; i < N_MODULES; i++) {
        sum.macs += by[i].macs;
        sum.params += by[i].params;
        sum.bytes_moved += by[i].bytes_moved;
    }
    assert_memory_equal(&sum, total, sizeof sum);
    assert_int_equal(by[0].macs, 0);                   /* the container */
    assert_int_equal(by[2].params, (uint64_t)(2 * w)); /* the normalisation */
}

static void fused_steps_are_counted(void **state)
{
    const sn_shape     shape = {4, {BATCH, 16, 4, 4}};
    const sn_desc      in = {SN_F32, shape};
    sn_compile_options options = options_for(&in);

    (void)state;
    for (int64_t w = 4; w <= 8; w += 4) {
        struct planned p;
        sn_cost        total, by[N_MODULES];
        sn_step_info   step;

        assert_int_equal(planned_make(&p, spec, tensors, w == 4 ? "w=4" : "w=8", &shape, 1, 1),
                         SN_OK);
        assert_int_equal(sn_supernet_n_modules(p.net), N_MODULES);
        assert_int_equal(sn_subnet_cost(p.subnet, &options, &total, by, NULL), SN_OK);
        check(&total, by, w);
        assert_memory_equal(&total, &sn_plan_describe(p.plan)->cost, sizeof total);
        assert_true(sn_plan_step_at(p.plan, 0, &step));
        assert_in_range(step.module, 1, N_MODULES - 1);
        assert_false(sn_plan_step_at(p.plan, sn_plan_describe(p.plan)->n_steps, &step));
        planned_end(&p);
    }
}

static void costs_need_no_weights(void **state)
{
    const sn_desc      in = {SN_F32, {4, {BATCH, 16, 4, 4}}}, wrong = {SN_F32, {1, {3}}};
    sn_compile_options options = options_for(&in), bad = options_for(&wrong);
    sn_registry       *reg;
    sn_supernet       *net;
    sn_subnet         *subnet;
    sn_cost            total, by[N_MODULES];
    sn_error           err = {0};

    (void)state;
    assert_int_equal(sn_registry_create(&reg, NULL), SN_OK);
    assert_int_equal(sn_supernet_load(spec, sizeof spec - 1, NULL, reg, &net, NULL), SN_OK);
    subnet = net_choose(net, "w=4");
    assert_int_equal(sn_subnet_cost(subnet, &options, &total, by, NULL), SN_OK);
    check(&total, by, 4);
    assert_int_equal(sn_subnet_cost(subnet, &bad, &total, by, &err), SN_E_SHAPE);
    bad.n_in = 0;
    assert_int_equal(sn_subnet_cost(subnet, &bad, &total, NULL, NULL), SN_E_INVALID);
    sn_subnet_unref(subnet);
    sn_supernet_unref(net);
    sn_registry_unref(reg);
}

/* Says stop the n-th time it is asked. */
struct patience {
    int left;
};

static bool is_enough(void *cls)
{
    struct patience *p = cls;

    return p->left-- <= 0;
}

/* Both operators of the node are the one on its edge, on the same values: evaluation computes it
 * once; training runs it twice, as statistics follow every run, and its parameters are there once.
 */
static void what_is_chosen_twice_counts_as_often_as_it_is_computed(void **state)
{
    static const char cell[] = "{\"format\": \"supernet/1\", \"name\": \"t\", \"inputs\": [" IN(
        "x", "\"N\", 4") "], \"model\": {\"type\": \"Cell\", \"label\": \"c\", \"num_nodes\": 1, "
                         "\"num_ops_per_node\": 2, \"factory\": true, \"candidates\": ["
                         "{\"name\": \"fc\", \"type\": \"Linear\", \"in_features\": 4, "
                         "\"out_features\": 4}, {\"name\": \"skip\", \"type\": \"Identity\"}]}}";
    static const char  choices[] = "{\"c/op_1_0\": \"fc\", \"c/op_1_1\": \"fc\"}";
    const sn_desc      in = {SN_F32, {2, {BATCH, 4}}};
    sn_compile_options options = options_for(&in);
    sn_registry       *reg = NULL;
    sn_supernet       *net = NULL;
    sn_draft          *draft = NULL;
    sn_subnet         *subnet = NULL;
    sn_cost            total;

    (void)state;
    assert_int_equal(sn_registry_create(&reg, NULL), SN_OK);
    assert_int_equal(sn_supernet_load(cell, strlen(cell), NULL, reg, &net, NULL), SN_OK);
    assert_int_equal(sn_draft_create(net, &draft, NULL), SN_OK);
    assert_int_equal(sn_draft_read_choices(draft, choices, strlen(choices), NULL), SN_OK);
    assert_int_equal(sn_draft_seal(draft, &subnet, NULL), SN_OK);
    assert_int_equal(sn_subnet_cost(subnet, &options, &total, NULL, NULL), SN_OK);
    assert_int_equal(total.params, 4 * 4 + 4);
    assert_int_equal(total.macs, BATCH * 4 * 4);
    options.mode = SN_TRAIN;
    assert_int_equal(sn_subnet_cost(subnet, &options, &total, NULL, NULL), SN_OK);
    assert_int_equal(total.params, 4 * 4 + 4);
    assert_int_equal(total.macs, 2 * BATCH * 4 * 4);
    sn_subnet_unref(subnet);
    sn_draft_free(draft);
    sn_supernet_unref(net);
    sn_registry_unref(reg);
}

static void compiling_stops_wherever_it_is_asked_to(void **state)
{
    const sn_shape     shape = {4, {BATCH, 16, 4, 4}};
    const sn_desc      in = {SN_F32, shape};
    struct patience    patience;
    sn_compile_options options = options_for(&in);
    struct planned     p;
    sn_plan           *plan = NULL;
    sn_status          rc = SN_E_STOPPED;
    int                n;

    (void)state;
    options.stop = is_enough;
    options.stop_cls = &patience;
    assert_int_equal(planned_make(&p, spec, tensors, "w=4", &shape, 1, 1), SN_OK);
    for (n = 0; rc != SN_OK; n++) {
        sn_error err = {0};

        patience.left = n;
        rc = sn_plan_compile(p.subnet, &options, &plan, &err);
        if (rc != SN_OK) {
            assert_int_equal(rc, SN_E_STOPPED);
            assert_null(plan);
        }
    }
    assert_true(n > 2); /* at the beginning, and before weights are prepared */
    sn_plan_unref(plan);
    planned_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fused_steps_are_counted),
        cmocka_unit_test(costs_need_no_weights),
        cmocka_unit_test(what_is_chosen_twice_counts_as_often_as_it_is_computed),
        cmocka_unit_test(compiling_stops_wherever_it_is_asked_to),
    };

    return cmocka_run_group_tests_name("cost", tests, NULL, NULL);
}
