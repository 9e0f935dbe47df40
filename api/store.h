/* store: the loaded supernets by name. The lock is held for a look-up or a
 * pointer swap, never while something is loaded, compiled or freed. */
#ifndef API_STORE_H
#define API_STORE_H

#include <pthread.h>

#include "model.h"

struct store {
    pthread_mutex_t lock;
    struct model  **at; /* under lock; sorted by name */
    size_t          n, cap;
    uint64_t        last_version; /* never reused, so that it tells loads apart */
};

bool api_store_init(struct store *s);
void api_store_fini(struct store *s);

/* Referenced; NULL if there is none of this name. */
struct model *api_store_take(struct store *s, const char *name);

/* All of them, referenced, in an array to free(); NULL when memory is out. */
struct model **api_store_list(struct store *s, size_t *ret_n);

/* Takes `m` on success, numbers it and makes it visible. `ret_old` is what had the
 * name before (to unref), or NULL. */
bool api_store_put(struct store *s, struct model *m, struct model **ret_old);

/* Out of the store; to unref. NULL if there was none. */
struct model *api_store_remove(struct store *s, const char *name);

#endif
