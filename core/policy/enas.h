/* enas: one controller: its network, its optimiser, and the draws it still remembers. */
#ifndef POLICY_ENAS_H
#define POLICY_ENAS_H

#include <jansson.h>

#include "policy/enas_net.h"

/* The numbers that options set, with their ranges; ENAS_SHAPE decides the parameters and
 * cannot change once the controller exists. */
#define ENAS_OPTIONS(X)                                                                            \
    X(lstm_size, 64, 1, 512)                                                                       \
    X(lstm_num_layers, 1, 1, 4)                                                                    \
    X(remember, 1024, 1, 65536)                                                                    \
    X(tanh_constant, 1.5, 0, 1000)                                                                 \
    X(temperature, 1, 1e-6, 1e6)                                                                   \
    X(learning_rate, 3.5e-4, 0, 10)                                                                \
    X(entropy_weight, 1e-4, 0, 1000)                                                               \
    X(baseline_decay, 0.999, 0, 1)                                                                 \
    X(baseline, 0, -1e9, 1e9)                                                                      \
    X(gradient_clip, 5, 0, 1e9)

enum enas_option {
#define X(name, fallback, min, max) ENAS_##name,
    ENAS_OPTIONS(X)
#undef X
        ENAS_N_OPTIONS,
    ENAS_N_SHAPE = ENAS_remember + 1 /* those before are whole numbers */
};

/* One draw: a candidate for every field; ENAS_FIXED marks what was set by hand. */
enum { ENAS_FIXED = 1 << 30 };

struct enas {
    struct enas_net net;
    double          option[ENAS_N_OPTIONS]; /* baseline: the running one */

    /* Adam, [n_theta] each. */
    uint64_t n_updates;
    double  *mean, *square, *grad;

    /* The last draws, in a ring: draw i is at i % remember. n_held of them are there, which a
     * state that was edited may have fewer of than were drawn. Counters stay within int64_t. */
    uint64_t   n_drawn, n_held;
    uint32_t **draw; /* [remember], [n_fields] each; NULL: never used */
};

extern const char *const enas_option_name[ENAS_N_OPTIONS];

/* Check and take numbers of `doc` from the option `first` on; on failure ret may be half
 * changed, so that callers pass a copy. */
sn_status enas_read_options(const json_t *doc, enum enas_option first, double *option,
                            sn_error *err);

void enas_apply_options(struct enas *e, const double *option);

/* The i-th last draw, 0 the newest; NULL if it is not remembered. */
const uint32_t *enas_draw_at(const struct enas *e, uint64_t i);
sn_status       enas_remember(struct enas *e, const uint32_t *draw, sn_error *err);

/* The draws, and what the optimiser has learnt; not the network. */
void enas_free_learnt(struct enas *e);

/* enas_reward.c, enas_state.c */
sn_status enas_update(void *state, const sn_supernet *net, const char *text, sn_error *err);
sn_status enas_save(const void *state, const sn_supernet *net, const sn_sink *sink, sn_error *err);
sn_status enas_load(void *state, const sn_supernet *net, const char *text, sn_error *err);

#endif
