/* model: references and the table of remembered subnets.
 *
 * Subnets are released outside the lock: the last reference frees a lot. */
#include "resident/model.h"

#include <stdlib.h>
#include <string.h>

#include "supernet/host.h"
#include "supernet/train.h"
#include "supernet/weights.h"

struct entry {
    struct api_lru_node node; /* first: a node is an entry */
    sn_subnet          *subnet;
};

static uint64_t hash_of(const char *id)
{
    return api_hash(0, id, strlen(id));
}

static bool has_id(const struct api_lru_node *node, const void *id)
{
    return strcmp(sn_subnet_id(((const struct entry *)node)->subnet), id) == 0;
}

static size_t entry_bytes(const sn_subnet *subnet)
{
    return sizeof(struct entry) + sn_subnet_bytes(subnet);
}

/* A list of entries that were charged. */
static void entries_free(struct account *a, struct api_lru_node *list)
{
    for (struct api_lru_node *older; list; list = older) {
        struct entry *e = (struct entry *)list;

        older = list->older;
        account_discharge(a, ACCOUNT_SUBNETS, entry_bytes(e->subnet));
        sn_subnet_unref(e->subnet);
        free(e);
    }
}

/* Under the lock: out of the table and on `list`. */
static void take_oldest(struct model *m, struct api_lru_node **list)
{
    struct api_lru_node *node = m->subnets.oldest;

    api_lru_remove(&m->subnets, node);
    node->older = *list;
    *list = node;
}

/* Writers first: a controller that learns without pause must not keep a load waiting. */
static bool handover_init(pthread_rwlock_t *lock)
{
    pthread_rwlockattr_t attr;
    bool                 ok;

    if (pthread_rwlockattr_init(&attr) != 0) return false;
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    ok = pthread_rwlock_init(lock, &attr) == 0;
    pthread_rwlockattr_destroy(&attr);
    return ok;
}

struct model *api_model_create(const char *name, const char *source, sn_supernet *net,
                               size_t weight_bytes, size_t max_subnets, struct account *account,
                               size_t charged)
{
    struct model *m = calloc(1, sizeof *m);

    if (!m) return NULL;
    m->name = strdup(name);
    m->source = strdup(source);
    if (!m->name || !m->source || !api_instances_init(&m->instances) ||
        pthread_mutex_init(&m->lock, NULL) != 0 || !handover_init(&m->handover)) {
        free(m->name);
        free(m->source);
        free(m);
        return NULL;
    }
    atomic_init(&m->n_refs, 1);
    m->net = net;
    m->account = account;
    m->charged = charged;
    m->weight_bytes = weight_bytes;
    m->max_subnets = max_subnets ? max_subnets : 1;
    for (size_t i = 0; i < sn_supernet_n_modules(net); i++)
        m->n_params += sn_supernet_module(net, i)->n_params;
    return m;
}

struct model *api_model_ref(struct model *m)
{
    atomic_fetch_add_explicit(&m->n_refs, 1, memory_order_relaxed);
    return m;
}

struct model *api_model_unref(struct model *m)
{
    struct api_lru_node *list = NULL;

    if (!m || atomic_fetch_sub_explicit(&m->n_refs, 1, memory_order_acq_rel) != 1) return NULL;
    while (m->subnets.oldest)
        take_oldest(m, &list);
    entries_free(m->account, list);
    api_lru_fini(&m->subnets);
    if (m->current) {
        account_discharge(m->account, ACCOUNT_SUBNETS, sn_subnet_bytes(m->current));
        sn_subnet_unref(m->current);
    }
    api_instances_fini(&m->instances);
    sn_supernet_unref(m->net);
    account_discharge(m->account, ACCOUNT_SUPERNETS, m->charged + m->n_packed);
    pthread_mutex_destroy(&m->lock);
    pthread_rwlock_destroy(&m->handover);
    free(m->name);
    free(m->source);
    free(m);
    return NULL;
}

sn_subnet *api_model_current(struct model *m)
{
    sn_subnet *s;

    pthread_mutex_lock(&m->lock);
    s = m->current ? sn_subnet_ref(m->current) : NULL;
    pthread_mutex_unlock(&m->lock);
    return s;
}

void api_model_publish(struct model *m, sn_subnet *subnet)
{
    sn_subnet *old, *next = sn_subnet_ref(subnet);

    account_force(m->account, ACCOUNT_SUBNETS, sn_subnet_bytes(next)); /* one for each supernet */
    pthread_mutex_lock(&m->lock);
    old = m->current;
    m->current = next;
    pthread_mutex_unlock(&m->lock);
    if (!old) return;
    account_discharge(m->account, ACCOUNT_SUBNETS, sn_subnet_bytes(old));
    sn_subnet_unref(old);
}

