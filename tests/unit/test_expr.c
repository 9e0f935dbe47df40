/* expressions: a row is a sentence of Python with its value, or with what a user reads
 * when it has none. All rows share the choices below. What is tested here by example
 * tests/property/expr_property.py compares with Python at random. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "space/expr.h"
#include "space/value.h"
#include "support/alloc.h"

#define INT(x)                                                                                     \
    {                                                                                              \
        .kind = SN_KIND_INT, .as.integer = (x)                                                     \
    }
#define REAL(x)                                                                                    \
    {                                                                                              \
        .kind = SN_KIND_FLOAT, .as.real = (x)                                                      \
    }
#define TEXT(x)                                                                                    \
    {                                                                                              \
        .kind = SN_KIND_TEXT, .as.text = (x)                                                       \
    }
#define TUPLE(...)                                                                                 \
    {                                                                                              \
        .kind = SN_KIND_TUPLE, .as.tuple = {                                                       \
            (const sn_value[]){__VA_ARGS__},                                                       \
            COUNT(((const sn_value[]){__VA_ARGS__}))                                               \
        }                                                                                          \
    }

static const sn_value a[] = {INT(3), INT(4), INT(6)};
static const sn_value b[] = {INT(0), INT(1)};
static const sn_value f[] = {REAL(1.5), REAL(2.5)};
static const sn_value s[] = {TEXT("12"), TEXT("y")};
static const sn_value t[] = {TUPLE(INT(1), INT(2)), TUPLE(INT(3), INT(4))};
static const sn_value k[] = {INT(5), TUPLE(INT(3), INT(7)), TUPLE(INT(7), INT(3))};
static const sn_value odd[] = {INT(-7)};
static const sn_value twice[] = {INT(1), INT(2), INT(1)};
static const sn_value many[] = {INT(0),  INT(1),  INT(2),  INT(3), INT(4),  INT(5),
                                INT(6),  INT(7),  INT(8),  INT(9), INT(10), INT(11),
                                INT(12), INT(13), INT(14), INT(15)};

#define CHOICE(name, values)                                                                       \
    {                                                                                              \
        .label = name, .candidate = values, .n_candidates = COUNT(values), .n_chosen = 1           \
    }

static const sn_choice choices[] = {
    CHOICE("a", a),
    CHOICE("b", b),
    CHOICE("f", f),
    CHOICE("s", s),
    CHOICE("t", t),
    CHOICE("k", k),
    CHOICE("stage1/op_2", odd),
    CHOICE("twice", twice),
    CHOICE("max", odd),
    CHOICE("m0", many),
    CHOICE("m1", many),
    CHOICE("m2", many),
    CHOICE("m3", many),
    CHOICE("m4", many),
    CHOICE("m5", many),
    {.label = "pair", .candidate = many, .n_candidates = 3, .n_chosen = 2},
    {.label = "nothing", .n_chosen = 1},
};

static sn_expr *parse(const char *text)
{
    sn_error err = {0};
    sn_expr *e = NULL;

    if (sn_expr_parse(text, choices, COUNT(choices), "model.x", &e, &err) != SN_OK)
        fail_msg("%s: %s", text, err.text);
    return e;
}

/* ---- values ------------------------------------------------------------------------ */

