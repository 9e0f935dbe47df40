/* peer: a list of connections and a timer that hangs up on those who take too long.
 *
 * A phase may take idle_ms, and a body or a reply a second more for every
 * 64 KB: slower than that nobody needs to be waited for.
 *
 * Some input the HTTP daemon can neither use nor refuse (a chunk's extension that is longer
 * than its buffer); it would look at it again and again. So who has sent what was not read,
 * or what nothing came of, is hung up on after a few looks.
 *
 * Hanging up is shutdown(2), never close(2): the descriptor belongs to the HTTP
 * daemon, which sees the end of the stream and cleans up as for any client that left. */
#include "peer.h"

#include "sock.h"

#include <stdlib.h>
#include <sys/socket.h>

enum {
    BYTES_PER_MS = 64,
    LOOKS_WHEN_STUCK = 5,   /* a second each, or less when idle-timeout is short */
    FRAMING_BYTES = 8 << 10 /* of a body, read without any call: more is no framing */
};

static uint64_t allowed_ms(const struct peers *p, const struct peer *peer)
{
    switch (peer->phase) {
    case PEER_BODY:
    case PEER_REPLY:
        return p->idle_ms + peer->n_bytes / BYTES_PER_MS;
    case PEER_WORK:
        return UINT64_MAX;
    case PEER_HEADERS:
    case PEER_REFUSED:
        break;
    }
    return p->idle_ms;
}

/* Called once in each sweep. */
static bool is_stuck(struct peer *peer)
{
    const uint64_t unread = sock_unread(peer->fd), read = sock_n_read(peer->fd);
    const bool     called = peer->n_calls != peer->seen.n_calls;
    bool           stuck = false;

    if (called || peer->phase == PEER_WORK || peer->phase == PEER_REPLY)
        peer->seen.n_read_at_call = read;
    else
        stuck = (unread && read == peer->seen.n_read) ||
                (peer->phase != PEER_HEADERS && read - peer->seen.n_read_at_call > FRAMING_BYTES);
    peer->seen.n_calls = peer->n_calls;
    peer->seen.n_read = read;
    peer->seen.n_times = stuck ? peer->seen.n_times + 1 : 0;
    return peer->seen.n_times >= LOOKS_WHEN_STUCK;
}

static void on_sweep(uv_timer_t *timer)
{
    struct peers  *p = timer->data;
    const uint64_t now = uv_now(timer->loop);
    struct peer   *peer;

    LIST_FOREACH(peer, &p->list, link)
    if (is_stuck(peer) || now - peer->since_ms > allowed_ms(p, peer)) shutdown(peer->fd, SHUT_RDWR);
}

uint64_t peers_marker(const struct peers *p)
{
    const struct peer *peer;
    uint64_t           sum = 0;

    LIST_FOREACH(peer, &p->list, link)
    sum = 31 * sum + sock_unread(peer->fd) + 7 * sock_unsent(peer->fd);
    return sum;
}

void peers_init(struct peers *p, uv_loop_t *loop, uint64_t idle_ms)
{
    uv_timer_init(loop, &p->timer);
    p->timer.data = p;
    LIST_INIT(&p->list);
    p->idle_ms = idle_ms;
    p->n = 0;
}

struct peer *peer_open(struct peers *p, int fd)
{
    struct peer *peer = calloc(1, sizeof *peer);

    if (!peer) return NULL;
    peer->fd = fd;
    peer_enter(p, peer, PEER_HEADERS, 0);
    LIST_INSERT_HEAD(&p->list, peer, link);
    if (p->n++ == 0) { /* no client, no wake-ups */
        const uint64_t every = p->idle_ms < 4000 ? p->idle_ms / 4 + 1 : 1000;

        uv_timer_start(&p->timer, on_sweep, every, every);
    }
    return peer;
}

struct peer *peer_close(struct peers *p, struct peer *peer)
{
    LIST_REMOVE(peer, link);
    free(peer);
    if (--p->n == 0 && !uv_is_closing((uv_handle_t *)&p->timer)) uv_timer_stop(&p->timer);
    return NULL;
}

void peer_enter(struct peers *p, struct peer *peer, enum peer_phase phase, size_t n_bytes)
{
    peer->n_calls++;
    peer->phase = phase;
    peer->since_ms = uv_now(p->timer.loop);
    peer->n_bytes = n_bytes;
}

void peers_hang_up(struct peers *p)
{
    struct peer *peer;

    LIST_FOREACH(peer, &p->list, link)
    if (peer->phase != PEER_WORK) shutdown(peer->fd, SHUT_RDWR);
}

void peers_close(struct peers *p)
{
    uv_close((uv_handle_t *)&p->timer, NULL);
}
