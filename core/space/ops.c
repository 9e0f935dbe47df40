/* ops: what the operators of expressions do with values. Where Python raises, they
 * fail with the reason in words.
 *
 * Texts and tuples they make live in the arena, and have a limited size, so that no
 * expression can fill the memory: ("x" * 9999) * 9999. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/budget.h"
#include "space/code.h"
#include "space/number.h"

bool ops_fail(struct ops *o, sn_status code, const char *reason)
{
    o->code = code;
    snprintf(o->reason, sizeof o->reason, "%s", reason);
    return false;
}

/* "+ does not take int and text" */
static bool refuse(struct ops *o, const char *what, const sn_value *a, const sn_value *b)
{
    o->code = SN_E_EVALUATE;
    snprintf(o->reason, sizeof o->reason, b ? "%s does not take %s and %s" : "%s does not take %s",
             what, value_kind(a->kind), b ? value_kind(b->kind) : "");
    return false;
}

/* `fault` is NULL or a sentence: what number.h returns. */
static bool done(struct ops *o, const char *fault)
{
    return fault ? ops_fail(o, SN_E_EVALUATE, fault) : true;
}

bool ops_spend(struct ops *o, uint64_t work)
{
    if (o->work < work) return ops_fail(o, SN_E_LIMIT, "the expression takes too long to evaluate");
    o->work -= work;
    if (budget_spend(arena_budget(o->mem), work)) return true;
    return ops_fail(o, SN_E_LIMIT, "there is no time left to evaluate the expression");
}

static bool is_number(const sn_value *v)
{
    return v->kind == SN_KIND_BOOL || v->kind == SN_KIND_INT || v->kind == SN_KIND_FLOAT;
}

static double real_of(const sn_value *v)
{
    int64_t i;

    return sn_value_int(v, &i) ? (double)i : v->as.real;
}

static bool give_int(sn_value *ret, int64_t x)
{
    *ret = (sn_value){.kind = SN_KIND_INT, .as.integer = x};
    return true;
}

static bool give_real(sn_value *ret, double x)
{
    *ret = (sn_value){.kind = SN_KIND_FLOAT, .as.real = x};
    return true;
}

static bool give_bool(sn_value *ret, bool x)
{
    *ret = (sn_value){.kind = SN_KIND_BOOL, .as.boolean = x};
    return true;
}

/* ---- texts and tuples ------------------------------------------------------------ */

static bool no_memory(struct ops *o)
{
    return ops_fail(o, SN_E_NO_MEMORY, sn_status_text(SN_E_NO_MEMORY));
}

/* Room for a result of this many characters or items, everything inside counted. */
static bool affordable(struct ops *o, size_t size)
{
    if (size > EXPR_MAX_SIZE)
        return ops_fail(o, SN_E_EVALUATE,
                        "the result is too large: texts and tuples have at most 16384 "
                        "characters or items");
    return ops_spend(o, size / 4);
}

bool ops_tuple(struct ops *o, const sn_value *item, size_t n, sn_value *ret)
{
    sn_value  tuple = {.kind = SN_KIND_TUPLE};
    sn_value *copy;

    tuple.as.tuple.item = item;
    tuple.as.tuple.n = n;
    if (!affordable(o, value_size(&tuple))) return false;
    if (n > 0) {
        copy = arena_array(o->mem, n, sizeof *copy);
        if (!copy) return no_memory(o);
        memcpy(copy, item, n * sizeof *copy);
        tuple.as.tuple.item = copy;
    }
    *ret = tuple;
    return true;
}

static bool make_text(struct ops *o, const char *text, size_t n, sn_value *ret)
{
    char *copy = sn_arena_alloc(o->mem, n + 1);

    if (!copy) return no_memory(o);
    memcpy(copy, text, n);
    *ret = (sn_value){.kind = SN_KIND_TEXT, .as.text = copy};
    return true;
}

