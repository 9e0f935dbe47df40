/* cell: what the two forms of a Cell share.
 *
 *   states 0 .. p-1            the predecessors, preprocessed
 *   states p .. p+n-1          the nodes: each adds up k operators of earlier states
 *   result                     the states of the nodes, joined
 *
 *   ordinary form   one LayerChoice and one InputChoice for each (node, k)
 *   edge form       operators on (node, input) edges: where they depend on the input, or
 *                   where loose ends are joined
 */
#ifndef STRUCTURE_CELL_H
#define STRUCTURE_CELL_H

#include "structure/assemble.h"

struct cell_spec {
    struct builder *b;
    const char     *where, *path; /* of the Cell */
    const char     *label;
    int64_t         n_nodes, n_picks, n_predecessors, concat_dim;
    bool            loose_end, edges;
    const json_t   *candidates;
    const char     *list; /* place of the candidates */
    size_t          n_candidates;
    const char    **name; /* of the candidates */
    sn_value       *name_value;
    size_t         *op, *input; /* [node * n_picks + k]: labels */
};

/* "<label>/<what>_<i>_<k>" in memory that stays. */
const char *cell_label(const struct cell_spec *c, const char *what, int64_t i, int64_t k);

/* Node `t` (from 0) of the edge form, a child of `ops`; `wire` has its earlier states. */
sn_status cell_build_edges(const struct cell_spec *c, struct assembly *ops, int64_t t,
                           const struct wire *wire, struct wire *ret_state);

/* The join of the states of those nodes that no other node reads. */
sn_status cell_build_loose_ends(const struct cell_spec *c, struct assembly *ops,
                                const struct wire *state, struct wire *ret_state);

/* Whether some argument says {"if_input": j, "then": a, "else": b}. */
bool cell_has_rules(struct builder *b, const json_t *spec);

#endif
