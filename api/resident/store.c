/* store: a sorted array of models; there are few, and they change seldom. */
#include "resident/store.h"

#include <stdlib.h>
#include <string.h>

bool api_store_init(struct store *s)
{
    *s = (struct store){0};
    return pthread_mutex_init(&s->lock, NULL) == 0;
}

void api_store_fini(struct store *s)
{
    for (size_t i = 0; i < s->n; i++)
        api_model_unref(s->at[i]);
    free(s->at);
    pthread_mutex_destroy(&s->lock);
}

/* The index of `name`, or where it would be inserted. */
static bool find(const struct store *s, const char *name, size_t *ret_i)
{
    for (*ret_i = 0; *ret_i < s->n; ++*ret_i) {
        const int order = strcmp(s->at[*ret_i]->name, name);

        if (order >= 0) return order == 0;
    }
    return false;
}

struct model *api_store_take(struct store *s, const char *name)
{
    struct model *m = NULL;
    size_t        i;

    pthread_mutex_lock(&s->lock);
    if (find(s, name, &i)) m = api_model_ref(s->at[i]);
    pthread_mutex_unlock(&s->lock);
    return m;
}

struct model **api_store_list(struct store *s, size_t *ret_n)
{
    struct model **all;

    pthread_mutex_lock(&s->lock);
    all = calloc(s->n + 1, sizeof(struct model *));
    if (all)
        for (size_t i = 0; i < s->n; i++)
            all[i] = api_model_ref(s->at[i]);
    *ret_n = s->n;
    pthread_mutex_unlock(&s->lock);
    return all;
}

static bool make_room(struct store *s)
{
    const size_t   cap = s->cap ? 2 * s->cap : 8;
    struct model **at;

    if (s->n < s->cap) return true;
    at = realloc(s->at, cap * sizeof *at);
    if (!at) return false;
    s->at = at;
    s->cap = cap;
    return true;
}

enum store_put api_store_put(struct store *s, struct model *m, struct model *old, size_t max)
{
    enum store_put rc = STORE_PUT;
    size_t         i;
    bool           there;

    pthread_mutex_lock(&s->lock);
    there = find(s, m->name, &i);
    if (old ? !there || s->at[i] != old : there) {
        rc = STORE_OTHER;
    } else if (!there && s->n >= max) {
        rc = STORE_FULL;
    } else if (!there && !make_room(s)) {
        rc = STORE_NO_MEMORY;
    } else {
        m->version = ++s->last_version;
        if (!there) {
            memmove(s->at + i + 1, s->at + i, (s->n - i) * sizeof *s->at);
            s->n++;
        }
        s->at[i] = m;
        if (old) atomic_store(&old->retired, true);
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

bool api_store_has_room(struct store *s, const char *name, size_t max)
{
    size_t i;
    bool   ok;

    pthread_mutex_lock(&s->lock);
    ok = find(s, name, &i) || s->n < max;
    pthread_mutex_unlock(&s->lock);
    return ok;
}

struct model *api_store_remove(struct store *s, const char *name)
{
    struct model *m = NULL;
    size_t        i;

    pthread_mutex_lock(&s->lock);
    if (find(s, name, &i)) {
        m = s->at[i];
        memmove(s->at + i, s->at + i + 1, (--s->n - i) * sizeof *s->at);
    }
    pthread_mutex_unlock(&s->lock);
    if (m) atomic_store(&m->retired, true);
    return m;
}
