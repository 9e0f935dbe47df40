/* registry: what is built in, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "supernet/op.h"
#include "support/alloc.h"

static sn_status infer(sn_call *call, sn_error *err)
{
    (void)call;
    (void)err;
    return SN_OK;
}

static void forward(const sn_call *call, const sn_io *io)
{
    (void)call;
    (void)io;
}

static sn_status shape(const sn_call *call, size_t k, sn_shape *ret_shape, sn_error *err)
{
    (void)call;
    (void)k;
    (void)err;
    *ret_shape = (sn_shape){.rank = 1, .dim = {2}};
    return SN_OK;
}

static sn_status resample(void *state, const sn_supernet *net, sn_rng *rng, sn_draft *draft,
                          sn_error *err)
{
    (void)state;
    (void)net;
    (void)rng;
    (void)draft;
    (void)err;
    return SN_OK;
}

static const sn_arg_def seventeen_args[] = {
#define ARG(name)                                                                                  \
    {                                                                                              \
        name, SN_KINDS(SN_KIND_INT), SN_ARG_FIXED, "1", NULL                                       \
    }
    ARG("a"), ARG("b"), ARG("c"), ARG("d"), ARG("e"), ARG("f"), ARG("g"), ARG("h"), ARG("i"),
    ARG("j"), ARG("k"), ARG("l"), ARG("m"), ARG("n"), ARG("o"), ARG("p"), ARG("q"), {0},
};
static const sn_arg_def equal_args[] = {ARG("a"), ARG("a"), {0}};
static const sn_arg_def type_arg[] = {ARG("type"), {0}};
#undef ARG
static const sn_arg_def   kindless_arg[] = {{.name = "a"}, {0}};
static const sn_arg_def   derived_arg[] = {{"a", SN_KINDS(SN_KIND_INT), SN_ARG_DERIVED, NULL, NULL},
                                           {0}};
static const sn_param_def one_param[] = {{.name = "weight"}, {0}};
static const sn_param_def stray_step[] = {{.name = "weight", .n_steps = 1, .step = {0}}, {0}};

#define OP   .size = sizeof(sn_op), .abi = SN_OP_ABI, .type = "Mine", .max_in = 1, .n_out = 1
#define RUNS .infer = infer, .forward = forward

/* clang-format off */
static const struct op_row {
    const char *name;
    sn_op       op;
    sn_status   status;
    const char *text;
} op_rows[] = {
    {"an operator with all it needs", {OP, RUNS}, SN_OK, ""},
    {"one that only renames its input needs no forward", {OP, .infer = infer, .flags = SN_OP_ALIAS}, SN_OK, ""},
    {"another abi", {.size = sizeof(sn_op), .abi = 2, .type = "Mine", .n_out = 1, RUNS}, SN_E_UNSUPPORTED,
     "the operator was built for version 2 of the interface, and this library has version 1: build it again"},
    {"a shorter table", {.size = 16, .abi = 1, .type = "Mine", .n_out = 1, RUNS}, SN_E_UNSUPPORTED,
     NULL},
    {"a flag of another time", {OP, RUNS, .flags = 1u << 20}, SN_E_UNSUPPORTED,
     "the operator has the flags 0x100000, which this library does not know"},
    {"no type", {.size = sizeof(sn_op), .abi = 1, .n_out = 1, RUNS}, SN_E_INVALID, "an operator needs a type"},
    {"a type that exists", {.size = sizeof(sn_op), .abi = 1, .type = "Linear", .n_out = 1, RUNS}, SN_E_INVALID,
     "there is an operator of this type already"},
    {"the type of a container", {.size = sizeof(sn_op), .abi = 1, .type = "Repeat", .n_out = 1, RUNS}, SN_E_INVALID,
     "there is a container of this type already"},
    {"no forward", {OP, .infer = infer}, SN_E_INVALID, "the functions infer and forward are needed"},
    {"more inputs at least than at most", {OP, RUNS, .min_in = 2}, SN_E_INVALID,
     "2 to 1 inputs and 1 outputs are impossible"},
    {"too many arguments", {OP, RUNS, .args = seventeen_args}, SN_E_LIMIT,
     "the operator has more than 16 arguments"},
    {"two arguments of one name", {OP, RUNS, .args = equal_args}, SN_E_INVALID, "there are two arguments \"a\""},
    {"an argument that is a member of all modules", {OP, RUNS, .args = type_arg}, SN_E_INVALID,
     "no argument can be called \"type\", a member of every module"},
    {"an argument without kinds", {OP, RUNS, .args = kindless_arg}, SN_E_INVALID,
     "the argument \"a\" allows no kind of value"},
    {"a derived argument from nothing", {OP, RUNS, .args = derived_arg}, SN_E_INVALID,
     "the derived argument \"a\" has no expression"},
    {"a parameter without shape", {OP, RUNS, .params = one_param}, SN_E_INVALID,
     "the parameter \"weight\" needs the function shape"},
    {"a slicing step without argument", {OP, RUNS, .params = stray_step, .shape = shape}, SN_E_INVALID,
     "a slicing step of \"weight\" names argument 0 of 0"},
};
/* clang-format on */

