/* The built-in operators: operators.def has one line for each. */
#include "builtin/operators.h"

#include "base/base.h"

#define SN_BUILTIN_OP(op) extern const sn_op op;
#include "builtin/operators.def"
#undef SN_BUILTIN_OP

static const sn_op *const builtin_ops[] = {
#define SN_BUILTIN_OP(op) &op,
#include "builtin/operators.def"
#undef SN_BUILTIN_OP
    NULL,
};

const sn_op *builtin_op_at(size_t i)
{
    return i < COUNT(builtin_ops) ? builtin_ops[i] : NULL;
}
