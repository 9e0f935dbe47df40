/* model: a loaded supernet as an immutable tree of modules.
 *
 * A module is an operator (op is set) or a structure: a container that decides
 * which of its children live (structure is set). Every argument is a fixed value
 * or an expression over the choices. Everything lives in the supernet's arena. */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include <pthread.h>

#include "base/base.h"
#include "base/table.h"
#include "space/expr.h"
#include "supernet/op.h"

struct module;

/* One argument of one module. */
struct arg_slot {
    const char     *name;
    const char     *where;  /* "model.layers[2].padding" */
    const sn_expr  *expr;   /* NULL: fixed */
    sn_value        fixed;  /* without expr: the value */
    sn_value        super;  /* the largest over all assignments */
    const sn_value *option; /* every value, ascending; one if fixed */
    size_t          n_options;
    size_t          n_leaves; /* the distinct choices the expression reads, by index */
    const size_t   *leaf;
    unsigned        flags;    /* sn_arg_flags */
    int             position; /* in the order they were written; -1: the default */
};

/* Where a child's input comes from. */
struct wire {
    int from; /* WIRE_ABSENT, WIRE_INPUT: the parent's input `out`, or the index of a sibling */
    int out;  /* which output of it */
};
enum { WIRE_ABSENT = -2, WIRE_INPUT = -1 };

enum structure_kind {
    STRUCT_NONE, /* an operator */
    STRUCT_SEQUENTIAL,
    STRUCT_GRAPH,
    STRUCT_LAYER_CHOICE,
    STRUCT_INPUT_CHOICE,
    STRUCT_REPEAT,
    STRUCT_CELL,       /* a node of a Cell whose operators are on edges */
    STRUCT_LOOSE_ENDS, /* of such a Cell: the states that no node reads, joined */
    STRUCT_NASBENCH101 /* a whole cell: its graph follows from decisions */
};

enum reduction { REDUCE_SUM, REDUCE_MEAN, REDUCE_CONCAT };

/* A node of a Cell: child[j * n_ops + o] is operator o on input j. There may be more
 * edges than inputs: checkpoints have tensors for some that never run. */
struct cell {
    size_t  n_ops, n_edges;
    size_t  n_picks;    /* how many (operator, input) a decided node adds up */
    size_t *op, *input; /* n_picks choices each */
    size_t *edge;       /* n_in choices: the weights of the operators of an edge */
};

/* A NasBench101Cell. Arrays are by node: 0 is the input of the cell, n - 1 the last that
 * can be its output; what a node does not have is NULL. */
struct nasbench101 {
    const char     *label;
    int             n, max_edges;
    int64_t         out_features;
    size_t          num_nodes;               /* choice */
    size_t         *input, *features;        /* choices; the last node has no features */
    struct module **projection, **op, **cut; /* cut: a wider input made as narrow as the node */
};

struct module {
    int                 index;  /* depth first, parents first; index into supernet.module[] */
    int                 parent; /* -1: the root */
    int                 level;  /* how deep it is, from 1: at least as an export of it */
    const char         *name;   /* as its parent knows it: "conv1", "0" */
    const char         *path;   /* prefix of its tensors, "body.blocks.0"; "" for the root */
    const char         *where;  /* place in the document */
    const char         *type;
    enum structure_kind kind;
    int                 n_in, n_out;
    size_t              n_children;
    struct module     **child;

    /* operators */
    const sn_op     *op;
    size_t           n_args, n_params;
    struct arg_slot *arg;   /* in the order of op->args */
    sn_tensor       *param; /* in the order of op->params: the whole weight; SN_NONE if absent */
    int *state; /* in the order of op->params: slot in sn_state, -1 for ordinary weights */
    _Atomic(void *)
            *packed; /* [variants * params] prepared weights, scale and shift: compile/pack.c */
    size_t   n_packed;
    uint64_t n_param_elements;

    /* Graph: children in topological order */
    struct wire      **wire;       /* wire[i][j]: input j of child i */
    struct wire       *output;     /* n_out of them */
    const char *const *input_name; /* n_in of them */
    const char       **output_ref; /* as the document names them: "attn.1" */

    /* LayerChoice, InputChoice */
    size_t         choice; /* index of the label */
    enum reduction reduction;
    int            n_chosen; /* InputChoice; 0: any number (null) */

    /* Repeat; children are the blocks */
    struct arg_slot depth;

    struct cell           cell;        /* of a node of a Cell */
    struct nasbench101    nasbench101; /* of a NasBench101Cell */
    struct module *const *node; /* LooseEnds: input i is the state of node[i]; child[0] joins */
};

struct sn_supernet {
    atomic_size_t n_refs;
    sn_arena     *mem;
    void         *fenced; /* copies of weights, in builds that fence memory */
    sn_arena     *wide;   /* weights in F32 that the file has in fewer bits; NULL: none */
    sn_registry  *registry;
    sn_weights   *weights;
    const char   *name, *spec;
    uint8_t       digest[32];
    bool          bare;            /* loaded without weights: parameters have shapes, but no data */
    bool          nni;             /* "compatibility": "nni-2.8", or a later one */
    bool          winograd;        /* "winograd": true */
    bool          nni_spare_logit; /* "nni-2.10": edges of Cells have a weight for no operator */

    size_t   n_inputs, n_outputs;
    sn_port *input, *output;

    size_t       n_choices;
    sn_choice   *choice;
    struct table label;    /* -> index of the choice */
    const char **read_by;  /* by choice: an expression that reads it; NULL */
    uint32_t   *candidate; /* 0, 1, 2, ... up to the longest list: a decision for one points here */
    const char *space_size;

    struct module  *root;
    int            *root_input; /* root->n_in of them: index into input[], -1: absent */
    size_t          n_modules;
    struct module **module;
    sn_module      *info; /* what the public header shows of each */

    atomic_size_t   packed_bytes; /* of all prepared weights */
    pthread_mutex_t publishing;   /* held while an empty slot of theirs is filled */

    size_t          n_tensors; /* what its modules need, with weights or without */
    sn_tensor_info *tensor;

    size_t       n_states; /* running statistics, all modules */
    const char **state_name;
    sn_tensor   *state;
};

/* SN_E_CHANGED if pages of mapped weights were lost while they were read, or if they are known to
 * have changed. Asks no file. */
sn_status supernet_check_lost(const sn_supernet *net, sn_error *err);

#endif
