/* blocks: a first-fit allocator of offsets. */
#ifndef COMPILE_BLOCKS_H
#define COMPILE_BLOCKS_H

#include <stdint.h>

#include "base/base.h"

struct block;

/* A treap by offset, each node with the largest block below it. */
struct blocks {
    struct block *block; /* [cap + 1], 0: none */
    uint32_t      root, spare, n;
};

/* Room for `most` taken pieces at a time; false when memory is out. */
bool blocks_init(struct blocks *b, size_t most, sn_arena *mem);
void blocks_start(struct blocks *b); /* all bytes are free */

#define BLOCKS_NONE SIZE_MAX

/* The lowest place for n_bytes > 0, or BLOCKS_NONE. */
size_t blocks_take(struct blocks *b, size_t n_bytes);
void   blocks_give(struct blocks *b, size_t from, size_t n_bytes);

#endif
