/* values: equality, order, hash, copy and text, as Python has them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "space/number.h"
#include "space/value.h"
#include "support/alloc.h"

/* Ascending in the order of value_compare_any(); equal neighbours share a rank. */
static const sn_value one_two[] = {{SN_KIND_INT, {.integer = 1}}, {SN_KIND_INT, {.integer = 2}}};
static const sn_value one_real[] = {{SN_KIND_FLOAT, {.real = 1.0}},
                                    {SN_KIND_BOOL, {.boolean = true}}};
static const sn_value one_text[] = {{SN_KIND_INT, {.integer = 1}}, {SN_KIND_TEXT, {.text = "a"}}};

static const struct {
    int         rank;
    sn_value    value;
    bool        truth;
    const char *text;
} values[] = {
    {0, {SN_KIND_NULL, {.integer = 0}}, false, "None"},
    {1, {SN_KIND_FLOAT, {.real = -INFINITY}}, true, "-inf"},
    {2, {SN_KIND_FLOAT, {.real = -0x1p63 * 2}}, true, "-1.8446744073709552e+19"},
    {3, {SN_KIND_INT, {.integer = INT64_MIN}}, true, "-9223372036854775808"},
    {3, {SN_KIND_FLOAT, {.real = -0x1p63}}, true, "-9.223372036854776e+18"},
    {4, {SN_KIND_INT, {.integer = -1}}, true, "-1"},
    {5, {SN_KIND_FLOAT, {.real = -0.5}}, true, "-0.5"},
    {6, {SN_KIND_FLOAT, {.real = -0.0}}, false, "-0.0"},
    {6, {SN_KIND_INT, {.integer = 0}}, false, "0"},
    {6, {SN_KIND_FLOAT, {.real = 0.0}}, false, "0.0"},
    {6, {SN_KIND_BOOL, {.boolean = false}}, false, "False"},
    {7, {SN_KIND_BOOL, {.boolean = true}}, true, "True"},
    {7, {SN_KIND_INT, {.integer = 1}}, true, "1"},
    {7, {SN_KIND_FLOAT, {.real = 1.0}}, true, "1.0"},
    {8, {SN_KIND_FLOAT, {.real = 1.5}}, true, "1.5"},
    {9, {SN_KIND_FLOAT, {.real = 0x1p53}}, true, "9007199254740992.0"},
    {9, {SN_KIND_INT, {.integer = INT64_C(1) << 53}}, true, "9007199254740992"},
    {10, {SN_KIND_INT, {.integer = (INT64_C(1) << 53) + 1}}, true, "9007199254740993"},
    {11, {SN_KIND_INT, {.integer = INT64_MAX}}, true, "9223372036854775807"},
    {12, {SN_KIND_FLOAT, {.real = 0x1p63}}, true, "9.223372036854776e+18"},
    {13, {SN_KIND_FLOAT, {.real = INFINITY}}, true, "inf"},
    {14, {SN_KIND_TEXT, {.text = ""}}, false, "''"},
    {15, {SN_KIND_TEXT, {.text = "1"}}, true, "'1'"},
    {16, {SN_KIND_TEXT, {.text = "a\"\t"}}, true, "'a\"\\t'"},
    {17, {SN_KIND_TEXT, {.text = "it's"}}, true, "\"it's\""},
    {18, {SN_KIND_TEXT, {.text = "z'\"\\\x01"}}, true, "'z\\'\"\\\\\\x01'"},
    {19, {SN_KIND_TEXT, {.text = "\u00e9"}}, true, "'\u00e9'"},
    {20, {SN_KIND_TUPLE, {.tuple = {NULL, 0}}}, false, "()"},
    {21, {SN_KIND_TUPLE, {.tuple = {one_two, 1}}}, true, "(1,)"},
    {22, {SN_KIND_TUPLE, {.tuple = {one_real, 2}}}, true, "(1.0, True)"},
    {23, {SN_KIND_TUPLE, {.tuple = {one_two, 2}}}, true, "(1, 2)"},
    {24, {SN_KIND_TUPLE, {.tuple = {one_text, 2}}}, true, "(1, 'a')"},
};

static int sign(int x)
{
    return (x > 0) - (x < 0);
}

