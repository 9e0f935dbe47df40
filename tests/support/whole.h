/* whole: a network from its document to its outputs, and once more as its own export.
 * Shapes in the documents are fixed; weights are those of net.h. */
#ifndef SUPPORT_WHOLE_H
#define SUPPORT_WHOLE_H

#include "support/net.h"

struct whole {
    sn_supernet *net;
    void        *bytes; /* of the weights */
};

/* Load `spec` with weights for whatever it needs; fails the test if it cannot. */
void whole_load(struct whole *w, const char *spec);
void whole_fini(struct whole *w);

/* What `subnet` makes of the numbers in `x`, one input after the other; returns how many
 * numbers were written, all outputs one after the other. */
size_t whole_run(sn_subnet *subnet, const float *x, float *y, size_t cap);

/* The stand-alone network that `subnet` exports, with nothing left to choose. */
void       whole_export(struct whole *w, sn_subnet *subnet);
sn_subnet *whole_seal(struct whole *w);

#endif
