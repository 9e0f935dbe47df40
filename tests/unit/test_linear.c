/* Linear: which part of the weights is live, values, sizes of any kind, and refusals. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "op/op_internal.h"
#include "support/op_call.h"

extern const sn_op sn_op_linear;

enum { W_WEIGHT, W_BIAS };

/* ---- values ------------------------------------------------------------------------------ */

struct row {
    const char *sentence, *args;
    bool        nni;
    sn_shape    x;
    int64_t     n_out; /* the width that comes out */
};

static void value(void **state)
{
    const struct row *r = *state;
    struct op_call    c;
    sn_error          err = {0};
    const int64_t     n_in = r->x.dim[r->x.rank - 1];
    float             x[256];
    const float      *y;

    op_call_init(&c, &sn_op_linear, r->args, r->nni, SN_EVAL);
    if (op_call_load(&c, &err) || op_call_infer(&c, r->x, &err))
        fail_msg("%s: %s", err.where, err.text);
    assert_int_equal(c.out[0].shape.rank, r->x.rank);
    assert_int_equal(c.out[0].shape.dim[r->x.rank - 1], r->n_out);
    op_call_fill(x, COUNT(x), 9);
    y = op_call_run(&c, x);
    for (int64_t i = 0; i < op_count(&c.out[0].shape); i++) {
        const int64_t o = i % r->n_out, max_in = c.whole[W_WEIGHT].shape.dim[1];
        const float  *weight = c.whole[W_WEIGHT].data, *bias = c.whole[W_BIAS].data;
        double        want = bias ? bias[o] : 0.0;

        for (int64_t j = 0; j < n_in; j++)
            want += (double)weight[o * max_in + j] * x[i / r->n_out * n_in + j];
        assert_true(fabs(y[i] - want) < 1e-6);
    }
    op_call_fini(&c);
}

/* clang-format off */
static const struct row rows[] = {
    {"a fixed layer", "in_features = 3; out_features = 5", false, SHAPE(4, 3), 5},
    {"one vector without a batch", "in_features = 3; out_features = 5", false, SHAPE(3), 5},
    {"any number of axes before the last", "in_features = 3; out_features = 2", false,
     SHAPE(2, 1, 3, 2, 3), 2},
    {"no bias", "in_features = 3; out_features = 5; bias = false", false, SHAPE(4, 3), 5},
    {"rows are a prefix", "in_features = 3; out_features = 2 of 2, 7", false, SHAPE(4, 3), 2},
    {"columns are a prefix", "in_features = 3 of 3, 8; out_features = 7", false, SHAPE(4, 3), 7},
    {"both are prefixes", "in_features = 3 of 3, 8; out_features = 2 of 2, 7", false, SHAPE(4, 3),
     2},
    {"the largest is everything", "in_features = 8 of 3, 8; out_features = 7 of 2, 7", false,
     SHAPE(4, 8), 7},
    {"an empty batch", "in_features = 3; out_features = 5", false, SHAPE(0, 3), 5},
    {"no inputs: the bias alone", "in_features = 0 of 0, 3; out_features = 5", false, SHAPE(4, 0),
     5},
    {"no outputs", "in_features = 3; out_features = 0 of 0, 3", false, SHAPE(4, 3), 0},
    {"true counts as 1", "in_features = true of true, 3; out_features = 2", false, SHAPE(4, 1), 2},
    {"in nni mode a negative end counts from the end",
     "in_features = 3; out_features = -1 of -1, 6", true, SHAPE(4, 3), 5},
    {"under a distribution input and output are as wide as can be",
     "in_features ~ 3, 6; out_features ~ 2, 4", false, SHAPE(4, 6), 4},
};
/* clang-format on */

