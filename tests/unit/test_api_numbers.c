/* number and tensor_json: what is written reads back as the same bits, in as few
 * digits as there are; what is read is what the C library would read. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/number.h"
#include "http/tensor_json.h"
#include "supernet/supernet.h"

#define N_ROWS(rows) (sizeof(rows) / sizeof(rows)[0])

static const struct {
    float       value;
    const char *text;
} floats[] = {
    {0.0f, "0"},
    {-0.0f, "-0.0"},
    {1.0f, "1"},
    {-2.5f, "-2.5"},
    {0.1f, "0.1"},
    {1.0f / 3, "0.33333334"},
    {100.0f, "100"},
    {16777216.0f, "16777216"},
    {0.001f, "0.001"},
    {0.00001f, "0.00001"},
    {0.000001f, "1e-06"},
    {1.5e-7f, "1.5e-07"},
    {123456789.0f, "123456790"},
    {1e15f, "1000000000000000"},
    {1e16f, "1e+16"},
    {FLT_MAX, "3.4028235e+38"},
    {9.999999e9f, "9999999000"},
    {9.9999994e-10f, "1e-09"},
    {0x1p-149f, "1e-45"},
};

static uint32_t bits(float x)
{
    uint32_t u;

    memcpy(&u, &x, sizeof u);
    return u;
}

/* As a JSON reader gets it: a double, made a float. */
static float read_back(const char *text)
{
    return (float)strtod(text, NULL);
}

static void floats_are_short(void **state)
{
    char text[API_NUMBER_BYTES];

    (void)state;
    for (size_t i = 0; i < N_ROWS(floats); i++) {
        const size_t n = api_number_float(text, floats[i].value);

        assert_int_equal(n, strlen(text));
        assert_int_equal(bits(read_back(text)), bits(floats[i].value));
        assert_string_equal(text, floats[i].text);
    }
}

/* Digits without the zeros around them: 2 for 0.0012 and for 1200. */
static int n_significant(const char *text)
{
    int n = 0, up_to_last = 0;

    for (; *text && *text != 'e'; text++) {
        if (*text < '0' || *text > '9' || (n == 0 && *text == '0')) continue;
        n++;
        if (*text != '0') up_to_last = n;
    }
    return up_to_last;
}

/* No shorter decimal reads back: the fast path finds as few digits as the slow one. */
static void random_floats_read_back(void **state)
{
    sn_rng rng;

    (void)state;
    sn_rng_seed(&rng, 1);
    for (int i = 0; i < 200000; i++) {
        /* all bit patterns, and the sizes that networks put out */
        const uint32_t u = (uint32_t)sn_rng_next(&rng);
        float          x = (float)(sn_rng_unit(&rng) * 20 - 10);
        char           text[API_NUMBER_BYTES], shorter[64];
        size_t         n;
        int            n_digits;

        if (i % 2) memcpy(&x, &u, sizeof x);
        if (!isfinite(x) || x == 0) continue;
        n = api_number_float(text, x);
        assert_int_equal(n, strlen(text));
        if (bits(read_back(text)) != bits(x)) fail_msg("%a is written as %s", (double)x, text);
        n_digits = n_significant(text);
        if (n_digits == 1) continue;
        snprintf(shorter, sizeof shorter, "%.*e", n_digits - 2, (double)x);
        if (bits(read_back(shorter)) == bits(x)) fail_msg("%s is longer than %s", text, shorter);
    }
}

static void random_doubles_read_back(void **state)
{
    sn_rng rng;

    (void)state;
    sn_rng_seed(&rng, 2);
    for (int i = 0; i < 50000; i++) {
        const uint64_t u = sn_rng_next(&rng);
        char           text[API_NUMBER_BYTES];
        double         x;

        memcpy(&x, &u, sizeof x);
        if (!isfinite(x)) continue;
        api_number_double(text, x);
        assert_true(strtod(text, NULL) == x);
    }
}

static const char *const numbers[] = {
    "0",
    "-0",
    "1",
    "-1.5",
    "0.1",
    "1e22",
    "1e23",
    "123456789012345678901234567890",
    "1E+2",
    "1e-22",
    "1e-23",
    "5e-324",
    "1e400",
    "-1e400",
    "0.000000000000000000000000001",
    "9007199254740993",
    "9007199254740993.0",
    "1.7976931348623157e308",
    "2.2250738585072011e-308",
    "0.1e1",
    "100e-2",
    "12345678901234567890",
    "1234567890123456789",
    "0e99999",
    "0.30000000000000004",
    "8.41",
    "1e0000000000000000001",
    "179769313486231580793e289",
};

