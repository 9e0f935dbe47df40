/* network: the module tree under one assignment, as a flat list of nodes.
 *
 * Expanding answers for every structure which children live, in one place: what
 * is active (sealing), what runs (plans) and what is exported are all read from
 * the result. Values are numbered; a node reads some and makes some. Nodes stand
 * in an order in which they can run; those that no output needs are not live. */
#ifndef LIVE_NETWORK_H
#define LIVE_NETWORK_H

#include "live/decision.h"

enum node_kind {
    NODE_OP,       /* an operator */
    NODE_PASS,     /* output k is input k: a decision was read here, or a container ends */
    NODE_SUM,      /* several chosen: one output, the sum of the inputs */
    NODE_MEAN,     /* likewise, divided by their number */
    NODE_CONCAT,   /* likewise, joined on dimension 1 */
    NODE_WEIGHTED, /* one output: the sum of the inputs, weighted by a distribution */
    NODE_OPEN      /* an open decision: an error if it is live */
};

enum { VALUE_ABSENT = -1 };

struct node {
    enum node_kind       kind;
    const struct module *module;
    int                  n_in, n_out;
    const int           *in;     /* values; VALUE_ABSENT: an optional input that is not connected */
    int                  out;    /* its outputs are the values out, out + 1, ... */
    size_t               choice; /* NODE_WEIGHTED without `option`: whose weights */
    bool                 same_shape; /* the inputs of a sum may not broadcast */
    bool                 live;
    const uint32_t
        *option; /* NODE_WEIGHTED over a Repeat: the option of its depth that input i is */
};

struct network {
    const sn_supernet     *net;
    const struct decision *decision;
    sn_arena              *mem;
    struct node           *node;
    size_t                 n_nodes, cap;
    int                    n_values; /* the first net->n_inputs are the inputs */
    const int             *output;   /* net->n_outputs values */
};

/* Expand `decision` over `net`; everything lives in `mem`.
 * SN_E_UNDECIDED if a live part depends on an open choice, SN_E_UNSUPPORTED if a
 * distribution meets what cannot be blended. */
sn_status network_expand(const sn_supernet *net, const struct decision *decision, sn_arena *mem,
                         struct network *ret_network, sn_error *err);

/* Mark the choices that live nodes read. */
void network_mark_active(const struct network *w, bool *active);

/* Whether a node of a Cell is left to the distributions of its edges. */
bool network_cell_is_soft(const struct decision *decision, const struct module *m);

/* Which inputs of a LooseEnds no decided node reads, ascending; how many. */
int network_loose_ends(const struct network *w, const struct module *m, int *ret_end);

#endif
