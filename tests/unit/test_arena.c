/* arena: zeroed, aligned, apart from each other, and NULL when memory is out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "support/alloc.h"

/* Objects of many sizes, each filled with its own byte, checked at the end. */
static void objects_do_not_meet(void **state)
{
    static const size_t size[] = {1, 16, 17, 400, 1000, 5000, 70000, 3, 1 << 17, 24, 0, 8};
    enum { N = 600 };
    unsigned char *at[N];
    sn_arena      *a = sn_arena_create();

    (void)state;
    assert_non_null(a);
    for (size_t i = 0; i < N; i++) {
        const size_t n = size[i % COUNT(size)];

        at[i] = sn_arena_alloc(a, n);
        assert_non_null(at[i]);
        assert_int_equal((uintptr_t)at[i] % 16, 0);
        for (size_t k = 0; k < n; k++)
            assert_int_equal(at[i][k], 0);
        memset(at[i], (int)(i % 255 + 1), n);
    }
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < size[i % COUNT(size)]; k++)
            assert_int_equal(at[i][k], i % 255 + 1);
    assert_null(sn_arena_free(a));
    assert_null(sn_arena_free(NULL));
}

static void small_arenas_stay_small(void **state)
{
    sn_arena *a = sn_arena_create();

    (void)state;
    assert_non_null(sn_arena_alloc(a, 100));
    assert_in_range(arena_bytes(a), 100, 2048);
    assert_non_null(sn_arena_alloc(a, 1 << 20));
    assert_in_range(arena_bytes(a), 1 << 20, (1 << 20) + 4096);
    sn_arena_free(a);
}

/* A large object must not waste the rest of the current block. */
static void large_objects_leave_the_block_alone(void **state)
{
    sn_arena *a = sn_arena_create();
    size_t    before;

    (void)state;
    assert_non_null(sn_arena_alloc(a, 16));
    assert_non_null(sn_arena_alloc(a, 1 << 20));
    before = arena_bytes(a);
    assert_non_null(sn_arena_alloc(a, 512));
    assert_int_equal(arena_bytes(a), before);
    sn_arena_free(a);
}

static void sizes_that_overflow_are_out_of_memory(void **state)
{
    sn_arena *a = sn_arena_create();

    (void)state;
    assert_null(sn_arena_alloc(a, SIZE_MAX));
    assert_null(sn_arena_alloc(a, SIZE_MAX - 20));
    assert_null(arena_array(a, SIZE_MAX / 4, 8));
    assert_non_null(arena_array(a, 0, 8));
    sn_arena_free(a);
}

static void text_is_copied(void **state)
{
    sn_arena   *a = sn_arena_create();
    char        text[] = "block";
    const char *copy = arena_strdup(a, text);

    (void)state;
    text[0] = 'c';
    assert_string_equal(copy, "block");
    assert_string_equal(arena_printf(a, "%s.%s[%d]", "model", copy, 3), "model.block[3]");
    assert_string_equal(arena_printf(a, "%s", ""), "");
    sn_arena_free(a);
}

static void every_allocation_may_fail(void **state)
{
    sn_arena *a;

    (void)state;
    alloc_fail_at(1);
    assert_null(sn_arena_create());
    a = sn_arena_create();
    alloc_fail_at(1);
    assert_null(sn_arena_alloc(a, 8));
    assert_non_null(sn_arena_alloc(a, 8)); /* and the arena is still good */
    alloc_fail_at(1);
    assert_null(arena_printf(a, "%05000d", 1));
    alloc_fail_at(0);
    sn_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_do_not_meet),
        cmocka_unit_test(small_arenas_stay_small),
        cmocka_unit_test(large_objects_leave_the_block_alone),
        cmocka_unit_test(sizes_that_overflow_are_out_of_memory),
        cmocka_unit_test(text_is_copied),
        cmocka_unit_test(every_allocation_may_fail),
    };

    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
