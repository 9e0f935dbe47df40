/* rows: kernels that go over rows of channels: epilogue, scale, mean, norms, softmax (a part of
 * set_*.c). Sums run in an order that depends on the size of a row alone. */

static void act(enum kernel_act kind, size_t n, const float *x, float *y)
{
    act_of[kind](1, (long)n, x, 0, y, 0);
}

static void epilogue(long m, long n, const float *x, long ldx, const struct kernel_epilogue *e,
                     float *y, long ldy)
{
    const bool plain = !e->scale && !e->shift && !e->residual;

    for (long i = 0; !plain && i < m; i++) {
        const float *residual = e->residual ? e->residual + i * e->ld_residual : NULL;

        for (long j = 0; j < n; j += VL) {
            const long k = n - j < VL ? n - j : VL;
            const vec  scale = e->scale ? vec_load_n(e->scale + j, k) : vec_set(1.0f);
            const vec  shift = e->shift ? vec_load_n(e->shift + j, k) : vec_set(0.0f);
            vec        v = vec_fma(vec_load_n(x + i * ldx + j, k), scale, shift);

            if (residual) v += vec_load_n(residual + j, k);
            vec_store_n(y + i * ldy + j, v, k);
        }
    }
    if (e->act != KERNEL_ACT_NONE || (plain && x != y))
        act_of[e->act](m, n, plain ? x : y, plain ? ldx : ldy, y, ldy);
}

static void scale(long m, long n, const float *x, long ldx, const float *by, float *y, long ldy)
{
    for (long i = 0; i < m; i++)
        for (long j = 0; j < n; j += VL) {
            const long k = n - j < VL ? n - j : VL;

            vec_store_n(y + i * ldy + j, vec_load_n(x + i * ldx + j, k) * vec_load_n(by + j, k), k);
        }
}

static struct kernel_panels scale_panels(const struct kernel_panels *w, long k, long n0, long n1,
                                         const float *by, float *at)
{
    const struct kernel_panels to = {at, k * KERNEL_PANEL, k * KERNEL_PANEL, k * KERNEL_PANEL};

    for (long n = n0; n < n1; n += KERNEL_PANEL)
        for (long i = 0; i < k; i++)
            for (long j = 0; j < KERNEL_PANEL; j += VL) {
                const long panel = n / KERNEL_PANEL, in = i * KERNEL_PANEL + j;

                vec_store(at + panel * to.panel + in,
                          vec_load(w->at + panel * w->panel + in) * vec_set(by[i]));
            }
    return to;
}

/* The sum of m rows of n channels: up to STRETCH rows one after the other, stretches as the leaves
 * of a binary tree, so that the error of a long sum grows with the logarithm of its length. */
INLINE vec rows_sum_of(long m, const float *x, long ldx, long n)
{
    enum { STRETCH = 64, LEVELS = 60 };
    vec  part[LEVELS]; /* complete subtrees, the larger ones first */
    int  depth = 0;
    vec  sum = vec_set(0.0f);
    long done = 0;

    for (; m > STRETCH; m -= STRETCH, done++) {
        sum = vec_set(0.0f);
        for (int i = 0; i < STRETCH; i++, x += ldx)
            sum += vec_load_n(x, n);
        for (long t = done; t & 1; t >>= 1) /* its equals are complete with it */
            sum = part[--depth] + sum;
        part[depth++] = sum;
    }
    sum = vec_set(0.0f);
    for (; m > 0; m--, x += ldx)
        sum += vec_load_n(x, n);
    while (depth > 0)
        sum = part[--depth] + sum;
    return sum;
}

static void mean(long m, long c, const float *x, long ldx, float by, float *y)
{
    for (long j = 0; j < c; j += VL) {
        const long n = c - j < VL ? c - j : VL;

        vec_store_n(y + j, rows_sum_of(m, x + j, ldx, n) * vec_set(by), n);
    }
}

/* The sum over a row of (x - centre)^power, power 1 or 2: some numbers in floats, all of them in a
 * double. */
INLINE double row_sum_of(const float *x, long n, float centre_of, const int power)
{
    enum { STRETCH = 128 * VL };
    const vec centre = vec_set(centre_of);
    double    sum = 0;
    long      i = 0;

    while (i < n) {
        const long end = n - i < STRETCH ? n : i + STRETCH;
        vec        a = vec_set(0.0f), b = a;

        for (; i + 2 * VL <= end; i += 2 * VL) {
            const vec u = vec_load(x + i) - centre, v = vec_load(x + i + VL) - centre;

            a = power == 1 ? a + u : vec_fma(u, u, a);
            b = power == 1 ? b + v : vec_fma(v, v, b);
        }
        for (; i < end; i += VL) {
            const long k = end - i < VL ? end - i : VL;
            float      line[VL];
            vec        u;

            vec_store(line, centre); /* lanes behind the row stay 0 */
            u = vec_load_n(x + i, k) - vec_load_n(line, k);
            a = power == 1 ? a + u : vec_fma(u, u, a);
        }
        sum += vec_sum(a + b);
    }
    return sum;
}

