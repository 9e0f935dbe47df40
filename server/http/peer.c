/* peer: a list of connections and a timer that hangs up on those who take too long.
 *
 * A phase may take idle_ms. In a body or a reply, 64 KB that go on give a second back, but
 * never more than was used: who is slower than that, or stops half way, need not be waited for.
 *
 * Some input the HTTP daemon can neither use nor refuse (a chunk's extension that is longer
 * than its buffer); it would look at it again and again. So who has sent what was not read,
 * or what nothing came of, is hung up on after a few looks.
 *
 * Hanging up is shutdown(2), never close(2): the descriptor belongs to the HTTP
 * daemon, which sees the end of the stream and cleans up as for any client that left.
 *
 * It does not look at a connection that waits for a worker, so those are watched here. The end
 * of the client's stream alone says little: it may have shut down its half and still read. So it
 * is sent a "100 Continue", which says nothing to a client that listens; where nobody does, the
 * kernel on the other side answers with a reset. */
#define _GNU_SOURCE /* POLLRDHUP */
#include "http/peer.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    BYTES_PER_MS = 64,
    SWEEP_MS = 500,
    LOOKS_WHEN_STUCK = 10,   /* sweeps in a row at which what came in was not read */
    FRAMING_BYTES = 8 << 10, /* of a body, read without any call: more is no framing */
    WATCH_MS = 250,
    ROOM_MS = 50,     /* between two attempts to make room */
    NEW_MS = 250,     /* so long a newcomer may take for its first request */
    PAUSE_MS = 500,   /* in a body: who pauses longer may go when there is no room */
    UNREAD_MS = 2000, /* the same in a reply, where progress is seen in sweeps only */
    RESERVE = 16,     /* one in so many connections is kept for newcomers */
    CANDIDATES = 32
};

static void hang_up(struct peers *p, struct peer *peer, enum peer_end why)
{
    if (peer->hung_up) return;
    if (peer->phase == PEER_HEADERS) TAILQ_REMOVE(&p->idle, peer, idle);
    peer->hung_up = true;
    p->n_hung_up++;
    p->n_ends[why]++;
    shutdown(peer->fd, SHUT_RDWR);
}

/* Bytes that went on in the direction of its phase give time back. */
static void earn(struct peer *peer, const struct sock_figures *f, uint64_t now)
{
    const struct sock_figures *old = &peer->seen.f;
    uint64_t                   n = 0;

    if (peer->phase == PEER_BODY) n = f->n_read - old->n_read;
    if (peer->phase == PEER_REPLY) n = f->n_taken - old->n_taken;
    if (n == 0) return;
    peer->moved_ms = now;
    peer->since_ms += n / BYTES_PER_MS;
    if (peer->since_ms > now) peer->since_ms = now;
}

/* The HTTP daemon does not always see that a client has left: its end of the stream makes no news
 * if it comes together with the last bytes. Who sends a request cannot go on then. */
static bool has_left(struct peer *peer, const struct sock_figures *f)
{
    struct pollfd fd = {.fd = peer->fd, .events = POLLRDHUP};
    const bool    before = peer->seen.ended;

    peer->seen.ended = peer->phase != PEER_WORK && peer->phase != PEER_REPLY && !f->unread &&
                       poll(&fd, 1, 0) == 1 && fd.revents & POLLRDHUP;
    return before && peer->seen.ended; /* twice: a whole request may just have come */
}

/* Called once in each sweep. */
static bool is_stuck(struct peer *peer, const struct sock_figures *f)
{
    const bool called = peer->n_calls != peer->seen.n_calls;
    bool       stuck = false;

    if (called || peer->phase == PEER_WORK || peer->phase == PEER_REPLY)
        peer->seen.n_read_at_call = f->n_read;
    else if (peer->phase != PEER_HEADERS && f->n_read - peer->seen.n_read_at_call > FRAMING_BYTES)
        return true;
    else
        stuck = f->unread && f->n_read == peer->seen.f.n_read;
    peer->seen.n_calls = peer->n_calls;
    peer->seen.n_times = stuck ? peer->seen.n_times + 1 : 0;
    return peer->seen.n_times >= LOOKS_WHEN_STUCK;
}