static void numbers_are_what_libc_reads(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ROWS(numbers); i++) {
        char        text[64];
        const char *end;
        double      got, want = strtod(numbers[i], NULL);
        bool        is_integer;

        snprintf(text, sizeof text, "%s,", numbers[i]);
        end = api_number_scan(text, text + strlen(text), &is_integer);
        if (!end) fail_msg("%s is refused", numbers[i]);
        assert_ptr_equal(end, text + strlen(numbers[i]));
        assert_int_equal(is_integer, strpbrk(numbers[i], ".eE") == NULL);
        got = api_number_parse(text, end);
        if (memcmp(&got, &want, sizeof got) != 0)
            fail_msg("%s is read as %.17g, not %.17g", numbers[i], got, want);
    }
}

static void random_numbers_are_what_libc_reads(void **state)
{
    sn_rng rng;

    (void)state;
    sn_rng_seed(&rng, 3);
    for (int i = 0; i < 100000; i++) {
        char        text[64];
        const char *end;
        bool        is_integer;

        snprintf(text, sizeof text, "%s%llu.%llue%d]", i % 2 ? "-" : "",
                 (unsigned long long)sn_rng_below(&rng, 1000000),
                 (unsigned long long)sn_rng_next(&rng) >> sn_rng_below(&rng, 64),
                 (int)sn_rng_below(&rng, 60) - 30);
        end = api_number_scan(text, text + strlen(text), &is_integer);
        assert_non_null(end);
        if (api_number_parse(text, end) != strtod(text, NULL)) fail_msg("%s", text);
    }
}

static const char *const no_numbers[] = {"",    "-",    "+1,",  ".5,",   "1.,",  "01,",
                                         "1e,", "1e+,", "--1,", "0x10,", "NaN,", "1",
                                         "1.5", "1e5",  "1a,",  "1_0,",  "inf,", "1 2"};

static void what_is_no_json_number_is_refused(void **state)
{
    bool is_integer;

    (void)state;
    for (size_t i = 0; i < N_ROWS(no_numbers); i++) {
        const char *end = no_numbers[i] + strlen(no_numbers[i]);

        /* "1 2" is a number and then something else, which is for others to say */
        if (strcmp(no_numbers[i], "1 2") == 0)
            assert_non_null(api_number_scan(no_numbers[i], end, &is_integer));
        else if (api_number_scan(no_numbers[i], end, &is_integer))
            fail_msg("'%s' passes for a number", no_numbers[i]);
    }
}

/* ---- tensors ---- */

static const struct {
    const char       *name;
    sn_dtype          dtype;
    const char       *text; /* for shape [N, 2] */
    const char       *back; /* how it is written; NULL: refused */
    enum problem_code code;
} tensors[] = {
    {"floats", SN_F32, "[[1, 2.50], [-3e0, 0.1]]", "[[1, 2.5], [-3, 0.1]]", P_OK},
    {"space anywhere", SN_F32, " [ [1\n,\t2 ]\r\n] ", "[[1, 2]]", P_OK},
    {"doubles", SN_F64, "[[0.1, 1e300]]", "[[0.1, 1e+300]]", P_OK},
    {"64-bit integers", SN_I64, "[[9223372036854775807, -9223372036854775808]]",
     "[[9223372036854775807, -9223372036854775808]]", P_OK},
    {"an integer too large", SN_I64, "[[9223372036854775808, 0]]", NULL, P_DTYPE},
    {"32-bit integers", SN_I32, "[[2147483647, -2147483648]]", "[[2147483647, -2147483648]]", P_OK},
    {"beyond 32 bits", SN_I32, "[[2147483648, 0]]", NULL, P_DTYPE},
    {"16-bit integers", SN_I16, "[[32767, -32768]]", "[[32767, -32768]]", P_OK},
    {"beyond 16 bits", SN_I16, "[[32768, 0]]", NULL, P_DTYPE},
    {"8-bit integers", SN_I8, "[[127, -128]]", "[[127, -128]]", P_OK},
    {"beyond 8 bits", SN_I8, "[[0, -129]]", NULL, P_DTYPE},
    {"bytes", SN_U8, "[[0, 255]]", "[[0, 255]]", P_OK},
    {"a negative byte", SN_U8, "[[0, -1]]", NULL, P_DTYPE},
    {"a fraction for an int", SN_U8, "[[0, 1.0]]", NULL, P_DTYPE},
    {"booleans", SN_BOOL, "[[true, false]]", "[[true, false]]", P_OK},
    {"a number for a boolean", SN_BOOL, "[[true, 0]]", NULL, P_DTYPE},
    {"half a word", SN_BOOL, "[[tru, false]]", NULL, P_SYNTAX},
    {"a word and more", SN_BOOL, "[[true1, false]]", NULL, P_SYNTAX},
    {"half of null", SN_F32, "[[nul, 0]]", NULL, P_SYNTAX},
    {"no number", SN_F64, "[[nan, 0]]", NULL, P_SYNTAX},
    {"zeros keep their signs", SN_F32, "[[-0.0, -0]]", "[[-0.0, -0.0]]", P_OK},
    {"also as doubles", SN_F64, "[[-0.0, -0e5]]", "[[-0.0, -0.0]]", P_OK},
    {"a boolean for a number", SN_F32, "[[true, 0]]", NULL, P_DTYPE},
    {"no half floats in JSON", SN_F16, "[[1, 2]]", NULL, P_DTYPE},
    {"ragged", SN_F32, "[[1, 2], [3]]", NULL, P_SHAPE},
    {"ragged in the first", SN_F32, "[[1], [2, 3]]", NULL, P_SHAPE},
    {"infinite", SN_F32, "[[1, 3.5e38]]", NULL, P_DTYPE},
    {"infinite as a double", SN_F64, "[[1, 1e309]]", NULL, P_DTYPE},
    {"the largest float", SN_F32, "[[3.4028235e38, 0]]", "[[3.4028235e+38, 0]]", P_OK},
    {"no end", SN_F32, "[[1, 2]", NULL, P_SYNTAX},
    {"no comma", SN_F32, "[[1 2]]", NULL, P_SYNTAX},
    {"too many, then no end", SN_F32, "[[1, 2, 3", NULL, P_SHAPE},
    {"too many, no end of text", SN_F32, "[[1, 2, \"", NULL, P_SYNTAX},
};

