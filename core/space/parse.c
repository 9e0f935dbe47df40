/* parse: the text of an expression -> a program.
 *
 * From loose to tight: a if p else b, or, and, not, comparisons (chained), | ^ &,
 * shifts, + -, * / // %, signs and ~, **, indexing and calls: Python's grammar.
 * One function for each level, all of them append to the same program. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "space/code.h"
#include "space/lex.h"

struct parser {
    struct lex  x;
    sn_arena   *mem;
    const char *where;
    sn_error   *err;
    int         depth;

    /* What a name may be: one of the two. */
    const sn_choice        *choice;
    size_t                  n_choices;
    const struct expr_name *name;
    size_t                  n_names;

    /* The program so far; label indices are in order of first use in `code`. */
    struct code      *code;
    sn_value         *constant;
    uint32_t         *leaf;
    const sn_choice **label;
    size_t            n_code, n_constants, n_leaves, n_labels;
    size_t            cap_code, cap_constants, cap_leaves, cap_labels;
};

static sn_status parse_expression(struct parser *p);
static sn_status parse_unary(struct parser *p);

#define TRY(call)                                                                                  \
    do {                                                                                           \
        const sn_status rc_ = (call);                                                              \
        if (rc_ != SN_OK) return rc_;                                                              \
    } while (0)

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

/* ---- appending ---------------------------------------------------------------------- */

/* Room for one more item at *vector. */
static sn_status grow(struct parser *p, void *vector, size_t n, size_t *cap, size_t size)
{
    void  *old, *bigger;
    size_t more = *cap == 0 ? 16 : *cap * 2;

    if (n < *cap) return SN_OK;
    if (n >= EXPR_MAX_CODE)
        return sn_fail(p->err, SN_E_LIMIT, p->where, "the expression has more than %d parts",
                       EXPR_MAX_CODE);
    memcpy(&old, vector, sizeof old);
    bigger = realloc(old, more * size);
    if (!bigger) return fail_no_memory(p->err, p->where);
    memcpy(vector, &bigger, sizeof bigger);
    *cap = more;
    return SN_OK;
}

static sn_status emit(struct parser *p, enum step step, int what, size_t n, uint32_t index)
{
    TRY(grow(p, &p->code, p->n_code, &p->cap_code, sizeof *p->code));
    p->code[p->n_code++] = (struct code){
        .step = (uint8_t)step, .what = (uint8_t)what, .n = (uint16_t)n, .to.index = index};
    return SN_OK;
}

static sn_status emit_constant(struct parser *p, const sn_value *v)
{
    TRY(grow(p, &p->constant, p->n_constants, &p->cap_constants, sizeof *p->constant));
    p->constant[p->n_constants] = *v;
    return emit(p, STEP_CONSTANT, 0, 0, (uint32_t)p->n_constants++);
}

/* Reads of labels are leaves; `choice` is found again by its label. */
static sn_status emit_label(struct parser *p, const sn_choice *choice)
{
    size_t i = 0;

    while (i < p->n_labels && p->label[i] != choice &&
           strcmp(p->label[i]->label, choice->label) != 0)
        i++;
    if (i == p->n_labels) {
        TRY(grow(p, &p->label, p->n_labels, &p->cap_labels, sizeof(const sn_choice *)));
        p->label[p->n_labels++] = choice;
    }
    TRY(grow(p, &p->leaf, p->n_leaves, &p->cap_leaves, sizeof *p->leaf));
    p->leaf[p->n_leaves++] = (uint32_t)i;
    return emit(p, STEP_LABEL, 0, 0, (uint32_t)i);
}

/* The jump at `at` goes behind everything there is now. */
static void land(struct parser *p, size_t at)
{
    p->code[at].to.jump = (int32_t)(p->n_code - at - 1);
}

/* [a | b] -> [b | a], with `size` bytes for an item. */
static sn_status swap(struct parser *p, void *a, size_t n_a, size_t n_b, size_t size)
{
    char *left;

    if (n_a == 0 || n_b == 0) return SN_OK;
    left = malloc(n_a * size);
    if (!left) return fail_no_memory(p->err, p->where);
    memcpy(left, a, n_a * size);
    memmove(a, (char *)a + n_a * size, n_b * size);
    memcpy((char *)a + n_b * size, left, n_a * size);
    free(left);
    return SN_OK;
}

/* ---- names ----------------------------------------------------------------------------- */

