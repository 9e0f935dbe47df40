/* fuzz_pipeline: a document, choices and a request, all the way: load, decide, seal, plan, run,
 * export, load again. What is refused is refused with a sentence; what runs gives the same bits
 * whatever the batch, the threads, the memory it found and the document it was read back from.
 *
 * Bytes that begin with '{' are a document, up to the first NUL; others decide about one
 * (grammar.h). The last bytes decide about everything else. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline.h"
#include "run/plan.h"
#include "subnet/subnet.h"
#include "supernet/engine.h"
#include "supernet/host.h"
#include "supernet/pool.h"
#include "supernet/train.h"

int    LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

enum { TAIL_BYTES = 40, MOST_SCRATCH = 1 << 22, MOST_RUN_BYTES = 1 << 20, MOST_THREADS = 3 };

struct trial {
    struct dice    dice; /* of all but the document */
    sn_registry   *reg;
    sn_supernet   *net;
    sn_policy     *policy;
    sn_subnet     *subnet;
    struct request request;
    sn_mode        mode;
    sn_exactness   exactness;
    int            n_threads;
    const float  **probs; /* by choice */
    size_t        *n_probs;
};

static int append(void *cls, const void *bytes, size_t n_bytes)
{
    text_add(cls, bytes, n_bytes);
    return 0;
}

/* ---- a loop as threads would run it, in some order ------------------------------------- */

struct order {
    enum { FORWARD, BACKWARD, SHUFFLED, N_ORDERS } kind;
    uint64_t seed;
};

static void serial_loop(void *pool, int n, void (*body)(void *cls, int i), void *cls)
{
    struct order *o = pool;
    int           at[16];

    REQUIRE(n >= 1 && n <= MOST_THREADS, "a loop of %d", n);
    for (int i = 0; i < n; i++)
        at[i] = o->kind == BACKWARD ? n - 1 - i : i;
    for (int i = n - 1; o->kind == SHUFFLED && i > 0; i--) {
        const int k =
            (int)((o->seed = o->seed * 6364136223846793005 + 1442695040888963407) >> 33) % (i + 1);
        const int swap = at[i];

        at[i] = at[k];
        at[k] = swap;
    }
    for (int i = 0; i < n; i++)
        body(cls, at[i]);
}

/* ---- bits ------------------------------------------------------------------------------- */

static bool same_number(float a, float b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (a != a && b != b);
}

/* `rows` of b from the beginning are those of a from row `first`; rows -1: all of both. */
static void require_same(const struct outputs *a, const struct outputs *b, int64_t first,
                         int64_t rows, const char *what)
{
    REQUIRE(a->n == b->n, "%s", what);
    for (size_t i = 0; i < a->n; i++) {
        const sn_tensor *x = &a->tensor[i], *y = &b->tensor[i];
        int64_t          n = sn_shape_count(&y->shape), row = 0;

        REQUIRE(x->dtype == y->dtype && x->shape.rank == y->shape.rank, "%s: output %zu", what, i);
        if (x->dtype == SN_NONE) continue;
        if (rows < 0) {
            REQUIRE(sn_shape_equal(&x->shape, &y->shape), "%s: output %zu", what, i);
        } else {
            n = n / y->shape.dim[0] * rows;
            row = sn_shape_count(&x->shape) / x->shape.dim[0] * first;
        }
        if (x->dtype != SN_F32) {
            REQUIRE(memcmp((char *)x->data + (size_t)row * sn_dtype_bytes(x->dtype), y->data,
                           (size_t)n * sn_dtype_bytes(x->dtype)) == 0,
                    "%s: output %zu", what, i);
            continue;
        }
        for (int64_t k = 0; k < n; k++) {
            const float u = ((float *)x->data)[row + k], v = ((float *)y->data)[k];

            REQUIRE(same_number(u, v), "%s: output %zu at %lld: %.9g, %.9g", what, i, (long long)k,
                    (double)u, (double)v);
        }
    }
}

/* ---- which networks keep rows apart ----------------------------------------------------- */

