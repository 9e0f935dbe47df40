/* json_cursor: see json_cursor.h. */
#include "http/json_cursor.h"

#include <math.h>
#include <string.h>

#include "http/buf.h"
#include "http/number.h"

void api_json_space(struct json_cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\t' || *c->at == '\r'))
        c->at++;
}

bool api_json_eat(struct json_cursor *c, char byte)
{
    api_json_space(c);
    if (c->at == c->end || *c->at != byte) return false;
    c->at++;
    return true;
}

static const char *where_of(const struct json_cursor *c)
{
    return c->where ? c->where : "body";
}

/* Line and column, from 1, of a byte of the text. */
static void place(const struct json_cursor *c, int *ret_line, int *ret_column)
{
    *ret_line = *ret_column = 1;
    for (const char *at = c->start; at < c->at; at++) {
        ++*ret_column;
        if (*at == '\n') {
            ++*ret_line;
            *ret_column = 1;
        }
    }
}

enum problem_code api_json_expected(const struct json_cursor *c, const char *what,
                                    struct problem *p)
{
    const char *where = where_of(c);
    int         line, column;

    place(c, &line, &column);
    if (c->at == c->end)
        return api_fail(p, P_SYNTAX, where, "line %d column %d: expected %s, but the %s ends", line,
                        column, what, c->where ? "text" : "body");
    if (*c->at < ' ' || *c->at > '~')
        return api_fail(p, P_SYNTAX, where, "line %d column %d: expected %s, not byte 0x%02x", line,
                        column, what, (unsigned char)*c->at);
    return api_fail(p, P_SYNTAX, where, "line %d column %d: expected %s, not '%c'", line, column,
                    what, *c->at);
}

static enum problem_code skip_string(struct json_cursor *c, struct problem *p)
{
    for (c->at++; c->at < c->end && *c->at != '"'; c->at++)
        if (*c->at == '\\' && ++c->at == c->end) break;
    if (c->at == c->end) return api_json_expected(c, "the end of a string", p);
    c->at++;
    return P_OK;
}

enum problem_code api_json_skip(struct json_cursor *c, struct problem *p)
{
    const char *first;
    size_t      depth = 0;

    api_json_space(c);
    first = c->at;
    do {
        if (c->at == c->end)
            return api_json_expected(c, depth ? "the end of an array or object" : "a value", p);
        switch (*c->at) {
        case '"':
            if (skip_string(c, p) != P_OK) return p->code;
            break;
        case '[':
        case '{':
            depth++;
            c->at++;
            break;
        case ']':
        case '}':
            if (depth == 0) return api_json_expected(c, "a value", p);
            depth--;
            c->at++;
            break;
        default:
            if (depth) { /* numbers, words, commas, space */
                c->at++;
                break;
            }
            while (c->at < c->end && !memchr(",]} \t\r\n", *c->at, 7))
                c->at++;
            if (c->at == first) return api_json_expected(c, "a value", p);
        }
    } while (depth);
    return P_OK;
}

/* ---- checking ---- */

/* Four hexadecimal digits at the cursor; -1 if they are not there. */
static int hex4(struct json_cursor *c)
{
    int x = 0;

    if (c->end - c->at < 4) return -1;
    for (int i = 0; i < 4; i++) {
        const char d = c->at[i];

        if (d >= '0' && d <= '9')
            x = 16 * x + d - '0';
        else if ((d >= 'a' && d <= 'f') || (d >= 'A' && d <= 'F'))
            x = 16 * x + (d | 32) - 'a' + 10;
        else
            return -1;
    }
    c->at += 4;
    return x;
}

static bool is_high(int x)
{
    return x >= 0xD800 && x < 0xDC00;
}

static bool is_low(int x)
{
    return x >= 0xDC00 && x < 0xE000;
}

/* Behind a backslash. */
static enum problem_code check_escape(struct json_cursor *c, struct problem *p)
{
    const char *at = c->at;
    int         x;

    if (c->at == c->end || !strchr("\"\\/bfnrtu", *c->at) || !*c->at)
        return api_json_expected(c, "an escape such as \\n", p);
    if (*c->at++ != 'u') return P_OK;
    x = hex4(c);
    if (x == 0) {
        int line, column;

        place(c, &line, &column);
        return api_fail(p, P_INVALID, where_of(c), "line %d column %d: \\u0000 is not allowed",
                        line, column);
    }
    if (is_high(x) && c->end - c->at >= 2 && c->at[0] == '\\' && c->at[1] == 'u') {
        c->at += 2;
        x = is_low(hex4(c)) ? 0 : -1;
    }
    if (x >= 0 && !is_high(x) && !is_low(x)) return P_OK;
    c->at = at;
    return api_json_expected(c, "four hexadecimal digits of a character, or two such pairs", p);
}

