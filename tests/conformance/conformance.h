/* conformance: golden cases against the library, through its public header alone.
 *
 *     <group>/<id>.json + .safetensors    golden.c      one case, read and checked
 *       -> supernet/1 specification       translate.c   the case as a user would write it
 *       -> load, decide, compile, run     network.c
 *       -> numbers against numbers        compare.c
 *
 *   expression.c   cases that are expressions alone
 *   extra.c        exported probabilities and state dictionaries
 *   deviation.c    the rules for what is different on purpose
 *   main.c         directories, options, the closing line
 *
 * The format of a case is described in README.md. */
#ifndef CONFORMANCE_H
#define CONFORMANCE_H

#include <jansson.h>

#include "supernet/expr.h"
#include "supernet/supernet.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- report: what went wrong in one case ---------------------------------------- */

struct report {
    char   text[2048]; /* the reasons, joined with "; ", on one line */
    size_t n_bytes, n_reasons;
    bool   accepted; /* the only reason: what should be refused was accepted */
};

__attribute__((format(printf, 2, 3))) void report_fail(struct report *r, const char *fmt, ...);
/* "load: model.padding: ..." */
void report_error(struct report *r, const char *doing, const sn_error *err);

/* ---- golden: one case ------------------------------------------------------------- */

struct golden {
    const char *path;            /* of the .json file */
    const char *id, *group, *op; /* "?" where the case does not say */
    json_t     *doc;
    sn_weights *tensors; /* NULL: the case has no tensors */
};

/* False, with reasons, if the file is no complete case. fini in any case. */
bool golden_init(struct golden *g, const char *path, struct report *r);
void golden_fini(struct golden *g);

/* A member as text; NULL if it is not there or something else. */
const char *golden_text(const struct golden *g, const char *key);
bool        golden_is_path(const struct golden *g);
/* The tensor of that name; a reason if the file lacks it. */
bool golden_tensor(const struct golden *g, const char *name, sn_tensor *ret_tensor,
                   struct report *r);

/* ---- compare ----------------------------------------------------------------------- */

/* Exactly, kinds included: 2, 2.0 and true differ, arrays are tuples. */
bool compare_value(const json_t *want, const sn_value *have);

/* Shapes exactly, numbers within the tolerances of the format. */
void compare_tensor(const char *name, const sn_tensor *want, const sn_tensor *have,
                    struct report *r);

/* JSON -> value in `mem`; false for an object or when memory is out. */
bool value_from_json(const json_t *v, sn_arena *mem, sn_value *ret_value);

/* An ordered space against the expected list of {label, values, size, chosen_size}. */
void compare_space(const json_t *want, const sn_choice *const *have, size_t n, struct report *r);

/* ---- batches ----------------------------------------------------------------------------- */

struct batches {
    sn_subnet          *subnet;
    sn_plan            *plan; /* for all samples */
    sn_compile_options  options;
    const sn_tensor    *in; /* all of them */
    const float *const *probs;
};

/* The first sample, the first two, ...: alone, and by the plan for all, with the same bits. */
void compare_batches(const struct batches *b, struct report *r);

/* ---- translate --------------------------------------------------------------------- */

/* The case as a supernet/1 document, to be freed; NULL with a reason. */
char *translate(const struct golden *g, struct report *r);

/* Is `label` decided by a Cell in the form of edges, somewhere in the case? */
bool translate_is_edge_label(const struct golden *g, const char *label);

/* The parameters of the case as a safetensors document in memory. */
struct bytes {
    unsigned char *at;
    size_t         n, cap;
};
bool    bytes_of_params(const struct golden *g, struct bytes *b, struct report *r);
sn_sink bytes_sink(struct bytes *b);
void    bytes_fini(struct bytes *b);

/* ---- running ------------------------------------------------------------------------ */

/* A refusal happens in one of these; a case is right if it comes no later than its own. */
enum phase { PHASE_LOAD, PHASE_RESAMPLE, PHASE_FORWARD, PHASE_EVALUATE, PHASE_COUNT };

/* The phase of an expected error; PHASE_COUNT with a reason if it names none. */
enum phase phase_of_error(const json_t *error, struct report *r);

/* What was refused must say where and why. */
void check_refusal(const json_t *error, enum phase at, const sn_error *err, struct report *r);
void fail_not_refused(struct report *r, const json_t *error);

/* softmax in float32; n numbers of a JSON array. */
bool softmax_of(const json_t *alpha, float *ret_weight, size_t n);

/* A supernet as far as it got, and the refusal that stopped it. */
struct trial {
    const struct golden *g;
    struct report       *r;
    struct bytes         params;
    sn_weights          *weights;
    sn_supernet         *net;
    sn_arena            *mem;
    sn_error             err; /* code is not SN_OK: refused at `at` */
    enum phase           at;
};
bool trial_load(struct trial *t, const struct golden *g, sn_registry *reg, struct report *r);
bool trial_choose(struct trial *t, sn_draft *draft); /* the labels of `chosen` */
/* The policy with the logits of the case; NULL when refused or impossible. */
sn_policy *trial_differentiable(struct trial *t);
void       trial_fini(struct trial *t);

void run_network(const struct golden *g, sn_registry *reg, sn_exactness exactness,
                 struct report *r);
void run_expression(const struct golden *g, struct report *r);
void run_probs(const struct golden *g, sn_registry *reg, struct report *r);
void run_substate(const struct golden *g, sn_registry *reg, struct report *r);

/* ---- deviations --------------------------------------------------------------------- */

struct deviations {
    json_t *doc;    /* NULL: no rules */
    size_t *n_used; /* by rule */
};
bool deviations_open(struct deviations *d, const char *path);
/* The reason why this failed case is different on purpose; NULL: it is not. */
const char *deviations_find(struct deviations *d, const struct golden *g, const struct report *r);
void        deviations_warn_stale(const struct deviations *d);
void        deviations_fini(struct deviations *d);

#endif