static bool mixes(const struct module *m, const sn_plan *p, const struct task *t)
{
    const struct slot *in = t->n_in && t->io[0] != VALUE_ABSENT ? &p->slot[t->io[0]] : NULL;
    const char        *type;

    if (!m || !m->op) return false;
    type = m->op->type;
    if (strcmp(type, "BatchNorm2d") == 0)
        for (size_t k = 0; k < m->n_args; k++)
            if (strcmp(m->arg[k].name, "track_running_stats") == 0)
                return !m->arg[k].fixed.as.boolean;
    if (strcmp(type, "MultiheadAttention") == 0)
        for (size_t k = 0; k < m->n_args; k++)
            if (strcmp(m->arg[k].name, "batch_first") == 0) return !m->arg[k].fixed.as.boolean;
    if (strcmp(type, "Softmax") == 0)
        return !in || m->arg[0].fixed.as.integer == 0 || m->arg[0].fixed.as.integer == -in->rank;
    return false;
}

static bool is_row(const sn_plan *p, int slot)
{
    const struct slot *s = slot == VALUE_ABSENT ? NULL : &p->slot[slot];

    if (!s || s->batch_dims == 0) return true;
    return s->batch_dims == 1 && s->dim[0] == 0 && s->dim[s->rank] == 1;
}

/* Row i of every value is a matter of row i of the inputs, as far as the shapes say. */
static bool keeps_rows(const sn_plan *p)
{
    if (p->info.fixed_batch || p->info.max_batch == 0 || p->mode == SN_TRAIN) return false;
    for (size_t i = 0; i < p->n_tasks; i++) {
        const struct task *t = &p->task[i];
        bool               batched = false;

        if (mixes(t->module, p, t)) return false;
        for (int k = 0; k < t->n_in; k++)
            batched |= t->io[k] != VALUE_ABSENT && p->slot[t->io[k]].batch_dims;
        for (int k = 0; k < t->n_in + t->n_out; k++) {
            if (!is_row(p, t->io[k])) return false;
            if (batched && k >= t->n_in && t->io[k] != VALUE_ABSENT &&
                !p->slot[t->io[k]].batch_dims)
                return false;
        }
        if (!is_row(p, t->residual) || !is_row(p, t->gate)) return false;
    }
    for (size_t i = 0; i < p->info.n_in; i++)
        if (!is_row(p, p->in_slot[i])) return false;
    for (size_t i = 0; i < p->info.n_out; i++)
        if (p->out_slot[i] != VALUE_ABSENT &&
            (!is_row(p, p->out_slot[i]) || !p->slot[p->out_slot[i]].batch_dims))
            return false;
    return true;
}

/* ---- deciding ----------------------------------------------------------------------------- */

static sn_value odd_value(struct dice *d)
{
    static const sn_value pair[] = {{.kind = SN_KIND_INT, .as.integer = 1},
                                    {.kind = SN_KIND_INT, .as.integer = -1}};
    static const sn_value odd[] = {
        {.kind = SN_KIND_NULL},
        {.kind = SN_KIND_BOOL, .as.boolean = true},
        {.kind = SN_KIND_INT, .as.integer = -1},
        {.kind = SN_KIND_INT, .as.integer = INT64_MAX},
        {.kind = SN_KIND_FLOAT, .as.real = 4.0},
        {.kind = SN_KIND_FLOAT, .as.real = 0.0 / 0.0},
        {.kind = SN_KIND_TEXT, .as.text = "a"},
        {.kind = SN_KIND_TEXT, .as.text = ""},
        {.kind = SN_KIND_TUPLE, .as.tuple = {pair, 2}},
        {.kind = SN_KIND_TUPLE, .as.tuple = {pair, 0}},
        {.kind = SN_KIND_TUPLE, .as.tuple = {pair, 1}},
    };

    return odd[dice_below(d, COUNT(odd))];
}

/* A decided value is a candidate, in its kind; what an expression reads is one of them. */
static void check_decision(const sn_supernet *net, size_t i, const sn_value *v)
{
    const sn_choice *c = &net->choice[i];
    bool             is_candidate = false;

    for (size_t k = 0; k < c->n_candidates; k++)
        is_candidate |= sn_value_same(v, &c->candidate[k]);
    if (!c->several) REQUIRE(is_candidate, "%s has a value that is no candidate", c->label);
    if (net->read_by[i])
        REQUIRE(is_candidate, "%s has several values, but is read by %s", c->label,
                net->read_by[i]);
}

static void set_one(sn_draft *draft, const sn_choice *c, const sn_value *v)
{
    const sn_supernet *net = draft->net;
    const size_t       i = (size_t)(c - net->choice);
    sn_error           err = {0};

    if (sn_draft_set(draft, c->label, v, &err))
        REQUIRE(*err.text, "a sentence");
    else
        check_decision(net, i, sn_draft_get(draft, i));
}

