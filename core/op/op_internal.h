/* op_internal: what the operators share. They see plain values and tensors only,
 * never labels, expressions or policies. */
#ifndef OP_OP_INTERNAL_H
#define OP_OP_INTERNAL_H

#include "base/base.h"
#include "kernel/activation.h"
#include "supernet/engine.h"
#include "thread/share.h"

/* ---- messages ------------------------------------------------------------------ */

/* Shapes and values inside a message; the buffer lives until the end of the block. */
#define SHAPE_TEXT(shape) sn_shape_text((shape), (char[192]){0}, 192)
#define VALUE_TEXT(value) sn_value_text((value), (char[128]){0}, 128)

/* sn_fail() at call->where, or at its argument `arg` if that is not NULL. */
__attribute__((format(printf, 5, 6))) sn_status
op_fail(sn_error *err, sn_status code, const sn_call *call, const char *arg, const char *fmt, ...);

/* ---- how outputs grow with the batch (sn_op.grow) ---------------------------------- */

/* Output 0 has the shape of input 0, whatever that is. */
bool op_grow_same(const sn_call *call, const sn_growth *in, sn_growth *out);

/* Images [N, C, H, W]: only axis 0 grows, as that of the input. False for a single image [C, H, W],
 * which has no batch. */
bool op_grow_images(const sn_call *call, const sn_growth *in, sn_growth *out);

/* Output 0 has as many rows as input 0 [..., features]: all axes but the last may grow. */
bool op_grow_rows(const sn_call *call, const sn_growth *in, sn_growth *out);

/* ---- argument tables: the kinds a value may have --------------------------------- */

enum {
    OP_NULL = SN_KINDS(SN_KIND_NULL),
    OP_BOOL = SN_KINDS(SN_KIND_BOOL),
    OP_INT = SN_KINDS(SN_KIND_INT),
    OP_NUMBER = SN_KINDS(SN_KIND_INT) | SN_KINDS(SN_KIND_FLOAT),
    OP_TEXT = SN_KINDS(SN_KIND_TEXT),
    OP_TUPLE = SN_KINDS(SN_KIND_TUPLE)
};

/* ---- arguments: their kinds were checked against sn_arg_def.kinds ----------------- */

static inline bool op_is_null(const sn_call *call, int a)
{
    return call->arg[a].value.kind == SN_KIND_NULL;
}

int64_t     op_int(const sn_call *call, int a);   /* an int or a bool */
bool        op_bool(const sn_call *call, int a);  /* Python's truth of a number */
double      op_float(const sn_call *call, int a); /* any number */
const char *op_text(const sn_call *call, int a);  /* NULL if it is no text */

/* The integers of an int (repeated n times) or of a tuple of n; false if it is neither. */
bool op_ints(const sn_value *v, int n, int64_t *ret_ints);

/* At load: every value of a size must be an integer of at least `min`. In nni mode only
 * the largest must be: the others are Python slices. `name` is that of argument a. */
sn_status op_check_size(const sn_call *call, int a, const char *name, int64_t min, sn_error *err);

/* At load: every value of a number, null aside, must be in [min, max]; `allowed` is the rest of
 * the sentence "<value> is ...". Each argument that may be a float has one of these checks
 * (test_numbers.c asks every operator): a number that is not finite would be in every output. */
sn_status op_check_number(const sn_call *call, int a, const char *name, double min, double max,
                          const char *allowed, sn_error *err);

/* The ranges there are: [0, 1]; finite and not below 0 (eps, momentum); finite (a scale). */
sn_status op_check_probability(const sn_call *call, int a, const char *name, sn_error *err);
sn_status op_check_not_negative(const sn_call *call, int a, const char *name, sn_error *err);
sn_status op_check_finite(const sn_call *call, int a, const char *name, sn_error *err);

/* An axis of a tensor of `rank`, negative ones counting from the end. */
sn_status op_axis(const sn_call *call, const char *name, const sn_value *value, int rank,
                  int *ret_axis, sn_error *err);

/* A plain int of this value, for export_args (a bool becomes 0 or 1). */
sn_value op_int_value(int64_t i);

/* export_args of most operators: bools given for sizes become ints. `size_args` are
 * indices, ended by -1; null and tuple values stay. */
void op_export_sizes(const sn_call *call, const int *size_args, sn_value *arg_out);

/* ---- slices ------------------------------------------------------------------------ */

/* All of every axis. */
sn_slice op_slice_full(const sn_shape *shape);