static void all_pairs_agree_with_the_table(void **state)
{
    const struct hash_key key = hash_key_new(NULL);

    (void)state;
    for (size_t i = 0; i < COUNT(values); i++)
        for (size_t j = 0; j < COUNT(values); j++) {
            const sn_value *const x = &values[i].value, *const y = &values[j].value;
            const int              order = sign(values[i].rank - values[j].rank);
            const enum value_order compared = value_compare(x, y);

            assert_int_equal(sn_value_equal(x, y), order == 0);
            assert_int_equal(value_compare_any(x, y), order);
            if (compared != VALUE_NO_ORDER) assert_int_equal(compared, order);
            if (order == 0) assert_int_equal(value_hash(&key, x), value_hash(&key, y));
            assert_int_equal(sn_value_same(x, y), i == j);
        }
}

static void kinds_without_an_order_have_none(void **state)
{
    const sn_value nan = {SN_KIND_FLOAT, {.real = NAN}};
    const sn_value none = {.kind = SN_KIND_NULL}, one = one_two[0], text = one_text[1];
    const sn_value mixed = {SN_KIND_TUPLE, {.tuple = {one_text, 2}}};
    const sn_value pair = {SN_KIND_TUPLE, {.tuple = {one_two, 2}}};

    (void)state;
    assert_int_equal(value_compare(&one, &text), VALUE_NO_ORDER);
    assert_int_equal(value_compare(&none, &none), VALUE_NO_ORDER);
    assert_int_equal(value_compare(&pair, &one), VALUE_NO_ORDER);
    assert_int_equal(value_compare(&pair, &mixed), VALUE_NO_ORDER);
    assert_int_equal(value_compare(&nan, &one), VALUE_UNORDERED);
    assert_int_equal(value_compare(&one, &nan), VALUE_UNORDERED);
    assert_false(sn_value_equal(&nan, &nan));
    assert_true(sn_value_same(&nan, &nan));
}

static void values_have_truth_text_and_copies(void **state)
{
    sn_arena *mem = sn_arena_create();

    (void)state;
    for (size_t i = 0; i < COUNT(values); i++) {
        sn_value copy = {.kind = SN_KIND_NULL};
        char     text[64];

        assert_int_equal(value_truth(&values[i].value), values[i].truth);
        assert_string_equal(sn_value_text(&values[i].value, text, sizeof text), values[i].text);
        assert_true(value_copy(mem, &values[i].value, &copy));
        assert_true(sn_value_same(&copy, &values[i].value));
        assert_int_equal(value_size(&copy), value_size(&values[i].value));
    }
    sn_arena_free(mem);
}

/* Texts are cut between characters, and always end. */
static void text_is_cut_to_its_buffer(void **state)
{
    const sn_value v = {SN_KIND_TEXT, {.text = "a\u00e9\u00e9"}}; /* 'a\u00e9\u00e9' has 7 bytes */
    static const char *const cut[] = {
        "", "'", "'a", "'a", "'a\u00e9", "'a\u00e9", "'a\u00e9\u00e9", "'a\u00e9\u00e9'"};
    char buf[16];

    (void)state;
    memset(buf, '#', sizeof buf);
    sn_value_text(&v, buf, 0);
    assert_int_equal(buf[0], '#');
    for (size_t n = 0; n < COUNT(cut); n++) {
        memset(buf, '#', sizeof buf);
        assert_string_equal(sn_value_text(&v, buf, n + 1), cut[n]);
        assert_int_equal(buf[n + 1], '#');
    }
}

