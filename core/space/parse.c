/* parse: the text of an expression -> a program.
 *
 * From loose to tight: a if p else b, or, and, not, comparisons (chained), | ^ &,
 * shifts, + -, * / // %, signs and ~, **, indexing and calls: Python's grammar.
 * One function for each level, all of them append to the same program. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "space/code.h"
#include "space/lex.h"
#include "space/program.h"

struct parser {
    struct lex  x;
    sn_arena   *mem;
    const char *where;
    sn_error   *err;
    int         depth;

    /* What a name may be: one of the two. */
    const struct expr_scope *scope;
    const struct expr_name  *name;
    size_t                   n_names;

    struct program out; /* so far */
};

static sn_status parse_expression(struct parser *p);
static sn_status parse_unary(struct parser *p);

/* ---- messages --------------------------------------------------------------------- */

static size_t column(const struct parser *p)
{
    return lex_column(&p->x, p->x.now.at);
}

static sn_status unexpected(struct parser *p, const char *allowed)
{
    static const char *const absent[] = {"in", "is", "lambda", "for", "await"};
    const struct token      *t = &p->x.now;

    if (t->kind == TOKEN_END)
        return sn_fail(p->err, SN_E_SYNTAX, p->where,
                       "column %zu: the expression ends where %s is expected", column(p), allowed);
    for (size_t i = 0; i < COUNT(absent); i++)
        if (lex_is(t, absent[i]))
            return sn_fail(p->err, SN_E_SYNTAX, p->where,
                           "column %zu: expressions do not have \"%s\"", column(p), absent[i]);
    return sn_fail(p->err, SN_E_SYNTAX, p->where, "column %zu: \"%.*s\" where %s is expected",
                   column(p), (int)(t->n < 80 ? t->n : 80), t->at, allowed);
}

static sn_status expect(struct parser *p, const char *sign, const char *allowed)
{
    return lex_is(&p->x.now, sign) ? lex_next(&p->x, p->err) : unexpected(p, allowed);
}

/* Each level of nesting is a level of recursion here: bounded. */
static sn_status enter(struct parser *p)
{
    if (p->depth == EXPR_MAX_NESTING)
        return sn_fail(p->err, SN_E_SYNTAX, p->where, "column %zu: nested more than %d levels deep",
                       column(p), EXPR_MAX_NESTING);
    p->depth++;
    return SN_OK;
}

/* ---- names ----------------------------------------------------------------------------- */

static const sn_choice *find_choice(const struct expr_scope *scope, const char *name, size_t n)
{
    size_t i;

    for (; scope; scope = scope->outer) {
        if (scope->by_label) {
            if (table_find_bytes(scope->by_label, name, n, &i)) return &scope->choice[i];
            continue;
        }
        for (i = 0; i < scope->n; i++)
            if (strlen(scope->choice[i].label) == n && memcmp(scope->choice[i].label, name, n) == 0)
                return &scope->choice[i];
    }
    return NULL;
}

/* The first LISTED names into `known`; how many there are. */
enum { LISTED = 1000 };
static size_t all_names(const struct parser *p, const char **known)
{
    size_t n = 0, all = p->n_names;

    for (size_t i = 0; i < p->n_names && n < LISTED; i++)
        known[n++] = p->name[i].name;
    for (const struct expr_scope *s = p->name ? NULL : p->scope; s; s = s->outer) {
        for (size_t i = 0; i < s->n && n < LISTED; i++)
            known[n++] = s->choice[i].label;
        all += s->n;
    }
    return all;
}

static sn_status unknown_name(struct parser *p, const char *name, size_t n, const char *at)
{
    const char  *known[LISTED], *what = p->name ? "an argument" : "a choice", *closest;
    const size_t n_known = all_names(p, known);
    char         wrong[128], list[600], hint[160] = "";

    snprintf(wrong, sizeof wrong, "%.*s", (int)(n < sizeof wrong ? n : sizeof wrong), name);
    closest = names_closest(wrong, known, n_known < LISTED ? n_known : LISTED);
    if (closest) snprintf(hint, sizeof hint, "did you mean \"%.120s\"? ", closest);
    sn_fail(p->err, SN_E_UNKNOWN_NAME, p->where, "column %zu: \"%s\" is not %s; %s%s%s",
            lex_column(&p->x, at), wrong, what, hint,
            n_known == 0 ? "there are none"
            : p->name    ? "arguments are "
                         : "choices are ",
            names_list(known, n_known, list, sizeof list));
    return SN_E_UNKNOWN_NAME;
}