enum problem_code api_model_may_pack(struct model *m, struct problem *p)
{
    if (!account_is_over(m->account, ACCOUNT_SUPERNETS)) return P_OK;
    return api_fail_room(p, m->account, ACCOUNT_SUPERNETS, 1,
                         "what the plan prepares from the weights");
}

void api_model_packed(struct model *m)
{
    size_t n;

    pthread_mutex_lock(&m->lock);
    n = sn_supernet_packed_bytes(m->net);
    account_settle(m->account, ACCOUNT_SUPERNETS, m->n_packed, n);
    m->n_packed = n;
    pthread_mutex_unlock(&m->lock);
}

/* Under the lock: charge n bytes, for which older subnets may have to go. Half of the pot is left
 * to others, since subnets come without end. */
static bool make_room(struct model *m, size_t n, struct api_lru_node **gone)
{
    const size_t half = account_limit(m->account, ACCOUNT_SUBNETS) / 2;
    bool         fits = false;

    for (;;) {
        struct api_lru_node *own = NULL;

        if (account_used(m->account, ACCOUNT_SUBNETS) + n <= half || !m->subnets.oldest)
            fits = account_charge(m->account, ACCOUNT_SUBNETS, n);
        if (fits || !m->subnets.oldest) break;
        take_oldest(m, &own);
        entries_free(m->account, own);
    }
    while (m->subnets.n >= m->max_subnets)
        take_oldest(m, gone);
    return fits;
}

enum problem_code api_model_remember(struct model *m, sn_subnet *subnet, sn_subnet **ret_subnet,
                                     bool *ret_created, struct problem *p)
{
    const char          *id = sn_subnet_id(subnet);
    const uint64_t       hash = hash_of(id);
    const size_t         n = entry_bytes(subnet);
    struct entry        *fresh = calloc(1, sizeof *fresh), *known;
    struct api_lru_node *gone = NULL;
    sn_subnet           *kept = NULL;
    bool                 collided = false, inserted = false, fits = true;

    if (!fresh) return api_fail_memory(p);

    pthread_mutex_lock(&m->lock);
    known = (struct entry *)api_lru_find(&m->subnets, hash, has_id, id);
    if (known) {
        collided = !sn_subnet_equal(known->subnet, subnet);
        kept = sn_subnet_ref(known->subnet);
    } else {
        fits = make_room(m, n, &gone);
        inserted = fits && api_lru_insert(&m->subnets, &fresh->node, hash);
        if (inserted) {
            fresh->subnet = sn_subnet_ref(subnet);
            kept = sn_subnet_ref(subnet);
        } else if (fits) {
            account_discharge(m->account, ACCOUNT_SUBNETS, n);
        }
    }
    pthread_mutex_unlock(&m->lock);

    entries_free(m->account, gone);
    if (!inserted) free(fresh);
    if (!fits) return api_fail_room(p, m->account, ACCOUNT_SUBNETS, n, "the subnet");
    if (!kept) return api_fail_memory(p);
    if (collided) { /* 128 bits of SHA-256: somebody worked for this */
        api_fail(p, P_INVALID, "choices", "another architecture already has the id %s", id);
        sn_subnet_unref(kept);
        return p->code;
    }
    *ret_subnet = kept;
    *ret_created = inserted;
    return P_OK;
}

sn_subnet *api_model_find(struct model *m, const char *id)
{
    struct entry *e;
    sn_subnet    *s = NULL;

    pthread_mutex_lock(&m->lock);
    e = (struct entry *)api_lru_find(&m->subnets, hash_of(id), has_id, id);
    if (e)
        s = sn_subnet_ref(e->subnet);
    else if (m->current && strcmp(sn_subnet_id(m->current), id) == 0)
        s = sn_subnet_ref(m->current);
    pthread_mutex_unlock(&m->lock);
    return s;
}

bool api_model_forget(struct model *m, const char *id)
{
    struct entry *e;
    sn_subnet    *current = NULL;
    bool          found;

    pthread_mutex_lock(&m->lock);
    e = (struct entry *)api_lru_find(&m->subnets, hash_of(id), has_id, id);
    if (e) api_lru_remove(&m->subnets, &e->node);
    if (m->current && strcmp(sn_subnet_id(m->current), id) == 0) {
        current = m->current;
        m->current = NULL;
    }
    found = e || current;
    pthread_mutex_unlock(&m->lock);

    if (e) {
        e->node.older = NULL;
        entries_free(m->account, &e->node);
    }
    if (current) {
        account_discharge(m->account, ACCOUNT_SUBNETS, sn_subnet_bytes(current));
        sn_subnet_unref(current);
    }
    return found;
}

