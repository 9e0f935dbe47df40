/* simd, portable: vectors of four floats of the compiler's own, on any CPU and under the
 * sanitizers. simd_avx2.h and simd_avx512.h say the same with instructions.
 *
 * A set_*.c includes one of the three and then the kernels, which are written once in terms of:
 *
 *   vec, ivec                   VL floats, VL int32_t; + - * / and comparisons are C's
 *   vec_load, vec_store         any address
 *   vec_stream, vec_streamed    a store to memory, past the caches, at an aligned address; all
 *                               of these come before the stores that follow
 *   vec_load_n, vec_store_n     the first n lanes, 1 <= n <= VL; the others are 0, or untouched
 *   vec_store_lanes             of those, from lane `first` on, 0 <= first < n
 *   vec_max, vec_min            b where either is NaN: max(0, x) keeps it
 *   vec_fours                   lane k of every four lanes in all four, 0 <= k < 4
 *   vec_zip_low, vec_zip_high   lanes of a and b by turns: of their first halves, of their second
 *   vec_sum, vec_most           of all lanes; vec_most only if none is NaN
 *   vec_sums                    lane i is the sum of vector i of VL
 *   vec_reciprocal              1 / a to two units in the last place, a in [1, 2^100]
 *   vec_held, vec_spread        loads that stay in a register (see simd_avx2.h)
 *   vec_held_twice              half a vector, twice
 *   vec_halves, vec_upper       the lower half of a and the upper of b; the upper half below
 *   STRIP, STRIP_COUNTS         pixels of a strip (see depthwise.h)
 *   TAPS_HELD                   whether nine taps have room in registers beside a strip
 *   TILE_HEIGHTS                1 to TILE_ROWS
 *   TILES, tile_rows            the register tiles: rows by vectors (see tile.h), and the most
 *                               rows for so many vectors; TILE_NV at a time, up to
 *                               TILE_NV_LAST at the end, TILE_ROW_VECS if there is one row
 *   TILE_HALVES                 those that may end with half a vector (see tile.h) */
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { VL = 4 };

typedef float   vec __attribute__((vector_size(16)));
typedef int32_t ivec __attribute__((vector_size(16)));

#define INLINE  static inline __attribute__((always_inline, unused))
#define OUTLINE static __attribute__((noinline, unused))

/* 3 x 4 accumulators and 4 numbers of a panel fill the 16 registers of SSE2; NEON has 32. */
enum { TILE_NV = 4, TILE_NV_LAST = 4, TILE_ROWS = 3, TILE_ROW_VECS = 8 };
static const int tile_rows[TILE_ROW_VECS + 1] = {0, 3, 3, 3, 3, [8] = 1};
/* clang-format off */
#define TILES(_)            \
    _(1, 1) _(2, 1) _(3, 1) \
    _(1, 2) _(2, 2) _(3, 2) \
    _(1, 3) _(2, 3) _(3, 3) \
    _(1, 4) _(2, 4) _(3, 4) \
    _(1, 8)
/* clang-format on */

#define TILE_HALVES(_) _(2, 2) _(3, 2) _(2, 3) _(3, 3) _(2, 4) _(3, 4)

#define TILE_HEIGHTS(_) _(1) _(2) _(3)

/* Pixels of a row that a depthwise kernel computes at once. */
enum { STRIP = 4, TAPS_HELD = 0 };
/* clang-format off */
#define STRIP_COUNTS(_, kw, stride)                                     \
    _(kw, stride, 1) _(kw, stride, 2) _(kw, stride, 3) _(kw, stride, 4)
/* clang-format on */

INLINE vec vec_set(float x)
{
    return (vec){x, x, x, x};
}

INLINE vec vec_load(const float *p)
{
    vec v;

    memcpy(&v, p, sizeof v);
    return v;
}

INLINE void vec_store(float *p, vec v)
{
    memcpy(p, &v, sizeof v);
}

INLINE void vec_stream(float *p, vec v)
{
    vec_store(p, v);
}

INLINE void vec_streamed(void) {}

OUTLINE vec vec_load_n(const float *p, long n)
{
    vec v = vec_set(0);

    for (long i = 0; i < n; i++)
        v[i] = p[i];
    return v;
}

OUTLINE void vec_store_n(float *p, vec v, long n)
{
    for (long i = 0; i < n; i++)
        p[i] = v[i];
}

OUTLINE void vec_store_lanes(float *p, vec v, long first, long n)
{
    for (long i = first; i < n; i++)
        p[i] = v[i];
}

INLINE vec vec_fours(vec v, int k)
{
    return vec_set(v[k]);
}
INLINE vec vec_halves(vec a, vec b)
{
    return __builtin_shufflevector(a, b, 0, 1, 6, 7);
}
INLINE vec vec_upper(vec v)
{
    return __builtin_shufflevector(v, v, 2, 3, 2, 3);
}
INLINE vec vec_zip_low(vec a, vec b)
{
    return __builtin_shufflevector(a, b, 0, 4, 1, 5);
}
INLINE vec vec_zip_high(vec a, vec b)
{
    return __builtin_shufflevector(a, b, 2, 6, 3, 7);
}

INLINE vec vec_held(const float *p)
{
    return vec_load(p);
}
INLINE vec vec_held_twice(const float *p)
{
    return (vec){p[0], p[1], p[0], p[1]};
}
INLINE vec vec_spread(const float *p)
{
    return vec_set(*p);
}

INLINE vec vec_fma(vec a, vec b, vec c)
{
    return a * b + c;
}

INLINE vec vec_select(ivec m, vec a, vec b)
{
    return (vec)((m & (ivec)a) | (~m & (ivec)b));
}
INLINE vec vec_max(vec a, vec b)
{
    return vec_select(a > b, a, b);
}
INLINE vec vec_min(vec a, vec b)
{
    return vec_select(a < b, a, b);
}

INLINE vec vec_reciprocal(vec a)
{
    return vec_set(1.0f) / a;
}
INLINE vec vec_sqrt(vec a)
{
    for (int i = 0; i < VL; i++)
        a[i] = sqrtf(a[i]);
    return a;
}

INLINE float vec_sum(vec a)
{
    return (a[0] + a[2]) + (a[1] + a[3]);
}
INLINE vec vec_sums(const float *p)
{
    vec sums;

    for (int i = 0; i < VL; i++)
        sums[i] = vec_sum(vec_load(p + i * VL));
    return sums;
}
INLINE float vec_most(vec a)
{
    const float x = a[0] > a[1] ? a[0] : a[1], y = a[2] > a[3] ? a[2] : a[3];

    return x > y ? x : y;
}
INLINE ivec vec_to_int(vec a)
{
    return __builtin_convertvector(a, ivec);
}
