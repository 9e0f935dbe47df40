/* value: what the modules of the library may ask of a value, beyond supernet.h. */
#ifndef SPACE_VALUE_H
#define SPACE_VALUE_H

#include "base/base.h"
#include "base/hash.h"
#include "supernet/supernet.h"

/* "int", "text", ...: a kind for messages. */
const char *value_kind(sn_kind kind);

/* Python's truth: null, False, 0, 0.0, "" and () are false. */
bool value_truth(const sn_value *v);

/* Equal values have equal hashes, 1, 1.0 and True included. */
uint64_t value_hash(const struct hash_key *key, const sn_value *v);

/* As sn_value_equal(), but NaN is one value, also inside of tuples: what a program computes twice
 * is the same option. */
bool value_identical(const sn_value *a, const sn_value *b);

/* How Python's `<` and `>` answer. */
enum value_order {
    VALUE_LESS = -1,
    VALUE_EQUAL,
    VALUE_GREATER,
    VALUE_UNORDERED, /* NaN: every comparison is false */
    VALUE_NO_ORDER   /* different kinds: a TypeError */
};

enum value_order value_compare(const sn_value *a, const sn_value *b);

/* As value_compare(), but total (-1, 0, 1): what has no common order is sorted as
 * null < numbers < texts < tuples. NaN equals everything. */
int value_compare_any(const sn_value *a, const sn_value *b);

/* A copy whose texts and tuples live in `mem`; false when memory is out. */
bool value_copy(sn_arena *mem, const sn_value *v, sn_value *ret_copy);

/* Characters and items with everything inside; 1 for anything else. */
size_t value_size(const sn_value *v);

/* "3, 5, 7" into buf, after ten "and N more"; returns buf. */
const char *value_list(const sn_value *v, size_t n, char *buf, size_t n_bytes);

#endif
