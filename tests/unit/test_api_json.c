/* JSON that is read where it is: what is taken, what is refused and what strings and numbers mean
 * is what a reader says that builds a tree (jansson), for hand-picked texts and for ten thousand
 * mutations of them; and the walk over a text finds what is in the tree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "http/json_cursor.h"

static const char *const texts[] = {
    "{}",
    "[]",
    "{\"a\": [1, -2.5e-3, true, false, null, \"x\"], \"b\": {\"c\": {}}}",
    " [ [ ] , { } , [ [ 0 ] ] ] \n",
    "\"\\u00e9\\u20ac\\ud83d\\ude00\\\\\\\"\\/\\b\\f\\n\\r\\t\"",
    "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"",
    "[0, -0, -0.0, 1e5, 1E+5, 12345678901234567, 1.7976931348623157e308]",
    "{\"a\": 1, \"b\": [{\"c\": \"d\"}, {\"e\": [\"f\", \"\"]}]}",
    "[1,2]]",
    "[1,2",
    "[1,]",
    "{\"a\":}",
    "{\"a\" 1}",
    "{1: 2}",
    "{\"a\": 1,}",
    "[01]",
    "[1.]",
    "[.5]",
    "[+1]",
    "[1e]",
    "[0x10]",
    "[NaN]",
    "[Infinity]",
    "[nul]",
    "[nullx]",
    "[truefalse]",
    "\"\\x\"",
    "\"\\u12\"",
    "\"\\ud800\"",
    "\"\\ud800\\u0041\"",
    "\"\\udc00\"",
    "\"\\u0000\"",
    "\"a\nb\"",
    "\"open",
    "\"\xC0\x80\"",
    "\"\xED\xA0\x80\"",
    "\"\xF4\x90\x80\x80\"",
    "\"\xE2\x82\"",
    "99999999999999999999",
    "-9223372036854775808",
    "[1e999]",
    "",
    " ",
    "{} {}",
    "7",
    "true",
    "]",
};

static void compare(json_t *tree, struct json_text t);

static void compare_members(json_t *tree, struct json_text t)
{
    struct json_walk w = api_json_walk(t);
    struct json_text name, value;

    while (api_json_member(&w, &name, &value)) {
        char   *key = malloc(api_json_room(name));
        json_t *there;

        assert_non_null(key);
        api_json_decode(name, key);
        there = json_object_get(tree, key);
        assert_non_null(there);
        assert_true(api_json_equals(name, key));
        /* of a name that is there twice the tree has the last one */
        if (api_json_count(t) == json_object_size(tree)) compare(there, value);
        free(key);
    }
}

static void compare(json_t *tree, struct json_text t)
{
    struct json_walk w = api_json_walk(t);
    struct json_text item;
    size_t           n = 0;
    int64_t          integer;
    char            *text;

    switch (json_typeof(tree)) {
    case JSON_OBJECT:
        assert_string_equal(api_json_kind(t), "an object");
        compare_members(tree, t);
        break;
    case JSON_ARRAY:
        assert_string_equal(api_json_kind(t), "an array");
        assert_int_equal(api_json_count(t), json_array_size(tree));
        while (api_json_item(&w, &item))
            compare(json_array_get(tree, n++), item);
        assert_int_equal(n, json_array_size(tree));
        break;
    case JSON_STRING:
        assert_string_equal(api_json_kind(t), "a string");
        assert_non_null(text = malloc(api_json_room(t)));
        api_json_decode(t, text);
        assert_string_equal(text, json_string_value(tree));
        assert_true(api_json_equals(t, json_string_value(tree)));
        assert_false(api_json_equals(t, "no such text"));
        free(text);
        break;
    case JSON_INTEGER:
        assert_true(api_json_integer(t, &integer));
        assert_int_equal(integer, json_integer_value(tree));
        break;
    case JSON_REAL:
        assert_false(api_json_integer(t, &integer));
        assert_true(api_json_real(t) == json_real_value(tree));
        break;
    default:
        assert_memory_equal(t.at,
                            json_is_true(tree)    ? "true"
                            : json_is_false(tree) ? "false"
                                                  : "null",
                            4);
    }
}