static void the_live_weight_is_a_view(void **state)
{
    struct op_call c;

    (void)state;
    op_call_init(&c, &sn_op_linear, "in_features = 3 of 3, 8; out_features = 2 of 2, 7", false,
                 SN_EVAL);
    assert_int_equal(op_call_load(&c, NULL), SN_OK);
    assert_int_equal(op_call_infer(&c, SHAPE(1, 3), NULL), SN_OK);
    assert_ptr_equal(c.live[W_WEIGHT].data, c.whole[W_WEIGHT].data);
    assert_int_equal(c.live[W_WEIGHT].stride[0], 8);
    assert_int_equal(c.call.scratch_bytes, 0);
    op_call_fini(&c);
}

static void the_batch_may_be_smaller_than_at_infer(void **state)
{
    struct op_call c;
    float          x[12], y[20];
    sn_tensor      in, out;

    (void)state;
    op_call_init(&c, &sn_op_linear, "in_features = 3; out_features = 5", false, SN_EVAL);
    assert_int_equal(op_call_load(&c, NULL), SN_OK);
    assert_int_equal(op_call_infer(&c, SHAPE(4, 3), NULL), SN_OK);
    op_call_fill(x, 12, 9);
    for (int i = 0; i < 20; i++)
        y[i] = -7.0f;
    in = sn_tensor_dense(SN_F32, &SHAPE(2, 3), x);
    out = sn_tensor_dense(SN_F32, &SHAPE(2, 5), y);
    c.op->forward(&c.call, &(sn_io){.in = &in, .out = &out, .param = c.live});
    assert_memory_equal(y, op_call_run(&c, x), 10 * sizeof *y);
    for (int i = 10; i < 20; i++)
        assert_float_equal(y[i], -7.0f, 0);
    op_call_fini(&c);
}

static void cost_counts_what_is_live(void **state)
{
    struct op_call c;
    sn_cost        cost;

    (void)state;
    op_call_init(&c, &sn_op_linear, "in_features = 3 of 3, 8; out_features = 2 of 2, 7", false,
                 SN_EVAL);
    assert_int_equal(op_call_load(&c, NULL), SN_OK);
    assert_int_equal(op_call_infer(&c, SHAPE(5, 3), NULL), SN_OK);
    c.op->cost(&c.call, &cost);
    assert_int_equal(cost.macs, 5 * 3 * 2);
    assert_int_equal(cost.params, 3 * 2 + 2);
    assert_int_equal(cost.bytes_moved, 4 * (5 * 3 + 5 * 2 + 8));
    op_call_fini(&c);
}

static void bools_are_exported_as_sizes(void **state)
{
    struct op_call c;
    sn_value       v[3] = {{0}};

    (void)state;
    op_call_init(&c, &sn_op_linear, "in_features = true of true, 3; out_features = 2", false,
                 SN_EVAL);
    assert_int_equal(op_call_load(&c, NULL), SN_OK);
    assert_int_equal(op_call_infer(&c, SHAPE(5, 1), NULL), SN_OK);
    assert_int_equal(c.op->export_args(&c.call, v, c.mem, NULL), SN_OK);
    assert_int_equal(v[0].kind, SN_KIND_INT);
    assert_int_equal(v[0].as.integer, 1);
    assert_int_equal(v[1].as.integer, 2);
    op_call_fini(&c);
}

/* ---- refusals ------------------------------------------------------------------------------ */

