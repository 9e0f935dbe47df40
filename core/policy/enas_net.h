/* enas_net: the controller's network, a stack of LSTM cells over the used choices of a space.
 *
 *     step t    x_t [H]     t = 0: a learned start; else the embedding of what step t-1 took
 *               h_t [H]     of the topmost cell
 *               logits [n]  soft_t [n, H] h_t, where n counts the candidates of choice t
 *               u = tanh_constant * tanh(logits / temperature)    p = softmax(u)
 *
 * As ReinforceController of NNI v2.8: cells without biases, gates in PyTorch's order (input,
 * forget, cell, output). Everything is double, so that learning is the same everywhere and
 * gradients can be checked against differences. One run at a time: the steps of the last one
 * are kept for back-propagation. */
#ifndef POLICY_ENAS_NET_H
#define POLICY_ENAS_NET_H

#include "base/base.h"

struct enas_field {
    size_t choice; /* of the supernet */
    size_t n;      /* candidates */
    size_t soft;   /* where soft [n, H] begins in theta */
    size_t embed;  /* where the embeddings [n, H] begin */
};

/* What one step of one cell leaves behind; H each. */
enum enas_part { PART_I, PART_F, PART_G, PART_O, PART_C, PART_TANH_C, PART_H, N_PARTS };

struct enas_net {
    void              *policy;                   /* its limits; set before enas_net_init() */
    size_t             n_choices;                /* of the supernet */
    size_t             n_fields, size, n_layers; /* size is H */
    struct enas_field *field;
    double             tanh_constant; /* 0: logits are not squashed */
    double             temperature;

    /* For each layer w_input [4H, H] and w_hidden [4H, H], then the start [H], then soft
     * and embeddings of each field. */
    size_t  n_theta;
    double *theta;

    /* The steps of the last run. */
    size_t    n_steps;
    uint32_t *taken; /* [n_fields] */
    double   *parts; /* [n_fields][n_layers][N_PARTS][H] */
    double   *probs; /* [n_fields][max_n] */
    size_t    max_n;
    double   *work; /* for the way back */
};

/* Random parameters as in PyTorch: uniform within 1/sqrt(H), embeddings normal.
 * SN_E_UNSUPPORTED for a choice that takes several candidates. */
sn_status enas_net_init(struct enas_net *net, const sn_supernet *supernet, size_t size,
                        size_t n_layers, uint64_t seed, sn_error *err);
void      enas_net_fini(struct enas_net *net);

/* One run: begin, then for every field a step, which gives the probabilities [n] of its
 * candidates, and what was taken. NULL when the limits of the policy end it: enas_net_stopped(). */
void          enas_net_begin(struct enas_net *net);
const double *enas_net_step(struct enas_net *net);
void          enas_net_take(struct enas_net *net, size_t candidate);
sn_status     enas_net_stopped(sn_error *err);

/* Run all steps with candidates known beforehand. -log p of step t into ret_nll[t]. */
sn_status enas_net_replay(struct enas_net *net, const uint32_t *taken, double *ret_nll,
                          sn_error *err);

/* Add the gradient of sum_t weight[t] * -log p_t with respect to theta, for the last run,
 * which must be complete. */
sn_status enas_net_backward(struct enas_net *net, const double *weight, double *grad,
                            sn_error *err);

#endif
