#include "support/threads.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { MOST = 16 };

struct part {
    void (*body)(void *cls, int i);
    void *cls;
    int   i;
};

static int parts;

static void *run_part(void *arg)
{
    const struct part *p = arg;

    p->body(p->cls, p->i);
    return NULL;
}

static void run(void *pool, int n, void (*body)(void *cls, int i), void *cls)
{
    pthread_t   thread[MOST];
    struct part part[MOST];

    (void)pool;
    assert_in_range(n, 1, MOST);
    parts += n;
    for (int i = 0; i < n; i++) {
        part[i] = (struct part){body, cls, i};
        assert_int_equal(pthread_create(&thread[i], NULL, run_part, &part[i]), 0);
    }
    for (int i = 0; i < n; i++)
        pthread_join(thread[i], NULL);
}

sn_parallel threads_of(int n)
{
    return (sn_parallel){.run = run, .n_threads = n};
}

int threads_parts(void)
{
    return parts / RUN_PASSES;
}
