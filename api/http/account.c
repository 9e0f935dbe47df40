/* account: see account.h. The pot's sum decides; the sums by purpose are for people. */
#include "account.h"

#include <assert.h>
#include <stdint.h>

static const struct {
    enum account_pot pot;
    const char      *name;
} purposes[N_PURPOSES] = {
#define X(purpose, pot, name) {pot, name},
    ACCOUNT_MAP(X)
#undef X
};

void account_init(struct account *a, const size_t limit[N_POTS])
{
    for (int i = 0; i < N_POTS; i++) {
        a->limit[i] = limit[i] ? limit[i] : SIZE_MAX;
        atomic_init(&a->used[i], 0);
    }
    for (int i = 0; i < N_PURPOSES; i++)
        atomic_init(&a->by[i], 0);
}

bool account_charge(struct account *a, enum account_purpose purpose, size_t n)
{
    const enum account_pot pot = purposes[purpose].pot;
    size_t                 used = atomic_load_explicit(&a->used[pot], memory_order_relaxed);

    do /* forced charges may have gone beyond the limit */
        if (used > a->limit[pot] || n > a->limit[pot] - used) return false;
    while (!atomic_compare_exchange_weak_explicit(&a->used[pot], &used, used + n,
                                                  memory_order_relaxed, memory_order_relaxed));
    atomic_fetch_add_explicit(&a->by[purpose], n, memory_order_relaxed);
    return true;
}

void account_force(struct account *a, enum account_purpose purpose, size_t n)
{
    atomic_fetch_add_explicit(&a->used[purposes[purpose].pot], n, memory_order_relaxed);
    atomic_fetch_add_explicit(&a->by[purpose], n, memory_order_relaxed);
}

void account_discharge(struct account *a, enum account_purpose purpose, size_t n)
{
    const size_t had = atomic_fetch_sub_explicit(&a->by[purpose], n, memory_order_relaxed);

    assert(had >= n); /* nobody gives back what was not charged */
    (void)had;
    atomic_fetch_sub_explicit(&a->used[purposes[purpose].pot], n, memory_order_relaxed);
}

size_t account_reserve(struct account *a, enum account_purpose purpose, size_t n, size_t part)
{
    const enum account_pot pot = purposes[purpose].pot;
    size_t                 used = atomic_load_explicit(&a->used[pot], memory_order_relaxed), got;

    do {
        const size_t room = used < a->limit[pot] ? (a->limit[pot] - used) / part : 0;

        got = n < room ? n : room;
    } while (!atomic_compare_exchange_weak_explicit(&a->used[pot], &used, used + got,
                                                    memory_order_relaxed, memory_order_relaxed));
    atomic_fetch_add_explicit(&a->by[purpose], got, memory_order_relaxed);
    return got;
}

void account_settle(struct account *a, enum account_purpose purpose, size_t before, size_t n)
{
    if (n > before)
        account_force(a, purpose, n - before);
    else
        account_discharge(a, purpose, before - n);
}

bool account_is_over(const struct account *a, enum account_purpose purpose)
{
    const enum account_pot pot = purposes[purpose].pot;

    return atomic_load_explicit(&a->used[pot], memory_order_relaxed) > a->limit[pot];
}

enum account_pot account_pot(enum account_purpose purpose)
{
    return purposes[purpose].pot;
}

const char *account_pot_name(enum account_purpose purpose)
{
    static const char *const names[N_POTS] = {"buffers", "scratch", "plans", "kept"};

    return names[purposes[purpose].pot];
}

size_t account_limit(const struct account *a, enum account_purpose purpose)
{
    return a->limit[purposes[purpose].pot];
}

size_t account_pot_used(const struct account *a, enum account_purpose purpose)
{
    return atomic_load_explicit(&a->used[purposes[purpose].pot], memory_order_relaxed);
}

size_t account_used(const struct account *a, enum account_purpose purpose)
{
    return atomic_load_explicit(&a->by[purpose], memory_order_relaxed);
}

const char *account_name(enum account_purpose purpose)
{
    return purposes[purpose].name;
}