/* a + b of two texts or two tuples. */
static bool join(struct ops *o, const sn_value *a, const sn_value *b, sn_value *ret)
{
    const size_t n = a->kind == SN_KIND_TEXT ? strlen(a->as.text) : a->as.tuple.n;
    const size_t m = b->kind == SN_KIND_TEXT ? strlen(b->as.text) : b->as.tuple.n;

    if (!affordable(o, value_size(a) + value_size(b))) return false;
    if (a->kind == SN_KIND_TEXT) {
        char *text = sn_arena_alloc(o->mem, n + m + 1);

        if (!text) return no_memory(o);
        memcpy(text, a->as.text, n);
        memcpy(text + n, b->as.text, m);
        *ret = (sn_value){.kind = SN_KIND_TEXT, .as.text = text};
    } else {
        sn_value *item = n + m > 0 ? arena_array(o->mem, n + m, sizeof *item) : NULL;

        if (n + m > 0 && !item) return no_memory(o);
        if (n > 0) memcpy(item, a->as.tuple.item, n * sizeof *item);
        if (m > 0) memcpy(item + n, b->as.tuple.item, m * sizeof *item);
        *ret = (sn_value){.kind = SN_KIND_TUPLE, .as.tuple = {item, n + m}};
    }
    return true;
}

/* a * times of a text or a tuple. */
static bool repeat(struct ops *o, const sn_value *a, int64_t times, sn_value *ret)
{
    const bool   is_text = a->kind == SN_KIND_TEXT;
    const size_t n = is_text ? strlen(a->as.text) : a->as.tuple.n;
    const size_t k = times < 0 || n == 0 ? 0 : (size_t)times;
    const size_t unit = is_text ? 1 : sizeof(sn_value);
    size_t       size;
    char        *made;

    if (__builtin_mul_overflow(value_size(a), k, &size)) size = SIZE_MAX;
    if (!affordable(o, size)) return false;
    made = sn_arena_alloc(o->mem, n * k * unit + 1);
    if (!made) return no_memory(o);
    for (size_t i = 0; i < k; i++)
        memcpy(made + i * n * unit,
               is_text ? (const void *)a->as.text : (const void *)a->as.tuple.item, n * unit);
    *ret = *a;
    if (is_text)
        ret->as.text = made;
    else
        ret->as.tuple.item = (const sn_value *)made, ret->as.tuple.n = n * k;
    return true;
}

/* The character of UTF-8 that starts at `at`, and how many bytes it has. */
static size_t character_bytes(const char *at)
{
    size_t n = 1;

    while (((unsigned char)at[n] & 0xc0) == 0x80)
        n++;
    return n;
}

static size_t n_characters(const char *text)
{
    size_t n = 0;

    for (; *text; text += character_bytes(text))
        n++;
    return n;
}

static bool subscript(struct ops *o, const sn_value *a, const sn_value *index, sn_value *ret)
{
    const char *at;
    int64_t     i, n;

    if (a->kind != SN_KIND_TEXT && a->kind != SN_KIND_TUPLE) return refuse(o, "indexing", a, NULL);
    if (!sn_value_int(index, &i)) return refuse(o, "an index", index, NULL);
    if (a->kind == SN_KIND_TEXT && !ops_spend(o, strlen(a->as.text) / 4)) return false;
    n = (int64_t)(a->kind == SN_KIND_TEXT ? n_characters(a->as.text) : a->as.tuple.n);
    if (i < -n || i >= n) {
        o->code = SN_E_EVALUATE;
        snprintf(o->reason, sizeof o->reason, "index %lld is out of range for a %s of %lld",
                 (long long)i, value_kind(a->kind), (long long)n);
        return false;
    }
    if (i < 0) i += n;
    if (a->kind == SN_KIND_TUPLE) {
        *ret = a->as.tuple.item[i];
        return true;
    }
    for (at = a->as.text; i > 0; i--)
        at += character_bytes(at);
    return ops_spend(o, (uint64_t)n / 8) && make_text(o, at, character_bytes(at), ret);
}

/* ---- operators ----------------------------------------------------------------------- */

