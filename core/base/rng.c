/* rng: xoshiro256** (Blackman, Vigna), seeded with splitmix64. Integer arithmetic
 * only: a seed gives the same numbers on every machine. */

#include "base/base.h"

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static uint64_t rotate_left(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

SN_EXPORT void sn_rng_seed(sn_rng *rng, uint64_t seed)
{
    for (size_t i = 0; i < COUNT(rng->s); i++)
        rng->s[i] = splitmix64(&seed); /* never all zero: it is a bijection of distinct states */
}

SN_EXPORT uint64_t sn_rng_next(sn_rng *rng)
{
    uint64_t *const s = rng->s;
    const uint64_t  result = rotate_left(s[1] * 5, 7) * 9;
    const uint64_t  t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

SN_EXPORT uint64_t sn_rng_below(sn_rng *rng, uint64_t n)
{
    uint64_t excess, x;

    if (n == 0) return 0;
    excess = -n % n; /* the lowest 2^64 mod n numbers would favour small remainders: draw again */
    do
        x = sn_rng_next(rng);
    while (x < excess);
    return x % n;
}

SN_EXPORT double sn_rng_unit(sn_rng *rng)
{
    return (double)(sn_rng_next(rng) >> 11) * 0x1p-53;
}
