/* decision: what was decided about the choices of a supernet, and what follows for arguments. */
#ifndef LIVE_DECISION_H
#define LIVE_DECISION_H

#include "model/model.h"

enum decision_state { DECISION_OPEN, DECISION_VALUE, DECISION_SOFT };

/* What was decided about one choice. */
struct decision {
    enum decision_state state;
    bool                list;  /* `value` is a tuple of what was picked, not a candidate itself */
    sn_value            value; /* as it is shown: the candidate, or a tuple of them */
    size_t          n_pick; /* candidates it names: 1, or several of a LayerChoice or InputChoice */
    const uint32_t *pick;   /* their indices, in the order of the decision */
};

/* The candidates for messages: "3, 5, 7" or, for many, the first ten "and N more". */
const char *decision_allowed_text(const sn_choice *c, char *buf, size_t n_bytes);

/* The value of an argument under these decisions, all of which are made: always one of its
 * options, in the form in which it was checked (2, where the arithmetic gave 2.0). */
sn_status decision_evaluate(const struct decision *decision, const struct arg_slot *slot,
                            sn_arena *mem, sn_value *ret_value, sn_error *err);

/* Whether the argument reads a choice that is left to a distribution. */
bool decision_is_soft(const struct decision *decision, const struct arg_slot *slot);

/* The first open choice that the argument reads, or NULL. */
const sn_choice *decision_open(const sn_supernet *net, const struct decision *decision,
                               const struct arg_slot *slot);

#endif
