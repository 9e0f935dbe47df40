/* lex: the words of an expression, one at a time. */
#ifndef SPACE_LEX_H
#define SPACE_LEX_H

#include "base/base.h"

enum token_kind {
    TOKEN_END,
    TOKEN_NAME,     /* a label, a function or a keyword of Python */
    TOKEN_CONSTANT, /* a number or a text, in `value` */
    TOKEN_EDGE,     /* 9223372036854775808: an integer only behind a minus */
    TOKEN_SIGN      /* "+", "<=", "(", ... */
};

struct token {
    enum token_kind kind;
    const char     *at;
    size_t          n; /* bytes */
    sn_value        value;
};

struct lex {
    const char  *text, *next;
    const char  *where;
    sn_arena    *mem; /* for texts */
    struct token now; /* not yet consumed */
};

/* Checks length and encoding of `text`, and reads the first token. */
sn_status lex_start(struct lex *x, sn_arena *mem, const char *text, const char *where,
                    sn_error *err);
sn_status lex_next(struct lex *x, sn_error *err);

/* Is this token spelt like that? */
bool lex_is(const struct token *t, const char *spelling);

/* Counted in characters, from 1. */
size_t lex_column(const struct lex *x, const char *at);

#endif
