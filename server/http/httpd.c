/* httpd: the libmicrohttpd daemon as a guest on the libuv loop.
 *
 * It keeps all its sockets in one epoll set; that set's descriptor is the one
 * thing the loop polls. Whatever happens ends in httpd_turn(). */
#include "http/httpd.h"

#include "config/resources.h"
#include "http/conn.h"
#include "http/unreadable.h"
#include "log/log.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    RUNS_IN_A_ROW = 8,          /* of the HTTP daemon in one turn, */
    TURN_NS = 1000000,          /* if they do not take longer than this together */
    RUNS_WITHOUT_PROGRESS = 16, /* before we look less often */
    LONGEST_PAUSE_MS = 16,      /* and how often at least, ... */
    PAUSE_FACTOR = 10           /* unless a turn takes more than a tenth of that */
};

static void on_turn_timer(uv_timer_t *timer)
{
    httpd_turn(timer->data);
}

static void on_again(uv_idle_t *again)
{
    httpd_turn(again->data);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct httpd *h = poll->data;

    (void)events;
    if (status < 0) log_event(LOG_ERROR, "poll", "%s", uv_strerror(status));
    httpd_turn(h);
}

static void sleep_until(struct httpd *h, bool timed, uint64_t ms)
{
    uv_idle_stop(&h->again);
    if (timed)
        uv_timer_start(&h->turn, on_turn_timer, ms, 0);
    else
        uv_timer_stop(&h->turn);
}

/* Did the last run get any connection on? Callbacks say so; but a reply goes out and a long
 * header comes in without one. */
static bool has_moved(struct httpd *h)
{
    uint64_t marker;

    if (h->moved) return true;
    if (h->n_still < RUNS_WITHOUT_PROGRESS) return false;
    marker = peers_marker(&h->peers);
    if (marker == h->marker) return false;
    h->marker = marker;
    return true;
}

static void count_run(struct httpd *h)
{
    h->n_still = has_moved(h) ? 0 : h->n_still + 1;
    h->moved = false;
}

/* The HTTP daemon wants another run at once, as long as a connection has something left in
 * its buffer. It gets one in each iteration of the loop, so that timers, signals and workers
 * are served in between: a timer of 0 ms that is armed anew by its own callback would never
 * let them. A connection that cannot get on wants that for ever; the pauses between the runs
 * become longer then, until peer.c hangs up on it. */
static void run_again(struct httpd *h, uint64_t turn_ns)
{
    const unsigned n = h->n_still - RUNS_WITHOUT_PROGRESS; /* when it is not less */
    uint64_t       ms = n < 4 ? 1u << n : LONGEST_PAUSE_MS;

    if (h->n_still < RUNS_WITHOUT_PROGRESS) {
        uv_timer_stop(&h->turn);
        uv_idle_start(&h->again, on_again);
        return;
    }
    if (ms < turn_ns * PAUSE_FACTOR / 1000000) ms = turn_ns * PAUSE_FACTOR / 1000000;
    sleep_until(h, true, ms);
}

/* Give the HTTP daemon a turn, then sleep exactly as long as it allows.
 *
 * Its sockets are edge-triggered inside the epoll set that `poll` watches: data
 * it has seen but not yet handled makes no new event. So the answer of
 * MHD_get_timeout() is part of the protocol, not an optimisation; without it
 * a request body of a few hundred kilobytes stops half way, for ever. */
void httpd_turn(struct httpd *h)
{
    const uint64_t         limit = (uint64_t)h->config->max_connections, start = uv_hrtime();
    MHD_UNSIGNED_LONG_LONG ms = 0;
    uint64_t               spent = 0;

    if (uv_is_closing((uv_handle_t *)&h->turn)) return;
    for (int i = 0; i < RUNS_IN_A_ROW && spent < TURN_NS; i++) {
        const bool was_full = h->peers.n >= limit;
        bool       timed;

        MHD_run(h->mhd);
        /* It listens again only on the run after the one that made room. */
        if (was_full && h->peers.n < limit) MHD_run(h->mhd);
        count_run(h);
        spent = uv_hrtime() - start;
        timed = MHD_get_timeout(h->mhd, &ms) == MHD_YES;
        if (!timed || ms > 0) {
            h->n_still = 0;
            sleep_until(h, timed, ms);
            break;
        }
        run_again(h, spent);
        if (h->n_still >= RUNS_WITHOUT_PROGRESS) break;
    }
    if (h->drained && h->n_requests == 0) {
        void (*drained)(void *) = h->drained;

        h->drained = NULL;
        drained(h->cls);
    }
}

void httpd_turn_soon(struct httpd *h)
{
    if (!uv_is_closing((uv_handle_t *)&h->again)) uv_idle_start(&h->again, on_again);
}

