/* draft: an assignment under construction. Values are checked when they are set. */
#include <stdio.h>
#include <string.h>

#include "space/value.h"
#include "subnet/subnet.h"

enum {
    SHOWN_LABELS = 1000,  /* labels that a message is looked up in */
    TIDY_BYTES = 64 << 10 /* of lists that are not worth looking at */
};

static sn_status fail_label(const sn_supernet *net, const char *label, sn_error *err)
{
    const char *known[SHOWN_LABELS] = {NULL}, *closest;
    char        list[512];
    size_t      n = 0;

    for (; n < net->n_choices && n < SHOWN_LABELS; n++)
        known[n] = net->choice[n].label;
    closest = names_closest(label, known, n);
    if (closest)
        return sn_fail(err, SN_E_UNKNOWN_NAME, label,
                       "no choice is labelled \"%s\"; did you mean \"%s\"?", label, closest);
    return sn_fail(err, SN_E_UNKNOWN_NAME, label, "no choice is labelled \"%s\"; %s%s", label,
                   n ? "there are " : "there is nothing to choose",
                   n ? names_list(known, n, list, sizeof list) : "");
}

static sn_status fail_candidate(const sn_choice *c, const sn_value *v, sn_error *err)
{
    char text[128], allowed[768];

    return sn_fail(err, SN_E_NOT_CANDIDATE, c->label, "%s is not one of %s",
                   sn_value_text(v, text, sizeof text),
                   decision_allowed_text(c, allowed, sizeof allowed));
}

/* The index of the candidate that `v` means. Names of a LayerChoice that are
 * numbers ("0", "1") may be given as integers; indices of an InputChoice may be
 * negative in the compatibility mode, as in Python. */
static bool find_candidate(const sn_supernet *net, const sn_choice *c, const sn_value *v,
                           uint32_t *ret_index)
{
    char     digits[24];
    sn_value name = {.kind = SN_KIND_TEXT, .as.text = digits};
    int64_t  k;

    for (size_t i = 0; i < c->n_candidates; i++)
        if (sn_value_equal(&c->candidate[i], v)) {
            *ret_index = (uint32_t)i;
            return true;
        }
    if (!c->several || v->kind != SN_KIND_INT) return false;
    if (c->candidate[0].kind == SN_KIND_TEXT) {
        snprintf(digits, sizeof digits, "%lld", (long long)v->as.integer);
        return find_candidate(net, c, &name, ret_index);
    }
    if (!net->nni || v->as.integer >= 0) return false;
    k = v->as.integer + (int64_t)c->n_candidates;
    if (k < 0) return false;
    *ret_index = (uint32_t)k;
    return true;
}

/* How many a decision may name: the compatibility mode, like the original, does not count. */
static sn_status check_count(const sn_supernet *net, const sn_choice *c, size_t n, sn_error *err)
{
    const bool names = c->candidate[0].kind == SN_KIND_TEXT; /* a LayerChoice sums any number */
    char       allowed[768];

    if (n == 0) return sn_fail(err, SN_E_NOT_CANDIDATE, c->label, "an empty list chooses nothing");
    if (n > SN_MAX_PORTS)
        return sn_fail(err, SN_E_LIMIT, c->label, "%zu are chosen, at most %d can be", n,
                       SN_MAX_PORTS);
    if (!names && !net->nni && c->n_chosen != 0 && n != c->n_chosen)
        return sn_fail(err, SN_E_NOT_CANDIDATE, c->label,
                       "n_chosen is %zu, so that many of %s are needed, not %zu", c->n_chosen,
                       decision_allowed_text(c, allowed, sizeof allowed), n);
    return SN_OK;
}

/* What an expression reads is one value. */
static sn_status check_single(const sn_draft *draft, size_t i, size_t n, sn_error *err)
{
    const char *reader = draft->net->read_by[i], *label = draft->net->choice[i].label;

    if (n == 1 || !reader) return SN_OK;
    return sn_fail(err, SN_E_NOT_CANDIDATE, label,
                   "%zu are chosen, but an expression reads this label (at %.300s): it takes one",
                   n, reader);
}

/* The candidate, as it is shown. The original goes on showing 2 where that stands for the name
 * "2", and -1 for the last input. */
static sn_value shown_as(const sn_draft *draft, const sn_choice *c, const sn_value *v,
                         uint32_t pick)
{
    const bool as_given = draft->net->nni && c->several && v->kind == SN_KIND_INT &&
                          !draft->net->read_by[c - draft->net->choice];

    return as_given ? *v : c->candidate[pick];
}

