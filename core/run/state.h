/* state: running statistics of a caller. */
#ifndef RUN_STATE_H
#define RUN_STATE_H

#include "supernet/train.h"

/* Are these the statistics of `net`? */
bool state_is_of(const sn_state *state, const sn_supernet *net);

#endif
