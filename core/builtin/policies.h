/* policies: those that every registry starts with. */
#ifndef BUILTIN_POLICIES_H
#define BUILTIN_POLICIES_H

#include "supernet/supernet.h"

/* NULL past the end. */
const sn_policy_class *builtin_policy_at(size_t i);

#endif
