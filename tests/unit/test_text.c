/* text, numbers, names and JSON: what is written reads back, and what is wrong is
 * said in one sentence with its place. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "support/alloc.h"

/* ---- numbers: what repr() of Python prints ---- */

static const struct {
    double      value;
    const char *text;
} reals[] = {
    {2.0, "2.0"},
    {-0.0, "-0.0"},
    {0.1, "0.1"},
    {1e-5, "1e-05"},
    {0.0001, "0.0001"},
    {0.00012345, "0.00012345"},
    {-2.5, "-2.5"},
    {100.0, "100.0"},
    {123456.789, "123456.789"},
    {1e15, "1000000000000000.0"},
    {9999999999999998.0, "9999999999999998.0"},
    {1e16, "1e+16"},
    {1.5e300, "1.5e+300"},
    {1.7976931348623157e308, "1.7976931348623157e+308"},
    {5e-324, "5e-324"},
    {0x1p-44, "5.684341886080802e-14"}, /* the nearest 16 digits do not read back */
    {1.0 / 3, "0.3333333333333333"},
    {INFINITY, "inf"},
    {-INFINITY, "-inf"},
    {NAN, "nan"},
};

static void reals_print_as_in_python(void **state)
{
    char buf[REAL_TEXT_BYTES];

    (void)state;
    for (size_t i = 0; i < COUNT(reals); i++)
        assert_string_equal(real_text(reals[i].value, buf), reals[i].text);
}

static void reals_read_back(void **state)
{
    char   buf[REAL_TEXT_BYTES];
    sn_rng rng;

    (void)state;
    sn_rng_seed(&rng, 1);
    for (int i = 0; i < 20000; i++) {
        const uint64_t bits = sn_rng_next(&rng);
        double         v;

        memcpy(&v, &bits, sizeof v);
        if (isfinite(v)) assert_true(strtod(real_text(v, buf), NULL) == v);
        if (isfinite(v)) assert_true(strtod(real_exact(v, buf), NULL) == v);
    }
}

/* ---- values as JSON ---- */

#define INT(i)                                                                                     \
    {                                                                                              \
        SN_KIND_INT,                                                                               \
        {                                                                                          \
            .integer = (i)                                                                         \
        }                                                                                          \
    }
#define REAL(x)                                                                                    \
    {                                                                                              \
        SN_KIND_FLOAT,                                                                             \
        {                                                                                          \
            .real = (x)                                                                            \
        }                                                                                          \
    }
#define TEXT(t)                                                                                    \
    {                                                                                              \
        SN_KIND_TEXT,                                                                              \
        {                                                                                          \
            .text = (t)                                                                            \
        }                                                                                          \
    }
static const sn_value items[] = {INT(3), REAL(3.0), TEXT("3")};

static const struct {
    sn_value    value;
    const char *json;
} values[] = {
    {{SN_KIND_NULL, {0}}, "null"},
    {{SN_KIND_BOOL, {.boolean = true}}, "true"},
    {INT(INT64_MIN), "-9223372036854775808"},
    {REAL(2.0), "2.0"},
    {REAL(INFINITY), "null"},
    {TEXT("plain"), "\"plain\""},
    {TEXT("a\"b\\c\n\t\x01"), "\"a\\\"b\\\\c\\n\\t\\u0001\""},
    {TEXT("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"), "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\""},
    {TEXT("\xff|\xc3|\xed\xa0\x80|\xc0\x80"),
     "\"\\ufffd|\\ufffd|\\ufffd\\ufffd\\ufffd|\\ufffd\\ufffd\""},
    {{SN_KIND_TUPLE, {.tuple = {items, 3}}}, "[3, 3.0, \"3\"]"},
    {{SN_KIND_TUPLE, {.tuple = {NULL, 0}}}, "[]"},
};
#undef INT
#undef REAL
#undef TEXT

static void values_print_as_json(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(values); i++) {
        struct text t = {0};

        text_json_value(&t, &values[i].value);
        assert_false(t.failed);
        assert_string_equal(t.at, values[i].json);
        free(t.at);
    }
}

static int append(void *cls, const void *bytes, size_t n_bytes)
{
    text_add(cls, bytes, n_bytes);
    return 0;
}

static int refuse(void *cls, const void *bytes, size_t n_bytes)
{
    (void)cls, (void)bytes, (void)n_bytes;
    return -1;
}

