/* fence: runs between pages that nobody may touch. Empty in builds without SN_FENCE.
 *
 * Memory of a plan is numbered (plan_fence() of core/compile/fence.c): 0 is that of steps that need
 * none and is a closed page, then come values, temporary memory and distributions. A run works on
 * copies of the plan's slots, tasks and distributions that have offsets in a mapping of its own. */
#ifdef SN_FENCE
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include "run/fence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tensor/tensor.h"

/* More open pieces than this and there are no closed pages between them: a process may have some
 * 65 000 mappings. */
enum { FENCE_MOST = 8192 };

/* ---- pieces of a mapping ------------------------------------------------------------------ */

/* Memory between closed pages: [from, to) of the pages [open, close), offsets in the mapping. */
struct piece {
    size_t bytes, align;
    size_t open, from, close;
};

/* Everything that one run has. */
struct fenced {
    const sn_plan *plan;
    struct piece  *piece; /* memory of the plan, of each lane; then inputs, then outputs */
    size_t         n_plan, n_pieces, lane_bytes, n_bytes, page;
    char          *at;
    size_t         n_tables; /* bytes of everything but the mapping */
    int            fill;
};

_Noreturn static void fail(const char *what, const char *where)
{
    fprintf(stderr, "fence: %s (%s)\n", what, where);
    abort();
}

