/* builtin: the operators that every registry starts with. */
#ifndef OP_BUILTIN_H
#define OP_BUILTIN_H

#include "supernet/supernet.h"

/* NULL past the end. */
const sn_op *builtin_op_at(size_t i);

#endif
