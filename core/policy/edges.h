/* edges: Cells whose operators are on edges, for the policies that learn a distribution.
 *
 * Such a Cell is run by labels op_i_k and input_i_k, but its logits belong to its edges,
 * "<label>/<i>_<j>": one for each operator. These policies soften the edges, and at the
 * end derive from their logits which operators on which inputs remain. */
#ifndef POLICY_EDGES_H
#define POLICY_EDGES_H

#include "policy/alpha.h"

/* Logits for the edges, none for the labels that are derived from them. */
sn_status edges_init(struct alpha *a, const sn_supernet *net, uint64_t seed, sn_error *err);

/* Soften the edges of every node that is not decided by hand. */
sn_status edges_soften(const sn_supernet *net, sn_draft *draft, sn_error *err);

/* Decide the open labels of all nodes: the best operator of every input comes first, then
 * the others; on a tie the later input, then the greater name. */
sn_status edges_best(const struct alpha *a, const sn_supernet *net, sn_draft *draft, sn_error *err);

#endif
