/* assemble: a Graph put together by code, for the structures that are one underneath.
 *
 * Children are added in an order in which they can run. Their tensors are named by where
 * they are, "<path of the graph>.<name>"; what goes wrong in them is reported at the
 * place in the document that they come from. */
#ifndef STRUCTURE_ASSEMBLE_H
#define STRUCTURE_ASSEMBLE_H

#include "document/build.h"

struct assembly {
    struct builder *b;
    struct module  *m;
    size_t          cap;
};

/* `m` becomes a Graph of at most `cap` children. */
sn_status assemble_init(struct assembly *g, struct builder *b, struct module *m, size_t cap);

/* The same of a new module, a child of `parent`; `name` may have dots. */
sn_status assemble_child(struct assembly *g, struct builder *b, struct module *parent,
                         const char *name, int n_in, size_t cap);

/* Add a module that is there already, with a copy of its wires. */
sn_status assemble_add(struct assembly *g, struct module *child, const struct wire *wire,
                       struct wire *ret_state);

/* Read `spec` as a child with `n` inputs and add it. */
sn_status assemble_read(struct assembly *g, const char *name, const char *where, const json_t *spec,
                        const struct wire *wire, int n, struct wire *ret_state);

/* {"type": type, member: value}, an operator of several inputs; of a single one it is not
 * needed: *ret_state is that input. */
sn_status assemble_join(struct assembly *g, const char *name, const char *type, const char *member,
                        int64_t value, const struct wire *wire, int n, struct wire *ret_state);

sn_status assemble_end(struct assembly *g, const struct wire *output, int n_out);

#endif
