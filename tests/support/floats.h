/* floats: random numbers and exact room for tests of kernels. */
#ifndef SUPPORT_FLOATS_H
#define SUPPORT_FLOATS_H

#include <stddef.h>
#include <stdint.h>

/* n floats between -1 and 1, `shift` floats after a 64-byte boundary and ending where the
 * memory ends, so that a sanitizer sees every step beyond. Freed with floats_free. */
float *floats_random(size_t n, size_t shift, uint32_t seed);

/* The same, all of one value. */
float *floats_of(size_t n, size_t shift, float value);
void   floats_free(float *x);

/* Fails unless max |got - want| <= bound * max(1, max |want|); rows of n, ld apart. */
void assert_floats_close(const float *got, const float *want, size_t m, size_t n, size_t ld,
                         double bound, const char *what);

/* Fails unless all m * n numbers have the same bits. */
void assert_floats_same(const float *got, const float *want, size_t m, size_t n, size_t ld,
                        const char *what);

#endif