static void decide_one(struct trial *t, sn_draft *draft, const sn_choice *c)
{
    sn_error err = {0};
    sn_value item[4], v;
    size_t   n;

    switch (dice_below(&t->dice, 8)) {
    case 0: /* the value; what no policy would give is refused there */
        v = c->candidate[dice_below(&t->dice, (unsigned)c->n_candidates)];
        set_one(draft, c, &v);
        break;
    case 1:
        n = dice_below(&t->dice, 5);
        for (size_t i = 0; i < n; i++)
            item[i] = c->candidate[dice_below(&t->dice, (unsigned)c->n_candidates)];
        v = (sn_value){.kind = SN_KIND_TUPLE, .as.tuple = {item, n}};
        set_one(draft, c, &v);
        break;
    case 2:
        if (!dice_once_in(&t->dice, 3)) break;
        v = odd_value(&t->dice);
        set_one(draft, c, &v);
        break;
    case 3:
        if (dice_once_in(&t->dice, 3)) sn_draft_soften(draft, c->label, &err);
        break;
    default:
        break;
    }
}

static const char *const classes[] = {"path",           "random", "max",       "min", "path",
                                      "differentiable", "gumbel", "proxyless", "enas"};

/* Sometimes a policy is told something, or saved and read back. */
static void teach(struct trial *t)
{
    static const char *const updates[] = {
        "{\"temperature\": 0.5}",
        "{\"alpha\": {}}",
        "{\"reward\": 0.5}",
        "{\"alpha\": {\"w1\": [1, 0, -1]}}",
        "{\"alpha\": {\"w1\": [1e999]}}",
        "{\"rewards\": [{\"choices\": {\"w1\": 4}, \"reward\": 1}]}",
        "{\"rewards\": 1, \"temperature\": -1}",
        "[]",
        "{\"reward\": null}",
    };
    struct text   a = {0}, b = {0};
    const sn_sink to_a = {append, &a}, to_b = {append, &b};
    sn_error      err = {0};

    if (dice_once_in(&t->dice, 3) &&
        sn_policy_update(t->policy, updates[dice_below(&t->dice, COUNT(updates))], &err))
        REQUIRE(*err.text, "a sentence");
    err = (sn_error){0};
    if (dice_once_in(&t->dice, 4) && sn_policy_save(t->policy, &to_a, &err) == SN_OK) {
        REQUIRE(sn_policy_load(t->policy, a.at, &err) == SN_OK, "%s", err.text);
        REQUIRE(sn_policy_save(t->policy, &to_b, &err) == SN_OK, "%s", err.text);
        REQUIRE(a.n == b.n && memcmp(a.at, b.at, a.n) == 0, "a state is saved as it was read");
    }
    free(a.at);
    free(b.at);
}

/* The same decisions give the same subnet, as values too. */
static void seal_again(const struct trial *t)
{
    const size_t n = sn_supernet_n_choices(t->net);
    sn_draft    *draft = NULL;
    sn_subnet   *again = NULL;
    sn_error     err = {0};

    REQUIRE(sn_draft_create(t->net, &draft, NULL) == SN_OK, "draft");
    for (size_t i = 0; i < n; i++) {
        const sn_value  *v = sn_subnet_value(t->subnet, i);
        const sn_choice *c = sn_supernet_choice(t->net, i);

        REQUIRE(!v || sn_subnet_is_active(t->subnet, i), "%s", c->label);
        if (v) check_decision(t->net, i, v);
        if (c->derived) continue;
        if (v && sn_draft_set(draft, c->label, v, &err))
            REQUIRE(false, "%s cannot be set to what it is: %s", c->label, err.text);
        if (sn_subnet_is_soft(t->subnet, i) && sn_draft_soften(draft, c->label, &err))
            REQUIRE(false, "%s: %s", c->label, err.text);
    }
    if (sn_draft_seal(draft, &again, &err)) REQUIRE(false, "%s: %s", err.where, err.text);
    REQUIRE(strcmp(sn_subnet_id(t->subnet), sn_subnet_id(again)) == 0 &&
                sn_subnet_equal(t->subnet, again),
            "the active choices are the subnet");
    sn_subnet_unref(again);
    sn_draft_free(draft);
}

