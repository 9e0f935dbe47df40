/* The built-in operators: builtin.def has one line for each. */
#include "op/builtin.h"

#include "base/base.h"

#define SN_BUILTIN_OP(op) extern const sn_op op;
#include "op/builtin.def"
#undef SN_BUILTIN_OP

static const sn_op *const builtin_ops[] = {
#define SN_BUILTIN_OP(op) &op,
#include "op/builtin.def"
#undef SN_BUILTIN_OP
    NULL,
};

const sn_op *builtin_op_at(size_t i)
{
    return i < COUNT(builtin_ops) ? builtin_ops[i] : NULL;
}
