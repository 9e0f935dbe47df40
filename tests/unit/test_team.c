/* team: every part runs exactly once and is seen by the leader, whoever helps and whenever;
 * nobody waits for a helper that does not come. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "work/team.h"

enum { MAX_PARTS = 9, MAX_HELPERS = 3, REGIONS = 3000, MOST_REGIONS = 1000 * REGIONS };

/* Not atomic on purpose: the team orders the accesses, or the thread sanitizer complains. */
struct sums {
    int      n_runs[MAX_PARTS];
    uint64_t part[MAX_PARTS], total; /* the leader adds the parts up behind each region */
    int      slow;                   /* this part takes a while; -1: none */
};

static void sleep_us(long us)
{
    nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

static void add_part(void *cls, int i)
{
    struct sums *s = cls;

    s->n_runs[i]++;
    s->part[i] = s->total + (uint64_t)i; /* of the region before, whoever added it up */
    if (i == s->slow) sleep_us(300);
}

/* One region, and what must be true behind it. */
static bool region(struct team *t, struct sums *s, int n)
{
    uint64_t sum = 0, want = 0;
    bool     helped;

    for (int i = 0; i < n; i++)
        s->n_runs[i] = 0;
    team_open(t, n, add_part, s);
    helped = team_work(t);
    for (int i = 0; i < n; i++) {
        assert_int_equal(s->n_runs[i], 1);
        sum += s->part[i];
        want += s->total + (uint64_t)i;
    }
    assert_int_equal(sum, want);
    s->total = sum;
    return helped;
}

static void a_leader_alone_does_everything(void **state)
{
    struct team t;
    struct sums s = {.slow = -1};

    (void)state;
    assert_true(team_init(&t));
    for (int n = 1; n <= MAX_PARTS; n++)
        assert_false(region(&t, &s, n));
    team_close(&t);
    team_fini(&t);
}

/* ---- helpers ---- */

struct helper {
    pthread_t     thread;
    struct team  *team;
    atomic_size_t n_waiting;
    atomic_bool   stop;
};

/* As an idle worker: there again and again. */
static void *help(void *cls)
{
    struct helper *h = cls;

    while (!atomic_load(&h->stop)) {
        team_help(h->team, &h->n_waiting);
        sleep_us(20);
    }
    return NULL;
}

static void start(struct helper *h, struct team *t)
{
    *h = (struct helper){.team = t};
    assert_int_equal(pthread_create(&h->thread, NULL, help, h), 0);
}

static void stop(struct helper *h)
{
    atomic_store(&h->stop, true);
    pthread_join(h->thread, NULL);
}

static void every_part_runs_once(void **state)
{
    (void)state;
    for (int n_helpers = 1; n_helpers <= MAX_HELPERS; n_helpers++) {
        struct helper helper[MAX_HELPERS];
        struct team   t;
        struct sums   s = {.slow = -1};
        unsigned      random = 1;
        int           n_helped = 0;

        assert_true(team_init(&t));
        for (int i = 0; i < n_helpers; i++)
            start(&helper[i], &t);
        /* on a busy machine helpers may sleep for long; somebody must help in the end */
        for (int i = 0; i < REGIONS || (n_helped == 0 && i < MOST_REGIONS); i++) {
            random = random * 1103515245 + 12345;
            s.slow = i % 50 == 0 ? (int)(random >> 8) % MAX_PARTS : -1;
            n_helped += region(&t, &s, 1 + (int)(random >> 16) % MAX_PARTS);
            if (random >> 20 & 1) team_close(&t); /* between two jobs */
        }
        for (int i = 0; i < n_helpers; i++)
            stop(&helper[i]);
        assert_true(n_helped > 0);
        team_fini(&t);
    }
}

/* Nobody spins: whoever has to wait sleeps, and must be woken. */
static void a_sleeping_leader_is_woken(void **state)
{
    struct helper helper;
    struct team   t;
    struct sums   s = {.slow = 1};
    int           n_helped = 0;

    (void)state;
    assert_true(team_init(&t));
    t.spin_ns = 0;
    start(&helper, &t);
    for (int i = 0; i < 300; i++) {
        s.slow = i % 3;
        n_helped += region(&t, &s, 3);
    }
    stop(&helper);
    assert_true(n_helped > 0);
    team_fini(&t);
}

/* ---- helpers go ---- */

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void a_helper_does_not_stay(void **state)
{
    const uint64_t start_ns = now_ns();
    struct team    t;
    struct sums    s = {.slow = -1};
    atomic_size_t  n_waiting = 0;

    (void)state;
    assert_true(team_init(&t));
    t.spin_ns = UINT64_C(1) << 60;
    team_help(&t, &n_waiting); /* it is closed */
    team_open(&t, 2, add_part, &s);
    n_waiting = 1;
    team_help(&t, &n_waiting); /* a job waits: it takes no part */
    assert_int_equal(s.n_runs[0], 0);
    assert_false(team_work(&t));
    n_waiting = 0;
    t.spin_ns = 1000;
    team_help(&t, &n_waiting); /* nothing comes */
    team_close(&t);
    team_fini(&t);
    assert_true(now_ns() - start_ns < UINT64_C(10000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leader_alone_does_everything),
        cmocka_unit_test(every_part_runs_once),
        cmocka_unit_test(a_sleeping_leader_is_woken),
        cmocka_unit_test(a_helper_does_not_stay),
    };

    return cmocka_run_group_tests_name("team", tests, NULL, NULL);
}
