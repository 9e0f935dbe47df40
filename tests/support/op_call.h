/* op_call: one operator alone, driven as loading and planning drive it.
 *
 * Arguments are written as text, one entry for each:
 *     "in_channels = 4 of 2, 4; kernel_size = (3, 5); padding = same; groups ~ 2, 4"
 * `=` is a value, `of` the options it was chosen from (ascending; it makes the
 * argument elastic), `~` a distribution over the options. Derived arguments are
 * computed from all combinations, unless an entry says better. */
#ifndef SUPPORT_OP_CALL_H
#define SUPPORT_OP_CALL_H

#include "supernet/engine.h"

struct op_call {
    const sn_op *op;
    sn_arena    *mem;
    size_t       n_args, n_params;
    sn_arg       arg[SN_MAX_ARGS];
    sn_tensor    whole[SN_MAX_PARAMS], live[SN_MAX_PARAMS];
    sn_desc      in[SN_MAX_PORTS], out[SN_MAX_PORTS];
    sn_tensor    result[SN_MAX_PORTS];
    sn_call      call;
};

/* Read the arguments; fails the test on a mistake in the text. */
void op_call_init(struct op_call *c, const sn_op *op, const char *args, bool nni, sn_mode mode);
void op_call_fini(struct op_call *c);

/* check and shape; whole parameters of the full size hold numbers from -1 to 1. */
sn_status op_call_load(struct op_call *c, sn_error *err);

/* Matrices divided by the root of their width: sums stay small, so that two ways to add them
 * up can be compared closely. */
void op_call_temper(struct op_call *c);

/* slice, then infer for one input. A blended parameter is taken whole. */
sn_status op_call_infer(struct op_call *c, sn_shape x, sn_error *err);

/* The same for any inputs; SN_NONE for an absent one. */
sn_status op_call_infer_many(struct op_call *c, const sn_desc *in, size_t n_in, sn_error *err);

/* forward; the scratch memory is as large as infer said. Returns the output, which
 * lives as long as the call. */
const float *op_call_run(struct op_call *c, const float *x);

/* The same for any inputs; the outputs are in c->result. */
void op_call_run_many(struct op_call *c, const sn_tensor *in);

/* The same by variant v of the operator, which must fit, over weights that it prepares; without
 * an epilogue if that is NULL. */
void op_call_run_variant(struct op_call *c, size_t v, const sn_tensor *in,
                         const sn_epilogue *epilogue, const sn_parallel *parallel);

/* The numbers that parameters and inputs of tests are made of: always the same. */
void op_call_fill(float *x, int64_t n, unsigned seed);

#endif
