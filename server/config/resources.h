/* resources.h - can what was configured be kept? */
#ifndef SERVER_CONFIG_RESOURCES_H
#define SERVER_CONFIG_RESOURCES_H

#include "config/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of each connection, for headers and for one part of a body. */
enum { CONNECTION_BYTES = 64 << 10 };

/* What this process may use. */
struct limits {
    int64_t memory_bytes; /* the machine's, or the container's if that is less */
    int     cores;        /* likewise */
    int64_t files;        /* open files */
};

void resources_find(struct limits *ret_limits);

/* Fill in what is automatic (workers, threads per request: never more than workers), the memory
 * that everything together may take, and kept_memory: what is left for what is kept. False and a
 * sentence if that is more than there is. */
bool resources_settle(const struct limits *limits, struct config *config, int64_t *ret_bytes,
                      char *why, size_t n_why);

#endif
