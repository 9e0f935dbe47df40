/* nasbench101: the graph that the decisions about a NasBench101Cell make. */
#ifndef LIVE_NASBENCH101_H
#define LIVE_NASBENCH101_H

#include "live/decision.h"

struct nasbench101_graph {
    int              n;                  /* nodes; n - 1 is the output. 0: not all is decided */
    size_t           n_edges;            /* of all nodes that were decided, dangling ones too */
    const sn_choice *open;               /* the first open choice that something needed reads */
    const sn_choice *soft;               /* the first that is left to a distribution */
    bool             live[SN_MAX_PORTS]; /* the output needs it */
    bool             edge[SN_MAX_PORTS][SN_MAX_PORTS]; /* [to][from], of live nodes */
    int64_t          width[SN_MAX_PORTS];              /* channels of live nodes, from node 1 on */
};

void nasbench101_read(const sn_supernet *net, const struct decision *decision,
                      const struct module *m, struct nasbench101_graph *ret_graph);

/* Decide the channels of all nodes of all such cells, as far as they are known. */
sn_status nasbench101_derive(const sn_supernet *net, sn_arena *mem, struct decision *decision,
                             sn_error *err);

#endif