/* Append the program of another expression: its jumps are relative. */
static sn_status splice(struct parser *p, const sn_expr *e)
{
    const size_t first_leaf = p->n_leaves, first_constant = p->n_constants;

    for (size_t i = 0; i < e->n_constants; i++) {
        TRY(grow(p, &p->constant, p->n_constants, &p->cap_constants, sizeof *p->constant));
        p->constant[p->n_constants++] = e->constant[i];
    }
    for (size_t i = 0; i < e->n_code; i++) {
        if (e->code[i].step == STEP_LABEL) {
            TRY(emit_label(p, e->label[e->code[i].to.index]));
            continue;
        }
        TRY(emit(p, STEP_CONSTANT, 0, 0, 0));
        p->code[p->n_code - 1] = e->code[i];
        if (e->code[i].step == STEP_CONSTANT)
            p->code[p->n_code - 1].to.index += (uint32_t)first_constant;
    }
    /* Reading order is not the order of the program: of `cond`, for one. */
    for (size_t i = 0; i < e->n_leaves; i++) {
        size_t k = 0;

        while (strcmp(p->label[k]->label, e->label[e->leaf[i]]->label) != 0)
            k++;
        p->leaf[first_leaf + i] = (uint32_t)k;
    }
    return SN_OK;
}

/* The name of choice or argument i, NULL past the end. */
static const char *known_name(const struct parser *p, size_t i)
{
    if (p->name) return i < p->n_names ? p->name[i].name : NULL;
    return i < p->n_choices ? p->choice[i].label : NULL;
}

static sn_status unknown_name(struct parser *p, const char *name, size_t n, size_t at)
{
    const size_t n_known = p->name ? p->n_names : p->n_choices;
    const char  *what = p->name ? "an argument" : "a choice", **known, *closest;
    char         wrong[128], list[600], hint[160] = "";

    known = calloc(n_known + 1, sizeof(const char *));
    if (!known) return fail_no_memory(p->err, p->where);
    for (size_t i = 0; i < n_known; i++)
        known[i] = known_name(p, i);
    snprintf(wrong, sizeof wrong, "%.*s", (int)(n < sizeof wrong ? n : sizeof wrong), name);
    closest = names_closest(wrong, known, n_known);
    if (closest) snprintf(hint, sizeof hint, "did you mean \"%.120s\"? ", closest);
    sn_fail(p->err, SN_E_UNKNOWN_NAME, p->where, "column %zu: \"%s\" is not %s; %s%s%s", at, wrong,
            what, hint,
            n_known == 0 ? "there are none"
            : p->name    ? "arguments are "
                         : "choices are ",
            names_list(known, n_known, list, sizeof list));
    free(known);
    return SN_E_UNKNOWN_NAME;
}

static sn_status emit_name(struct parser *p, const char *name, size_t n, size_t at)
{
    const char *known;
    size_t      i = 0;
    sn_value    copy;

    while ((known = known_name(p, i)) && (strlen(known) != n || memcmp(known, name, n) != 0))
        i++;
    if (!known) return unknown_name(p, name, n, at);
    if (p->name && p->name[i].expr) return splice(p, p->name[i].expr);
    if (p->name) {
        if (!value_copy(p->mem, p->name[i].fixed, &copy)) return fail_no_memory(p->err, p->where);
        return emit_constant(p, &copy);
    }
    if (p->choice[i].n_chosen != 1)
        return sn_fail(p->err, SN_E_INVALID, p->where,
                       "column %zu: \"%.200s\" decides on several candidates at once; expressions "
                       "read choices of one",
                       at, known);
    if (p->choice[i].n_candidates == 0)
        return sn_fail(p->err, SN_E_INVALID, p->where, "column %zu: \"%.200s\" has no candidates",
                       at, known);
    return emit_label(p, &p->choice[i]);
}

/* ---- atoms ------------------------------------------------------------------------------- */

/* The program since `start` makes n values, which become a tuple: now, if all are
 * constants, else when the expression is evaluated. */
