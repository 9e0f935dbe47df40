/* instance: named policies of a loaded supernet, each with a state and a lock of its own.
 *
 * The state never belongs to the supernet: two controllers do not disturb each other. The lock
 * of an instance is held while one call decides or learns, never while a forward runs. */
#ifndef API_RESIDENT_INSTANCE_H
#define API_RESIDENT_INSTANCE_H

#include <pthread.h>
#include <stdatomic.h>

#include "resident/policy_turn.h"

enum { API_MAX_INSTANCES = 64 };

/* The instance behind .../alpha; it comes into being when it is first used. */
#define API_DEFAULT_INSTANCE "default"

struct instance {
    atomic_size_t   n_refs;
    char           *name;
    char           *options; /* a JSON object, NULL for none */
    pthread_mutex_t lock;
    sn_policy      *policy;  /* under lock */
    size_t          charged; /* under lock: what the policy holds */
    struct account *account;
    size_t          n_own; /* charged for the rest */
};

/* Sorted by name. */
struct instances {
    pthread_mutex_t  lock;
    struct instance *at[API_MAX_INSTANCES]; /* under lock */
    size_t           n;
};

bool api_instances_init(struct instances *all);
void api_instances_fini(struct instances *all);

/* A new instance of class `cls`. */
enum problem_code api_instance_create(const struct budget *b, sn_supernet *net, const char *name,
                                      const char *cls, const char *options,
                                      struct instance **ret_instance, struct problem *p);
struct instance  *api_instance_unref(struct instance *i);

/* Make it visible under its name; takes `i` in any case. With `keep`, an instance that is
 * there already stays. ret_there may be NULL. */
enum problem_code api_instances_put(struct instances *all, struct instance *i, bool keep,
                                    bool *ret_there, struct problem *p);

/* Referenced; NULL if there is none of this name. */
struct instance *api_instances_find(struct instances *all, const char *name);
struct instance *api_instances_take_out(struct instances *all, const char *name);

/* References to all of them, n of at most API_MAX_INSTANCES. */
size_t api_instances_list(struct instances *all, struct instance *ret_at[API_MAX_INSTANCES]);

/* Before a reload of the same specification: the instances of `old`, states included, for the new
 * weights. Those that can be moved are the same ones, shared until the reload is sure to happen;
 * then api_instances_move(). Nobody uses a policy of `old` from the one to the other. */
enum problem_code api_instances_inherit(const struct budget *b, struct instances *all,
                                        sn_supernet *net, struct instances *old, struct problem *p);
void              api_instances_move(struct instances *all, sn_supernet *net);

#endif
