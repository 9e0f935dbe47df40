/* place: an offset for each buffer, so that buffers that are needed at the same time do not
 * overlap.
 *
 * Greedy by size: larger buffers are placed first, each at the lowest offset where it overlaps none
 * of those that are placed and needed at the same time. These are found by an interval tree: leaves
 * are sorted by first step, and each node keeps the largest last step of the placed leaves below
 * it. In 30 000 layers in a row each buffer has few such neighbours, and only they are looked at.
 * Plans of few intervals, which are most, compare all pairs.
 *
 * Where thousands are needed at once, that is too slow. Such plans allocate and free in the order
 * of the steps, always at the lowest free offset (first fit): as good where sizes are equal. */
#include "compile/place.h"

#include <stdlib.h>
#include <string.h>

/* How many neighbours may be looked at in all: plans of some thousand intervals stay below it
 * whatever their lifetimes are. */
enum { MEET_MOST = 1 << 20, MEET_EACH = 64 };

/* Up to so many intervals all pairs are compared, and up to so many neighbours sorted by insertion.
 */
enum { FEW = 512, FEW_MET = 32 };

struct leaf {
    int    step;
    size_t interval;
};

struct bytes {
    size_t from, to;
};

static int larger_first(const void *a, const void *b)
{
    const struct interval *x = a, *y = b;

    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return (x->first > y->first) - (x->first < y->first);
}

static int earlier_first(const void *a, const void *b)
{
    const struct leaf *x = a, *y = b;

    if (x->step != y->step) return x->step > y->step ? 1 : -1;
    return (x->interval > y->interval) - (x->interval < y->interval);
}

static int lower_first(const void *a, const void *b)
{
    const struct bytes *x = a, *y = b;

    return (x->from > y->from) - (x->from < y->from);
}

bool placing_init(struct placing *p, struct interval *all, size_t n, sn_arena *mem)
{
    *p = (struct placing){.all = all, .n = n, .n_leaves = 1};
    while (p->n_leaves < n)
        p->n_leaves *= 2;
    p->leaf = arena_array(mem, n + 1, sizeof *p->leaf);
    p->end = arena_array(mem, n + 1, sizeof *p->end);
    p->at = arena_array(mem, n + 1, sizeof *p->at);
    p->until = arena_array(mem, 2 * p->n_leaves, sizeof *p->until);
    p->met = arena_array(mem, n + 1, sizeof *p->met);
    p->taken = arena_array(mem, n + 1, sizeof *p->taken);
    p->zone = arena_array(mem, 2 * n + 1, sizeof *p->zone);
    if (!p->leaf || !p->end || !p->at || !p->until || !p->met || !p->taken || !p->zone ||
        !blocks_init(&p->free_bytes, n, mem))
        return false;
    qsort(all, n, sizeof *all, larger_first);
    return true;
}

/* Forget what was placed; lifetimes may have changed. */
static void start(struct placing *p)
{
    p->budget = MEET_MOST + MEET_EACH * p->n;
    memset(p->until, -1, (p->n <= FEW ? p->n : 2 * p->n_leaves) * sizeof *p->until);
    if (p->n <= FEW) return;
    for (size_t i = 0; i < p->n; i++)
        p->leaf[i] = (struct leaf){p->all[i].first, i};
    qsort(p->leaf, p->n, sizeof *p->leaf, earlier_first);
    for (size_t i = 0; i < p->n; i++)
        p->at[p->leaf[i].interval] = i;
}

static void add(struct placing *p, size_t i)
{
    if (p->n <= FEW) {
        p->until[i] = p->all[i].last;
        return;
    }
    for (size_t node = p->n_leaves + p->at[i]; node > 0; node /= 2)
        if (p->until[node] < p->all[i].last) p->until[node] = p->all[i].last;
}

/* Append those of the leaves [from, from + width) below `node`, before leaf `end`, that are still
 * needed at step `first`. */
static void meet_below(struct placing *p, size_t node, size_t from, size_t width, size_t end,
                       int first)
{
    if (from >= end || p->until[node] < first) return;
    if (width == 1) {
        p->met[p->n_met++] = p->leaf[from].interval;
        return;
    }
    meet_below(p, 2 * node, from, width / 2, end, first);
    meet_below(p, 2 * node + 1, from + width / 2, width / 2, end, first);
}

static void meet_few(struct placing *p, size_t i)
{
    const struct interval *me = &p->all[i];

    p->n_met = 0;
    for (size_t k = 0; k < i; k++)
        if (p->until[k] >= me->first && p->all[k].first <= me->last) p->met[p->n_met++] = k;
}

/* Find the placed intervals whose lifetimes overlap that of interval i; false: too many were looked
 * at. */