/* Several, in the order given: a tuple of candidates. */
static sn_status decide_list(sn_draft *draft, const sn_choice *c, const sn_value *list,
                             struct decision *ret, sn_error *err)
{
    const size_t n = list->as.tuple.n;
    uint32_t    *pick = NULL;
    sn_value    *shown = NULL;

    if (!draft->lists) draft->lists = sn_arena_create();
    if (draft->lists) {
        pick = arena_array(draft->lists, n, sizeof *pick);
        shown = arena_array(draft->lists, n, sizeof *shown);
    }
    if (!pick || !shown) return fail_no_memory(err, c->label);
    for (size_t i = 0; i < n; i++) {
        if (!find_candidate(draft->net, c, &list->as.tuple.item[i], &pick[i]))
            return fail_candidate(c, &list->as.tuple.item[i], err);
        shown[i] = shown_as(draft, c, &list->as.tuple.item[i], pick[i]);
    }
    *ret = (struct decision){.state = DECISION_VALUE,
                             .list = true,
                             .n_pick = n,
                             .pick = pick,
                             .value = {.kind = SN_KIND_TUPLE, .as.tuple = {shown, n}}};
    return SN_OK;
}

/* Decide choice i: one candidate or, of `several`, a tuple of them. What is kept is the
 * candidate, in its own kind: 4 and not 4.0. */
static sn_status decide(sn_draft *draft, size_t i, const sn_value *v, sn_error *err)
{
    const sn_choice *c = &draft->net->choice[i];
    const bool       list = c->several && v->kind == SN_KIND_TUPLE;
    const size_t     n = list ? v->as.tuple.n : 1;
    struct decision *d = &draft->decision[i];
    const sn_value  *one = v;
    uint32_t         pick;
    sn_status        rc;

    if (c->several) {
        rc = check_count(draft->net, c, n, err);
        if (rc == SN_OK) rc = check_single(draft, i, n, err);
        if (rc != SN_OK) return rc;
    }
    /* In the compatibility mode a list of one stays a list, as in the original. */
    if (n > 1 || (list && draft->net->nni && !draft->net->read_by[i]))
        return decide_list(draft, c, v, d, err);
    if (list) one = v->as.tuple.item;
    if (!find_candidate(draft->net, c, one, &pick)) return fail_candidate(c, one, err);
    *d = (struct decision){.state = DECISION_VALUE,
                           .n_pick = 1,
                           .pick = &draft->net->candidate[pick],
                           .value = shown_as(draft, c, one, pick)};
    return SN_OK;
}

static bool copy_decision(sn_arena *mem, const struct decision *from, struct decision *ret)
{
    struct decision d = *from;
    uint32_t       *pick = NULL;

    if (from->state == DECISION_VALUE) {
        pick = arena_array(mem, from->n_pick, sizeof *pick);
        if (!pick || !value_copy(mem, &from->value, &d.value)) return false;
        memcpy(pick, from->pick, from->n_pick * sizeof *pick);
    }
    d.pick = pick;
    *ret = d;
    return true;
}

/* Lists that were replaced are garbage, and a draft may be changed for ever: those in use move to
 * new memory whenever there is twice as much. */
void draft_tidy(sn_draft *draft)
{
    const size_t     n = draft->net->n_choices;
    sn_arena        *lists;
    struct decision *copy;
    bool             all = true;

    if (!draft->lists || arena_bytes(draft->lists) < draft->tidy_at_bytes) return;
    lists = sn_arena_create();
    copy = lists ? arena_array(lists, n + 1, sizeof *copy) : NULL;
    for (size_t i = 0; copy && all && i < n; i++) {
        copy[i] = draft->decision[i];
        if (copy[i].list) all = copy_decision(lists, &draft->decision[i], &copy[i]);
    }
    if (!copy || !all) { /* not now, then */
        sn_arena_free(lists);
        return;
    }
    memcpy(draft->decision, copy, n * sizeof *copy);
    sn_arena_free(draft->lists);
    draft->lists = lists;
    draft->tidy_at_bytes = 2 * arena_bytes(lists) + TIDY_BYTES;
}

/* How a choice begins: open, or decided where there is a single possible decision. */
static sn_status begin_choice(sn_draft *draft, size_t i, sn_error *err)
{
    const sn_choice *c = &draft->net->choice[i];
    const sn_value   all = {.kind = SN_KIND_TUPLE, .as.tuple = {c->candidate, c->n_candidates}};

    draft->decision[i] = (struct decision){0};
    if (c->soft_only || c->derived || c->n_candidates != (c->n_chosen ? c->n_chosen : 1))
        return SN_OK;
    return decide(draft, i, c->n_candidates == 1 ? c->candidate : &all, err);
}

