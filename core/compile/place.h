/* place: an offset for each buffer, so that buffers that are needed at the same time do not
 * overlap. */
#ifndef COMPILE_PLACE_H
#define COMPILE_PLACE_H

#include "compile/blocks.h"

/* A buffer that is needed from step `first` to step `last`. `chain_first` and `chain_last` are this
 * lifetime widened to whole chains: the threads of a chain are not synchronised between its steps,
 * so one may be at the last step while another is at the first. */
struct interval {
    size_t  bytes;
    int     first, last;
    int     chain_first, chain_last;
    bool    temporary; /* temporary memory of one step */
    size_t *ret_offset;
    size_t  offset;
    size_t  zone;
};

/* Intervals, the larger ones first, and the memory to place them with. */
struct placing {
    struct interval *all;
    size_t           n;
    struct leaf     *leaf;     /* [n] sorted by first step */
    struct leaf     *end;      /* [n] sorted by last step */
    size_t          *at;       /* [n] the leaf of an interval */
    int             *until;    /* [2 * n_leaves] tree: last step of the placed ones below, or -1 */
    size_t           n_leaves; /* a power of two */
    size_t          *met;      /* [n] placed intervals whose lifetimes overlap the current one */
    size_t           n_met;
    size_t           budget; /* how many more of them may be looked at */
    struct bytes    *taken;  /* [n] */
    size_t          *zone;   /* [2 * n] */
    struct blocks    free_bytes;
};

/* Sorts `all`; false when memory is out. */
bool placing_init(struct placing *p, struct interval *all, size_t n, sn_arena *mem);

/* Give each the lowest offset where it fits; false if the sum overflows. */
bool place_packed(struct placing *p, size_t *ret_total);

/* The same in zones side by side: a zone is as large as its largest buffer, and all others are
 * centred in it, so that the border between two threads' halves of a tensor is always at the same
 * address (memory.c says why). Changes no offset if the zones need more than `most` bytes. */
void place_zones(struct placing *p, size_t most, size_t *ret_total);

#endif
