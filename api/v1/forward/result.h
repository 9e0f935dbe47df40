/* result: what a forward has computed. JSON and safetensors are two writers of it, which know
 * nothing of requests, policies and plans.
 *
 *     begin, of the form that will be written   what of the answer is known before anything runs
 *     api_forward_compute(), see forward.h      every subnet runs into memory of the result
 *     write, of the same form
 *
 * Outputs lie where the form wants them. For JSON each subnet's are a block of their own, which
 * goes as soon as it is written, so that text and numbers are not held both; safetensors has them
 * in one block with room in front of them, which becomes the answer without a copy. */
#ifndef API_V1_FORWARD_RESULT_H
#define API_V1_FORWARD_RESULT_H

#include "http/call.h"

/* One subnet that was run. */
struct forward_item {
    sn_subnet *subnet; /* referenced */
    size_t     n_out, n_bytes;
    sn_tensor *out;     /* dense, and without memory until it is computed */
    sn_state  *state;   /* the running statistics as the run has left them; NULL: not asked for */
    void      *block;   /* of its outputs alone; NULL: they are in the result's block */
    size_t     n_block; /* charged as a reply */
    size_t     n_uses;  /* answers that are still to be written of it */
};

/* One output: of which subnet, and where in the data of all. */
struct forward_place {
    size_t item, output, at, n_bytes;
};

struct forward_result {
    struct account    *account;
    const sn_supernet *net; /* of the call, like all names */
    uint64_t           version;
    bool               several; /* subnets are told apart by their ids */

    size_t               n_items, n_answers;
    struct forward_item *item;
    size_t              *answer; /* items in the order of the request; one may be there twice */

    /* What the form wants, set by its begin. */
    bool                  with_state;
    struct forward_place *place; /* in one block, in this order; NULL: a block for each item */
    size_t                n_places, n_front, n_data;
    char                 *block; /* n_front bytes, then the data; charged as a reply */
    size_t                n_block;
};

/* A result for as many subnets, in memory of the call; call->result is this from now on. */
struct forward_result *api_forward_result(struct call *call, size_t n_subnets);

/* One more answer: of the item of an equal subnet, if there is one. */
void api_forward_result_add(struct forward_result *r, sn_subnet *subnet);

/* Memory for all outputs. */
enum problem_code api_forward_result_alloc(struct call *call, struct forward_result *r);

/* An answer of the item is written: what nobody needs any more goes. */
void api_forward_item_written(struct forward_result *r, struct forward_item *item);

/* ---- write_json.c, write_safetensors.c ---- */

void              api_forward_begin_json(struct forward_result *r);
enum problem_code api_forward_begin_safetensors(struct call *call, struct forward_result *r);
enum problem_code api_forward_write_json(struct call *call, void *result);
enum problem_code api_forward_write_safetensors(struct call *call, void *result);

#endif