/* Keep one piece of an axis. */
static inline void op_slice_set(sn_slice *s, int axis, sn_range r)
{
    s->axis[axis].n = 1;
    s->axis[axis].piece[0] = r;
}

/* Python's [start:stop] of an axis: negative ends count from the end, ends past the
 * size clamp, and what is left may be empty. */
sn_range op_python_range(int64_t axis_size, int64_t start, int64_t stop);

/* [:value] of an axis. As the original does it in nni mode; otherwise a value outside
 * [0, axis_size] is refused. `arg` names the argument. */
sn_status op_prefix(const sn_call *call, const char *arg, int64_t axis_size, const sn_value *value,
                    sn_range *ret_range, sn_error *err);

/* ---- shapes ------------------------------------------------------------------------- */

#define SHAPE(...)                                                                                 \
    ((sn_shape){.rank = (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),                 \
                .dim = {__VA_ARGS__}})
#define SHAPE_ABSENT ((sn_shape){.rank = -1}) /* for sn_op.shape: no such parameter */

static inline bool op_has_param(const sn_call *call, size_t k)
{
    return call->param[k].dtype != SN_NONE;
}

/* Input i is connected. */
static inline bool op_has_in(const sn_call *call, size_t i)
{
    return i < call->n_in && call->in[i].dtype != SN_NONE;
}

/* Input i must be connected; `name` as messages call it. */
sn_status op_need_in(const sn_call *call, size_t i, const char *name, sn_error *err);

/* Input i must be F32 of at least `min_rank`. */
sn_status op_need_f32(const sn_call *call, size_t i, const char *name, int min_rank, sn_error *err);

/* Fill call->out[i]; a shape whose bytes cannot be counted is refused. */
sn_status op_set_out(sn_call *call, size_t i, sn_dtype dtype, const sn_shape *shape, sn_error *err);

/* What is handed to kernels as an int must fit in one. */
sn_status op_need_int(const sn_call *call, const char *what, int64_t value, sn_error *err);

/* call->scratch_bytes for n floats, n = a * b * c. */
sn_status op_set_scratch(sn_call *call, int64_t a, int64_t b, int64_t c, sn_error *err);

/* Elements of a shape that infer has accepted, or of its axes [from, to). */
int64_t op_count(const sn_shape *shape);
int64_t op_count_axes(const sn_shape *shape, int from, int to);

/* Torch's broadcasting: trailing axes agree or are 1. */
bool op_broadcast(const sn_shape *a, const sn_shape *b, sn_shape *ret_shape);

/* ---- forward ------------------------------------------------------------------------- */

/* For SN_OP_ALIAS: copies only if the output was not placed on the input. */
void op_forward_alias(const sn_call *call, const sn_io *io);

/* share_run() for a call: `thread` of the body is below call->n_threads. */
static inline void op_share(const sn_call *call, const sn_io *io, int64_t n, int64_t grain,
                            double work, share_body *body, const void *cls)
{
    share_run(io->parallel, call->n_threads, n, grain, work, body, cls);
}

/* Distance in bytes between the temporary memories of two threads. The hardware prefetches beyond
 * what a core reads, up to the end of a page; a page in between keeps it out of lines that another
 * thread writes. */
static inline size_t op_thread_step(const sn_call *call, size_t n_bytes)
{
    enum { PAGE = 4096 };

    return call->n_threads > 1 && n_bytes > 0 ? n_bytes + PAGE : n_bytes;
}

/* Should a product [rows, channels] be divided by channels? Yes when rows are few, for with rows
 * divided every thread reads all weights. Otherwise by rows: a thread's rows stay in its core's
 * cache from step to step. */
static inline bool op_share_channels(int64_t rows, int64_t channels)
{
    return rows < 128 && rows < 2 * channels;
}

/* ---- epilogues ------------------------------------------------------------------------- */

/* The kernel of an activation; NULL for SN_ACT_NONE. */
kernel_activation *op_activation(sn_act act);

/* y = act(y * scale + shift + residual) over y [n, c, plane], for variants whose kernel
 * does not do it by itself. */
void op_epilogue(int64_t n, int64_t c, int64_t plane, const sn_epilogue *e, float *y);

/* ---- cost ---------------------------------------------------------------------------- */

/* The `n_params` live parameters, and the bytes of inputs, outputs and parameters;
 * the operator sets macs itself. */
void op_cost(const sn_call *call, size_t n_params, uint64_t macs, sn_cost *ret_cost);

#endif