/* Zeroed, and not from malloc(): a run allocates nothing. */
static void *map_pages(size_t n_bytes, int protection)
{
    void *at =
        mmap(NULL, n_bytes + 1, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (at == MAP_FAILED) fail("no memory", "mmap");
    return at;
}

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* Put a piece behind `at`; where the next one may begin. */
static size_t put(struct piece *p, size_t at, bool at_end, size_t page, size_t gap)
{
    const size_t aligned = round_up(p->bytes, p->align);

    p->open = at + gap;
    p->close = p->open + round_up(aligned, page);
    p->from = at_end ? p->close - aligned : p->open;
    return p->close;
}

static void lay_out(struct fenced *f, bool at_end)
{
    const size_t n_lanes = (size_t)f->plan->n_lanes;
    const size_t gap = f->n_plan * n_lanes + f->n_pieces < FENCE_MOST ? f->page : 0;
    size_t       at = 0;

    for (size_t i = 0; i < f->n_plan; i++)
        at = put(&f->piece[i], at, at_end, f->page, gap);
    f->lane_bytes = at;
    at *= n_lanes;
    for (size_t i = f->n_plan; i < f->n_pieces; i++)
        at = put(&f->piece[i], at, at_end, f->page, f->page);
    f->n_bytes = at + f->page;
}

static void open_piece(const struct fenced *f, const struct piece *p, size_t shift, int protection)
{
    if (p->open < p->close &&
        mprotect(f->at + p->open + shift, p->close - p->open, protection) != 0)
        fail("no memory", "mprotect");
}

/* Do the bytes around a piece still have what they were filled with? */
static bool is_whole(const struct fenced *f, const struct piece *p, size_t shift)
{
    const unsigned char *at = (const unsigned char *)f->at + shift;

    for (size_t i = p->open; i < p->from; i++)
        if (at[i] != f->fill) return false;
    for (size_t i = p->from + p->bytes; i < p->close; i++)
        if (at[i] != f->fill) return false;
    return true;
}

/* The module that makes, or needs, memory i of the plan. */
static const char *where_is(const sn_plan *p, size_t i)
{
    for (size_t t = 0; t < p->n_tasks; t++) {
        const struct task *task = &p->task[t];

        if (task->offset_bytes == i) return task->module->where;
        for (int k = 0; k < task->n_out; k++) {
            const int s = task->io[task->n_in + k];

            if (s != VALUE_ABSENT && p->slot[s].place == PLACE_SCRATCH &&
                p->slot[s].offset_bytes == i)
                return task->module->where;
        }
    }
    return "inputs, outputs or distributions";
}

static void check(const struct fenced *f)
{
    for (size_t i = 0; i < f->n_pieces; i++)
        for (int lane = 0; lane < (i < f->n_plan ? f->plan->n_lanes : 1); lane++)
            if (!is_whole(f, &f->piece[i], (size_t)lane * f->lane_bytes))
                fail("bytes beside a tensor, or beside temporary memory, were written",
                     i < f->n_plan ? where_is(f->plan, i) : "inputs or outputs");
}

/* ---- a run ---------------------------------------------------------------------------------- */

static size_t bytes_of(const sn_shape *shape, sn_dtype dtype)
{
    return (size_t)sn_shape_count(shape) * sn_dtype_bytes(dtype);
}

/* The sizes of all pieces for a batch. */
static void measure(struct fenced *f, const struct run *r, int64_t batch)
{
    const sn_plan *p = f->plan;
    struct piece  *in = f->piece + f->n_plan, *out = in + p->info.n_in;

    for (size_t i = 0; i < f->n_pieces; i++)
        f->piece[i].align = 1;
    for (size_t i = 0; i < p->fence->n; i++)
        f->piece[i] = (struct piece){.bytes = p->fence->bytes[i], .align = SN_ALIGN_BYTES};
    for (size_t s = 0; s < p->n_slots; s++) {
        const struct slot *v = &p->slot[s];
        const int64_t      most = v->span < p->n_spans ? p->span[v->span].samples : batch;
        const sn_shape     shape = run_shape(v, most < batch ? most : batch);

        if (v->place == PLACE_SCRATCH)
            f->piece[v->offset_bytes] =
                (struct piece){.bytes = bytes_of(&shape, (sn_dtype)v->dtype), .align = 1};
    }
    for (size_t i = 0; i < p->info.n_in; i++)
        if (p->in_slot[i] != VALUE_ABSENT) in[i].bytes = bytes_of(&r->in[i].shape, r->in[i].dtype);
    for (size_t i = 0; i < p->info.n_out; i++)
        if (p->out_slot[i] != VALUE_ABSENT && p->info.out[i].dtype != SN_NONE)
            out[i].bytes = bytes_of(&r->out[i].shape, r->out[i].dtype);
}

/* Copies of what says where memory is. */
struct tables {
    sn_plan      plan;
    struct task *task;
    struct slot *slot;
    struct dist *dist;
    sn_tensor   *in, *out;
};

static void *cut(char **at, const void *from, size_t n_bytes)
{
    char *to = *at;

    if (n_bytes) memcpy(to, from, n_bytes);
    *at += round_up(n_bytes, SN_ALIGN_BYTES);
    return to;
}

static size_t tables_bytes(const sn_plan *p)
{
    return p->n_tasks * sizeof *p->task + p->n_slots * sizeof *p->slot +
           p->n_dists * sizeof *p->dist + (p->info.n_in + p->info.n_out) * sizeof(sn_tensor) +
           6 * SN_ALIGN_BYTES;
}

/* The plan of `f`, with offsets in its mapping. */
static void set_tables(const struct fenced *f, const struct run *r, char *at, struct tables *ret)
{
    const sn_plan *p = f->plan;

    memcpy(&ret->plan, p, sizeof *p);
    ret->task = cut(&at, p->task, p->n_tasks * sizeof *p->task);
    ret->slot = cut(&at, p->slot, p->n_slots * sizeof *p->slot);
    ret->dist = cut(&at, p->dist, p->n_dists * sizeof *p->dist);
    ret->in = cut(&at, r->in, p->info.n_in * sizeof *r->in);
    ret->out = cut(&at, r->out, p->info.n_out * sizeof *r->out);
    for (size_t i = 0; i < p->n_tasks; i++)
        ret->task[i].offset_bytes = f->piece[p->task[i].offset_bytes].from;
    for (size_t i = 0; i < p->n_slots; i++)
        if (p->slot[i].place == PLACE_SCRATCH)
            ret->slot[i].offset_bytes = f->piece[p->slot[i].offset_bytes].from;
    for (size_t i = 0; i < p->n_dists; i++)
        ret->dist[i].offset_bytes = f->piece[p->dist[i].offset_bytes].from;
    for (size_t i = 0; i < p->info.n_in; i++)
        ret->in[i].data = f->at + f->piece[f->n_plan + i].from;
    for (size_t i = 0; i < p->info.n_out; i++)
        ret->out[i].data = f->at + f->piece[f->n_plan + p->info.n_in + i].from;
    ret->plan.task = ret->task;
    ret->plan.slot = ret->slot;
    ret->plan.dist = ret->dist;
    ret->plan.lane_bytes = f->lane_bytes;
}

/* Open the pages of a run, fill its memory, and copy the inputs into read-only pages. */
static void fill(const struct fenced *f, const struct run *r)
{
    for (size_t i = 0; i < f->n_pieces; i++) {
        const struct piece *p = &f->piece[i];
        const size_t        in = i - f->n_plan;

        for (int lane = 0; lane < (i < f->n_plan ? f->plan->n_lanes : 1); lane++) {
            const size_t shift = (size_t)lane * f->lane_bytes;

            open_piece(f, p, shift, PROT_READ | PROT_WRITE);
            memset(f->at + p->open + shift, f->fill, p->close - p->open);
        }
        if (i < f->n_plan || in >= f->plan->info.n_in || p->bytes == 0) continue;
        memcpy(f->at + p->from, r->in[in].data, p->bytes);
        open_piece(f, p, 0, PROT_READ);
    }
}

/* One pass; `ret_out` [n_out] gets the data of the outputs, in a mapping that the caller ends. */
static bool pass(struct fenced *f, struct run *r, int64_t batch, bool at_end, run_steps *steps,
                 sn_tensor *ret_out)
{
    char         *memory = map_pages(tables_bytes(f->plan), PROT_READ | PROT_WRITE);
    struct run    fenced = *r;
    struct tables t;
    bool          done;

    lay_out(f, at_end);
    f->fill = at_end ? 0x4b : 0xff; /* 13 million, and not a number */
    f->at = map_pages(f->n_bytes, PROT_NONE);
    set_tables(f, r, memory, &t);
    fill(f, r);
    fenced.plan = &t.plan;
    fenced.in = t.in;
    fenced.out = t.out;
    fenced.scratch = f->at;
    done = steps(&fenced, batch);
    check(f);
    for (size_t i = 0; i < f->plan->info.n_out; i++)
        ret_out[i] = t.out[i];
    munmap(memory, tables_bytes(f->plan) + 1);
    return done;
}

/* ---- twice ------------------------------------------------------------------------------------
 */

/* The running statistics that a run changes, to and from `at`. */
static size_t move_states(const sn_run_options *options, char *at, bool back)
{
    const size_t n = options->state ? sn_state_count(options->state) : 0;
    size_t       n_bytes = 0;

    for (size_t i = 0; i < n; i++) {
        sn_tensor t;
        size_t    size;

        sn_state_at(options->state, i, &t);
        size = bytes_of(&t.shape, t.dtype);
        if (at && back) memcpy(t.data, at + n_bytes, size);
        if (at && !back) memcpy(at + n_bytes, t.data, size);
        n_bytes += size;
    }
    return n_bytes;
}

/* The first pass. It neither asks the caller's stop hook nor teaches the balance, and running
 * statistics are put back afterwards: the second pass starts from the same. */
static void first_pass(struct fenced *f, const struct run *r, int64_t batch, run_steps *steps,
                       sn_tensor *ret_out)
{
    sn_run_options options = *r->options;
    sn_parallel    parallel = r->parallel ? *r->parallel : (sn_parallel){0};
    struct run     alone = *r;
    const size_t   n_state = move_states(&options, NULL, false);
    char          *state = map_pages(n_state, PROT_READ | PROT_WRITE);

    options.stop = NULL;
    parallel.balance = NULL;
    alone.options = &options;
    alone.parallel = r->parallel ? &parallel : NULL;
    move_states(&options, state, false);
    pass(f, &alone, batch, false, steps, ret_out);
    move_states(&options, state, true);
    munmap(state, n_state + 1);
}

bool fence_run(struct run *r, int64_t batch, run_steps *steps)
{
    const sn_plan *p = r->plan;
    const size_t   n_pieces = p->fence->n + p->info.n_in + p->info.n_out;
    const size_t   n_bytes = n_pieces * sizeof(struct piece);
    const size_t   n_out = p->info.n_out * sizeof(sn_tensor);
    char          *memory = map_pages(n_bytes + 2 * n_out, PROT_READ | PROT_WRITE);
    sn_tensor     *one = (sn_tensor *)(memory + n_bytes), *two = one + p->info.n_out;
    struct fenced  f = {.plan = p,
                        .piece = (struct piece *)memory,
                        .n_plan = p->fence->n,
                        .n_pieces = n_pieces,
                        .page = (size_t)sysconf(_SC_PAGESIZE)};
    const bool     learns = p->mode == SN_TRAIN && r->parallel && r->parallel->balance;
    bool           done;
    char          *first;
    size_t         n_first;

    measure(&f, r, batch);
    first_pass(&f, r, batch, steps, one);
    first = f.at;
    n_first = f.n_bytes;
    done = pass(&f, r, batch, true, steps, two);
    for (size_t i = 0; done && i < p->info.n_out; i++) {
        const size_t size = f.piece[f.n_plan + p->info.n_in + i].bytes;

        if (size == 0) continue;
        if (!learns && memcmp(one[i].data, two[i].data, size) != 0)
            fail("outputs depend on memory that nobody has written, or on where it lies",
                 p->subnet->net->name);
        memcpy(r->out[i].data, two[i].data, size);
    }
    munmap(first, n_first + 1);
    munmap(f.at, f.n_bytes + 1);
    munmap(memory, n_bytes + 2 * n_out + 1);
    return done;
}

#endif
