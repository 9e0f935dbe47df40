/* place: offsets for bytes that live from one step to another. */
#ifndef COMPILE_PLACE_H
#define COMPILE_PLACE_H

#include "compile/blocks.h"

/* Bytes that live from step `first` to step `last`; with chains, from the first step of the chain
 * that the one is in to the last of that of the other. */
struct interval {
    size_t  bytes;
    int     first, last;
    int     chain_first, chain_last;
    bool    temporary; /* of one step: no two meet, and threads share it in ways of their own */
    size_t *ret_offset;
    size_t  offset;
    size_t  zone;
};

/* Intervals, the larger ones first, and the memory to place them with. */
struct placing {
    struct interval *all;
    size_t           n;
    struct leaf     *leaf;     /* [n] by their first step, then by number */
    struct leaf     *end;      /* [n] by their last step */
    size_t          *at;       /* [n] the leaf of an interval */
    int             *until;    /* [2 * n_leaves] tree: last step of the placed ones below, or -1 */
    size_t           n_leaves; /* a power of two */
    size_t          *met;      /* [n] which of the placed ones meet another */
    size_t           n_met;
    size_t           budget; /* how many more may be met */
    struct bytes    *taken;  /* [n] */
    size_t          *zone;   /* [2 * n] */
    struct blocks    free_bytes;
};

/* Sorts `all`; false when memory is out. */
bool placing_init(struct placing *p, struct interval *all, size_t n, sn_arena *mem);

/* Each as low as it fits; false if the sum overflows. */
bool place_packed(struct placing *p, size_t *ret_total);

/* In zones side by side, each as large as its largest tensor, with all others in the middle.
 * Changes no offset if the zones need more than `most`. */
void place_zones(struct placing *p, size_t most, size_t *ret_total);

#endif