static void operator_is(void **state)
{
    const struct op_row *row = *state;
    sn_registry         *reg = NULL;
    sn_error             err = {0};
    size_t               n = 0, n_after = 0;

    assert_int_equal(sn_registry_create(&reg, NULL), SN_OK);
    while (sn_registry_op_at(reg, n))
        n++;
    assert_int_equal(sn_registry_add_op(reg, &row->op, &err), row->status);
    if (row->text) assert_string_equal(err.text, row->text);
    while (sn_registry_op_at(reg, n_after))
        n_after++;
    assert_int_equal(n_after, n + (row->status == SN_OK));
    if (row->status == SN_OK) assert_string_equal(sn_registry_op_at(reg, n)->type, "Mine");
    sn_registry_unref(reg);
}

static void policies_are_checked_too(void **state)
{
    static const sn_policy_class mine = {
        .size = sizeof mine, .abi = SN_POLICY_ABI, .name = "mine", .resample = resample};
    static const sn_policy_class foreign = {
        .size = sizeof mine, .abi = 9, .name = "foreign", .resample = resample};
    static const sn_policy_class idle = {.size = sizeof mine, .abi = SN_POLICY_ABI, .name = "idle"};
    sn_registry                 *reg = NULL;

    (void)state;
    assert_int_equal(sn_registry_create(&reg, NULL), SN_OK);
    assert_int_equal(sn_registry_add_policy(reg, &mine, NULL), SN_OK);
    assert_int_equal(sn_registry_add_policy(reg, &mine, NULL), SN_E_INVALID);
    assert_int_equal(sn_registry_add_policy(reg, &foreign, NULL), SN_E_UNSUPPORTED);
    assert_int_equal(sn_registry_add_policy(reg, &idle, NULL), SN_E_INVALID);
    sn_registry_unref(reg);
}

static void what_is_built_in_is_there(void **state)
{
    static const char *const op[] = {"Linear", "Conv2d", "BatchNorm2d", "MultiheadAttention",
                                     "Add"};
    sn_registry             *reg = NULL;

    (void)state;
    assert_int_equal(sn_registry_create(&reg, NULL), SN_OK);
    for (size_t i = 0; i < COUNT(op); i++) {
        const sn_op *at;
        size_t       k = 0;

        while ((at = sn_registry_op_at(reg, k)) && strcmp(at->type, op[i]) != 0)
            k++;
        assert_non_null(at);
    }
    assert_string_equal(sn_registry_policy_at(reg, 0)->name, "path");
    assert_ptr_equal(sn_registry_ref(reg), reg);
    assert_null(sn_registry_unref(reg));
    assert_non_null(sn_registry_op_at(reg, 0)); /* the second reference holds it */
    assert_null(sn_registry_unref(reg));
    assert_null(sn_registry_unref(NULL));
}

static void creation_survives_out_of_memory(void **state)
{
    (void)state;
    for (size_t n = 1;; n++) {
        sn_registry *reg = NULL;
        sn_status    rc;

        alloc_fail_at(n);
        rc = sn_registry_create(&reg, NULL);
        if (!alloc_failed()) {
            alloc_fail_at(0);
            assert_int_equal(rc, SN_OK);
            sn_registry_unref(reg);
            assert_true(n > 2);
            return;
        }
        assert_int_equal(rc, SN_E_NO_MEMORY);
        assert_null(reg);
    }
}

int main(void)
{
    static const struct CMUnitTest alone[] = {
        cmocka_unit_test(policies_are_checked_too),
        cmocka_unit_test(what_is_built_in_is_there),
        cmocka_unit_test(creation_survives_out_of_memory),
    };
    static struct CMUnitTest tests[COUNT(op_rows) + COUNT(alone)];
    size_t                   n = 0;

    for (size_t i = 0; i < COUNT(op_rows); i++)
        tests[n++] = (struct CMUnitTest){.name = op_rows[i].name,
                                         .test_func = operator_is,
                                         .initial_state = (void *)(uintptr_t)&op_rows[i]};
    for (size_t i = 0; i < COUNT(alone); i++)
        tests[n++] = alone[i];
    return _cmocka_run_group_tests("registry", tests, n, NULL, NULL);
}