/* `at`: where it stands in the text; which column that is takes time to count. */
static sn_status emit_name(struct parser *p, const char *name, size_t n, const char *at)
{
    const sn_choice *choice = p->name ? NULL : find_choice(p->scope, name, n);
    size_t           i = 0;
    sn_value         copy;

    while (i < p->n_names &&
           (strlen(p->name[i].name) != n || memcmp(p->name[i].name, name, n) != 0))
        i++;
    if (!choice && i == p->n_names) return unknown_name(p, name, n, at);
    if (p->name && p->name[i].expr) return program_splice(&p->out, p->name[i].expr);
    if (p->name) {
        if (!value_copy(p->mem, p->name[i].fixed, &copy)) return fail_no_memory(p->err, p->where);
        return program_constant(&p->out, &copy);
    }
    if (choice->n_chosen != 1)
        return sn_fail(p->err, SN_E_INVALID, p->where,
                       "column %zu: \"%.200s\" decides on several candidates at once; expressions "
                       "read choices of one",
                       lex_column(&p->x, at), choice->label);
    if (choice->n_candidates == 0)
        return sn_fail(p->err, SN_E_INVALID, p->where, "column %zu: \"%.200s\" has no candidates",
                       lex_column(&p->x, at), choice->label);
    return program_label(&p->out, choice);
}

/* ---- atoms ------------------------------------------------------------------------------- */

/* Values with commas up to `close`, which is consumed; the comma behind the last one
 * is optional. *ret_commas tells (a) from (a,). */
static sn_status parse_items(struct parser *p, const char *close, size_t *ret_n, size_t *ret_commas)
{
    size_t n = 0, commas = 0;

    while (!lex_is(&p->x.now, close)) {
        if (n > commas)
            return unexpected(p, close[0] == ')' ? "an operator, \",\" or \")\""
                                                 : "an operator, \",\" or \"]\"");
        if (n == EXPR_MAX_STACK)
            return sn_fail(p->err, SN_E_SYNTAX, p->where,
                           "column %zu: more than %d values in a row", column(p), EXPR_MAX_STACK);
        TRY(parse_expression(p));
        n++;
        if (lex_is(&p->x.now, ",")) {
            TRY(lex_next(&p->x, p->err));
            commas++;
        }
    }
    *ret_n = n;
    *ret_commas = commas;
    return lex_next(&p->x, p->err);
}

/* Behind "(" or "[": a value in parentheses, or a tuple. */
static sn_status parse_group(struct parser *p)
{
    const char  *close = lex_is(&p->x.now, "(") ? ")" : "]";
    const size_t start = p->out.n_code;
    size_t       n = 0, commas = 0;

    TRY(lex_next(&p->x, p->err));
    TRY(parse_items(p, close, &n, &commas));
    if (n == 1 && commas == 0 && close[0] == ')') return SN_OK;
    return program_tuple(&p->out, start, n);
}

static const struct function_row {
    const char   *name;
    unsigned char fewest, most;
} functions[] = {
#define X(name, text, fewest, most) {text, fewest, most},
    FUNCTION_MAP(X)
#undef X
};

static sn_status no_function(struct parser *p, const struct token *name)
{
    static const char all[] = "functions are "
#define X(function, text, fewest, most) text ", "
        FUNCTION_MAP(X)
#undef X
            "choice";

    return sn_fail(p->err, SN_E_SYNTAX, p->where, "column %zu: \"%.*s\" is not a function; %s",
                   lex_column(&p->x, name->at), (int)(name->n < 80 ? name->n : 80), name->at, all);
}

static sn_status wrong_number(struct parser *p, const struct token *name,
                              const struct function_row *function, size_t n)
{
    char most[32] = "";

    if (function->most == 0)
        snprintf(most, sizeof most, " or more");
    else if (function->most > function->fewest)
        snprintf(most, sizeof most, " or %d", function->most);
    return sn_fail(p->err, SN_E_SYNTAX, p->where, "column %zu: %s takes %d%s argument%s, not %zu",
                   lex_column(&p->x, name->at), function->name, function->fewest, most,
                   function->most == 1 ? "" : "s", n);
}

