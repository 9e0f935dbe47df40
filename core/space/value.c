/* value: compare, hash, copy and print values as Python does. */
#include "space/value.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "space/number.h"

const char *value_kind(sn_kind kind)
{
    static const char *const name[] = {
        [SN_KIND_NULL] = "None",   [SN_KIND_BOOL] = "bool", [SN_KIND_INT] = "int",
        [SN_KIND_FLOAT] = "float", [SN_KIND_TEXT] = "text", [SN_KIND_TUPLE] = "tuple",
    };

    return (unsigned)kind < COUNT(name) ? name[kind] : "unknown";
}

SN_EXPORT bool sn_value_int(const sn_value *v, int64_t *ret_integer)
{
    if (v->kind == SN_KIND_INT)
        *ret_integer = v->as.integer;
    else if (v->kind == SN_KIND_BOOL)
        *ret_integer = v->as.boolean;
    else
        return false;
    return true;
}

SN_EXPORT sn_kind sn_value_kind(const sn_value *v)
{
    return v->kind;
}

SN_EXPORT bool sn_value_bool(const sn_value *v, bool *ret_bool)
{
    if (v->kind != SN_KIND_BOOL) return false;
    *ret_bool = v->as.boolean;
    return true;
}

SN_EXPORT bool sn_value_real(const sn_value *v, double *ret_real)
{
    int64_t integer;

    if (v->kind == SN_KIND_FLOAT)
        *ret_real = v->as.real;
    else if (sn_value_int(v, &integer))
        *ret_real = (double)integer;
    else
        return false;
    return true;
}

SN_EXPORT const char *sn_value_string(const sn_value *v)
{
    return v->kind == SN_KIND_TEXT ? v->as.text : NULL;
}

SN_EXPORT size_t sn_value_n_items(const sn_value *v)
{
    return v->kind == SN_KIND_TUPLE ? v->as.tuple.n : 0;
}

SN_EXPORT const sn_value *sn_value_item(const sn_value *v, size_t i)
{
    return i < sn_value_n_items(v) ? &v->as.tuple.item[i] : NULL;
}

bool value_truth(const sn_value *v)
{
    switch (v->kind) {
    case SN_KIND_NULL:
        return false;
    case SN_KIND_BOOL:
        return v->as.boolean;
    case SN_KIND_INT:
        return v->as.integer != 0;
    case SN_KIND_FLOAT:
        return v->as.real != 0.0;
    case SN_KIND_TEXT:
        return v->as.text[0] != '\0';
    case SN_KIND_TUPLE:
        return v->as.tuple.n > 0;
    }
    return false;
}

/* ---- order ------------------------------------------------------------------- */

/* null, numbers, texts, tuples: what can be compared within itself only. */
static int family(const sn_value *v)
{
    switch (v->kind) {
    case SN_KIND_NULL:
        return 0;
    case SN_KIND_TEXT:
        return 2;
    case SN_KIND_TUPLE:
        return 3;
    default:
        return 1;
    }
}

static enum value_order order_of(int less, int greater)
{
    return less ? VALUE_LESS : greater ? VALUE_GREATER : VALUE_EQUAL;
}

static enum value_order compare_numbers(const sn_value *a, const sn_value *b)
{
    int64_t          i, j;
    enum value_order order;

    if (sn_value_int(a, &i)) {
        if (sn_value_int(b, &j)) return order_of(i<j, i> j);
        return number_compare(i, b->as.real);
    }
    if (sn_value_int(b, &j)) {
        order = number_compare(j, a->as.real);
        return order == VALUE_LESS ? VALUE_GREATER : order == VALUE_GREATER ? VALUE_LESS : order;
    }
    if (isnan(a->as.real) || isnan(b->as.real)) return VALUE_UNORDERED;
    return order_of(a->as.real<b->as.real, a->as.real> b->as.real);
}

/* Of two texts. Bytes of UTF-8 sort as the characters do. */
static enum value_order compare_texts(const sn_value *a, const sn_value *b)
{
    const int order = strcmp(a->as.text, b->as.text);

    return order_of(order<0, order> 0);
}

SN_EXPORT bool sn_value_equal(const sn_value *a, const sn_value *b)
{
    if (family(a) != family(b)) return false;
    switch (family(a)) {
    case 0:
        return true;
    case 1:
        return compare_numbers(a, b) == VALUE_EQUAL;
    case 2:
        return strcmp(a->as.text, b->as.text) == 0;
    default:
        if (a->as.tuple.n != b->as.tuple.n) return false;
        for (size_t i = 0; i < a->as.tuple.n; i++)
            if (!sn_value_equal(&a->as.tuple.item[i], &b->as.tuple.item[i])) return false;
        return true;
    }
}

