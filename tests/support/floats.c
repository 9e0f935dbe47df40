/* floats: see floats.h. */
#include "support/floats.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* In front of the numbers stands where their memory begins. */
enum { FRONT = 64 };

float *floats_of(size_t n, size_t shift, float value)
{
    char  *memory = NULL;
    float *x;

    assert_int_equal(posix_memalign((void **)&memory, 64, FRONT + (shift + n) * sizeof(float)), 0);
    x = (float *)(memory + FRONT) + shift;
    memcpy((char *)x - sizeof memory, &memory, sizeof memory);
    for (size_t i = 0; i < n; i++)
        x[i] = value;
    return x;
}

float *floats_random(size_t n, size_t shift, uint32_t seed)
{
    float *x = floats_of(n, shift, 0);

    seed = seed * 2654435761u + 1;
    for (size_t i = 0; i < n; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        x[i] = (float)(int32_t)seed * 0x1p-31f;
    }
    return x;
}

void floats_free(float *x)
{
    char *memory;

    if (!x) return;
    memcpy(&memory, (char *)x - sizeof memory, sizeof memory);
    free(memory);
}

void assert_floats_close(const float *got, const float *want, size_t m, size_t n, size_t ld,
                         double bound, const char *what)
{
    double most = 1;

    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++)
            most = fmax(most, fabs((double)want[i * ld + j]));
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            const float a = got[i * ld + j], b = want[i * ld + j];

            if (isnan(a) && isnan(b)) continue;
            if (!(fabs((double)a - (double)b) <= bound * most))
                fail_msg("%s: row %zu, column %zu: got %.9g, want %.9g", what, i, j, (double)a,
                         (double)b);
        }
}

void assert_floats_same(const float *got, const float *want, size_t m, size_t n, size_t ld,
                        const char *what)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++)
            if (memcmp(&got[i * ld + j], &want[i * ld + j], sizeof(float)) != 0)
                fail_msg("%s: row %zu, column %zu: %.9g and %.9g", what, i, j,
                         (double)got[i * ld + j], (double)want[i * ld + j]);
}
