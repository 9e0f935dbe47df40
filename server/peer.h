/* peer.h - who is connected, and how long each phase of a request may take.
 *
 * The HTTP daemon closes connections on which nothing at all happens. A client
 * that sends or reads one byte now and then would get past that and hold
 * memory for ever, so each phase has a total time too. Loop thread only. */
#ifndef SERVER_PEER_H
#define SERVER_PEER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

enum peer_phase {
    PEER_HEADERS, /* connected, or between two requests */
    PEER_BODY,    /* sends a body that we want */
    PEER_REFUSED, /* sends a body that we read and throw away */
    PEER_WORK,    /* waits for us: its time is the request's deadline */
    PEER_REPLY    /* reads the reply */
};

struct peer {
    LIST_ENTRY(peer) link;
    int             fd; /* owned by the HTTP daemon */
    enum peer_phase phase;
    uint64_t        since_ms;
    size_t          n_bytes; /* received or to be sent in this phase */
    uint64_t        n_calls; /* what the HTTP daemon told us about it, so far */
    struct {                 /* at the last look */
        uint64_t n_calls, n_read, n_read_at_call;
        int      n_times; /* looks in a row at which it was stuck */
    } seen;
};

LIST_HEAD(peer_list, peer);

struct peers {
    uv_timer_t       timer;
    struct peer_list list;
    uint64_t         idle_ms;
    size_t           n;
};

void peers_init(struct peers *p, uv_loop_t *loop, uint64_t idle_ms);

/* NULL if memory is out. */
struct peer *peer_open(struct peers *p, int fd);
struct peer *peer_close(struct peers *p, struct peer *peer);
void         peer_enter(struct peers *p, struct peer *peer, enum peer_phase phase, size_t n_bytes);

/* A number that changes when bytes of any connection were read, came in, or went out. */
uint64_t peers_marker(const struct peers *p);

/* Hang up on all that do not wait for a worker. */
void peers_hang_up(struct peers *p);
void peers_close(struct peers *p);

#endif
