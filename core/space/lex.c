/* lex: the words of an expression, as Python's tokenizer sees them. */
#include "space/lex.h"

#include <ctype.h>
#include <string.h>

#include "space/code.h"
#include "space/number.h"

/* Longest first: "**" is found before "*". */
static const char *const signs[] = {
    "**", "//", "<<", ">>", "<=", ">=", "==", "!=", "+", "-", "*", "/",
    "%",  "&",  "|",  "^",  "~",  "<",  ">",  "(",  ")", "[", "]", ","};

size_t lex_column(const struct lex *x, const char *at)
{
    size_t column = 1;

    for (const char *p = x->text; p < at; p++)
        column += ((unsigned char)*p & 0xc0) != 0x80;
    return column;
}

bool lex_is(const struct token *t, const char *spelling)
{
    return *t->at == *spelling && (t->kind == TOKEN_SIGN || t->kind == TOKEN_NAME) &&
           t->n == strlen(spelling) && memcmp(t->at, spelling, t->n) == 0;
}

/* Letters beyond ASCII are letters here. */
static bool starts_name(char c)
{
    return isalpha((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static bool continues_name(char c)
{
    return starts_name(c) || isdigit((unsigned char)c);
}

/* ---- UTF-8 --------------------------------------------------------------------- */

/* Bytes of the character at `at`; 0 if it is none (overlong, surrogate, cut off). */
static size_t utf8_bytes(const char *at)
{
    const unsigned char *p = (const unsigned char *)at;
    const size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

    if (p[0] > 0xf4) return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

static size_t utf8_encode(unsigned long c, char at[4])
{
    if (c < 0x80) {
        at[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        at[0] = (char)(0xc0 | c >> 6);
        at[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        at[0] = (char)(0xe0 | c >> 12);
        at[1] = (char)(0x80 | (c >> 6 & 0x3f));
        at[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    at[0] = (char)(0xf0 | c >> 18);
    at[1] = (char)(0x80 | (c >> 12 & 0x3f));
    at[2] = (char)(0x80 | (c >> 6 & 0x3f));
    at[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* ---- texts ----------------------------------------------------------------------- */

/* The character of an escape; at is behind the backslash and moves on. Returns false
 * if Python knows no such escape, or one that C strings cannot hold. */
static bool read_escape(const char **at, unsigned long *ret_character)
{
    static const char letters[] = "abfnrtv\\'\"", means[] = "\a\b\f\n\r\t\v\\'\"";
    const char        c = *(*at)++;
    const char       *found = c ? strchr(letters, c) : NULL;
    int               digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    unsigned long     value = 0;

    if (found) {
        *ret_character = (unsigned char)means[found - letters];
        return true;
    }
    if (c >= '0' && c <= '7') {
        value = (unsigned long)(c - '0');
        for (int i = 0; i < 2 && **at >= '0' && **at <= '7'; i++)
            value = value * 8 + (unsigned long)(*(*at)++ - '0');
    } else if (digits > 0) {
        for (; digits > 0; digits--, ++*at) {
            const int d = tolower((unsigned char)**at);

            if (!isxdigit(d)) return false;
            value = value * 16 + (unsigned long)(isdigit(d) ? d - '0' : d - 'a' + 10);
        }
    } else {
        return false;
    }
    *ret_character = value;
    return value > 0 && value <= 0x10ffff && !(value >= 0xd800 && value <= 0xdfff);
}

static sn_status read_text(struct lex *x, sn_error *err)
{
    const char    quote = *x->now.at, *at = x->now.at + 1;
    char         *made;
    size_t        n = 0;
    unsigned long c;

    while (at[n] && at[n] != '\n' && at[n] != quote)
        n += at[n] == '\\' && at[n + 1] ? 2 : 1;
    made = sn_arena_alloc(x->mem, n + 1); /* escapes only shrink */
    if (!made) return fail_no_memory(err, x->where);
    n = 0;
    while (*at != quote) {
        const char *start = at;

        if (*at == '\0' || *at == '\n')
            return sn_fail(err, SN_E_SYNTAX, x->where,
                           "column %zu: the text that begins here has no closing %c",
                           lex_column(x, x->now.at), quote);
        if (*at != '\\') {
            made[n++] = *at++;
            continue;
        }
        at++;
        if (!read_escape(&at, &c))
            return sn_fail(
                err, SN_E_SYNTAX, x->where,
                "column %zu: this escape is not one of \\\\ \\' \\\" \\a \\b \\f \\n \\r "
                "\\t \\v \\ooo \\xhh \\uhhhh \\Uhhhhhhhh, or means no character",
                lex_column(x, start));
        n += utf8_encode(c, made + n);
    }
    x->now.kind = TOKEN_CONSTANT;
    x->now.n = (size_t)(at + 1 - x->now.at);
    x->now.value = (sn_value){.kind = SN_KIND_TEXT, .as.text = made};
    return SN_OK;
}

/* ---- numbers ----------------------------------------------------------------------- */

/* Digits of one base with single underscores between them (and one in front of the
 * first if `lead`); false if that is not what the n bytes are. */
static bool read_integer(const char *at, size_t n, int base, bool lead, uint64_t *ret_integer,
                         bool *ret_large)
{
    bool any = lead;

    *ret_integer = 0;
    *ret_large = false;
    for (size_t i = 0; i < n; i++) {
        const int c = tolower((unsigned char)at[i]);
        const int digit = isdigit(c) ? c - '0' : isxdigit(c) ? c - 'a' + 10 : 99;

        if (c == '_' && any && i + 1 < n && at[i + 1] != '_') continue;
        if (digit >= base) return false;
        any = true;
        *ret_large |= __builtin_mul_overflow(*ret_integer, (uint64_t)base, ret_integer) ||
                      __builtin_add_overflow(*ret_integer, (uint64_t)digit, ret_integer);
    }
    return n > 0;
}

/* Everything that could belong to a number is taken, then it must be one: so that
 * "2width" and "1.5.2" are one wrong word, not two right ones. */
static size_t number_bytes(const char *at)
{
    const bool  hex = at[0] == '0' && (at[1] == 'x' || at[1] == 'X');
    const char *p = at;

    for (; continues_name(*p) || *p == '.'; p++)
        if ((*p == 'e' || *p == 'E') && !hex && (p[1] == '+' || p[1] == '-') &&
            isdigit((unsigned char)p[2]))
            p++;
    return (size_t)(p - at);
}

static sn_status read_number(struct lex *x, sn_error *err)
{
    const char  *at = x->now.at;
    const size_t n = number_bytes(at);
    const int    mark = n > 1 && at[0] == '0' ? tolower((unsigned char)at[1]) : 0;
    const int    base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 10;
    const size_t skip = base == 10 ? 0 : 2;
    uint64_t     integer;
    bool         large, zero_led;
    double       real;

    x->now.n = n;
    x->now.kind = TOKEN_CONSTANT;
    if (read_integer(at + skip, n - skip, base, base != 10, &integer, &large)) {
        zero_led = base == 10 && at[0] == '0' && (integer != 0 || large); /* 007 */
        if (zero_led)
            return sn_fail(err, SN_E_SYNTAX, x->where,
                           "column %zu: %.*s has leading zeros; octal numbers are written 0o17",
                           lex_column(x, at), (int)(n < 80 ? n : 80), at);
        if (large || integer > (uint64_t)INT64_MAX + 1)
            return sn_fail(err, SN_E_SYNTAX, x->where,
                           "column %zu: %.*s is too large for a 64-bit integer", lex_column(x, at),
                           (int)(n < 80 ? n : 80), at);
        if (integer > INT64_MAX)
            x->now.kind = TOKEN_EDGE;
        else
            x->now.value = (sn_value){.kind = SN_KIND_INT, .as.integer = (int64_t)integer};
        return SN_OK;
    }
    if (!number_parse_real(at, n, &real))
        return sn_fail(err, SN_E_SYNTAX, x->where, "column %zu: \"%.*s\" is no number",
                       lex_column(x, at), (int)(n < 80 ? n : 80), at);
    x->now.value = (sn_value){.kind = SN_KIND_FLOAT, .as.real = real};
    return SN_OK;
}

/* ---- the next word ------------------------------------------------------------------- */

static sn_status read_token(struct lex *x, sn_error *err)
{
    const char *at = x->now.at;

    if (*at == '\0') {
        x->now.kind = TOKEN_END;
        x->now.n = 0;
        return SN_OK;
    }
    if (*at == '"' || *at == '\'') return read_text(x, err);
    if (isdigit((unsigned char)*at) || (*at == '.' && isdigit((unsigned char)at[1])))
        return read_number(x, err);
    if (starts_name(*at)) {
        x->now.kind = TOKEN_NAME;
        for (x->now.n = 1; continues_name(at[x->now.n]);)
            x->now.n++;
        return SN_OK;
    }
    for (size_t i = 0; i < COUNT(signs); i++)
        if (strncmp(at, signs[i], strlen(signs[i])) == 0) {
            x->now.kind = TOKEN_SIGN;
            x->now.n = strlen(signs[i]);
            return SN_OK;
        }
    if (isprint((unsigned char)*at))
        return sn_fail(err, SN_E_SYNTAX, x->where,
                       "column %zu: \"%c\" is not part of expressions%s", lex_column(x, at), *at,
                       strchr("./:", *at)
                           ? "; a label that is no identifier is written choice(\"the/label\")"
                           : "");
    return sn_fail(err, SN_E_SYNTAX, x->where,
                   "column %zu: the character with code %d is not part of expressions",
                   lex_column(x, at), (unsigned char)*at);
}

sn_status lex_next(struct lex *x, sn_error *err)
{
    sn_status rc;

    x->next += strspn(x->next, " \t\r\n\f");
    x->now.at = x->next;
    rc = read_token(x, err);
    if (rc == SN_OK) x->next = x->now.at + x->now.n;
    return rc;
}

sn_status lex_start(struct lex *x, sn_arena *mem, const char *text, const char *where,
                    sn_error *err)
{
    size_t n;

    *x = (struct lex){.text = text, .next = text, .where = where, .mem = mem};
    if (strlen(text) > EXPR_MAX_TEXT_BYTES)
        return sn_fail(err, SN_E_LIMIT, where, "the expression has %zu characters; %d are allowed",
                       strlen(text), EXPR_MAX_TEXT_BYTES);
    for (const char *at = text; *at; at += n) {
        n = utf8_bytes(at);
        if (n == 0)
            return sn_fail(err, SN_E_SYNTAX, where, "column %zu: this is not UTF-8",
                           lex_column(x, at));
    }
    return lex_next(x, err);
}