static bool meet(struct placing *p, size_t i)
{
    size_t low = 0, high = p->n; /* the leaves that begin after it ends */

    if (p->n <= FEW) {
        meet_few(p, i);
        return true;
    }

    while (low < high) {
        const size_t mid = (low + high) / 2;

        if (p->leaf[mid].step <= p->all[i].last)
            low = mid + 1;
        else
            high = mid;
    }
    p->n_met = 0;
    if (p->budget == 0) return false;
    meet_below(p, 1, 0, p->n_leaves, low, p->all[i].first);
    p->budget -= p->n_met < p->budget ? p->n_met : p->budget;
    return true;
}

static void sort_taken(struct bytes *taken, size_t n)
{
    if (n > FEW_MET) {
        qsort(taken, n, sizeof *taken, lower_first);
        return;
    }
    for (size_t k = 1; k < n; k++) {
        const struct bytes one = taken[k];
        size_t             at = k;

        for (; at > 0 && taken[at - 1].from > one.from; at--)
            taken[at] = taken[at - 1];
        taken[at] = one;
    }
}

/* The lowest offset where interval i overlaps none of those that meet() has found. */
static size_t lowest(struct placing *p, size_t i)
{
    size_t at = 0;

    for (size_t k = 0; k < p->n_met; k++) {
        const struct interval *o = &p->all[p->met[k]];

        p->taken[k] = (struct bytes){o->offset, o->offset + o->bytes};
    }
    sort_taken(p->taken, p->n_met);
    for (size_t k = 0; k < p->n_met; k++) {
        if (p->taken[k].from >= at + p->all[i].bytes) break;
        if (p->taken[k].to > at) at = p->taken[k].to;
    }
    return at;
}

/* First fit: each at the lowest offset that is free when its lifetime begins. */
static bool place_in_order(struct placing *p, size_t *ret_total)
{
    *ret_total = 0;
    blocks_start(&p->free_bytes);
    for (size_t i = 0; i < p->n; i++)
        p->end[i] = (struct leaf){p->all[i].last, i};
    qsort(p->end, p->n, sizeof *p->end, earlier_first);
    for (size_t k = 0, ended = 0; k < p->n; k++) {
        struct interval *me = &p->all[p->leaf[k].interval];

        for (; p->end[ended].step < me->first; ended++) {
            const struct interval *gone = &p->all[p->end[ended].interval];

            if (gone->bytes) blocks_give(&p->free_bytes, gone->offset, gone->bytes);
        }
        me->offset = me->bytes ? blocks_take(&p->free_bytes, me->bytes) : 0;
        if (me->offset == BLOCKS_NONE) return false;
        if (me->offset + me->bytes > *ret_total) *ret_total = me->offset + me->bytes;
    }
    return true;
}

bool place_packed(struct placing *p, size_t *ret_total)
{
    *ret_total = 0;
    start(p);
    for (size_t i = 0; i < p->n; i++) {
        struct interval *me = &p->all[i];
        size_t           end;

        if (!meet(p, i)) return place_in_order(p, ret_total);
        me->offset = lowest(p, i);
        if (__builtin_add_overflow(me->offset, me->bytes, &end)) return false;
        if (end > *ret_total) *ret_total = end;
        add(p, i);
    }
    return true;
}

/* Give each interval the first zone that no overlapping interval placed before it has; temporary
 * memory of steps has a zone of its own. Intervals come in order of size, so the first in a zone is
 * its largest. */
static bool find_zones(struct placing *p, size_t most, size_t *first, size_t *ret_n,
                       size_t *ret_total)
{
    size_t *taken = p->zone; /* by zone: the last interval that found it taken */
    size_t  of_temporaries = SIZE_MAX;

    *ret_n = *ret_total = 0;
    start(p);
    for (size_t i = 0; i < p->n; i++) {
        struct interval *me = &p->all[i];
        size_t           zone = 0;

        if (me->temporary) {
            zone = of_temporaries < *ret_n ? of_temporaries : *ret_n;
        } else {
            if (!meet(p, i)) return false;
            for (size_t k = 0; k < p->n_met; k++)
                taken[p->all[p->met[k]].zone] = i;
            while (zone < *ret_n && (taken[zone] == i || zone == of_temporaries))
                zone++;
            add(p, i);
        }
        me->zone = zone;
        if (zone < *ret_n) continue;
        if (me->bytes > most - *ret_total) return false;
        if (me->temporary) of_temporaries = zone;
        *ret_total += me->bytes;
        taken[zone] = first[zone] = i;
        ++*ret_n;
    }
    return true;
}

void place_zones(struct placing *p, size_t most, size_t *ret_total)
{
    size_t *first = p->zone + p->n, *from = p->zone; /* where a zone begins */
    size_t  n_zones, total, at = 0;

    if (!find_zones(p, most, first, &n_zones, &total)) return;
    *ret_total = total;
    for (size_t zone = 0; zone < n_zones; zone++) {
        from[zone] = at;
        at += p->all[first[zone]].bytes;
    }
    for (size_t i = 0; i < p->n; i++) {
        struct interval *me = &p->all[i];
        const size_t     room = p->all[first[me->zone]].bytes - me->bytes;

        me->offset = from[me->zone] + room / 2 / SN_ALIGN_BYTES * SN_ALIGN_BYTES;
    }
}
