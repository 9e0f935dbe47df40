/* build: the state of one loading, shared by the files that read a document.
 *
 *   spec.c       the top of the document: inputs, choices, outputs
 *   choices.c    labels: who declares them, who reads them, in which order
 *   build.c      one module: is it an operator or a structure, what is its name
 *   argument.c   one argument: a value, or an expression with its options
 *   operator.c   all arguments of an operator, and the shapes of its parameters
 *   bind.c       tensors -> parameters
 *   structure/   one file for each container
 *
 * Inputs are known from the top down: whoever contains a module says how many it
 * gets, and learns from it how many outputs it has. */
#ifndef DOCUMENT_BUILD_H
#define DOCUMENT_BUILD_H

#include "base/budget.h"
#include "base/json.h"
#include "base/table.h"
#include "model/model.h"

enum {
    BUILD_MAX_BYTES = 1 << 26, /* of the document */
    BUILD_MAX_DEPTH = 48,      /* modules in each other, also as an export writes them */
    BUILD_MAX_MODULES = 100000,
    BUILD_MAX_LABELS = 10000,
    BUILD_MAX_CANDIDATES = 4096, /* of one label */
    BUILD_MAX_NAME_BYTES = 200,  /* of one name or label */
    BUILD_MAX_PATH_BYTES = 2000, /* of a tensor's name */
    BUILD_MAX_TEXT_BYTES = 4096  /* of one expression */
};

/* One member that an object of the document may have. */
struct member {
    const char *name;
    unsigned    types; /* MEMBER_*, what JSON it may be */
    bool        required;
};

enum {
    MEMBER_OBJECT = 1 << JSON_OBJECT,
    MEMBER_ARRAY = 1 << JSON_ARRAY,
    MEMBER_TEXT = 1 << JSON_STRING,
    MEMBER_INT = 1 << JSON_INTEGER,
    MEMBER_REAL = 1 << JSON_REAL,
    MEMBER_BOOL = 1 << JSON_TRUE | 1 << JSON_FALSE,
    MEMBER_NULL = 1 << JSON_NULL
};

/* What decides a label. A plain one is declared by a table of choices or a Repeat. */
enum role { ROLE_PLAIN, ROLE_LAYER, ROLE_INPUT };

struct label {
    sn_choice    choice; /* users are counted here, listed below */
    enum role    role;
    const char  *where;   /* of its first declaration */
    const char  *read_by; /* the first expression that reads it; NULL */
    size_t       order;   /* of first use, from 0; SIZE_MAX: unused */
    const char **user;    /* choice.n_users of them */
    size_t       cap_users;
};

struct builder {
    sn_supernet *net; /* under construction, arguments know labels by the order of declaration */
    sn_arena    *mem; /* the supernet's */
    sn_arena    *tmp; /* gone when loading ends */
    sn_error    *err;

    struct label            *label; /* in the order of declaration, BUILD_MAX_LABELS at most */
    size_t                   n_labels, cap_labels, n_used;
    struct table             label_table;
    const struct expr_scope *scope; /* what every expression sees here */

    struct module **module; /* in the order of the document, parents first */
    size_t          n_modules, cap_modules;
};

/* A container: it decides how its children are wired and which of them live. Here is how one is
 * read; the rest of the library works on struct module. builtin/containers.def says its type. */
struct structure {
    enum structure_kind  kind;
    const struct member *member; /* beside those of every module; {0} ends the table */
    /* m has index, name, path, where, n_in: fill the rest. `node`: of a Graph. */
    sn_status (*build)(struct builder *b, struct module *m, const json_t *spec, bool node);
};

/* ---- build.c ---------------------------------------------------------------------- */

extern const struct member build_document_members[]; /* spec.c */
extern const struct member build_input_members[];    /* spec.c */
extern const struct member build_module_members[];   /* of every module */
extern const struct member build_node_members[];     /* also of the nodes of a Graph */
extern const struct member build_expr_members[];     /* of an argument written as an object */