static enum problem_code check_string(struct json_cursor *c, struct problem *p)
{
    for (c->at++; c->at < c->end && *c->at != '"';) {
        const unsigned char byte = (unsigned char)*c->at;
        size_t              n = 1;

        if (byte == '\\') {
            c->at++;
            if (check_escape(c, p) != P_OK) return p->code;
            continue;
        }
        if (byte < 0x20) return api_json_expected(c, "no control character in a string", p);
        if (byte >= 0x80) n = api_utf8_bytes(c->at, (size_t)(c->end - c->at));
        if (n == 0) return api_json_expected(c, "UTF-8", p);
        c->at += n;
    }
    if (c->at == c->end) return api_json_expected(c, "the end of a string", p);
    c->at++;
    return P_OK;
}

static enum problem_code check_number(struct json_cursor *c, struct problem *p)
{
    char        last[64]; /* a number at the very end has nothing behind it */
    const char *at = c->at, *end;
    size_t      n = 0;
    bool        is_integer;
    int64_t     integer;

    while (at + n < c->end && n < sizeof last && strchr("+-.0123456789eE", at[n]) && at[n])
        n++;
    if (at + n == c->end && n < sizeof last) {
        memcpy(last, at, n);
        last[n] = ' ';
        end = api_number_scan(last, last + n + 1, &is_integer);
        if (end) at = last;
    } else {
        end = api_number_scan(at, c->end, &is_integer);
    }
    if (!end) return api_json_expected(c, "a value", p);
    c->at += end - at;
    if (is_integer ? api_number_parse_int(at, end, &integer) : isfinite(api_number_parse(at, end)))
        return P_OK;
    return api_fail(p, P_INVALID, where_of(c), "%.*s is %s", (int)(end - at < 40 ? end - at : 40),
                    at, is_integer ? "an integer of more than 64 bits" : "no finite number");
}

static enum problem_code check_word(struct json_cursor *c, struct problem *p)
{
    static const char *const words[] = {"true", "false", "null"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        const size_t n = strlen(words[i]);

        if ((size_t)(c->end - c->at) < n || memcmp(c->at, words[i], n) != 0) continue;
        c->at += n;
        return P_OK;
    }
    return api_json_expected(c, "a value", p);
}

static enum problem_code check_name(struct json_cursor *c, struct problem *p)
{
    api_json_space(c);
    if (c->at == c->end || *c->at != '"') return api_json_expected(c, "a name in quotes", p);
    if (check_string(c, p) != P_OK) return p->code;
    return api_json_eat(c, ':') ? P_OK : api_json_expected(c, "':'", p);
}

enum { MAX_DEPTH = 1024, ASK_EVERY = 4096 };

enum problem_code api_json_read(struct json_cursor *c, struct json_text *ret_text,
                                struct problem *p)
{
    char   closing[MAX_DEPTH]; /* of the containers that are open */
    int    depth = 0;
    size_t n = 0;

    api_json_space(c);
    ret_text->at = c->at;
    do {
        enum problem_code rc;

        if (c->stop && ++n % ASK_EVERY == 0 && atomic_load(c->stop))
            return api_fail(p, P_STOPPED, "", "stopped while the request was read");
        api_json_space(c);
        if (c->at == c->end) return api_json_expected(c, "a value", p);
        switch (*c->at) {
        case '{':
        case '[':
            if (depth == MAX_DEPTH)
                return api_fail(p, P_INVALID, where_of(c),
                                "arrays and objects are nested more than %d deep", MAX_DEPTH);
            closing[depth++] = *c->at++ == '{' ? '}' : ']';
            if (!api_json_eat(c, closing[depth - 1])) {
                if (closing[depth - 1] == '}' && check_name(c, p) != P_OK) return p->code;
                continue;
            }
            depth--;
            rc = P_OK;
            break;
        case '"':
            rc = check_string(c, p);
            break;
        case '-':
        case '0' ... '9':
            rc = check_number(c, p);
            break;
        default:
            rc = check_word(c, p);
        }
        if (rc != P_OK) return rc;
        while (depth && api_json_eat(c, closing[depth - 1]))
            depth--;
        if (!depth) break;
        if (!api_json_eat(c, ','))
            return api_json_expected(c, closing[depth - 1] == '}' ? "',' or '}'" : "',' or ']'", p);
        if (closing[depth - 1] == '}' && check_name(c, p) != P_OK) return p->code;
    } while (depth);
    ret_text->end = c->at;
    return P_OK;
}

enum problem_code api_json_read_all(const char *at, size_t n, const char *where,
                                    const atomic_bool *stop, struct json_text *ret_text,
                                    struct problem *p)
{
    struct json_cursor c = {at, at, at + n, where, stop};
    struct json_text   text;

    if (api_json_read(&c, &text, p) != P_OK) return p->code;
    api_json_space(&c);
    if (c.at != c.end) return api_json_expected(&c, "the end", p);
    *ret_text = text;
    return P_OK;
}

/* ---- over checked text ---- */

char api_json_first(struct json_text t)
{
    return *t.at == '-' || (*t.at >= '0' && *t.at <= '9') ? '0' : *t.at;
}

