/* hash: SipHash-1-3 under a secret key, so that no document can choose names or values whose hashes
 * collide. Keys differ from run to run, so no result may depend on a hash: tables are looked up,
 * never iterated.
 *
 * Aumasson and Bernstein, SipHash: a fast short-input PRF, INDOCRYPT 2012. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash_key {
    uint64_t k[2];
};

/* From the system's random numbers; where there are none, from the clock and `salt`. */
struct hash_key hash_key_new(const void *salt);

uint64_t hash_bytes(const struct hash_key *key, const void *bytes, size_t n_bytes);

/* Of two indices, 32 bits: multiply-shift with the key as factors. */
static inline uint64_t hash_pair(const struct hash_key *key, uint32_t a, uint32_t b)
{
    return ((key->k[0] | 1) * a + (key->k[1] | 1) * b) >> 32;
}

#endif
