/* plan_cache: see plan_cache.h. Plans are released outside the lock. */
#include "resident/plan_cache.h"

#include <stdlib.h>
#include <string.h>

#include "supernet/host.h"
#include "supernet/weights.h"

/* All that a plan depends on: two requests with equal keys may run the same plan. What a plan is
 * compiled from and is not in here is the same for all. */
struct plan_key {
    uint64_t       version; /* of the load: the weights */
    sn_subnet     *subnet;
    sn_mode        mode;
    sn_exactness   exactness;
    int            n_threads;           /* what was asked for; it may be compiled for fewer, */
    size_t         scratch_limit_bytes; /* because of this */
    size_t         n_in;
    const sn_desc *in; /* the batch in it is the largest that the plan runs, or the only one */
};

static struct plan_key key_of(const struct model *m, sn_subnet *subnet,
                              const sn_compile_options *options, const sn_desc *in)
{
    return (struct plan_key){
        .version = m->version,
        .subnet = subnet,
        .mode = options->mode,
        .exactness = options->exactness,
        .n_threads = options->n_threads,
        .scratch_limit_bytes = options->scratch_limit_bytes,
        .n_in = options->n_in,
        .in = in,
    };
}

static bool same_inputs(const struct plan_key *a, const struct plan_key *b)
{
    if (a->n_in != b->n_in) return false;
    for (size_t i = 0; i < a->n_in; i++)
        if (a->in[i].dtype != b->in[i].dtype ||
            (a->in[i].dtype != SN_NONE && !sn_shape_equal(&a->in[i].shape, &b->in[i].shape)))
            return false;
    return true;
}

/* The one place that says when two keys are the same. Of a subnet the id alone is not enough:
 * clients choose what is hashed. */
static bool key_equal(const struct plan_key *a, const struct plan_key *b)
{
    return a->version == b->version && a->mode == b->mode && a->exactness == b->exactness &&
           a->n_threads == b->n_threads && a->scratch_limit_bytes == b->scratch_limit_bytes &&
           same_inputs(a, b) && sn_subnet_equal(a->subnet, b->subnet);
}

/* Of what differs from request to request; the rest is left to key_equal(). */
static uint64_t hash_of(const struct plan_key *k)
{
    const char *id = sn_subnet_id(k->subnet);
    uint64_t    h = api_hash(k->version, id, strlen(id));

    for (size_t i = 0; i < k->n_in; i++)
        if (k->in[i].dtype != SN_NONE)
            h = api_hash(h, k->in[i].shape.dim, (size_t)k->in[i].shape.rank * sizeof(int64_t));
    return h;
}

struct entry {
    struct api_lru_node node; /* first: a node is an entry */
    struct plan_key     key;  /* its subnet is the plan's, its inputs are in[] */
    sn_plan            *plan;
    size_t              bytes;
    struct entry       *next; /* on a list of entries to free */
    sn_desc             in[];
};

static bool matches(const struct api_lru_node *node, const void *cls)
{
    return key_equal(&((const struct entry *)node)->key, cls);
}

static void free_list(struct entry *e)
{
    while (e) {
        struct entry *next = e->next;

        sn_plan_unref(e->plan);
        free(e);
        e = next;
    }
}

/* Under the lock: unlink and put on `list`. */
static void unlink_entry(struct plan_cache *c, struct entry *e, struct entry **list)
{
    api_lru_remove(&c->plans, &e->node);
    c->bytes -= e->bytes;
    account_discharge(c->account, ACCOUNT_PLANS, e->bytes);
    e->next = *list;
    *list = e;
}

bool api_plan_cache_init(struct plan_cache *c, size_t max_bytes, struct account *account)
{
    *c = (struct plan_cache){.max_bytes = max_bytes, .account = account};
    return pthread_mutex_init(&c->lock, NULL) == 0;
}

void api_plan_cache_fini(struct plan_cache *c)
{
    struct entry *list = NULL;

    while (c->plans.oldest)
        unlink_entry(c, (struct entry *)c->plans.oldest, &list);
    free_list(list);
    api_lru_fini(&c->plans);
    pthread_mutex_destroy(&c->lock);
}

/* Can a plan that was made for `k` run the inputs of `exact`? */
static bool serves(const sn_plan *plan, const struct plan_key *k, const struct plan_key *exact)
{
    return !sn_plan_describe(plan)->fixed_batch || same_inputs(k, exact);
}

/* A plan for the larger batch, or for exactly this one. */
static sn_plan *find(struct plan_cache *c, const struct plan_key *larger, uint64_t larger_hash,
                     const struct plan_key *exact)
{
    struct entry *e;
    sn_plan      *plan = NULL;

    pthread_mutex_lock(&c->lock);
    e = (struct entry *)api_lru_find(&c->plans, larger_hash, matches, larger);
    if ((!e || !serves(e->plan, larger, exact)) && !same_inputs(larger, exact))
        e = (struct entry *)api_lru_find(&c->plans, hash_of(exact), matches, exact);
    if (e) plan = sn_plan_ref(e->plan);
    e ? c->n_hits++ : c->n_misses++;
    pthread_mutex_unlock(&c->lock);
    return plan;
}

