#include "base/scan.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct scan scan_of(const char *text, size_t n_bytes, const char *where, sn_error *err)
{
    return (struct scan){
        .start = text, .at = text, .end = text + n_bytes, .where = where, .err = err};
}

__attribute__((format(printf, 2, 3))) static sn_status fail(const struct scan *s, const char *fmt,
                                                            ...)
{
    size_t  line = 1, column = 1;
    char    text[256];
    va_list ap;

    for (const char *at = s->start; at < s->at; at++) {
        column += ((unsigned char)*at & 0xc0) != 0x80;
        if (*at != '\n') continue;
        line++;
        column = 1;
    }
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return sn_fail(s->err, SN_E_SYNTAX, s->where, "line %zu, column %zu: %s", line, column, text);
}

/* "expected x, found y" */
static sn_status unexpected(const struct scan *s, const char *what)
{
    if (s->at == s->end) return fail(s, "expected %s, but the text ends", what);
    if (*s->at < ' ' || *s->at > '~')
        return fail(s, "expected %s, found byte 0x%02x", what, (unsigned char)*s->at);
    return fail(s, "expected %s, found '%c'", what, *s->at);
}

char scan_peek(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
        s->at++;
    return s->at < s->end ? *s->at : '\0';
}

bool scan_eat(struct scan *s, char c)
{
    if (scan_peek(s) != c || s->at == s->end) return false;
    s->at++;
    return true;
}

sn_status scan_expect(struct scan *s, char c)
{
    const char what[] = {'\'', c, '\'', '\0'};

    return scan_eat(s, c) ? SN_OK : unexpected(s, what);
}

sn_status scan_end(struct scan *s)
{
    size_t left, n_nul = 0;

    scan_peek(s);
    left = (size_t)(s->end - s->at);
    if (left == 0) return SN_OK;
    while (n_nul < left && s->at[n_nul] == '\0')
        n_nul++;
    if (n_nul == left) /* as json_parse() says it */
        return sn_fail(s->err, SN_E_SYNTAX, s->where,
                       "the last %zu of %zu bytes are NUL; what pads a document is white space",
                       n_nul, (size_t)(s->end - s->start));
    return unexpected(s, "nothing more");
}

/* Behind the opening bracket, or behind an item: is there another one? */
static sn_status more(struct scan *s, bool *inout_first, char close, bool *ret_more)
{
    const char what[] = {'\'', ',', '\'', ' ', 'o', 'r', ' ', '\'', close, '\'', '\0'};

    *ret_more = false;
    if (scan_eat(s, close)) return SN_OK;
    if (!*inout_first && !scan_eat(s, ',')) return unexpected(s, what);
    *inout_first = false;
    *ret_more = true;
    return SN_OK;
}

sn_status scan_member(struct scan *s, bool *inout_first, sn_arena *mem, const char **ret_key,
                      bool *ret_more)
{
    sn_status rc = more(s, inout_first, '}', ret_more);

    if (rc != SN_OK || !*ret_more) return rc;
    rc = scan_text(s, mem, ret_key);
    return rc == SN_OK ? scan_expect(s, ':') : rc;
}

sn_status scan_item(struct scan *s, bool *inout_first, bool *ret_more)
{
    return more(s, inout_first, ']', ret_more);
}

/* ---- texts ------------------------------------------------------------------------------- */

