/* pool: worker threads, the queue before them and the list of done jobs behind.
 *
 *   push ──▶ waiting (at most n_queue) ──▶ worker k runs it ──▶ done ──▶ collect
 *
 * One lock for both lists, held for a few instructions. */
#include "pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct list {
    struct pool_job *head, **tail;
};

struct pool {
    struct pool_class c;
    size_t            n_queue;
    pthread_mutex_t   lock;
    pthread_cond_t    more;
    struct list       waiting, done; /* all below: under lock */
    size_t            n_waiting, n_running, n_idle;
    uint64_t          usual_ns; /* moving average of the run time */
    bool              stop;
    size_t            n_threads; /* started and not joined */
    pthread_t         thread[];
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

/* Next job for a worker; NULL: stop. */
static struct pool_job *next_job(struct pool *p)
{
    struct pool_job *job = NULL;

    pthread_mutex_lock(&p->lock);
    while (!p->waiting.head && !p->stop) {
        p->n_idle++;
        pthread_cond_wait(&p->more, &p->lock);
        p->n_idle--;
    }
    if (p->waiting.head) {
        job = take_first(&p->waiting);
        p->n_waiting--;
        p->n_running++;
        job->started_ns = now_ns();
    }
    pthread_mutex_unlock(&p->lock);
    return job;
}

static void hand_back(struct pool *p, struct pool_job *job)
{
    bool first;

    pthread_mutex_lock(&p->lock);
    job->done_ns = now_ns();
    p->usual_ns = (7 * p->usual_ns + (job->done_ns - job->started_ns)) / 8;
    p->n_running--;
    first = !p->done.head; /* else a wake-up is on its way already */
    append(&p->done, job);
    pthread_mutex_unlock(&p->lock);
    if (first) p->c.wake(p->c.cls);
}

static void *work(void *cls)
{
    struct pool      *p = cls;
    struct api_worker worker = {0};
    struct pool_job  *job;

    while ((job = next_job(p))) {
        p->c.run(p->c.cls, &worker, job);
        hand_back(p, job);
    }
    api_worker_fini(&worker);
    return NULL;
}

/* Signals are for the loop thread: a worker starts with all of them blocked. */
static int start_thread(struct pool *p)
{
    pthread_attr_t attr;
    sigset_t       all, old;
    int            rc;

    sigfillset(&all);
    pthread_attr_init(&attr);
    rc = pthread_attr_setstacksize(&attr, POOL_STACK_BYTES);
    if (rc == 0) {
        pthread_sigmask(SIG_SETMASK, &all, &old);
        rc = pthread_create(&p->thread[p->n_threads], &attr, work, p);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    pthread_attr_destroy(&attr);
    if (rc == 0) p->n_threads++;
    return rc;
}

struct pool *pool_create(size_t n_workers, size_t n_queue, const struct pool_class *c, char *why,
                         size_t n_why)
{
    struct pool *p = calloc(1, sizeof *p + n_workers * sizeof p->thread[0]);

    if (!p) {
        snprintf(why, n_why, "no memory for %zu workers", n_workers);
        return NULL;
    }
    p->c = *c;
    p->n_queue = n_queue;
    p->waiting.tail = &p->waiting.head;
    p->done.tail = &p->done.head;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->more, NULL);
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
        pthread_join(p->thread[i], NULL);
    p->n_threads = 0;
}

struct pool *pool_free(struct pool *p)
{
    if (!p) return NULL;
    pool_stop(p);
    pthread_cond_destroy(&p->more);
    pthread_mutex_destroy(&p->lock);
    free(p);
    return NULL;
}
