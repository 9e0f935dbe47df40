/* loop.h - the event loop: what is served until a signal says stop. */
#ifndef SERVER_LOOP_H
#define SERVER_LOOP_H

#include "api.h"
#include "config/config.h"

#include <stddef.h>

/* Start workers and the HTTP daemon, serve, drain, stop all of it.
 * 0, or an exit code and a sentence. `ready` is called with the address once it listens. */
int loop_run(struct api *api, const struct config            *config,
             void (*ready)(void *cls, const char *url), void *cls, char *why, size_t n_why);

#endif
