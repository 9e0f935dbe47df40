/* main: options -> limits -> api and supernets -> loop -> exit status. */
#define _GNU_SOURCE /* environ */
#include "api.h"
#include "config/config.h"
#include "config/resources.h"
#include "log/log.h"
#include "loop.h"
#include "supernet/host.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_OK, EXIT_FAILED, EXIT_USAGE };

static const char demo[] = "digits";

static struct api *create_api(const struct config *c, char *why, size_t n_why)
{
    const struct api_config config = {
        .model_dir = c->model_dir,
        .plan_cache_bytes = (size_t)c->plan_cache,
        .subnet_cache = (size_t)c->subnet_cache,
        .max_body_bytes = (size_t)c->max_body,
        .max_scratch_bytes = (size_t)c->max_scratch,
        .pot_bytes = {[POT_BUFFERS] = (size_t)c->buffer_memory,
                      [POT_SCRATCH] = (size_t)(c->workers * c->max_scratch),
                      [POT_PLANS] = (size_t)c->plan_cache,
                      [POT_KEPT] = (size_t)c->kept_memory},
        .max_batch = c->max_batch,
        .max_subnets = (size_t)c->max_subnets,
        .max_supernets = (size_t)c->max_supernets,
        .blas_threads = (int)c->blas_threads,
        .n_threads = (int)c->threads_per_request,
        .copy_weights = c->copy_weights,
        .exact = c->exact,
        .winograd = c->winograd,
        .plugin = c->plugin.at,
        .n_plugins = c->plugin.n,
    };

    return api_create(&config, why, n_why);
}

static bool load_supernets(struct api *api, const struct config *c, char *why, size_t n_why)
{
    char text[1024];

    if (c->n_supernets == 0) {
        log_event(LOG_INFO, "load", "no supernet is configured: serving the built-in demo, %s",
                  demo);
        return api_load(api, demo, NULL, why, n_why);
    }
    for (size_t i = 0; i < c->n_supernets; i++) {
        const struct config_supernet *s = &c->supernet[i];

        if (!api_load(api, s->name, s->dir, text, sizeof text)) {
            snprintf(why, n_why, "cannot load supernet %s from %s: %s", s->name, s->dir, text);
            return false;
        }
        log_event(LOG_INFO, "load", "supernet %s from %s", s->name, s->dir);
    }
    return true;
}

/* What to do next, for the person who started it by hand. */
static void on_ready(void *cls, const char *url)
{
    const struct config *c = cls;
    const char          *name = c->n_supernets ? c->supernet[0].name : demo;

    log_event(LOG_INFO, "ready", "listening on %s with %lld workers, up to %lld at one request",
              url, (long long)c->workers, (long long)c->threads_per_request);
    printf("supernetd is listening on %s. Try:\n\n"
           "  curl %s/v1/supernets\n"
           "  curl --json '{\"seed\": 7}' %s/v1/supernets/%s/resample\n"
           "  curl '%s/v1/supernets/%s/export?format=choices'\n\n",
           url, url, url, name, url, name);
    fflush(stdout);
}

static int serve(struct config *c)
{
    struct limits limits;
    struct api   *api;
    int64_t       bytes;
    char          why[2048] = "";
    sn_error      err = {0};
    int           rc = EXIT_FAILED;

    resources_find(&limits);
    if (!resources_settle(&limits, c, &bytes, why, sizeof why)) {
        log_event(LOG_ERROR, "config", "%s", why);
        return EXIT_USAGE;
    }
    log_event(LOG_INFO, "start", "%s; up to %lld MiB beside the weights", api_describe(),
              (long long)(bytes >> 20));
    signal(SIGPIPE, SIG_IGN);
    if (sn_sigbus_install(&err) != SN_OK) {
        log_event(LOG_ERROR, "failed", "%s: %s", err.where, err.text);
        return EXIT_FAILED;
    }
    api = create_api(c, why, sizeof why);
    if (api && load_supernets(api, c, why, sizeof why))
        rc = loop_run(api, c, on_ready, c, why, sizeof why);
    api_free(api);
    if (rc) log_event(LOG_ERROR, "failed", "%s", why);
    return rc;
}

int main(int argc, char **argv)
{
    struct config config;
    char          why[1024] = "";
    int           rc = EXIT_OK;

    /* One heap for all workers: with one each, every heap grows to hold all cached plans, since
     * any worker may compile any of them. Nothing is allocated while a plan runs. */
    mallopt(M_ARENA_MAX, 1);
    /* Large blocks are the system's again when they are freed: without this the first one of up to
     * 32 MB makes all that follow part of the heap, whose top alone can shrink. */
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 16 << 20);
    switch (config_load(&config, argc, argv, environ, why, sizeof why)) {
    case CONFIG_RUN:
        log_open((enum log_level)config.log_level);
        log_start();
        for (size_t i = 0; config_stray_variable(environ, i); i++)
            log_event(LOG_WARN, "config", "%s is none of our variables and has no effect",
                      config_stray_variable(environ, i));
        rc = serve(&config);
        if (rc == EXIT_OK) log_event(LOG_INFO, "stopped", "all is done");
        log_stop();
        break;
    case CONFIG_HELP:
        config_write_help(stdout);
        break;
    case CONFIG_VERSION:
        printf("supernetd (%s)\n", api_describe());
        break;
    case CONFIG_PRINT:
        config_write_sample(stdout);
        break;
    case CONFIG_BAD:
        fprintf(stderr, "supernetd: %s\n", why);
        rc = EXIT_USAGE;
        break;
    }
    config_fini(&config);
    return rc;
}
