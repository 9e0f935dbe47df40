/* loop: one libuv loop, the signals, and the order of start and stop.
 *
 * Stop, on SIGTERM or SIGINT:
 *   1. /readyz answers 503, the service manager is told, the port is closed;
 *   2. requests in flight go on until the grace period ends, or a second signal
 *      ends it; then their stop flags are set and slow clients are hung up on;
 *   3. when the last reply is out, handles, workers and HTTP daemon go, in this order.
 * A third signal gives up on all that. */
#include "loop.h"

#include "http/httpd.h"
#include "log/log.h"
#include "notify.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum {
    AFTERMATH_MS = 2000 /* for the last replies, once what ran was told to stop */
};

struct loop {
    uv_loop_t    uv;
    uv_signal_t  term, interrupt, hangup;
    uv_timer_t   grace, watchdog;
    struct httpd httpd;
    struct api  *api;
    int64_t      grace_ms;
    int          n_signals;
};

/* ---- the service manager ------------------------------------------------------------- */

static void on_watchdog(uv_timer_t *timer)
{
    struct loop *l = timer->data;
    size_t       waiting, running;

    pool_counts(l->httpd.pool, &waiting, &running);
    notify_send("WATCHDOG=1\nSTATUS=%s on %s: %zu connections, %zu requests running, %zu waiting",
                l->httpd.draining ? "stopping" : "serving", l->httpd.url, l->httpd.peers.n, running,
                waiting);
}

/* ---- stop ---------------------------------------------------------------------------- */

static void on_drained(void *cls)
{
    struct loop *l = cls;

    log_event(LOG_INFO, "drained", "the last request is done");
    httpd_close_handles(&l->httpd);
    uv_close((uv_handle_t *)&l->term, NULL);
    uv_close((uv_handle_t *)&l->interrupt, NULL);
    uv_close((uv_handle_t *)&l->hangup, NULL);
    uv_close((uv_handle_t *)&l->grace, NULL);
    uv_close((uv_handle_t *)&l->watchdog, NULL);
}

/* Again and again: a client may become slow only now, when its reply is ready. */
static void on_grace_over(uv_timer_t *timer)
{
    struct loop *l = timer->data;

    if (!l->httpd.hurry)
        log_event(LOG_WARN, "hurry", "%zu requests are not done; they are told to stop",
                  l->httpd.n_requests);
    uv_timer_start(timer, on_grace_over, AFTERMATH_MS, 0);
    httpd_hurry(&l->httpd);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct loop *l = handle->data;
    const char  *name = number == SIGTERM ? "SIGTERM" : number == SIGINT ? "SIGINT" : "SIGHUP";

    switch (l->n_signals++) {
    case 0:
        log_event(LOG_INFO, "stopping", "%s: %zu requests in flight, up to %lld ms for them", name,
                  l->httpd.n_requests, (long long)l->grace_ms);
        notify_send("STOPPING=1\nSTATUS=stopping: %zu requests in flight", l->httpd.n_requests);
        api_drain(l->api);
        uv_timer_start(&l->grace, on_grace_over, (uint64_t)l->grace_ms, 0);
        httpd_drain(&l->httpd, on_drained, l);
        break;
    case 1:
        log_event(LOG_WARN, "stopping", "%s again: the grace period ends now", name);
        on_grace_over(&l->grace);
        break;
    default:
        log_event(LOG_ERROR, "stopping", "%s a third time: gone without waiting", name);
        log_stop();
        _exit(1);
    }
}

/* To a daemon it means "read your configuration again", which we do not: every limit in it is part
 * of a sum that was settled at start. To a program in a terminal it means that this is gone. */
static void on_hangup(uv_signal_t *handle, int number)
{
    if (isatty(STDIN_FILENO))
        on_signal(handle, number);
    else
        log_event(
            LOG_WARN, "hangup",
            "SIGHUP: nothing is read again; restart to change options, PUT to load a supernet");
}

/* ---- start --------------------------------------------------------------------------- */

static void start_timers_and_signals(struct loop *l)
{
    const uint64_t watchdog_ms = notify_watchdog_ms();

    uv_timer_init(&l->uv, &l->grace);
    uv_timer_init(&l->uv, &l->watchdog);
    uv_signal_init(&l->uv, &l->term);
    uv_signal_init(&l->uv, &l->interrupt);
    uv_signal_init(&l->uv, &l->hangup);
    l->grace.data = l->watchdog.data = l->term.data = l->interrupt.data = l->hangup.data = l;
    uv_signal_start(&l->term, on_signal, SIGTERM);
    uv_signal_start(&l->interrupt, on_signal, SIGINT);
    uv_signal_start(&l->hangup, on_hangup, SIGHUP);
    if (watchdog_ms) uv_timer_start(&l->watchdog, on_watchdog, watchdog_ms, watchdog_ms);
}

int loop_run(struct api *api, const struct config            *config,
             void (*ready)(void *cls, const char *url), void *cls, char *why, size_t n_why)
{
    struct loop l = {.api = api, .grace_ms = config->grace};
    int         rc;

    rc = uv_loop_init(&l.uv);
    if (rc < 0) {
        snprintf(why, n_why, "cannot make an event loop: %s", uv_strerror(rc));
        return 1;
    }
    rc = 1;
    if (!httpd_open(&l.httpd, &l.uv, api, config, why, n_why)) goto out;
    start_timers_and_signals(&l);
    ready(cls, l.httpd.url);
    notify_send("READY=1\nSTATUS=serving on %s", l.httpd.url);
    uv_run(&l.uv, UV_RUN_DEFAULT);

    httpd_fini(&l.httpd);
    rc = 0;
out:
    if (uv_loop_close(&l.uv) != 0) { /* a handle was left open: our own mistake */
        snprintf(why, n_why, "the event loop is still in use at the end");
        rc = 1;
    }
    return rc;
}
