/* forward: what the JSON form and the safetensors form of a forward share.
 *
 *     read (one of two forms) -> inputs and subnets
 *     bind: inputs against the ports of the supernet, the batch
 *     plan and run each subnet
 *     write (one of two forms)
 */
#ifndef API_FORWARD_H
#define API_FORWARD_H

#include "subnets.h"

struct forward {
    struct call *call;

    /* Inputs, one for each port; dtype SN_NONE: not sent. */
    sn_tensor   in[SN_MAX_PORTS];
    void       *owned[SN_MAX_PORTS]; /* data to free(); NULL for views into the body */
    sn_weights *weights;             /* a safetensors body; NULL for JSON */
    int64_t     batch;               /* 0: no input has a batch dimension */

    /* Subnets in the order of the request. */
    sn_subnet   **subnet;
    sn_plan     **plan;
    size_t        n_subnets;
    const float **probs;            /* by choice: weights of what is soft; NULL: nothing may be */
    float        *weights_of_probs; /* where they are */
    bool          train;            /* "mode": "train" */
    sn_state     *state;            /* of the last run in training mode: a copy of this call's own */
    bool          several;          /* `subnets` was used: results are told apart by their ids */
};

/* The subnets, from whatever the request said; both readers end in these. */
enum problem_code api_forward_one_id(struct forward *f, const char *id, const char *where,
                                     enum problem_code if_unknown);
enum problem_code api_forward_one_choices(struct forward *f, const json_t *choices,
                                          const char *where);
enum problem_code api_forward_list(struct forward *f, const json_t *list, const char *where);
enum problem_code api_forward_version(struct forward *f, int64_t version, const char *where);

/* What a body says when a policy decides: a policy's name or inline logits, and either an id or
 * choices that are fixed beforehand. */
struct forward_policy {
    const char       *name, *id; /* NULL: not said */
    const json_t     *alpha, *choices;
    bool              has_seed;
    uint64_t          seed;
    enum problem_code if_unknown; /* an id that is not remembered */
    const char       *where_name, *where_id, *where_alpha, *where_choices;
};
enum problem_code api_forward_policy(struct forward *f, const struct forward_policy *how);

/* All that a body can say, in either form; `list` is its `subnets`, NULL if it has none. Says
 * it nothing, then the query or the current subnet decides. */
enum problem_code api_forward_subnets(struct forward *f, const struct forward_policy *how,
                                      const json_t *list, const char *where_list,
                                      const char *where);

/* "eval" or "train". */
enum problem_code api_forward_mode(struct forward *f, const char *mode);

/* Takes `subnet` in any case. */
enum problem_code api_forward_add(struct forward *f, sn_subnet *subnet);

/* Run plan i: `out` are dense tensors of the described outputs. */
enum problem_code api_forward_run(struct forward *f, size_t i, sn_tensor *out);

/* Describe the outputs of plan i; bytes of all of them together. */
enum problem_code api_forward_outputs(struct forward *f, size_t i, sn_desc *ret_out, size_t *ret_n,
                                      size_t *ret_bytes);

/* ---- forward_json.c, forward_binary.c ---- */

enum problem_code api_forward_read_json(struct forward *f);
enum problem_code api_forward_read_binary(struct forward *f);
enum problem_code api_forward_write_json(struct forward *f);
enum problem_code api_forward_write_binary(struct forward *f);

#endif
