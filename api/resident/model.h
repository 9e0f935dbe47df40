/* model: one loaded supernet, its current subnet and the subnets it remembers.
 *
 * Counted: a forward keeps the model it started with while a PUT or DELETE takes
 * it out of the store. The network never changes; `lock` guards what does. */
#ifndef API_RESIDENT_MODEL_H
#define API_RESIDENT_MODEL_H

#include <pthread.h>
#include <stdatomic.h>

#include "http/problem.h"
#include "resident/instance.h"
#include "resident/lru.h"

struct model {
    atomic_size_t    n_refs;
    char            *name, *source;
    uint64_t         version; /* set once, by the store */
    sn_supernet     *net;
    uint64_t         n_params;
    size_t           weight_bytes;
    size_t           max_subnets;
    struct account  *account;
    size_t           charged;   /* for the supernet itself, and its weights if they are a copy */
    struct instances instances; /* the named policies; it has a lock of its own */
    atomic_bool      told;      /* the log says that its weights have changed */
    atomic_bool      retired;   /* out of the store: nothing of it enters a cache any more */

    /* Held for reading by a call that changes what belongs to the model (current and remembered
     * subnets, policies), until it is answered; for writing while another load takes these over,
     * to the moment in which it is visible. So nothing that was acknowledged is left behind. */
    pthread_rwlock_t handover;

    pthread_mutex_t lock;
    size_t          n_packed; /* under lock: charged for what is prepared from the weights */
    sn_subnet      *current;  /* under lock; NULL: undecided */
    struct api_lru  subnets;  /* under lock; id -> subnet */
};

/* What another load has taken over. */
struct kept {
    size_t n_subnets, n_policies;
};

/* Takes `net` and what was charged for it on success. NULL when memory is out. */
struct model *api_model_create(const char *name, const char *source, sn_supernet *net,
                               size_t weight_bytes, size_t max_subnets, struct account *account,
                               size_t charged);
struct model *api_model_ref(struct model *m);
struct model *api_model_unref(struct model *m);

/* The current subnet, referenced; NULL if none was set. */
sn_subnet *api_model_current(struct model *m);
void       api_model_publish(struct model *m, sn_subnet *subnet);

/* Before a plan is compiled: is there room for what it prepares from the weights? Behind it: charge
 * what there is now. */
enum problem_code api_model_may_pack(struct model *m, struct problem *p);
void              api_model_packed(struct model *m);

/* Make `subnet` findable by its id: older ones go if there are too many, or no room. `ret_subnet`
 * is referenced and is the one that was remembered already if there is an equal one. */
enum problem_code api_model_remember(struct model *m, sn_subnet *subnet, sn_subnet **ret_subnet,
                                     bool *ret_created, struct problem *p);

/* Seal a draft, and remember what it decides. */
enum problem_code api_model_seal(struct model *m, const sn_draft *draft, sn_subnet **ret_subnet,
                                 bool *ret_created, struct problem *p);

/* By id, referenced; NULL if it is not (or no longer) remembered. */
sn_subnet *api_model_find(struct model *m, const char *id);

/* False if there was none. A current subnet of this id is given up as well. */
bool   api_model_forget(struct model *m, const char *id);
size_t api_model_n_subnets(struct model *m);

/* Are the weights still those that were loaded? 503 if their file was changed in place, now and
 * until the supernet is loaded again. is_changed() says what was found so far and asks no file
 * system: for the loop. */
enum problem_code api_model_check(const struct model *m, struct problem *p);
bool              api_model_is_changed(const struct model *m);

/* After a reload of the same specification ids stay valid: seal what `old`
 * remembers, and its current subnet, again over the new weights. The named
 * policies go on as they are. The caller holds old->handover. */
enum problem_code api_model_inherit(struct model *m, struct model *old, const struct budget *b,
                                    struct kept *ret_kept, struct problem *p);

#endif
