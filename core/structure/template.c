/* template: words -> numbers or expressions. */
#include "structure/template.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const struct template_word *find_word(const struct template_word *word, size_t n,
                                             const char *text, size_t n_bytes)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(word[i].word) == n_bytes && memcmp(word[i].word, text, n_bytes) == 0)
            return &word[i];
    return NULL;
}

static bool is_word_byte(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* In parentheses, so that what stands around it binds as before. */
static void add_value(struct text *t, const json_t *value)
{
    if (json_is_string(value))
        text_printf(t, "(%s)", json_string_value(value));
    else
        text_printf(t, "(%lld)", (long long)json_integer_value(value));
}

/* Identifiers of an expression; what is in quotes is text. One that grows too long is refused when
 * it is read: that it is too long is all that matters then. */
static json_t *fill_text(const char *at, const struct template_word *word, size_t n_words)
{
    const struct template_word *whole = find_word(word, n_words, at, strlen(at)), *w;
    struct text                 t = {0};
    json_t                     *filled;

    if (whole) return json_incref((json_t *)whole->value);
    if (strlen(at) > BUILD_MAX_TEXT_BYTES) return json_string(at);
    text_add(&t, "", 0);
    while (*at && t.n <= BUILD_MAX_TEXT_BYTES) {
        size_t n = 1;

        w = NULL;
        if (*at == '"' || *at == '\'') {
            const char *end = strchr(at + 1, *at);

            n = end ? (size_t)(end - at) + 1 : strlen(at);
        } else if (is_word_byte(*at)) {
            while (is_word_byte(at[n]))
                n++;
            w = find_word(word, n_words, at, n);
        }
        if (w)
            add_value(&t, w->value);
        else
            text_add(&t, at, n);
        at += n;
    }
    filled = t.failed ? NULL : json_stringn(t.at ? t.at : "", t.n);
    free(t.at);
    return filled;
}

sn_status template_check_size(struct builder *b, const char *where, const json_t *spec,
                              const char *name)
{
    const json_t *size = json_object_get(spec, name);
    char          place[256];

    if (json_string_length(size) <= BUILD_MAX_TEXT_BYTES) return SN_OK;
    return build_fail(b, SN_E_LIMIT, json_place(where, name, place, sizeof place),
                      "an expression of %zu bytes is longer than %d", json_string_length(size),
                      BUILD_MAX_TEXT_BYTES);
}

static bool is_fixed(const char *key)
{
    static const char *const keys[] = {"name", "type", "label", "inputs", "outputs", "choices"};

    for (size_t i = 0; i < COUNT(keys); i++)
        if (strcmp(keys[i], key) == 0) return true;
    return false;
}

sn_status template_fill(struct builder *b, const json_t *spec, const struct template_word *word,
                        size_t n_words, const char *where, json_t **ret)
{
    const char *key;
    json_t     *part, *copy, *one;
    size_t      i;
    sn_status   rc = SN_OK;

    rc = build_copied(
        b, 256 + 128 * (json_object_size(spec) + json_array_size(spec)) + json_string_length(spec),
        where);
    if (rc != SN_OK) return rc;
    if (json_is_string(spec)) {
        *ret = fill_text(json_string_value(spec), word, n_words);
        return *ret ? SN_OK : fail_no_memory(b->err, where);
    }
    if (!json_is_object(spec) && !json_is_array(spec)) {
        *ret = json_incref((json_t *)spec);
        return SN_OK;
    }
    copy = json_is_object(spec) ? json_object() : json_array();
    if (!copy) return fail_no_memory(b->err, where);
    if (json_is_object(spec)) {
        json_object_foreach((json_t *)spec, key, part)
        {
            if (is_fixed(key))
                one = json_incref(part);
            else
                rc = template_fill(b, part, word, n_words, where, &one);
            if (rc == SN_OK && json_object_set_new(copy, key, one) != 0)
                rc = fail_no_memory(b->err, where);
            if (rc != SN_OK) break;
        }
    } else {
        json_array_foreach((json_t *)spec, i, part)
        {
            rc = template_fill(b, part, word, n_words, where, &one);
            if (rc == SN_OK && json_array_append_new(copy, one) != 0)
                rc = fail_no_memory(b->err, where);
            if (rc != SN_OK) break;
        }
    }
    if (rc == SN_OK)
        *ret = copy;
    else
        json_decref(copy);
    return rc;
}
