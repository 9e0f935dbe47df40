/* slip: what people and programs get wrong in a document, put into one that is right. */
#include "grammar.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SPANS = 1000, MOST_NESTED = 64 };

/* A value, and the key before it if it is a member. */
struct span {
    size_t key, start, end; /* key == start: an item, or the whole */
};

struct scan {
    const char *at;
    size_t      i, n, n_spans;
    struct span span[MOST_SPANS];
};

static void skip_space(struct scan *s)
{
    while (s->i < s->n && isspace((unsigned char)s->at[s->i]))
        s->i++;
}

static bool eat(struct scan *s, char c)
{
    skip_space(s);
    if (s->i == s->n || s->at[s->i] != c) return false;
    s->i++;
    return true;
}

static bool scan_string(struct scan *s)
{
    if (!eat(s, '"')) return false;
    while (s->i < s->n && s->at[s->i] != '"')
        s->i += s->at[s->i] == '\\' ? 2 : 1;
    if (s->i >= s->n) return false;
    s->i++;
    return true;
}

static bool scan_value(struct scan *s, int depth, size_t key)
{
    size_t start, member;
    char   open;

    skip_space(s);
    start = s->i;
    if (s->i == s->n || depth == MOST_NESTED) return false;
    open = s->at[s->i];
    if (open == '"') {
        if (!scan_string(s)) return false;
    } else if (open == '{' || open == '[') {
        const char close = open == '{' ? '}' : ']';

        s->i++;
        if (!eat(s, close)) {
            do {
                skip_space(s);
                member = s->i;
                if (open == '{' && (!scan_string(s) || !eat(s, ':'))) return false;
                if (!scan_value(s, depth + 1, open == '{' ? member : SIZE_MAX)) return false;
            } while (eat(s, ','));
            if (!eat(s, close)) return false;
        }
    } else {
        while (s->i < s->n && !strchr(",]} \n\r\t", s->at[s->i]))
            s->i++;
        if (s->i == start) return false;
    }
    if (s->n_spans < MOST_SPANS)
        s->span[s->n_spans++] = (struct span){key == SIZE_MAX ? start : key, start, s->i};
    return true;
}

static void replace(struct text *doc, size_t from, size_t to, const char *with, size_t n)
{
    struct text t = {0};

    text_add(&t, doc->at, from);
    text_add(&t, with, n);
    text_add(&t, doc->at + to, doc->n - to);
    free(doc->at);
    *doc = t;
}

static const char *odd_value(struct dice *d)
{
    static const char *const odd[] = {
        "0",
        "-1",
        "1",
        "2",
        "null",
        "true",
        "false",
        "\"\"",
        "[]",
        "{}",
        "4.0",
        "0.5",
        "1e999",
        "-0.0",
        "1e308",
        "2147483647",
        "4294967296",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "\"same\"",
        "\"N\"",
        "\"w1\"",
        "\"w1 * 1.5\"",
        "\"1e308 * 10\"",
        "\"1e308 * 10 - 1e308 * 10\"",
        "[1, 2]",
        "[3, 3]",
        "[0, 0]",
        "[[1, 2], [2, 1]]",
        "[1, 1.0, true]",
        "[\"a\", \"b\"]",
        "[null, 1]",
        "\"(1, 2)\"",
        "\"w1 if w2 > 1 else 'same'\"",
        "\"1 // 0\"",
        "\"x\"",
        "3",
        "64",
        "1000000",
        "\"2 ** 62\"",
        "\"'a' * 100\"",
        "\"(1,) * 100\"",
        "{\"expr\": \"q\", \"choices\": {\"q\": [1, 2]}}",
        "{\"if_input\": 0, \"then\": 1, \"else\": 2}",
        "[1e-5, 1e999]",
        "\"BOOL\"",
        "\"nni-2.8\"",
    };

    return odd[dice_below(d, COUNT(odd))];
}

static const struct span *pick(struct dice *d, const struct scan *s)
{
    const unsigned high = dice_below(d, 256);

    return &s->span[(high << 8 | dice_below(d, 256)) % s->n_spans];
}

void grammar_slip(struct dice *d, struct text *doc)
{
    struct scan       *s = calloc(1, sizeof *s);
    const struct span *a, *b;
    char               number[32], *copy;
    const char        *odd;
    size_t             from;

    if (!s || !doc->at) {
        free(s);
        return;
    }
    s->at = doc->at;
    s->n = doc->n;
    scan_value(s, 0, SIZE_MAX);
    if (s->n_spans == 0) {
        free(s);
        return;
    }
    a = pick(d, s);
    b = pick(d, s);
    switch (dice_below(d, 8)) {
    case 0:
    case 1:
        odd = odd_value(d);
        replace(doc, a->start, a->end, odd, strlen(odd));
        break;
    case 2: /* one less */
        from = a->key;
        while (from > 0 && doc->at[from - 1] == ' ')
            from--;
        if (from > 0 && doc->at[from - 1] == ',') from--;
        replace(doc, from, a->end, "", 0);
        break;
    case 3: /* there twice */
        copy = strndup(doc->at + a->key, a->end - a->key);
        replace(doc, a->end, a->end, copy, strlen(copy));
        replace(doc, a->end, a->end, ", ", 2);
        free(copy);
        break;
    case 4: /* a value from elsewhere */
        copy = strndup(doc->at + b->start, b->end - b->start);
        replace(doc, a->start, a->end, copy, strlen(copy));
        free(copy);
        break;
    case 5: /* a member from elsewhere */
        if (a->key == a->start || b->key == b->start) break;
        copy = strndup(doc->at + b->key, b->end - b->key);
        replace(doc, a->key, a->end, copy, strlen(copy));
        free(copy);
        break;
    case 6: /* one more or less of a number */
        if (!isdigit((unsigned char)doc->at[a->start])) break;
        snprintf(
            number, sizeof number, "%ld",
            (long)((unsigned long)strtol(doc->at + a->start, NULL, 10) + dice_below(d, 5) - 2));
        replace(doc, a->start, a->end, number, strlen(number));
        break;
    default: /* an expression of it */
        copy = malloc(a->end - a->start + 40);
        if (isdigit((unsigned char)doc->at[a->start]))
            sprintf(copy, "\"%.*s %s\"", (int)(a->end - a->start), doc->at + a->start,
                    dice_once_in(d, 2) ? "* 2" : "if True else 'same'");
        else
            sprintf(copy, "[%.*s]", (int)(a->end - a->start), doc->at + a->start);
        replace(doc, a->start, a->end, copy, strlen(copy));
        free(copy);
        break;
    }
    free(s);
}