const char *api_json_kind(struct json_text t)
{
    int64_t integer;

    switch (api_json_first(t)) {
    case '{':
        return "an object";
    case '[':
        return "an array";
    case '"':
        return "a string";
    case 't':
        return "true";
    case 'f':
        return "false";
    case 'n':
        return "null";
    default:
        return api_json_integer(t, &integer) ? "an integer" : "a number";
    }
}

struct json_walk api_json_walk(struct json_text t)
{
    return (struct json_walk){{t.at, t.at + 1, t.end, NULL, NULL}};
}

/* The value at the cursor, and the comma behind it. */
static struct json_text take(struct json_cursor *c)
{
    struct problem   none = {0};
    struct json_text t;

    api_json_space(c);
    t.at = c->at;
    api_json_skip(c, &none);
    t.end = c->at;
    api_json_eat(c, ',');
    return t;
}

static bool is_over(struct json_cursor *c)
{
    api_json_space(c);
    return c->at == c->end || *c->at == ']' || *c->at == '}';
}

bool api_json_item(struct json_walk *w, struct json_text *ret_item)
{
    if (is_over(&w->c)) return false;
    *ret_item = take(&w->c);
    return true;
}

bool api_json_member(struct json_walk *w, struct json_text *ret_name, struct json_text *ret_value)
{
    if (is_over(&w->c)) return false;
    *ret_name = take(&w->c);
    api_json_eat(&w->c, ':');
    *ret_value = take(&w->c);
    return true;
}

size_t api_json_count(struct json_text t)
{
    struct json_walk w = api_json_walk(t);
    struct json_text name, value;
    size_t           n = 0;

    if (*t.at == '{')
        while (api_json_member(&w, &name, &value))
            n++;
    else
        while (api_json_item(&w, &value))
            n++;
    return n;
}

/* The next character of a string as UTF-8: *at moves behind it. */
static size_t next_character(const char **at, char to[4])
{
    static const char  escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    struct json_cursor c;
    const char        *found;
    uint32_t           x;

    if (**at != '\\') {
        to[0] = *(*at)++;
        return 1;
    }
    found = strchr(escapes, (*at)[1]);
    if (found) {
        to[0] = meant[found - escapes];
        *at += 2;
        return 1;
    }
    c = (struct json_cursor){*at, *at + 2, *at + 6, NULL, NULL}; /* \uXXXX, maybe twice */
    x = (uint32_t)hex4(&c);
    if (is_high((int)x)) {
        c.at += 2;
        c.end = c.at + 4;
        x = 0x10000 + ((x - 0xD800) << 10) + ((uint32_t)hex4(&c) - 0xDC00);
    }
    *at = c.at;
    if (x < 0x80) {
        to[0] = (char)x;
        return 1;
    }
    if (x < 0x800) {
        to[0] = (char)(0xC0 | x >> 6);
        to[1] = (char)(0x80 | (x & 63));
        return 2;
    }
    if (x < 0x10000) {
        to[0] = (char)(0xE0 | x >> 12);
        to[1] = (char)(0x80 | (x >> 6 & 63));
        to[2] = (char)(0x80 | (x & 63));
        return 3;
    }
    to[0] = (char)(0xF0 | x >> 18);
    to[1] = (char)(0x80 | (x >> 12 & 63));
    to[2] = (char)(0x80 | (x >> 6 & 63));
    to[3] = (char)(0x80 | (x & 63));
    return 4;
}

bool api_json_equals(struct json_text t, const char *text)
{
    const char *at = t.at + 1, *end = t.end - 1;

    while (at < end) {
        char         c[4];
        const size_t n = next_character(&at, c);

        if (strncmp(text, c, n) != 0) return false;
        text += n;
    }
    return !*text;
}

size_t api_json_room(struct json_text t)
{
    return (size_t)(t.end - t.at) - 1; /* two quotes less, a NUL more */
}

void api_json_decode(struct json_text t, char *to)
{
    const char *at = t.at + 1, *end = t.end - 1;

    while (at < end) {
        char         c[4];
        const size_t n = next_character(&at, c);

        memcpy(to, c, n);
        to += n;
    }
    *to = '\0';
}

bool api_json_integer(struct json_text t, int64_t *ret_integer)
{
    for (const char *at = t.at; at < t.end; at++)
        if (*at == '.' || *at == 'e' || *at == 'E') return false;
    return api_number_parse_int(t.at, t.end, ret_integer);
}

double api_json_real(struct json_text t)
{
    return api_number_parse(t.at, t.end);
}

size_t api_json_tree_bytes(struct json_text t)
{
    enum { SCALAR = 64, STRING = 64, CONTAINER = 288, MEMBER = 160 };
    size_t n = (size_t)(t.end - t.at) + SCALAR;

    for (const char *at = t.at; at < t.end; at++)
        switch (*at) {
        case '{':
        case '[':
            n += CONTAINER;
            break;
        case ',':
            n += SCALAR;
            break;
        case ':':
            n += MEMBER;
            break;
        case '"': /* what stands in a string is none of them */
            n += STRING;
            for (at++; *at != '"'; at++)
                if (*at == '\\') at++;
            break;
        default:
            break;
        }
    return n;
}