/* On a worker, and the only thing a worker may call. */
static void wake_loop(void *cls)
{
    struct httpd *h = cls;

    uv_async_send(&h->wake);
}

/* Wake-ups coalesce - one call may stand for many jobs - so take the whole list.
 * Resuming alone does not wake the HTTP daemon: it needs a turn. */
static void on_wake(uv_async_t *wake)
{
    struct httpd *h = wake->data;

    conn_finish(h, pool_collect(h->pool));
    httpd_turn(h);
}

static void on_expired(void *cls, struct due *due)
{
    conn_expire(cls, due);
    httpd_turn(cls);
}

/* A connection begins or ends; its `peer` hangs on it in between. */
static void on_connection(void *cls, struct MHD_Connection *conn, void **ret_peer,
                          enum MHD_ConnectionNotificationCode code)
{
    struct httpd *h = cls;

    h->moved = true;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);

        *ret_peer = peer_open(&h->peers, info->connect_fd);
    } else if (*ret_peer) {
        *ret_peer = peer_close(&h->peers, *ret_peer);
    }
}

/* Mostly about what clients do wrong, so nothing for a log that people read. */
__attribute__((format(printf, 2, 0))) static void on_log(void *cls, const char *fmt, va_list ap)
{
    char text[512];

    (void)cls;
    if (!log_enabled(LOG_DEBUG)) return;
    vsnprintf(text, sizeof text, fmt, ap);
    text[strcspn(text, "\n")] = 0;
    log_event(LOG_DEBUG, "http", "%s", text);
}

static void on_panic(void *cls, const char *file, unsigned line, const char *reason)
{
    (void)cls;
    log_event(LOG_ERROR, "panic", "libmicrohttpd: %s (%s:%u)", reason ? reason : "no reason given",
              file, line);
    log_stop();
    abort();
}

/* A listening socket for `host` and `port`, with up to n_waiting connections before it, or -1 and
 * a sentence. */
static int listen_on(const char *host, int port, int n_waiting, char *why, size_t n_why)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    const int             on = 1;
    struct addrinfo      *list;
    char                  service[8];
    int                   fd = -1, rc;

    snprintf(service, sizeof service, "%d", port);
    rc = getaddrinfo(host, service, &hints, &list);
    if (rc) {
        snprintf(why, n_why, "host %s is no address to listen on: %s", host, gai_strerror(rc));
        return -1;
    }
    for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
        if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
            bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, n_waiting) == 0)
            break;
        snprintf(why, n_why, "cannot listen on %s port %d: %s", host, port, strerror(errno));
        if (fd >= 0) close(fd);
        fd = -1;
    }
    freeaddrinfo(list);
    return fd;
}

static bool is_loopback(const struct sockaddr *addr)
{
    if (addr->sa_family == AF_INET6) {
        const struct in6_addr *a = &((const struct sockaddr_in6 *)addr)->sin6_addr;

        return IN6_IS_ADDR_LOOPBACK(a) || (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr[12] == 127);
    }
    return ntohl(((const struct sockaddr_in *)addr)->sin_addr.s_addr) >> 24 == 127;
}

/* Where a client on this machine reaches us: the real port, and a real address for "any". True
 * if only this machine does. */
static bool describe(int fd, char *url, size_t n)
{
    struct sockaddr_storage addr;
    socklen_t               n_addr = sizeof addr;
    char                    host[64], port[8];

    if (getsockname(fd, (struct sockaddr *)&addr, &n_addr) ||
        getnameinfo((struct sockaddr *)&addr, n_addr, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV)) {
        snprintf(url, n, "(unknown address)");
        return false;
    }
    if (!strcmp(host, "0.0.0.0")) snprintf(host, sizeof host, "127.0.0.1");
    if (!strcmp(host, "::")) snprintf(host, sizeof host, "::1");
    snprintf(url, n, addr.ss_family == AF_INET6 ? "http://[%s]:%s" : "http://%s:%s", host, port);
    return is_loopback((const struct sockaddr *)&addr);
}

static void read_figures(void *cls, struct api_figures *ret)
{
    const struct httpd *h = cls;
    size_t              waiting, running;

    pool_counts(h->pool, &waiting, &running);
    *ret = (struct api_figures){.connections = h->peers.n,
                                .max_connections = (uint64_t)h->config->max_connections,
                                .workers = (uint64_t)h->config->workers,
                                .running = running,
                                .waiting = waiting,
                                .queue = (uint64_t)h->config->queue,
                                .in_flight = h->n_requests,
                                .slow = h->peers.n_ends[PEER_SLOW],
                                .stuck = h->peers.n_ends[PEER_STUCK],
                                .for_room = h->peers.n_ends[PEER_ROOM],
                                .gone = h->peers.n_ends[PEER_LEFT],
                                .left = h->n_left,
                                .log_dropped = log_n_dropped()};
}

