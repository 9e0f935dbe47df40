/* forward: what the JSON form and the safetensors form of a forward share.
 *
 *     read (one of two forms) -> inputs and subnets
 *     bind: inputs against the ports of the supernet, the batch
 *     plan and run each subnet
 *     write (one of two forms)
 */
#ifndef API_V1_FORWARD_FORWARD_H
#define API_V1_FORWARD_FORWARD_H

#include "v1/subnets.h"

/* All that a request can say beside its inputs, see said.c. */
enum said_word {
    SAID_SUBNET,
    SAID_CHOICES,
    SAID_SUBNETS,
    SAID_POLICY,
    SAID_ALPHA,
    SAID_SEED,
    SAID_VERSION,
    SAID_MODE,
    SAID_COUNT
};
#define API_FORWARD_WORDS "subnet|choices|subnets|policy|alpha|seed|version|mode"

enum said_form { SAID_NOWHERE, IN_QUERY, IN_BODY, IN_METADATA };

/* One of them: a text, a number or a piece of JSON, whatever the word has. */
struct said {
    enum said_form   in;
    const char      *text;
    int64_t          number;
    struct json_text json;
};

/* What the subnets of one forward have in common. */
struct frame {
    sn_desc            in[SN_MAX_PORTS], largest[SN_MAX_PORTS];
    sn_compile_options options;
};

/* One subnet. Its plan is kept from describing to running while there is room, and compiled again
 * if not (as a rule it is in the cache). */
struct run {
    sn_plan *plan;
    size_t   n_out, n_bytes; /* of all outputs together */
    sn_desc *out;
};

struct forward {
    struct call *call;

    struct said said[SAID_COUNT];

    /* Inputs, one for each port; dtype SN_NONE: not sent. */
    sn_tensor      in[SN_MAX_PORTS];
    struct api_buf owned[SN_MAX_PORTS]; /* the data of inputs that are no views into the body */
    sn_weights    *weights;             /* a safetensors body; NULL for JSON */
    int64_t        batch;               /* -1: no input has a batch dimension */

    /* Subnets in the order of the request. */
    sn_subnet   **subnet;
    struct frame  frame;
    struct run   *run; /* of each subnet */
    size_t        n_subnets;
    const float **probs;            /* by choice: weights of what is soft; NULL: nothing may be */
    float        *weights_of_probs; /* where they are */
    bool          train;            /* "mode": "train" */
    sn_state     *state;   /* of the last run in training mode: a copy of this call's own */
    bool          several; /* `subnets` was used: results are told apart by their ids */
};

/* ---- said.c ---- */

/* Collect what one form says: a member of the body; all keys of the metadata; all parameters of the
 * query. A word that is unknown, or said differently elsewhere, is refused. */
enum problem_code api_forward_say_json(struct forward *f, struct json_text name,
                                       struct json_text value);
enum problem_code api_forward_say_metadata(struct forward *f);
enum problem_code api_forward_say_query(struct forward *f);

bool        api_forward_is_said(const struct forward *f, enum said_word w);
const char *api_forward_where(const struct forward *f, enum said_word w);

/* ---- decide.c, policy.c ---- */

/* Mode and subnets from all that was said; nothing said: the current subnet. */
enum problem_code api_forward_decide(struct forward *f);

/* `id` NULL: the current one. */
enum problem_code api_forward_one_id(struct forward *f, const char *id, const char *where,
                                     enum problem_code if_unknown);
enum problem_code api_forward_one_choices(struct forward *f, struct json_text choices,
                                          const char *where);
enum problem_code api_forward_list(struct forward *f, struct json_text list, const char *where);

/* What is said when a policy decides: a policy's name or inline logits, and either an id or
 * choices that are fixed beforehand. */
struct forward_policy {
    const char       *name, *id; /* NULL: not said */
    struct json_text  alpha, choices;
    bool              has_seed;
    uint64_t          seed;
    enum problem_code if_unknown; /* an id that is not remembered */
    const char       *where_name, *where_id, *where_alpha, *where_choices;
};
enum problem_code api_forward_policy(struct forward *f, const struct forward_policy *how);

/* Takes `subnet` in any case. */
enum problem_code api_forward_add(struct forward *f, sn_subnet *subnet);

/* Distributions need weights, and only a policy or logits have them. */
enum problem_code api_forward_check_soft(struct forward *f);

/* ---- inputs.c ---- */

/* Hold the inputs against the ports of the supernet, and see what the batch is. */
enum problem_code api_forward_bind(struct forward *f);
bool              api_forward_is_batch(const sn_port *port, int d);

/* ---- compute.c ---- */

/* A plan for each subnet, and what its outputs are; then whether these are too much together. */
enum problem_code api_forward_compile(struct forward *f);
enum problem_code api_forward_check_outputs(struct forward *f);

/* Run plan i: `out` are dense tensors of the described outputs. */
enum problem_code api_forward_run(struct forward *f, size_t i, sn_tensor *out);

/* Describe the outputs of plan i; bytes of all of them together. */
enum problem_code api_forward_outputs(struct forward *f, size_t i, sn_desc *ret_out, size_t *ret_n,
                                      size_t *ret_bytes);

/* ---- read_json.c, read_safetensors.c, write_json.c, write_safetensors.c ---- */

enum problem_code api_forward_read_json(struct forward *f);
enum problem_code api_forward_read_binary(struct forward *f);
enum problem_code api_forward_write_json(struct forward *f);
enum problem_code api_forward_write_binary(struct forward *f);

#endif