static sn_status emit_tuple(struct parser *p, size_t start, size_t n)
{
    bool      all_constant = p->n_code - start == n;
    sn_value *item = NULL;

    for (size_t i = start; i < p->n_code && all_constant; i++)
        all_constant = p->code[i].step == STEP_CONSTANT;
    if (!all_constant) return emit(p, STEP_TUPLE, 0, n, 0);
    if (n > 0) {
        item = arena_array(p->mem, n, sizeof *item);
        if (!item) return fail_no_memory(p->err, p->where);
        for (size_t i = 0; i < n; i++)
            item[i] = p->constant[p->code[start + i].to.index];
    }
    p->n_code = start;
    return emit_constant(p, &(sn_value){
                                .kind = SN_KIND_TUPLE, .as.tuple = {item, n}
    });
}

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
    const size_t start = p->n_code;
    size_t       n = 0, commas = 0;

    TRY(lex_next(&p->x, p->err));
    TRY(parse_items(p, close, &n, &commas));
    if (n == 1 && commas == 0 && close[0] == ')') return SN_OK;
    return emit_tuple(p, start, n);
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
    return emit_name(p, text.value.as.text, strlen(text.value.as.text), lex_column(&p->x, text.at));
}

/* `name` is consumed, and "(" is next. */
static sn_status parse_call(struct parser *p, const struct token *name)
{
    size_t what = 0, n = 0, leaves_before = p->n_leaves, leaves_of_first = 0, leaves_of_second = 0;

    TRY(lex_next(&p->x, p->err));
    if (lex_is(name, "choice")) return parse_choice(p);
    while (what < COUNT(functions) && !lex_is(name, functions[what].name))
        what++;
    if (what == COUNT(functions)) return no_function(p, name);

    while (!lex_is(&p->x.now, ")")) {
        const size_t before = p->n_leaves;

        if (n == EXPR_MAX_STACK)
            return sn_fail(p->err, SN_E_SYNTAX, p->where, "column %zu: more than %d arguments",
                           column(p), EXPR_MAX_STACK);
        TRY(parse_expression(p));
        n++;
        if (n == 1) leaves_of_first = p->n_leaves - before;
        if (n == 2) leaves_of_second = p->n_leaves - before;
        if (lex_is(&p->x.now, ","))
            TRY(lex_next(&p->x, p->err));
        else if (!lex_is(&p->x.now, ")"))
            return unexpected(p, "an operator, \",\" or \")\"");
    }
    if (n < functions[what].fewest || (functions[what].most > 0 && n > functions[what].most))
        return wrong_number(p, name, &functions[what], n);
    TRY(lex_next(&p->x, p->err));
    if (what == FUNCTION_COND && leaves_of_first > 0) /* leaves: (if_true, pred, if_false) */
        TRY(swap(p, p->leaf + leaves_before, leaves_of_first, leaves_of_second, sizeof *p->leaf));
    return emit(p, STEP_CALL, (int)what, n, 0);
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
    if (lex_is(&name, "None")) return emit_constant(p, &(sn_value){.kind = SN_KIND_NULL});
    if (lex_is(&name, "True") || lex_is(&name, "False"))
        return emit_constant(
            p, &(sn_value){.kind = SN_KIND_BOOL, .as.boolean = lex_is(&name, "True")});
    if (lex_is(&p->x.now, "(")) return parse_call(p, &name);
    return emit_name(p, name.at, name.n, lex_column(&p->x, name.at));
}

/* A number, or texts: "a" "b" is "ab". */
static sn_status parse_constant(struct parser *p)
{
    sn_value value = p->x.now.value;

    TRY(lex_next(&p->x, p->err));
    while (value.kind == SN_KIND_TEXT && p->x.now.kind == TOKEN_CONSTANT &&
           p->x.now.value.kind == SN_KIND_TEXT) {
        value.as.text = arena_printf(p->mem, "%s%s", value.as.text, p->x.now.value.as.text);
        if (!value.as.text) return fail_no_memory(p->err, p->where);
        TRY(lex_next(&p->x, p->err));
    }
    return emit_constant(p, &value);
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
        TRY(emit(p, STEP_BINARY, BINARY_INDEX, 0, 0));
    }
    if (!lex_is(&p->x.now, "**")) return SN_OK;
    TRY(lex_next(&p->x, p->err));
    TRY(parse_unary(p));
    return emit(p, STEP_BINARY, BINARY_POW, 0, 0);
}

/* -9223372036854775808, whose digits alone are too large */
static sn_status parse_smallest(struct parser *p)
{
    TRY(lex_next(&p->x, p->err));
    if (lex_is(&p->x.now, "**") || lex_is(&p->x.now, "[")) /* both bind tighter than the minus */
        return unexpected(p, "an operator that takes the whole number");
    return emit_constant(p, &(sn_value){.kind = SN_KIND_INT, .as.integer = INT64_MIN});
}