bool ops_unary(struct ops *o, enum unary what, const sn_value *a, sn_value *ret)
{
    static const char *const sign[] = {"unary -", "unary +", "~", "not"};
    int64_t                  i;

    if (what == UNARY_NOT) return give_bool(ret, !value_truth(a));
    if (sn_value_int(a, &i)) {
        if (what == UNARY_INVERT) return give_int(ret, ~i);
        if (what == UNARY_NEGATIVE && __builtin_sub_overflow((int64_t)0, i, &i))
            return done(o, number_too_large);
        return give_int(ret, i);
    }
    if (a->kind != SN_KIND_FLOAT || what == UNARY_INVERT) return refuse(o, sign[what], a, NULL);
    return give_real(ret, what == UNARY_NEGATIVE ? -a->as.real : a->as.real);
}

/* Two integers: bools count as 0 and 1. */
static bool binary_int(struct ops *o, enum binary what, int64_t a, int64_t b, sn_value *ret)
{
    const char *fault = NULL;
    int64_t     r = 0, unused;
    double      real;

    switch (what) {
    case BINARY_ADD:
        fault = __builtin_add_overflow(a, b, &r) ? number_too_large : NULL;
        break;
    case BINARY_SUB:
        fault = __builtin_sub_overflow(a, b, &r) ? number_too_large : NULL;
        break;
    case BINARY_MUL:
        fault = __builtin_mul_overflow(a, b, &r) ? number_too_large : NULL;
        break;
    case BINARY_DIV:
        fault = number_int_ratio(a, b, &real);
        return done(o, fault) && give_real(ret, real);
    case BINARY_FLOORDIV:
        fault = number_int_divmod(a, b, &r, &unused);
        break;
    case BINARY_MOD:
        fault = number_int_mod(a, b, &r);
        break;
    case BINARY_POW:
        if (b < 0) {
            fault = number_real_pow((double)a, (double)b, &real);
            return done(o, fault) && give_real(ret, real);
        }
        fault = number_int_pow(a, (uint64_t)b, &r);
        break;
    case BINARY_SHL:
        fault = number_shift_left(a, b, &r);
        break;
    case BINARY_SHR:
        fault = number_shift_right(a, b, &r);
        break;
    case BINARY_AND:
        r = a & b;
        break;
    case BINARY_XOR:
        r = a ^ b;
        break;
    case BINARY_OR:
        r = a | b;
        break;
    case BINARY_INDEX: /* has been dealt with */
        break;
    }
    return done(o, fault) && give_int(ret, r);
}

/* Two numbers, one of them a float, and an operator that takes floats. */
static bool binary_real(struct ops *o, enum binary what, double a, double b, sn_value *ret)
{
    double q = 0.0, r = 0.0;

    switch (what) {
    case BINARY_ADD:
        return give_real(ret, a + b);
    case BINARY_SUB:
        return give_real(ret, a - b);
    case BINARY_MUL:
        return give_real(ret, a * b);
    case BINARY_DIV:
        return b == 0.0 ? done(o, number_division_by_zero) : give_real(ret, a / b);
    case BINARY_POW:
        return done(o, number_real_pow(a, b, &r)) && give_real(ret, r);
    default: /* // and % */
        return done(o, number_real_divmod(a, b, &q, &r)) &&
               give_real(ret, what == BINARY_FLOORDIV ? q : r);
    }
}

bool ops_binary(struct ops *o, enum binary what, const sn_value *a, const sn_value *b,
                sn_value *ret)
{
    static const char *const sign[] = {"+",  "-",  "*", "/", "//", "%",       "**",
                                       "<<", ">>", "&", "^", "|",  "indexing"};
    const bool               on_bits = what >= BINARY_SHL && what <= BINARY_OR;
    const bool               bools = a->kind == SN_KIND_BOOL && b->kind == SN_KIND_BOOL;
    int64_t                  i, j;

    if (what == BINARY_INDEX) return subscript(o, a, b, ret);
    if (sn_value_int(a, &i) && sn_value_int(b, &j)) {
        if (!binary_int(o, what, i, j, ret)) return false;
        return bools && what >= BINARY_AND ? give_bool(ret, ret->as.integer != 0) : true;
    }
    if (is_number(a) && is_number(b) && !on_bits)
        return binary_real(o, what, real_of(a), real_of(b), ret);
    if (what == BINARY_ADD && a->kind == b->kind && a->kind >= SN_KIND_TEXT)
        return join(o, a, b, ret);
    if (what == BINARY_MUL && a->kind >= SN_KIND_TEXT && sn_value_int(b, &j))
        return repeat(o, a, j, ret);
    if (what == BINARY_MUL && b->kind >= SN_KIND_TEXT && sn_value_int(a, &i))
        return repeat(o, b, i, ret);
    if (what == BINARY_MOD && a->kind == SN_KIND_TEXT)
        return ops_fail(o, SN_E_EVALUATE, "texts cannot be formatted with %");
    return refuse(o, sign[what], a, b);
}

