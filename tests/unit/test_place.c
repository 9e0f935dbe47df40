/* Offsets of what lives at the same time, and masks of blends: many of them. */
#define _POSIX_C_SOURCE 199309L /* clock_gettime */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "compile/place.h"
#include "run/blend.h"
#include "support/planned.h"

static uint32_t drawn = 1;

static uint32_t draw(uint32_t n)
{
    drawn = drawn * 1664525 + 1013904223;
    return (drawn >> 8) % n;
}

static bool meet(const struct interval *a, const struct interval *b)
{
    return a->last >= b->first && a->first <= b->last;
}

/* No two that live at once share a byte; the total is where the last one ends. */
static void assert_apart(const struct interval *all, size_t n, size_t total)
{
    size_t end = 0;

    for (size_t i = 0; i < n; i++) {
        const size_t to = all[i].offset + all[i].bytes;

        end = to > end ? to : end;
        for (size_t k = 0; k < i; k++)
            if (meet(&all[i], &all[k]) && all[k].bytes && all[i].bytes)
                assert_true(all[k].offset >= to || all[i].offset >= all[k].offset + all[k].bytes);
    }
    assert_int_equal(end, total);
}

/* The lowest offset for interval i, by trying the end of every other. */
static size_t lowest(const struct interval *all, size_t i)
{
    size_t best = SIZE_MAX;

    for (size_t c = 0; c <= i; c++) {
        const size_t at = c < i ? all[c].offset + all[c].bytes : 0;
        bool         is_free = at < best;

        for (size_t k = 0; is_free && k < i; k++)
            is_free = !meet(&all[i], &all[k]) || all[k].offset >= at + all[i].bytes ||
                      at >= all[k].offset + all[k].bytes;
        if (is_free) best = at;
    }
    return best;
}

static struct interval random_interval(int n_steps, int longest)
{
    const int             first = (int)draw((uint32_t)n_steps);
    const struct interval i = {.bytes = 64 * (size_t)(1 + draw(20)),
                               .first = first,
                               .last = first + (int)draw((uint32_t)longest)};

    return i;
}

static void each_is_placed_as_low_as_it_fits_larger_ones_first(void **state)
{
    (void)state;
    for (int round = 0; round < 40; round++) {
        struct interval all[60];
        struct placing  p;
        sn_arena       *mem = sn_arena_create();
        const size_t    n = 1 + draw(60);
        size_t          total;

        for (size_t i = 0; i < n; i++)
            all[i] = random_interval(40, 1 + round);
        assert_true(placing_init(&p, all, n, mem));
        assert_true(place_packed(&p, &total));
        assert_apart(all, n, total);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(all[i].offset, lowest(all, i));
            if (i > 0) assert_true(all[i - 1].bytes >= all[i].bytes);
        }
        sn_arena_free(mem);
    }
}

static void in_zones_those_that_meet_are_apart_as_well(void **state)
{
    (void)state;
    for (int round = 0; round < 40; round++) {
        struct interval all[60];
        struct placing  p;
        sn_arena       *mem = sn_arena_create();
        size_t          packed, total, end = 0;

        for (size_t i = 0; i < 60; i++)
            all[i] = i < 40 ? random_interval(40, 5)
                            : (struct interval){.bytes = 64,
                                                .first = (int)i - 40,
                                                .last = (int)i - 40,
                                                .temporary = true};
        assert_true(placing_init(&p, all, 60, mem));
        assert_true(place_packed(&p, &packed));
        total = packed;
        place_zones(&p, 10 * packed, &total);
        assert_true(total >= packed);
        for (size_t i = 0; i < 60; i++)
            end = all[i].offset + all[i].bytes > end ? all[i].offset + all[i].bytes : end;
        assert_true(end <= total);
        assert_apart(all, 60, end);
        sn_arena_free(mem);
    }
}

/* n values: each made by a step and read by the next; or all of them in the second half of the
 * steps, the last first. Returns seconds, and bytes. */
