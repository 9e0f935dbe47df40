/* Flatten, Reshape, Permute, Concat, Truncate, Identity and Dropout: shapes, order, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/eltwise.h"
#include "op/op_internal.h"
#include "support/op_call.h"

extern const sn_op sn_op_flatten, sn_op_reshape, sn_op_permute, sn_op_concat, sn_op_identity,
    sn_op_dropout, sn_op_truncate;

/* ---- the same numbers in the same order ----------------------------------------------------- */

/* clang-format off */
static const struct alias {
    const char  *sentence;
    const sn_op *op;
    const char  *args;
    sn_shape     x, y;
} aliases[] = {
    {"flatten keeps the batch", &sn_op_flatten, "", SHAPE(2, 3, 4, 5), SHAPE(2, 60)},
    {"flatten what is flat", &sn_op_flatten, "", SHAPE(2, 3), SHAPE(2, 3)},
    {"flatten some axes", &sn_op_flatten, "start_dim = 1; end_dim = 2", SHAPE(2, 3, 4, 5),
     SHAPE(2, 12, 5)},
    {"flatten everything", &sn_op_flatten, "start_dim = 0", SHAPE(2, 3, 4), SHAPE(24)},
    {"flatten the last axes", &sn_op_flatten, "start_dim = -2", SHAPE(2, 3, 4), SHAPE(2, 12)},
    {"reshape", &sn_op_reshape, "shape = (2, 6)", SHAPE(3, 4), SHAPE(2, 6)},
    {"-1 is whatever is left", &sn_op_reshape, "shape = (-1, 6)", SHAPE(3, 4), SHAPE(2, 6)},
    {"0 keeps an axis", &sn_op_reshape, "shape = (0, 2, -1)", SHAPE(3, 4), SHAPE(3, 2, 2)},
    {"0 keeps an axis of size 0", &sn_op_reshape, "shape = (0, 6)", SHAPE(0, 2, 3), SHAPE(0, 6)},
    {"a sampled shape", &sn_op_reshape, "shape = (0, 4) of (0, 4), (0, 8)", SHAPE(3, 2, 2),
     SHAPE(3, 4)},
    {"identity", &sn_op_identity, "", SHAPE(3, 4), SHAPE(3, 4)},
    {"dropout", &sn_op_dropout, "", SHAPE(3, 4), SHAPE(3, 4)},
    {"dropout with a choice", &sn_op_dropout, "p = 0.5 of 0, 0.5", SHAPE(3, 4), SHAPE(3, 4)},
    {"dropout under a distribution", &sn_op_dropout, "p ~ 0, 0.5", SHAPE(3, 4), SHAPE(3, 4)},
};
/* clang-format on */

static void alias(void **state)
{
    const struct alias *r = *state;
    struct op_call      c;
    sn_error            err = {0};
    float               x[128];
    sn_cost             cost;

    op_call_init(&c, r->op, r->args, false, SN_EVAL);
    if (op_call_load(&c, &err) || op_call_infer(&c, r->x, &err))
        fail_msg("%s: %s", err.where, err.text);
    assert_true(sn_shape_equal(&c.out[0].shape, &r->y));
    assert_true(r->op->flags & SN_OP_ALIAS);
    op_call_fill(x, COUNT(x), 1);
    assert_memory_equal(op_call_run(&c, x), x, (size_t)op_count(&r->x) * sizeof *x);
    c.op->cost(&c.call, &cost);
    assert_int_equal(cost.bytes_moved, 0);
    op_call_fini(&c);
}

static void an_alias_takes_any_element_type(void **state)
{
    static const sn_op *const ops[] = {&sn_op_flatten, &sn_op_identity};
    const int64_t             x[] = {1, 2, 3, 4};
    const sn_desc             desc = {SN_I64, SHAPE(2, 2)};
    const sn_tensor           in = sn_tensor_dense(SN_I64, &desc.shape, (void *)(uintptr_t)x);

    (void)state;
    for (size_t i = 0; i < COUNT(ops); i++) {
        struct op_call c;

        op_call_init(&c, ops[i], "", false, SN_EVAL);
        assert_int_equal(op_call_infer_many(&c, &desc, 1, NULL), SN_OK);
        assert_int_equal(c.out[0].dtype, SN_I64);
        op_call_run_many(&c, &in);
        assert_memory_equal(c.result[0].data, x, sizeof x);
        op_call_fini(&c);
    }
}