/* choice("any label") */
static sn_status parse_choice(struct parser *p)
{
    const struct token text = p->x.now;

    if (text.kind != TOKEN_CONSTANT || text.value.kind != SN_KIND_TEXT)
        return unexpected(p, "a label in quotes");
    TRY(lex_next(&p->x, p->err));
    if (lex_is(&p->x.now, ",")) TRY(lex_next(&p->x, p->err));
    TRY(expect(p, ")", "\")\""));
    return emit_name(p, text.value.as.text, strlen(text.value.as.text), text.at);
}

/* `name` is consumed, and "(" is next. */
static sn_status parse_call(struct parser *p, const struct token *name)
{
    const size_t leaves_before = p->out.n_leaves;
    size_t       what = 0, n = 0, leaves_of_first = 0, leaves_of_second = 0;

    TRY(lex_next(&p->x, p->err));
    if (lex_is(name, "choice")) return parse_choice(p);
    while (what < COUNT(functions) && !lex_is(name, functions[what].name))
        what++;
    if (what == COUNT(functions)) return no_function(p, name);

    while (!lex_is(&p->x.now, ")")) {
        const size_t before = p->out.n_leaves;

        if (n == EXPR_MAX_STACK)
            return sn_fail(p->err, SN_E_SYNTAX, p->where, "column %zu: more than %d arguments",
                           column(p), EXPR_MAX_STACK);
        TRY(parse_expression(p));
        n++;
        if (n == 1) leaves_of_first = p->out.n_leaves - before;
        if (n == 2) leaves_of_second = p->out.n_leaves - before;
        if (lex_is(&p->x.now, ","))
            TRY(lex_next(&p->x, p->err));
        else if (!lex_is(&p->x.now, ")"))
            return unexpected(p, "an operator, \",\" or \")\"");
    }
    if (n < functions[what].fewest || (functions[what].most > 0 && n > functions[what].most))
        return wrong_number(p, name, &functions[what], n);
    TRY(lex_next(&p->x, p->err));
    if (what == FUNCTION_COND) /* leaves count as (if_true, pred, if_false) */
        TRY(program_swap_leaves(&p->out, leaves_before, leaves_of_first, leaves_of_second));
    return program_emit(&p->out, STEP_CALL, (int)what, n, 0);
}

static sn_status parse_name(struct parser *p)
{
    static const char *const keywords[] = {"and", "or", "not", "if",     "else",
                                           "in",  "is", "for", "lambda", "await"};
    const struct token       name = p->x.now;

    for (size_t i = 0; i < COUNT(keywords); i++)
        if (lex_is(&name, keywords[i]))
            return unexpected(p, "a value, a label, a function or \"(\"");
    TRY(lex_next(&p->x, p->err));
    if (lex_is(&name, "None")) return program_constant(&p->out, &(sn_value){.kind = SN_KIND_NULL});
    if (lex_is(&name, "True") || lex_is(&name, "False"))
        return program_constant(
            &p->out, &(sn_value){.kind = SN_KIND_BOOL, .as.boolean = lex_is(&name, "True")});
    if (lex_is(&p->x.now, "(")) return parse_call(p, &name);
    return emit_name(p, name.at, name.n, name.at);
}

/* A number, or texts: "a" "b" is "ab". */
static sn_status parse_constant(struct parser *p)
{
    sn_value    value = p->x.now.value;
    struct text all = {0};
    sn_status   rc = lex_next(&p->x, p->err);

    while (rc == SN_OK && value.kind == SN_KIND_TEXT && p->x.now.kind == TOKEN_CONSTANT &&
           p->x.now.value.kind == SN_KIND_TEXT) {
        if (!all.at) text_add(&all, value.as.text, strlen(value.as.text));
        text_add(&all, p->x.now.value.as.text, strlen(p->x.now.value.as.text));
        rc = lex_next(&p->x, p->err);
    }
    if (rc == SN_OK && all.at) value.as.text = all.failed ? NULL : arena_strdup(p->mem, all.at);
    free(all.at);
    if (rc != SN_OK) return rc;
    if (value.kind == SN_KIND_TEXT && !value.as.text) return fail_no_memory(p->err, p->where);
    return program_constant(&p->out, &value);
}

