/* builtin: the policies that every registry starts with. */
#ifndef POLICY_BUILTIN_H
#define POLICY_BUILTIN_H

#include "supernet/supernet.h"

/* NULL past the end. */
const sn_policy_class *builtin_policy_at(size_t i);

#endif