static bool choose(struct trial *t)
{
    const size_t n = sn_supernet_n_choices(t->net);
    const char *class = classes[dice_below(&t->dice, COUNT(classes))];
    char      options[64];
    sn_draft *draft = NULL;
    sn_error  err = {0};
    sn_rng    rng;
    sn_status rc;

    sn_rng_seed(&rng, dice_below(&t->dice, 256));
    REQUIRE(sn_draft_create(t->net, &draft, NULL) == SN_OK, "draft");
    for (size_t i = 0; i < n && i < 16; i++)
        decide_one(t, draft, sn_supernet_choice(t->net, i));
    /* a small controller, for its state is written and read */
    snprintf(options, sizeof options, "{\"seed\": %u%s}", dice_below(&t->dice, 256),
             class[0] == 'e' ? ", \"lstm_size\": 2" : "");
    rc =
        sn_policy_create(t->net, class, strchr("dge", class[0]) ? options : NULL, &t->policy, &err);
    if (rc == SN_OK) {
        teach(t);
        rc = dice_once_in(&t->dice, 4) ? sn_policy_best(t->policy, &rng, draft, &err)
                                       : sn_policy_resample(t->policy, &rng, draft, &err);
    }
    /* a refusal keeps the draft usable, open choices being named when it is sealed */
    REQUIRE(rc == SN_OK || *err.text, "a sentence");
    err = (sn_error){0};
    rc = sn_draft_seal(draft, &t->subnet, &err);
    sn_draft_free(draft);
    if (rc) {
        REQUIRE(!t->subnet && *err.text && rc == err.code, "a sentence");
        return false;
    }
    seal_again(t);
    if (t->subnet->soft)
        for (size_t i = 0; i < n; i++) {
            const sn_choice *c = sn_supernet_choice(t->net, i);
            float           *p;

            if (!sn_subnet_is_soft(t->subnet, i)) continue;
            p = calloc(c->n_candidates, sizeof *p);
            t->probs[i] = p;
            t->n_probs[i] = c->n_candidates;
            if (!t->policy || sn_policy_probs(t->policy, &rng, i, p, NULL) != SN_OK)
                for (size_t k = 0; k < c->n_candidates; k++)
                    p[k] = 1.0f / (float)(k + 1);
        }
    return true;
}

/* ---- running ------------------------------------------------------------------------------- */

static sn_plan *compile(const struct trial *t, sn_subnet *subnet, int64_t batch, int n_threads,
                        sn_error *err)
{
    sn_desc            in[SN_MAX_PORTS];
    sn_compile_options options = {.size = sizeof options,
                                  .in = in,
                                  .n_in = sn_supernet_n_inputs(t->net),
                                  .mode = t->mode,
                                  .exactness = t->exactness,
                                  .scratch_limit_bytes = MOST_SCRATCH,
                                  .memory_limit_bytes = 64 << 20,
                                  .n_threads = n_threads};
    sn_plan           *plan = NULL;
    sn_status          rc;

    request_describe(&t->request, sn_subnet_supernet(subnet), batch, in);
    rc = sn_plan_compile(subnet, &options, &plan, err);
    REQUIRE(rc == err->code && !plan == (rc != SN_OK) && (rc == SN_OK || *err->text), "a sentence");
    return plan;
}

/* Outputs that are too large for many runs; and plans that would take too long. */
static bool is_small(const sn_plan *plan)
{
    const sn_plan_info *info = sn_plan_describe(plan);
    size_t              n = info->scratch_bytes;

    for (size_t i = 0; i < info->n_in + info->n_out; i++) {
        const sn_desc *desc = i < info->n_in ? &info->in[i] : &info->out[i - info->n_in];
        const int64_t  count = desc->dtype == SN_NONE ? 0 : sn_shape_count(&desc->shape);

        if (count > MOST_RUN_BYTES) return false; /* also what no sum of bytes could hold */
        n += (size_t)count * 8;
    }
    return n <= MOST_RUN_BYTES && info->cost.macs < 1 << 22;
}

static void run(const struct trial *t, const sn_plan *plan, struct run r, struct outputs *ret)
{
    sn_error  err = {0};
    sn_status rc;

    r.probs = t->probs;
    r.n_probs = t->n_probs;
    rc = pipeline_run(plan, &t->request, &r, ret, &err);
    REQUIRE(rc == SN_OK, "what was planned does not run: %s: %s", err.where, err.text);
}

static bool stop_later(void *cls)
{
    int *left = cls;

    return (*left)-- <= 0;
}