/* n steps of work, before they are done: what a document repeats is paid for each time. */
static inline sn_status build_step(struct builder *b, uint64_t n, const char *where)
{
    return budget_step(arena_budget(b->mem), n, where, b->err);
}

/* JSON that is copied while the document is read: paid for until it has been read. */
static inline sn_status build_copied(struct builder *b, size_t n_bytes, const char *where)
{
    return budget_take(arena_budget(b->mem), n_bytes) ? build_step(b, n_bytes / 16, where)
                                                      : fail_no_memory(b->err, where);
}

#define build_fail(b, code, where, ...) sn_fail((b)->err, (code), (where), __VA_ARGS__)

/* No member is unknown, of a wrong type, or missing. Up to three tables together;
 * further names (an operator's arguments) are for the caller if `open`. */
sn_status build_check_members(struct builder *b, const json_t *object, const char *where,
                              const struct member *const *tables, size_t n_tables);

/* where + "[i]" into buf; returns buf. */
const char *build_item(const char *where, size_t i, char *buf, size_t n_bytes);

/* As the document would write it, into buf, cut if it must be; returns buf. */
const char *build_value_text(const sn_value *v, char *buf, size_t n_bytes);

/* The module that `spec` describes as a child of `parent` (NULL: the root).
 *   name   as its parent knows it ("" for the root)
 *   path   prefix of its tensors
 *   n_in   how many inputs it gets
 *   node   it is a node of a Graph: "inputs" belongs to the Graph */
struct build_place {
    struct module *parent;
    const char    *name, *path, *where;
    int            n_in;
    bool           node;
};
sn_status build_module(struct builder *b, const struct build_place *place, const json_t *spec,
                       struct module **ret_module);

/* A module that code puts together: entered in the list, and no more. */
sn_status build_enter(struct builder *b, const struct build_place *place, struct module **ret);

/* The names of the modules in `list`, by "name" or else by position; unique, in b->mem.
 * `where` is that of the list. */
sn_status build_names(struct builder *b, const json_t *list, const char *where, bool required,
                      const char ***ret_names);

/* parent's path + "." + name */
const char *build_path(struct builder *b, const char *path, const char *name);

/* `text` is a name that a label or module can have. */
sn_status build_check_name(struct builder *b, const char *what, const char *text, bool dots,
                           const char *where);

/* Wrong n_in for something that takes `want`. */
sn_status build_fail_inputs(struct builder *b, const struct module *m, int min, int max);

/* ---- choices.c ---------------------------------------------------------------------- */

/* Enter a label, or find it with the same candidates. The choice's texts are borrowed. */
sn_status build_declare(struct builder *b, const sn_choice *choice, enum role role,
                        const char *where, size_t *ret_label);

/* `user` ("stem.kernel_size") reads the label. */
sn_status build_use(struct builder *b, size_t label, const char *user);

/* {"label": [candidates]}: declared, and in a scope inside of the present one. */
sn_status build_choices(struct builder *b, const json_t *table, const char *where,
                        struct expr_scope *ret_scope);

/* Sort the labels by first use and number them anew everywhere. */
sn_status build_finish_choices(struct builder *b);

/* ---- argument.c ----------------------------------------------------------------------- */

/* A literal, a keyword or an expression. `user` is "stem.kernel_size"; NULL if the
 * argument was not written. */
sn_status build_argument(struct builder *b, const sn_arg_def *def, const json_t *value,
                         const char *user, const char *where, struct arg_slot *slot);

/* The same of a parsed expression. */
sn_status build_set_expr(struct builder *b, const sn_arg_def *def, const sn_expr *expr,
                         const char *user, const char *where, struct arg_slot *slot);

/* ---- operator.c ----------------------------------------------------------------------- */

sn_status build_operator(struct builder *b, struct module *m, const json_t *spec, bool node);

/* ---- bind.c ----------------------------------------------------------------------------- */

sn_status build_bind(struct builder *b);

#endif
