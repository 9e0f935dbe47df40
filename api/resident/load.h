/* load: a folder, or what is built in, becomes a model that is found by its name. */
#ifndef API_RESIDENT_LOAD_H
#define API_RESIDENT_LOAD_H

#include "resident/resident.h"

/* The supernet in `dir` (spec.json, weights.safetensors), or the built-in demo for
 * NULL. With `below`, the files must lie below that folder, links resolved. */
enum problem_code api_load_model(struct api *api, const struct budget *b, const char *name,
                                 const char *source, const char *dir, const char *below,
                                 struct model **ret_model, struct problem *p);

/* Make it visible under its name; takes `m` in any case. */
enum problem_code api_install_model(struct api *api, const struct budget *b, struct model *m,
                                    bool *ret_replaced, struct kept *ret_kept, struct problem *p);

#endif