/* clang-format off */
static const struct refusal {
    const char *sentence, *args;
    bool        nni;
    sn_desc     x;
    sn_status   code;
    const char *where, *text;
} refusals[] = {
    {"a negative size", "in_features = 3; out_features = -1 of -1, 6", false, {SN_F32, SHAPE(4, 3)},
     SN_E_INVALID, "op.out_features", "-1 is too small: it must be at least 0"},
    {"only negative sizes, in nni mode too", "in_features = 3; out_features = -1", true,
     {SN_F32, SHAPE(4, 3)}, SN_E_INVALID, "op.out_features",
     "-1 is too small: it must be at least 0"},
    {"a float", "in_features = 3.0; out_features = 2", false, {SN_F32, SHAPE(4, 3)}, SN_E_INVALID,
     "op.in_features", "3.0 is no size: it must be an integer"},
    {"a size that no kernel can count", "in_features = 3; out_features = 4294967296", false,
     {SN_F32, SHAPE(4, 3)}, SN_E_LIMIT, "op", "out_features is 4294967296, at most 2147483647 is "
     "supported"},
    {"an input that is too wide", "in_features = 3 of 3, 8; out_features = 2", false,
     {SN_F32, SHAPE(4, 8)}, SN_E_SHAPE, "op.in_features",
     "the last axis of the input [4, 8] is 8, in_features is 3"},
    {"an input that is too narrow under a distribution", "in_features ~ 3, 6; out_features = 2",
     false, {SN_F32, SHAPE(4, 3)}, SN_E_SHAPE, "op.in_features",
     "the last axis of the input [4, 3] is 3, in_features is 6"},
    {"an input without axes", "in_features = 3; out_features = 2", false, {SN_F32, {.rank = 0}},
     SN_E_SHAPE, "op", "input x [] has too few axes, it needs 1 or more"},
    {"an input of integers", "in_features = 3; out_features = 2", false, {SN_I64, SHAPE(4, 3)},
     SN_E_DTYPE, "op", "input x is I64, it must be F32"},
    {"more rows than a kernel can count", "in_features = 1; out_features = 1", false,
     {SN_F32, SHAPE(65536, 65536, 1)}, SN_E_LIMIT, "op",
     "the number of rows is 4294967296, at most 2147483647 is supported"},
    {"an output that cannot be counted", "in_features = 1; out_features = 2147483647", false,
     {SN_F32, SHAPE(2147483647, 2, 1)}, SN_E_LIMIT, "op",
     "the output would have shape [2147483647, 2, 2147483647]"},
};
/* clang-format on */

/* Weights as large as some rows ask for are not made: what they hold is not looked at. */
static sn_status load_without_data(struct op_call *c, sn_error *err)
{
    sn_status rc = c->op->check(&c->call, err);

    for (size_t k = 0; rc == SN_OK && k < c->n_params; k++) {
        sn_shape shape;

        rc = c->op->shape(&c->call, k, &shape, err);
        if (rc == SN_OK && shape.rank >= 0) c->whole[k] = sn_tensor_dense(SN_F32, &shape, NULL);
    }
    return rc;
}

static void refusal(void **state)
{
    const struct refusal *r = *state;
    struct op_call        c;
    sn_error              err = {0};
    sn_status             rc;

    op_call_init(&c, &sn_op_linear, r->args, r->nni, SN_EVAL);
    rc = load_without_data(&c, &err);
    if (rc == SN_OK) rc = op_call_infer_many(&c, &r->x, 1, &err);
    assert_int_equal(rc, r->code);
    assert_string_equal(err.text, r->text);
    assert_string_equal(err.where, r->where);
    op_call_fini(&c);
}

int main(void)
{
    struct CMUnitTest tests[COUNT(rows) + COUNT(refusals) + 4] = {
        cmocka_unit_test(the_live_weight_is_a_view),
        cmocka_unit_test(the_batch_may_be_smaller_than_at_infer),
        cmocka_unit_test(cost_counts_what_is_live),
        cmocka_unit_test(bools_are_exported_as_sizes),
    };
    size_t n = 4;

    for (size_t i = 0; i < COUNT(rows); i++)
        tests[n++] = (struct CMUnitTest){rows[i].sentence, value, NULL, NULL, (void *)&rows[i]};
    for (size_t i = 0; i < COUNT(refusals); i++)
        tests[n++] =
            (struct CMUnitTest){refusals[i].sentence, refusal, NULL, NULL, (void *)&refusals[i]};
    return cmocka_run_group_tests_name("linear", tests, NULL, NULL);
}