static void tensors_go_in_and_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ROWS(tensors); i++) {
        const sn_port port = {
            .name = "x", .desc = {tensors[i].dtype, {2, {-1, 2}}}, .symbol = {"N"}};
        const char        *text = tensors[i].text;
        struct json_cursor c = {.start = text, .at = text, .end = text + strlen(text)};
        struct problem     p = {0};
        struct api_buf     b = {0}, data = {0};
        sn_tensor          t;

        if (api_tensor_json_read(&c, &port, "x", &data, &t, &p) != tensors[i].code)
            fail_msg("%s: %s: %s", tensors[i].name, p.where, p.text);
        if (p.code != P_OK) {
            api_buf_fini(&data);
            continue;
        }
        assert_int_equal(api_tensor_json_write(&b, &t, "x", &p), P_OK);
        api_buf_byte(&b, '\0');
        assert_string_equal(b.at, tensors[i].back);
        api_buf_fini(&b);
        api_buf_fini(&data);
    }
}

static void a_scalar_is_the_element_itself(void **state)
{
    const sn_port      port = {.name = "t", .desc = {SN_F32, {0}}};
    const char        *text = " 2.5,";
    struct json_cursor c = {.start = text, .at = text, .end = text + strlen(text)};
    struct problem     p = {0};
    struct api_buf     b = {0}, data = {0};
    sn_tensor          t;

    (void)state;
    assert_int_equal(api_tensor_json_read(&c, &port, "t", &data, &t, &p), P_OK);
    assert_int_equal(api_tensor_json_write(&b, &t, "t", &p), P_OK);
    assert_int_equal(b.n, 3);
    assert_memory_equal(b.at, "2.5", 3);
    api_buf_fini(&b);
    api_buf_fini(&data);
}

static void halves_are_written_as_numbers(void **state)
{
    uint16_t       half[] = {0x3C00, 0xC100, 0x0001, 0x7BFF}, brain[] = {0x3F80, 0xC020};
    const sn_shape four = {1, {4}}, two = {1, {2}};
    sn_tensor h = sn_tensor_dense(SN_F16, &four, half), f = sn_tensor_dense(SN_BF16, &two, brain);
    struct api_buf b = {0};
    struct problem p = {0};

    (void)state;
    assert_int_equal(api_tensor_json_write(&b, &h, "h", &p), P_OK);
    assert_int_equal(api_tensor_json_write(&b, &f, "f", &p), P_OK);
    api_buf_byte(&b, '\0');
    assert_string_equal(b.at, "[1, -2.5, 5.9604645e-08, 65504][1, -2.5]");
    half[2] = 0x7C00;
    assert_int_equal(api_tensor_json_write(&b, &h, "h", &p), P_NOT_FINITE);
    assert_string_equal(p.where, "h[2]");
    api_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floats_are_short),
        cmocka_unit_test(random_floats_read_back),
        cmocka_unit_test(random_doubles_read_back),
        cmocka_unit_test(numbers_are_what_libc_reads),
        cmocka_unit_test(random_numbers_are_what_libc_reads),
        cmocka_unit_test(what_is_no_json_number_is_refused),
        cmocka_unit_test(tensors_go_in_and_out),
        cmocka_unit_test(a_scalar_is_the_element_itself),
        cmocka_unit_test(halves_are_written_as_numbers),
    };

    return cmocka_run_group_tests_name("api_numbers", tests, NULL, NULL);
}