/* ---- room for others ----------------------------------------------------------------------- */

/* The one who has been between two requests for longest; not one whose request is just
 * coming in, if there are others, and no newcomer. */
static struct peer *longest_idle(const struct peers *p)
{
    const uint64_t now = uv_now(p->sweep.loop);
    struct peer   *peer, *first = NULL;
    int            n = 0;

    TAILQ_FOREACH(peer, &p->idle, idle)
    {
        if (now - peer->since_ms < NEW_MS || n++ == CANDIDATES) break;
        if (!first) first = peer;
        if (!sock_unread(peer->fd)) return peer;
    }
    return first;
}

/* The one of those who send or read that has not moved for longest, if that is long. */
static struct peer *longest_stalled(const struct peers *p)
{
    const uint64_t now = uv_now(p->sweep.loop);
    struct peer   *peer, *worst = NULL;

    LIST_FOREACH(peer, &p->list, link)
    {
        if (peer->hung_up || peer->phase == PEER_WORK || peer->phase == PEER_HEADERS) continue;
        if (now - peer->moved_ms > (peer->phase == PEER_REPLY ? UNREAD_MS : PAUSE_MS) &&
            (!worst || peer->moved_ms < worst->moved_ms))
            worst = peer;
    }
    return worst;
}

void peers_make_room(struct peers *p)
{
    struct peer *worst = longest_stalled(p);

    if (worst) hang_up(p, worst, PEER_ROOM);
}

static void on_room(uv_timer_t *timer);

/* Are more connected than the reserve allows? Then somebody has to go, now or soon. */
static void keep_reserve(struct peers *p)
{
    const size_t most = p->n_max - p->n_max / RESERVE - (p->n_max > 4);

    while (p->n - p->n_hung_up > most) {
        struct peer *goes = longest_idle(p);

        if (!goes) goes = longest_stalled(p);
        if (!goes) break;
        hang_up(p, goes, PEER_ROOM);
    }
    if (p->n - p->n_hung_up > most && !uv_is_active((uv_handle_t *)&p->room))
        uv_timer_start(&p->room, on_room, ROOM_MS, 0);
}

static void on_room(uv_timer_t *timer)
{
    keep_reserve(timer->data);
}

/* ---- time -------------------------------------------------------------------------------- */

static void on_sweep(uv_timer_t *timer)
{
    struct peers  *p = timer->data;
    const uint64_t now = uv_now(timer->loop);
    struct peer   *peer;

    LIST_FOREACH(peer, &p->list, link)
    {
        const struct sock_figures f = sock_figures(peer->fd);

        earn(peer, &f, now);
        if (is_stuck(peer, &f)) hang_up(p, peer, PEER_STUCK);
        if (has_left(peer, &f)) hang_up(p, peer, PEER_LEFT);
        peer->seen.f = f;
        if (peer->phase != PEER_WORK && now - peer->since_ms > p->idle_ms)
            hang_up(p, peer, PEER_SLOW);
    }
}

uint64_t peers_marker(const struct peers *p)
{
    const struct peer *peer;
    uint64_t           sum = 0;

    LIST_FOREACH(peer, &p->list, link)
    sum = 31 * sum + sock_unread(peer->fd) + 7 * sock_unsent(peer->fd);
    return sum;
}

/* ---- who waits for a worker, and has left ------------------------------------------------- */

static void ask(struct peer *peer)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

    if (peer->asked || !peer->may_ask || sock_unsent(peer->fd)) return;
    peer->asked = true;
    /* Nothing stands in the kernel's buffer, so it is sent whole or not at all. */
    if (send(peer->fd, text, sizeof text - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) return;
}

