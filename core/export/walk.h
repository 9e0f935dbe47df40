/* walk: what the files that put a subnet into a list of nodes share. */
#ifndef EXPORT_WALK_H
#define EXPORT_WALK_H

#include "export/list.h"
#include "live/network.h"
#include "subnet/subnet.h"

struct walk {
    const sn_subnet    *subnet;
    struct export_list *list;
    sn_arena           *mem;  /* of the list */
    bool               *live; /* by module */
    uint64_t           *sums; /* by LayerChoice of several candidates: a bit for each output read */
    int                *node; /* by module: its node, once it has one */
    bool                unread; /* layers are walked whether something reads them or not */
    const char        **port;   /* [SN_MAX_PORTS] "x.0", "x.1", ...: inputs of a Graph that the
                                   export makes. No node is called so, because of the dot. */
    size_t cap_nodes, cap_tensors;
};

/* Add the node or nodes of a module, called `name`, whose tensors begin with `path`. */
sn_status walk_module(struct walk *w, const struct module *m, const char *name, const char *path,
                      int *ret_node, sn_error *err);

/* "path.name", or just the name at the top. */
const char *walk_join(struct walk *w, const char *path, const char *name);

/* A container or an operator that the export adds; walk_close() after all that is in it. */
sn_status walk_open(struct walk *w, enum export_kind kind, const char *name, const char *type,
                    int *ret_node, sn_error *err);
void      walk_close(struct walk *w, int node);

/* A Graph whose inputs are called `input_name`; NULL: "x.0", "x.1", ... */
sn_status walk_open_graph(struct walk *w, const char *name, const char *const *input_name, int n_in,
                          int *ret_node, sn_error *err);

/* What a node of a Graph reads, and what comes out of one: copied. */
sn_status walk_inputs(struct walk *w, int node, const struct export_value *in, int n,
                      sn_error *err);
sn_status walk_outputs(struct walk *w, int graph, const struct export_value *out, int n,
                       sn_error *err);

/* An operator of `type` on several values. */
sn_status walk_combine(struct walk *w, const char *name, const char *type,
                       const struct export_value *in, int n, struct export_value *ret,
                       sn_error *err);

/* One more tensor, of the node that was opened last; `pieces`: NULL if it is a view. */
sn_status walk_add_tensor(struct walk *w, const char *name, const sn_tensor *t,
                          const struct export_pieces *pieces, sn_error *err);

/* A node of a Cell, and the join of its loose ends. */
sn_status walk_cell(struct walk *w, const struct module *m, const char *name, const char *path,
                    int *ret_node, sn_error *err);
sn_status walk_loose_ends(struct walk *w, const struct module *m, const char *name,
                          const char *path, int *ret_node, sn_error *err);

/* A NasBench101Cell. */
sn_status walk_nasbench101(struct walk *w, const struct module *m, const char *name,
                           const char *path, int *ret_node, sn_error *err);

#endif