static sn_status parse_atom(struct parser *p)
{
    const struct token *t = &p->x.now;

    if (t->kind == TOKEN_CONSTANT) return parse_constant(p);
    if (t->kind == TOKEN_NAME) return parse_name(p);
    if (lex_is(t, "(") || lex_is(t, "[")) return parse_group(p);
    if (t->kind == TOKEN_EDGE)
        return sn_fail(p->err, SN_E_SYNTAX, p->where,
                       "column %zu: %.*s is too large for a 64-bit integer", column(p), (int)t->n,
                       t->at);
    return unexpected(p, "a value, a label, a function or \"(\"");
}

/* ---- operators ------------------------------------------------------------------------------ */

/* atom [index] ... ** factor */
static sn_status parse_power(struct parser *p)
{
    TRY(parse_atom(p));
    while (lex_is(&p->x.now, "[")) {
        TRY(lex_next(&p->x, p->err));
        TRY(parse_expression(p));
        TRY(expect(p, "]", "an operator or \"]\""));
        TRY(program_emit(&p->out, STEP_BINARY, BINARY_INDEX, 0, 0));
    }
    if (!lex_is(&p->x.now, "**")) return SN_OK;
    TRY(lex_next(&p->x, p->err));
    TRY(parse_unary(p));
    return program_emit(&p->out, STEP_BINARY, BINARY_POW, 0, 0);
}

/* -9223372036854775808, whose digits alone are too large */
static sn_status parse_smallest(struct parser *p)
{
    TRY(lex_next(&p->x, p->err));
    if (lex_is(&p->x.now, "**") || lex_is(&p->x.now, "[")) /* both bind tighter than the minus */
        return unexpected(p, "an operator that takes the whole number");
    return program_constant(&p->out, &(sn_value){.kind = SN_KIND_INT, .as.integer = INT64_MIN});
}

static sn_status parse_unary(struct parser *p)
{
    static const char *const sign[] = {
        [UNARY_NEGATIVE] = "-", [UNARY_POSITIVE] = "+", [UNARY_INVERT] = "~"};
    const size_t start = p->out.n_code;
    struct ops   ops = {.mem = p->mem, .work = CODE_WORK};
    sn_value    *v;
    size_t       what = 0;

    while (what < COUNT(sign) && !lex_is(&p->x.now, sign[what]))
        what++;
    TRY(enter(p));
    if (what == COUNT(sign)) {
        TRY(parse_power(p));
        p->depth--;
        return SN_OK;
    }
    TRY(lex_next(&p->x, p->err));
    if (what == UNARY_NEGATIVE && p->x.now.kind == TOKEN_EDGE) {
        p->depth--;
        return parse_smallest(p);
    }
    TRY(parse_unary(p));
    p->depth--;
    if (p->out.n_code == start + 1 && p->out.code[start].step == STEP_CONSTANT) {
        v = &p->out.constant[p->out.code[start].to.index]; /* -1 is a constant */
        if (ops_unary(&ops, (enum unary)what, v, v)) return SN_OK;
    }
    return program_emit(&p->out, STEP_UNARY, (int)what, 0, 0);
}

/* Left-associative operators, by rank: 0 is |, 5 is * / // %. */
static sn_status parse_binary(struct parser *p, int rank)
{
    static const struct {
        const char *sign;
        int         rank;
        enum binary what;
    } rows[] = {
        {"|", 0, BINARY_OR},   {"^", 1, BINARY_XOR},       {"&", 2, BINARY_AND},
        {"<<", 3, BINARY_SHL}, {">>", 3, BINARY_SHR},      {"+", 4, BINARY_ADD},
        {"-", 4, BINARY_SUB},  {"*", 5, BINARY_MUL},       {"/", 5, BINARY_DIV},
        {"%", 5, BINARY_MOD},  {"//", 5, BINARY_FLOORDIV},
    };

    TRY(parse_unary(p));
    for (size_t i = 0; i < COUNT(rows);) {
        if (rows[i].rank < rank || !lex_is(&p->x.now, rows[i].sign)) {
            i++;
            continue;
        }
        TRY(lex_next(&p->x, p->err));
        TRY(parse_binary(p, rows[i].rank + 1));
        TRY(program_emit(&p->out, STEP_BINARY, rows[i].what, 0, 0));
        i = 0;
    }
    return SN_OK;
}

