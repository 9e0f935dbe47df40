/* peer: a list of connections and a timer that hangs up on those who take too long.
 *
 * A phase may take idle_ms, and a body or a reply a second more for every
 * 64 KB: slower than that nobody needs to be waited for.
 *
 * Hanging up is shutdown(2), never close(2): the descriptor belongs to the HTTP
 * daemon, which sees the end of the stream and cleans up as for any client that left. */
#include "peer.h"

#include <stdlib.h>
#include <sys/socket.h>

enum { BYTES_PER_MS = 64 };

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

static void on_sweep(uv_timer_t *timer)
{
    struct peers  *p = timer->data;
    const uint64_t now = uv_now(timer->loop);
    struct peer   *peer;

    LIST_FOREACH(peer, &p->list, link)
    if (now - peer->since_ms > allowed_ms(p, peer)) shutdown(peer->fd, SHUT_RDWR);
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
