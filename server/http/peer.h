/* peer.h - who is connected, how long each phase of a request may take, and who has left.
 *
 * The HTTP daemon closes connections on which nothing at all happens. A client
 * that sends or reads one byte now and then would get past that and hold
 * memory for ever, so each phase has a time of its own. Loop thread only. */
#ifndef SERVER_HTTP_PEER_H
#define SERVER_HTTP_PEER_H

#include "http/sock.h"

#include <stdbool.h>
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

/* Why a connection was hung up on. */
enum peer_end { PEER_SLOW, PEER_STUCK, PEER_ROOM, PEER_LEFT, PEER_ENDS };

struct peer {
    LIST_ENTRY(peer) link;
    TAILQ_ENTRY(peer) idle; /* in PEER_HEADERS, if it is not hung up on */
    int             fd;     /* owned by the HTTP daemon */
    enum peer_phase phase;
    uint64_t        since_ms; /* the phase began; bytes that go on move it forward */
    uint64_t        moved_ms; /* when they last did */
    uint64_t        n_calls;  /* what the HTTP daemon told us about it, so far */
    bool            hung_up;
    bool            asked; /* whether it is still there, in this phase */
    bool            may_ask;
    void           *work;            /* in PEER_WORK: the caller's */
    void           *owner, *request; /* the caller's */
    struct {                         /* at the last look */
        uint64_t            n_calls, n_read_at_call;
        struct sock_figures f;
        int                 n_times; /* looks in a row at which it was stuck */
        bool                ended;   /* the client's end of the stream had come */
    } seen;
};

LIST_HEAD(peer_list, peer);
TAILQ_HEAD(peer_queue, peer);

struct peers {
    uv_timer_t        sweep, watch, room;
    struct peer_list  list;
    struct peer_queue idle; /* those in PEER_HEADERS, the longest first */
    uint64_t          idle_ms;
    size_t            n, n_work, n_hung_up, n_max;
    uint64_t          n_ends[PEER_ENDS];
    void (*left)(void *cls, void *work); /* the client that waits for `work` is gone */
    void *cls;
};

/* At most n_max connections. */
void peers_init(struct peers *p, uv_loop_t *loop, uint64_t idle_ms, size_t n_max,
                void (*left)(void *cls, void *work), void *cls);

/* NULL if memory is out. Near the limit somebody who does nothing has to go. */
struct peer *peer_open(struct peers *p, int fd);
struct peer *peer_close(struct peers *p, struct peer *peer);
void         peer_enter(struct peers *p, struct peer *peer, enum peer_phase phase);

/* It waits for `work`, which `left` gets if it does not wait any more. A client whose end of
 * the stream was seen may be asked with a "100 Continue", if it knows that. */
void peer_work(struct peers *p, struct peer *peer, void *work, bool may_ask);

/* A number that changes when bytes of any connection were read, came in, or went out. */
uint64_t peers_marker(const struct peers *p);

/* Memory is short: hang up on the one who holds some and has not moved for longest. */
void peers_make_room(struct peers *p);

/* Hang up on all that do not wait for a worker. */
void peers_hang_up(struct peers *p);
void peers_close(struct peers *p);

#endif
