/* table: names -> numbers, open addressing, in an arena. */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include "base/base.h"
#include "base/hash.h"

struct table {
    struct table_slot {
        const char *name; /* borrowed; NULL: free */
        size_t      value;
    } * slot;
    size_t          n, cap;
    struct hash_key key; /* of the arena of the first name */
};

/* Enter `name`, which is not in the table yet; false when memory is out. */
bool table_add(struct table *t, sn_arena *mem, const char *name, size_t value);
bool table_find(const struct table *t, const char *name, size_t *ret_value);

/* The same for a name of n bytes that does not end with a zero. */
bool table_find_bytes(const struct table *t, const char *name, size_t n, size_t *ret_value);

#endif
