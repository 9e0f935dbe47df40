/* eval: run the program of an expression on a stack of values. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "space/code.h"

/* "12 // a" with a = 0: division by zero */
static sn_status fail_at(const sn_expr *expr, const sn_value *const *value, const struct ops *o,
                         sn_error *err)
{
    char   with[400] = "", one[80];
    size_t n = 0;

    for (size_t i = 0; i < expr->n_labels; i++) {
        if (!value[i]) continue;
        if (n > sizeof with - 160) {
            snprintf(with + n, sizeof with - n, ", ...");
            break;
        }
        n += (size_t)snprintf(with + n, sizeof with - n, "%s%.60s = %s", n == 0 ? " with " : ", ",
                              expr->label[i]->label, sn_value_text(value[i], one, sizeof one));
    }
    return sn_fail(err, o->code, expr->where, "\"%.300s\"%s: %s", expr->text, with, o->reason);
}

sn_status code_run(const sn_expr *expr, const sn_value *const *value, struct ops *ops,
                   sn_value *ret_value, sn_error *err)
{
    sn_value           stack[EXPR_MAX_STACK];
    sn_value          *top = stack; /* the first free one */
    const struct code *end = expr->code + expr->n_code;
    bool               ok = true;

    if (!ops_spend(ops, expr->n_code)) return fail_at(expr, value, ops, err);
    for (const struct code *c = expr->code; c < end; c++) {
        switch ((enum step)c->step) {
        case STEP_CONSTANT:
            *top++ = expr->constant[c->to.index];
            break;
        case STEP_LABEL:
            if (!value[c->to.index])
                return sn_fail(err, SN_E_UNDECIDED, expr->where,
                               "\"%.300s\": \"%.200s\" has no value", expr->text,
                               expr->label[c->to.index]->label);
            *top++ = *value[c->to.index];
            break;
        case STEP_UNARY:
            ok = ops_unary(ops, (enum unary)c->what, &top[-1], &top[-1]);
            break;
        case STEP_BINARY:
            top--;
            ok = ops_binary(ops, (enum binary)c->what, &top[-1], &top[0], &top[-1]);
            break;
        case STEP_COMPARE:
        case STEP_CHAIN: {
            bool holds = false;

            top--;
            ok = ops_compare(ops, (enum relation)c->what, &top[-1], &top[0], &holds);
            if (c->step == STEP_CHAIN && holds) {
                top[-1] = top[0]; /* the left side of the next comparison */
                break;
            }
            top[-1] = (sn_value){.kind = SN_KIND_BOOL, .as.boolean = holds};
            if (c->step == STEP_CHAIN) c += c->to.jump;
            break;
        }
        case STEP_CALL:
            top -= c->n - 1;
            ok = ops_call(ops, (enum function)c->what, &top[-1], c->n, &top[-1]);
            break;
        case STEP_TUPLE:
            top -= c->n;
            ok = ops_tuple(ops, top, c->n, top);
            top++;
            break;
        case STEP_AND:
        case STEP_OR:
            if (value_truth(&top[-1]) == (c->step == STEP_OR))
                c += c->to.jump;
            else
                top--;
            break;
        case STEP_JUMP_FALSE:
            top--;
            if (!value_truth(top)) c += c->to.jump;
            break;
        case STEP_JUMP:
            c += c->to.jump;
            break;
        }
        if (!ok) return fail_at(expr, value, ops, err);
    }
    assert(top == stack + 1); /* by construction: the grammar of parse.c leaves one value, whatever
                               * branches are taken, and check_stack() has bounded the depth */
    *ret_value = stack[0];
    return SN_OK;
}

sn_status expr_eval(const sn_expr *expr, const sn_value *const *value, sn_arena *mem,
                    sn_value *ret_value, sn_error *err)
{
    struct ops ops;

    ops.mem = mem;
    ops.work = CODE_WORK;
    return code_run(expr, value, &ops, ret_value, err);
}
