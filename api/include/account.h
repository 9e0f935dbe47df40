/* account: all memory that requests can make the daemon hold, charged before it is taken.
 *
 * Every purpose draws on one of four pots, and each pot has a limit, so that what stays (plans,
 * supernets) never takes the room of what passes (bodies, replies). Charging is a few atomic
 * operations: any thread, no lock. */
#ifndef API_ACCOUNT_H
#define API_ACCOUNT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum account_pot {
    POT_BUFFERS, /* --buffer-memory */
    POT_SCRATCH, /* --workers times --max-scratch */
    POT_PLANS,   /* --plan-cache */
    POT_KEPT,    /* what all other limits leave of --memory-limit */
    N_POTS
};

/* purpose, its pot, its name in metrics */
/* clang-format off */
#define ACCOUNT_MAP(X)                                 \
    X(ACCOUNT_BODIES,    POT_BUFFERS, "bodies")        \
    X(ACCOUNT_REQUESTS,  POT_BUFFERS, "requests")      \
    X(ACCOUNT_REPLIES,   POT_BUFFERS, "replies")       \
    X(ACCOUNT_SCRATCH,   POT_SCRATCH, "scratch")       \
    X(ACCOUNT_PLANS,     POT_PLANS,   "plans")         \
    X(ACCOUNT_SUBNETS,   POT_KEPT,    "subnets")       \
    X(ACCOUNT_POLICIES,  POT_KEPT,    "policies")      \
    X(ACCOUNT_SUPERNETS, POT_KEPT,    "supernets")
/* clang-format on */

enum account_purpose {
#define X(purpose, pot, name) purpose,
    ACCOUNT_MAP(X)
#undef X
        N_PURPOSES
};

struct account {
    size_t        limit[N_POTS];
    atomic_size_t used[N_POTS], by[N_PURPOSES];
};

/* A limit of 0 is none. */
void account_init(struct account *a, const size_t limit[N_POTS]);

/* False if the pot has no room for n bytes more; then nothing is charged. */
bool account_charge(struct account *a, enum account_purpose purpose, size_t n);

/* Charge what there is room for (a 1/part of it), n bytes at most, and say how much that was: for a
 * call whose need nobody knows before, which is given this limit; it settles afterwards. */
size_t account_reserve(struct account *a, enum account_purpose purpose, size_t n, size_t part);

/* n bytes are charged instead of `before`, in any case. */
void account_settle(struct account *a, enum account_purpose purpose, size_t before, size_t n);

/* Forced charges have gone beyond the limit. */
bool account_is_over(const struct account *a, enum account_purpose purpose);

/* Charge in any case: for what is small and must not fail, such as an error document, or for
 * what is there already. */
void account_force(struct account *a, enum account_purpose purpose, size_t n);
void account_discharge(struct account *a, enum account_purpose purpose, size_t n);

enum account_pot account_pot(enum account_purpose purpose);
const char      *account_pot_name(enum account_purpose purpose); /* "buffers" */

/* The limit of the purpose's pot, and what is charged to the purpose alone. */
size_t      account_limit(const struct account *a, enum account_purpose purpose);
size_t      account_pot_used(const struct account *a, enum account_purpose purpose); /* by all */
size_t      account_used(const struct account *a, enum account_purpose purpose);
const char *account_name(enum account_purpose purpose);

#endif
