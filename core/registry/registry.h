/* registry: operators, containers and policies by name. */
#ifndef REGISTRY_REGISTRY_H
#define REGISTRY_REGISTRY_H

#include "base/base.h"
#include "supernet/op.h"

/* A container: what it is called in documents, and how document/build.h reads it. */
struct container {
    const char             *type;
    const struct structure *structure;
};

/* The tables are copies of what callers gave, in the layout of this library: members that an older
 * caller does not know are zero, those that only a newer one knows are cut off. */
struct sn_registry {
    atomic_size_t           n_refs;
    const sn_op           **op; /* each with its variants behind it, in one piece */
    const sn_policy_class **policy;
    const struct container *container; /* static; one without a type ends the list */
    void                  **plugin;    /* handles of dlopen() */
    size_t                  n_ops, n_policies, n_plugins;
};

/* Nothing but containers. NULL when memory is out. */
sn_registry *registry_create(const struct container *container);

/* Forget what was added after the first so many. */
void registry_cut(struct sn_registry *reg, size_t n_ops, size_t n_policies);

/* After operators and policies are forgotten: their tables are in these objects. */
void plugin_close_all(struct sn_registry *reg);

#endif