static void run_until_stopped(struct trial *t, const sn_plan *plan)
{
    int              left = (int)dice_below(&t->dice, 8);
    const struct run r = {.batch = t->request.largest,
                          .fill = 0xff,
                          .probs = t->probs,
                          .n_probs = t->n_probs,
                          .stop = stop_later,
                          .stop_cls = &left};
    struct outputs   o;
    sn_error         err = {0};
    sn_status        rc = pipeline_run(plan, &t->request, &r, &o, &err);

    REQUIRE(rc == SN_OK || rc == SN_E_STOPPED, "%s", err.text);
    outputs_fini(&o);
}

/* What does not fit the plan is refused, or was no misuse of this one. */
static void run_badly(struct trial *t, const sn_plan *plan)
{
    struct run r = {.batch = t->request.largest,
                    .probs = t->probs,
                    .n_probs = t->n_probs,
                    .misuse = 1 + dice_below(&t->dice, N_MISUSES - 1)};
    const bool has_output =
        plan->info.n_out && plan->info.out[0].dtype == SN_F32 && plan->info.out[0].shape.rank > 0;
    const bool     has_input = plan->info.n_in && plan->info.in[0].dtype != SN_NONE;
    struct outputs o;
    sn_error       err = {0};
    sn_status      rc = pipeline_run(plan, &t->request, &r, &o, &err);

    if (r.misuse == NO_SCRATCH   ? plan->info.scratch_bytes > 0
        : r.misuse == LONG_INPUT ? has_input
                                 : has_output)
        REQUIRE(rc != SN_OK && *err.text, "misuse %d is not noticed", r.misuse);
    outputs_fini(&o);
}

/* Too few weights for a distribution are refused. */
static void run_with_few_weights(struct trial *t, const sn_plan *plan)
{
    const size_t   n = sn_supernet_n_choices(t->net);
    struct run     r = {.batch = t->request.largest, .probs = t->probs, .n_probs = t->n_probs};
    struct outputs o;
    float         *few;
    const float   *all;
    sn_error       err = {0};

    for (size_t i = 0; i < n; i++) {
        if (!t->probs[i]) continue;
        all = t->probs[i];
        few = malloc(--t->n_probs[i] * sizeof *few);
        memcpy(few, all, t->n_probs[i] * sizeof *few);
        t->probs[i] = few;
        REQUIRE(pipeline_run(plan, &t->request, &r, &o, &err) != SN_OK && *err.text, "few weights");
        outputs_fini(&o);
        t->probs[i] = all;
        t->n_probs[i]++;
        free(few);
        return;
    }
}

/* Do two steps of a plan belong to one module? */
static bool runs_again(const sn_plan *plan, size_t n_modules)
{
    sn_step_info step;
    bool        *seen = calloc(n_modules, sizeof *seen), again = false;

    for (size_t i = 0; !again && sn_plan_step_at(plan, i, &step); i++) {
        again = seen[step.module];
        seen[step.module] = true;
    }
    free(seen);
    return again;
}

/* What a subnet costs is no matter of how it is planned, but that training counts every run of a
 * module where evaluation computes the same values once. */
static void same_cost(struct trial *t, const sn_plan *plan)
{
    const sn_cost *a = &plan->info.cost, *b;
    const sn_mode  mode = t->mode;
    sn_error       err = {0};
    sn_plan       *other;

    t->mode = mode == SN_EVAL ? SN_TRAIN : SN_EVAL;
    other = compile(t, t->subnet, t->request.largest, 1, &err);
    t->mode = mode;
    if (!other) return;
    b = &other->info.cost;
    REQUIRE(a->params == b->params &&
                (a->macs == b->macs || (a->macs < b->macs && runs_again(other, t->net->n_modules))),
            "%llu parameters and %llu products, but in the other mode %llu and %llu",
            (unsigned long long)a->params, (unsigned long long)a->macs,
            (unsigned long long)b->params, (unsigned long long)b->macs);
    sn_plan_unref(other);
}

/* An empty batch has an empty answer, or is refused. */
static void run_nothing(const struct trial *t, const sn_plan *plan)
{
    const struct run r = {.batch = 0, .fill = 0xff, .probs = t->probs, .n_probs = t->n_probs};
    struct outputs   o;
    sn_error         err = {0};

    if (plan->info.fixed_batch || plan->info.max_batch == 0) return;
    if (pipeline_run(plan, &t->request, &r, &o, &err)) REQUIRE(*err.text, "a sentence");
    outputs_fini(&o);
}

