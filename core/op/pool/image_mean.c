/* image_mean: the mean of every channel over a channels-last image, for all operators that end
 * in it. Before squeeze-and-excite it reads what several threads have just written.
 *
 * Large images are summed in stripes whose borders are fixed, so that results do not depend on
 * threads or batches to the last bit. */
#include "op/packed.h"

enum { STRIPES = 4, LARGE = 128 }; /* pixels */

struct image_mean {
    int64_t      images;
    long         h, w, c, stripes;
    const float *x;
    float       *y, *sums;
};

static struct image_mean mean_of(const sn_shape *x)
{
    struct image_mean r = {
        .images = x->dim[0], .c = x->dim[1], .h = x->dim[2], .w = x->dim[3], .stripes = 1};

    if (r.h >= STRIPES && r.h * r.w >= LARGE) r.stripes = STRIPES;
    return r;
}

/* The sum over stripe i of an image. */
static void sum_stripe(const struct image_mean *r, int64_t image, long i, float *sum)
{
    const long from = (r->h * i + r->stripes - 1) / r->stripes;
    const long end = (r->h * (i + 1) + r->stripes - 1) / r->stripes;

    kernel_table()->mean((end - from) * r->w, r->c, r->x + (image * r->h + from) * r->w * r->c,
                         r->c, 1.0f, sum);
}

static void join_stripes(const struct image_mean *r, int64_t image, const float *sums)
{
    kernel_table()->mean(r->stripes, r->c, sums, r->c, 1.0f / (float)(r->h * r->w),
                         r->y + image * r->c);
}

/* Panels of channels, counted over all images. */
static void run_panels(const void *cls, int64_t from, int64_t to, int thread)
{
    const struct image_mean *r = cls;
    const int64_t            panels = (r->c + KERNEL_PANEL - 1) / KERNEL_PANEL;
    const long               m = r->h * r->w;

    (void)thread;
    for (int64_t at = from; at < to; at++) {
        const int64_t image = at / panels, c = at % panels * KERNEL_PANEL;
        const long    n = r->c - c < KERNEL_PANEL ? r->c - c : KERNEL_PANEL;

        kernel_table()->mean(m, n, r->x + image * m * r->c + c, r->c, 1.0f / (float)m,
                             r->y + image * r->c + c);
    }
}

static void run_images(const void *cls, int64_t from, int64_t to, int thread)
{
    const struct image_mean *r = cls;
    float                   *sums = r->sums + thread * r->stripes * r->c;

    for (int64_t image = from; image < to; image++) {
        for (long i = 0; i < r->stripes; i++)
            sum_stripe(r, image, i, sums + i * r->c);
        join_stripes(r, image, sums);
    }
}

/* Stripes, counted over all images. */
static void run_stripes(const void *cls, int64_t from, int64_t to, int thread)
{
    const struct image_mean *r = cls;

    (void)thread;
    for (int64_t at = from; at < to; at++)
        sum_stripe(r, at / r->stripes, at % r->stripes, r->sums + at * r->c);
}

size_t op_image_mean_scratch(const sn_call *call)
{
    const struct image_mean r = mean_of(&call->in[0].shape);

    return r.stripes == 1 ? 0 : (size_t)(call->n_threads * r.stripes * r.c) * sizeof(float);
}

sn_channels op_image_mean_channels(const sn_call *call)
{
    return mean_of(&call->in[0].shape).stripes == 1 ? SN_CHANNELS_OF_SAME : SN_CHANNELS_NONE;
}

void op_image_mean(const sn_call *call, const sn_io *io)
{
    struct image_mean r = mean_of(&io->in[0].shape);
    const double      work = SHARE_TOUCH * (double)op_count(&io->in[0].shape);

    r.x = io->in[0].data;
    r.y = io->out[0].data;
    r.sums = io->scratch;
    if (r.stripes == 1) {
        op_share(call, io, r.images * ((r.c + KERNEL_PANEL - 1) / KERNEL_PANEL), 1, work,
                 run_panels, &r);
    } else if (r.images >= call->n_threads) {
        op_share(call, io, r.images, 1, work, run_images, &r);
    } else {
        op_share(call, io, r.images * r.stripes, 1, work, run_stripes, &r);
        for (int64_t i = 0; i < r.images; i++)
            join_stripes(&r, i, r.sums + i * r.stripes * r.c);
    }
}
