/* table: names -> numbers. Names come from documents and requests, so the hash has a secret key. */
#include "base/table.h"

#include <string.h>

static struct table_slot *slot_of(const struct table *t, const char *name, size_t n)
{
    size_t i = hash_bytes(&t->key, name, n) & (t->cap - 1);

    while (t->slot[i].name &&
           (strncmp(t->slot[i].name, name, n) != 0 || t->slot[i].name[n] != '\0'))
        i = (i + 1) & (t->cap - 1);
    return &t->slot[i];
}

bool table_add(struct table *t, sn_arena *mem, const char *name, size_t value)
{
    if (2 * (t->n + 1) > t->cap) {
        struct table next = {
            .n = t->n, .cap = t->cap ? 2 * t->cap : 16, .key = *arena_hash_key(mem)};

        next.slot = arena_array(mem, next.cap, sizeof *next.slot);
        if (!next.slot) return false;
        for (size_t i = 0; i < t->cap; i++)
            if (t->slot[i].name)
                *slot_of(&next, t->slot[i].name, strlen(t->slot[i].name)) = t->slot[i];
        *t = next;
    }
    *slot_of(t, name, strlen(name)) = (struct table_slot){name, value};
    t->n++;
    return true;
}

bool table_find(const struct table *t, const char *name, size_t *ret_value)
{
    return table_find_bytes(t, name, strlen(name), ret_value);
}

bool table_find_bytes(const struct table *t, const char *name, size_t n, size_t *ret_value)
{
    const struct table_slot *s;

    if (!t->cap) return false;
    s = slot_of(t, name, n);
    if (!s->name) return false;
    *ret_value = s->value;
    return true;
}