static void run_smaller(struct trial *t, const sn_plan *plan, const struct outputs *whole,
                        int64_t batch, int64_t first)
{
    const bool     rows = keeps_rows(plan);
    sn_error       err = {0};
    sn_plan       *own = compile(t, t->subnet, batch, 1, &err);
    struct outputs a, b;

    if (plan->info.fixed_batch || plan->info.max_batch == 0) {
        /* its own plan may be refused, and answers another question */
        if (own && is_small(own)) {
            run(t, own, (struct run){.batch = batch, .fill = 0xff}, &a);
            outputs_fini(&a);
        }
        sn_plan_unref(own);
        return;
    }
    REQUIRE(own, "batch %lld is refused, but not %lld: %s: %s", (long long)batch,
            (long long)plan->info.max_batch, err.where, err.text);
    if (!rows) first = 0;
    run(t, plan, (struct run){.batch = batch, .first = first, .fill = 0xff}, &a);
    run(t, own, (struct run){.batch = batch, .first = first, .fill = 0x01}, &b);
    require_same(&a, &b, 0, -1, "the plan for this batch and the one for the largest");
    if (rows) require_same(whole, &a, first, batch, "some rows alone");
    outputs_fini(&a);
    outputs_fini(&b);
    sn_plan_unref(own);
}

/* Choices as they were written make the subnet again. */
static void read_choices(struct trial *t, const struct text *choices)
{
    sn_draft  *draft = NULL;
    sn_subnet *subnet = NULL;
    sn_error   err = {0};

    for (size_t i = 0; i < sn_supernet_n_choices(sn_subnet_supernet(t->subnet)); i++)
        if (sn_subnet_is_soft(t->subnet, i)) return;
    REQUIRE(sn_draft_create(sn_subnet_supernet(t->subnet), &draft, &err) == SN_OK, "draft");
    if (sn_draft_read_choices(draft, choices->at, choices->n, &err) ||
        sn_draft_seal(draft, &subnet, &err))
        REQUIRE(err.code == SN_E_LIMIT, "%s: %s\n%s", err.where, err.text, choices->at);
    if (subnet)
        REQUIRE(strcmp(sn_subnet_id(subnet), sn_subnet_id(t->subnet)) == 0, "%s", choices->at);
    sn_subnet_unref(subnet);
    sn_draft_free(draft);
}

static int count_winograd(const sn_plan *plan)
{
    sn_step_info step;
    int          n = 0;

    for (size_t i = 0; sn_plan_step_at(plan, i, &step); i++)
        n += step.variant && strncmp(step.variant, "winograd", 8) == 0;
    return n;
}

/* A 3x3 kernel that is the middle of a larger one is Winograd's only in its export. */
static bool rounds_alike(const sn_plan *plan, const sn_plan *exported)
{
    const int here = count_winograd(plan), there = count_winograd(exported);

    REQUIRE(here <= there, "an export has %d steps of Winograd's, its subnet %d", there, here);
    return here == there;
}

/* `refused`: the subnet cannot be planned, as an embed_dim of 31 with two heads; then its export
 * may not be read. plan: NULL if that, or if it is not to be run. */
