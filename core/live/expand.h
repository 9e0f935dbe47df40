/* expand: what the files that expand modules into nodes share. */
#ifndef LIVE_EXPAND_H
#define LIVE_EXPAND_H

#include "live/network.h"

/* Nodes for `m` on the values `in`; its outputs are the values `out`. */
sn_status expand_module(struct network *w, const struct module *m, const int *in, int *out,
                        sn_error *err);

/* One new node; `ret_node` may be NULL. */
sn_status expand_emit(struct network *w, enum node_kind kind, const struct module *m, int n_in,
                      const int *in, int n_out, int *out, sn_error *err);

/* A node of a Cell, and the join of its loose ends. */
sn_status expand_cell(struct network *w, const struct module *m, const int *in, int *out,
                      sn_error *err);
sn_status expand_loose_ends(struct network *w, const struct module *m, const int *in, int *out,
                            sn_error *err);

/* A NasBench101Cell; the choices its live nodes read. */
sn_status expand_nasbench101(struct network *w, const struct module *m, const int *in, int *out,
                             sn_error *err);
void      expand_nasbench101_mark(const struct network *w, const struct module *m, bool *active);
const sn_choice *expand_nasbench101_open(const sn_supernet *net, const struct decision *decision,
                                         const struct module *m);

/* The first open choice that a node of a Cell waits for. */
const sn_choice *expand_cell_open(const sn_supernet *net, const struct decision *decision,
                                  const struct module *m);

#endif
