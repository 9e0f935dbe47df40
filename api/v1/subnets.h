/* subnets: what the endpoints of subnets and of the current choices share. */
#ifndef API_V1_SUBNETS_H
#define API_V1_SUBNETS_H

#include "v1/choices_json.h"

/* Both forms of a body that describes one subnet. Borrows from `body`. */
enum problem_code api_choices_body(struct call *call, struct json_text body,
                                   struct json_text  *ret_choices,
                                   struct completion *ret_completion);

/* The answer: {"id", "choices", "version"}, and the seed if one was used. */
void api_subnet_write(struct call *call, const sn_subnet *subnet,
                      const struct completion *completion);

#endif
