/* attention_packed: MultiheadAttention over packed weights, as the heads of heads.h. */
#include "op/attention/attention.h"

#include <math.h>

#include "op/attention/heads.h"

/* A third of in_proj_weight: each is packed by itself, so that each begins with a panel. */
static struct kernel_weight third_of(const sn_tensor *whole, int i)
{
    struct kernel_weight w = op_packed_weight(whole);

    w.n /= 3;
    w.data += i * w.n * w.ld_n;
    return w;
}

static bool is_matrix(size_t k)
{
    return (k >= W_Q && k <= W_V) || k == W_OUT;
}

size_t attention_bytes_packed(const sn_tensor *whole, size_t k)
{
    const struct kernel_weight w = k == W_IN ? third_of(whole, 0) : op_packed_weight(whole);
    const size_t               each = kernel_pack_bytes(&w);
    size_t                     n_bytes;

    if (k != W_IN) return is_matrix(k) ? each : 0;
    return __builtin_mul_overflow(each, 3, &n_bytes) ? 0 : n_bytes;
}

void attention_pack(const sn_tensor *whole, size_t k, void *packed)
{
    for (int i = 0; i < (k == W_IN ? 3 : 1); i++) {
        const struct kernel_weight w = k == W_IN ? third_of(whole, i) : op_packed_weight(whole);

        kernel_pack(&w, (float *)((char *)packed + (size_t)i * kernel_pack_bytes(&w)));
    }
}

static struct kernel_panels projection_panels(const sn_call *call, const sn_io *io, int i)
{
    const bool                 own = io->param[W_IN].dtype == SN_NONE;
    const struct kernel_weight w =
        own ? op_packed_weight(&call->whole[W_Q + i]) : third_of(&call->whole[W_IN], i);
    const char *at = io->packed[own ? W_Q + i : W_IN];

    return kernel_packed_at(&w, (const float *)(own ? at : at + (size_t)i * kernel_pack_bytes(&w)));
}

static struct heads heads_of(const sn_call *call, const struct attention_seq seq[3],
                             const struct attention_sizes *y)
{
    struct heads h = {.l = y->l,
                      .s = y->s,
                      .keys = y->keys,
                      .heads = y->heads,
                      .d = y->embed / y->heads,
                      .scale = 1.0f / sqrtf((float)(y->embed / y->heads)),
                      .mask_by_head = op_has_in(call, IN_MASK) && call->in[IN_MASK].shape.rank == 3,
                      .width_y = y->embed,
                      .ld_y = seq[0].row};

    for (int i = 0; i < 3; i++) {
        h.width[i] = seq[i].width;
        h.ld[i] = seq[i].row;
    }
    return h;
}

struct mask_of {
    const sn_call                *call;
    const sn_io                  *io;
    const struct attention_sizes *y;
    int64_t                       n;
};

static void mask_rows(const void *cls, int64_t h, int64_t from, int64_t to, float *m)
{
    const struct mask_of *of = cls;

    attention_mask(of->call, of->io, of->y, of->n, h, from, to, m);
}

static bool is_masked(const sn_call *call)
{
    return op_has_in(call, IN_MASK) || op_has_in(call, IN_PADDING);
}

size_t attention_scratch_packed(const sn_call *call)
{
    const struct attention_seq   seq[] = {attention_read(call, &call->in[IN_QUERY].shape),
                                          attention_read(call, &call->in[IN_KEY].shape),
                                          attention_read(call, &call->in[IN_VALUE].shape)};
    const struct attention_sizes y = attention_sizes_of(call, &seq[0], &seq[1]);
    struct heads                 h = heads_of(call, seq, &y);

    if (is_masked(call)) h.mask = mask_rows;
    return heads_scratch(&h, call->n_threads);
}

/* This variant never holds all attention weights at once; calls that want them as an output run by
 * the plain forward. */
bool attention_fits_packed(const sn_call *call)
{
    return (call->n_out == 1 || call->out[OUT_WEIGHTS].dtype == SN_NONE) &&
           attention_scratch_packed(call) > 0;
}

void attention_forward_packed(const sn_call *call, const sn_io *io, const sn_epilogue *epilogue)
{
    const struct attention_seq   seq[] = {attention_read(call, &io->in[IN_QUERY].shape),
                                          attention_read(call, &io->in[IN_KEY].shape),
                                          attention_read(call, &io->in[IN_VALUE].shape)};
    const struct attention_sizes y = attention_sizes_of(call, &seq[0], &seq[1]);
    const float                 *bias = io->param[W_IN_BIAS].data;
    const struct kernel_weight   w = op_packed_weight(&call->whole[W_OUT]);
    struct mask_of               mask = {.call = call, .io = io, .y = &y};
    struct heads                 h = heads_of(call, seq, &y);

    for (int i = 0; i < 3; i++)
        h.in[i] = (struct heads_projection){
            .w = projection_panels(call, io, i),
            .bias = op_has_param(call, W_IN_BIAS) ? bias + i * y.embed : NULL};
    h.out.w = kernel_packed_at(&w, io->packed[W_OUT]);
    if (op_has_param(call, W_OUT_BIAS)) h.out.bias = io->param[W_OUT_BIAS].data;
    for (int i = 0; i < 2; i++)
        if (op_has_param(call, W_BIAS_K)) h.appended[i] = io->param[W_BIAS_K + i].data;
    if (is_masked(call)) h.mask = mask_rows;
    h.mask_cls = &mask;
    h.epilogue = op_packed_epilogue(epilogue, NULL, y.embed, NULL);
    h.epilogue.ld_residual = seq[0].row;
    for (mask.n = 0; mask.n < y.batch; mask.n++) {
        const int64_t at = mask.n * seq[0].element;
        struct heads  one = h;

        for (int i = 0; i < 3; i++)
            one.x[i] = (const float *)io->in[i].data + mask.n * seq[i].element;
        one.y = (float *)io->out[OUT_Y].data + at;
        if (h.epilogue.residual) one.epilogue.residual = h.epilogue.residual + at;
        heads_run(&one, call, io);
    }
}
