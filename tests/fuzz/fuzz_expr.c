/* fuzz_expr: whatever the text is, it is refused with a sentence, or it evaluates to a
 * value that prints, copies and equals itself, and its options are in order. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "space/expr.h"
#include "space/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INT(x)                                                                                     \
    {                                                                                              \
        SN_KIND_INT,                                                                               \
        {                                                                                          \
            .integer = (x)                                                                         \
        }                                                                                          \
    }

static const sn_value pair[] = {INT(3), INT(5)};
static const sn_value a[] = {INT(0), INT(1), INT(-7)};
static const sn_value b[] = {{SN_KIND_FLOAT, {.real = 2.5}}, {SN_KIND_TEXT, {.text = "12"}}};
static const sn_value t[] = {{SN_KIND_TUPLE, {.tuple = {pair, 2}}}, {.kind = SN_KIND_NULL}};

static const sn_choice choices[] = {
    {.label = "a", .candidate = a, .n_candidates = COUNT(a), .n_chosen = 1},
    {.label = "b", .candidate = b, .n_candidates = COUNT(b), .n_chosen = 1},
    {.label = "t", .candidate = t, .n_candidates = COUNT(t), .n_chosen = 1},
};

static void require(bool ok)
{
    if (!ok) abort();
}

static void check_value(const sn_value *v, sn_arena *mem)
{
    const struct hash_key key = {.k = {1, 2}};
    sn_value              copy;
    char                  text[64];

    require(strlen(sn_value_text(v, text, sizeof text)) < sizeof text);
    require(value_copy(mem, v, &copy) && sn_value_same(v, &copy));
    require(value_hash(&key, v) == value_hash(&key, &copy));
}

static void check_options(const sn_expr *e, sn_arena *mem)
{
    sn_option *option = NULL;
    sn_error   err = {0};
    size_t     n = 0;

    if (sn_expr_options(e, NULL, NULL, NULL, 0, mem, &option, &n, &err) != SN_OK) {
        require(err.text[0]);
        return;
    }
    require(n > 0);
    for (size_t i = 1; i < n; i++)
        require(value_compare(&option[i - 1].value, &option[i].value) == VALUE_LESS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char     *text = malloc(size + 1);
    sn_arena *mem = sn_arena_create();
    sn_error  err = {0};
    sn_expr  *e = NULL;
    sn_value  v;

    require(text && mem);
    memcpy(text, data, size);
    text[size] = '\0';
    if (sn_expr_parse(text, choices, COUNT(choices), "fuzz", &e, &err) != SN_OK) {
        require(!e && err.code != SN_OK && err.text[0]);
    } else {
        require(err.code == SN_OK && expr_n_labels(e) <= COUNT(choices));
        if (sn_expr_dry_run(e, mem, &v, &err) == SN_OK)
            check_value(&v, mem);
        else
            require(err.text[0]);
        check_options(e, mem);
    }
    sn_expr_free(e);
    sn_arena_free(mem);
    free(text);
    return 0;
}
