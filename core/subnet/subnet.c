/* subnet: a sealed assignment. Only active choices are kept, so that equal
 * architectures are equal objects with equal ids. */
#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "base/digest.h"
#include "live/nasbench101.h"
#include "live/network.h"
#include "space/value.h"
#include "subnet/subnet.h"

/* 128 bits of SHA-256 over the specification's digest and, in the order of the
 * space, each active label with its value as Python would print it. */
static sn_status make_id(sn_subnet *s, sn_error *err)
{
    static const char hex[] = "0123456789abcdef";
    struct digest     digest;
    struct text       t = {0};
    uint8_t           sum[32];

    for (size_t i = 0; i < s->net->n_choices; i++) {
        if (!s->active[i]) continue;
        text_json_string(&t, s->net->choice[i].label);
        text_add(&t, ":", 1);
        if (s->decision[i].state == DECISION_SOFT)
            text_add(&t, "~", 1); /* no value prints like this */
        else
            text_json_value(&t, &s->decision[i].value);
        text_add(&t, "\n", 1);
    }
    if (t.failed) {
        free(t.at);
        return fail_no_memory(err, "choices");
    }
    digest_init(&digest);
    digest_add(&digest, s->net->digest, sizeof s->net->digest);
    digest_add(&digest, t.at, t.n);
    digest_final(&digest, sum);
    free(t.at);
    for (size_t i = 0; i < 16; i++) {
        s->id[2 * i] = hex[sum[i] >> 4];
        s->id[2 * i + 1] = hex[sum[i] & 15];
    }
    s->id[32] = 0;
    return SN_OK;
}

/* Candidates belong to the supernet, which a subnet holds alive: only lists are copied. */
static sn_status copy_decision(sn_arena *mem, const struct decision *from, struct decision *to,
                               sn_error *err)
{
    const size_t n = from->n_pick;
    uint32_t    *pick;
    sn_value    *shown;

    *to = *from;
    if (!from->list) return SN_OK;
    pick = arena_array(mem, n, sizeof *pick);
    shown = arena_array(mem, n, sizeof *shown);
    if (!pick || !shown) return fail_no_memory(err, "choices");
    memcpy(pick, from->pick, n * sizeof *pick);
    memcpy(shown, from->value.as.tuple.item, n * sizeof *shown);
    to->pick = pick;
    to->value.as.tuple.item = shown;
    return SN_OK;
}

/* The decisions of the draft and what follows from them. */
static sn_status complete(const sn_draft *draft, sn_arena *mem, struct decision **ret_decision,
                          sn_error *err)
{
    const size_t     n = draft->net->n_choices;
    struct decision *all = arena_array(mem, n + 1, sizeof *all);

    if (!all) return fail_no_memory(err, "choices");
    if (n) memcpy(all, draft->decision, n * sizeof *all);
    *ret_decision = all;
    return nasbench101_derive(draft->net, mem, all, err);
}

enum { SEAL_BYTES = 64 << 20, SEAL_STEPS = 1 << 26 };

struct budget draft_budget(const sn_draft *draft)
{
    const sn_limits *l = &draft->limits;

    return budget_of(l->stop, l->stop_cls,
                     l->memory_limit_bytes ? l->memory_limit_bytes : SEAL_BYTES,
                     l->step_limit ? l->step_limit : SEAL_STEPS);
}

SN_EXPORT sn_status sn_draft_seal(const sn_draft *draft, sn_subnet **ret_subnet, sn_error *err)
{
    const sn_supernet *net = draft->net;
    sn_arena          *work = sn_arena_create(), *mem = sn_arena_create();
    sn_subnet         *s = mem ? ARENA_NEW(mem, sn_subnet) : NULL;
    struct decision   *decision = NULL;
    struct network     w;
    struct budget      budget = draft_budget(draft);
    sn_status          rc = SN_E_NO_MEMORY;

    if (s && work && (!arena_limit(mem, &budget) || !arena_limit(work, &budget))) s = NULL;
    if (s) {
        s->decision = arena_array(mem, net->n_choices + 1, sizeof *s->decision);
        s->active = arena_array(mem, net->n_choices + 1, sizeof *s->active);
    }
    if (!work || !s || !s->decision || !s->active) {
        fail_no_memory(err, "choices");
        goto out;
    }
    rc = complete(draft, work, &decision, err);
    if (!rc) rc = network_expand(net, decision, work, &w, err);
    if (rc) goto out;
    network_mark_active(&w, s->active);
    s->net = draft->net;
    s->mem = mem;
    atomic_init(&s->n_refs, 1);
    for (size_t i = 0; !rc && i < net->n_choices; i++) {
        if (!s->active[i]) continue;
        rc = copy_decision(mem, &decision[i], &s->decision[i], err);
        s->soft = s->soft || decision[i].state == DECISION_SOFT;
    }
    if (!rc) rc = make_id(s, err);
    if (rc) goto out;
    sn_supernet_ref(s->net);
    arena_limit(mem, NULL);
    *ret_subnet = s;
    mem = NULL;
out:
    sn_arena_free(work);
    sn_arena_free(mem);
    return budget_settle(&budget, rc, err);
}

SN_EXPORT const char *sn_subnet_id(const sn_subnet *subnet)
{
    return subnet->id;
}

SN_EXPORT const sn_value *sn_subnet_value(const sn_subnet *subnet, size_t choice)
{
    const struct decision *d = subnet->decision;

    if (choice >= subnet->net->n_choices || subnet->net->choice[choice].derived) return NULL;
    return d[choice].state == DECISION_VALUE ? &d[choice].value : NULL;
}

SN_EXPORT bool sn_subnet_is_active(const sn_subnet *subnet, size_t choice)
{
    return choice < subnet->net->n_choices && subnet->active[choice] &&
           !subnet->net->choice[choice].derived;
}

SN_EXPORT bool sn_subnet_is_soft(const sn_subnet *subnet, size_t choice)
{
    return choice < subnet->net->n_choices && subnet->decision[choice].state == DECISION_SOFT;
}

SN_EXPORT bool sn_subnet_equal(const sn_subnet *a, const sn_subnet *b)
{
    if (a == b) return true;
    if (a->net != b->net) return false;
    for (size_t i = 0; i < a->net->n_choices; i++) {
        const struct decision *x = &a->decision[i], *y = &b->decision[i];

        if (x->state != y->state) return false;
        if (x->state == DECISION_VALUE && !sn_value_same(&x->value, &y->value)) return false;
    }
    return true;
}

SN_EXPORT size_t sn_subnet_bytes(const sn_subnet *subnet)
{
    return arena_bytes(subnet->mem);
}

SN_EXPORT sn_supernet *sn_subnet_supernet(const sn_subnet *subnet)
{
    return subnet->net;
}

SN_EXPORT sn_subnet *sn_subnet_ref(sn_subnet *subnet)
{
    ref_take(&subnet->n_refs);
    return subnet;
}

SN_EXPORT sn_subnet *sn_subnet_unref(sn_subnet *subnet)
{
    if (subnet && ref_drop(&subnet->n_refs)) {
        sn_supernet_unref(subnet->net);
        sn_arena_free(subnet->mem);
    }
    return NULL;
}
