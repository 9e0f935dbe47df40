/* resident: all that stays between requests. */
#ifndef API_RESIDENT_RESIDENT_H
#define API_RESIDENT_RESIDENT_H

#include "http/metrics.h"
#include "resident/plan_cache.h"
#include "resident/store.h"

struct api {
    struct api_config config;
    struct account    account;
    char             *model_dir; /* config.model_dir, resolved; NULL: nothing may be loaded */
    sn_registry      *registry;
    struct store      store;
    struct plan_cache plans;
    struct metrics    metrics;
    atomic_bool       draining;
    void (*read_figures)(void *cls, struct api_figures *ret); /* NULL: there is no server */
    void *figures_cls;
};

#endif
