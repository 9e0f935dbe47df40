/* config.h - the options of the daemon, from one table.
 *
 * Every option is a flag (--max-body 8M), an environment variable
 * (SUPERNETD_MAX_BODY=8M) and a line of the configuration file (max-body = 8M).
 * Flags win over variables, variables over the file, the file over defaults. */
#ifndef SERVER_CONFIG_CONFIG_H
#define SERVER_CONFIG_CONFIG_H

#include "log/log.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct config_supernet {
    char *name, *dir;
};

struct config_list {
    char **at;
    size_t n;
};

/* Times in ms, sizes in bytes. */
struct config {
    char   *host;
    int64_t port;
    int64_t workers, threads_per_request; /* 0: for resources_settle() to decide */
    int64_t kept_memory; /* no option: what the limits leave, see resources_settle() */
    int64_t queue, deadline, max_body, buffer_memory, max_connections, idle_timeout;
    int64_t plan_cache, subnet_cache, max_batch, max_subnets, max_supernets, max_scratch;
    int64_t blas_threads, memory_limit, grace, log_level;
    int64_t copy_weights;             /* 0 or 1 */
    int64_t exact, winograd;          /* 0 or 1, not both */
    char   *model_dir;                /* NULL: none */
    struct config_supernet *supernet; /* as given on the command line, or elsewhere */
    size_t                  n_supernets;
    struct config_list      plugin, allow_host, allow_origin;
    int64_t                 allow; /* bit c: class c of api.h; 0: by the address */
};

enum config_action { CONFIG_RUN, CONFIG_HELP, CONFIG_VERSION, CONFIG_PRINT, CONFIG_BAD };

/* `env` is a NULL-terminated list as in environ. For CONFIG_BAD there is a sentence in
 * `why` that names the source, the value and what is allowed. Always call config_fini(). */
enum config_action config_load(struct config *config, int argc, char *const *argv, char *const *env,
                               char *why, size_t n_why);
void               config_fini(struct config *config);

/* The i-th variable that starts like one of ours and is none, or NULL. */
const char *config_stray_variable(char *const *env, size_t i);

/* --help, and the configuration file with every option at its default. */
void config_write_help(FILE *to);
void config_write_sample(FILE *to);

#endif
