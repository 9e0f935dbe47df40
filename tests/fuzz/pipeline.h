/* pipeline: a document with weights made for it, and runs of its subnets over inputs made for
 * them. What is random is a function of a seed and of where it is: the input of a smaller batch is
 * the beginning of that of a larger one. */
#ifndef FUZZ_PIPELINE_H
#define FUZZ_PIPELINE_H

#include "grammar.h"
#include "supernet/supernet.h"

/* Say what is wrong, and abort(). */
#define REQUIRE(ok, ...) ((ok) ? (void)0 : pipeline_fail(__FILE__, __LINE__, #ok, __VA_ARGS__))

__attribute__((noreturn, format(printf, 4, 5))) void
pipeline_fail(const char *file, int line, const char *what, const char *fmt, ...);

enum { MOST_PARAMS = 1 << 16 }; /* elements of all weights: larger documents are left out */

struct loaded {
    sn_supernet *net;
    void        *bytes; /* of the weights, as safetensors */
    size_t       n_bytes;
};

/* Load `spec` with random weights of the shapes and element types it needs. False: refused, with
 * a sentence; or too large. */
bool pipeline_load(const char *spec, size_t n_bytes, uint64_t seed, sn_registry *reg,
                   struct loaded *ret, sn_error *err);
void loaded_fini(struct loaded *l);

/* What a request gives: the sizes of the names in shapes, and what is left out. */
struct request {
    uint64_t seed;
    int64_t  largest; /* batch */
    int64_t  size[3]; /* of the other names, by their first letter */
    unsigned absent;  /* bit i: input i, if it is optional */
    bool     special; /* some inputs are zeros, subnormal, infinite or NaN */
};

/* What a plan is compiled for. */
void request_describe(const struct request *r, const sn_supernet *net, int64_t batch,
                      sn_desc *ret_in);

/* What a careless caller might do; each is refused, and nothing is written. */
enum misuse { USED_WELL, SHORT_OUTPUT, OTHER_DTYPE, NO_SCRATCH, LONG_INPUT, N_MISUSES };

struct run {
    int64_t             batch, first; /* `batch` rows of the request, from row `first` */
    unsigned char       fill;         /* of outputs and scratch memory before */
    const sn_parallel  *parallel;
    const float *const *probs;
    const size_t       *n_probs;
    sn_state           *state;
    bool (*stop)(void *cls);
    void       *stop_cls;
    enum misuse misuse;
};

struct outputs {
    size_t    n;
    sn_tensor tensor[SN_MAX_PORTS]; /* data is malloc()ed to the byte; NULL where absent */
};

/* Every buffer is as long as it was promised to be, and ends where its memory ends. */
sn_status pipeline_run(const sn_plan *plan, const struct request *r, const struct run *run,
                       struct outputs *ret, sn_error *err);
void      outputs_fini(struct outputs *o);

/* The input of a run, malloc()ed. */
sn_tensor pipeline_input(const sn_supernet *net, size_t i, const sn_desc *desc,
                         const struct request *r, int64_t first);

#endif
