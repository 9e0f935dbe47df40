/* memory: give every intermediate tensor an offset in the scratch memory.
 *
 * A tensor is needed from the step that writes it to the last step that reads it. Two tensors may
 * share bytes if these lifetimes do not overlap (place.c): layers in a row need two buffers, not
 * one each. A sum is written over its residual if nobody else needs that, and outputs are written
 * straight to the caller's memory.
 *
 * With two threads, each writes one half of a tensor. Writing a byte is slow if another core wrote
 * it last, for it must be fetched from that core's cache. So plans for several threads put the
 * middle of all tensors at the same address, if that costs little memory (place_zones).
 *
 * In: steps with their input and output values. Out: lifetimes (plan_lives); then offsets and total
 * bytes (plan_memory). */
#include "compile/compile.h"
#include "compile/place.h"
#include "tensor/growth.h"

static size_t align_up(size_t n)
{
    return (n + SN_ALIGN_BYTES - 1) & ~(size_t)(SN_ALIGN_BYTES - 1);
}

/* Bytes for as many samples as its span has at a time. */
static size_t value_bytes(const struct sn_plan *p, const struct value *v)
{
    const int64_t samples = p->span[v->span].samples;
    const bool    part = samples < p->info.max_batch && v->batch_dims;
    const size_t  n = part ? (size_t)(sn_shape_count(&v->unit) * samples)
                           : (size_t)sn_shape_count(&v->desc.shape);

    return n * sn_dtype_bytes(v->desc.dtype);
}

/* Outputs are the caller's memory: the root of each is written there, or copied
 * there if it is an input or another output too. */
static sn_status place_outputs(struct sn_plan *p, int *output, sn_error *err)
{
    for (size_t i = 0; i < p->info.n_out; i++) {
        struct value *root;
        struct step   copy = {.kind = STEP_COPY, .module = p->subnet->net->root};
        int           to;

        if (output[i] == VALUE_ABSENT || p->value[output[i]].desc.dtype == SN_NONE) continue;
        root = &p->value[p->value[output[i]].root];
        if (root->place == PLACE_NONE) {
            root->place = PLACE_OUTPUT;
            root->port = (int)i;
            continue;
        }
        to = plan_add_value(p);
        if (to < 0) return fail_no_memory(err, "plan");
        p->value[to] = p->value[output[i]];
        p->value[to].root = to;
        p->value[to].place = PLACE_OUTPUT;
        p->value[to].port = (int)i;
        copy.call.n_in = copy.call.n_out = 1;
        copy.in = &output[i];
        copy.out = &to;
        if (!plan_add_step(p, &copy)) return fail_no_memory(err, "plan");
        output[i] = to;
    }
    return SN_OK;
}

/* Aliases are only needed up to here. */
static void drop_aliases(struct sn_plan *p)
{
    size_t n = 0;

    for (size_t i = 0; i < p->n_steps; i++)
        if (p->step[i].kind != STEP_ALIAS) p->step[n++] = p->step[i];
    p->n_steps = n;
}

static void find_lives(struct sn_plan *p)
{
    for (size_t i = 0; i < p->n_steps; i++) {
        const struct step *s = &p->step[i];

        for (size_t k = 0; k < s->call.n_out; k++)
            p->value[s->out[k]].first = p->value[s->out[k]].last = (int)i;
        for (size_t k = 0; k < s->call.n_in; k++)
            if (s->in[k] != VALUE_ABSENT) p->value[p->value[s->in[k]].root].last = (int)i;
        if (s->adds) p->value[p->value[s->residual].root].last = (int)i;
        if (s->gated) p->value[p->value[s->gate].root].last = (int)i;
        for (int k = 0; k < s->n_patches; k++)
            if (s->patch[k].value >= 0) p->value[s->patch[k].value].last = (int)i;
    }
}

/* Follow the roots to the last one, and shorten the path (union-find). */
static int root_of(struct sn_plan *p, int v)
{
    while (p->value[v].root != v) {
        p->value[v].root = p->value[p->value[v].root].root;
        v = p->value[v].root;
    }
    return v;
}

/* Does the step read this root as anything but its residual? */
static bool reads_otherwise(struct sn_plan *p, const struct step *s, int root)
{
    for (size_t k = 0; k < s->call.n_in; k++)
        if (s->in[k] != VALUE_ABSENT && root_of(p, s->in[k]) == root) return true;
    return s->gated && root_of(p, s->gate) == root;
}

/* A sum may take the bytes of its residual, if this step is the last to need them: fewer bytes in
 * the cache. */
static void write_over_residuals(struct sn_plan *p)
{
    for (size_t i = 0; i < p->n_steps; i++) {
        const struct step *s = &p->step[i];
        const int          out = s->call.n_out > 0 ? s->out[0] : VALUE_ABSENT;
        struct value      *y, *x;
        int                root;

        if (!s->adds || !s->variant || !(s->variant->fuses & SN_FUSES_IN_PLACE) || out < 0)
            continue;
        root = root_of(p, s->residual);
        x = &p->value[root];
        y = &p->value[out];
        if (y->root != out || y->place != PLACE_NONE || x->place != PLACE_NONE || x->first < 0 ||
            x->last != (int)i || reads_otherwise(p, s, root) || y->layout != x->layout ||
            y->desc.dtype != x->desc.dtype || !growth_equal(&y->growth, &x->growth) ||
            !sn_shape_equal(&y->desc.shape, &x->desc.shape))
            continue;
        x->last = y->last;
        y->root = root;
    }
    for (int v = 0; v < p->n_values; v++)
        p->value[v].root = root_of(p, v);
}