static const struct row {
    const char *name, *expr, *value; /* value: repr with the first candidates */
} rows[] = {
    {"an integer", "7", "7"},
    {"a label", "a", "3"},
    {"a label that is no identifier", "choice('stage1/op_2') + 1", "-6"},
    {"a label named like a function", "max + max(1, 2)", "-5"},
    {"underscores and other bases", "1_000 + 0xff + 0o17 + 0b11", "1273"},
    {"the smallest integer", "-9223372036854775808", "-9223372036854775808"},
    {"the largest integer", "9223372036854775807", "9223372036854775807"},
    {"a float keeps its kind", "2.0", "2.0"},
    {"small and large floats print with e", "(1e-5, 1e16, 1e999)", "(1e-05, 1e+16, inf)"},
    {"None, True, False", "None, True, False", "(None, True, False)"},
    {"a list is a tuple", "[3, 5]", "(3, 5)"},
    {"a tuple of one and of none", "((1,), ())", "((1,), ())"},
    {"texts escape", "'\\x41\\u00e9\\n'", "'A\u00e9\\n'"},
    {"texts side by side are one", "\"a\" 'b'", "'ab'"},

    {"* before +", "a + 2 * a", "9"},
    {"minus is weaker than **", "-a ** 2", "-9"},
    {"** groups from the right", "2 ** a ** 2", "512"},
    {"a negative exponent binds to **", "2 ** -1", "0.5"},
    {"| ^ & shifts + have Python's ranks", "1 | 2 ^ 3 & 4 << 1 + 1", "3"},
    {"- groups from the left", "10 - a - 2", "5"},
    {"blanks of all kinds", " a\t+\n1 ", "4"},

    {"floor division rounds down", "(-7 // 2, 7 // -2)", "(-4, -4)"},
    {"the rest has the divisor's sign", "(-7 % 3, 7 % -3)", "(2, -2)"},
    {"the rest of the smallest integer by -1", "-9223372036854775808 % -1", "0"},
    {"floats divide down too", "(-7.5 // 2, 7.5 % -2)", "(-4.0, -0.5)"},
    {"/ gives a float", "(6 / 3, 0 / -5)", "(2.0, -0.0)"},
    {"/ is exact to the last bit", "9007199254740993 / 3", "3002399751580331.0"},
    {"bools count", "True + True", "2"},
    {"bits of bools stay bools", "(True & False, True ^ 1)", "(False, 0)"},
    {"~ of a bool is an integer", "~True", "-2"},
    {"shifts are arithmetic", "(-5 >> 1, -5 >> 99, 1 << 62)", "(-3, -1, 4611686018427387904)"},
    {"0 can be shifted by anything", "0 << 9999", "0"},
    {"an integer to a negative power", "4 ** -1", "0.25"},
    {"powers of 1 and -1 are never too large", "(-1) ** 9223372036854775807", "-1"},
    {"a float power", "9 ** 0.5", "3.0"},

    {"integers and floats compare exactly", "9007199254740993 == 9007199254740992.0", "False"},
    {"9223372036854775807 is less than 2**63", "9223372036854775807 < 9223372036854775808.0",
     "True"},
    {"1, 1.0 and True are equal", "1 == 1.0 == True", "True"},
    {"1 and \"1\" are not", "1 == '1'", "False"},
    {"tuples compare item by item", "(1, 2) < (1, 3) < (2,)", "True"},
    {"a chain stops early", "1 > 2 > 1 // 0", "False"},
    {"a chain uses the middle once", "1 < a < 4", "True"},
    {"texts compare by character", "'z' < '\u00e9'", "True"},
    {"nan is not equal to itself", "to_float('nan') == to_float('nan')", "False"},

    {"and gives the deciding value", "(0 and 1 // 0, 2 and 3)", "(0, 3)"},
    {"or gives the deciding value", "(2 or 1 // 0, 0 or '')", "(2, '')"},
    {"and binds tighter than or", "1 or 0 and 0", "1"},
    {"not is weaker than ==", "not a == 4", "True"},
    {"if evaluates one branch", "1 if a else 1 // 0", "1"},
    {"if groups from the right", "1 if 0 else 2 if 0 else 3", "3"},
    {"if can be nested in front", "(1 if b else 2) if a else 3", "2"},
    {"cond", "cond(a > 3, 1, 2)", "2"},
    {"cond knows empty things are false", "(cond('', 1, 2), cond((), 1, 2), cond(None, 1, 2))",
     "(2, 2, 2)"},

    {"texts add and repeat", "'x-' + s * 2", "'x-1212'"},
    {"a negative repetition is empty", "('ab' * -1, (1,) * -3)", "('', ())"},
    {"tuples add and repeat", "t + (9,) * 2", "(1, 2, 9, 9)"},
    {"negative indices count from the end", "(t[-1], s[-2])", "(2, '1')"},
    {"an index counts characters", "'a\u00e9z'[1]", "'\u00e9'"},
    {"a bool is an index", "t[True]", "2"},

    {"max and min give the first of equals", "(max(1, 1.0), max(1.0, 1), min(0, False))",
     "(1, 1.0, 0)"},
    {"max of one argument looks into it", "(max(t), min('b\u00e9a'))", "(2, 'a')"},
    {"round is half to even", "(round(0.5), round(1.5), round(-2.5))", "(0, 2, -2)"},
    {"round looks at the binary value", "(round(2.675, 2), round(0.125, 2))", "(2.67, 0.12)"},
    {"round with digits keeps the kind", "(round(2.5, 0), round(15, 1), round(15, -1))",
     "(2.0, 15, 20)"},
    {"round can go over", "(round(9.99, 1), round(95, -1), round(0.9, 0))", "(10.0, 100, 1.0)"},
    {"round without digits of None", "round(2.5, None)", "2"},
    {"floor, ceil, trunc give integers", "(floor(-1.5), ceil(-1.5), trunc(-1.5), floor(True))",
     "(-2, -1, -1, 1)"},
    {"to_int cuts", "(to_int(-2.9), to_int(s), to_int(' -1_0\\n'))", "(-2, 12, -10)"},
    {"to_float reads words", "(to_float(' 1_0.5e1 '), to_float('-Infinity'))", "(105.0, -inf)"},
    {"abs", "(abs(-2), abs(-2.5), abs(True))", "(2, 2.5, 1)"},
    {"divmod", "(divmod(-7, 2), divmod(7, -2.5))", "((-4, 1), (-3.0, -0.5))"},
    {"pow with a modulus", "(pow(3, 5, 7), pow(3, -1, 7), pow(3, 5, -7))", "(5, 5, -2)"},
    {"a comma behind the last argument", "max(1, 2,)", "2"},
};

static void row_has_this_value(void **state)
{
    const struct row *row = *state;
    sn_arena         *mem = sn_arena_create();
    sn_expr          *e = parse(row->expr);
    sn_error          err = {0};
    sn_value          v;
    char              text[200];

    if (sn_expr_dry_run(e, mem, &v, &err) != SN_OK) fail_msg("%s: %s", row->expr, err.text);
    assert_string_equal(sn_value_text(&v, text, sizeof text), row->value);
    sn_expr_free(e);
    sn_arena_free(mem);
}

