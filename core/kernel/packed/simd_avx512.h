/* simd for AVX-512 (F, VL, DQ, BW): see simd_c.h. The file that includes it is compiled for it. */
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/* What follows, to the end of the file that includes this, is compiled for these CPUs; the rest of
 * the program runs anywhere. clang wants to be told the end: simd_end.h. */
#ifdef __clang__
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,prfchw"))),                 \
    apply_to = function)
#else
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,prfchw")
#endif

enum { VL = 16 };

typedef float   vec __attribute__((vector_size(64)));
typedef int32_t ivec __attribute__((vector_size(64)));

#define INLINE  static inline __attribute__((always_inline, unused))
#define OUTLINE static __attribute__((noinline, unused))

/* Of the 32 registers 24 are accumulators: 8 rows by three panels. Row pointers are what
 * more rows would lack. */
enum { TILE_NV = 3, TILE_NV_LAST = 3, TILE_ROWS = 8, TILE_ROW_VECS = 8 };
static const int tile_rows[TILE_ROW_VECS + 1] = {0, 8, 8, 8, [8] = 1};
/* clang-format off */
#define TILES(_)                                                    \
    _(1, 1) _(2, 1) _(3, 1) _(4, 1) _(5, 1) _(6, 1) _(7, 1) _(8, 1) \
    _(1, 2) _(2, 2) _(3, 2) _(4, 2) _(5, 2) _(6, 2) _(7, 2) _(8, 2) \
    _(1, 3) _(2, 3) _(3, 3) _(4, 3) _(5, 3) _(6, 3) _(7, 3) _(8, 3) \
    _(1, 8)
/* clang-format on */

/* Tiles whose last vector holds half of its channels for two rows: see tile.h. */
#define TILE_HALVES(_)                                                                             \
    _(2, 2)                                                                                        \
    _(3, 2)                                                                                        \
    _(4, 2)                                                                                        \
    _(5, 2)                                                                                        \
    _(6, 2) _(7, 2) _(8, 2) _(2, 3) _(3, 3) _(4, 3) _(5, 3) _(6, 3) _(7, 3) _(8, 3)

#define TILE_HEIGHTS(_) _(1) _(2) _(3) _(4) _(5) _(6) _(7) _(8)

/* Pixels of a row that a depthwise kernel computes at once. */
enum { STRIP = 8, TAPS_HELD = 1 };
/* clang-format off */
#define STRIP_COUNTS(_, kw, stride)                                     \
    _(kw, stride, 1) _(kw, stride, 2) _(kw, stride, 3) _(kw, stride, 4) \
    _(kw, stride, 5) _(kw, stride, 6) _(kw, stride, 7) _(kw, stride, 8)
/* clang-format on */

INLINE vec vec_set(float x)
{
    return _mm512_set1_ps(x);
}
INLINE vec vec_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
INLINE void vec_store(float *p, vec v)
{
    _mm512_storeu_ps(p, v);
}
INLINE void vec_stream(float *p, vec v)
{
    _mm512_stream_ps(p, v);
}
INLINE void vec_streamed(void)
{
    _mm_sfence();
}
INLINE __mmask16 vec_lanes(long n)
{
    return (__mmask16)(0xffffu >> (VL - n));
}
INLINE vec vec_load_n(const float *p, long n)
{
    return _mm512_maskz_loadu_ps(vec_lanes(n), p);
}
INLINE void vec_store_n(float *p, vec v, long n)
{
    _mm512_mask_storeu_ps(p, vec_lanes(n), v);
}
INLINE void vec_store_lanes(float *p, vec v, long first, long n)
{
    _mm512_mask_storeu_ps(p, vec_lanes(n) & (__mmask16)~vec_lanes(first), v);
}

INLINE vec vec_fours(vec v, int k)
{
    switch (k) {
    case 0:
        return _mm512_permute_ps(v, 0x00);
    case 1:
        return _mm512_permute_ps(v, 0x55);
    case 2:
        return _mm512_permute_ps(v, 0xaa);
    default:
        return _mm512_permute_ps(v, 0xff);
    }
}
INLINE vec vec_zip_low(vec a, vec b)
{
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
INLINE vec vec_zip_high(vec a, vec b)
{
    return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                                   31);
}

/* The lower half of a, the upper half of b; and the upper half below. */
INLINE vec vec_halves(vec a, vec b)
{
    return _mm512_mask_blend_ps(0xff00, a, b);
}
INLINE vec vec_upper(vec v)
{
    return _mm512_shuffle_f32x4(v, v, 0xee);
}

/* Assembly, because the compiler would fold the load into every use: see simd_avx2.h. */
INLINE vec vec_held_twice(const float *p)
{
    vec v;

    __asm__("vbroadcastf32x8 %1, %0" : "=v"(v) : "m"(*(const __m256_u *)p));
    return v;
}

INLINE vec vec_held(const float *p)
{
    vec v;

    __asm__("vmovups %1, %0" : "=v"(v) : "m"(*(const __m512_u *)p));
    return v;
}

INLINE vec vec_spread(const float *p)
{
    return _mm512_set1_ps(*p);
}

INLINE vec vec_fma(vec a, vec b, vec c)
{
    return _mm512_fmadd_ps(a, b, c);
}

INLINE vec vec_select(ivec m, vec a, vec b)
{
    return _mm512_mask_blend_ps(_mm512_movepi32_mask((__m512i)m), b, a);
}

INLINE vec vec_max(vec a, vec b)
{
    return _mm512_max_ps(a, b);
}
INLINE vec vec_min(vec a, vec b)
{
    return _mm512_min_ps(a, b);
}
INLINE vec vec_reciprocal(vec a)
{
    const vec r = _mm512_rcp14_ps(a);

    return vec_fma(r, vec_fma(-a, r, vec_set(1.0f)), r);
}
INLINE vec vec_sqrt(vec a)
{
    return _mm512_sqrt_ps(a);
}
INLINE float vec_sum(vec a)
{
    return _mm512_reduce_add_ps(a);
}

/* Quarters of i, i + 4, i + 8 and i + 12 next to one another, their halves added. */
INLINE __m512 vec_quarters(const float *p)
{
    const __m512 a = _mm512_loadu_ps(p), b = _mm512_loadu_ps(p + 4 * VL);
    const __m512 c = _mm512_loadu_ps(p + 8 * VL), d = _mm512_loadu_ps(p + 12 * VL);
    const __m512 ab =
        _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
    const __m512 cd =
        _mm512_add_ps(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xee));

    return _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));
}

INLINE vec vec_sums(const float *p)
{
    const __m512 a = vec_quarters(p), b = vec_quarters(p + VL);
    const __m512 c = vec_quarters(p + 2 * VL), d = vec_quarters(p + 3 * VL);
    const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));

    return _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
}
INLINE float vec_most(vec a)
{
    return _mm512_reduce_max_ps(a);
}
INLINE ivec vec_to_int(vec a)
{
    return (ivec)_mm512_cvttps_epi32(a);
}