SN_EXPORT bool sn_value_same(const sn_value *a, const sn_value *b)
{
    if (a->kind != b->kind) return false;
    switch (a->kind) {
    case SN_KIND_NULL:
        return true;
    case SN_KIND_BOOL:
        return a->as.boolean == b->as.boolean;
    case SN_KIND_INT:
        return a->as.integer == b->as.integer;
    case SN_KIND_FLOAT: /* bit for bit: also -0.0, and NaN is itself */
        return memcmp(&a->as.real, &b->as.real, sizeof a->as.real) == 0;
    case SN_KIND_TEXT:
        return strcmp(a->as.text, b->as.text) == 0;
    case SN_KIND_TUPLE:
        if (a->as.tuple.n != b->as.tuple.n) return false;
        for (size_t i = 0; i < a->as.tuple.n; i++)
            if (!sn_value_same(&a->as.tuple.item[i], &b->as.tuple.item[i])) return false;
        return true;
    }
    return false;
}

/* The first place where two tuples differ, or the end of the shorter one. */
static size_t first_difference(const sn_value *a, const sn_value *b)
{
    const size_t n = a->as.tuple.n < b->as.tuple.n ? a->as.tuple.n : b->as.tuple.n;
    size_t       i = 0;

    while (i < n && sn_value_equal(&a->as.tuple.item[i], &b->as.tuple.item[i]))
        i++;
    return i;
}

enum value_order value_compare(const sn_value *a, const sn_value *b)
{
    size_t i;

    if (family(a) != family(b) || a->kind == SN_KIND_NULL) return VALUE_NO_ORDER;
    if (a->kind == SN_KIND_TEXT) return compare_texts(a, b);
    if (a->kind != SN_KIND_TUPLE) return compare_numbers(a, b);
    i = first_difference(a, b);
    if (i < a->as.tuple.n && i < b->as.tuple.n)
        return value_compare(&a->as.tuple.item[i], &b->as.tuple.item[i]);
    return order_of(a->as.tuple.n<b->as.tuple.n, a->as.tuple.n> b->as.tuple.n);
}

int value_compare_any(const sn_value *a, const sn_value *b)
{
    const enum value_order order = value_compare(a, b);
    size_t                 i;

    if (order == VALUE_UNORDERED) return 0;
    if (order != VALUE_NO_ORDER) return order;
    if (family(a) != family(b)) return family(a) < family(b) ? -1 : 1;
    if (a->kind != SN_KIND_TUPLE) return 0;
    i = first_difference(a, b); /* inside both, or there would be an order */
    return value_compare_any(&a->as.tuple.item[i], &b->as.tuple.item[i]);
}

/* ---- hash, copy, size --------------------------------------------------------- */

uint64_t value_hash(const struct hash_key *key, const sn_value *v)
{
    uint64_t word[2] = {(uint64_t)family(v), 0}; /* a number, or the hash of what came before */
    int64_t  whole;

    switch (v->kind) {
    case SN_KIND_NULL:
        break;
    case SN_KIND_BOOL:
        word[1] = v->as.boolean;
        break;
    case SN_KIND_INT:
        word[1] = (uint64_t)v->as.integer;
        break;
    case SN_KIND_FLOAT: /* a whole number is the integer, -0.0 is 0; all NaN are one */
        if (!number_real_to_int(v->as.real, &whole) && (double)whole == v->as.real)
            word[1] = (uint64_t)whole;
        else if (!isnan(v->as.real))
            memcpy(&word[1], &v->as.real, sizeof word[1]);
        break;
    case SN_KIND_TEXT:
        word[1] = hash_bytes(key, v->as.text, strlen(v->as.text));
        break;
    case SN_KIND_TUPLE:
        for (size_t i = 0; i < v->as.tuple.n; i++) {
            word[1] = hash_bytes(key, word, sizeof word);
            word[0] = value_hash(key, &v->as.tuple.item[i]);
        }
        break;
    }
    return hash_bytes(key, word, sizeof word);
}

bool value_identical(const sn_value *a, const sn_value *b)
{
    if (a->kind == SN_KIND_FLOAT && b->kind == SN_KIND_FLOAT && isnan(a->as.real))
        return isnan(b->as.real);
    if (a->kind != SN_KIND_TUPLE || b->kind != SN_KIND_TUPLE) return sn_value_equal(a, b);
    if (a->as.tuple.n != b->as.tuple.n) return false;
    for (size_t i = 0; i < a->as.tuple.n; i++)
        if (!value_identical(&a->as.tuple.item[i], &b->as.tuple.item[i])) return false;
    return true;
}

