/* A subnet's weights read in pieces are the bytes that are written in one go: from any place, in
 * any size, for slices of weights (views with gaps) and for what had to be copied (the centre of
 * a kernel). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "supernet/host.h"
#include "support/net.h"

struct bytes {
    unsigned char *at;
    size_t         n;
};

static int append(void *cls, const void *bytes, size_t n)
{
    struct bytes *b = cls;

    b->at = realloc(b->at, b->n + n);
    assert_non_null(b->at);
    memcpy(b->at + b->n, bytes, n);
    b->n += n;
    return 0;
}

static sn_subnet *draw(sn_supernet *net, uint64_t seed)
{
    sn_policy *policy;
    sn_draft  *draft;
    sn_subnet *subnet;
    sn_rng     rng;

    sn_rng_seed(&rng, seed);
    assert_int_equal(sn_policy_create(net, "path", NULL, &policy, NULL), SN_OK);
    assert_int_equal(sn_draft_create(net, &draft, NULL), SN_OK);
    assert_int_equal(sn_policy_resample(policy, &rng, draft, NULL), SN_OK);
    assert_int_equal(sn_draft_seal(draft, &subnet, NULL), SN_OK);
    sn_draft_free(draft);
    sn_policy_free(policy);
    return subnet;
}

static void check_pieces(const sn_weights_reader *r, const struct bytes *whole, size_t piece)
{
    unsigned char *got = malloc(piece);

    assert_non_null(got);
    for (uint64_t at = 0; at < whole->n;) {
        const size_t n = sn_weights_reader_read(r, at, got, piece);

        assert_int_equal(n, whole->n - at < piece ? whole->n - at : piece);
        assert_memory_equal(got, whole->at + at, n);
        at += n;
    }
    assert_int_equal(sn_weights_reader_read(r, whole->n, got, piece), 0);
    free(got);
}

static void pieces_are_what_is_written(void **state)
{
    static const size_t pieces[] = {1, 7, 64, 1009, 32768, 1 << 22};
    sn_supernet        *net = net_demo();

    (void)state;
    for (uint64_t seed = 0; seed < 12; seed++) {
        sn_subnet         *subnet = draw(net, seed);
        sn_weights_reader *r = NULL;
        struct bytes       whole = {0};
        const sn_sink      sink = {.write = append, .cls = &whole};

        assert_int_equal(sn_subnet_write_weights(subnet, &sink, NULL), SN_OK);
        assert_int_equal(sn_subnet_read_weights(subnet, &r, NULL), SN_OK);
        sn_subnet_unref(subnet); /* the reader holds it */
        assert_int_equal(sn_weights_reader_bytes(r), whole.n);
        for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
            check_pieces(r, &whole, pieces[i]);
        assert_true(sn_weights_reader_held_bytes(r) > 0);
        sn_weights_reader_free(r);
        free(whole.at);
    }
    sn_supernet_unref(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pieces_are_what_is_written)};

    return cmocka_run_group_tests_name("weights_reader", tests, NULL, NULL);
}
