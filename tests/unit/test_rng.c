/* rng and digest: the same numbers everywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "base/digest.h"

/* The authors' sequence for the state 1, 2, 3, 4. */
static void sequence_is_that_of_the_authors(void **state)
{
    static const uint64_t want[] = {11520,
                                    0,
                                    1509978240,
                                    1215971899390074240,
                                    1216172134540287360,
                                    607988272756665600,
                                    16172922978634559625u,
                                    8476171486693032832,
                                    10595114339597558777u,
                                    2904607092377533576};
    sn_rng                rng = {{1, 2, 3, 4}};

    (void)state;
    for (size_t i = 0; i < COUNT(want); i++)
        assert_true(sn_rng_next(&rng) == want[i]);
}

/* A seed, and what it must give for ever: stored seeds are meant to be repeated. */
static const struct {
    uint64_t seed, first[3];
} golden[] = {
    {0x0, {0x99ec5f36cb75f2b4, 0xbf6e1f784956452a, 0x1a5f849d4933e6e0}},
    {0x1, {0xb3f2af6d0fc710c5, 0x853b559647364cea, 0x92f89756082a4514}},
    {0x2a, {0x15780b2e0c2ec716, 0x6104d9866d113a7e, 0xae17533239e499a1}},
    {0xffffffffffffffff, {0x8f5520d52a7ead08, 0xc476a018caa1802d, 0x81de31c0d260469e}},
};

static void seeds_give_the_same_numbers_for_ever(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(golden); i++) {
        sn_rng rng;

        sn_rng_seed(&rng, golden[i].seed);
        for (size_t k = 0; k < COUNT(golden[i].first); k++)
            assert_true(sn_rng_next(&rng) == golden[i].first[k]);
    }
}

static void below_is_in_range_and_even(void **state)
{
    enum { N = 7, DRAWS = 70000 };
    int    hits[N] = {0};
    sn_rng rng;

    (void)state;
    sn_rng_seed(&rng, 1);
    for (int i = 0; i < DRAWS; i++) {
        const uint64_t x = sn_rng_below(&rng, N);

        assert_in_range(x, 0, N - 1);
        hits[x]++;
    }
    for (int i = 0; i < N; i++) /* 10000 expected, standard deviation 93: five of them */
        assert_in_range(hits[i], DRAWS / N - 465, DRAWS / N + 465);
    assert_true(sn_rng_below(&rng, 1) == 0);
    assert_true(sn_rng_below(&rng, UINT64_MAX) < UINT64_MAX);
}

/* Without drawing again, the lowest third of this range would come up twice as often. */
static void below_has_no_favourites(void **state)
{
    enum { DRAWS = 30000 };
    const uint64_t n = 3ull << 62; /* 2^64 mod n = 2^62: a third of n */
    int            low = 0;
    sn_rng         rng;

    (void)state;
    sn_rng_seed(&rng, 2);
    for (int i = 0; i < DRAWS; i++)
        low += sn_rng_below(&rng, n) < n / 3;
    assert_in_range(low, DRAWS / 3 - 410, DRAWS / 3 + 410); /* deviation 82 */
}

static void unit_is_in_range(void **state)
{
    double sum = 0;
    sn_rng rng;

    (void)state;
    sn_rng_seed(&rng, 3);
    for (int i = 0; i < 10000; i++) {
        const double u = sn_rng_unit(&rng);

        assert_true(u >= 0 && u < 1);
        sum += u;
    }
    assert_true(sum > 4850 && sum < 5150); /* 5000, standard deviation 29 */
}

/* FIPS 180-2, and pieces make the same digest as the whole. */
static void digest_is_sha256(void **state)
{
    static const char abc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    uint8_t           bytes[DIGEST_BYTES];
    char              hex[2 * DIGEST_BYTES + 1];
    struct digest     d;

    (void)state;
    digest_init(&d);
    digest_add(&d, "a", 1);
    digest_add(&d, "bc", 2);
    digest_final(&d, bytes);
    for (int i = 0; i < DIGEST_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    assert_string_equal(hex, abc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequence_is_that_of_the_authors),
        cmocka_unit_test(seeds_give_the_same_numbers_for_ever),
        cmocka_unit_test(below_is_in_range_and_even),
        cmocka_unit_test(below_has_no_favourites),
        cmocka_unit_test(unit_is_in_range),
        cmocka_unit_test(digest_is_sha256),
    };

    return cmocka_run_group_tests_name("rng", tests, NULL, NULL);
}