static void text_grows_and_flushes(void **state)
{
    struct text   got = {0}, t = {0};
    const sn_sink sink = {append, &got}, wall = {refuse, NULL};
    sn_error      err = {0};

    (void)state;
    for (int i = 0; i < 1000; i++)
        text_printf(&t, "%d,", i);
    assert_int_equal(t.n, strlen(t.at));
    assert_int_equal(text_flush(&t, &sink, &err), SN_OK);
    assert_null(t.at);
    assert_int_equal(got.n, 3890);
    free(got.at);

    text_printf(&t, "x");
    assert_int_equal(text_flush(&t, &wall, &err), SN_E_IO);
    assert_null(t.at);
}

static void text_remembers_that_memory_ran_out(void **state)
{
    struct text   got = {0}, t = {0};
    const sn_sink sink = {append, &got};
    sn_error      err = {0};

    (void)state;
    text_printf(&t, "kept");
    alloc_fail_at(1);
    text_printf(&t, "%0200d", 0);
    text_printf(&t, "later");
    assert_true(t.failed);
    assert_int_equal(text_flush(&t, &sink, &err), SN_E_NO_MEMORY);
    assert_int_equal(got.n, 0);
    alloc_fail_at(0);
}

/* ---- names ---- */

static void close_names_are_found(void **state)
{
    static const char *const known[] = {"kernel_size", "stride", "padding", "bias", "dim"};
    static const struct {
        const char *name, *closest;
    } row[] = {
        {"kernel_sise", "kernel_size"},
        {"kernelsize", "kernel_size"},
        {"pading", "padding"},
        {"paddign", "padding"},
        {"strid", "stride"},
        {"dmi", "dim"},
        {"bais", "bias"},
        {"groups", NULL},
        {"a", NULL},
        {"", NULL},
        {"kernel", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(row); i++) {
        const char *got = names_closest(row[i].name, known, COUNT(known));

        if (row[i].closest)
            assert_string_equal(got, row[i].closest);
        else
            assert_null(got);
    }
}

static void long_lists_are_cut(void **state)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"};
    char                     buf[128];

    (void)state;
    assert_string_equal(names_list(names, 3, buf, sizeof buf), "a, b, c");
    assert_string_equal(names_list(names, 10, buf, sizeof buf), "a, b, c, d, e, f, g, h, i, j");
    assert_string_equal(names_list(names, 12, buf, sizeof buf),
                        "a, b, c, d, e, f, g, h, i, j and 2 more");
    assert_string_equal(names_list(names, 12, buf, 48), "a, b, c, d, e, f and 6 more");
    assert_string_equal(names_list(names, 0, buf, sizeof buf), "");
}

/* ---- reading JSON ---- */

static const struct {
    const char *name, *json, *text;
} broken[] = {
    {"nothing", "", "the document is empty"},
    {"blanks", " \n\t", "the document is empty"},
    {"an end too early", "{\"a\":\n [1,", "line 2, column 4: ']' expected near end of file"},
    {"two documents", "{} {}", "line 1, column 4: end of file expected near '{'"},
    {"a member twice", "{\"a\": 1, \"a\": 2}",
     "line 1, column 12: duplicate object key near '\"a\"'"},
    {"no number", "[NaN]", "line 1, column 4: invalid token near 'NaN'"},
    {"a large integer", "[9223372036854775808]",
     "line 1, column 20: too big integer near '9223372036854775808'"},
    {"a zero byte", "[\"\\u0000\"]", "line 1, column 9: a text must not contain \\u0000"},
    {"no UTF-8", "[\"\xff\"]", "line 1, column 2: unable to decode byte 0xff near '\"'"},
};

static void broken_json_names_line_and_column(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(broken); i++) {
        sn_error err = {0};
        json_t  *root = NULL;

        assert_int_equal(json_parse(broken[i].json, strlen(broken[i].json), "body", &root, &err),
                         SN_E_SYNTAX);
        assert_null(root);
        assert_string_equal(err.where, "body");
        assert_string_equal(err.text, broken[i].text);
    }
}

static void depth_is_bounded(void **state)
{
    char     text[2 * JSON_MAX_DEPTH + 2];
    sn_error err = {0};
    json_t  *root = NULL;

    (void)state;
    memset(text, '[', JSON_MAX_DEPTH);
    memset(text + JSON_MAX_DEPTH, ']', JSON_MAX_DEPTH);
    assert_int_equal(json_parse(text, 2 * JSON_MAX_DEPTH, "", &root, &err), SN_OK);
    json_decref(root);
    root = NULL;
    memset(text, '[', JSON_MAX_DEPTH + 1);
    memset(text + JSON_MAX_DEPTH + 1, ']', JSON_MAX_DEPTH + 1);
    assert_int_equal(json_parse(text, sizeof text, "", &root, &err), SN_E_SYNTAX);
    assert_string_equal(err.text, "line 1: arrays and objects are nested more than 128 deep");
    err = (sn_error){0};
    memset(text, '[', sizeof text); /* brackets in a text do not count */
    text[0] = text[sizeof text - 1] = '"';
    assert_int_equal(json_parse(text, sizeof text, "", &root, &err), SN_OK);
    json_decref(root);
}

