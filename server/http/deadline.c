/* deadline: every request has the same time, so the list is in order of expiry
 * by itself: append at the end, look at the head, one timer for the head. */
#include "http/deadline.h"

static void on_timer(uv_timer_t *timer);

static void arm(struct deadline *d)
{
    const struct due *first = TAILQ_FIRST(&d->list);
    const uint64_t    now = uv_now(d->timer.loop);

    if (first)
        uv_timer_start(&d->timer, on_timer, first->at_ms > now ? first->at_ms - now : 0, 0);
    else
        uv_timer_stop(&d->timer);
}

static void on_timer(uv_timer_t *timer)
{
    struct deadline *d = timer->data;
    const uint64_t   now = uv_now(timer->loop);
    struct due      *due;

    while ((due = TAILQ_FIRST(&d->list)) && due->at_ms <= now) {
        deadline_remove(d, due);
        d->expired(d->cls, due);
    }
    arm(d);
}

void deadline_init(struct deadline *d, uv_loop_t *loop, uint64_t ms,
                   void (*expired)(void *cls, struct due *due), void *cls)
{
    uv_timer_init(loop, &d->timer);
    d->timer.data = d;
    TAILQ_INIT(&d->list);
    d->ms = ms;
    d->expired = expired;
    d->cls = cls;
}

void deadline_add(struct deadline *d, struct due *due)
{
    due->at_ms = uv_now(d->timer.loop) + d->ms;
    due->listed = true;
    TAILQ_INSERT_TAIL(&d->list, due, link);
    /* A timer that runs was set for an earlier one, so it comes in time for this one. */
    if (!uv_is_active((uv_handle_t *)&d->timer)) arm(d);
}

/* The timer stays as it is: it finds nothing due and is set anew, which is
 * cheaper than setting it for each request that ends in time. */
void deadline_remove(struct deadline *d, struct due *due)
{
    if (!due->listed) return;
    TAILQ_REMOVE(&d->list, due, link);
    due->listed = false;
}

void deadline_expire_all(struct deadline *d)
{
    struct due *due;

    while ((due = TAILQ_FIRST(&d->list))) {
        deadline_remove(d, due);
        d->expired(d->cls, due);
    }
}

void deadline_close(struct deadline *d)
{
    uv_close((uv_handle_t *)&d->timer, NULL);
}