/* ---- refusals ------------------------------------------------------------------------- */

static const struct refusal {
    const char *name, *expr;
    sn_status   status;
    const char *text; /* a part of the sentence */
} refusals[] = {
    {"nothing", "", SN_E_SYNTAX, "column 1: the expression ends where a value, a label"},
    {"an operator without its right side", "a +", SN_E_SYNTAX, "column 4: the expression ends"},
    {"two values", "a b", SN_E_SYNTAX, "column 3: \"b\" where an operator or the end"},
    {"an open parenthesis", "(a", SN_E_SYNTAX, "an operator, \",\" or \")\" is expected"},
    {"a parenthesis too many", "a)", SN_E_SYNTAX, "column 2: \")\" where an operator"},
    {"the wrong bracket", "(a]", SN_E_SYNTAX, "column 3: \"]\""},
    {"two commas", "(1,,2)", SN_E_SYNTAX, "column 4: \",\""},
    {"columns count characters", "'\u00e9\u00e9' $", SN_E_SYNTAX, "column 6: \"$\""},
    {"a text without end", "'abc", SN_E_SYNTAX,
     "column 1: the text that begins here has no closing '"},
    {"an escape without meaning", "'\\q'", SN_E_SYNTAX, "column 2: this escape"},
    {"an escape for the zero byte", "'\\0'", SN_E_SYNTAX, "column 2: this escape"},
    {"bytes that are no UTF-8", "'\xff'", SN_E_SYNTAX, "column 2: this is not UTF-8"},
    {"leading zeros", "007", SN_E_SYNTAX, "column 1: 007 has leading zeros"},
    {"a number with letters", "2width", SN_E_SYNTAX, "column 1: \"2width\" is no number"},
    {"an integer of 65 bits", "9223372036854775808", SN_E_SYNTAX, "too large for a 64-bit integer"},
    {"a dot", "a.b", SN_E_SYNTAX, "choice(\"the/label\")"},
    {"an assignment", "a = 1", SN_E_SYNTAX, "column 3: \"=\""},
    {"in", "a in t", SN_E_SYNTAX, "column 3: expressions do not have \"in\""},
    {"lambda", "lambda: 1", SN_E_SYNTAX, "column 1: expressions do not have \"lambda\""},
    {"a keyword as a value", "1 + else", SN_E_SYNTAX, "column 5: \"else\" where a value"},
    {"if without else", "1 if a", SN_E_SYNTAX, "an operator or \"else\" is expected"},
    {"an unknown label", "zz + 1", SN_E_UNKNOWN_NAME,
     "column 1: \"zz\" is not a choice; choices are a, b, f, s, t, k, stage1/op_2, twice, max, m0 "
     "and 7 more"},
    {"a label with a slip", "1 + twiec", SN_E_UNKNOWN_NAME,
     "column 5: \"twiec\" is not a choice; did you mean \"twice\"?"},
    {"an unknown label in quotes", "choice('x/y')", SN_E_UNKNOWN_NAME, "column 8: \"x/y\""},
    {"choice of a number", "choice(1)", SN_E_SYNTAX, "column 8: \"1\" where a label in quotes"},
    {"an unknown function", "len(t)", SN_E_SYNTAX,
     "column 1: \"len\" is not a function; functions are abs, "},
    {"too few arguments", "cond(a)", SN_E_SYNTAX, "column 1: cond takes 3 arguments, not 1"},
    {"no arguments", "max()", SN_E_SYNTAX, "max takes 1 or more arguments, not 0"},
    {"too many arguments", "pow(1, 2, 3, 4)", SN_E_SYNTAX, "pow takes 2 or 3 arguments, not 4"},
    {"a choice of several at once", "pair", SN_E_INVALID, "\"pair\" decides on several candidates"},
    {"a choice of nothing", "nothing", SN_E_INVALID, "\"nothing\" has no candidates"},

    {"division by zero", "12 // b", SN_E_EVALUATE, "\"12 // b\" with b = 0: division by zero"},
    {"rest of division by zero", "1.5 % b", SN_E_EVALUATE, "division by zero"},
    {"true division by zero", "a / 0.0", SN_E_EVALUATE, "division by zero"},
    {"zero to a negative power", "0 ** -1", SN_E_EVALUATE, "division by zero"},
    {"a complex result", "(-8) ** 0.5", SN_E_EVALUATE, "complex number"},
    {"a float that is too large", "10.0 ** 400", SN_E_EVALUATE, "too large for a float"},
    {"a sum of 65 bits", "9223372036854775807 + 1", SN_E_EVALUATE,
     "too large for a 64-bit integer"},
    {"a product of 65 bits", "4611686018427387904 * 2", SN_E_EVALUATE, "too large"},
    {"a power of 65 bits", "2 ** 63", SN_E_EVALUATE, "too large"},
    {"a shift of 65 bits", "1 << 63", SN_E_EVALUATE, "too large"},
    {"the smallest integer has no opposite", "-(-9223372036854775808)", SN_E_EVALUATE, "too large"},
    {"the smallest integer by -1", "-9223372036854775808 // -1", SN_E_EVALUATE, "too large"},
    {"a huge float as an integer", "floor(1e300)", SN_E_EVALUATE, "too large"},
    {"infinity as an integer", "to_int(1e999)", SN_E_EVALUATE, "infinity has no integer"},
    {"a negative shift", "1 << -a", SN_E_EVALUATE, "the shift count is negative"},
    {"bits of a float", "f & 1", SN_E_EVALUATE,
     "\"f & 1\" with f = 1.5: & does not take float and int"},
    {"a text and a number", "s + 1", SN_E_EVALUATE, "+ does not take text and int"},
    {"an order of text and number", "s < 1", SN_E_EVALUATE, "< does not take text and int"},
    {"formatting", "'%d' % 3", SN_E_EVALUATE, "texts cannot be formatted with %"},
    {"an index too large", "t[2]", SN_E_EVALUATE, "index 2 is out of range for a tuple of 2"},
    {"an index that is no integer", "t[1.0]", SN_E_EVALUATE, "an index does not take float"},
    {"an index into a number", "a[0]", SN_E_EVALUATE, "indexing does not take int"},
    {"a text that is no integer", "to_int('1_')", SN_E_EVALUATE, "the text is no integer"},
    {"a text that is no number", "to_float('0x1')", SN_E_EVALUATE, "the text is no number"},
    {"cond evaluates the other branch too", "cond(a, 1, 1 // b)", SN_E_EVALUATE,
     "division by zero"},
    {"no inverse", "pow(2, -1, 4)", SN_E_EVALUATE, "no inverse"},
    {"a maximum of nothing", "max(())", SN_E_EVALUATE, "nothing to take the maximum"},
    {"a text that never ends", "'x' * 9999 * 9999", SN_E_EVALUATE, "at most 16384"},
    {"a tuple that only looks small", "((t,) * 4096,) * 4", SN_E_EVALUATE, "at most 16384"},
};

