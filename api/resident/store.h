/* store: the loaded supernets by name. The lock is held for a look-up or a
 * pointer swap, never while something is loaded, compiled or freed. */
#ifndef API_RESIDENT_STORE_H
#define API_RESIDENT_STORE_H

#include <pthread.h>

#include "resident/model.h"

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

/* Is there one of this name, or room for one more beside those that are there? */
bool api_store_has_room(struct store *s, const char *name, size_t max);

/* All of them, referenced, in an array to free(); NULL when memory is out. */
struct model **api_store_list(struct store *s, size_t *ret_n);

enum store_put { STORE_PUT, STORE_OTHER, STORE_NO_MEMORY, STORE_FULL };

/* Number `m` and make it visible in place of `old` (NULL: of nothing); takes `m`, and hands the
 * store's reference to `old` to the caller. STORE_OTHER: somebody else has changed what the name
 * stands for. STORE_FULL: a new one would be more than `max` of them. */
enum store_put api_store_put(struct store *s, struct model *m, struct model *old, size_t max);

/* Out of the store; to unref. NULL if there was none. */
struct model *api_store_remove(struct store *s, const char *name);

#endif