/* Which comparison is next; false if none. */
static bool is_relation(const struct parser *p, int *ret_what)
{
    static const char *const sign[] = {
        [RELATION_LT] = "<",  [RELATION_LE] = "<=", [RELATION_EQ] = "==",
        [RELATION_NE] = "!=", [RELATION_GE] = ">=", [RELATION_GT] = ">"};

    for (size_t i = 0; i < COUNT(sign); i++)
        if (lex_is(&p->x.now, sign[i])) {
            *ret_what = (int)i;
            return true;
        }
    return false;
}

/* a < b < c: every comparison but the last is a chain, which leaves at once if it fails. */
static sn_status parse_comparison(struct parser *p)
{
    const size_t none = SIZE_MAX;
    size_t       chain = none; /* the last of them; each holds the distance to the one before */
    int          what, next;

    TRY(parse_binary(p, 0));
    if (!is_relation(p, &what)) return SN_OK;
    for (;;) {
        TRY(lex_next(&p->x, p->err));
        TRY(parse_binary(p, 0));
        if (!is_relation(p, &next)) break;
        TRY(program_emit(&p->out, STEP_CHAIN, what, 0,
                         chain == none ? 0 : (uint32_t)(p->out.n_code - chain)));
        chain = p->out.n_code - 1;
        what = next;
    }
    TRY(program_emit(&p->out, STEP_COMPARE, what, 0, 0));
    while (chain != none) {
        const size_t back = p->out.code[chain].to.index;

        program_land(&p->out, chain);
        chain = back == 0 ? none : chain - back;
    }
    return SN_OK;
}

static sn_status parse_not(struct parser *p)
{
    if (!lex_is(&p->x.now, "not")) return parse_comparison(p);
    TRY(enter(p));
    TRY(lex_next(&p->x, p->err));
    TRY(parse_not(p));
    p->depth--;
    return program_emit(&p->out, STEP_UNARY, UNARY_NOT, 0, 0);
}

static sn_status parse_and(struct parser *p)
{
    TRY(parse_not(p));
    while (lex_is(&p->x.now, "and")) {
        const size_t jump = p->out.n_code;

        TRY(lex_next(&p->x, p->err));
        TRY(program_emit(&p->out, STEP_AND, 0, 0, 0));
        TRY(parse_not(p));
        program_land(&p->out, jump);
    }
    return SN_OK;
}

static sn_status parse_or(struct parser *p)
{
    TRY(parse_and(p));
    while (lex_is(&p->x.now, "or")) {
        const size_t jump = p->out.n_code;

        TRY(lex_next(&p->x, p->err));
        TRY(program_emit(&p->out, STEP_OR, 0, 0, 0));
        TRY(parse_and(p));
        program_land(&p->out, jump);
    }
    return SN_OK;
}

/* a if p else b:   p, jump if false, a, jump, b */
static sn_status parse_expression(struct parser *p)
{
    const size_t start = p->out.n_code;
    size_t       n_then, skip_then, skip_else;

    TRY(enter(p));
    TRY(parse_or(p));
    if (lex_is(&p->x.now, "if")) {
        n_then = p->out.n_code - start;
        TRY(lex_next(&p->x, p->err));
        TRY(parse_or(p));
        TRY(program_emit(&p->out, STEP_JUMP_FALSE, 0, 0, 0));
        /* The text has `a` first, the program has `p` first. */
        TRY(program_swap_code(&p->out, start, n_then));
        skip_then = p->out.n_code - n_then - 1;
        skip_else = p->out.n_code;
        TRY(program_emit(&p->out, STEP_JUMP, 0, 0, 0));
        program_land(&p->out, skip_then);
        TRY(expect(p, "else", "an operator or \"else\""));
        TRY(parse_expression(p));
        program_land(&p->out, skip_else);
    }
    p->depth--;
    return SN_OK;
}

