/* pool: what is accepted comes back exactly once, what does not fit is refused at
 * once. Also the log: what a client sends stays inside its value. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "log/log.h"
#include "supernet/supernet.h"
#include "work/pool.h"

/* A job that waits until the gate is open. */
struct task {
    struct pool_job base;
    atomic_int      n_runs;
    bool            signals_blocked;
    void           *worker;
    bool            alone; /* no loops can be shared */
};

static struct gate {
    pthread_mutex_t lock;
    pthread_cond_t  changed;
    bool            open;
    int             n_inside, n_wakes;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void run(void *cls, struct api_worker *worker, struct pool_job *base)
{
    struct gate *g = cls;
    struct task *t = (struct task *)base;
    sigset_t     blocked;

    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    t->signals_blocked = sigismember(&blocked, SIGTERM) && sigismember(&blocked, SIGINT);
    t->worker = worker;
    t->alone = !worker->parallel;
    atomic_fetch_add(&t->n_runs, 1);
    pthread_mutex_lock(&g->lock);
    g->n_inside++;
    pthread_cond_broadcast(&g->changed);
    while (!g->open)
        pthread_cond_wait(&g->changed, &g->lock);
    g->n_inside--;
    pthread_mutex_unlock(&g->lock);
}

static void wake(void *cls)
{
    struct gate *g = cls;

    pthread_mutex_lock(&g->lock);
    g->n_wakes++;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

static void set_gate(bool open)
{
    pthread_mutex_lock(&gate.lock);
    gate.open = open;
    gate.n_wakes = 0;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static void wait_inside(int n)
{
    pthread_mutex_lock(&gate.lock);
    while (gate.n_inside < n)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

/* Collect until `n` jobs are back; sleeps until there is a wake-up for what is missing. */
static size_t collect(struct pool *p, size_t n)
{
    size_t n_back = 0;

    while (n_back < n) {
        pthread_mutex_lock(&gate.lock);
        while (gate.n_wakes == 0)
            pthread_cond_wait(&gate.changed, &gate.lock);
        gate.n_wakes = 0;
        pthread_mutex_unlock(&gate.lock);
        for (struct pool_job *job = pool_collect(p); job; job = job->next)
            n_back++;
    }
    return n_back;
}

static struct pool *create(size_t n_workers, size_t n_queue)
{
    const struct pool_class class = {.run = run, .wake = wake, .cls = &gate};
    char         why[256] = "";
    struct pool *p = pool_create(n_workers, n_queue, &class, why, sizeof why);

    if (!p) fail_msg("%s", why);
    return p;
}

static void a_full_queue_refuses_at_once(void **state)
{
    struct task  t[5] = {0};
    struct pool *p = create(1, 2);
    size_t       waiting, running;

    (void)state;
    set_gate(false);
    assert_true(pool_push(p, &t[0].base));
    wait_inside(1); /* it runs, the queue is empty */
    assert_false(pool_is_full(p));
    assert_true(pool_push(p, &t[1].base));
    assert_true(pool_push(p, &t[2].base));
    assert_true(pool_is_full(p));
    assert_false(pool_push(p, &t[3].base)); /* the gate is closed: it did not wait for room */
    pool_counts(p, &waiting, &running);
    assert_int_equal(waiting, 2);
    assert_int_equal(running, 1);
    assert_true(pool_retry_after(p) >= 1);

    set_gate(true);
    assert_int_equal(collect(p, 3), 3);
    assert_true(pool_push(p, &t[4].base)); /* room again */
    assert_int_equal(collect(p, 1), 1);
    assert_int_equal(t[3].n_runs, 0);
    pool_free(p);
}

static void what_waits_can_be_taken_back(void **state)
{
    struct task  t[4] = {0};
    struct pool *p = create(1, 4);

    (void)state;
    set_gate(false);
    assert_true(pool_push(p, &t[0].base));
    wait_inside(1);
    for (int i = 1; i < 4; i++)
        assert_true(pool_push(p, &t[i].base));
    assert_false(pool_take_back(p, &t[0].base)); /* it runs */
    assert_true(pool_take_back(p, &t[2].base));
    assert_false(pool_take_back(p, &t[2].base)); /* not twice */
    assert_true(pool_take_back(p, &t[3].base));  /* the last one: the tail has to move */
    assert_true(pool_push(p, &t[2].base));
    assert_true(pool_take_back(p, &t[2].base));
    set_gate(true);
    assert_int_equal(collect(p, 2), 2);
    assert_int_equal(t[1].n_runs, 1);
    assert_int_equal(t[2].n_runs + t[3].n_runs, 0);
    pool_free(p);
}

static void stopping_runs_what_was_accepted(void **state)
{
    struct task      t[9] = {0};
    struct pool     *p = create(2, 8);
    size_t           n = 0;
    struct pool_job *list;

    (void)state;
    set_gate(true);
    for (int i = 0; i < 8; i++)
        assert_true(pool_push(p, &t[i].base));
    pool_stop(p);
    assert_false(pool_push(p, &t[8].base));
    list = pool_collect(p);
    for (struct pool_job *job = list; job; job = job->next, n++) {
        const struct task *task = (const struct task *)job;

        assert_int_equal(task->n_runs, 1);
        assert_true(task->signals_blocked);
        assert_non_null(task->worker);
        assert_true(task->alone);
        assert_true(job->pushed_ns <= job->started_ns && job->started_ns <= job->done_ns);
    }
    assert_int_equal(n, 8);
    assert_null(pool_collect(p));
    pool_stop(p); /* once more is allowed */
    pool_free(p);
}

/* Many short jobs: a wake-up that got lost would leave one behind for ever. */
static void nothing_gets_lost(void **state)
{
    enum { N = 64, ROUNDS = 200 };
    static struct task t[N];
    struct pool       *p = create(3, N);

    (void)state;
    set_gate(true);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < N; i++)
            assert_true(pool_push(p, &t[i].base));
        assert_int_equal(collect(p, N), N);
    }
    for (int i = 0; i < N; i++)
        assert_int_equal(t[i].n_runs, ROUNDS);
    pool_free(p);
}

/* ---- one job on several workers ---- */

/* Jobs that share loops, and how many threads were ever inside at once. */
struct sharing {
    struct pool_job base;
    bool            shares; /* this one, until somebody came and `until` has run */
    struct sharing *until;
    atomic_bool     done;
};

static struct {
    atomic_int n_inside, most_inside;
    atomic_int n_wrong; /* teams of no worker, or of more than there are */
} sharing;

static void enter(void)
{
    const int now = atomic_fetch_add(&sharing.n_inside, 1) + 1;
    int       most = atomic_load(&sharing.most_inside);

    while (now > most && !atomic_compare_exchange_weak(&sharing.most_inside, &most, now))
        ;
}

/* A part; the leader is inside already. */
static void nap(void *cls, int i)
{
    const pthread_t *leader = cls;
    const bool       helps = !pthread_equal(pthread_self(), *leader);

    (void)i;
    if (helps) enter();
    usleep(200);
    if (helps) atomic_fetch_sub(&sharing.n_inside, 1);
}

static void run_sharing(void *cls, struct api_worker *worker, struct pool_job *base)
{
    struct sharing    *s = (struct sharing *)base;
    const sn_parallel *parallel = worker->parallel;
    const uint64_t     before = worker->n_shared;
    pthread_t          self = pthread_self();

    (void)cls;
    enter();
    while (s->shares &&
           (worker->n_shared == before || (s->until && !atomic_load(&s->until->done)))) {
        if (parallel->n_threads < 2 || parallel->n_threads > 3)
            atomic_fetch_add(&sharing.n_wrong, 1);
        parallel->run(parallel->pool, parallel->n_threads, nap, &self);
    }
    atomic_fetch_sub(&sharing.n_inside, 1);
    atomic_store(&s->done, true);
}

static struct pool *create_sharing(size_t n_workers, size_t n_team)
{
    const struct pool_class class = {
        .run = run_sharing, .wake = wake, .cls = &gate, .n_team = n_team};
    char         why[256] = "";
    struct pool *p = pool_create(n_workers, 16, &class, why, sizeof why);

    if (!p) fail_msg("%s", why);
    set_gate(true);
    atomic_store(&sharing.most_inside, 0);
    return p;
}

/* It ends only if somebody came. */
static void idle_workers_help(void **state)
{
    struct pool *p = create_sharing(3, 3);

    (void)state;
    for (int i = 0; i < 20; i++) {
        struct sharing s = {.shares = true};

        assert_true(pool_push(p, &s.base));
        assert_int_equal(collect(p, 1), 1);
    }
    assert_in_range(sharing.most_inside, 2, 3);
    assert_int_equal(sharing.n_wrong, 0);
    pool_free(p);
}

/* Helpers leave for jobs that wait, even if the one they help never ends before. */
static void what_waits_gets_the_helper(void **state)
{
    struct pool *p = create_sharing(2, 2);

    (void)state;
    for (int i = 0; i < 20; i++) {
        struct sharing last = {0}, between[4] = {0}, first = {.shares = true, .until = &last};

        assert_true(pool_push(p, &first.base));
        usleep(500);
        for (int k = 0; k < 4; k++)
            assert_true(pool_push(p, &between[k].base));
        usleep(500); /* back it comes */
        assert_true(pool_push(p, &last.base));
        assert_int_equal(collect(p, 6), 6);
    }
    assert_int_equal(sharing.n_wrong, 0);
    assert_int_equal(sharing.most_inside, 2); /* no more threads at work than workers */
    pool_free(p);
}

/* ---- the log ---- */

static const struct {
    const char *name, *value, *line; /* the line ends like this */
} lines[] = {
    {"a plain value is bare", "/v1/supernets", " event=test path=/v1/supernets\n"},
    {"nothing is quoted", "", " event=test path=\"\"\n"},
    {"a space is quoted", "a b", " event=test path=\"a b\"\n"},
    {"a pair is quoted", "x level=error", " event=test path=\"x level=error\"\n"},
    {"a quote is escaped", "\" level=\"error", " event=test path=\"\\\" level=\\\"error\"\n"},
    {"a backslash is escaped", "a\\", " event=test path=\"a\\\\\"\n"},
    {"a newline is escaped", "a\nlevel=error", " event=test path=\"a\\x0alevel=error\"\n"},
    {"a terminal's escape is escaped", "\033[2J", " event=test path=\"\\x1b[2J\"\n"},
    {"bytes above ASCII are escaped", "\xc3\xa9\xff", " event=test path=\"\\xc3\\xa9\\xff\"\n"},
};

/* What log_end() writes to stderr. */
static size_t logged(const char *value, const char *note, char *buf, size_t cap)
{
    struct log_line l;
    int             ends[2], stderr_fd = dup(STDERR_FILENO);
    ssize_t         n;

    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    assert_true(log_begin(&l, LOG_INFO, "test"));
    if (value) log_text(&l, "path", value);
    if (note) log_note(&l, note);
    log_end(&l);
    dup2(stderr_fd, STDERR_FILENO);
    n = read(ends[0], buf, cap - 1);
    close(stderr_fd);
    close(ends[0]);
    close(ends[1]);
    assert_true(n > 0);
    buf[n] = 0;
    return (size_t)n;
}

static void check_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char         got[4096];
        const size_t n = logged(lines[i].value, NULL, got, sizeof got),
                     want = strlen(lines[i].line);

        if (n < want || strcmp(got + n - want, lines[i].line))
            fail_msg("%s: %s", lines[i].name, got);
        assert_ptr_equal(strchr(got, '\n'), got + n - 1); /* one line */
    }
}

