/* table: names -> numbers. Names come from documents, so the hash is only as good as
 * it must be: the number of names is limited before they come here. */
#include "model/table.h"

#include <stdint.h>
#include <string.h>

static uint64_t hash(const char *name)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */

    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 1099511628211u;
    return h ^ h >> 32;
}

static struct table_slot *slot_of(const struct table *t, const char *name)
{
    size_t i = hash(name) & (t->cap - 1);

    while (t->slot[i].name && strcmp(t->slot[i].name, name) != 0)
        i = (i + 1) & (t->cap - 1);
    return &t->slot[i];
}

bool table_add(struct table *t, sn_arena *mem, const char *name, size_t value)
{
    if (2 * (t->n + 1) > t->cap) {
        struct table next = {.n = t->n, .cap = t->cap ? 2 * t->cap : 16};

        next.slot = arena_array(mem, next.cap, sizeof *next.slot);
        if (!next.slot) return false;
        for (size_t i = 0; i < t->cap; i++)
            if (t->slot[i].name) *slot_of(&next, t->slot[i].name) = t->slot[i];
        *t = next;
    }
    *slot_of(t, name) = (struct table_slot){name, value};
    t->n++;
    return true;
}

bool table_find(const struct table *t, const char *name, size_t *ret_value)
{
    const struct table_slot *s;

    if (!t->cap) return false;
    s = slot_of(t, name);
    if (!s->name) return false;
    *ret_value = s->value;
    return true;
}