/* ---- the whole text ----------------------------------------------------------------------------
 */

static sn_status parse_text(struct parser *p, const char *text)
{
    const size_t start = p->out.n_code;
    size_t       n = 1;

    TRY(lex_start(&p->x, p->mem, text, p->where, p->err));
    TRY(parse_expression(p));
    if (lex_is(&p->x.now, ",")) { /* a tuple without parentheses */
        while (lex_is(&p->x.now, ",") && n <= EXPR_MAX_STACK) {
            TRY(lex_next(&p->x, p->err));
            if (p->x.now.kind == TOKEN_END) break;
            TRY(parse_expression(p));
            n++;
        }
        if (n > EXPR_MAX_STACK)
            return sn_fail(p->err, SN_E_SYNTAX, p->where,
                           "column %zu: more than %d values in a row", column(p), EXPR_MAX_STACK);
        TRY(program_tuple(&p->out, start, n));
    }
    if (p->x.now.kind != TOKEN_END)
        return unexpected(p, "an operator or the end of the expression");
    return SN_OK;
}

static sn_status parse(struct parser *p, const char *text, sn_expr **ret_expr)
{
    sn_status rc;

    p->out = (struct program){.mem = p->mem, .where = p->where, .err = p->err};
    rc = budget_step(arena_budget(p->mem), 16 * strlen(text), p->where, p->err);
    if (rc == SN_OK) rc = parse_text(p, text);
    if (rc == SN_OK) rc = program_finish(&p->out, text, ret_expr);
    program_fini(&p->out);
    return rc;
}

static sn_status parse_scope(sn_arena *mem, const char *text, const struct expr_scope *scope,
                             const char *where, sn_expr **ret_expr, sn_error *err)
{
    struct parser p = {.mem = mem, .where = where, .err = err, .scope = scope};

    return parse(&p, text, ret_expr);
}

sn_status code_parse(sn_arena *mem, const char *text, const sn_choice *choices, size_t n_choices,
                     const char *where, sn_expr **ret_expr, sn_error *err)
{
    enum { FEW = 16 };
    struct table      by_label = {0};
    struct expr_scope scope = {.choice = choices, .n = n_choices};
    sn_arena         *tmp = n_choices > FEW ? sn_arena_create() : NULL;
    sn_status         rc = SN_OK;
    size_t            i = 0, unused;

    for (; tmp && i < n_choices; i++)
        if (!table_find(&by_label, choices[i].label, &unused) &&
            !table_add(&by_label, tmp, choices[i].label, i))
            break;
    if (tmp) scope.by_label = &by_label;
    if (n_choices > FEW && i < n_choices)
        rc = fail_no_memory(err, where);
    else
        rc = parse_scope(mem, text, &scope, where, ret_expr, err);
    sn_arena_free(tmp);
    return rc;
}

sn_status expr_parse_in(sn_arena *mem, const char *text, const sn_choice *choices, size_t n_choices,
                        const char *where, const sn_expr **ret_expr, sn_error *err)
{
    sn_expr        *e = NULL;
    const sn_status rc = code_parse(mem, text, choices, n_choices, where, &e, err);

    if (rc == SN_OK) *ret_expr = e;
    return rc;
}

sn_status expr_parse_scope(sn_arena *mem, const char *text, const struct expr_scope *scope,
                           const char *where, const sn_expr **ret_expr, sn_error *err)
{
    sn_expr        *e = NULL;
    const sn_status rc = parse_scope(mem, text, scope, where, &e, err);

    if (rc == SN_OK) *ret_expr = e;
    return rc;
}

sn_status expr_compose(sn_arena *mem, const char *text, const struct expr_name *names, size_t n,
                       const char *where, const sn_expr **ret_expr, sn_error *err)
{
    static const struct expr_name nothing;
    struct parser                 p = {.mem = mem, .where = where, .err = err};
    sn_expr                      *e = NULL;
    sn_status                     rc;

    p.name = n > 0 ? names : &nothing; /* what says that names are meant */
    p.n_names = n;
    rc = parse(&p, text, &e);
    if (rc == SN_OK) *ret_expr = e;
    return rc;
}
