/* engine.h - how operators are run and fused: variants, and what a plan made of them. It changes
 * with the planner; operators do without. */
#ifndef SUPERNET_ENGINE_H
#define SUPERNET_ENGINE_H

#include "supernet/op.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a step does to its result before it stores it:
 *     y = act(x * scale + shift + residual)      scale and shift by channel */
typedef struct sn_epilogue {
    const float     *scale, *shift; /* NULL: 1, 0 */
    const sn_tensor *residual;      /* as the output; NULL: none */
    sn_act           act;
} sn_epilogue;

/* How a tensor of rank 4, [N, C, H, W], lies in memory. Others are always row-major. */
typedef enum sn_layout {
    SN_LAYOUT_ROWS,         /* row-major, as in PyTorch */
    SN_LAYOUT_CHANNELS_LAST /* N, H, W, C */
} sn_layout;

typedef enum sn_fuses {
    SN_FUSES_AFFINE = 1,
    SN_FUSES_RESIDUAL = 2,
    SN_FUSES_ACT = 4,
    SN_FUSES_IN_PLACE = 8 /* reads a number of the residual before it writes that of the output:
                           * they may be the same memory, if no input is */
} sn_fuses;

/* What channel i of an output is made of: numbers of any channels of the inputs, or of channel i
 * alone. */
typedef enum sn_channels { SN_CHANNELS_NONE, SN_CHANNELS_OF_ALL, SN_CHANNELS_OF_SAME } sn_channels;

/* Another way to run an operator: in another layout, over weights that are prepared once
 * for the whole supernet and shared by all its plans, with an epilogue. The planner takes
 * the first that fits; results are within rounding of forward's. */
struct sn_variant {
    size_t      size;
    const char *name;
    sn_layout   layout_in, layout; /* of inputs; of outputs and the residual, of rank 4 */
    unsigned    fuses;             /* sn_fuses */
    /* Trades rounding for time (Lavin and Gray, arXiv:1509.09308): relative to the largest
     * output of a layer about 1e-5 instead of 2e-7. Taken only where it is asked for. */
    bool winograd;
    /* forward reads where, mode, nni, whole, priv and n_threads of its call, and of its io all
     * but param: what is live was written down in priv by infer. Its plans are smaller. */
    bool lean;

    /* After infer: can this call run so? Here and in forward, call->n_out leaves out the last
     * outputs that nobody reads. */
    bool (*fits)(const sn_call *call);

    /* Bytes of params[k] prepared (0: as it is), and preparing it. Sees the whole
     * parameter, so that every prefix and crop can be addressed in the result. */
    size_t (*packed_bytes)(const sn_tensor *whole, size_t k);
    void (*pack)(const sn_tensor *whole, size_t k, void *packed);

    /* Temporary memory, instead of call->scratch_bytes of infer; NULL: that. */
    size_t (*scratch_bytes)(const sn_call *call);

    /* Optional: can input 0 [N, C, H, W] of this call be multiplied by a gate [N, C, 1, 1] on the
     * way (squeeze and excite), and is that less work? The temporary memory for it, behind that
     * of scratch_bytes; 0: no. Whether it is 0 must not depend on the batch. */
    size_t (*gated_bytes)(const sn_call *call);

    /* Optional: is forward, of one sample, nothing but a loop of io->parallel over the channels of
     * the output, 16 at a time, without temporary memory? Then a thread may go on with its channels
     * to the next step while others are still at this one. Inputs and output have axes
     * [1, C, ...]; a residual is read by channels. SN_CHANNELS_NONE: it is not. */
    sn_channels (*channels)(const sn_call *call);

    void (*forward)(const sn_call *call, const sn_io *io, const sn_epilogue *epilogue);
};

/* ---- steps of a plan ------------------------------------------------------ */

/* One step of a plan, in the order in which they run. What was fused is part of the step that does
 * it, under the module of the last of them. */
typedef struct sn_step_info {
    size_t      module;  /* index into the modules of the supernet */
    const char *what;    /* the type of an operator; "sum", "mean", "concat", "weighted sum", "copy"
                          * (to another layout) or "blend" (of weights, for a distribution) */
    const char *variant; /* sn_variant.name; NULL: the plain forward, or no operator */
} sn_step_info;

/* False past the last step (sn_plan_info.n_steps of them). */
bool sn_plan_step_at(const sn_plan *plan, size_t i, sn_step_info *ret_step);

/* Sizes that a plug-in records: op.h. */
#undef SN_SIZEOF_VARIANT
#undef SN_SIZEOF_EPILOGUE
#define SN_SIZEOF_VARIANT  sizeof(sn_variant)
#define SN_SIZEOF_EPILOGUE sizeof(sn_epilogue)

#ifdef __cplusplus
}
#endif
#endif