static void swap(int *a, int *b)
{
    const int t = *a;

    *a = *b;
    *b = t;
}

static void swap_lives(struct interval *all, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        swap(&all[i].first, &all[i].chain_first);
        swap(&all[i].last, &all[i].chain_last);
    }
}

static bool has_chains(const struct interval *all, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (all[i].first != all[i].chain_first || all[i].last != all[i].chain_last) return true;
    return false;
}

/* Place again with lifetimes widened to whole chains, and keep that if it takes no more than `most`
 * bytes. Otherwise place as before, and drop all chains. */
static void place_chained(struct sn_plan *p, struct placing *w, size_t most, size_t *ret_total)
{
    size_t total;

    swap_lives(w->all, w->n);
    if (place_packed(w, &total) && total <= most) {
        *ret_total = total;
        return;
    }
    swap_lives(w->all, w->n);
    place_packed(w, &total); /* as before */
    for (size_t i = 0; i < p->n_steps; i++)
        p->step[i].chain_from = p->step[i].chain_to = 0;
}

static int chain_first(const struct sn_plan *p, int first)
{
    const struct step *s = first < 0 ? NULL : &p->step[first];

    return s && s->chain_to ? (int)s->chain_from : first;
}

static int chain_last(const struct sn_plan *p, int last)
{
    const struct step *s = last < 0 ? NULL : &p->step[last];

    return s && s->chain_to ? (int)s->chain_to - 1 : last;
}

/* Bytes for each lane below the caller's limit. */
static size_t room_for_lane(const struct sn_plan *p, size_t base)
{
    const size_t limit = p->scratch_limit_bytes ? p->scratch_limit_bytes : SIZE_MAX / 2;

    return limit > base ? (limit - base) / (size_t)p->n_lanes : 0;
}

static sn_status place_scratch(struct sn_plan *p, size_t base, sn_arena *work, sn_error *err)
{
    const size_t     cap = (size_t)p->n_values + p->n_steps;
    struct interval *all = arena_array(work, cap + 1, sizeof *all);
    struct placing   w;
    size_t           n = 0, total;

    if (!all) return fail_no_memory(err, "plan");
    for (int v = 0; v < p->n_values; v++) {
        struct value *value = &p->value[v];

        if (value->root != v || value->place != PLACE_NONE || value->first < 0 ||
            value->desc.dtype == SN_NONE)
            continue;
        value->place = PLACE_SCRATCH;
        all[n++] = (struct interval){.bytes = align_up(value_bytes(p, value)),
                                     .first = value->first,
                                     .last = value->last,
                                     .chain_first = chain_first(p, value->first),
                                     .chain_last = chain_last(p, value->last),
                                     .ret_offset = &value->offset_bytes};
    }
    for (size_t i = 0; i < p->n_steps; i++) {
        if (p->step[i].scratch_bytes > SIZE_MAX / 2) /* a plug-in may say anything */
            return sn_fail(err, SN_E_LIMIT, p->step[i].call.where,
                           "%s asks for %zu bytes of temporary memory", p->step[i].module->type,
                           p->step[i].scratch_bytes);
        if (p->step[i].scratch_bytes)
            all[n++] = (struct interval){.bytes = align_up(p->step[i].scratch_bytes),
                                         .first = (int)i,
                                         .last = (int)i,
                                         .chain_first = (int)i,
                                         .chain_last = (int)i,
                                         .temporary = true,
                                         .ret_offset = &p->step[i].offset_bytes};
    }
    if (!placing_init(&w, all, n, work)) return fail_no_memory(err, "plan");
    if (!place_packed(&w, &total) || total > SIZE_MAX / 2 - base)
        return sn_fail(err, SN_E_LIMIT, "plan", "the activations need too much memory");
    if (total > room_for_lane(p, base)) p->n_lanes = 1;
    if (p->n_threads > 1) { /* may cost half as much memory again, within the limit */
        const size_t room = room_for_lane(p, base);
        const size_t most = total + total / 2 < room ? total + total / 2 : room;

        if (has_chains(all, n)) place_chained(p, &w, most, &total);
        place_zones(&w, most, &total);
    }
    for (size_t i = 0; i < n; i++)
        *all[i].ret_offset = base + all[i].offset;
    p->lane_bytes = total;
    p->info.scratch_bytes = base + total * (size_t)p->n_lanes;
    return SN_OK;
}

sn_status plan_lives(struct sn_plan *p, sn_error *err)
{
    sn_status rc = place_outputs(p, (int *)p->output, err);

    if (rc) return rc;
    drop_aliases(p);
    find_lives(p);
    write_over_residuals(p);
    return SN_OK;
}

sn_status plan_memory(struct sn_plan *p, sn_error *err)
{
    sn_arena *work = sn_arena_create();
    size_t    base = 0;
    sn_status rc;

    if (!work) return fail_no_memory(err, "plan");
    for (size_t i = 0; i < p->n_dists; i++) { /* weights of options stay for the whole run */
        p->dist[i].offset_bytes = base;
        base = align_up(base + p->dist[i].n_options * sizeof(float));
    }
    rc = place_scratch(p, base, work, err);
    sn_arena_free(work);
    return rc ? rc : plan_fence(p, err);
}
