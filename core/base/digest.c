/* digest: SHA-256 of libmd. */
#include "base/digest.h"

void digest_init(struct digest *d)
{
    SHA256Init(&d->sha);
}

void digest_add(struct digest *d, const void *bytes, size_t n_bytes)
{
    SHA256Update(&d->sha, bytes, n_bytes);
}

void digest_final(struct digest *d, uint8_t ret_digest[DIGEST_BYTES])
{
    SHA256Final(ret_digest, &d->sha);
}
