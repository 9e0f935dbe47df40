/* buf: a response body in the making. */
#include "http/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/number.h"

void api_buf_fini(struct api_buf *b)
{
    free(b->at);
    if (b->account) account_discharge(b->account, b->purpose, b->charged);
    *b = (struct api_buf){0};
}

/* Account for cap bytes in all instead of b->charged, which is less. */
static bool charge(struct api_buf *b, size_t cap)
{
    const size_t more = cap - b->charged;

    if (!b->account) return true;
    if (cap <= API_BUF_FREE_BYTES)
        account_force(b->account, b->purpose, more);
    else if (!account_charge(b->account, b->purpose, more))
        return false;
    b->charged = cap;
    return true;
}

static void discharge(struct api_buf *b, size_t cap)
{
    if (!b->account) return;
    account_discharge(b->account, b->purpose, b->charged - cap);
    b->charged = cap;
}

void api_buf_shrink(struct api_buf *b)
{
    char *at = b->cap > b->n && b->n > 0 ? realloc(b->at, b->n) : NULL;

    if (!at) return;
    b->at = at;
    b->cap = b->n;
    discharge(b, b->cap);
}

char *api_buf_reserve(struct api_buf *b, size_t n)
{
    size_t need, cap;
    char  *at;

    if (b->failed) return NULL;
    if (__builtin_add_overflow(b->n, n, &need)) {
        b->failed = true;
        return NULL;
    }
    if (b->most > 0 && need > b->most) {
        b->failed = b->is_full = true;
        return NULL;
    }
    if (need <= b->cap) return b->at + b->n;
    cap = b->cap < 256 ? 256 : b->cap;
    while (cap < need)
        if (__builtin_mul_overflow(cap, (size_t)2, &cap)) cap = need;
    if (!charge(b, cap)) { /* twice as much is too much: then just what is needed */
        cap = need;
        if (!charge(b, cap)) {
            b->refused = need;
            b->failed = true;
            return NULL;
        }
    }
    at = realloc(b->at, cap);
    if (!at) {
        discharge(b, b->cap);
        b->failed = true;
        return NULL;
    }
    b->at = at;
    b->cap = cap;
    return b->at + b->n;
}

void api_buf_add(struct api_buf *b, const char *bytes, size_t n)
{
    char *to = api_buf_reserve(b, n);

    if (!to || n == 0) return;
    memcpy(to, bytes, n);
    b->n += n;
}

void api_buf_text(struct api_buf *b, const char *text)
{
    api_buf_add(b, text, strlen(text));
}

void api_buf_byte(struct api_buf *b, char byte)
{
    api_buf_add(b, &byte, 1);
}

void api_buf_printf(struct api_buf *b, const char *fmt, ...)
{
    va_list ap;
    char   *to;
    int     n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    to = n < 0 ? NULL : api_buf_reserve(b, (size_t)n + 1);
    if (!to) {
        b->failed = true;
        return;
    }
    va_start(ap, fmt);
    vsnprintf(to, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)n;
}

/* None is also what is overlong, a surrogate or cut. */
size_t api_utf8_bytes(const char *at, size_t n_there)
{
    const unsigned char *s = (const unsigned char *)at;
    unsigned             low = 0x80, high = 0xBF;
    size_t               n;

    if (s[0] < 0x80) return 1;
    if (s[0] < 0xC2 || s[0] > 0xF4) return 0;
    n = s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    if (n > n_there) return 0;
    if (s[0] == 0xE0) low = 0xA0;
    if (s[0] == 0xED) high = 0x9F;
    if (s[0] == 0xF0) low = 0x90;
    if (s[0] == 0xF4) high = 0x8F;
    if (s[1] < low || s[1] > high) return 0;
    for (size_t i = 2; i < n; i++)
        if (s[i] < 0x80 || s[i] > 0xBF) return 0;
    return n;
}

void api_buf_string(struct api_buf *b, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;

    api_buf_byte(b, '"');
    while (*s) {
        const size_t n = api_utf8_bytes((const char *)s, 4); /* a NUL ends it before */

        if (n == 0)
            api_buf_text(b, "\xEF\xBF\xBD");
        else if (*s == '"' || *s == '\\')
            api_buf_printf(b, "\\%c", *s);
        else if (*s == '\n')
            api_buf_text(b, "\\n");
        else if (*s == '\t')
            api_buf_text(b, "\\t");
        else if (*s < 0x20 || *s == 0x7F)
            api_buf_printf(b, "\\u%04x", *s);
        else
            api_buf_add(b, (const char *)s, n);
        s += n ? n : 1;
    }
    api_buf_byte(b, '"');
}

void api_buf_value(struct api_buf *b, const sn_value *v)
{
    char text[API_NUMBER_BYTES];

    switch (v->kind) {
    case SN_KIND_NULL:
        api_buf_text(b, "null");
        break;
    case SN_KIND_BOOL:
        api_buf_text(b, v->as.boolean ? "true" : "false");
        break;
    case SN_KIND_INT:
        api_buf_printf(b, "%lld", (long long)v->as.integer);
        break;
    case SN_KIND_FLOAT:
        api_buf_add(b, text, api_number_double(text, v->as.real));
        if (!memchr(text, '.', strlen(text)) && !memchr(text, 'e', strlen(text)))
            api_buf_text(b, ".0"); /* 2.0 is a float, 2 is not */
        break;
    case SN_KIND_TEXT:
        api_buf_string(b, v->as.text);
        break;
    case SN_KIND_TUPLE:
        api_buf_byte(b, '[');
        for (size_t i = 0; i < v->as.tuple.n; i++) {
            if (i) api_buf_text(b, ", ");
            api_buf_value(b, &v->as.tuple.item[i]);
        }
        api_buf_byte(b, ']');
        break;
    }
}

static int sink_write(void *cls, const void *bytes, size_t n_bytes)
{
    struct api_buf *b = cls;

    if (b->stop && atomic_load_explicit(b->stop, memory_order_relaxed)) return -1;
    api_buf_add(b, bytes, n_bytes);
    return b->failed ? -1 : 0;
}

sn_sink api_buf_sink(struct api_buf *b)
{
    return (sn_sink){.write = sink_write, .cls = b};
}