static void refusal_says_why(void **state)
{
    const struct refusal *row = *state;
    sn_arena             *mem = sn_arena_create();
    sn_expr              *e = NULL;
    sn_error              err = {0};
    sn_value              v;
    sn_status             rc;

    rc = sn_expr_parse(row->expr, choices, COUNT(choices), "model.x", &e, &err);
    if (rc == SN_OK) rc = sn_expr_dry_run(e, mem, &v, &err);
    assert_int_equal(rc, row->status);
    assert_int_equal(err.code, row->status);
    assert_string_equal(err.where, "model.x");
    if (!strstr(err.text, row->text)) fail_msg("\"%s\" does not say \"%s\"", err.text, row->text);
    sn_expr_free(e);
    sn_arena_free(mem);
}

/* ---- bounds ------------------------------------------------------------------------------ */

/* `n` times `open`, then "1", then `n` times `close`. */
static char *nested(const char *open, const char *close, size_t n)
{
    struct text text = {0};

    for (size_t i = 0; i < n; i++)
        text_printf(&text, "%s", open);
    text_printf(&text, "1");
    for (size_t i = 0; i < n; i++)
        text_printf(&text, "%s", close);
    return text.at;
}

static const struct {
    const char *open, *close;
    size_t      n;
    sn_status   status;
} depths[] = {
    {"(", ")", 90, SN_OK},
    {"(", ")", 5000, SN_E_SYNTAX},
    {"[", "]", 5000, SN_E_SYNTAX},
    {"-", "", 5000, SN_E_SYNTAX},
    {"not ", "", 2000, SN_E_SYNTAX},
    {"2**", "", 2000, SN_E_SYNTAX},
    {"abs(", ")", 2000, SN_E_SYNTAX},
    {"t[", "]", 2000, SN_E_SYNTAX},
    {"1 if 1 else ", "", 1000, SN_E_SYNTAX},
    {"", "+1", 5000, SN_OK}, /* long is not deep */
    {"", " and 1", 1000, SN_OK},
    {"", ",1", 200, SN_OK},
    {"", ",1", 300, SN_E_SYNTAX},
    {"", "+1", 10000, SN_E_LIMIT},
    {"1+(", ")", 80, SN_OK},
    {"1|(2^(3&(4<<(5+(6*(", "))))))", 15, SN_OK},
    {"1<2|3^4&5<<6+7*(", ")", 60, SN_E_SYNTAX}, /* more values wait than the stack holds */
};

static void depth_and_length_are_bounded(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(depths); i++) {
        char     *text = nested(depths[i].open, depths[i].close, depths[i].n);
        sn_error  err = {0};
        sn_expr  *e = NULL;
        sn_status rc = sn_expr_parse(text, choices, COUNT(choices), "deep", &e, &err);

        if (rc != depths[i].status) fail_msg("depth row %zu: %d %s", i, rc, err.text);
        assert_int_equal(err.code, depths[i].status);
        sn_expr_free(e);
        free(text);
    }
}

/* ---- leaves and labels ---------------------------------------------------------------------- */

static const struct {
    const char *expr, *leaves;
} leaf_rows[] = {
    {"1", ""},
    {"a + b * a", "a b a "},
    {"cond(b, a, t)", "a b t "},
    {"cond(cond(a, b, s) , f, t) + a", "f b a s t a "},
    {"a if b else f", "a b f "},
    {"a < b < choice('stage1/op_2') and s", "a b stage1/op_2 s "},
    {"f[a], max(b, s)", "f a b s "},
};