/* Bytes of the character of UTF-8 at `at`; 0 if it is none. */
static size_t utf8_bytes(const char *at, const char *end)
{
    const unsigned char *p = (const unsigned char *)at;
    const size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

    if (n == 0 || p[0] > 0xf4 || (size_t)(end - at) < n) return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

static size_t utf8_encode(unsigned long c, char *to)
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (char)(0xc0 | c >> 6);
        to[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (char)(0xe0 | c >> 12);
        to[1] = (char)(0x80 | (c >> 6 & 0x3f));
        to[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    to[0] = (char)(0xf0 | c >> 18);
    to[1] = (char)(0x80 | (c >> 12 & 0x3f));
    to[2] = (char)(0x80 | (c >> 6 & 0x3f));
    to[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* Four hexadecimal digits at *inout, which moves on; false if they are not there. */
static bool hex4(const char **inout, const char *end, unsigned long *ret)
{
    *ret = 0;
    if (end - *inout < 4) return false;
    for (int i = 0; i < 4; i++, ++*inout) {
        const char c = **inout;

        if (c >= '0' && c <= '9')
            *ret = *ret * 16 + (unsigned long)(c - '0');
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            *ret = *ret * 16 + (unsigned long)((c | 32) - 'a' + 10);
        else
            return false;
    }
    return true;
}

/* The escape at s->at, behind the backslash, which is consumed; n bytes to `to`. */
static sn_status escape(struct scan *s, char *to, size_t *ret_n)
{
    static const char letters[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    const char       *found = s->at < s->end && *s->at ? strchr(letters, *s->at) : NULL;
    const char       *at = s->at + 1;
    unsigned long     c, low;

    if (found) {
        s->at++;
        *to = means[found - letters];
        *ret_n = 1;
        return SN_OK;
    }
    if (s->at == s->end || *s->at != 'u' || !hex4(&at, s->end, &c))
        return fail(s, "this is no escape of JSON");
    if (c >= 0xd800 && c < 0xdc00) {
        if (s->end - at < 6 || at[0] != '\\' || at[1] != 'u') return fail(s, "half a character");
        at += 2;
        if (!hex4(&at, s->end, &low) || low < 0xdc00 || low > 0xdfff)
            return fail(s, "half a character");
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    } else if (c >= 0xdc00 && c <= 0xdfff) {
        return fail(s, "half a character");
    }
    if (c == 0) return fail(s, "a text must not contain \\u0000");
    s->at = at;
    *ret_n = utf8_encode(c, to);
    return SN_OK;
}

/* Where the text that begins at `at`, behind its quote, ends; NULL if it does not. */
static const char *closing(const char *at, const char *end)
{
    for (; at < end; at++) {
        if (*at == '"') return at;
        if (*at == '\\') at++;
    }
    return NULL;
}

sn_status scan_text(struct scan *s, sn_arena *mem, const char **ret_text)
{
    const char *close;
    char       *to;
    size_t      n = 0, used = 0;
    sn_status   rc = scan_peek(s) == '"' ? SN_OK : unexpected(s, "a text");

    if (rc != SN_OK) return rc;
    close = closing(s->at + 1, s->end);
    if (!close) return fail(s, "the text that begins here does not end");
    s->at++;
    /* Decoding only shrinks. The bytes of a mapped file may change meanwhile, and then an escape
     * may reach beyond what was its end: room for one. */
    to = sn_arena_alloc(mem, (size_t)(close - s->at) + 16);
    if (!to) return fail_no_memory(s->err, s->where);
    while (s->at < close) {
        if (*s->at == '\\') {
            s->at++;
            rc = escape(s, to + used, &n);
            if (rc != SN_OK) return rc;
            used += n;
            continue;
        }
        n = utf8_bytes(s->at, close);
        if (n == 0) return fail(s, "byte 0x%02x is not UTF-8", (unsigned char)*s->at);
        if ((unsigned char)*s->at < ' ')
            return fail(s, "a text may not have the control character 0x%02x", *s->at);
        memcpy(to + used, s->at, n);
        used += n;
        s->at += n;
    }
    s->at++;
    *ret_text = to;
    return SN_OK;
}

/* ---- numbers and descriptions -------------------------------------------------------------- */

/* Bytes of the number or word that is next. */
static size_t word_bytes(const struct scan *s)
{
    const char *at = s->at;

    while (at < s->end && *at &&
           (strchr("+-.", *at) || (*at >= '0' && *at <= '9') ||
            ((*at | 32) >= 'a' && (*at | 32) <= 'z')))
        at++;
    return (size_t)(at - s->at);
}

sn_status scan_count(struct scan *s, bool *ret_ok, int64_t *ret_integer)
{
    const char   first = scan_peek(s);
    const size_t n = word_bytes(s);
    int64_t      v = 0;

    *ret_ok = false;
    if (first < '0' || first > '9') return SN_OK;
    for (size_t i = 0; i < n; i++) {
        if (s->at[i] < '0' || s->at[i] > '9') return SN_OK;
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, s->at[i] - '0', &v))
            return fail(s, "%.*s is too large for a 64-bit integer", (int)(n < 40 ? n : 40), s->at);
    }
    if (first == '0' && n > 1) return fail(s, "a number may not begin with a 0");
    s->at += n;
    *ret_integer = v;
    *ret_ok = true;
    return SN_OK;
}

const char *scan_describe(struct scan *s, char *buf, size_t n_bytes)
{
    const char   first = scan_peek(s);
    const size_t n = word_bytes(s);
    const char  *close;

    if (first == '{' || first == '[') {
        snprintf(buf, n_bytes, first == '{' ? "an object" : "an array");
    } else if (first == '"') {
        close = closing(s->at + 1, s->end);
        snprintf(buf, n_bytes, "the text \"%.*s\"",
                 (int)(!close                              ? 0
                       : close - s->at - 1 < (long)n_bytes ? close - s->at - 1
                                                           : (long)n_bytes),
                 s->at + 1);
    } else if (s->at == s->end) {
        snprintf(buf, n_bytes, "the end");
    } else if (first == '-' || (first >= '0' && first <= '9')) {
        snprintf(buf, n_bytes, "the number %.*s", (int)(n < 40 ? n : 40), s->at);
    } else {
        snprintf(buf, n_bytes, "%.*s", (int)(n < 40 ? n : 40), s->at);
    }
    return buf;
}
