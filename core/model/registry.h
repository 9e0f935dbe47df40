/* registry: what the files of the registry share. */
#ifndef MODEL_REGISTRY_H
#define MODEL_REGISTRY_H

#include "base/base.h"

struct sn_registry {
    atomic_size_t           n_refs;
    const sn_op           **op;
    const sn_policy_class **policy;
    void                  **plugin; /* handles of dlopen() */
    size_t                  n_ops, n_policies, n_plugins;
};

/* After operators and policies are forgotten: their tables are in these objects. */
void plugin_close_all(struct sn_registry *reg);

#endif
