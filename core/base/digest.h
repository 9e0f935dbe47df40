/* digest: SHA-256 in pieces. The only place that knows where it comes from. */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <sha2.h>
#include <stddef.h>
#include <stdint.h>

enum { DIGEST_BYTES = 32 };

struct digest {
    SHA2_CTX sha;
};

void digest_init(struct digest *d);
void digest_add(struct digest *d, const void *bytes, size_t n_bytes);
void digest_final(struct digest *d, uint8_t ret_digest[DIGEST_BYTES]);

#endif