static void lists_end_after_ten(void **state)
{
    sn_value item[12];
    char     buf[100];

    (void)state;
    for (size_t i = 0; i < COUNT(item); i++)
        item[i] = (sn_value){SN_KIND_INT, {.integer = (int64_t)i}};
    assert_string_equal(value_list(item, 0, buf, sizeof buf), "");
    assert_string_equal(value_list(item, 3, buf, sizeof buf), "0, 1, 2");
    assert_string_equal(value_list(item, 10, buf, sizeof buf), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9");
    assert_string_equal(value_list(item, 12, buf, sizeof buf),
                        "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more");
}

static void integers_are_ints_and_bools(void **state)
{
    int64_t i = 9;

    (void)state;
    assert_true(sn_value_int(&one_two[1], &i));
    assert_int_equal(i, 2);
    assert_true(sn_value_int(&one_real[1], &i));
    assert_int_equal(i, 1);
    assert_false(sn_value_int(&one_real[0], &i)); /* 1.0 is a float */
    assert_int_equal(i, 1);
}

/* ---- numbers -------------------------------------------------------------------------- */

/* q b + r = a, r between 0 and b: what floor division promises. */
static void integer_division_keeps_its_promise(void **state)
{
    static const int64_t edge[] = {INT64_MIN, INT64_MIN + 1, -7,       -2, -1, 0, 1, 2, 7,
                                   10,        INT64_MAX - 1, INT64_MAX};

    (void)state;
    for (size_t i = 0; i < COUNT(edge); i++)
        for (size_t j = 0; j < COUNT(edge); j++) {
            const int64_t a = edge[i], b = edge[j];
            int64_t       q = 0, r = 0, rest = 0;
            double        ratio;
            const char   *fault = number_int_divmod(a, b, &q, &r);

            if (b == 0) {
                assert_string_equal(fault, "division by zero");
                assert_non_null(number_int_mod(a, b, &rest));
                assert_non_null(number_int_ratio(a, b, &ratio));
                continue;
            }
            assert_null(number_int_mod(a, b, &rest));
            assert_null(number_int_ratio(a, b, &ratio));
            assert_true(fabs(ratio - (double)((long double)a / b)) <= fabs(ratio) * 0x1p-52);
            if (a == INT64_MIN && b == -1) {
                assert_non_null(strstr(fault, "too large"));
                assert_int_equal(rest, 0);
                continue;
            }
            assert_null(fault);
            assert_true((__int128)q * b + r == a);
            assert_int_equal(r, rest);
            assert_true(b > 0 ? r >= 0 && r < b : r <= 0 && r > b);
        }
}

static const struct {
    double  x;
    int64_t digits;
    double  rounded; /* NaN: refused */
} roundings[] = {
    {2.675, 2, 2.67},      {0.5, 0, 0.0},         {1.5, 0, 2.0},           {-2.5, 0, -2.0},
    {25.0, -1, 20.0},      {35.0, -1, 40.0},      {9.995, 2, 9.99},        {99.96, 1, 100.0},
    {0.06, 1, 0.1},        {0.05, 1, 0.1},        {0.04, 1, 0.0},          {4.0, -1, 0.0},
    {5.0, -1, 0.0},        {6.0, -1, 10.0},       {1e300, -300, 1e300},    {1e22, 5, 1e22},
    {5e-324, 323, 0.0},    {5e-324, 324, 5e-324}, {1e308, -309, 0.0},      {1.7e308, -308, NAN},
    {1.1, INT64_MAX, 1.1}, {1.1, INT64_MIN, 0.0}, {INFINITY, 2, INFINITY},
};

static void rounding_is_decimal_and_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(roundings); i++) {
        double      got = -1;
        const char *fault = number_real_round(roundings[i].x, roundings[i].digits, &got);

        if (isnan(roundings[i].rounded)) {
            assert_non_null(fault);
            assert_true(got == -1); /* results on success only */
            continue;
        }
        assert_null(fault);
        if (got != roundings[i].rounded) fail_msg("rounding row %zu gives %.17g", i, got);
    }
}

static void a_copy_may_run_out_of_memory(void **state)
{
    sn_arena *mem = sn_arena_create();
    sn_value  v = {SN_KIND_TUPLE, {.tuple = {one_text, 2}}}, copy = {.kind = SN_KIND_NULL};

    (void)state;
    sn_arena_free(mem);
    mem = sn_arena_create();
    alloc_fail_at(1);
    while (value_copy(mem, &v, &copy))
        ; /* until the arena needs its next block */
    assert_true(alloc_failed());
    alloc_fail_at(0);
    sn_arena_free(mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_pairs_agree_with_the_table),
        cmocka_unit_test(kinds_without_an_order_have_none),
        cmocka_unit_test(values_have_truth_text_and_copies),
        cmocka_unit_test(text_is_cut_to_its_buffer),
        cmocka_unit_test(lists_end_after_ten),
        cmocka_unit_test(integers_are_ints_and_bools),
        cmocka_unit_test(integer_division_keeps_its_promise),
        cmocka_unit_test(rounding_is_decimal_and_exact),
        cmocka_unit_test(a_copy_may_run_out_of_memory),
    };

    return cmocka_run_group_tests_name("value", tests, NULL, NULL);
}
