/* operators: those that every registry starts with. */
#ifndef BUILTIN_OPERATORS_H
#define BUILTIN_OPERATORS_H

#include "supernet/supernet.h"

/* NULL past the end. */
const sn_op *builtin_op_at(size_t i);

#endif