/* ---- permute ----------------------------------------------------------------------------------
 */

static void copies_agree_with_the_twin(void **state)
{
    static const struct {
        int     rank;
        int64_t dim[4], stride[4];
    } row[] = {
        {0, {0}, {0}},
        {1, {7}, {1}},
        {1, {7}, {3}},
        {1, {7}, {0}},
        {2, {3, 4}, {4, 1}},
        {2, {3, 4}, {1, 3}},
        {2, {3, 4}, {9, 1}},
        {3, {2, 3, 4}, {12, 4, 1}},
        {3, {4, 2, 3}, {1, 12, 4}},
        {3, {2, 1, 5}, {5, 77, 1}},
        {3, {2, 0, 5}, {5, 5, 1}},
        {4, {2, 3, 4, 5}, {60, 20, 5, 1}},
        {4, {2, 4, 5, 3}, {60, 5, 1, 20}},
        {4, {5, 4, 3, 2}, {1, 5, 20, 60}},
        {4, {2, 3, 4, 5}, {0, 1, 0, 3}},
    };
    float x[128], y[128], want[128];

    (void)state;
    op_call_fill(x, 128, 1);
    for (size_t i = 0; i < COUNT(row); i++) {
        memset(y, 0, sizeof y);
        memset(want, 0, sizeof want);
        kernel_copy(row[i].rank, row[i].dim, x, row[i].stride, y);
        ref_copy(row[i].rank, row[i].dim, x, row[i].stride, want);
        assert_memory_equal(y, want, sizeof y);
    }
}

static void permute_moves_axes(void **state)
{
    struct op_call c;
    float          x[24];
    const float   *y;

    (void)state;
    op_call_fill(x, 24, 1);
    op_call_init(&c, &sn_op_permute, "dims = (2, -3, 1)", false, SN_EVAL);
    assert_int_equal(op_call_infer(&c, SHAPE(2, 3, 4), NULL), SN_OK);
    assert_true(sn_shape_equal(&c.out[0].shape, &SHAPE(4, 2, 3)));
    y = op_call_run(&c, x);
    for (int a = 0; a < 4; a++)
        for (int b = 0; b < 2; b++)
            for (int d = 0; d < 3; d++)
                assert_float_equal(y[(a * 2 + b) * 3 + d], x[(b * 3 + d) * 4 + a], 0);
    op_call_fini(&c);
}

/* ---- concat -------------------------------------------------------------------------------------
 */

/* clang-format off */
static const struct concat {
    const char *sentence, *args;
    sn_shape    x[3], y;
    int         axis;
} concats[] = {
    {"channels", "", {SHAPE(2, 1, 3), SHAPE(2, 2, 3), SHAPE(2, 1, 3)}, SHAPE(2, 4, 3), 1},
    {"the batch", "dim = 0", {SHAPE(2, 3), SHAPE(1, 3), SHAPE(4, 3)}, SHAPE(7, 3), 0},
    {"the last axis", "dim = -1", {SHAPE(2, 3), SHAPE(2, 1), SHAPE(2, 2)}, SHAPE(2, 6), 1},
    {"an empty input", "dim = 1", {SHAPE(2, 3), SHAPE(2, 0), SHAPE(2, 2)}, SHAPE(2, 5), 1},
};
/* clang-format on */

static void concat(void **state)
{
    const struct concat *r = *state;
    struct op_call       c;
    sn_error             err = {0};
    sn_desc              in[3];
    sn_tensor            t[3];
    float                x[3][64];
    int64_t              start = 0;

    op_call_init(&c, &sn_op_concat, r->args, false, SN_EVAL);
    for (int i = 0; i < 3; i++) {
        op_call_fill(x[i], 64, (unsigned)i);
        in[i] = (sn_desc){SN_F32, r->x[i]};
        t[i] = sn_tensor_dense(SN_F32, &r->x[i], x[i]);
    }
    if (op_call_infer_many(&c, in, 3, &err)) fail_msg("%s: %s", err.where, err.text);
    assert_true(sn_shape_equal(&c.out[0].shape, &r->y));
    op_call_run_many(&c, t);
    for (int i = 0; i < 3; i++) {
        const int64_t outer = op_count_axes(&r->y, 0, r->axis);
        const int64_t inner = op_count_axes(&r->y, r->axis + 1, r->y.rank);
        const int64_t n = r->x[i].dim[r->axis], n_all = r->y.dim[r->axis];
        const float  *y = c.result[0].data;

        for (int64_t o = 0; o < outer; o++)
            for (int64_t j = 0; j < n * inner; j++)
                assert_float_equal(y[(o * n_all + start) * inner + j], x[i][o * n * inner + j], 0);
        start += n;
    }
    op_call_fini(&c);
}

