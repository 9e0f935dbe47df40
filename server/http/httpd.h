/* httpd.h - the HTTP daemon on our loop, and the workers behind it. Loop thread only. */
#ifndef SERVER_HTTP_HTTPD_H
#define SERVER_HTTP_HTTPD_H

#include "api.h"
#include "config/config.h"
#include "http/access.h"
#include "http/deadline.h"
#include "http/peer.h"
#include "work/pool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct MHD_Daemon;

struct httpd {
    struct MHD_Daemon   *mhd;
    void                *queue_response; /* the library's function, see unreadable.c */
    struct api          *api;
    const struct config *config;
    struct pool         *pool;
    uv_poll_t            poll;  /* the one descriptor behind which all sockets are */
    uv_timer_t           turn;  /* when the HTTP daemon wants its next turn */
    uv_idle_t            again; /* runs while it wants one at once */
    uv_async_t           wake;  /* a worker has something to collect */
    struct deadline      deadline;
    struct peers         peers;
    struct access        access;
    int                  listen_fd;
    char                 url[96];    /* "http://127.0.0.1:8080", the real port */
    bool                 moved;      /* a connection got on since the last run */
    unsigned             n_still;    /* runs in a row that wanted more and moved nothing */
    uint64_t             marker;     /* of bytes in all sockets, when nothing moved */
    size_t               n_requests; /* from the headers to the end of the reply */
    size_t               n_suspended;
    uint64_t             n_left;   /* requests whose clients did not wait for the answer */
    uint64_t             id_seed;  /* of request ids */
    bool                 draining; /* nothing new is taken on */
    bool                 hurry;    /* the grace period is over */
    void (*drained)(void *cls);    /* draining, and the last request is done */
    void *cls;
};

/* Listen, start the workers, be ready for turns. False and a sentence: nothing was started. */
bool httpd_open(struct httpd *h, uv_loop_t *loop, struct api *api, const struct config *config,
                char *why, size_t n_why);

/* Give it a turn; call after anything that may have given it work. */
void httpd_turn(struct httpd *h);

/* The same in the next iteration of the loop. */
void httpd_turn_soon(struct httpd *h);

/* Stop listening, let requests in flight end, then call `drained` (maybe from within). */
void httpd_drain(struct httpd *h, void (*drained)(void *cls), void *cls);

/* Ask what runs to stop now, and hang up on whoever is slow. */
void httpd_hurry(struct httpd *h);

/* First close the loop's handles, then, when the loop has ended, workers and daemon. */
void httpd_close_handles(struct httpd *h);
void httpd_fini(struct httpd *h);

#endif
