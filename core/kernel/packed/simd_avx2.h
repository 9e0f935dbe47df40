/* simd for AVX2 and FMA: see simd_c.h. The file that includes it is compiled for them. */
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/* What follows, to the end of the file that includes this, is compiled for these CPUs; the rest of
 * the program runs anywhere. clang wants to be told the end: simd_end.h. */
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,prfchw"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,prfchw")
#endif

enum { VL = 8 };

typedef float   vec __attribute__((vector_size(32)));
typedef int32_t ivec __attribute__((vector_size(32)));

#define INLINE  static inline __attribute__((always_inline, unused))
#define OUTLINE static __attribute__((noinline, unused))

/* Of the 16 registers 12 are accumulators: 6 rows by a panel, or 4 by one and a half for a
 * last panel of at most 8 channels, or 8 by that half alone. */
enum { TILE_NV = 2, TILE_NV_LAST = 3, TILE_ROWS = 8, TILE_ROW_VECS = 8 };
static const int tile_rows[TILE_ROW_VECS + 1] = {0, 8, 6, 4, [8] = 1};
/* clang-format off */
#define TILES(_)                                                    \
    _(1, 1) _(2, 1) _(3, 1) _(4, 1) _(5, 1) _(6, 1) _(7, 1) _(8, 1) \
    _(1, 2) _(2, 2) _(3, 2) _(4, 2) _(5, 2) _(6, 2)                 \
    _(1, 3) _(2, 3) _(3, 3) _(4, 3)                                 \
    _(1, 8)
/* clang-format on */

#define TILE_HALVES(_) _(2, 2) _(3, 2) _(4, 2) _(5, 2) _(6, 2) _(2, 3) _(3, 3) _(4, 3)

#define TILE_HEIGHTS(_) _(1) _(2) _(3) _(4) _(5) _(6) _(7) _(8)

/* Pixels of a row that a depthwise kernel computes at once. */
enum { STRIP = 8, TAPS_HELD = 0 };
/* clang-format off */
#define STRIP_COUNTS(_, kw, stride)                                     \
    _(kw, stride, 1) _(kw, stride, 2) _(kw, stride, 3) _(kw, stride, 4) \
    _(kw, stride, 5) _(kw, stride, 6) _(kw, stride, 7) _(kw, stride, 8)
/* clang-format on */

INLINE vec vec_set(float x)
{
    return _mm256_set1_ps(x);
}
INLINE vec vec_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
INLINE void vec_store(float *p, vec v)
{
    _mm256_storeu_ps(p, v);
}
INLINE void vec_stream(float *p, vec v)
{
    _mm256_stream_ps(p, v);
}
INLINE void vec_streamed(void)
{
    _mm_sfence();
}

/* A mask of n lanes is a window onto ones followed by zeros. */
INLINE __m256i vec_lanes(long n)
{
    static const int32_t ones[2 * VL] = {-1, -1, -1, -1, -1, -1, -1, -1};

    return _mm256_loadu_si256((const __m256i *)(ones + VL - n));
}

INLINE vec vec_load_n(const float *p, long n)
{
    return _mm256_maskload_ps(p, vec_lanes(n));
}
INLINE void vec_store_n(float *p, vec v, long n)
{
    _mm256_maskstore_ps(p, vec_lanes(n), v);
}
INLINE void vec_store_lanes(float *p, vec v, long first, long n)
{
    _mm256_maskstore_ps(p, _mm256_andnot_si256(vec_lanes(first), vec_lanes(n)), v);
}

INLINE vec vec_fours(vec v, int k)
{
    switch (k) {
    case 0:
        return _mm256_permute_ps(v, 0x00);
    case 1:
        return _mm256_permute_ps(v, 0x55);
    case 2:
        return _mm256_permute_ps(v, 0xaa);
    default:
        return _mm256_permute_ps(v, 0xff);
    }
}
INLINE vec vec_halves(vec a, vec b)
{
    return _mm256_blend_ps(a, b, 0xf0);
}
INLINE vec vec_upper(vec v)
{
    return _mm256_permute2f128_ps(v, v, 0x11);
}
INLINE vec vec_zip_low(vec a, vec b)
{
    return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}
INLINE vec vec_zip_high(vec a, vec b)
{
    return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}

/* The inner loop of a tile loads a vector of weights once and uses it for every row. Left
 * to itself the compiler folds that load back into each multiplication and then runs out
 * of load ports and registers: a third of the speed. What assembly loaded it cannot fold. */
INLINE vec vec_held(const float *p)
{
    vec v;

    __asm__("vmovups %1, %0" : "=x"(v) : "m"(*(const __m256_u *)p));
    return v;
}

INLINE vec vec_held_twice(const float *p)
{
    vec v;

    __asm__("vbroadcastf128 %1, %0" : "=x"(v) : "m"(*(const __m128_u *)p));
    return v;
}

INLINE vec vec_spread(const float *p)
{
    return _mm256_broadcast_ss(p);
}

INLINE vec vec_fma(vec a, vec b, vec c)
{
    return _mm256_fmadd_ps(a, b, c);
}

INLINE vec vec_select(ivec m, vec a, vec b)
{
    return _mm256_blendv_ps(b, a, (__m256)m);
}
INLINE vec vec_max(vec a, vec b)
{
    return _mm256_max_ps(a, b);
}
INLINE vec vec_min(vec a, vec b)
{
    return _mm256_min_ps(a, b);
}
INLINE vec vec_reciprocal(vec a)
{
    const vec r = _mm256_rcp_ps(a);

    return vec_fma(r, vec_fma(-a, r, vec_set(1.0f)), r);
}
INLINE vec vec_sqrt(vec a)
{
    return _mm256_sqrt_ps(a);
}

INLINE float vec_sum(vec a)
{
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));

    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}

INLINE vec vec_sums(const float *p)
{
    __m256 sum[2];

    for (int i = 0; i < 2; i++, p += 4 * VL)
        sum[i] = _mm256_hadd_ps(_mm256_hadd_ps(vec_load(p), vec_load(p + VL)),
                                _mm256_hadd_ps(vec_load(p + 2 * VL), vec_load(p + 3 * VL)));
    return _mm256_add_ps(_mm256_permute2f128_ps(sum[0], sum[1], 0x20),
                         _mm256_permute2f128_ps(sum[0], sum[1], 0x31));
}
INLINE float vec_most(vec a)
{
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));

    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}
INLINE ivec vec_to_int(vec a)
{
    return (ivec)_mm256_cvttps_epi32(a);
}
