/* pool: worker threads, the queue before them and the list of done jobs behind.
 *
 *   push ──▶ waiting (at most n_queue) ──▶ worker k runs it ──▶ done ──▶ collect
 *
 * One lock for both lists, held for a few instructions.
 *
 * A worker that has nothing to do helps another, if that one's job can be shared: it is
 * called by the first loop of that job that misses it, and goes back when a job waits or no
 * loop comes any more. So there are never more threads at work than workers, and with
 * many requests each of them has one. */
#include "work/pool.h"

#include "supernet/pool.h"
#include "work/team.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct list {
    struct pool_job *head, **tail;
};

/* Waking a worker costs its leader 5 to 30 microseconds. It is done once a job has spent CALL_NS in
 * loops for each call (`credit_ns`, which begins with what recent jobs have spent), so that short
 * jobs stay on one thread. */
enum { CALL_NS = 50000 };

struct worker {
    struct pool      *pool;
    pthread_t         thread;
    struct api_worker api;
    sn_parallel       parallel;            /* for its job */
    struct team       team;                /* it leads */
    atomic_size_t     n_helpers, n_called; /* in it, and on their way; changed under lock */
    uint64_t          loops_ns, credit_ns; /* in loops of this job; of that, not spent on calls */
};

/* The counters are changed under the lock, too; as atomics they can be looked at without. */
struct pool {
    struct pool_class    c;
    size_t               n_queue, n_workers;
    pthread_mutex_t      lock;
    pthread_cond_t       more;
    struct list          waiting, done; /* all below: under lock */
    atomic_size_t        n_waiting, n_idle, n_called;
    size_t               n_running;
    uint64_t             usual_ns; /* moving average of the run time */
    atomic_uint_fast64_t loops_ns; /* of recent jobs with loops, the longer ones */
    bool                 stop;
    size_t               n_threads; /* started and not joined */
    struct worker        worker[];
};

/* What a worker does next; neither: it ends. */
struct duty {
    struct pool_job *job;
    struct worker   *leader; /* to help */
};

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void append(struct list *l, struct pool_job *job)
{
    job->next = NULL;
    *l->tail = job;
    l->tail = &job->next;
}

static struct pool_job *take_first(struct list *l)
{
    struct pool_job *job = l->head;

    l->head = job->next;
    if (!l->head) l->tail = &l->head;
    return job;
}

/* Whoever has called, or was alone so far and has parts left. */
static struct worker *find_leader(struct pool *p)
{
    for (size_t i = 0; i < p->n_workers; i++)
        if (p->worker[i].n_called || team_has_parts(&p->worker[i].team)) return &p->worker[i];
    return NULL;
}

/* A job comes before help. `last` is what the worker did until now. */
static struct duty next_duty(struct pool *p, struct duty last)
{
    struct duty next = {0};

    pthread_mutex_lock(&p->lock);
    if (last.leader) last.leader->n_helpers--;
    while (!p->waiting.head && !(next.leader = find_leader(p)) && !p->stop) {
        p->n_idle++;
        pthread_cond_wait(&p->more, &p->lock);
        p->n_idle--;
    }
    if (p->waiting.head) {
        next = (struct duty){.job = take_first(&p->waiting)};
        p->n_waiting--;
        p->n_running++;
        next.job->started_ns = now_ns();
    } else if (next.leader) {
        next.leader->n_helpers++;
        if (next.leader->n_called) {
            next.leader->n_called--;
            p->n_called--;
        }
    }
    pthread_mutex_unlock(&p->lock);
    return next;
}

static void hand_back(struct worker *w, struct pool_job *job)
{
    struct pool *p = w->pool;
    bool         first;

    pthread_mutex_lock(&p->lock);
    p->n_called -= w->n_called;
    w->n_called = 0;
    if (w->loops_ns)
        p->loops_ns = w->loops_ns > p->loops_ns / 8 * 7 ? w->loops_ns : p->loops_ns / 8 * 7;
    job->done_ns = now_ns();
    p->usual_ns = (7 * p->usual_ns + (job->done_ns - job->started_ns)) / 8;
    p->n_running--;
    first = !p->done.head; /* else a wake-up is on its way already */
    append(&p->done, job);
    pthread_mutex_unlock(&p->lock);
    if (first) p->c.wake(p->c.cls);
}

