/* export: what the files that write a stand-alone specification share. */
#ifndef EXPORT_EXPORT_H
#define EXPORT_EXPORT_H

#include "live/network.h"
#include "subnet/subnet.h"

/* A module that is about to be written as a node of a Graph. */
struct node_inputs {
    const struct module *graph; /* whose wires; NULL: the ports of a Graph made here */
    const struct wire   *wire;
    const char          *from;    /* without graph: what its one input is called; NULL: a port */
    bool                 written; /* by the node itself, which is a Graph */
};

struct export
{
    const sn_subnet    *subnet;
    sn_arena           *mem;
    bool               *live; /* by module */
    uint64_t           *sums; /* by LayerChoice of several candidates: a bit for each output read */
    bool                unread; /* layers are written whether something reads them or not */
    struct text         spec;
    struct node_inputs *node, *opened; /* of the next module, and of the one just opened; NULL */
    size_t              n_tensors, cap;
    const char        **name;
    sn_tensor          *tensor;
};

/* Walk the subnet; on success x->spec and the tensors are complete. export_fini() always. */
sn_status export_all(const sn_subnet *subnet, struct export *x, sn_error *err);
void      export_fini(struct export *x);

/* Writes the module without its closing brace: a Graph adds the inputs. */
sn_status export_module(struct export *x, const struct module *m, const char *name,
                        const char *path, sn_error *err);

/* "path.name", or just the name at the top. */
const char *export_join(struct export *x, const char *path, const char *name);

/* {"name": name, "type": type  */
void export_open(struct export *x, const char *name, const char *type);

/* The inputs of the Graph that was just opened: their names, and where they come from if
 * it is a node of another. `name` NULL: ports. */
void export_inputs(struct export *x, const char *const *name, int n);

/* ["x.0", "x.1", ...]: the inputs of a Graph that the export itself makes. */
void export_ports(struct export *x, int n);

/* A node of a Cell, and the join of its loose ends. */
sn_status export_cell(struct export *x, const struct module *m, const char *name, const char *path,
                      sn_error *err);
sn_status export_loose_ends(struct export *x, const struct module *m, const char *name,
                            const char *path, sn_error *err);

/* A NasBench101Cell. */
sn_status export_nasbench101(struct export *x, const struct module *m, const char *name,
                             const char *path, sn_error *err);

#endif