static void run_export(struct trial *t, bool refused, const sn_plan *plan,
                       const struct outputs *whole)
{
    struct text    spec = {0}, bytes = {0}, choices = {0};
    const sn_sink  to_spec = {append, &spec}, to_bytes = {append, &bytes};
    const sn_sink  to_choices = {append, &choices};
    sn_error       err = {0};
    sn_weights    *weights = NULL;
    sn_supernet   *net = NULL;
    sn_draft      *draft = NULL;
    sn_subnet     *subnet = NULL;
    sn_plan       *again = NULL;
    struct outputs o = {0};

    REQUIRE(sn_subnet_write_choices(t->subnet, &to_choices, &err) == SN_OK, "%s", err.text);
    read_choices(t, &choices);
    if (sn_subnet_write_spec(t->subnet, &to_spec, &err) ||
        sn_subnet_write_weights(t->subnet, &to_bytes, &err)) {
        REQUIRE(*err.text, "a sentence");
        goto end;
    }
    bytes.at = realloc(bytes.at, bytes.n);
    REQUIRE(sn_weights_borrow(bytes.at, bytes.n, "export", &weights, &err) == SN_OK, "%s",
            err.text);
    if (sn_supernet_load(spec.at, spec.n, weights, t->reg, &net, &err))
        REQUIRE(refused || err.code == SN_E_LIMIT, "an export does not load: %s: %s\n%s", err.where,
                err.text, spec.at);
    if (!net) goto end;
    REQUIRE(strcmp(sn_supernet_space_size(net), "1") == 0, "an export has choices: %s", spec.at);
    REQUIRE(sn_draft_create(net, &draft, &err) == SN_OK, "draft");
    if (sn_draft_seal(draft, &subnet, &err))
        REQUIRE(false, "%s: %s\n%s", err.where, err.text, spec.at);
    if (!plan) goto end;
    again = compile(t, subnet, t->request.largest, 1, &err);
    REQUIRE(again, "an export does not run: %s: %s\n%s", err.where, err.text, spec.at);
    REQUIRE(again->info.fixed_batch == plan->info.fixed_batch, "\n%s", spec.at);
    if (t->mode == SN_EVAL) {
        run(t, again, (struct run){.batch = t->request.largest, .fill = 0xff}, &o);
        if (rounds_alike(plan, again)) require_same(whole, &o, 0, -1, "an export");
    }
end:
    outputs_fini(&o);
    sn_plan_unref(again);
    sn_subnet_unref(subnet);
    sn_draft_free(draft);
    sn_supernet_unref(net);
    sn_weights_unref(weights);
    free(spec.at);
    free(bytes.at);
    free(choices.at);
}

static void check_plan(struct trial *t, const sn_plan *plan)
{
    const int64_t  most = t->request.largest;
    const bool     certain = t->mode == SN_EVAL && !t->subnet->soft;
    sn_state      *state = NULL;
    struct order   order = {.kind = dice_below(&t->dice, N_ORDERS), .seed = t->request.seed};
    sn_balance    *balance = NULL;
    struct outputs a, b;
    sn_plan       *one;
    sn_error       err = {0};

    if (t->mode == SN_TRAIN) {
        REQUIRE(sn_state_create(t->net, &state, NULL) == SN_OK, "state");
        run(t, plan, (struct run){.batch = most, .fill = 0xff, .state = state}, &a);
        state = sn_state_free(state);
        REQUIRE(sn_state_create(t->net, &state, NULL) == SN_OK, "state");
    } else {
        run(t, plan, (struct run){.batch = most, .fill = 0xff}, &a);
    }
    run(t, plan, (struct run){.batch = most, .fill = 0, .state = state}, &b);
    require_same(&a, &b, 0, -1, "other bytes in the scratch memory before");
    outputs_fini(&b);
    if (t->n_threads > 1) {
        const sn_parallel parallel = {.run = serial_loop,
                                      .pool = &order,
                                      .n_threads =
                                          1 + (int)dice_below(&t->dice, (unsigned)t->n_threads)};
        sn_parallel       p = parallel;

        if (dice_once_in(&t->dice, 3) && sn_balance_create(t->n_threads, &balance, NULL) == SN_OK)
            p.balance = balance;
        run(t, plan, (struct run){.batch = most, .fill = 0x7f, .state = state, .parallel = &p}, &b);
        if (certain) require_same(&a, &b, 0, -1, "on several threads");
        outputs_fini(&b);
        sn_balance_free(balance);
    }
    if (t->mode == SN_EVAL) {
        run_until_stopped(t, plan);
        run_badly(t, plan);
        if (t->subnet->soft) run_with_few_weights(t, plan);
        same_cost(t, plan);
        run_nothing(t, plan);
    }
    if (certain) {
        if (t->n_threads > 1 && (one = compile(t, t->subnet, most, 1, &err))) {
            run(t, one, (struct run){.batch = most, .fill = 0xff}, &b);
            require_same(&a, &b, 0, -1, "a plan for one thread");
            outputs_fini(&b);
            sn_plan_unref(one);
        }
        if (dice_once_in(&t->dice, 4))
            for (int64_t batch = 1; batch < most; batch++)
                run_smaller(t, plan, &a, batch, 0);
        for (int i = 0; i < 2; i++) {
            const int64_t batch = 1 + (int64_t)dice_below(&t->dice, (unsigned)most);

            run_smaller(t, plan, &a, batch,
                        (int64_t)dice_below(&t->dice, (unsigned)(most - batch + 1)));
        }
    }
    if (!t->subnet->soft) run_export(t, false, plan, &a);
    outputs_fini(&a);
    sn_state_free(state);
}

