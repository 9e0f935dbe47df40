/* budget: what one call may take: bytes of memory, steps of work, time.
 *
 * A step is about ten nanoseconds: an instruction of an expression, a node visited, eight bytes
 * hashed or copied. Whoever loops over what a document says spends its steps; an arena that was
 * given a budget takes every block from it before it asks the system. The caller's hook is asked
 * every BUDGET_ASK_STEPS.
 *
 * The reason is remembered. So inner code may report any refusal as "no memory", and the public
 * function replaces that by the real reason at the end: budget_settle(). One thread at a time.
 * Every function takes NULL for no budget. */
#ifndef BASE_BUDGET_H
#define BASE_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supernet/supernet.h"

enum { BUDGET_ASK_STEPS = 1 << 14 };

struct budget {
    bool (*stop)(void *cls);
    void    *stop_cls;
    size_t   limit_bytes, n_bytes; /* n_bytes are held now */
    uint64_t limit_steps, n_steps;
    uint64_t ask_at; /* above this, ask the caller's hook; at most limit_steps */
    enum budget_end { BUDGET_OPEN, BUDGET_BYTES, BUDGET_STEPS, BUDGET_STOPPED } end;
};

/* A limit of 0 is none. */
struct budget budget_of(bool (*stop)(void *cls), void *stop_cls, size_t limit_bytes,
                        uint64_t limit_steps);

/* Before memory is taken, and after it was given back. false: it would be too much. */
bool budget_take(struct budget *b, size_t n_bytes);
void budget_give(struct budget *b, size_t n_bytes);

/* The slow path of budget_spend(): checks limits and asks the hook. */
bool budget_spend_slowly(struct budget *b, uint64_t n_steps);

/* Before work is done; false: that is too much, or the caller asked to stop. In line, as it stands
 * in every loop over a document or a plan. */
static inline bool budget_spend(struct budget *b, uint64_t n_steps)
{
    if (!b) return true;
    if (b->end != BUDGET_OPEN || b->n_steps >= b->ask_at || n_steps >= b->ask_at - b->n_steps)
        return budget_spend_slowly(b, n_steps);
    b->n_steps += n_steps;
    return true;
}

/* The reason why it was refused, with the place. */
sn_status budget_refuse(const struct budget *b, const char *where, sn_error *err);

/* budget_spend() as a status. */
static inline sn_status budget_step(struct budget *b, uint64_t n_steps, const char *where,
                                    sn_error *err)
{
    return budget_spend(b, n_steps) ? SN_OK : budget_refuse(b, where, err);
}

/* Before work that is long but need not be done again, such as packing weights: asks the hook now.
 * It costs no steps, so that a limit of steps means the same every time. */
bool budget_ask(struct budget *b);

/* What a call returns: rc, or the reason why it really failed. */
sn_status budget_settle(const struct budget *b, sn_status rc, sn_error *err);

#endif