static sn_status begin_all(sn_draft *draft, sn_error *err)
{
    sn_status rc = SN_OK;

    for (size_t i = 0; rc == SN_OK && i < draft->net->n_choices; i++)
        rc = begin_choice(draft, i, err);
    return rc;
}

SN_EXPORT sn_status sn_draft_create(sn_supernet *net, sn_draft **ret_draft, sn_error *err)
{
    sn_arena *mem = sn_arena_create();
    sn_draft *d = mem ? ARENA_NEW(mem, sn_draft) : NULL;
    sn_status rc;

    if (d) d->decision = arena_array(mem, net->n_choices + 1, sizeof *d->decision);
    if (!d || !d->decision) {
        sn_arena_free(mem);
        return fail_no_memory(err, "choices");
    }
    d->mem = mem;
    d->tidy_at_bytes = TIDY_BYTES;
    d->net = sn_supernet_ref(net);
    rc = begin_all(d, err);
    if (rc)
        sn_draft_free(d);
    else
        *ret_draft = d;
    return rc;
}

SN_EXPORT sn_status sn_draft_create_from(const sn_subnet *subnet, sn_draft **ret_draft,
                                         sn_error *err)
{
    sn_draft *d = NULL;
    sn_status rc = sn_draft_create(subnet->net, &d, err);

    for (size_t i = 0; rc == SN_OK && i < subnet->net->n_choices; i++)
        if (subnet->decision[i].state != DECISION_OPEN &&
            !copy_decision(d->mem, &subnet->decision[i], &d->decision[i]))
            rc = fail_no_memory(err, "choices");
    if (rc == SN_OK)
        *ret_draft = d;
    else
        sn_draft_free(d);
    return rc;
}

SN_EXPORT void sn_draft_limits(sn_draft *draft, const sn_limits *limits)
{
    options_read(&draft->limits, sizeof draft->limits, limits);
}

SN_EXPORT sn_draft *sn_draft_free(sn_draft *draft)
{
    if (draft) {
        sn_supernet_unref(draft->net);
        sn_arena_free(draft->lists);
        sn_arena_free(draft->mem);
    }
    return NULL;
}

static sn_status check_free(const sn_choice *c, sn_error *err)
{
    if (!c->derived) return SN_OK;
    return sn_fail(err, SN_E_UNSUPPORTED, c->label,
                   "\"%s\" follows from the other decisions about its cell", c->label);
}

sn_status draft_set(sn_draft *draft, const char *label, const sn_value *value, sn_error *err)
{
    size_t i;

    if (!sn_supernet_find_choice(draft->net, label, &i)) return fail_label(draft->net, label, err);
    if (draft->net->choice[i].soft_only)
        return sn_fail(err, SN_E_UNSUPPORTED, label,
                       "\"%s\" only holds the weights of an edge of a Cell; what the Cell runs is "
                       "decided by its op_ and input_ labels",
                       label);
    if (check_free(&draft->net->choice[i], err) != SN_OK) return SN_E_UNSUPPORTED;
    return decide(draft, i, value, err);
}

SN_EXPORT sn_status sn_draft_set(sn_draft *draft, const char *label, const sn_value *value,
                                 sn_error *err)
{
    const sn_status rc = draft_set(draft, label, value, err);

    draft_tidy(draft);
    return rc;
}

SN_EXPORT sn_status sn_draft_soften(sn_draft *draft, const char *label, sn_error *err)
{
    size_t i;

    if (!sn_supernet_find_choice(draft->net, label, &i)) return fail_label(draft->net, label, err);
    if (check_free(&draft->net->choice[i], err) != SN_OK) return SN_E_UNSUPPORTED;
    draft->decision[i] = (struct decision){.state = DECISION_SOFT};
    return SN_OK;
}

SN_EXPORT sn_status sn_draft_clear(sn_draft *draft, const char *label, sn_error *err)
{
    size_t    i;
    sn_status rc;

    if (!sn_supernet_find_choice(draft->net, label, &i)) return fail_label(draft->net, label, err);
    rc = begin_choice(draft, i, err);
    draft_tidy(draft);
    return rc;
}

SN_EXPORT const sn_value *sn_draft_get(const sn_draft *draft, size_t choice)
{
    const struct decision *d = draft->decision;

    if (choice >= draft->net->n_choices) return NULL;
    return d[choice].state == DECISION_VALUE ? &d[choice].value : NULL;
}

SN_EXPORT bool sn_draft_is_soft(const sn_draft *draft, size_t choice)
{
    return choice < draft->net->n_choices && draft->decision[choice].state == DECISION_SOFT;
}