/* ---- truncate ----------------------------------------------------------------------------------
 */

static void truncate_takes_the_first_channels_of_every_item(void **state)
{
    struct op_call c;
    sn_error       err = {0};
    float          x[2 * 5 * 3];
    const float   *y;

    (void)state;
    op_call_fill(x, COUNT(x), 1);
    op_call_init(&c, &sn_op_truncate, "channels = 2 of 2, 5", false, SN_EVAL);
    if (op_call_load(&c, &err) || op_call_infer(&c, SHAPE(2, 5, 3), &err))
        fail_msg("%s: %s", err.where, err.text);
    assert_true(sn_shape_equal(&c.out[0].shape, &SHAPE(2, 2, 3)));
    y = op_call_run(&c, x);
    assert_memory_equal(y, x, 6 * sizeof *y);
    assert_memory_equal(y + 6, x + 15, 6 * sizeof *y);
    op_call_fini(&c);
}

/* ---- refusals -------------------------------------------------------------------- */

/* clang-format off */
static const struct refusal {
    const char  *sentence;
    const sn_op *op;
    const char  *args;
    sn_mode      mode;
    sn_desc      x, x2; /* x2: SN_NONE if there is one input */
    sn_status    code;
    const char  *where, *text;
} refusals[] = {
    {"flatten an axis that is not there", &sn_op_flatten, "", SN_EVAL, {SN_F32, SHAPE(4)}, {0},
     SN_E_SHAPE, "op.start_dim", "there is no axis 1 in an input of 1 axes"},
    {"flatten backwards", &sn_op_flatten, "start_dim = 2; end_dim = 1", SN_EVAL,
     {SN_F32, SHAPE(2, 3, 4)}, {0}, SN_E_SHAPE, "op.start_dim",
     "start_dim is axis 2 of the input [2, 3, 4], after end_dim, axis 1"},
    {"reshape to another count", &sn_op_reshape, "shape = (5, -1)", SN_EVAL, {SN_F32, SHAPE(3, 4)},
     {0}, SN_E_SHAPE, "op.shape", "the input [3, 4] of 12 numbers cannot be seen as (5, -1)"},
    {"reshape to more than can be counted", &sn_op_reshape, "shape = (4294967296, 4294967296, 0)",
     SN_EVAL, {SN_F32, SHAPE(1, 1, 1)}, {0}, SN_E_SHAPE, "op.shape",
     "the input [1, 1, 1] of 1 numbers cannot be seen as (4294967296, 4294967296, 0)"},
    {"two open axes", &sn_op_reshape, "shape = (-1, -1)", SN_EVAL, {SN_F32, SHAPE(3, 4)}, {0},
     SN_E_INVALID, "op.shape",
     "(-1, -1) is no shape: sizes are positive, 0 keeps an axis, and one may be -1"},
    {"a negative size", &sn_op_reshape, "shape = (-2, 6)", SN_EVAL, {SN_F32, SHAPE(3, 4)}, {0},
     SN_E_INVALID, "op.shape",
     "(-2, 6) is no shape: sizes are positive, 0 keeps an axis, and one may be -1"},
    {"an open axis beside an empty one", &sn_op_reshape, "shape = (0, -1)", SN_EVAL,
     {SN_F32, SHAPE(0, 4)}, {0}, SN_E_SHAPE, "op.shape",
     "the input [0, 4] of 0 numbers cannot be seen as (0, -1)"},
    {"keep an axis that is not there", &sn_op_reshape, "shape = (12, 1, 0)", SN_EVAL,
     {SN_F32, SHAPE(3, 4)}, {0}, SN_E_SHAPE, "op.shape",
     "entry 2 keeps an axis that the input [3, 4] does not have"},
    {"permute too few axes", &sn_op_permute, "dims = (1, 0)", SN_EVAL, {SN_F32, SHAPE(2, 3, 4)},
     {0}, SN_E_SHAPE, "op.dims", "(1, 0) does not name each axis of the input [2, 3, 4]"},
    {"permute an axis twice", &sn_op_permute, "dims = (0, -2)", SN_EVAL, {SN_F32, SHAPE(2, 3)}, {0},
     SN_E_INVALID, "op.dims", "(0, -2) names axis 0 twice"},
    {"concat shapes that differ elsewhere", &sn_op_concat, "", SN_EVAL, {SN_F32, SHAPE(2, 3, 4)},
     {SN_F32, SHAPE(2, 3, 5)}, SN_E_SHAPE, "op",
     "input 1 of shape [2, 3, 5] differs from the first, [2, 3, 4], outside axis 1"},
    {"concat different ranks", &sn_op_concat, "", SN_EVAL, {SN_F32, SHAPE(2, 3, 4)},
     {SN_F32, SHAPE(2, 3)}, SN_E_SHAPE, "op",
     "input 1 of shape [2, 3] differs from the first, [2, 3, 4], outside axis 1"},
    {"concat different types", &sn_op_concat, "", SN_EVAL, {SN_F32, SHAPE(2, 3)},
     {SN_I64, SHAPE(2, 3)}, SN_E_DTYPE, "op", "input 1 is I64, the first one F32"},
    {"truncate to more channels than there are", &sn_op_truncate, "channels = 4", SN_EVAL,
     {SN_F32, SHAPE(2, 3, 4)}, {0}, SN_E_SHAPE, "op.channels",
     "the input [2, 3, 4] has 3 channels, of which the first 4 cannot be taken"},
    {"truncate to fewer than none", &sn_op_truncate, "channels = -1", SN_EVAL,
     {SN_F32, SHAPE(2, 3, 4)}, {0}, SN_E_INVALID, "op.channels", "-1 is too small: it must be at least 0"},
    {"an input that is not connected", &sn_op_identity, "", SN_EVAL, {0}, {0}, SN_E_SHAPE, "op",
     "input x is not connected"},
    {"no probability", &sn_op_dropout, "p = 1.5 of 0, 1.5", SN_EVAL, {SN_F32, SHAPE(2)}, {0},
     SN_E_INVALID, "op.p", "1.5 is no probability between 0 and 1"},
    {"random dropout in training mode", &sn_op_dropout, "p = 0.5", SN_TRAIN, {SN_F32, SHAPE(2)},
     {0}, SN_E_UNSUPPORTED, "op.p",
     "dropout of 0.5 is random in training mode, only 0 is supported there"},
};
/* clang-format on */