/* A plan that is not kept (too large, retired, memory out, somebody was faster)
 * still serves the call that compiled it. */
static void keep(struct plan_cache *c, const struct model *m, const struct plan_key *k,
                 uint64_t hash, sn_plan *plan)
{
    struct entry *e = calloc(1, sizeof *e + k->n_in * sizeof *e->in);
    struct entry *drop = NULL;

    if (!e) return;
    e->plan = sn_plan_ref(plan);
    e->bytes = sizeof *e + k->n_in * sizeof *e->in + sn_plan_describe(plan)->plan_bytes +
               sn_subnet_bytes(k->subnet);
    memcpy(e->in, k->in, k->n_in * sizeof *e->in);
    e->key = *k;
    e->key.subnet = sn_plan_subnet(plan);
    e->key.in = e->in;

    pthread_mutex_lock(&c->lock);
    if (atomic_load(&m->retired) || e->bytes > c->max_bytes ||
        api_lru_find(&c->plans, hash, matches, k) || !api_lru_insert(&c->plans, &e->node, hash)) {
        drop = e;
    } else {
        c->bytes += e->bytes;
        account_force(c->account, ACCOUNT_PLANS, e->bytes); /* what is too much goes below */
        for (; c->bytes > c->max_bytes; c->n_evictions++)
            unlink_entry(c, (struct entry *)c->plans.oldest, &drop);
    }
    pthread_mutex_unlock(&c->lock);
    free_list(drop);
}

enum problem_code api_plan_compile(struct model *m, sn_subnet *subnet,
                                   const sn_compile_options *options, sn_plan **ret_plan,
                                   struct problem *p)
{
    sn_compile_options fewer = *options;
    sn_error           err;
    sn_status          rc;

    if (api_model_may_pack(m, p) != P_OK) return p->code;
    do {
        err = (sn_error){0};
        rc = sn_plan_compile(subnet, &fewer, ret_plan, &err);
        fewer.n_threads /= 2;
    } while (rc == SN_E_LIMIT && fewer.n_threads > 0);
    api_model_packed(m);
    return rc == SN_OK ? P_OK : api_fail_library(p, &err, NULL);
}

/* A plan for the larger batch, NULL if it cannot run this one: then `exact` needs its own. That a
 * larger batch does not fit is no failure. It is kept all the same, so that it is compiled once. */
static sn_plan *compile_larger(struct plan_cache *c, struct model *m, const struct plan_key *k,
                               uint64_t hash, const struct plan_key *exact,
                               const sn_compile_options *options)
{
    sn_compile_options larger = *options;
    struct problem     ignored = {0};
    sn_plan           *plan = NULL;

    larger.in = k->in;
    if (api_plan_compile(m, k->subnet, &larger, &plan, &ignored) != P_OK) return NULL;
    keep(c, m, k, hash, plan);
    return serves(plan, k, exact) ? plan : sn_plan_unref(plan);
}

enum problem_code api_plan_cache_get(struct plan_cache *c, struct model *m, sn_subnet *subnet,
                                     const sn_compile_options *options, const sn_desc *largest,
                                     sn_plan **ret_plan, struct problem *p)
{
    const struct plan_key exact = key_of(m, subnet, options, options->in);
    const struct plan_key larger = key_of(m, subnet, options, largest);
    const uint64_t        hash = hash_of(&larger);
    sn_plan              *plan = find(c, &larger, hash, &exact);

    if (!plan && !same_inputs(&larger, &exact))
        plan = compile_larger(c, m, &larger, hash, &exact, options);
    if (!plan) {
        if (api_plan_compile(m, subnet, options, &plan, p) != P_OK) return p->code;
        keep(c, m, &exact, hash_of(&exact), plan);
    }
    *ret_plan = plan;
    return P_OK;
}

void api_plan_cache_purge(struct plan_cache *c, const struct model *m)
{
    struct entry *list = NULL;

    pthread_mutex_lock(&c->lock);
    for (struct api_lru_node *node = c->plans.oldest, *newer; node; node = newer) {
        newer = node->newer;
        if (((struct entry *)node)->key.version == m->version)
            unlink_entry(c, (struct entry *)node, &list);
    }
    pthread_mutex_unlock(&c->lock);
    free_list(list);
}

struct plan_cache_figures api_plan_cache_read(struct plan_cache *c)
{
    struct plan_cache_figures f;

    pthread_mutex_lock(&c->lock);
    f = (struct plan_cache_figures){c->plans.n, c->bytes, c->n_hits, c->n_misses, c->n_evictions};
    pthread_mutex_unlock(&c->lock);
    return f;
}