static void try_subnet(struct trial *t)
{
    static const int64_t largest[] = {3, 1, 2, 4, 5, 7, 8, 9, 16, 17};
    sn_error             err = {0};
    sn_plan             *plan;

    t->request.seed = dice_below(&t->dice, 256);
    t->request.largest = largest[dice_below(&t->dice, COUNT(largest))];
    for (size_t i = 0; i < COUNT(t->request.size); i++)
        t->request.size[i] = 1 + (int64_t)dice_below(&t->dice, 9);
    t->request.absent = dice_below(&t->dice, 2) ? dice_below(&t->dice, 256) : 0;
    t->request.special = dice_once_in(&t->dice, 12);
    t->mode = dice_once_in(&t->dice, 5) ? SN_TRAIN : SN_EVAL;
    t->exactness = dice_below(&t->dice, 3);
    t->n_threads = 1 + (int)dice_below(&t->dice, MOST_THREADS);
    plan = compile(t, t->subnet, t->request.largest, t->n_threads, &err);
    if (plan && is_small(plan))
        check_plan(t, plan);
    else if (!t->subnet->soft && dice_once_in(&t->dice, 2))
        run_export(t, !plan, NULL, NULL);
    sn_plan_unref(plan);
}

static void try_document(const struct text *doc, struct dice tail, sn_registry *reg)
{
    struct trial  t = {.dice = tail, .reg = reg};
    struct loaded l;
    sn_error      err = {0};

    if (!pipeline_load(doc->at, doc->n, dice_below(&t.dice, 256), reg, &l, &err)) return;
    t.net = l.net;
    t.probs = calloc(sn_supernet_n_choices(t.net) + 1, sizeof *t.probs);
    t.n_probs = calloc(sn_supernet_n_choices(t.net) + 1, sizeof *t.n_probs);
    if (choose(&t)) try_subnet(&t);
    for (size_t i = 0; i < sn_supernet_n_choices(t.net); i++)
        free((void *)t.probs[i]);
    free(t.probs);
    free(t.n_probs);
    sn_subnet_unref(t.subnet);
    sn_policy_free(t.policy);
    loaded_fini(&l);
}

/* The document that `data` begins with or decides about, and the dice for the rest. */
static struct dice take_document(const uint8_t *data, size_t size, struct text *ret_doc)
{
    const uint8_t *end;
    struct dice    head;
    size_t         n;

    if (size && data[0] == '{') {
        end = memchr(data, 0, size);
        n = end ? (size_t)(end - data) : size;
        text_add(ret_doc, (const char *)data, n);
    } else {
        n = size > 2 * TAIL_BYTES ? size - TAIL_BYTES : size / 2;
        head = (struct dice){data, data + n};
        grammar_document(&head, ret_doc);
    }
    return (struct dice){data + n, data + size};
}

/* Bytes are changed as the fuzzer does it; documents, half of the time, by a slip. Now and then
 * decisions become the document that they make. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    struct text doc = {0};
    struct dice rest, dice;
    uint8_t     bytes[8];
    size_t      n_rest;
    sn_rng      rng;

    sn_rng_seed(&rng, seed);
    if (size == 0 || sn_rng_below(&rng, data[0] == '{' ? 2 : 50))
        return LLVMFuzzerMutate(data, size, max_size);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)sn_rng_next(&rng);
    dice = (struct dice){bytes, bytes + sizeof bytes};
    rest = take_document(data, size, &doc);
    n_rest = (size_t)(rest.end - rest.at);
    if (data[0] == '{') grammar_slip(&dice, &doc);
    if (data[0] != '{') text_add(&doc, "", 1);
    if (doc.n + n_rest <= max_size) {
        memmove(data + doc.n, rest.at, n_rest);
        memcpy(data, doc.at, doc.n);
        size = doc.n + n_rest;
    }
    free(doc.at);
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sn_registry *reg;
    struct text         doc = {0};
    struct dice         tail = take_document(data, size, &doc);

    if (!reg) REQUIRE(sn_registry_create(&reg, NULL) == SN_OK, "registry");
    for (unsigned slips = dice_below(&tail, 6); slips > 3; slips--)
        grammar_slip(&tail, &doc);
    if (getenv("FUZZ_SHOW")) fprintf(stderr, "%s\n", doc.at);
    try_document(&doc, tail, reg);
    free(doc.at);
    return 0;
}
