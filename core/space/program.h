/* program: put the program of an expression together, step by step. */
#ifndef SPACE_PROGRAM_H
#define SPACE_PROGRAM_H

#include "space/code.h"

/* Hand a failure on. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        const sn_status rc_ = (call);                                                              \
        if (rc_ != SN_OK) return rc_;                                                              \
    } while (0)

/* Zero but for the first three; program_fini() frees the rest. */
struct program {
    sn_arena   *mem;
    const char *where;
    sn_error   *err;

    struct code      *code;
    sn_value         *constant;
    uint32_t         *leaf;  /* indices of labels in reading order, */
    const sn_choice **label; /* which are numbered by first use in `code` until the end */
    size_t            n_code, n_constants, n_leaves, n_labels;
    size_t            cap_code, cap_constants, cap_leaves, cap_labels;

    struct table by_label; /* -> index in `label`, once there are many, in `tmp` */
    sn_arena    *tmp;
};

sn_status program_emit(struct program *p, enum step step, int what, size_t n, uint32_t index);
sn_status program_constant(struct program *p, const sn_value *v);

/* Read a label, which is one leaf more. */
sn_status program_label(struct program *p, const sn_choice *choice);

/* The steps since `start` make n values, which become a tuple: now, if all are
 * constants, else when the expression is evaluated. */
sn_status program_tuple(struct program *p, size_t start, size_t n);

/* All steps of another expression, and its leaves. */
sn_status program_splice(struct program *p, const sn_expr *e);

/* The jump at `at` goes behind everything there is now. */
void program_land(struct program *p, size_t at);

/* Exchange the steps since `start`: the first n go behind the others. */
sn_status program_swap_code(struct program *p, size_t start, size_t n);

/* Exchange n_first leaves at `start` with the n_second behind them. */
sn_status program_swap_leaves(struct program *p, size_t start, size_t n_first, size_t n_second);

/* Check it and copy it to the arena. */
sn_status program_finish(struct program *p, const char *text, sn_expr **ret_expr);
void      program_fini(struct program *p);

#endif
