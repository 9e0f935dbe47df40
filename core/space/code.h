/* code: an expression as a program for a stack of values.
 *
 *     "a + 2 * b"   ->   label a, constant 2, label b, binary *, binary +
 *
 * Jumps are relative to the next instruction, so that a program can be spliced into
 * another or moved as a whole. The parser makes programs, eval.c runs them. */
#ifndef SPACE_CODE_H
#define SPACE_CODE_H

#include "space/expr.h"
#include "space/value.h"

enum {
    EXPR_MAX_TEXT_BYTES = 16384, /* of one expression */
    EXPR_MAX_NESTING = 200,
    EXPR_MAX_CODE = 65536, /* instructions after composition */
    EXPR_MAX_STACK = 256,  /* values waiting at one time */
    EXPR_MAX_SIZE = 16384  /* value_size() of what an expression makes */
};

enum step {
    STEP_CONSTANT,   /* push constant[index] */
    STEP_LABEL,      /* push the value of label[index] */
    STEP_UNARY,      /* pop 1, push 1; `what` is an enum unary */
    STEP_BINARY,     /* pop 2, push 1; enum binary */
    STEP_COMPARE,    /* pop 2, push a bool; enum relation */
    STEP_CHAIN,      /* a, b -> b where it holds; else False, and jump */
    STEP_CALL,       /* pop n, push 1; enum function */
    STEP_TUPLE,      /* pop n, push 1 */
    STEP_AND,        /* jump where false, else pop */
    STEP_OR,         /* jump where true, else pop */
    STEP_JUMP_FALSE, /* pop, and jump where false */
    STEP_JUMP
};

enum unary { UNARY_NEGATIVE, UNARY_POSITIVE, UNARY_INVERT, UNARY_NOT };

enum binary {
    BINARY_ADD,
    BINARY_SUB,
    BINARY_MUL,
    BINARY_DIV,
    BINARY_FLOORDIV,
    BINARY_MOD,
    BINARY_POW,
    BINARY_SHL,
    BINARY_SHR,
    BINARY_AND,
    BINARY_XOR,
    BINARY_OR,
    BINARY_INDEX
};

enum relation { RELATION_LT, RELATION_LE, RELATION_EQ, RELATION_NE, RELATION_GE, RELATION_GT };

/* name, fewest and most arguments; 0 is any number */
#define FUNCTION_MAP(X)                                                                            \
    X(FUNCTION_ABS, "abs", 1, 1)                                                                   \
    X(FUNCTION_CEIL, "ceil", 1, 1)                                                                 \
    X(FUNCTION_COND, "cond", 3, 3)                                                                 \
    X(FUNCTION_DIVMOD, "divmod", 2, 2)                                                             \
    X(FUNCTION_FLOOR, "floor", 1, 1)                                                               \
    X(FUNCTION_MAX, "max", 1, 0)                                                                   \
    X(FUNCTION_MIN, "min", 1, 0)                                                                   \
    X(FUNCTION_POW, "pow", 2, 3)                                                                   \
    X(FUNCTION_ROUND, "round", 1, 2)                                                               \
    X(FUNCTION_TO_FLOAT, "to_float", 1, 1)                                                         \
    X(FUNCTION_TO_INT, "to_int", 1, 1)                                                             \
    X(FUNCTION_TRUNC, "trunc", 1, 1)

enum function {
#define X(name, text, fewest, most) name,
    FUNCTION_MAP(X)
#undef X
        FUNCTION_COUNT
};

struct code {
    uint8_t  step; /* enum step */
    uint8_t  what;
    uint16_t n;
    union {
        int32_t  jump;
        uint32_t index;
    } to;
};

struct sn_expr {
    sn_arena               *own; /* of sn_expr_parse(); NULL: lives in another's arena */
    const char             *text, *where;
    const struct code      *code;
    size_t                  n_code;
    const sn_value         *constant;
    size_t                  n_constants;
    const sn_choice *const *label; /* distinct, in order of first appearance */
    size_t                  n_labels;
    const uint32_t         *leaf; /* label indices in reading order, with repetitions */
    size_t                  n_leaves;
};

/* ---- ops: one step on values ---------------------------------------------------- */

/* What a step may use, and why it failed. */
struct ops {
    sn_arena *mem;  /* whose budget the steps are taken from as well */
    uint64_t  work; /* what may still be spent on this enumeration; a step costs 1 and more */
    sn_status code;
    char      reason[200];
};

bool ops_unary(struct ops *o, enum unary what, const sn_value *a, sn_value *ret);
bool ops_binary(struct ops *o, enum binary what, const sn_value *a, const sn_value *b,
                sn_value *ret);
bool ops_compare(struct ops *o, enum relation what, const sn_value *a, const sn_value *b,
                 bool *ret);
bool ops_call(struct ops *o, enum function what, const sn_value *arg, size_t n, sn_value *ret);
bool ops_tuple(struct ops *o, const sn_value *item, size_t n, sn_value *ret);
bool ops_fail(struct ops *o, sn_status code, const char *reason); /* false */
bool ops_spend(struct ops *o, uint64_t work);

/* ---- parse, eval ------------------------------------------------------------------ */

enum { CODE_WORK = 1 << 28 }; /* a few seconds */

/* expr_eval() with the budget that `ops` has left. */
sn_status code_run(const sn_expr *expr, const sn_value *const *value, struct ops *ops,
                   sn_value *ret_value, sn_error *err);

/* expr_parse_in() for one that may still change it. */
sn_status code_parse(sn_arena *mem, const char *text, const sn_choice *choices, size_t n_choices,
                     const char *where, sn_expr **ret_expr, sn_error *err);

/* A choice with everything it points to. */
bool code_copy_choice(sn_arena *mem, const sn_choice *choice, sn_choice *ret_copy);

#endif