bool ops_compare(struct ops *o, enum relation what, const sn_value *a, const sn_value *b, bool *ret)
{
    static const char *const sign[] = {"<", "<=", "==", "!=", ">=", ">"};
    enum value_order         order;

    if (a->kind >= SN_KIND_TEXT && !ops_spend(o, value_size(a) / 4)) return false;
    if (what == RELATION_EQ || what == RELATION_NE) {
        *ret = sn_value_equal(a, b) == (what == RELATION_EQ);
        return true;
    }
    order = value_compare(a, b);
    if (order == VALUE_NO_ORDER) return refuse(o, sign[what], a, b);
    *ret = order != VALUE_UNORDERED && (what == RELATION_LT   ? order < 0
                                        : what == RELATION_LE ? order <= 0
                                        : what == RELATION_GE ? order >= 0
                                                              : order > 0);
    return true;
}

/* ---- functions ------------------------------------------------------------------------- */

/* The first of the largest (or smallest), as Python's loop finds it. */
static bool extreme(struct ops *o, enum relation better, const sn_value *arg, size_t n,
                    sn_value *ret)
{
    const sn_value *found = &arg[0];
    bool            is_better;

    if (!ops_spend(o, n)) return false;
    for (size_t i = 1; i < n; i++) {
        if (!ops_compare(o, better, &arg[i], found, &is_better)) return false;
        if (is_better) found = &arg[i];
    }
    *ret = *found;
    return true;
}

/* max and min of one argument look into it. */
static bool extreme_of(struct ops *o, enum relation better, const sn_value *arg, sn_value *ret)
{
    const char *found, *at;

    if (arg->kind == SN_KIND_TUPLE && arg->as.tuple.n > 0)
        return extreme(o, better, arg->as.tuple.item, arg->as.tuple.n, ret);
    if (arg->kind != SN_KIND_TEXT && arg->kind != SN_KIND_TUPLE)
        return refuse(o, better == RELATION_GT ? "max of one argument" : "min of one argument", arg,
                      NULL);
    if (arg->kind == SN_KIND_TUPLE || arg->as.text[0] == '\0')
        return ops_fail(o, SN_E_EVALUATE, "there is nothing to take the maximum or minimum of");
    if (!ops_spend(o, value_size(arg) / 8)) return false;
    for (found = at = arg->as.text; *at; at += character_bytes(at)) {
        /* Either all bytes of a character are equal or an early one decides. */
        const int order = strncmp(at, found, character_bytes(at));

        if (better == RELATION_GT ? order > 0 : order < 0) found = at;
    }
    return make_text(o, found, character_bytes(found), ret);
}

static bool to_whole(struct ops *o, enum function what, const sn_value *a, sn_value *ret)
{
    int64_t i;
    double  x;

    if (sn_value_int(a, &i)) return give_int(ret, i);
    if (what == FUNCTION_TO_INT && a->kind == SN_KIND_TEXT)
        return ops_spend(o, value_size(a)) && done(o, number_text_to_int(a->as.text, &i)) &&
               give_int(ret, i);
    if (a->kind != SN_KIND_FLOAT)
        return refuse(o,
                      what == FUNCTION_FLOOR   ? "floor"
                      : what == FUNCTION_CEIL  ? "ceil"
                      : what == FUNCTION_ROUND ? "round"
                      : what == FUNCTION_TRUNC ? "trunc"
                                               : "to_int",
                      a, NULL);
    x = what == FUNCTION_FLOOR   ? floor(a->as.real)
        : what == FUNCTION_CEIL  ? ceil(a->as.real)
        : what == FUNCTION_ROUND ? number_real_round_whole(a->as.real)
                                 : a->as.real;
    return done(o, number_real_to_int(x, &i)) && give_int(ret, i);
}