static void leaves_come_in_reading_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(leaf_rows); i++) {
        sn_expr    *e = parse(leaf_rows[i].expr);
        struct text got = {0};

        text_add(&got, "", 0);
        for (size_t n = 0; n < sn_expr_n_leaves(e); n++)
            text_printf(&got, "%s ", sn_expr_leaf(e, n));
        assert_string_equal(got.at ? got.at : "", leaf_rows[i].leaves);
        free(got.at);
        sn_expr_free(e);
    }
}

static void an_expression_owns_its_choices(void **state)
{
    sn_value    candidate[] = {INT(1), TEXT("gone")};
    char        label[] = "width", tuple_text[] = "x";
    sn_choice   choice = {.label = label, .candidate = candidate, .n_candidates = 2, .n_chosen = 1};
    const char *names[] = {"width"};
    sn_arena   *mem = sn_arena_create();
    sn_error    err = {0};
    sn_expr    *e = NULL;
    sn_value    v;

    (void)state;
    candidate[1].as.text = tuple_text;
    assert_int_equal(sn_expr_parse("width", &choice, 1, "w", &e, &err), SN_OK);
    label[0] = tuple_text[0] = '?';
    candidate[0] = (sn_value)INT(99);
    v = (sn_value)TEXT("x");
    assert_int_equal(sn_expr_evaluate(e, names, &v, 1, mem, &v, &err), SN_OK);
    assert_string_equal(v.as.text, "x");
    sn_expr_free(e);
    assert_string_equal(v.as.text, "x"); /* results live in the caller's arena */
    sn_arena_free(mem);
    assert_null(sn_expr_free(NULL));
}

/* ---- evaluation with an assignment
 * ---------------------------------------------------------------- */

static const struct {
    const char *name, *expr;
    sn_value    a, b; /* SN_KIND_NULL: no value */
    sn_status   status;
    const char *text; /* value or a part of the error */
} assigned[] = {
    {"both values", "a * 2 + b", INT(4), INT(1), SN_OK, "9"},
    {"an equal float keeps its kind", "a", REAL(4.0), INT(0), SN_OK, "4.0"},
    {"a missing label",
     "a + b",
     INT(4),
     {.kind = SN_KIND_NULL},
     SN_E_UNDECIDED,
     "\"b\" has no value"},
    {"a missing label nobody reads", "a", INT(4), {.kind = SN_KIND_NULL}, SN_OK, "4"},
    {"missing in the branch not taken",
     "a or b",
     INT(4),
     {.kind = SN_KIND_NULL},
     SN_E_UNDECIDED,
     "\"b\" has no value"},
    {"no candidate", "a", INT(7), INT(0), SN_E_NOT_CANDIDATE,
     "\"a\" cannot be 7; candidates are 3, 4, 6"},
    {"no candidate, but not read", "b", INT(7), INT(0), SN_OK, "0"},
    {"a text for a number", "a", TEXT("3"), INT(0), SN_E_NOT_CANDIDATE, "cannot be '3'"},
    {"fails for this assignment", "a // b", INT(4), INT(0), SN_E_EVALUATE,
     "with a = 4, b = 0: division by zero"},
};

static void assignments_are_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(assigned); i++) {
        static const char *const names[] = {"other", "a", "b"};
        const size_t             n = assigned[i].b.kind == SN_KIND_NULL ? 2 : 3;
        const sn_value           values[] = {INT(1), assigned[i].a, assigned[i].b};
        sn_arena                *mem = sn_arena_create();
        sn_expr                 *e = parse(assigned[i].expr);
        sn_error                 err = {0};
        sn_value                 v;
        char                     text[100];

        assert_int_equal(sn_expr_evaluate(e, names, values, n, mem, &v, &err), assigned[i].status);
        if (assigned[i].status == SN_OK)
            assert_string_equal(sn_value_text(&v, text, sizeof text), assigned[i].text);
        else if (!strstr(err.text, assigned[i].text))
            fail_msg("%s: %s", assigned[i].name, err.text);
        sn_expr_free(e);
        sn_arena_free(mem);
    }
}

/* The planner's way: by index, candidates unchecked, nothing allocated for numbers. */
static void numbers_evaluate_without_memory(void **state)
{
    const sn_value five = INT(5), *value[2] = {&five, NULL};
    sn_arena      *mem = sn_arena_create();
    const sn_expr *e = NULL;
    sn_error       err = {0};
    sn_value       v;
    size_t         before;

    (void)state;
    assert_int_equal(expr_parse_in(mem, "max(a * 2, 3.5) // 1 if a > 1 else b", choices,
                                   COUNT(choices), "w", &e, &err),
                     SN_OK);
    assert_int_equal(expr_n_labels(e), 2);
    assert_ptr_equal(expr_label(e, 0), &choices[0]); /* borrowed */
    assert_string_equal(expr_label(e, 1)->label, "b");
    before = alloc_count();
    assert_int_equal(expr_eval(e, value, NULL, &v, &err), SN_OK);
    assert_int_equal(alloc_count(), before);
    assert_int_equal(v.as.integer, 10);

    value[0] = &b[1]; /* 1: now the other branch is read */
    assert_int_equal(expr_eval(e, value, NULL, &v, &err), SN_E_UNDECIDED);
    assert_non_null(strstr(err.text, "\"b\" has no value"));
    sn_arena_free(mem);
}