/* ---- one job on several workers ------------------------------------------------------ */

/* Idle workers that nobody has called; none while jobs wait. May be wrong in a moment. */
static size_t n_free(struct pool *p)
{
    const size_t n_idle = p->n_idle, n_called = p->n_called;

    return p->n_waiting || n_called >= n_idle ? 0 : n_idle - n_called;
}

/* Set how many threads the library may count on in the next loop: this one, its helpers, and those
 * that could be called. Not more, for a part without a thread is only overhead. At least 2: for one
 * part the library runs the loop itself and skips share(), so helpers could never join later. */
static void size_team(struct worker *w)
{
    const size_t n = 1 + w->n_helpers + w->n_called + n_free(w->pool);
    const size_t max = w->pool->c.n_team;

    w->parallel.n_threads = (int)(n > max ? max : n < 2 ? 2 : n);
}

/* Wake the workers that the team lacks, if there are any and the job can afford it. */
static void call_helpers(struct worker *w, size_t n)
{
    struct pool *p = w->pool;
    const size_t n_paid = w->credit_ns / CALL_NS;
    size_t       n_there = w->n_helpers + w->n_called, n_new = 0;

    if (n_there >= n || !n_paid || !n_free(p)) return;
    pthread_mutex_lock(&p->lock);
    n_there = w->n_helpers + w->n_called;
    if (n_there < n) n_new = n_free(p) < n - n_there ? n_free(p) : n - n_there;
    if (n_new > n_paid) n_new = n_paid;
    w->n_called += n_new;
    p->n_called += n_new;
    pthread_mutex_unlock(&p->lock);
    w->credit_ns -= n_new * CALL_NS;
    for (; n_new; n_new--)
        pthread_cond_signal(&p->more);
}

/* sn_parallel.run, on the worker that has the job. */
static void share(void *cls, int n, void (*body)(void *cls, int i), void *arg)
{
    struct worker *w = cls;
    uint64_t       start, took;

    team_open(&w->team, n, body, arg);
    call_helpers(w, (size_t)n - 1);
    start = now_ns();
    if (team_work(&w->team)) w->api.n_shared++;
    took = now_ns() - start;
    w->loops_ns += took;
    w->credit_ns += took;
    size_team(w);
}

static void run(struct worker *w, struct pool_job *job)
{
    struct pool *p = w->pool;

    w->loops_ns = 0;
    w->credit_ns = p->loops_ns;
    size_team(w);
    p->c.run(p->c.cls, &w->api, job);
    team_close(&w->team);
}

static void *work(void *cls)
{
    struct worker *w = cls;
    struct pool   *p = w->pool;
    struct duty    duty = {0};

    for (;;) {
        duty = next_duty(p, duty);
        if (duty.leader) {
            team_help(&duty.leader->team, &p->n_waiting);
        } else if (duty.job) {
            run(w, duty.job);
            hand_back(w, duty.job);
        } else {
            break;
        }
    }
    api_worker_fini(&w->api);
    return NULL;
}

/* Signals are for the loop thread: a worker starts with all of them blocked but those that it
 * raises itself, for a blocked fault ends the process without asking a handler. */
