/* team.h - the parts of a loop on several threads: a leader, and helpers that come and go.
 *
 * The leader opens one region after the other and never waits for a helper to arrive: part 0 is
 * its own, with what it has in its cache from the part 0 before; the others are claimed one by
 * one, and those that nobody takes it runs itself. */
#ifndef SERVER_WORK_TEAM_H
#define SERVER_WORK_TEAM_H

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TEAM_MAX_PARTS = 65535 };

struct team {
    /* What can be claimed: region << 32 | parts << 16 | next part; 0: closed. */
    alignas(64) atomic_uint_fast64_t ticket;
    uint32_t region;
    void (*body)(void *cls, int i); /* valid for whoever has claimed a part */
    void    *cls;
    uint64_t spin_ns; /* how long to wait awake */

    alignas(64) atomic_int n_left; /* parts that are not done */
    atomic_bool     sleeps;        /* the leader, until the last part is done */
    pthread_mutex_t lock;
    pthread_cond_t  done;
};

/* False if there are no locks. */
bool team_init(struct team *t);
void team_fini(struct team *t);

/* ---- the leader ---- */

/* Offer body(cls, i) for i in [0, n), n from 1 to TEAM_MAX_PARTS, to whoever helps. */
void team_open(struct team *t, int n, void (*body)(void *cls, int i), void *cls);

/* Take part; returns when all parts are done. True: others ran some of them. */
bool team_work(struct team *t);

/* No region follows: helpers need not wait for one. */
void team_close(struct team *t);

/* ---- helpers ---- */

/* Is there something to do just now? */
bool team_has_parts(const struct team *t);

/* Run parts of one region after the other, until the team is closed, nothing came for some
 * microseconds, or *n_waiting is not 0: there is something better to do. */
void team_help(struct team *t, const atomic_size_t *n_waiting);

#endif