static void on_watch(uv_timer_t *timer)
{
    struct peers *p = timer->data;
    struct peer  *peer, *next;

    for (peer = LIST_FIRST(&p->list); peer; peer = next) {
        struct pollfd fd = {.fd = peer->fd, .events = POLLRDHUP};
        void         *work = peer->work;

        next = LIST_NEXT(peer, link);
        if (peer->phase != PEER_WORK || !work || poll(&fd, 1, 0) != 1) continue;
        if (fd.revents & (POLLHUP | POLLERR)) {
            peer->work = NULL;
            p->left(p->cls, work);
        } else if (fd.revents & POLLRDHUP) {
            ask(peer);
        }
    }
}

/* ---- coming and going ---------------------------------------------------------------------- */

void peers_init(struct peers *p, uv_loop_t *loop, uint64_t idle_ms, size_t n_max,
                void (*left)(void *cls, void *work), void *cls)
{
    *p = (struct peers){.idle_ms = idle_ms, .n_max = n_max, .left = left, .cls = cls};
    uv_timer_init(loop, &p->sweep);
    uv_timer_init(loop, &p->watch);
    uv_timer_init(loop, &p->room);
    p->sweep.data = p->watch.data = p->room.data = p;
    LIST_INIT(&p->list);
    TAILQ_INIT(&p->idle);
}

struct peer *peer_open(struct peers *p, int fd)
{
    struct peer *peer = calloc(1, sizeof *peer);

    if (!peer) return NULL;
    peer->fd = fd;
    peer->owner = p->cls;
    peer->phase = PEER_WORK; /* any other than the first */
    p->n_work++;
    peer_enter(p, peer, PEER_HEADERS);
    LIST_INSERT_HEAD(&p->list, peer, link);
    if (p->n++ == 0) { /* no client, no wake-ups */
        const uint64_t every = p->idle_ms < 4 * SWEEP_MS ? p->idle_ms / 4 + 1 : SWEEP_MS;

        uv_timer_start(&p->sweep, on_sweep, every, every);
    }
    keep_reserve(p);
    return peer;
}

struct peer *peer_close(struct peers *p, struct peer *peer)
{
    peer_enter(p, peer, PEER_REPLY); /* off the other lists */
    LIST_REMOVE(peer, link);
    p->n_hung_up -= peer->hung_up;
    free(peer);
    if (--p->n == 0 && !uv_is_closing((uv_handle_t *)&p->sweep)) {
        uv_timer_stop(&p->sweep);
        uv_timer_stop(&p->room);
    }
    return NULL;
}

void peer_enter(struct peers *p, struct peer *peer, enum peer_phase phase)
{
    if (peer->phase == PEER_HEADERS && !peer->hung_up) TAILQ_REMOVE(&p->idle, peer, idle);
    if (peer->phase == PEER_WORK && --p->n_work == 0 && !uv_is_closing((uv_handle_t *)&p->watch))
        uv_timer_stop(&p->watch);
    peer->n_calls++;
    peer->phase = phase;
    peer->since_ms = peer->moved_ms = uv_now(p->sweep.loop);
    peer->work = NULL;
    if (phase == PEER_HEADERS && !peer->hung_up) TAILQ_INSERT_TAIL(&p->idle, peer, idle);
    if (phase == PEER_WORK && p->n_work++ == 0)
        uv_timer_start(&p->watch, on_watch, WATCH_MS, WATCH_MS);
}

void peer_work(struct peers *p, struct peer *peer, void *work, bool may_ask)
{
    peer_enter(p, peer, PEER_WORK);
    peer->work = work;
    peer->may_ask = may_ask;
    peer->asked = false;
}

void peers_hang_up(struct peers *p)
{
    struct peer *peer;

    LIST_FOREACH(peer, &p->list, link)
    if (peer->phase != PEER_WORK) hang_up(p, peer, PEER_SLOW);
}

void peers_close(struct peers *p)
{
    uv_close((uv_handle_t *)&p->sweep, NULL);
    uv_close((uv_handle_t *)&p->watch, NULL);
    uv_close((uv_handle_t *)&p->room, NULL);
}