static sn_status parse_unary(struct parser *p)
{
    static const char *const sign[] = {
        [UNARY_NEGATIVE] = "-", [UNARY_POSITIVE] = "+", [UNARY_INVERT] = "~"};
    const size_t start = p->n_code;
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
    if (p->n_code == start + 1 && p->code[start].step == STEP_CONSTANT) {
        v = &p->constant[p->code[start].to.index]; /* -1 is a constant */
        if (ops_unary(&ops, (enum unary)what, v, v)) return SN_OK;
    }
    return emit(p, STEP_UNARY, (int)what, 0, 0);
}

/* Left-associative operators, by rank: 0 is |, 5 is * / // %. */
static sn_status parse_binary(struct parser *p, int rank)
{
    static const struct {
        const char *sign;
        int         rank;
        enum binary what;
    } rows[] = {
        {"|",  0, BINARY_OR      },
        {"^",  1, BINARY_XOR     },
        {"&",  2, BINARY_AND     },
        {"<<", 3, BINARY_SHL     },
        {">>", 3, BINARY_SHR     },
        {"+",  4, BINARY_ADD     },
        {"-",  4, BINARY_SUB     },
        {"*",  5, BINARY_MUL     },
        {"/",  5, BINARY_DIV     },
        {"%",  5, BINARY_MOD     },
        {"//", 5, BINARY_FLOORDIV},
    };

    TRY(parse_unary(p));
    for (size_t i = 0; i < COUNT(rows);) {
        if (rows[i].rank < rank || !lex_is(&p->x.now, rows[i].sign)) {
            i++;
            continue;
        }
        TRY(lex_next(&p->x, p->err));
        TRY(parse_binary(p, rows[i].rank + 1));
        TRY(emit(p, STEP_BINARY, rows[i].what, 0, 0));
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
        TRY(emit(p, STEP_CHAIN, what, 0, chain == none ? 0 : (uint32_t)(p->n_code - chain)));
        chain = p->n_code - 1;
        what = next;
    }
    TRY(emit(p, STEP_COMPARE, what, 0, 0));
    while (chain != none) {
        const size_t back = p->code[chain].to.index;

        land(p, chain);
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
    return emit(p, STEP_UNARY, UNARY_NOT, 0, 0);
}

static sn_status parse_and(struct parser *p)
{
    TRY(parse_not(p));
    while (lex_is(&p->x.now, "and")) {
        const size_t jump = p->n_code;

        TRY(lex_next(&p->x, p->err));
        TRY(emit(p, STEP_AND, 0, 0, 0));
        TRY(parse_not(p));
        land(p, jump);
    }
    return SN_OK;
}

static sn_status parse_or(struct parser *p)
{
    TRY(parse_and(p));
    while (lex_is(&p->x.now, "or")) {
        const size_t jump = p->n_code;

        TRY(lex_next(&p->x, p->err));
        TRY(emit(p, STEP_OR, 0, 0, 0));
        TRY(parse_and(p));
        land(p, jump);
    }
    return SN_OK;
}

/* a if p else b:   p, jump if false, a, jump, b */
static sn_status parse_expression(struct parser *p)
{
    const size_t start = p->n_code;
    size_t       n_then, skip_then, skip_else;

    TRY(enter(p));
    TRY(parse_or(p));
    if (lex_is(&p->x.now, "if")) {
        n_then = p->n_code - start;
        TRY(lex_next(&p->x, p->err));
        TRY(parse_or(p));
        TRY(emit(p, STEP_JUMP_FALSE, 0, 0, 0));
        /* The text has `a` first, the program has `p` first. */
        TRY(swap(p, p->code + start, n_then, p->n_code - start - n_then, sizeof *p->code));
        skip_then = p->n_code - n_then - 1;
        skip_else = p->n_code;
        TRY(emit(p, STEP_JUMP, 0, 0, 0));
        land(p, skip_then);
        TRY(expect(p, "else", "an operator or \"else\""));
        TRY(parse_expression(p));
        land(p, skip_else);
    }
    p->depth--;
    return SN_OK;
}

/* ---- the whole text ----------------------------------------------------------------------------
 */

static sn_status parse_text(struct parser *p, const char *text)
{
    const size_t start = p->n_code;
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
        TRY(emit_tuple(p, start, n));
    }
    if (p->x.now.kind != TOKEN_END)
        return unexpected(p, "an operator or the end of the expression");
    return SN_OK;
}

