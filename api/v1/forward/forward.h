/* forward: one input through one subnet or several.
 *
 *     read        one of two forms -> a request                          request.h
 *     decide      what was said -> subnets, and how to run them          decide.c, policy.c
 *     bind        inputs against the ports of the supernet, the batch    inputs.c
 *     describe    plans -> what the outputs will be                      compute.c
 *     compute     every subnet -> a result                               compute.c, result.h
 *
 * One of two forms is written of the result when the handler is done. */
#ifndef API_V1_FORWARD_FORWARD_H
#define API_V1_FORWARD_FORWARD_H

#include "v1/forward/request.h"
#include "v1/forward/result.h"
#include "v1/subnets.h"

/* What the subnets of one forward have in common. */
struct frame {
    sn_desc            in[SN_MAX_PORTS], largest[SN_MAX_PORTS];
    sn_compile_options options;
};

struct forward {
    struct call           *call;
    struct forward_request request;
    int64_t                batch; /* -1: no input has a batch dimension */

    /* Subnets in the order of the request. */
    sn_subnet   **subnet;
    size_t        n_subnets;
    const float **probs;            /* by choice: weights of what is soft; NULL: nothing may be */
    float        *weights_of_probs; /* where they are */
    bool          train;            /* "mode": "train" */
    bool          several;          /* `subnets` was used: results are told apart by their ids */

    /* The plan of each item of the result. It is kept from describing to running while there is
     * room, and compiled again if not (as a rule it is in the cache). */
    struct frame           frame;
    sn_plan              **plan;
    struct forward_result *result; /* the call's */
};

/* ---- decide.c, policy.c ---- */

/* Mode and subnets from all that was said; nothing said: the current subnet. */
enum problem_code api_forward_decide(struct forward *f);

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

/* ---- inputs.c ---- */

/* Hold the inputs against the ports of the supernet, and see what the batch is. */
enum problem_code api_forward_bind(struct forward *f);
bool              api_forward_is_batch(const sn_port *port, int d);

/* ---- compute.c ---- */

/* A result that knows its subnets and the shapes of all outputs. Nothing runs yet. */
enum problem_code api_forward_describe(struct forward *f);

/* Run every subnet into it. */
enum problem_code api_forward_compute(struct forward *f);

#endif
