/* act: the activations on vectors (a part of set_*.c, after simd_*.h). The polynomials are
 * minimax fits; their error bounds are those of tests/unit/test_packed_act.c. NaN stays NaN. */

/* e^x: x = i ln 2 + r with |r| <= ln 2 / 2. The factor 2^i comes in two steps, so that the ends
 * of the range are right: 0, the subnormal numbers, infinity. */
INLINE vec vec_exp(vec x)
{
    const vec round = vec_set(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer */
    vec       i, r, p;
    ivec      n, half;

    x = vec_min(vec_set(89.0f), vec_max(vec_set(-104.0f), x));
    i = vec_fma(x, vec_set(1.44269504f), round) - round;
    r = vec_fma(i, vec_set(-0.693359375f), x);
    r = vec_fma(i, vec_set(2.12194440e-4f), r);
    p = vec_set(0.00138144684f);
    p = vec_fma(p, r, vec_set(0.00836878084f));
    p = vec_fma(p, r, vec_set(0.0416683927f));
    p = vec_fma(p, r, vec_set(0.166665196f));
    p = vec_fma(p, r, vec_set(0.49999994f));
    p = vec_fma(p, r * r, r) + vec_set(1.0f);
    n = vec_to_int(i);
    half = n >> 1;
    return p * (vec)((half + 127) << 23) * (vec)((n - half + 127) << 23);
}

/* 2^x for x not above 0 but for rounding; what is below 2^-126 becomes 0. Half the work of
 * vec_exp; the error is 2e-7. */
INLINE vec vec_exp2_weight(vec x)
{
    const vec round = vec_set(12582912.0f); /* its bits, shifted out below, add nothing */
    vec       i, r, p;

    x = vec_max(vec_set(-127.0f), x);
    i = x + round;
    r = x - (i - round);
    p = vec_set(0.00132764725f);
    p = vec_fma(p, r, vec_set(0.00967554096f));
    p = vec_fma(p, r, vec_set(0.0555071309f));
    p = vec_fma(p, r, vec_set(0.240221202f));
    p = vec_fma(p, r, vec_set(0.693146944f));
    p = vec_fma(p, r, vec_set(1.0f));
    return p * (vec)(((ivec)i + 127) << 23);
}

INLINE vec vec_abs(vec x)
{
    return (vec)((ivec)x & INT32_MAX);
}

INLINE vec vec_sigmoid(vec x)
{
    return vec_set(1.0f) / (vec_set(1.0f) + vec_exp(-x));
}

INLINE vec vec_tanh(vec x)
{
    vec a = vec_abs(x), z = x * x, small, large, e;

    small = vec_set(-0.00590587361f);
    small = vec_fma(small, z, vec_set(0.0208053887f));
    small = vec_fma(small, z, vec_set(-0.0537866838f));
    small = vec_fma(small, z, vec_set(0.133319587f));
    small = vec_fma(small, z, vec_set(-0.333332986f));
    small = vec_fma(small * z, x, x);
    e = vec_exp(vec_set(-2.0f) * a);
    large = (vec_set(1.0f) - e) / (vec_set(1.0f) + e);
    large = (vec)((ivec)large | ((ivec)x & INT32_MIN));
    return vec_select((ivec)(a < vec_set(0.6f)), small, large);
}

/* x times the normal distribution function. Its smaller side is e^(-x^2 / 2) p(s), with
 * s = 1 / (1 + 0.3 |x|): the relative error stays small far out, where 1 + erf would cancel. */
INLINE vec vec_gelu(vec x)
{
    const vec one = vec_set(1.0f);
    const vec a = vec_min(vec_set(100.0f), vec_abs(x));
    const vec s = vec_reciprocal(vec_fma(a, vec_set(0.3f), one));
    vec       p;

    p = vec_set(0.0383782797f);
    p = vec_fma(p, s, vec_set(-0.169166058f));
    p = vec_fma(p, s, vec_set(0.228659987f));
    p = vec_fma(p, s, vec_set(-0.0765063688f));
    p = vec_fma(p, s, vec_set(0.142535463f));
    p = vec_fma(p, s, vec_set(0.0946835503f));
    p = vec_fma(p, s, vec_set(0.12192034f));
    p = vec_fma(p, s, vec_set(0.119487688f));
    p = vec_fma(p, s, vec_set(7.16883824e-06f));
    p = p * vec_exp2_weight(vec_set(-0.721347520f) * a * a);
    return x * vec_select((ivec)(x > vec_set(0.0f)), one - p, p);
}

/* x/2 (1 + tanh(u)) = x / (1 + e^-2u), u = sqrt(2 / pi) (x + 0.044715 x^3) */
INLINE vec vec_gelu_tanh(vec x)
{
    vec u = x * vec_fma(x * x, vec_set(0.0713548163f), vec_set(1.59576912f));

    return x / (vec_set(1.0f) + vec_exp(-u));
}

INLINE vec vec_hardsigmoid(vec x)
{
    x = vec_max(vec_set(0.0f), x + vec_set(3.0f));
    return vec_min(vec_set(6.0f), x) * vec_set(1.0f / 6.0f);
}

INLINE vec vec_relu(vec x)
{
    return vec_max(vec_set(0.0f), x);
}
INLINE vec vec_relu6(vec x)
{
    return vec_min(vec_set(6.0f), vec_relu(x));
}
INLINE vec vec_hardswish(vec x)
{
    return x * vec_hardsigmoid(x);
}
INLINE vec vec_silu(vec x)
{
    return x / (vec_set(1.0f) + vec_exp(-x));
}
INLINE vec vec_same(vec x)
{
    return x;
}

/* name, function; in the order of enum kernel_act */
#define ACTS(_)                                                                                    \
    _(KERNEL_ACT_NONE, vec_same)                                                                   \
    _(KERNEL_ACT_RELU, vec_relu)                                                                   \
    _(KERNEL_ACT_RELU6, vec_relu6)                                                                 \
    _(KERNEL_ACT_HARDSWISH, vec_hardswish)                                                         \
    _(KERNEL_ACT_HARDSIGMOID, vec_hardsigmoid)                                                     \
    _(KERNEL_ACT_SILU, vec_silu)                                                                   \
    _(KERNEL_ACT_SIGMOID, vec_sigmoid)                                                             \
    _(KERNEL_ACT_GELU, vec_gelu)                                                                   \
    _(KERNEL_ACT_GELU_TANH, vec_gelu_tanh)                                                         \
    _(KERNEL_ACT_TANH, vec_tanh)

/* y [m, n] = act(x). One loop for each activation: the choice is made outside. */
#define ACT_ROWS(name, f)                                                                          \
    OUTLINE void rows_##f(long m, long n, const float *x, long ldx, float *y, long ldy)            \
    {                                                                                              \
        for (; m > 0; m--, x += ldx, y += ldy) {                                                   \
            long i = 0;                                                                            \
                                                                                                   \
            for (; i + VL <= n; i += VL)                                                           \
                vec_store(y + i, f(vec_load(x + i)));                                              \
            if (i < n) vec_store_n(y + i, f(vec_load_n(x + i, n - i)), n - i);                     \
        }                                                                                          \
    }
ACTS(ACT_ROWS)

typedef void act_rows(long m, long n, const float *x, long ldx, float *y, long ldy);

#define ACT_ROW(name, f) [name] = rows_##f,
static act_rows *const act_of[KERNEL_ACT_COUNT] = {ACTS(ACT_ROW)};