static int start_thread(struct pool *p)
{
    pthread_attr_t attr;
    sigset_t       all, old;
    int            rc;

    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    pthread_attr_init(&attr);
    rc = pthread_attr_setstacksize(&attr, POOL_STACK_BYTES);
    if (rc == 0) {
        pthread_sigmask(SIG_SETMASK, &all, &old);
        rc = pthread_create(&p->worker[p->n_threads].thread, &attr, work, &p->worker[p->n_threads]);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    pthread_attr_destroy(&attr);
    if (rc == 0) p->n_threads++;
    return rc;
}

/* All of them before the first thread: workers look at each other. */
static bool init_workers(struct pool *p, size_t n)
{
    for (; p->n_workers < n; p->n_workers++) {
        struct worker *w = &p->worker[p->n_workers];

        w->pool = p;
        w->parallel = (sn_parallel){.run = share, .pool = w};
        if (!team_init(&w->team)) return false;
        if (p->c.n_team < 2) continue;
        w->api.parallel = &w->parallel;
        if (sn_balance_create((int)p->c.n_team, &w->parallel.balance, NULL)) {
            team_fini(&w->team);
            return false;
        }
    }
    return true;
}

struct pool *pool_create(size_t n_workers, size_t n_queue, const struct pool_class *c, char *why,
                         size_t n_why)
{
    const size_t n_bytes = sizeof(struct pool) + n_workers * sizeof(struct worker);
    struct pool *p = aligned_alloc(alignof(struct pool), n_bytes);

    if (!p) {
        snprintf(why, n_why, "no memory for %zu workers", n_workers);
        return NULL;
    }
    memset(p, 0, n_bytes);
    p->c = *c;
    p->n_queue = n_queue;
    p->waiting.tail = &p->waiting.head;
    p->done.tail = &p->done.head;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->more, NULL);
    if (!init_workers(p, n_workers)) {
        snprintf(why, n_why, "no memory or no locks for worker %zu of %zu", p->n_workers + 1,
                 n_workers);
        return pool_free(p);
    }
    for (size_t i = 0; i < n_workers; i++) {
        const int rc = start_thread(p);

        if (rc) {
            snprintf(why, n_why, "cannot start worker %zu of %zu: %s", i + 1, n_workers,
                     strerror(rc));
            return pool_free(p);
        }
    }
    return p;
}

bool pool_push(struct pool *p, struct pool_job *job)
{
    bool room;

    pthread_mutex_lock(&p->lock);
    room = p->n_waiting < p->n_queue && !p->stop;
    if (room) {
        p->n_waiting++;
        job->pushed_ns = now_ns();
        job->started_ns = job->done_ns = 0;
        append(&p->waiting, job);
        if (p->n_idle) pthread_cond_signal(&p->more);
    }
    pthread_mutex_unlock(&p->lock);
    return room;
}

bool pool_is_full(struct pool *p)
{
    bool full;

    pthread_mutex_lock(&p->lock);
    full = p->n_waiting >= p->n_queue;
    pthread_mutex_unlock(&p->lock);
    return full;
}

bool pool_take_back(struct pool *p, struct pool_job *job)
{
    struct pool_job **at;
    bool              found = false;

    pthread_mutex_lock(&p->lock);
    for (at = &p->waiting.head; *at; at = &(*at)->next)
        if (*at == job) {
            *at = job->next;
            if (!*at) p->waiting.tail = at;
            p->n_waiting--;
            job->done_ns = job->started_ns = now_ns();
            found = true;
            break;
        }
    pthread_mutex_unlock(&p->lock);
    return found;
}

struct pool_job *pool_collect(struct pool *p)
{
    struct pool_job *list;

    pthread_mutex_lock(&p->lock);
    list = p->done.head;
    p->done.head = NULL;
    p->done.tail = &p->done.head;
    pthread_mutex_unlock(&p->lock);
    return list;
}

int pool_retry_after(struct pool *p)
{
    uint64_t wait_ns;

    pthread_mutex_lock(&p->lock);
    wait_ns = p->n_waiting * p->usual_ns / (p->n_threads ? p->n_threads : 1);
    pthread_mutex_unlock(&p->lock);
    return wait_ns < 59000000000u ? 1 + (int)(wait_ns / 1000000000u) : 60;
}

void pool_counts(struct pool *p, size_t *ret_waiting, size_t *ret_running)
{
    pthread_mutex_lock(&p->lock);
    *ret_waiting = p->n_waiting;
    *ret_running = p->n_running;
    pthread_mutex_unlock(&p->lock);
}

void pool_stop(struct pool *p)
{
    size_t n;

    pthread_mutex_lock(&p->lock);
    p->stop = true;
    n = p->n_threads;
    pthread_cond_broadcast(&p->more);
    pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < n; i++)
        pthread_join(p->worker[i].thread, NULL);
    p->n_threads = 0;
}

struct pool *pool_free(struct pool *p)
{
    if (!p) return NULL;
    pool_stop(p);
    for (size_t i = 0; i < p->n_workers; i++) {
        team_fini(&p->worker[i].team);
        sn_balance_free(p->worker[i].parallel.balance);
    }
    pthread_cond_destroy(&p->more);
    pthread_mutex_destroy(&p->lock);
    free(p);
    return NULL;
}