/* In memory of its own size: a read beyond it is found by the address sanitizer. */
static void check(const char *bytes, size_t n)
{
    char            *copy = malloc(n + 1);
    struct json_text t;
    struct problem   p = {0};
    json_t          *tree;
    bool             taken;

    assert_non_null(copy);
    memcpy(copy, bytes, n);
    copy[n] = '\0';
    tree = json_loadb(copy, n, JSON_DECODE_ANY, NULL);
    taken = api_json_read_all(copy, n, "text", NULL, &t, &p) == P_OK;
    if (taken != (tree != NULL))
        fail_msg("%.*s: %s%s", (int)n, copy, taken ? "taken" : "refused: ", p.text);
    if (taken) compare(tree, t);
    if (!taken) assert_true(p.code == P_SYNTAX || p.code == P_INVALID);
    json_decref(tree);
    free(copy);
}

static void hand_picked_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        check(texts[i], strlen(texts[i]));
}

static void mutations(void **state)
{
    static const char bytes[] = "{}[]\",:\\u0123.eE+-ntf \n\xC3\xA9\xED\x80";
    uint32_t          x = 1;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        const char *text = texts[(x >> 8) % (sizeof texts / sizeof texts[0])];
        char        buf[256];
        size_t      n = strlen(text);

        memcpy(buf, text, n);
        for (int k = 0; k < 1 + round % 3 && n > 0; k++) {
            const size_t at = (x = x * 1664525 + 1013904223, x >> 8) % n;
            const char   byte = bytes[(x = x * 1664525 + 1013904223, x >> 8) % (sizeof bytes - 1)];

            switch ((x = x * 1664525 + 1013904223, x >> 8) % 3) {
            case 0:
                buf[at] = byte;
                break;
            case 1:
                memmove(buf + at, buf + at + 1, --n - at);
                break;
            default:
                memmove(buf + at + 1, buf + at, n++ - at);
                buf[at] = byte;
            }
        }
        x = x * 1664525 + 1013904223;
        check(buf, n);
    }
}

static void depth_is_bounded(void **state)
{
    enum { N = 1 << 20 };
    char            *text = malloc(N + 1);
    struct json_text t;
    struct problem   p = {0};

    (void)state;
    assert_non_null(text);
    memset(text, '[', N);
    assert_int_equal(api_json_read_all(text, N, "text", NULL, &t, &p), P_INVALID);
    assert_non_null(strstr(p.text, "1024"));
    free(text);
}

/* Memory that jansson takes, by its own allocator. */
static size_t taken;

static void *count_malloc(size_t n)
{
    taken += n + 16;
    return malloc(n);
}

static void a_tree_is_no_larger_than_was_said(void **state)
{
    static const char *const parts[] = {"{}",         "[]",          "1",         "1.5",
                                        "\"abc\"",    "{\"a\": 1}",  "[1, 2, 3]", "null",
                                        "\"\\n\\n\"", "{\"\": [{}]}"};

    (void)state;
    json_set_alloc_funcs(count_malloc, free);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        for (size_t n = 1; n <= 4096; n *= 8) {
            const size_t     n_part = strlen(parts[i]);
            char            *text = malloc(n * (n_part + 1) + 2), *at = text;
            struct json_text t;
            struct problem   p = {0};
            json_t          *tree;

            assert_non_null(text);
            for (size_t k = 0; k < n; k++) {
                *at++ = k ? ',' : '[';
                memcpy(at, parts[i], n_part);
                at += n_part;
            }
            *at++ = ']';
            *at = '\0';
            assert_int_equal(api_json_read_all(text, (size_t)(at - text), "text", NULL, &t, &p),
                             P_OK);
            taken = 0;
            tree = json_loads(text, 0, NULL);
            if (taken > api_json_tree_bytes(t) + 1024)
                fail_msg("%zu of %s: %zu bytes, and %zu were said", n, parts[i], taken,
                         api_json_tree_bytes(t));
            json_decref(tree);
            free(text);
        }
    json_set_alloc_funcs(malloc, free);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hand_picked_texts),
        cmocka_unit_test(mutations),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(a_tree_is_no_larger_than_was_said),
    };

    return cmocka_run_group_tests_name("api_json", tests, NULL, NULL);
}