/* How many values wait at once. Branches leave as many behind as they found, so one
 * walk through the program sees every depth. */
static sn_status check_stack(struct parser *p)
{
    long depth = 0, most = 0;

    for (size_t i = 0; i < p->n_code; i++) {
        switch ((enum step)p->code[i].step) {
        case STEP_CONSTANT:
        case STEP_LABEL:
            depth++;
            break;
        case STEP_UNARY:
            break;
        case STEP_CALL:
        case STEP_TUPLE:
            depth += 1 - (long)p->code[i].n;
            break;
        default:
            depth--;
        }
        most = depth > most ? depth : most;
    }
    if (most <= EXPR_MAX_STACK) return SN_OK;
    return sn_fail(p->err, SN_E_SYNTAX, p->where,
                   "column 1: %ld values wait for their operators at once; %d are allowed", most,
                   EXPR_MAX_STACK);
}

/* n items in the arena; NULL only for want of memory. */
static void *keep(struct parser *p, const void *from, size_t n, size_t size)
{
    void *copy = arena_array(p->mem, n + 1, size);

    if (copy && n > 0) memcpy(copy, from, n * size);
    return copy;
}

/* Number the labels by first appearance among the leaves. */
static sn_status renumber(struct parser *p)
{
    const sn_choice **label = p->label;
    uint32_t         *number = malloc((p->n_labels + 1) * sizeof *number);
    uint32_t          next = 0;

    p->label = calloc(p->n_labels + 1, sizeof(const sn_choice *));
    if (!number || !p->label) {
        free(number);
        free(label);
        return fail_no_memory(p->err, p->where);
    }
    for (size_t i = 0; i < p->n_labels; i++)
        number[i] = UINT32_MAX;
    for (size_t i = 0; i < p->n_leaves; i++) {
        uint32_t *to = &number[p->leaf[i]];

        if (*to == UINT32_MAX) {
            *to = next;
            p->label[next++] = label[p->leaf[i]];
        }
        p->leaf[i] = *to;
    }
    for (size_t i = 0; i < p->n_code; i++)
        if (p->code[i].step == STEP_LABEL) p->code[i].to.index = number[p->code[i].to.index];
    free(number);
    free(label);
    return SN_OK;
}

static sn_status finish(struct parser *p, const char *text, sn_expr **ret_expr)
{
    sn_expr *e;

    TRY(check_stack(p));
    TRY(renumber(p));
    e = ARENA_NEW(p->mem, sn_expr);
    if (!e) return fail_no_memory(p->err, p->where);
    *e = (sn_expr){
        .text = arena_strdup(p->mem, text),
        .where = arena_strdup(p->mem, p->where ? p->where : ""),
        .code = keep(p, p->code, p->n_code, sizeof *p->code),
        .n_code = p->n_code,
        .constant = keep(p, p->constant, p->n_constants, sizeof *p->constant),
        .n_constants = p->n_constants,
        .label = keep(p, p->label, p->n_labels, sizeof(const sn_choice *)),
        .n_labels = p->n_labels,
        .leaf = keep(p, p->leaf, p->n_leaves, sizeof *p->leaf),
        .n_leaves = p->n_leaves,
    };
    if (!e->text || !e->where || !e->code || !e->constant || !e->label || !e->leaf)
        return fail_no_memory(p->err, p->where);
    *ret_expr = e;
    return SN_OK;
}

static sn_status parse(struct parser *p, const char *text, sn_expr **ret_expr)
{
    sn_status rc = parse_text(p, text);

    if (rc == SN_OK) rc = finish(p, text, ret_expr);
    free(p->code);
    free(p->constant);
    free(p->leaf);
    free(p->label);
    return rc;
}

sn_status code_parse(sn_arena *mem, const char *text, const sn_choice *choices, size_t n_choices,
                     const char *where, sn_expr **ret_expr, sn_error *err)
{
    struct parser p = {
        .mem = mem, .where = where, .err = err, .choice = choices, .n_choices = n_choices};

    return parse(&p, text, ret_expr);
}

sn_status expr_parse_in(sn_arena *mem, const char *text, const sn_choice *choices, size_t n_choices,
                        const char *where, const sn_expr **ret_expr, sn_error *err)
{
    sn_expr        *e = NULL;
    const sn_status rc = code_parse(mem, text, choices, n_choices, where, &e, err);

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
