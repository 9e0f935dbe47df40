/* What core/compile/README.md says of its worked network: its steps, its memory, and how two
 * threads run it. Where this fails, the page is no longer true. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "run/plan.h"
#include "support/whole.h"

/* clang-format off */
#define CONV(name, in, out, kernel, more)                                                          \
    "{\"name\": \"" name "\", \"type\": \"Conv2d\", \"in_channels\": " in ", \"out_channels\": "   \
    out ", \"kernel_size\": " kernel ", \"bias\": false" more "},"
#define NORM(name, width) "{\"name\": \"" name "\", \"type\": \"BatchNorm2d\", \"num_features\": " width "}"
#define ACT(name) ", {\"name\": \"" name "\", \"type\": \"Hardswish\"}"
#define SEQUENTIAL "\"type\": \"Sequential\", \"layers\": ["

static const char spec[] =
    "{\"format\": \"supernet/1\", \"name\": \"block\", \"choices\": {\"width\": [160, 240]},"
    " \"inputs\": [{\"name\": \"image\", \"shape\": [\"N\", 3, \"H\", \"W\"]}],"
    " \"model\": {" SEQUENTIAL
    "  {\"name\": \"stem\", " SEQUENTIAL
       CONV("conv", "3", "40", "3", ", \"stride\": 2, \"padding\": 1")
       NORM("norm", "40") ACT("act") "]},"
    "  {\"name\": \"block\", \"type\": \"Graph\", \"inputs\": [\"x\"], \"outputs\": [\"sum\"],"
    "   \"nodes\": [{\"name\": \"body\", \"inputs\": [\"x\"], " SEQUENTIAL
       CONV("expand", "40", "\"width\"", "1", "")
       NORM("norm1", "\"width\"") ACT("act1") ","
       CONV("depthwise", "\"width\"", "\"width\"", "3", ", \"padding\": 1, \"groups\": \"width\"")
       NORM("norm2", "\"width\"") ACT("act2") ","
       CONV("project", "\"width\"", "40", "1", "")
       NORM("norm3", "40") "]},"
    "    {\"name\": \"sum\", \"type\": \"Add\", \"inputs\": [\"x\", \"body\"]}]},"
    "  {\"name\": \"head\", " SEQUENTIAL
    "   {\"name\": \"pool\", \"type\": \"AdaptiveAvgPool2d\", \"output_size\": 1},"
    "   {\"name\": \"flat\", \"type\": \"Flatten\"},"
    "   {\"name\": \"out\", \"type\": \"Linear\", \"in_features\": 40, \"out_features\": 10}]}]}}";
/* clang-format on */

static sn_plan *compile(sn_subnet *subnet, int64_t batch, int64_t side)
{
    const sn_desc            in = {SN_F32, {.rank = 4, .dim = {batch, 3, side, side}}};
    const sn_compile_options options = {
        .size = sizeof options, .in = &in, .n_in = 1, .n_threads = 2};
    sn_plan *plan = NULL;

    assert_int_equal(sn_plan_compile(subnet, &options, &plan, NULL), SN_OK);
    return plan;
}

/* Two threads, one after the other; *pool counts how often both are needed. */
static void run_counted(void *pool, int n, void (*body)(void *cls, int i), void *cls)
{
    assert_int_equal(n, 2);
    ++*(int *)pool;
    for (int i = 0; i < n; i++)
        body(cls, i);
}

/* How often two threads meet in a run of `batch` images. */
static int count_meetings(const sn_plan *plan, int64_t batch)
{
    int               n = 0;
    const sn_parallel parallel = {.run = run_counted, .pool = &n, .n_threads = 2};
    sn_shape          shape = sn_plan_describe(plan)->in[0].shape;
    const size_t      n_scratch = sn_plan_describe(plan)->scratch_bytes + SN_ALIGN_BYTES;
    sn_desc           out;
    sn_tensor         x, y;
    sn_run_options    options = {.size = sizeof options, .parallel = &parallel};

    shape.dim[0] = batch;
    sn_plan_outputs(plan, batch, &out);
    x = sn_tensor_dense(SN_F32, &shape, calloc((size_t)sn_shape_count(&shape), sizeof(float)));
    y = sn_tensor_dense(SN_F32, &out.shape,
                        calloc((size_t)sn_shape_count(&out.shape), sizeof(float)));
    options.scratch = aligned_alloc(SN_ALIGN_BYTES, n_scratch / SN_ALIGN_BYTES * SN_ALIGN_BYTES);
    assert_int_equal(sn_plan_forward(plan, &x, &y, &options, NULL), SN_OK);
    free(options.scratch);
    free(x.data);
    free(y.data);
#ifdef SN_FENCE
    return n / 2; /* such builds run everything twice */
#else
    return n;
#endif
}

static void the_block_has_six_steps(void **state)
{
    static const char *const want[] = {"planes", "packed",        "packed",
                                       "packed", "channels last", "packed"};
    sn_plan                 *plan = compile(*state, 1, 28);
    sn_step_info             step;

    assert_int_equal(sn_plan_describe(plan)->n_steps, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_true(sn_plan_step_at(plan, i, &step));
        assert_string_equal(step.variant, want[i]);
    }
    sn_plan_unref(plan);
}

static void the_sum_is_written_over_its_residual(void **state)
{
    sn_plan           *plan = compile(*state, 1, 28);
    const struct task *t = plan->task;

    assert_int_equal(plan->slot[t[3].residual].offset_bytes, plan->slot[t[3].io[1]].offset_bytes);
#ifndef SN_FENCE
    assert_int_equal(plan->info.scratch_bytes / 1000, 458);
#endif
    sn_plan_unref(plan);
}

static void one_image_runs_expand_and_depthwise_as_a_chain(void **state)
{
    sn_plan *plan = compile(*state, 1, 28);

    assert_int_equal(plan->task[1].chain, 2);
    assert_int_equal(count_meetings(plan, 1), 2);
    sn_plan_unref(plan);
}

static void four_images_run_in_two_lanes(void **state)
{
    sn_plan *plan = compile(*state, 4, 28);

    assert_int_equal(plan->n_lanes, 2);
    assert_int_equal(count_meetings(plan, 4), 1);
    assert_int_equal(count_meetings(plan, 3), 1 + 3);
    sn_plan_unref(plan);
}

static void large_images_run_in_two_spans(void **state)
{
    sn_plan *plan = compile(*state, 4, 224);

    assert_int_equal(plan->n_spans, 2);
    assert_int_equal(plan->span[0].end, 5);
    assert_int_equal(plan->span[0].samples, 1);
    assert_int_equal(plan->span[1].samples, 2);
    sn_plan_unref(plan);
}

static struct whole network;

static int setup(void **state)
{
    whole_load(&network, spec);
    *state = net_choose(network.net, "width=240");
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    sn_subnet_unref(*state);
    whole_fini(&network);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_block_has_six_steps),
        cmocka_unit_test(the_sum_is_written_over_its_residual),
        cmocka_unit_test(one_image_runs_expand_and_depthwise_as_a_chain),
        cmocka_unit_test(four_images_run_in_two_lanes),
        cmocka_unit_test(large_images_run_in_two_spans),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