/* ---- options
 * ------------------------------------------------------------------------------------------ */

static const struct {
    const char *expr;
    sn_status   status;
    const char *text; /* the options, or a part of the error */
} option_rows[] = {
    {"a", SN_OK, "(3, 4, 6)"},
    {"twice", SN_OK, "(1, 2)"},
    {"a * 2 + b", SN_OK, "(6, 7, 8, 9, 12, 13)"},
    {"7 - a", SN_OK, "(1, 3, 4)"},
    {"b * 1.0 if a > 3 else b", SN_OK, "(0, 1)"}, /* 0 and 1 are met before 0.0 and 1.0 */
    {"cond(a > 2, 1.0, 1)", SN_OK, "(1.0,)"},
    {"-0.0 * b", SN_OK, "(-0.0,)"},
    {"b == 0", SN_OK, "(False, True)"},
    {"t", SN_OK, "((1, 2), (3, 4))"},
    {"s", SN_OK, "('12', 'y')"},
    {"k", SN_E_EVALUATE, "no common order"},
    {"s if b else a", SN_E_EVALUATE, "no common order"},
    {"to_float('nan') if b else 1", SN_E_EVALUATE, "nan"},
    {"None", SN_OK, "(None,)"}, /* alone it needs no order */
    {"6 // b", SN_E_EVALUATE, "with b = 0: division by zero"},
    {"m0 + m1 + m2 + m3 + m4", SN_OK, NULL}, /* 16^5 = 2^20 */
    {"m0 + m1 + m2 + m3 + m4 + m5", SN_E_LIMIT, "more than 1048576 assignments"},
};

static void options_are_distinct_and_ascending(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(option_rows); i++) {
        sn_arena  *mem = sn_arena_create();
        sn_expr   *e = parse(option_rows[i].expr);
        sn_option *option = NULL;
        sn_value   item[100];
        sn_error   err = {0};
        size_t     n = 0;
        char       text[200];
        sn_status  rc = sn_expr_options(e, NULL, NULL, NULL, 0, mem, &option, &n, &err);

        if (rc != option_rows[i].status) fail_msg("%s: %d %s", option_rows[i].expr, rc, err.text);
        if (rc == SN_OK && option_rows[i].text) {
            for (size_t j = 0; j < n; j++) {
                item[j] = option[j].value;
                assert_true(option[j].weight == 0.0);
            }
            sn_value_text(&(sn_value){.kind = SN_KIND_TUPLE, .as.tuple = {item, n}}, text,
                          sizeof text);
            assert_string_equal(text, option_rows[i].text);
        } else if (rc == SN_OK) {
            assert_int_equal(n, 76); /* 0 ... 75 */
            assert_int_equal(option[75].value.as.integer, 75);
        } else if (!strstr(err.text, option_rows[i].text)) {
            fail_msg("%s: %s", option_rows[i].expr, err.text);
        }
        sn_expr_free(e);
        sn_arena_free(mem);
    }
}

static void weights_multiply_and_add(void **state)
{
    static const char *const   names[] = {"unused", "b", "a"};
    static const double        none[1] = {0}, of_b[] = {0.25, 0.5}, of_a[] = {1, 2, 4};
    static const double *const weights[] = {none, of_b, of_a};
    size_t                     n_weights[] = {1, 2, 3}, n = 0;
    sn_arena                  *mem = sn_arena_create();
    sn_expr                   *e = parse("a * b + b * 0 + a * 0"); /* a label twice counts once */
    sn_option                 *option = NULL;
    sn_error                   err = {0};

    (void)state;
    assert_int_equal(sn_expr_options(e, names, weights, n_weights, 3, mem, &option, &n, &err),
                     SN_OK);
    assert_int_equal(n, 4); /* 0, 3, 4, 6 */
    assert_true(option[0].weight == 0.25 + 0.5 + 1.0);
    assert_true(option[1].weight == 0.5 && option[2].weight == 1.0 && option[3].weight == 2.0);

    n_weights[1] = 3;
    assert_int_equal(sn_expr_options(e, names, weights, n_weights, 3, mem, &option, &n, &err),
                     SN_E_INVALID);
    assert_string_equal(err.text, "\"b\" has 2 candidates, and 3 weights were given");
    err = (sn_error){0};
    assert_int_equal(sn_expr_options(e, names, weights, n_weights, 2, mem, &option, &n, &err),
                     SN_E_UNDECIDED);
    assert_string_equal(err.text, "\"a\" has no weights");
    sn_expr_free(e);
    sn_arena_free(mem);
}

static void a_constant_has_one_value(void **state)
{
    sn_arena *mem = sn_arena_create();
    sn_expr  *e = parse("a * 2 / a");
    sn_error  err = {0};
    sn_value  v;

    (void)state;
    assert_int_equal(sn_expr_constant(e, mem, &v, &err), SN_OK);
    assert_true(v.kind == SN_KIND_FLOAT && v.as.real == 2.0);
    sn_expr_free(e);
    e = parse("m0");
    assert_int_equal(sn_expr_constant(e, mem, &v, &err), SN_E_EVALUATE);
    assert_string_equal(err.text,
                        "\"m0\" is not constant; its values are 0, 1, 2, 3, 4, 5, 6, 7, 8, "
                        "9 and 6 more");
    sn_expr_free(e);
    sn_arena_free(mem);
}