static double time_to_place(size_t n, bool mirrored, size_t *ret_total)
{
    struct interval *all = calloc(n, sizeof *all);
    sn_arena        *mem = sn_arena_create();
    struct placing   p;
    struct timespec  start, end;

    for (size_t i = 0; i < n; i++)
        all[i] = (struct interval){
            .bytes = 64, .first = (int)i, .last = (int)(mirrored ? 2 * n - i : i + 1)};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
    assert_true(placing_init(&p, all, n, mem));
    assert_true(place_packed(&p, ret_total));
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    if (n <= 4000) assert_apart(all, n, *ret_total);
    sn_arena_free(mem);
    free(all);
    return (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) * 1e-9;
}

/* The best of a few: other programs only add to it. */
static double best_time_to_place(size_t n, bool mirrored)
{
    double best = 1e9;
    size_t total;

    for (int again = 0; again < 4; again++) {
        const double s = time_to_place(n, mirrored, &total);

        assert_int_equal(total, mirrored ? 64 * n : 128);
        best = s < best ? s : best;
    }
    return best;
}

/* 16 times the steps take some 20 times as long; by their square it would be 256 times. */
static void placing_takes_time_by_the_number_of_steps_not_by_its_square(void **state)
{
    (void)state;
    for (int mirrored = 0; mirrored < 2; mirrored++)
        assert_true(best_time_to_place(64000, mirrored) <
                    100 * best_time_to_place(4000, mirrored) + 1e-3);
}

/* ---- whole plans ------------------------------------------------------------------------- */

static void many_thousand_steps_compile_into_the_memory_of_two_values(void **state)
{
    enum { STEPS = 20000 }; /* what the limits of a load let in */
    static const struct net_tensor none[] = {{0}};
    const sn_shape                 shape = {2, {3, 16}};
    struct planned                 w;
    char                          *spec = malloc(STEPS * 40 + 200), *at = spec;

    (void)state;
    at += sprintf(at, "%s",
                  "{\"format\": \"supernet/1\", \"name\": \"t\", \"inputs\": [{\"name\": \"x\", "
                  "\"shape\": [\"N\", 16]}], \"model\": {\"type\": \"Sequential\", \"layers\": [");
    for (int i = 0; i < STEPS; i++)
        at += sprintf(at, "%s{\"type\": \"%s\"}", i ? "," : "", i % 2 ? "ReLU" : "Sigmoid");
    sprintf(at, "]}}");
    for (int threads = 1; threads <= 4; threads += 3) {
        assert_int_equal(planned_make(&w, spec, none, "", &shape, 1, threads), SN_OK);
        assert_in_range(sn_plan_describe(w.plan)->scratch_bytes, 2 * 3 * 64,
                        (size_t)threads * 2 * 4 * 64);
        planned_end(&w);
    }
    free(spec);
}

static void sums_of_one_value_and_many_others_are_found_again_by_hash(void **state)
{
    enum { SUMS = 12000 };
    static const struct net_tensor none[] = {{0}};
    const sn_shape                 shape = {2, {1, 4}};
    struct planned                 w;
    char                          *spec = malloc(SUMS * 120 + 400), *at = spec;

    (void)state;
    at += sprintf(at, "%s",
                  "{\"format\": \"supernet/1\", \"name\": \"t\", \"inputs\": [{\"name\": \"x\", "
                  "\"shape\": [\"N\", 4]}], \"model\": {\"type\": \"Graph\", \"inputs\": [\"x\"], "
                  "\"nodes\": [{\"name\": \"a0\", \"type\": \"ReLU\", \"inputs\": [\"x\"]}");
    for (int i = 1; i < SUMS; i++)
        at += sprintf(at, ",{\"name\": \"a%d\", \"type\": \"Add\", \"inputs\": [\"x\", \"a%d\"]}",
                      i, i - 1);
    at += sprintf(at, ",{\"name\": \"b\", \"type\": \"Add\", \"inputs\": [\"x\", \"a%d\"]}",
                  SUMS - 2);
    sprintf(at, "], \"outputs\": [\"a%d\", \"b\"]}}", SUMS - 1);
    assert_int_equal(planned_make(&w, spec, none, "", &shape, 1, 1), SN_OK);
    /* b is the last a: one step less, and a copy for the second output */
    assert_int_equal(sn_plan_describe(w.plan)->n_steps, SUMS + 1);
    planned_end(&w);
    free(spec);
}