size_t api_model_n_subnets(struct model *m)
{
    size_t n;

    pthread_mutex_lock(&m->lock);
    n = m->subnets.n;
    pthread_mutex_unlock(&m->lock);
    return n;
}

enum problem_code api_model_check(const struct model *m, struct problem *p)
{
    if (sn_weights_check(sn_supernet_weights(m->net), NULL) == SN_OK) return P_OK;
    return api_fail(
        p, P_CHANGED, "weights.safetensors",
        "the weights of supernet '%s' were truncated or overwritten in place while they "
        "were in use; load it again, and replace files by rename",
        m->name);
}

bool api_model_is_changed(const struct model *m)
{
    return sn_weights_is_changed(sn_supernet_weights(m->net));
}

/* The same assignment over another load of the same specification. */
static enum problem_code reseal(struct model *m, const sn_subnet *old, sn_subnet **ret_subnet,
                                struct problem *p)
{
    sn_draft *draft = NULL;
    sn_error  err = {0};
    sn_status rc = sn_draft_create(m->net, &draft, &err);

    for (size_t i = 0; rc == SN_OK && i < sn_supernet_n_choices(m->net); i++) {
        const sn_value *value = sn_subnet_value(old, i);
        const char     *label = sn_supernet_choice(m->net, i)->label;

        if (value)
            rc = sn_draft_set(draft, label, value, &err);
        else if (sn_subnet_is_soft(old, i))
            rc = sn_draft_soften(draft, label, &err);
    }
    if (rc == SN_OK) rc = sn_draft_seal(draft, ret_subnet, &err);
    sn_draft_free(draft);
    return rc == SN_OK ? P_OK : api_fail_file(p, &err);
}

/* References to all that is remembered, the oldest first, then the current one (or
 * NULL). The array has n + 1 places. */
static sn_subnet **snapshot(struct model *m, size_t *ret_n)
{
    sn_subnet **all;
    size_t      n = 0;

    pthread_mutex_lock(&m->lock);
    all = calloc(m->subnets.n + 1, sizeof(sn_subnet *));
    if (all) {
        for (struct api_lru_node *e = m->subnets.oldest; e; e = e->newer)
            all[n++] = sn_subnet_ref(((struct entry *)e)->subnet);
        all[n] = m->current ? sn_subnet_ref(m->current) : NULL;
    }
    pthread_mutex_unlock(&m->lock);
    *ret_n = n;
    return all;
}

enum problem_code api_model_inherit(struct model *m, struct model *old, const struct budget *b,
                                    struct kept *ret_kept, struct problem *p)
{
    sn_subnet       **all;
    size_t            n;
    enum problem_code rc = P_OK;

    *ret_kept = (struct kept){0};
    if (memcmp(sn_supernet_digest(m->net), sn_supernet_digest(old->net), 32) != 0) return P_OK;
    all = snapshot(old, &n);
    if (!all) return api_fail_memory(p);
    for (size_t i = 0; i <= n; i++) {
        sn_subnet *sealed = NULL, *kept = NULL;
        bool       created;

        if (rc == P_OK && api_budget_stopped((void *)b->stop))
            rc = api_fail(p, P_STOPPED, "", "stopped before anything was changed");
        if (all[i] && rc == P_OK) rc = reseal(m, all[i], &sealed, p);
        if (sealed && i == n)
            api_model_publish(m, sealed);
        else if (sealed)
            rc = api_model_remember(m, sealed, &kept, &created, p);
        sn_subnet_unref(kept);
        sn_subnet_unref(sealed);
        sn_subnet_unref(all[i]);
    }
    free(all);
    if (rc == P_OK) rc = api_instances_inherit(b, &m->instances, m->net, &old->instances, p);
    *ret_kept = (struct kept){api_model_n_subnets(m), m->instances.n};
    return rc;
}

enum problem_code api_model_seal(struct model *m, const sn_draft *draft, sn_subnet **ret_subnet,
                                 bool *ret_created, struct problem *p)
{
    sn_error   err = {0};
    sn_subnet *sealed = NULL;

    if (sn_draft_seal(draft, &sealed, &err) != SN_OK) return api_fail_library(p, &err, NULL);
    api_model_remember(m, sealed, ret_subnet, ret_created, p);
    sn_subnet_unref(sealed);
    return p->code;
}
