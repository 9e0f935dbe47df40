/* instance: references, and the table by name. */
#include "resident/instance.h"

#include <stdlib.h>
#include <string.h>

#include "http/buf.h"
#include "supernet/host.h"
#include "supernet/train.h"

bool api_instances_init(struct instances *all)
{
    *all = (struct instances){0};
    return pthread_mutex_init(&all->lock, NULL) == 0;
}

void api_instances_fini(struct instances *all)
{
    for (size_t i = 0; i < all->n; i++)
        api_instance_unref(all->at[i]);
    pthread_mutex_destroy(&all->lock);
}

static struct instance *destroy(struct instance *i)
{
    free(i->name);
    free(i->options);
    account_discharge(i->account, ACCOUNT_POLICIES, i->n_own);
    free(i);
    return NULL;
}

enum problem_code api_instance_create(const struct budget *b, sn_supernet *net, const char *name,
                                      const char *cls, const char *options,
                                      struct instance **ret_instance, struct problem *p)
{
    const size_t     n_own = sizeof(struct instance) + (options ? strlen(options) : 0) + 256;
    struct instance *i;

    if (!account_charge(b->account, ACCOUNT_POLICIES, n_own))
        return api_fail_room(p, b->account, ACCOUNT_POLICIES, n_own, "the policy");
    i = calloc(1, sizeof *i);
    if (!i) {
        account_discharge(b->account, ACCOUNT_POLICIES, n_own);
        return api_fail_memory(p);
    }
    atomic_init(&i->n_refs, 1);
    i->account = b->account;
    i->n_own = n_own;
    i->name = strdup(name);
    i->options = options ? strdup(options) : NULL;
    if (!i->name || (options && !i->options)) {
        api_fail_memory(p);
    } else if (api_policy_create(b, net, cls, options, &i->policy, &i->charged, p) == P_OK) {
        if (pthread_mutex_init(&i->lock, NULL) == 0) {
            *ret_instance = i;
            return P_OK;
        }
        api_policy_destroy(i->account, i->policy, i->charged);
        api_fail_memory(p);
    }
    destroy(i);
    return p->code;
}

static struct instance *ref(struct instance *i)
{
    atomic_fetch_add_explicit(&i->n_refs, 1, memory_order_relaxed);
    return i;
}

struct instance *api_instance_unref(struct instance *i)
{
    if (!i || atomic_fetch_sub_explicit(&i->n_refs, 1, memory_order_acq_rel) != 1) return NULL;
    api_policy_destroy(i->account, i->policy, i->charged);
    pthread_mutex_destroy(&i->lock);
    return destroy(i);
}

/* The index of `name`, or where it would be inserted. */
static bool find(const struct instances *all, const char *name, size_t *ret_i)
{
    for (*ret_i = 0; *ret_i < all->n; ++*ret_i) {
        const int order = strcmp(all->at[*ret_i]->name, name);

        if (order >= 0) return order == 0;
    }
    return false;
}

enum problem_code api_instances_put(struct instances *all, struct instance *i, bool keep,
                                    bool *ret_there, struct problem *p)
{
    struct instance *unused = NULL;
    size_t           at;
    bool             there, full;

    pthread_mutex_lock(&all->lock);
    there = find(all, i->name, &at);
    full = !there && all->n == API_MAX_INSTANCES;
    if (full || (there && keep)) {
        unused = i;
    } else if (there) {
        unused = all->at[at];
        all->at[at] = i;
    } else {
        memmove(all->at + at + 1, all->at + at, (all->n++ - at) * sizeof *all->at);
        all->at[at] = i;
    }
    pthread_mutex_unlock(&all->lock);
    if (full)
        api_fail(p, P_LIMIT, "policies", "there are %d policies already; delete one first",
                 API_MAX_INSTANCES);
    else if (ret_there)
        *ret_there = there;
    api_instance_unref(unused);
    return p->code;
}

struct instance *api_instances_find(struct instances *all, const char *name)
{
    struct instance *found = NULL;
    size_t           i;

    pthread_mutex_lock(&all->lock);
    if (find(all, name, &i)) found = ref(all->at[i]);
    pthread_mutex_unlock(&all->lock);
    return found;
}

struct instance *api_instances_take_out(struct instances *all, const char *name)
{
    struct instance *found = NULL;
    size_t           i;

    pthread_mutex_lock(&all->lock);
    if (find(all, name, &i)) {
        found = all->at[i];
        memmove(all->at + i, all->at + i + 1, (--all->n - i) * sizeof *all->at);
    }
    pthread_mutex_unlock(&all->lock);
    return found;
}

size_t api_instances_list(struct instances *all, struct instance *ret_at[API_MAX_INSTANCES])
{
    size_t n;

    pthread_mutex_lock(&all->lock);
    n = all->n;
    for (size_t i = 0; i < n; i++)
        ret_at[i] = ref(all->at[i]);
    pthread_mutex_unlock(&all->lock);
    return n;
}

/* A policy whose class saves nothing has nothing to lose. */
static enum problem_code copy_state(const struct budget *b, struct instance *to,
                                    struct instance *from, struct problem *p)
{
    struct api_buf state = {.account = b->account, .purpose = ACCOUNT_REQUESTS, .stop = b->stop};
    const sn_sink  sink = api_buf_sink(&state);
    struct policy_turn turn;
    sn_error           err = {0};
    sn_status          rc;

    pthread_mutex_lock(&from->lock);
    turn = api_policy_begin(b, from->policy, &from->charged, POLICY_DRAWS);
    rc = sn_policy_save(from->policy, &sink, &err);
    api_policy_end(&turn);
    pthread_mutex_unlock(&from->lock);
    api_buf_byte(&state, '\0');
    if (rc != SN_E_UNSUPPORTED && (rc != SN_OK || state.failed)) {
        api_fail_buf(p, &state, &err);
    } else if (rc == SN_OK) {
        turn = api_policy_begin(b, to->policy, &to->charged, POLICY_LEARNS);
        if (sn_policy_load(to->policy, state.at, &err) != SN_OK)
            api_fail_policy(p, &turn, &err, NULL);
        api_policy_end(&turn);
    }
    api_buf_fini(&state);
    return p->code;
}

enum problem_code api_instances_inherit(const struct budget *b, struct instances *all,
                                        sn_supernet *net, struct instances *old, struct problem *p)
{
    struct instance *from[API_MAX_INSTANCES];
    const size_t     n = api_instances_list(old, from);

    for (size_t i = 0; i < n; i++) {
        struct instance *to;

        if (p->code == P_OK && sn_policy_is_movable(from[i]->policy))
            api_instances_put(all, ref(from[i]), false, NULL, p);
        else if (p->code == P_OK &&
                 api_instance_create(b, net, from[i]->name, sn_policy_name(from[i]->policy),
                                     from[i]->options, &to, p) == P_OK) {
            if (copy_state(b, to, from[i], p) == P_OK)
                api_instances_put(all, to, false, NULL, p);
            else
                api_instance_unref(to);
        }
        api_instance_unref(from[i]);
    }
    return p->code;
}

void api_instances_move(struct instances *all, sn_supernet *net)
{
    struct instance *at[API_MAX_INSTANCES];
    const size_t     n = api_instances_list(all, at);

    for (size_t i = 0; i < n; i++) {
        pthread_mutex_lock(&at[i]->lock);
        sn_policy_move(at[i]->policy, net, NULL); /* those that are not movable are there already */
        pthread_mutex_unlock(&at[i]->lock);
        api_instance_unref(at[i]);
    }
}