static void refusal(void **state)
{
    const struct refusal *r = *state;
    const sn_desc         in[] = {r->x, r->x2};
    struct op_call        c;
    sn_error              err = {0};
    sn_status             rc;

    op_call_init(&c, r->op, r->args, false, r->mode);
    rc = op_call_load(&c, &err);
    if (rc == SN_OK) rc = op_call_infer_many(&c, in, r->x2.dtype == SN_NONE ? 1 : 2, &err);
    assert_string_equal(err.text, r->text);
    assert_int_equal(rc, r->code);
    assert_string_equal(err.where, r->where);
    op_call_fini(&c);
}

int main(void)
{
    struct CMUnitTest tests[COUNT(aliases) + COUNT(concats) + COUNT(refusals) + 4] = {
        cmocka_unit_test(an_alias_takes_any_element_type),
        cmocka_unit_test(copies_agree_with_the_twin),
        cmocka_unit_test(permute_moves_axes),
        cmocka_unit_test(truncate_takes_the_first_channels_of_every_item),
    };
    size_t n = 4;

    for (size_t i = 0; i < COUNT(aliases); i++)
        tests[n++] =
            (struct CMUnitTest){aliases[i].sentence, alias, NULL, NULL, (void *)&aliases[i]};
    for (size_t i = 0; i < COUNT(concats); i++)
        tests[n++] =
            (struct CMUnitTest){concats[i].sentence, concat, NULL, NULL, (void *)&concats[i]};
    for (size_t i = 0; i < COUNT(refusals); i++)
        tests[n++] =
            (struct CMUnitTest){refusals[i].sentence, refusal, NULL, NULL, (void *)&refusals[i]};
    return cmocka_run_group_tests_name("reshape", tests, NULL, NULL);
}
