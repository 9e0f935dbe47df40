/* list: a subnet as it stands alone, without choices: what every format is written from.
 *
 * Nodes stand in one list, each container before what is in it, and siblings in an order in which
 * they can run. A value is an output of a node, or an input of the Graph that a node is in.
 * Arguments are plain; a tensor is the live part of a parameter.
 *
 *     0 Graph "model"     end 4    inputs x             outputs (3, 0)
 *     1   Conv2d "conv"   end 2    of (input, 0)        tensors conv.weight, conv.bias
 *     2   ReLU "act"      end 3    of (1, 0)
 *     3   Add "add"       end 4    of (2, 0) (input, 0) */
#ifndef EXPORT_LIST_H
#define EXPORT_LIST_H

#include "model/model.h"

enum export_kind {
    EXPORT_OPERATOR,
    EXPORT_SEQUENTIAL, /* what is in it runs one after the other */
    EXPORT_GRAPH       /* what is in it names what it reads */
};

enum { EXPORT_ABSENT = -2, EXPORT_INPUT = -1 };

struct export_value {
    int node; /* in the list; EXPORT_INPUT: input `out` of the Graph around; EXPORT_ABSENT */
    int out;
};

struct export_arg {
    const char *name;
    sn_value    value;
    bool        said; /* neither the default nor derived from another */
};

struct export_node {
    enum export_kind           kind;
    const char                *name; /* among its siblings; NULL: the root */
    const char                *type;
    const struct module       *module; /* NULL: a container, or an operator that the export adds */
    int                        end;    /* behind the last node that is in it */
    int                        n_in, n_out;
    const struct export_value *in;         /* [n_in]; NULL: it is in no Graph */
    const char *const         *input_name; /* EXPORT_GRAPH: [n_in] */
    const struct export_value *out;        /* EXPORT_GRAPH: [n_out] */
    size_t                     n_args;
    const struct export_arg   *arg;                     /* of `module`, in the order of op->args */
    size_t                     first_tensor, n_tensors; /* in the order of op->params */
};

/* What a tensor of several pieces is copied together from. */
struct export_pieces {
    const sn_tensor *whole;
    sn_slice         cut;
};

struct export_list {
    const sn_supernet  *net;
    sn_arena           *mem;
    sn_arena           *copies;  /* tensors that are no views of the weights; may be taken over */
    int                 n_nodes; /* node[0] is the root */
    struct export_node *node;
    size_t              n_tensors;
    const char        **tensor_name;
    sn_tensor          *tensor; /* a view; of several pieces: without data before export_gather() */
    const struct export_pieces **pieces; /* of each tensor; NULL: it is a view */
};

/* Walk the subnet, once; the list lives as long as it. export_list_fini() also after an error. */
sn_status export_list(const sn_subnet *subnet, struct export_list *ret_list, sn_error *err);
/* Copy together what is in pieces, into `copies`: only who writes weights needs it. */
sn_status export_gather(struct export_list *list, sn_error *err);
void      export_list_fini(struct export_list *list);

#endif
