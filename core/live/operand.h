/* operand: what a live operator reads: the values of its arguments, and the live part of each
 * parameter. Known from decisions and shapes alone: nothing here reads a weight. */
#ifndef LIVE_OPERAND_H
#define LIVE_OPERAND_H

#include "live/decision.h"

/* The live part of one parameter. */
struct live_param {
    sn_slice  cut;       /* by the steps whose arguments are decided */
    sn_tensor tensor;    /* what `cut` leaves: a view, or of pieces: dense, and data is NULL */
    bool      in_pieces; /* an axis has several: no view */
    int       n_masks;
    int       mask[SN_MAX_STEPS]; /* the slicing steps that are left to a distribution */
};

/* Every argument of `m`, each evaluated once; one that reads a distribution is soft, and has the
 * largest value. All decisions that the others read are made. */
sn_status operand_args(const struct decision *decision, const struct module *m, sn_arena *mem,
                       sn_arg *arg, sn_error *err);

/* The live part of params[k]; `whole` has the arguments of the operator and its whole
 * parameters. */
sn_status operand_param(const struct module *m, const sn_call *whole, size_t k,
                        struct live_param *ret_live, sn_error *err);

/* What slicing step `s` of params[k] cuts if its argument is `value`: held to the shape of the
 * whole, whatever the operator says. */
sn_status operand_slice(const struct module *m, const sn_call *whole, size_t k, int s,
                        const sn_value *value, sn_slice *ret_slice, sn_error *err);

/* Whether a slice leaves all `size` elements of an axis. */
bool operand_is_full(const sn_slice *s, int axis, int64_t size);

/* The `count` elements inside of `cut` together, aligned for kernels; NULL when memory is out. The
 * only one here that reads data. */
float *operand_gather(const sn_tensor *whole, const sn_slice *cut, int64_t count, sn_arena *mem);

#endif
