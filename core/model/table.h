/* table: names -> numbers, open addressing, in an arena. */
#ifndef MODEL_TABLE_H
#define MODEL_TABLE_H

#include "base/base.h"

struct table {
    struct table_slot {
        const char *name; /* borrowed; NULL: free */
        size_t      value;
    } * slot;
    size_t n, cap;
};

/* Enter `name`, which is not in the table yet; false when memory is out. */
bool table_add(struct table *t, sn_arena *mem, const char *name, size_t value);
bool table_find(const struct table *t, const char *name, size_t *ret_value);

#endif