/* y = (x - mean) * by * weight + bias */
INLINE void row_normalise(const float *x, long n, float mean_of, float by, const float *weight,
                          const float *bias, float *y)
{
    for (long i = 0; i < n; i += VL) {
        const long k = n - i < VL ? n - i : VL;
        vec        v = (vec_load_n(x + i, k) - vec_set(mean_of)) * vec_set(by);

        if (weight) v *= vec_load_n(weight + i, k);
        if (bias) v += vec_load_n(bias + i, k);
        vec_store_n(y + i, v, k);
    }
}

/* Means are taken around the first number: that of equal numbers is the number, with variance 0. */
static void layernorm(long m, long n, const float *x, long ldx, const float *weight,
                      const float *bias, float eps, float *y, long ldy)
{
    for (; m > 0 && n > 0; m--, x += ldx, y += ldy) {
        const float mean_of = (float)(x[0] + row_sum_of(x, n, x[0], 1) / (double)n);
        const float var = (float)(row_sum_of(x, n, mean_of, 2) / (double)n);

        row_normalise(x, n, mean_of, 1.0f / sqrtf(var + eps), weight, bias, y);
    }
}

/* The sum over `pixels` and n channels of (x - mean)^power. An image is long: some pixels in
 * floats, all of them in a double. */
INLINE double image_sum_of(long pixels, long n, const float *x, long ldx, float mean_of,
                           const int power)
{
    enum { STRETCH = 64 };
    double sum = 0;

    for (long j = 0; j < n; j += VL) {
        const long k = n - j < VL ? n - j : VL;
        float      line[VL];
        vec        centre = vec_set(mean_of);

        vec_store(line, centre);
        centre = vec_load_n(line, k); /* lanes behind the group stay 0 */
        for (long i = 0; i < pixels; i += STRETCH) {
            const long end = i + STRETCH < pixels ? i + STRETCH : pixels;
            vec        part = vec_set(0.0f);

            for (long at = i; at < end; at++) {
                const vec u = vec_load_n(x + at * ldx + j, k) - centre;

                part = power == 1 ? part + u : vec_fma(u, u, part);
            }
            sum += vec_sum(part);
        }
    }
    return sum;
}

static void groupnorm(long pixels, long c, long groups, const float *x, long ldx,
                      const float *weight, const float *bias, float eps, float *y, long ldy)
{
    const long   n = c / groups;
    const double count = (double)n * (double)pixels;

    for (long g = 0; g < groups && count > 0; g++) {
        const float *from = x + g * n;
        float       *to = y + g * n;
        const double mean_of = from[0] + image_sum_of(pixels, n, from, ldx, from[0], 1) / count;
        const double var = image_sum_of(pixels, n, from, ldx, (float)mean_of, 2) / count;
        const vec    centre = vec_set((float)mean_of), by = vec_set((float)(1 / sqrt(var + eps)));

        for (long j = 0; j < n; j += VL) {
            const long k = n - j < VL ? n - j : VL;
            const vec  scale = weight ? by * vec_load_n(weight + g * n + j, k) : by;
            const vec  shift = bias ? vec_load_n(bias + g * n + j, k) : vec_set(0.0f);

            for (long i = 0; i < pixels; i++)
                vec_store_n(to + i * ldy + j,
                            vec_fma(vec_load_n(from + i * ldx + j, k) - centre, scale, shift), k);
        }
    }
}

INLINE float row_max(const float *x, long n)
{
    vec   most = vec_set(-INFINITY);
    float ret = -INFINITY;
    long  i = 0;

    for (; i + VL <= n; i += VL)
        most = vec_max(most, vec_load(x + i));
    for (; i < n; i++)
        ret = ret > x[i] ? ret : x[i];
    for (i = 0; i < VL; i++)
        ret = ret > most[i] ? ret : most[i];
    return ret;
}

/* y = e^((x - most) * by); returns the sum: some numbers in floats, all of them in a double. */
INLINE float row_exp(const float *x, long n, float most, float by, float *y)
{
    enum { STRETCH = 128 * VL };
    double all = 0;
    long   i = 0;

    while (i < n) {
        const long end = n - i < STRETCH ? n : i + STRETCH;
        vec        sum = vec_set(0.0f);

        for (; i + VL <= end; i += VL) {
            const vec v = vec_exp((vec_load(x + i) - vec_set(most)) * vec_set(by));

            vec_store(y + i, v);
            sum += v;
        }
        if (i < end) {
            const vec v = vec_exp((vec_load_n(x + i, end - i) - vec_set(most)) * vec_set(by));

            vec_store_n(y + i, v, end - i);
            sum += vec_load_n(y + i, end - i);
            i = end;
        }
        all += vec_sum(sum);
    }
    return (float)all;
}

static void softmax(long m, long n, const float *x, long ldx, float *y, long ldy)
{
    for (; m > 0; m--, x += ldx, y += ldy) {
        const float by = 1.0f / row_exp(x, n, row_max(x, n), 1.0f, y);

        for (long i = 0; i < n; i += VL) {
            const long k = n - i < VL ? n - i : VL;

            vec_store_n(y + i, vec_load_n(y + i, k) * vec_set(by), k);
        }
    }
}