static json_t *parse(const char *text)
{
    sn_error err = {0};
    json_t  *root = NULL;

    if (json_parse(text, strlen(text), "", &root, &err) != SN_OK) fail_msg("%s", err.text);
    return root;
}

static void members_are_read_with_their_place(void **state)
{
    static const char *const allowed[] = {"name", "count", "rate", "on"};
    json_t *const root = parse("{\"name\": \"x\", \"count\": 7, \"rate\": 2, \"on\": true}");
    const json_t *v = NULL;
    const char   *name = "default", *absent = "default";
    sn_error      err = {0};
    int64_t       count = 0;
    double        rate = 0;
    bool          on = false;

    (void)state;
    assert_int_equal(json_check_members(root, "", allowed, COUNT(allowed), &err), SN_OK);
    assert_int_equal(json_get_text(root, "name", "", &name, &err), SN_OK);
    assert_int_equal(json_get_text(root, "label", "", &absent, &err), SN_OK);
    assert_int_equal(json_get_int(root, "count", "", 0, 7, &count, &err), SN_OK);
    assert_int_equal(json_get_real(root, "rate", "", &rate, &err), SN_OK);
    assert_int_equal(json_get_bool(root, "on", "", &on, &err), SN_OK);
    assert_string_equal(name, "x");
    assert_string_equal(absent, "default");
    assert_true(count == 7 && rate == 2 && on);

    assert_int_equal(json_get_int(root, "count", "job[2]", 8, 9, &count, &err), SN_E_INVALID);
    assert_string_equal(err.where, "job[2].count");
    assert_string_equal(err.text, "7 is not in 8..9");
    err = (sn_error){0};
    assert_int_equal(json_get_int(root, "name", "", 0, 9, &count, &err), SN_E_INVALID);
    assert_string_equal(err.where, "name");
    assert_string_equal(err.text, "expected an integer, found the text \"x\"");
    err = (sn_error){0};
    assert_int_equal(json_get_array(root, "rate", "", &v, &err), SN_E_INVALID);
    assert_string_equal(err.text, "expected an array, found the number 2");
    err = (sn_error){0};
    assert_int_equal(json_get_object(root, "on", "", &v, &err), SN_E_INVALID);
    assert_string_equal(err.text, "expected an object, found true");
    err = (sn_error){0};
    assert_int_equal(json_need(root, "seed", "job", &v, &err), SN_E_INVALID);
    assert_string_equal(err.where, "job");
    assert_string_equal(err.text, "member \"seed\" is missing");
    assert_null(v);
    err = (sn_error){0};
    assert_int_equal(json_check_members(root, "job", allowed, 3, &err), SN_E_INVALID);
    assert_string_equal(err.text, "there is no member \"on\"; allowed are name, count, rate");
    json_decref(root);

    err = (sn_error){0};
    json_t *const slip = parse("{\"cuont\": 1}");
    assert_int_equal(json_check_members(slip, "", allowed, COUNT(allowed), &err), SN_E_INVALID);
    assert_string_equal(err.text, "there is no member \"cuont\"; did you mean \"count\"?");
    json_decref(slip);
}

/* A value read and written again is the same document. */
static void values_survive_json(void **state)
{
    static const char text[] = "[1, 1.0, true, false, null, \"a\\\"b\", [], [[2, -1e-07]]]";
    json_t *const     root = parse(text);
    sn_arena         *mem = sn_arena_create();
    struct text       t = {0};
    sn_error          err = {0};
    sn_value          v;

    (void)state;
    assert_int_equal(json_value(root, "", mem, &v, &err), SN_OK);
    text_json_value(&t, &v);
    assert_string_equal(t.at, text);
    free(t.at);
    json_decref(root);

    json_t *const nested = parse("[1, [2, {\"a\": 1}]]");
    assert_int_equal(json_value(nested, "choices.k", mem, &v, &err), SN_E_INVALID);
    assert_string_equal(err.where, "choices.k[1][1]");
    json_decref(nested);
    sn_arena_free(mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reals_print_as_in_python),
        cmocka_unit_test(reals_read_back),
        cmocka_unit_test(values_print_as_json),
        cmocka_unit_test(text_grows_and_flushes),
        cmocka_unit_test(text_remembers_that_memory_ran_out),
        cmocka_unit_test(close_names_are_found),
        cmocka_unit_test(long_lists_are_cut),
        cmocka_unit_test(broken_json_names_line_and_column),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(members_are_read_with_their_place),
        cmocka_unit_test(values_survive_json),
    };

    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