static void dedup_merges_or_names_the_conflict(void **state)
{
    static const sn_value  reals[] = {REAL(3.0), REAL(4.0), REAL(6.0)}, other[] = {INT(6), INT(3)};
    static const sn_choice same = CHOICE("a", reals), different = CHOICE("a", other);
    sn_arena              *mem = sn_arena_create();
    sn_error               err = {0};
    const sn_expr         *e[3];
    sn_choice             *merged = NULL;
    sn_expr               *third = NULL;
    size_t                 n = 9;

    (void)state;
    assert_int_equal(sn_expr_dedup(NULL, 0, mem, &merged, &n, &err), SN_OK);
    assert_int_equal(n, 0);
    e[0] = parse("cond(b, f, a)");
    e[1] = parse("t + a");
    assert_int_equal(sn_expr_parse("a", &same, 1, "w", &third, &err), SN_OK);
    e[2] = third;
    assert_int_equal(sn_expr_dedup(e, 3, mem, &merged, &n, &err), SN_OK);
    assert_int_equal(n, 4);
    assert_string_equal(merged[0].label, "f");
    assert_string_equal(merged[1].label, "b");
    assert_string_equal(merged[2].label, "a");
    assert_int_equal(merged[2].candidate[0].kind, SN_KIND_INT); /* the first list is kept */
    assert_string_equal(merged[3].label, "t");
    sn_expr_free(third);
    assert_int_equal(sn_expr_parse("a", &different, 1, "layer", &third, &err), SN_OK);
    e[2] = third;
    assert_int_equal(sn_expr_dedup(e, 3, mem, &merged, &n, &err), SN_E_INVALID);
    assert_string_equal(err.where, "layer");
    assert_string_equal(err.text, "\"a\" has two lists of candidates: 3, 4, 6, and 6, 3");
    sn_expr_free((sn_expr *)e[0]);
    sn_expr_free((sn_expr *)e[1]);
    sn_expr_free(third);
    sn_arena_free(mem);
}

/* ---- what loading and planning ask
 * ------------------------------------------------------------------ */

static void composition_splices_expressions(void **state)
{
    sn_arena      *mem = sn_arena_create();
    const sn_value two = INT(2), tuple = TUPLE(INT(8), INT(9));
    const sn_expr *in = NULL, *e = NULL;
    sn_error       err = {0};
    sn_option     *option = NULL;
    sn_value       v;
    size_t         n = 0;

    (void)state;
    assert_int_equal(expr_parse_in(mem, "cond(b, a * 4, 12) if a < 5 else 6", choices,
                                   COUNT(choices), "w", &in, &err),
                     SN_OK);
    const struct expr_name names[] = {
        {"in_channels", in, NULL}, {"groups", NULL, &two}, {"size", NULL, &tuple}};

    assert_int_equal(expr_compose(mem,
                                  "in_channels // groups - -groups + size[0] * 0 + in_channels * 0",
                                  names, 3, "w", &e, &err),
                     SN_OK);
    assert_int_equal(sn_expr_n_leaves(e), 6);
    assert_string_equal(sn_expr_leaf(e, 0), "a"); /* as in `in`: a b a */
    assert_string_equal(sn_expr_leaf(e, 1), "b");
    assert_int_equal(expr_n_labels(e), 2);
    assert_int_equal(sn_expr_options(e, NULL, NULL, NULL, 0, mem, &option, &n, &err), SN_OK);
    assert_int_equal(n, 3); /* 6//2+2 = 5; 12//2+2 = 8; 16//2+2 = 10 */
    assert_int_equal(option[0].value.as.integer, 5);
    assert_int_equal(option[1].value.as.integer, 8);
    assert_int_equal(option[2].value.as.integer, 10);

    assert_int_equal(expr_compose(mem, "groups * 3", names, 3, "w", &e, &err), SN_OK);
    assert_int_equal(sn_expr_constant(e, mem, &v, &err), SN_OK);
    assert_int_equal(v.as.integer, 6);
    assert_int_equal(expr_compose(mem, "a", names, 3, "w", &e, &err), SN_E_UNKNOWN_NAME);
    assert_string_equal(
        err.text, "column 1: \"a\" is not an argument; arguments are in_channels, groups, size");
    sn_arena_free(mem);
}

static const struct {
    const char *name, *expr;
    bool        components;
    const char *super;
} supers[] = {
    {"integers: the last", "a", true, "6"},
    {"tuples: the last without components", "(3, 5) if b else (5, 3)", false, "(5, 3)"},
    {"tuples: the maximum of each component", "(3, 5) if b else (5, 3)", true, "(5, 5)"},
    {"an int stands for every component", "k", true, "(7, 7)"},
    {"tuples of two lengths: the last", "(9,) if b else (5, 3)", true, "(9,)"},
    {"a text among them: the last", "'same' if b else (1, 2)", true, "(1, 2)"},
};

