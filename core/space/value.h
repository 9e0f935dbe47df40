/* value: what the modules of the library may ask of a value, beyond supernet.h. */
#ifndef SPACE_VALUE_H
#define SPACE_VALUE_H

#include "base/base.h"
#include "supernet/supernet.h"

/* "int", "text", ...: a kind for messages. */
const char *value_kind(sn_kind kind);

/* Python's truth: null, False, 0, 0.0, "" and () are false. */
bool value_truth(const sn_value *v);

/* Equal values have equal hashes, 1, 1.0 and True included. */
uint64_t value_hash(const sn_value *v);

/* Python's `<` between a and b, with *ret_order -1, 0 or 1; false where Python
 * raises a TypeError, and for NaN. */
bool value_order(const sn_value *a, const sn_value *b, int *ret_order);

/* The same, but total: kinds without a common order are null < number < text < tuple. */
int value_order_any(const sn_value *a, const sn_value *b);

/* A copy whose texts and tuples live in `mem`; false when memory is out. */
bool value_copy(sn_arena *mem, const sn_value *v, sn_value *ret_copy);

/* Texts and tuples count their length with everything inside, others 1. */
size_t value_size(const sn_value *v);

/* As sn_value_text(), appended to t in full. */
void value_write(struct text *t, const sn_value *v);

#endif