static bool start_daemon(struct httpd *h)
{
    const unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    const unsigned idle_s = (unsigned)((h->config->idle_timeout + 999) / 1000);

    /* clang-format off */
    h->mhd = MHD_start_daemon(flags, 0, NULL, NULL, conn_on_request, h,
        MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
        MHD_OPTION_LISTEN_SOCKET, h->listen_fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)h->config->max_connections,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
        MHD_OPTION_CONNECTION_TIMEOUT, idle_s,
        MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
        MHD_OPTION_URI_LOG_CALLBACK, conn_on_uri, h,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
        MHD_OPTION_NOTIFY_COMPLETED, conn_on_completed, h,
        MHD_OPTION_END);
    /* clang-format on */
    return h->mhd != NULL;
}

bool httpd_open(struct httpd *h, uv_loop_t *loop, struct api *api, const struct config *config,
                char *why, size_t n_why)
{
    const struct pool_class class = {.run = conn_run,
                                     .wake = wake_loop,
                                     .cls = h,
                                     .n_team = (size_t)config->threads_per_request};
    const union MHD_DaemonInfo *info;

    /* Who waits behind more than are served at once waits long: better told by the kernel. */
    const int n_backlog = config->max_connections > 128 ? (int)config->max_connections : 128;

    *h = (struct httpd){.api = api, .config = config};
    h->listen_fd = listen_on(config->host, (int)config->port, n_backlog, why, n_why);
    if (h->listen_fd < 0) return false;
    access_init(&h->access, config, describe(h->listen_fd, h->url, sizeof h->url));
    if (getrandom(&h->id_seed, sizeof h->id_seed, GRND_NONBLOCK) != sizeof h->id_seed)
        h->id_seed = uv_hrtime(); /* only has to differ from the last start */

    h->pool = pool_create((size_t)config->workers, (size_t)config->queue, &class, why, n_why);
    if (!h->pool) goto fail;
    h->queue_response = unreadable_find_queue();
    if (!h->queue_response) {
        snprintf(why, n_why, "libmicrohttpd cannot answer: MHD_queue_response is not found");
        goto fail;
    }
    MHD_set_panic_func(on_panic, NULL);
    if (!start_daemon(h)) {
        snprintf(why, n_why, "the HTTP daemon does not start (log-level debug says more)");
        goto fail;
    }
    peers_init(&h->peers, loop, (uint64_t)config->idle_timeout, (size_t)config->max_connections,
               conn_left, h);
    deadline_init(&h->deadline, loop, (uint64_t)config->deadline, on_expired, h);
    uv_timer_init(loop, &h->turn);
    uv_idle_init(loop, &h->again);
    uv_async_init(loop, &h->wake, on_wake);
    h->turn.data = h->again.data = h->wake.data = h;
    api_set_figures(api, read_figures, h);
    info = MHD_get_daemon_info(h->mhd, MHD_DAEMON_INFO_EPOLL_FD);
    uv_poll_init(loop, &h->poll, info->epoll_fd);
    h->poll.data = h;
    uv_poll_start(&h->poll, UV_READABLE, on_readable);
    httpd_turn(h);
    return true;
fail:
    pool_free(h->pool);
    close(h->listen_fd);
    return false;
}

void httpd_drain(struct httpd *h, void (*drained)(void *cls), void *cls)
{
    int fd;

    MHD_run(h->mhd); /* whoever the kernel has connected already is let in */
    h->draining = true;
    h->drained = drained;
    h->cls = cls;
    fd = MHD_quiesce_daemon(h->mhd);
    if (fd >= 0) close(fd);
    httpd_turn(h);
}

void httpd_hurry(struct httpd *h)
{
    h->hurry = true;
    deadline_expire_all(&h->deadline);
    peers_hang_up(&h->peers);
    httpd_turn(h);
}

void httpd_close_handles(struct httpd *h)
{
    uv_close((uv_handle_t *)&h->poll, NULL);
    uv_close((uv_handle_t *)&h->turn, NULL);
    uv_close((uv_handle_t *)&h->again, NULL);
    uv_close((uv_handle_t *)&h->wake, NULL);
    deadline_close(&h->deadline);
    peers_close(&h->peers);
}

void httpd_fini(struct httpd *h)
{
    api_set_figures(h->api, NULL, NULL);
    h->pool = pool_free(h->pool); /* idle by now, so this waits for nobody */
    MHD_stop_daemon(h->mhd);
}
