/* media, url, lru: the small parts below the endpoints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/buf.h"
#include "http/media.h"
#include "http/url.h"
#include "http/words.h"
#include "resident/lru.h"
#include "supernet/supernet.h"

#define N_ROWS(rows) (sizeof(rows) / sizeof(rows)[0])

/* ---- media ---- */

static const struct {
    const char *type, *origin;
    enum media  media;
} types[] = {
    {NULL, NULL, MEDIA_JSON},
    {"", NULL, MEDIA_JSON},
    {"application/json", NULL, MEDIA_JSON},
    {"Application/JSON ; charset=utf-8", NULL, MEDIA_JSON},
    {"application/x-safetensors", NULL, MEDIA_SAFETENSORS},
    {"application/x-www-form-urlencoded", NULL, MEDIA_JSON},
    {"application/x-www-form-urlencoded", "http://a.test", MEDIA_OTHER},
    {"application/jso", NULL, MEDIA_OTHER},
    {"application/json5", NULL, MEDIA_OTHER},
    {"text/plain", NULL, MEDIA_OTHER},
    {";", NULL, MEDIA_OTHER},
};

static void content_types_are_told_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ROWS(types); i++) {
        const struct api_request req = {.content_type = types[i].type, .origin = types[i].origin};

        assert_int_equal(api_media_of(&req), types[i].media);
    }
}

/* What is chosen from JSON and safetensors, JSON offered first. */
static const struct {
    const char *accept;
    enum media  media;
} wishes[] = {
    {NULL, MEDIA_JSON},
    {"*/*", MEDIA_JSON},
    {"application/*", MEDIA_JSON},
    {"application/x-safetensors", MEDIA_SAFETENSORS},
    {"application/x-safetensors, */*;q=0.1", MEDIA_SAFETENSORS},
    {"application/json;q=0.5, application/x-safetensors;q=0.7", MEDIA_SAFETENSORS},
    {"application/json;q=0.5, application/x-safetensors;q=0.25", MEDIA_JSON},
    {"application/json;q=0, */*", MEDIA_SAFETENSORS},
    {"*/*;q=0", MEDIA_OTHER},
    {"text/html", MEDIA_OTHER},
    {"text/html, application/json ; charset=utf-8 ; q=0.001", MEDIA_JSON},
    {"application/json;q=0.000", MEDIA_OTHER},
    {"application/json;q=1.000", MEDIA_JSON},
    {",,, ,application/json,", MEDIA_JSON},
    {"application/x-safetensors;q=nonsense", MEDIA_SAFETENSORS},
    {"application", MEDIA_OTHER},
    {"application/", MEDIA_OTHER},
};

static void the_best_form_is_chosen(void **state)
{
    static const enum media offer[] = {MEDIA_JSON, MEDIA_SAFETENSORS};

    (void)state;
    for (size_t i = 0; i < N_ROWS(wishes); i++)
        if (api_media_negotiate(wishes[i].accept, offer, 2) != wishes[i].media)
            fail_msg("%s", wishes[i].accept);
}

/* ---- url ---- */

static const struct {
    const char *text, *decoded; /* NULL: malformed */
    bool        plus;
} escapes[] = {
    {"abc", "abc", false}, {"a%20b", "a b", false}, {"%41%4a%4A", "AJJ", false},
    {"a+b", "a+b", false}, {"a+b", "a b", true},    {"%c3%a9", "\xc3\xa9", false},
    {"%", NULL, false},    {"a%4", NULL, false},    {"%4g", NULL, false},
    {"%00", NULL, false},  {"%%41", NULL, false},
};

static void escapes_are_decoded(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ROWS(escapes); i++) {
        char to[32];

        assert_int_equal(
            api_url_decode(escapes[i].text, strlen(escapes[i].text), escapes[i].plus, to),
            escapes[i].decoded != NULL);
        assert_int_equal(api_url_is_valid(escapes[i].text), escapes[i].decoded != NULL);
        if (escapes[i].decoded) assert_string_equal(to, escapes[i].decoded);
    }
}

static void a_query_is_read(void **state)
{
    struct query   q = {0};
    struct problem p = {0};

    (void)state;
    assert_int_equal(api_query_parse(&q, "&a=1%26&&b&c=x+y=z", "a|b|c", &p), P_OK);
    assert_string_equal(api_query_get(&q, "a"), "1&");
    assert_string_equal(api_query_get(&q, "b"), "");
    assert_string_equal(api_query_get(&q, "c"), "x y=z");
    assert_null(api_query_get(&q, "d"));
    free(q.text);
}

/* ---- lru ---- */

struct item {
    struct api_lru_node node;
    int                 key;
    bool                in;
    unsigned            used; /* when it was used last */
};

static bool has_key(const struct api_lru_node *node, const void *key)
{
    return ((const struct item *)node)->key == *(const int *)key;
}

/* Random insertions, look-ups and removals against an array that is obviously right. */
static void lru_agrees_with_a_plain_array(void **state)
{
    enum { KEYS = 300 };
    static struct item items[KEYS];
    struct api_lru     lru = {0};
    sn_rng             rng;
    size_t             n = 0;

    (void)state;
    sn_rng_seed(&rng, 4);
    for (unsigned now = 1; now < 50000; now++) {
        const int      key = (int)sn_rng_below(&rng, KEYS);
        struct item   *item = &items[key], *oldest = NULL;
        const uint64_t hash = (uint64_t)key % 7; /* long chains */

        item->key = key;
        assert_ptr_equal(api_lru_find(&lru, hash, has_key, &key), item->in ? &item->node : NULL);
        item->used = now;
        if (!item->in) {
            assert_true(api_lru_insert(&lru, &item->node, hash));
            item->in = true;
            n++;
        } else if (sn_rng_below(&rng, 3) == 0) {
            api_lru_remove(&lru, &item->node);
            item->in = false;
            n--;
        }
        for (int k = 0; k < KEYS; k++)
            if (items[k].in && (!oldest || items[k].used < oldest->used)) oldest = &items[k];
        assert_ptr_equal(lru.oldest, oldest ? &oldest->node : NULL);
        assert_int_equal(lru.n, n);
    }
    while (lru.oldest)
        api_lru_remove(&lru, lru.oldest);
    assert_null(lru.newest);
    api_lru_fini(&lru);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_types_are_told_apart),  cmocka_unit_test(the_best_form_is_chosen),
        cmocka_unit_test(escapes_are_decoded),           cmocka_unit_test(a_query_is_read),
        cmocka_unit_test(lru_agrees_with_a_plain_array),
    };

    return cmocka_run_group_tests_name("api_parts", tests, NULL, NULL);
}
