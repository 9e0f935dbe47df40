/* random_doc: documents of all containers in each other, the same for the same seed on every
 * machine. Every tensor is ["N", 4, 4], so that any wiring fits; the last input, where there is
 * one, is an optional mask [4, 4] that is handed on beside the data and read by attention. */
#ifndef SUPPORT_RANDOM_DOC_H
#define SUPPORT_RANDOM_DOC_H

#include <stdint.h>

/* Fills `buf`, with 0 at the end; false if it did not fit. */
_Bool random_document(uint64_t seed, char *buf, size_t n_bytes);

#endif
