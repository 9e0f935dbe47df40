/* net: small supernets for tests: a document in a line, weights made from their names. */
#ifndef SUPPORT_NET_H
#define SUPPORT_NET_H

#include "supernet/supernet.h"

/* A tensor's name and its shape, {0} ends it. */
struct net_tensor {
    const char *name;
    int         rank;
    int64_t     dim[4];
};

/* A safetensors document with F32 values in (0, 1] that depend on name and place only;
 * malloc()ed. */
void *net_weights(const struct net_tensor *tensors, size_t *ret_n_bytes);

/* Load `spec` over such weights; fails the test if it cannot. *ret_bytes must outlive it. */
sn_supernet *net_load(const char *spec, const struct net_tensor *tensors, void **ret_bytes);

/* Seal {"label": value} pairs of integers: "width=4 depth=2"; texts for LayerChoices. */
sn_subnet *net_choose(sn_supernet *net, const char *choices);

/* The same before it is sealed. */
sn_draft *net_draft(sn_supernet *net, const char *choices);

/* The built-in demo of deploy/demo. */
sn_supernet *net_demo(void);

#endif