/* ---- masks --------------------------------------------------------------------------------- */

static bool inside(const sn_slice *s, int d, int64_t at)
{
    for (int k = 0; k < s->axis[d].n; k++)
        if (at >= s->axis[d].piece[k].start && at < s->axis[d].piece[k].stop) return true;
    return false;
}

/* Random pieces on both axes; axis 0 may go beyond what another step left. */
static sn_slice random_slice(int64_t rows, int64_t columns)
{
    const int64_t half = rows / 2, a = draw((uint32_t)half), b = draw((uint32_t)half);
    const int64_t c = draw((uint32_t)columns);
    sn_slice      s = {.rank = 2};

    s.axis[0].n = 2;
    s.axis[0].piece[0] = (sn_range){a, a + draw((uint32_t)(half - a))};
    s.axis[0].piece[1] = (sn_range){half + b, half + b + draw((uint32_t)half)};
    s.axis[1].n = 1;
    s.axis[1].piece[0] = (sn_range){c, c + draw((uint32_t)(columns - c) + 1)};
    return s;
}

static void run_blend(int64_t rows, int64_t columns, size_t n_options, bool compare)
{
    const sn_shape shape = {2, {rows, columns}};
    const size_t   n = (size_t)(rows * columns);
    float         *x = malloc(n * sizeof *x), *y = malloc(n * sizeof *y);
    float         *weight = malloc(n_options * sizeof *weight);
    sn_slice      *slice = malloc(n_options * sizeof *slice);
    struct blend   b = {.whole = sn_tensor_dense(SN_F32, &shape, x), .n_masks = 1};
    sn_tensor      out = sn_tensor_dense(SN_F32, &shape, y);
    double        *mask;

    for (size_t i = 0; i < n; i++)
        x[i] = 1.0f + (float)draw(100);
    for (size_t o = 0; o < n_options; o++) {
        weight[o] = (float)(1 + draw(1000)) / 1000.0f / (float)n_options;
        slice[o] = random_slice(rows, columns);
    }
    b.mask[0] = (struct blend_mask){.slice = slice, .axis = {true, true}};
    mask = malloc(blend_scratch(&b));
    blend_run(&b, (const float *const[]){weight}, &n_options, mask, &out);
    for (size_t i = 0; compare && i < n; i++) {
        double sum = 0.0;

        for (size_t o = 0; o < n_options; o++)
            if (inside(&slice[o], 0, (int64_t)i / columns) &&
                inside(&slice[o], 1, (int64_t)i % columns))
                sum += (double)weight[o];
        assert_true(fabs((double)y[i] - (double)x[i] * sum) <= 2e-7 * (double)x[i] * sum + 1e-13);
    }
    free(mask);
    free(slice);
    free(weight);
    free(x);
    free(y);
}

static void a_mask_is_the_sum_of_the_weights_of_the_slices_around_it(void **state)
{
    (void)state;
    run_blend(8, 7, 1, true);
    run_blend(24, 10, 50, true);
    run_blend(31, 17, 300, true);
}

static void a_mask_costs_its_elements_and_options_not_their_product(void **state)
{
    (void)state;
    run_blend(1000, 300, 20000, false); /* 6e9 steps if each looked at the other */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_placed_as_low_as_it_fits_larger_ones_first),
        cmocka_unit_test(in_zones_those_that_meet_are_apart_as_well),
        cmocka_unit_test(placing_takes_time_by_the_number_of_steps_not_by_its_square),
        cmocka_unit_test(many_thousand_steps_compile_into_the_memory_of_two_values),
        cmocka_unit_test(sums_of_one_value_and_many_others_are_found_again_by_hash),
        cmocka_unit_test(a_mask_is_the_sum_of_the_weights_of_the_slices_around_it),
        cmocka_unit_test(a_mask_costs_its_elements_and_options_not_their_product),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
