/* choices_json: {"label": value} and the library's drafts and subnets. */
#ifndef API_V1_CHOICES_JSON_H
#define API_V1_CHOICES_JSON_H

#include "http/body.h"
#include "resident/visit.h"

/* How to complete what a set of choices leaves open. */
struct completion {
    bool        asked;
    const char *policy; /* NULL: take the open ones from the current subnet */
    uint64_t    seed;
};

/* A draft with the values of the object `choices` (`at` NULL: none). */
enum problem_code api_choices_draft(struct call *call, struct json_text choices, const char *where,
                                    sn_draft **ret_draft);

/* "complete": {"policy": "path", "seed": 7}, or "current". */
enum problem_code api_completion_parse(struct call *call, struct json_text json, const char *where,
                                       struct completion *ret_completion);

/* A random seed that survives JSON readers with 53 bits. */
enum problem_code api_random_seed(uint64_t *ret_seed, struct problem *p);
enum { API_SEED_BITS = 53 };

/* The subnet that a body's `choices` and `complete` describe. */
enum problem_code api_choices_subnet(struct call *call, struct json_text choices, const char *where,
                                     const struct completion *completion, sn_subnet **ret_subnet,
                                     bool *ret_created);

/* A subnet named by the URL, by a body, or by nobody: `id` NULL is the current one. */
enum problem_code api_choices_find(struct model *m, const char *id, const char *where,
                                   enum problem_code if_unknown, sn_subnet **ret_subnet,
                                   struct problem *p);

/* ', "soft": [labels]' of what follows a distribution, if anything does. */
void api_soft_write(struct api_buf *b, const sn_subnet *subnet);

/* {"label": value, ...}: active choices; every value drawn. */
void api_choices_write(struct api_buf *b, const sn_subnet *subnet);
void api_memo_write(struct api_buf *b, const sn_supernet *net, const sn_draft *draft);

#endif
