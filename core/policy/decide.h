/* decide: what the policies share when they write a decision into a draft. */
#ifndef POLICY_DECIDE_H
#define POLICY_DECIDE_H

#include "base/base.h"

/* Whether a policy still has to decide choice i. */
bool decide_is_open(const sn_supernet *net, const sn_draft *draft, size_t i);

/* The taken candidates of a choice, at least one, in ascending order of their places:
 * one alone is the value itself, several are a tuple. */
sn_status decide_taken(const sn_choice *c, const bool *taken, sn_draft *draft, sn_error *err);

#endif
