/* path: uniform sampling, for the policies that are it under another name. */
#ifndef POLICY_PATH_H
#define POLICY_PATH_H

#include "supernet/supernet.h"

/* For every policy without options: an empty object or nothing. */
sn_status path_init(void *state, const sn_supernet *net, const char *options, sn_error *err);

sn_status path_resample(void *state, const sn_supernet *net, sn_rng *rng, sn_draft *draft,
                        sn_error *err);

#endif
