/* decision: the value that decisions give an argument, and what is still open. */
#include "live/decision.h"

#include <stdio.h>

#include "space/value.h"

const char *decision_allowed_text(const sn_choice *c, char *buf, size_t n_bytes)
{
    size_t at = 0;

    buf[0] = 0;
    for (size_t i = 0; i < c->n_candidates && i < 10; i++) {
        char one[64];

        at += (size_t)snprintf(buf + at, n_bytes - at, "%s%s", i ? ", " : "",
                               sn_value_text(&c->candidate[i], one, sizeof one));
        if (at >= n_bytes) return buf;
    }
    if (c->n_candidates > 10)
        snprintf(buf + at, n_bytes - at, " and %zu more", c->n_candidates - 10);
    return buf;
}

static bool is_less(const sn_value *a, const sn_value *b)
{
    if (a->kind == SN_KIND_INT && b->kind == SN_KIND_INT) return a->as.integer < b->as.integer;
    return value_compare_any(a, b) < 0;
}

/* The option that `v` equals; NULL if there is none. They are ascending. */
static const sn_value *find_option(const struct arg_slot *slot, const sn_value *v)
{
    size_t low = 0, high = slot->n_options;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (is_less(&slot->option[middle], v))
            low = middle + 1;
        else
            high = middle;
    }
    return low < slot->n_options && value_identical(&slot->option[low], v) ? &slot->option[low]
                                                                           : NULL;
}

sn_status decision_evaluate(const struct decision *decision, const struct arg_slot *slot,
                            sn_arena *mem, sn_value *ret_value, sn_error *err)
{
    const sn_value *value[64], **at = value, *option;
    sn_value        v;
    char            text[120];
    sn_status       rc;

    if (!slot->expr) {
        *ret_value = slot->fixed;
        return SN_OK;
    }
    if (slot->n_leaves > COUNT(value)) {
        at = arena_array(mem, slot->n_leaves, sizeof *at);
        if (!at) return fail_no_memory(err, slot->where);
    }
    for (size_t i = 0; i < slot->n_leaves; i++) {
        const struct decision *d = &decision[slot->leaf[i]];

        at[i] = d->state == DECISION_VALUE ? &d->value : NULL;
    }
    rc = expr_eval(slot->expr, at, mem, &v, err);
    if (rc != SN_OK) return rc;
    option = find_option(slot, &v);
    if (!option)
        return sn_fail(err, SN_E_EVALUATE, slot->where, "%s is none of the values of \"%.300s\"",
                       sn_value_text(&v, text, sizeof text), expr_text(slot->expr));
    *ret_value = *option;
    return SN_OK;
}

bool decision_is_soft(const struct decision *decision, const struct arg_slot *slot)
{
    for (size_t i = 0; i < slot->n_leaves; i++)
        if (decision[slot->leaf[i]].state == DECISION_SOFT) return true;
    return false;
}

const sn_choice *decision_open(const sn_supernet *net, const struct decision *decision,
                               const struct arg_slot *slot)
{
    for (size_t i = 0; i < slot->n_leaves; i++)
        if (decision[slot->leaf[i]].state == DECISION_OPEN) return &net->choice[slot->leaf[i]];
    return NULL;
}
