/* chain: consecutive steps that threads run without a barrier in between.
 *
 * Where row i of each step depends only on row i of the step before, a thread that has computed
 * some rows goes on with them. There is one barrier, at the end of the chain, so a thread that was
 * held up for a moment can catch up until then. The same holds for channels of an image.
 *
 *     attention -> [ LayerNorm -> Linear, GELU -> Linear, Add -> LayerNorm ] -> attention
 *     image -> [ 1x1 convolution -> depthwise convolution -> mean ] -> squeeze and excite
 *
 * One thread may be at the last step while another is at the first, so every buffer that the chain
 * touches is needed from its first step to its last (memory.c). */
#include "compile/compile.h"
#include "tensor/growth.h"

/* Do both have the same number of rows (all axes but the last), for every batch? */
static bool same_rows(const struct value *a, const struct value *b)
{
    int64_t n_a, n_b, more_a, more_b;

    return growth_count(&a->desc.shape, &a->growth, 0, a->desc.shape.rank - 1, &n_a, &more_a) &&
           growth_count(&b->desc.shape, &b->growth, 0, b->desc.shape.rank - 1, &n_b, &more_b) &&
           n_a == n_b && more_a == more_b;
}

/* Has the value as many rows as `like` for every batch, each contiguous in memory? */
static bool has_rows_of(const struct sn_plan *p, int v, const struct value *like)
{
    const struct value *value = v == VALUE_ABSENT ? NULL : &p->value[v];

    return value && value->desc.shape.rank >= 2 && value->layout == SN_LAYOUT_ROWS &&
           !(value->batch_dims >> (value->desc.shape.rank - 1)) && same_rows(value, like);
}

/* The output of a step whose row i depends only on rows i of its inputs; NULL if it does not. Only
 * variants: they give the same bits for any subset of rows, BLAS (used by plain forwards) does not.
 */
static const struct value *made_by_rows(const struct sn_plan *p, const struct step *s)
{
    const struct value *y;

    if (s->kind != STEP_OP || !s->variant || s->call.n_out != 1 || s->n_patches || s->gated ||
        s->scratch_bytes || !s->module->op->rows || !s->module->op->rows(&s->call))
        return NULL;
    y = &p->value[s->out[0]];
    for (size_t k = 0; k < s->call.n_in; k++)
        if (!has_rows_of(p, s->in[k], y)) return NULL;
    return has_rows_of(p, s->out[0], y) && (!s->adds || has_rows_of(p, s->residual, y)) ? y : NULL;
}

/* How many channels the value has, [1, C, ...]; 0 if it is not of one sample. */
static int64_t channels_of(const struct sn_plan *p, int v)
{
    const sn_shape *s = v == VALUE_ABSENT ? NULL : &p->value[v].desc.shape;

    return s && s->rank >= 2 && s->dim[0] == 1 ? s->dim[1] : 0;
}

/* How many channels the output has, if its channel i depends on the inputs as `reads` says: on
 * their channel i alone, or on all of them; 0 otherwise. */
static int64_t made_by_channels(const struct sn_plan *p, const struct step *s, sn_channels reads)
{
    int64_t n;

    if (s->kind != STEP_OP || !s->variant || s->call.n_in == 0 || s->call.n_out != 1 ||
        s->n_patches || s->gated || !s->variant->channels ||
        s->variant->channels(&s->call) != reads)
        return 0;
    n = channels_of(p, s->out[0]);
    for (size_t k = 0; k < s->call.n_in; k++) {
        const int64_t read = channels_of(p, s->in[k]);

        if (read == 0 || (reads == SN_CHANNELS_OF_SAME && read != n)) return 0;
    }
    return n;
}

/* One past the last step of the chain of channels that begins with step i. All have the same number
 * of channels, so that each thread has the same channels in all of them: the precondition of
 * share_each(). */
static size_t channels_end(const struct sn_plan *p, size_t i, size_t end)
{
    const int64_t n =
        p->info.max_batch <= 1 ? made_by_channels(p, &p->step[i], SN_CHANNELS_OF_ALL) : 0;

    for (i++; n > 0 && i < end; i++)
        if (made_by_channels(p, &p->step[i], SN_CHANNELS_OF_SAME) != n) break;
    return i;
}

/* The same for a chain of rows. */
static size_t rows_end(const struct sn_plan *p, size_t i, size_t end)
{
    const struct value *first = made_by_rows(p, &p->step[i]);

    for (i++; first && i < end; i++) {
        const struct value *y = made_by_rows(p, &p->step[i]);

        if (!y || !has_rows_of(p, p->step[i].out[0], first)) break;
    }
    return i;
}

void plan_chain(struct sn_plan *p)
{
    if (p->n_threads < 2) return;
    for (int k = 0; k < p->n_spans; k++)
        for (size_t i = k > 0 ? p->span[k - 1].end : 0, end; i < p->span[k].end; i = end) {
            const size_t most = p->span[k].end - i > CHAIN_MOST ? i + CHAIN_MOST : p->span[k].end;
            const size_t rows = rows_end(p, i, most), channels = channels_end(p, i, most);

            end = rows > channels ? rows : channels;
            for (size_t j = i; end - i > 1 && j < end; j++) {
                p->step[j].chain_from = i;
                p->step[j].chain_to = end;
                p->step[j].chain_of_channels = channels > rows;
            }
        }
}