static void a_long_value_is_cut_and_says_so(void **state)
{
    char long_path[4001], got[8192], note[64] = "model=digits\nlevel=error";

    (void)state;
    memset(long_path, '\001', 4000); /* four bytes each when escaped */
    long_path[4000] = 0;
    assert_true(logged(long_path, "model=digits", got, sizeof got) <= 2048);
    assert_non_null(strstr(got, "...\""));
    assert_non_null(strstr(got, "model=digits")); /* what comes after still has room */
    logged(NULL, note, got, sizeof got);
    assert_non_null(strstr(got, " model=digits\\x0alevel=error\n"));
    memset(long_path, 'a', 4000);
    logged(NULL, long_path, got, sizeof got);
    assert_non_null(strstr(got, " cut=1\n"));
}

static void the_level_decides(void **state)
{
    struct log_line l;

    (void)state;
    log_open(LOG_WARN);
    assert_false(log_begin(&l, LOG_INFO, "test"));
    assert_true(log_begin(&l, LOG_WARN, "test"));
    assert_true(log_enabled(LOG_ERROR));
    log_open(LOG_INFO);
    assert_true(log_enabled(LOG_INFO));
    assert_false(log_enabled(LOG_DEBUG));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_queue_refuses_at_once),
        cmocka_unit_test(what_waits_can_be_taken_back),
        cmocka_unit_test(stopping_runs_what_was_accepted),
        cmocka_unit_test(nothing_gets_lost),
        cmocka_unit_test(idle_workers_help),
        cmocka_unit_test(what_waits_gets_the_helper),
        cmocka_unit_test(check_lines),
        cmocka_unit_test(a_long_value_is_cut_and_says_so),
        cmocka_unit_test(the_level_decides),
    };

    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