bool value_copy(sn_arena *mem, const sn_value *v, sn_value *ret_copy)
{
    sn_value copy = *v, *item;

    if (v->kind == SN_KIND_TEXT) {
        copy.as.text = arena_strdup(mem, v->as.text);
        if (!copy.as.text) return false;
    } else if (v->kind == SN_KIND_TUPLE && v->as.tuple.n > 0) {
        item = arena_array(mem, v->as.tuple.n, sizeof *item);
        if (!item) return false;
        for (size_t i = 0; i < v->as.tuple.n; i++)
            if (!value_copy(mem, &v->as.tuple.item[i], &item[i])) return false;
        copy.as.tuple.item = item;
    }
    *ret_copy = copy;
    return true;
}

/* An item costs memory, also when it is an empty text. */
static bool is_empty_text(const sn_value *v)
{
    return v->kind == SN_KIND_TEXT && v->as.text[0] == '\0';
}

size_t value_size(const sn_value *v)
{
    size_t n = 1;

    if (v->kind == SN_KIND_TEXT) return strlen(v->as.text);
    if (v->kind == SN_KIND_TUPLE)
        for (size_t i = 0; i < v->as.tuple.n; i++)
            n += value_size(&v->as.tuple.item[i]) + is_empty_text(&v->as.tuple.item[i]);
    return n;
}

/* ---- text ---------------------------------------------------------------------- */

/* Writes what fits and one terminating zero. */
struct out {
    char  *at;
    size_t n, cap;
    bool   full;
};

static void put(struct out *o, const char *text, size_t n)
{
    if (o->full || o->cap == 0 || n >= o->cap - o->n) {
        o->full = true; /* whole pieces only: a cut never splits a character */
        return;
    }
    memcpy(o->at + o->n, text, n);
    o->n += n;
    o->at[o->n] = '\0';
}

static void put_str(struct out *o, const char *text)
{
    put(o, text, strlen(text));
}

static size_t character_bytes(const char *at)
{
    size_t n = 1;

    while (((unsigned char)at[n] & 0xc0) == 0x80)
        n++;
    return n;
}

/* Double quotes only where that saves escapes, as Python does. */
static void put_text(struct out *o, const char *text)
{
    const char quote = strchr(text, '\'') && !strchr(text, '"') ? '"' : '\'';
    char       escape[8];

    put(o, &quote, 1);
    for (size_t n; *text; text += n) {
        const unsigned char c = (unsigned char)*text;

        n = 1;
        if (c == (unsigned char)quote || c == '\\')
            snprintf(escape, sizeof escape, "\\%c", c);
        else if (c == '\n' || c == '\r' || c == '\t')
            snprintf(escape, sizeof escape, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
        else if (c < 0x20 || c == 0x7f)
            snprintf(escape, sizeof escape, "\\x%02x", c);
        else {
            n = character_bytes(text);
            put(o, text, n);
            continue;
        }
        put_str(o, escape);
    }
    put(o, &quote, 1);
}

static void put_value(struct out *o, const sn_value *v)
{
    char number[REAL_TEXT_BYTES];

    switch (v->kind) {
    case SN_KIND_NULL:
        put_str(o, "None");
        break;
    case SN_KIND_BOOL:
        put_str(o, v->as.boolean ? "True" : "False");
        break;
    case SN_KIND_INT:
        snprintf(number, sizeof number, "%lld", (long long)v->as.integer);
        put_str(o, number);
        break;
    case SN_KIND_FLOAT:
        put_str(o, real_text(v->as.real, number));
        break;
    case SN_KIND_TEXT:
        put_text(o, v->as.text);
        break;
    case SN_KIND_TUPLE:
        put_str(o, "(");
        for (size_t i = 0; i < v->as.tuple.n && !o->full; i++) {
            if (i > 0) put_str(o, ", ");
            put_value(o, &v->as.tuple.item[i]);
        }
        put_str(o, v->as.tuple.n == 1 ? ",)" : ")");
        break;
    }
}

SN_EXPORT const char *sn_value_text(const sn_value *v, char *buf, size_t n_bytes)
{
    struct out o = {.at = buf, .cap = n_bytes};

    if (n_bytes > 0) buf[0] = '\0';
    put_value(&o, v);
    return buf;
}

const char *value_list(const sn_value *v, size_t n, char *buf, size_t n_bytes)
{
    struct out   o = {.at = buf, .cap = n_bytes};
    const size_t shown = n > 10 ? 10 : n;
    char         more[32];

    if (n_bytes > 0) buf[0] = '\0';
    for (size_t i = 0; i < shown; i++) {
        if (i > 0) put_str(&o, ", ");
        put_value(&o, &v[i]);
    }
    if (n > shown) {
        snprintf(more, sizeof more, " and %zu more", n - shown);
        put_str(&o, more);
    }
    return buf;
}
