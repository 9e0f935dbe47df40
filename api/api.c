/* api: creation and end; what the server tells and is told. */
#include <assert.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/route.h"
#include "http/words.h"
#include "resident/load.h"
#include "resident/resident.h"
#include "supernet/pool.h"

/* Written once; `describe` never changes after that. */
static pthread_once_t describe_once = PTHREAD_ONCE_INIT;
static char           describe[256];

static void describe_init(void)
{
    snprintf(describe, sizeof describe, "supernet %s, %s", sn_version(), sn_blas_describe());
}

const char *api_describe(void)
{
    pthread_once(&describe_once, describe_init);
    return describe;
}

/* What the counters of routes are called. */
static void name_routes(struct metrics *m)
{
    assert(api_n_routes <= METRICS_MAX_ROUTES);
    for (size_t i = 0; i < api_n_routes; i++)
        m->route[i].name = api_routes[i].name;
    m->n_routes = api_n_routes;
    m->route[METRICS_MAX_ROUTES].name = "none";
}

struct api *api_create(const struct api_config *config, char *why, size_t n_why)
{
    struct api *api = calloc(1, sizeof *api);
    sn_error    err = {0};

    if (!api) {
        snprintf(why, n_why, "out of memory");
        return NULL;
    }
    api->config = *config;
    name_routes(&api->metrics);
    account_init(&api->account, config->pot_bytes);
    api->config.model_dir = NULL;
    if (!api->config.max_supernets) api->config.max_supernets = SIZE_MAX;
    if (!api_store_init(&api->store) ||
        !api_plan_cache_init(&api->plans, config->plan_cache_bytes, &api->account)) {
        snprintf(why, n_why, "cannot create locks");
        free(api);
        return NULL;
    }
    sn_blas_set_threads(config->blas_threads > 0 ? config->blas_threads : 1);
    json_object_seed(
        0); /* the library reads JSON: before there are threads, as it is set on first use */
    if (config->model_dir && config->model_dir[0]) {
        api->model_dir = realpath(config->model_dir, NULL);
        if (!api->model_dir) {
            snprintf(why, n_why, "model directory %s: %m", config->model_dir);
            return api_free(api);
        }
    }
    if (sn_registry_create(&api->registry, &err) != SN_OK) {
        snprintf(why, n_why, "%s", err.text);
        return api_free(api);
    }
    for (size_t i = 0; i < config->n_plugins; i++)
        if (sn_registry_load_plugin(api->registry, config->plugin[i], &err) != SN_OK) {
            snprintf(why, n_why, "plug-in %s: %s", config->plugin[i], err.text);
            return api_free(api);
        }
    return api;
}

struct api *api_free(struct api *api)
{
    if (!api) return NULL;
    api_plan_cache_fini(&api->plans);
    api_store_fini(&api->store);
    sn_registry_unref(api->registry);
    free(api->model_dir);
    free(api);
    return NULL;
}

bool api_load(struct api *api, const char *name, const char *dir, char *why, size_t n_why)
{
    const struct budget budget = {.account = &api->account};
    struct problem      p = {0};
    struct model       *m = NULL;
    struct kept         kept;
    bool                replaced;

    if (api_check_name(name, &p) == P_OK &&
        api_load_model(api, &budget, name, dir ? dir : "built-in", dir, NULL, &m, &p) == P_OK)
        api_install_model(api, &budget, m, &replaced, &kept, &p);
    if (p.code != P_OK) snprintf(why, n_why, "%s%s%s", p.where, p.where[0] ? ": " : "", p.text);
    return p.code == P_OK;
}

void api_drain(struct api *api)
{
    atomic_store(&api->draining, true);
}

struct account *api_account(struct api *api)
{
    return &api->account;
}

void api_set_figures(struct api *api, void (*read)(void *cls, struct api_figures *ret), void *cls)
{
    api->read_figures = read;
    api->figures_cls = cls;
}

void api_count_reply(struct api *api, const struct api_route *route, int status)
{
    api_metrics_count_reply(&api->metrics, route ? route->index : METRICS_MAX_ROUTES, status);
}

void api_count_wait(struct api *api, uint64_t ns)
{
    api_metrics_count_wait(&api->metrics, ns);
}

void api_worker_fini(struct api_worker *worker)
{
    if (worker->account) account_discharge(worker->account, ACCOUNT_SCRATCH, worker->n_scratch);
    free(worker->scratch);
    *worker = (struct api_worker){0};
}
