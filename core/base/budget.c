#include "base/budget.h"

#include <stdio.h>
#include <string.h>

#include "base/base.h"

struct budget budget_of(bool (*stop)(void *cls), void *stop_cls, size_t limit_bytes,
                        uint64_t limit_steps)
{
    return (struct budget){.stop = stop,
                           .stop_cls = stop_cls,
                           .limit_bytes = limit_bytes ? limit_bytes : SIZE_MAX,
                           .limit_steps = limit_steps ? limit_steps : UINT64_MAX};
}

bool budget_take(struct budget *b, size_t n_bytes)
{
    if (!b) return true;
    if (n_bytes > b->limit_bytes - b->n_bytes) {
        if (b->end == BUDGET_OPEN) b->end = BUDGET_BYTES;
        return false;
    }
    b->n_bytes += n_bytes;
    return true;
}

void budget_give(struct budget *b, size_t n_bytes)
{
    if (b) b->n_bytes -= n_bytes;
}

bool budget_spend_slowly(struct budget *b, uint64_t n_steps)
{
    if (b->end == BUDGET_STEPS || b->end == BUDGET_STOPPED) return false;
    if (n_steps > b->limit_steps - b->n_steps) {
        b->end = BUDGET_STEPS;
        return false;
    }
    b->n_steps += n_steps;
    if (b->n_steps < b->ask_at) return true;
    b->ask_at = b->limit_steps - b->n_steps < BUDGET_ASK_STEPS ? b->limit_steps
                                                               : b->n_steps + BUDGET_ASK_STEPS;
    if (!b->stop || !b->stop(b->stop_cls)) return true;
    b->end = BUDGET_STOPPED;
    return false;
}

bool budget_ask(struct budget *b)
{
    if (!b) return true;
    b->ask_at = b->n_steps;
    return budget_spend_slowly(b, 0);
}

/* The reason in words. */
static sn_status reason(const struct budget *b, char *text, size_t n_bytes)
{
    switch (b->end) {
    case BUDGET_BYTES:
        snprintf(text, n_bytes, "this needs more than %zu bytes of memory, the limit",
                 b->limit_bytes);
        return SN_E_LIMIT;
    case BUDGET_STEPS:
        snprintf(text, n_bytes, "this takes more than %llu steps of work, the limit",
                 (unsigned long long)b->limit_steps);
        return SN_E_LIMIT;
    case BUDGET_STOPPED:
        snprintf(text, n_bytes, "%s", sn_status_text(SN_E_STOPPED));
        return SN_E_STOPPED;
    case BUDGET_OPEN:
        break;
    }
    return SN_OK;
}

sn_status budget_refuse(const struct budget *b, const char *where, sn_error *err)
{
    char            text[128];
    const sn_status rc = reason(b, text, sizeof text);

    return sn_fail(err, rc, where, "%s", text);
}

sn_status budget_settle(const struct budget *b, sn_status rc, sn_error *err)
{
    if (rc == SN_OK || !b || b->end == BUDGET_OPEN) return rc;
    /* Out of bytes is the reason only of a failure that says "no memory". */
    if (b->end == BUDGET_BYTES && rc != SN_E_NO_MEMORY) return rc;
    if (!err) return reason(b, (char[128]){0}, 128);
    err->code = reason(b, err->text, sizeof err->text);
    return err->code;
}