static void the_largest_value_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(supers); i++) {
        sn_arena *mem = sn_arena_create();
        sn_expr  *e = parse(supers[i].expr);
        sn_error  err = {0};
        sn_value *value = NULL, v;
        size_t    n = 0;
        char      text[100];

        assert_int_equal(expr_values(e, true, mem, &value, &n, &err), SN_OK);
        assert_int_equal(expr_super(value, n, supers[i].components, mem, &v, "w", &err), SN_OK);
        assert_string_equal(sn_value_text(&v, text, sizeof text), supers[i].super);
        sn_expr_free(e);
        sn_arena_free(mem);
    }
}

static void combinations_name_their_option(void **state)
{
    static const bool     soft[] = {true, false, true}; /* a, f, b */
    const sn_value *const value[] = {NULL, &f[0], NULL};
    sn_arena             *mem = sn_arena_create();
    const sn_expr        *e = NULL;
    sn_option            *option = NULL;
    uint32_t             *combo_option = NULL, *combo_index = NULL;
    size_t                n_options = 0, n_combos = 0;
    sn_error              err = {0};

    (void)state;
    assert_int_equal(
        expr_parse_in(mem, "12 - a * (f > 1) * b", choices, COUNT(choices), "w", &e, &err), SN_OK);
    assert_int_equal(expr_combos(e, soft, value, mem, &option, &n_options, &combo_option,
                                 &combo_index, &n_combos, &err),
                     SN_OK);
    assert_int_equal(n_options, 4); /* 6, 8, 9, 12 */
    assert_int_equal(n_combos, 6);
    for (size_t i = 0; i < n_combos; i++) {
        const int64_t of_a = a[combo_index[2 * i]].as.integer,
                      of_b = b[combo_index[2 * i + 1]].as.integer;

        assert_int_equal(combo_index[2 * i], i / 2); /* the first label is the slowest */
        assert_int_equal(combo_index[2 * i + 1], i % 2);
        assert_int_equal(option[combo_option[i]].value.as.integer, 12 - of_a * of_b);
    }
    sn_arena_free(mem);
}

/* ---- memory
 * ----------------------------------------------------------------------------------------- */

/* Everything in one go, so that each allocation can fail in turn. */
static sn_status use_everything(sn_error *err)
{
    static const char *const text =
        "cond(a > 3, t + (b, b), t * 2) if choice('stage1/op_2') else s + 'x'";
    sn_arena  *mem = sn_arena_create();
    sn_expr   *e = NULL;
    sn_option *option;
    sn_choice *merged;
    sn_value   v;
    size_t     n;
    sn_status  rc;

    if (!mem) return sn_fail(err, SN_E_NO_MEMORY, "", "no arena");
    rc = sn_expr_parse(text, choices, COUNT(choices), "w", &e, err);
    if (rc == SN_OK) rc = sn_expr_dry_run(e, mem, &v, err);
    if (rc == SN_OK) rc = sn_expr_options(e, NULL, NULL, NULL, 0, mem, &option, &n, err);
    if (rc == SN_OK) rc = sn_expr_dedup((const sn_expr *const *)&e, 1, mem, &merged, &n, err);
    sn_expr_free(e);
    sn_arena_free(mem);
    return rc;
}

static void every_allocation_may_fail(void **state)
{
    bool failed = true;

    (void)state;
    for (size_t i = 1; failed; i++) {
        sn_error  err = {0};
        sn_status rc;

        alloc_fail_at(i);
        rc = use_everything(&err);
        failed = alloc_failed();
        alloc_fail_at(0);
        assert_int_equal(rc, failed ? SN_E_NO_MEMORY : SN_OK);
        assert_int_equal(err.code, rc);
        assert_true(i > 10 || failed);
    }
}

int main(void)
{
    static const struct CMUnitTest single[] = {
        cmocka_unit_test(depth_and_length_are_bounded),
        cmocka_unit_test(leaves_come_in_reading_order),
        cmocka_unit_test(an_expression_owns_its_choices),
        cmocka_unit_test(assignments_are_checked),
        cmocka_unit_test(numbers_evaluate_without_memory),
        cmocka_unit_test(options_are_distinct_and_ascending),
        cmocka_unit_test(weights_multiply_and_add),
        cmocka_unit_test(a_constant_has_one_value),
        cmocka_unit_test(dedup_merges_or_names_the_conflict),
        cmocka_unit_test(composition_splices_expressions),
        cmocka_unit_test(the_largest_value_is_found),
        cmocka_unit_test(combinations_name_their_option),
        cmocka_unit_test(every_allocation_may_fail),
    };
    struct CMUnitTest tests[COUNT(rows) + COUNT(refusals) + COUNT(single)];
    size_t            n = 0;

    for (size_t i = 0; i < COUNT(rows); i++)
        tests[n++] = (struct CMUnitTest){.name = rows[i].name,
                                         .test_func = row_has_this_value,
                                         .initial_state = (void *)&rows[i]};
    for (size_t i = 0; i < COUNT(refusals); i++)
        tests[n++] = (struct CMUnitTest){.name = refusals[i].name,
                                         .test_func = refusal_says_why,
                                         .initial_state = (void *)&refusals[i]};
    memcpy(tests + n, single, sizeof single);
    return cmocka_run_group_tests_name("expr", tests, NULL, NULL);
}
