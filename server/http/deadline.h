/* deadline.h - one timer over all requests that wait or run. Loop thread only. */
#ifndef SERVER_HTTP_DEADLINE_H
#define SERVER_HTTP_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

/* Embedded in what has a deadline; zeroed before its first use. */
struct due {
    TAILQ_ENTRY(due) link;
    uint64_t at_ms;
    bool     listed;
};

TAILQ_HEAD(due_list, due);

struct deadline {
    uv_timer_t      timer;
    struct due_list list;
    uint64_t        ms;
    void (*expired)(void *cls, struct due *due); /* it is off the list by then */
    void *cls;
};

void deadline_init(struct deadline *d, uv_loop_t *loop, uint64_t ms,
                   void (*expired)(void *cls, struct due *due), void *cls);
void deadline_add(struct deadline *d, struct due *due);
void deadline_remove(struct deadline *d, struct due *due);

/* Let everything on the list expire now. */
void deadline_expire_all(struct deadline *d);
void deadline_close(struct deadline *d);

#endif