static bool round_to(struct ops *o, const sn_value *a, const sn_value *digits, sn_value *ret)
{
    int64_t i, n;
    double  x;

    if (digits->kind == SN_KIND_NULL) return to_whole(o, FUNCTION_ROUND, a, ret);
    if (!is_number(a) || !sn_value_int(digits, &n)) return refuse(o, "round", a, digits);
    if (sn_value_int(a, &i)) return done(o, number_int_round(i, n, &i)) && give_int(ret, i);
    return done(o, number_real_round(a->as.real, n, &x)) && give_real(ret, x);
}

static bool absolute(struct ops *o, const sn_value *a, sn_value *ret)
{
    int64_t i;

    if (sn_value_int(a, &i)) {
        if (i < 0 && __builtin_sub_overflow((int64_t)0, i, &i)) return done(o, number_too_large);
        return give_int(ret, i);
    }
    return a->kind == SN_KIND_FLOAT ? give_real(ret, fabs(a->as.real)) : refuse(o, "abs", a, NULL);
}

static bool power(struct ops *o, const sn_value *arg, size_t n, sn_value *ret)
{
    int64_t a, b, m;

    if (n == 2 || arg[2].kind == SN_KIND_NULL)
        return ops_binary(o, BINARY_POW, &arg[0], &arg[1], ret);
    if (!sn_value_int(&arg[0], &a) || !sn_value_int(&arg[1], &b) || !sn_value_int(&arg[2], &m))
        return ops_fail(o, SN_E_EVALUATE, "pow with three arguments takes integers only");
    return done(o, number_int_pow_mod(a, b, m, &m)) && give_int(ret, m);
}

static bool quotient_and_rest(struct ops *o, const sn_value *a, const sn_value *b, sn_value *ret)
{
    sn_value pair[2];

    if (!is_number(a) || !is_number(b)) return refuse(o, "divmod", a, b);
    return ops_binary(o, BINARY_FLOORDIV, a, b, &pair[0]) &&
           ops_binary(o, BINARY_MOD, a, b, &pair[1]) && ops_tuple(o, pair, 2, ret);
}

static bool to_float(struct ops *o, const sn_value *a, sn_value *ret)
{
    double x;

    if (is_number(a)) return give_real(ret, real_of(a));
    if (a->kind != SN_KIND_TEXT) return refuse(o, "to_float", a, NULL);
    return ops_spend(o, value_size(a)) && done(o, number_text_to_real(a->as.text, &x)) &&
           give_real(ret, x);
}

bool ops_call(struct ops *o, enum function what, const sn_value *arg, size_t n, sn_value *ret)
{
    switch (what) {
    case FUNCTION_ABS:
        return absolute(o, &arg[0], ret);
    case FUNCTION_CEIL:
    case FUNCTION_FLOOR:
    case FUNCTION_TRUNC:
    case FUNCTION_TO_INT:
        return to_whole(o, what, &arg[0], ret);
    case FUNCTION_TO_FLOAT:
        return to_float(o, &arg[0], ret);
    case FUNCTION_ROUND:
        return n == 2 ? round_to(o, &arg[0], &arg[1], ret) : to_whole(o, what, &arg[0], ret);
    case FUNCTION_COND:
        *ret = value_truth(&arg[0]) ? arg[1] : arg[2];
        return true;
    case FUNCTION_DIVMOD:
        return quotient_and_rest(o, &arg[0], &arg[1], ret);
    case FUNCTION_POW:
        return power(o, arg, n, ret);
    case FUNCTION_MAX:
    case FUNCTION_MIN: {
        const enum relation better = what == FUNCTION_MAX ? RELATION_GT : RELATION_LT;

        return n == 1 ? extreme_of(o, better, &arg[0], ret) : extreme(o, better, arg, n, ret);
    }
    case FUNCTION_COUNT:
        break;
    }
    return ops_fail(o, SN_E_UNSUPPORTED, "no such function");
}
