/* text: a growing string, for messages and JSON documents.
 *
 * Running out of memory is remembered in `failed`: a writer of a hundred pieces checks once, in
 * text_flush(). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

/* Room for n more bytes and the terminator. */
static bool reserve(struct text *t, size_t n)
{
    size_t need, cap = t->cap ? t->cap : 64;
    char  *at;

    if (t->failed) return false;
    if (__builtin_add_overflow(t->n, n, &need) || need > SIZE_MAX / 4) goto failed;
    while (cap <= need)
        cap *= 2;
    if (cap == t->cap) return true;
    at = realloc(t->at, cap);
    if (!at) goto failed;
    t->at = at;
    t->cap = cap;
    return true;
failed:
    t->failed = true;
    return false;
}

void text_add(struct text *t, const char *bytes, size_t n)
{
    if (!reserve(t, n)) return;
    if (n) memcpy(t->at + t->n, bytes, n);
    t->n += n;
    t->at[t->n] = '\0';
}

void text_printf(struct text *t, const char *fmt, ...)
{
    va_list ap;
    int     n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !reserve(t, (size_t)n)) {
        t->failed = true;
        return;
    }
    va_start(ap, fmt);
    vsnprintf(t->at + t->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    t->n += (size_t)n;
}

/* Bytes of the UTF-8 character at s, 0 if there is none. */
static size_t utf8_bytes(const unsigned char *s)
{
    static const struct {
        unsigned char first, last, low, high; /* range of the first and of the second byte */
        size_t        n;
    } row[] = {
        {0x01, 0x7f, 0x00, 0xff, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };

    for (size_t i = 0; i < COUNT(row); i++) {
        if (s[0] < row[i].first || s[0] > row[i].last) continue;
        if (row[i].n > 1 && (s[1] < row[i].low || s[1] > row[i].high)) return 0;
        for (size_t k = 2; k < row[i].n; k++)
            if ((s[k] & 0xc0) != 0x80) return 0; /* stops at the terminator, too */
        return row[i].n;
    }
    return 0;
}

void text_json_string(struct text *t, const char *s)
{
    static const char escaped[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";

    text_add(t, "\"", 1);
    while (*s) {
        const size_t      n = utf8_bytes((const unsigned char *)s);
        const char *const at = strchr(escaped, *s);

        if (at)
            text_printf(t, "\\%c", letter[at - escaped]);
        else if (n == 0)
            text_add(t, "\\ufffd", 6); /* no UTF-8: the document must stay valid */
        else if ((unsigned char)*s < 0x20)
            text_printf(t, "\\u%04x", (unsigned)*s);
        else
            text_add(t, s, n);
        s += n ? n : 1;
    }
    text_add(t, "\"", 1);
}

void text_json_value(struct text *t, const sn_value *v)
{
    char buf[REAL_TEXT_BYTES];

    switch (v->kind) {
    case SN_KIND_NULL:
        text_add(t, "null", 4);
        break;
    case SN_KIND_BOOL:
        text_printf(t, "%s", v->as.boolean ? "true" : "false");
        break;
    case SN_KIND_INT:
        text_printf(t, "%lld", (long long)v->as.integer);
        break;
    case SN_KIND_FLOAT: /* x - x is 0 for finite numbers only; JSON has no others */
        text_printf(t, "%s", v->as.real - v->as.real == 0 ? real_text(v->as.real, buf) : "null");
        break;
    case SN_KIND_TEXT:
        text_json_string(t, v->as.text);
        break;
    case SN_KIND_TUPLE:
        text_add(t, "[", 1);
        for (size_t i = 0; i < v->as.tuple.n; i++) {
            if (i > 0) text_add(t, ", ", 2);
            text_json_value(t, &v->as.tuple.item[i]);
        }
        text_add(t, "]", 1);
        break;
    }
}

sn_status text_flush(struct text *t, const sn_sink *sink, sn_error *err)
{
    sn_status rc = SN_OK;

    if (t->failed)
        rc = fail_no_memory(err, "");
    else if (t->n > 0 && sink->write(sink->cls, t->at, t->n) != 0)
        rc = sn_fail(err, SN_E_IO, "", "the receiver refused %zu bytes", t->n);
    free(t->at);
    *t = (struct text){0};
    return rc;
}

sn_status text_drain(struct text *t, const sn_sink *sink, sn_error *err)
{
    enum { MUCH = 1 << 16 };
    sn_status rc = SN_OK;

    if (t->n < MUCH && !t->failed) return SN_OK;
    if (t->failed)
        rc = fail_no_memory(err, "");
    else if (sink->write(sink->cls, t->at, t->n) != 0)
        rc = sn_fail(err, SN_E_IO, "", "the receiver refused %zu bytes", t->n);
    if (rc) {
        free(t->at);
        *t = (struct text){0};
    }
    t->n = 0;
    return rc;
}

sn_status fail_no_memory(sn_error *err, const char *where)
{
    return sn_fail(err, SN_E_NO_MEMORY, where, "out of memory");
}
