/* enas_net: forward and back-propagation through time, written out. */
#include "policy/enas_net.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "policy/alpha.h"
#include "policy/memory.h"

/* ---- where things are ---- */

static size_t w_input(const struct enas_net *net, size_t layer)
{
    return layer * 8 * net->size * net->size;
}

static size_t w_hidden(const struct enas_net *net, size_t layer)
{
    return w_input(net, layer) + 4 * net->size * net->size;
}

static size_t start_at(const struct enas_net *net)
{
    return w_input(net, net->n_layers);
}

static double *part(const struct enas_net *net, size_t step, size_t layer, enum enas_part p)
{
    return net->parts + ((step * net->n_layers + layer) * N_PARTS + p) * net->size;
}

/* Where in theta the input of a step is. */
static size_t input_at(const struct enas_net *net, size_t step)
{
    if (step == 0) return start_at(net);
    return net->field[step - 1].embed + net->taken[step - 1] * net->size;
}

/* ---- creation ---- */

static sn_status find_fields(struct enas_net *net, const sn_supernet *supernet, sn_error *err)
{
    size_t at = start_at(net) + net->size;

    for (size_t i = 0; i < sn_supernet_n_choices(supernet); i++) {
        const sn_choice   *c = sn_supernet_choice(supernet, i);
        struct enas_field *f = &net->field[net->n_fields];

        if (c->n_users == 0) continue;
        if (c->n_chosen != 1)
            return sn_fail(err, SN_E_UNSUPPORTED, c->label,
                           "policy \"enas\" decides one candidate for each choice, but \"%s\" "
                           "takes several",
                           c->label);
        *f = (struct enas_field){.choice = i, .n = c->n_candidates};
        f->soft = at;
        f->embed = at + f->n * net->size;
        at = f->embed + f->n * net->size;
        if (f->n > net->max_n) net->max_n = f->n;
        net->n_fields++;
    }
    net->n_theta = at;
    return SN_OK;
}

static sn_status fill(struct enas_net *net, uint64_t seed, sn_error *err)
{
    const double bound = 1.0 / sqrt((double)net->size);
    sn_rng       rng;

    sn_rng_seed(&rng, seed);
    for (size_t i = 0; i < net->n_theta; i++)
        net->theta[i] = bound * (2.0 * sn_rng_unit(&rng) - 1.0);
    for (size_t i = 0; i < net->size; i++)
        net->theta[start_at(net) + i] = 0.1 * alpha_normal(&rng);
    for (size_t t = 0; t < net->n_fields; t++) {
        const size_t    n = net->field[t].n * net->size;
        const sn_status rc = policy_step(net->policy, 8 * n, err);

        if (rc) return rc;
        for (size_t i = 0; i < n; i++)
            net->theta[net->field[t].embed + i] = alpha_normal(&rng);
    }
    return SN_OK;
}

static size_t n_parts(const struct enas_net *net)
{
    return (net->n_fields + 1) * net->n_layers * N_PARTS * net->size;
}

static size_t n_probs(const struct enas_net *net)
{
    return (net->n_fields + 1) * (net->max_n + 1);
}

static size_t n_work(const struct enas_net *net)
{
    return (2 * net->n_layers + 6) * net->size;
}

/* Steps of one step of the network, forward. */
static uint64_t step_cost(const struct enas_net *net, const struct enas_field *f)
{
    return (8 * net->n_layers * net->size + f->n) * net->size / 4 + 16 * f->n;
}

sn_status enas_net_init(struct enas_net *net, const sn_supernet *supernet, size_t size,
                        size_t n_layers, uint64_t seed, sn_error *err)
{
    sn_status rc;

    net->size = size;
    net->n_layers = n_layers;
    net->n_choices = sn_supernet_n_choices(supernet);
    net->field = policy_calloc(net->policy, net->n_choices + 1, sizeof *net->field);
    if (!net->field) return fail_no_memory(err, "policy");
    rc = find_fields(net, supernet, err);
    if (!rc) rc = policy_step(net->policy, 2 * start_at(net), err);
    if (rc) return rc;
    /* 10 000 labels of 4 096 candidates with 512 numbers each: no product overflows. */
    net->theta = policy_calloc(net->policy, net->n_theta, sizeof *net->theta);
    net->taken = policy_calloc(net->policy, net->n_fields + 1, sizeof *net->taken);
    net->parts = policy_calloc(net->policy, n_parts(net), sizeof *net->parts);
    net->probs = policy_calloc(net->policy, n_probs(net), sizeof *net->probs);
    net->work = policy_calloc(net->policy, n_work(net), sizeof *net->work);
    if (!net->theta || !net->taken || !net->parts || !net->probs || !net->work)
        return fail_no_memory(err, "policy"); /* the caller calls enas_net_fini */
    return fill(net, seed, err);
}

void enas_net_fini(struct enas_net *net)
{
    policy_free(net->policy, net->field, net->n_choices + 1, sizeof *net->field);
    policy_free(net->policy, net->theta, net->n_theta, sizeof *net->theta);
    policy_free(net->policy, net->taken, net->n_fields + 1, sizeof *net->taken);
    policy_free(net->policy, net->parts, n_parts(net), sizeof *net->parts);
    policy_free(net->policy, net->probs, n_probs(net), sizeof *net->probs);
    policy_free(net->policy, net->work, n_work(net), sizeof *net->work);
}

/* ---- forward ---- */

static double sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

static double dot(const double *a, const double *b, size_t n)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* One cell: x [H] and the state of the step before become a new state. */
static void run_cell(struct enas_net *net, size_t step, size_t layer, const double *x)
{
    const size_t  h = net->size;
    const double *wi = net->theta + w_input(net, layer), *wh = net->theta + w_hidden(net, layer);
    const double *h_old = step ? part(net, step - 1, layer, PART_H) : NULL;
    const double *c_old = step ? part(net, step - 1, layer, PART_C) : NULL;

    for (enum enas_part gate = PART_I; gate <= PART_O; gate++)
        for (size_t i = 0; i < h; i++) {
            const size_t row = ((size_t)gate * h + i) * h;
            double       z = dot(wi + row, x, h);

            if (h_old) z += dot(wh + row, h_old, h);
            part(net, step, layer, gate)[i] = gate == PART_G ? tanh(z) : sigmoid(z);
        }
    for (size_t i = 0; i < h; i++) {
        double c = part(net, step, layer, PART_I)[i] * part(net, step, layer, PART_G)[i];

        if (c_old) c += part(net, step, layer, PART_F)[i] * c_old[i];
        part(net, step, layer, PART_C)[i] = c;
        part(net, step, layer, PART_TANH_C)[i] = tanh(c);
        part(net, step, layer, PART_H)[i] = part(net, step, layer, PART_O)[i] * tanh(c);
    }
}

void enas_net_begin(struct enas_net *net)
{
    net->n_steps = 0;
}

/* logits / temperature, squashed. */
static double squash(const struct enas_net *net, double logit)
{
    logit /= net->temperature;
    return net->tanh_constant > 0.0 ? net->tanh_constant * tanh(logit) : logit;
}

const double *enas_net_step(struct enas_net *net)
{
    const size_t             t = net->n_steps;
    const struct enas_field *f = &net->field[t];
    const double            *x = net->theta + input_at(net, t);
    double                  *p = net->probs + t * net->max_n, most = -INFINITY, sum = 0.0;

    assert(t < net->n_fields); /* the callers' loops run over the fields */
    if (policy_step(net->policy, step_cost(net, f), NULL)) return NULL;
    for (size_t layer = 0; layer < net->n_layers; layer++) {
        run_cell(net, t, layer, x);
        x = part(net, t, layer, PART_H);
    }
    for (size_t k = 0; k < f->n; k++) {
        p[k] = squash(net, dot(net->theta + f->soft + k * net->size, x, net->size));
        most = fmax(most, p[k]);
    }
    for (size_t k = 0; k < f->n; k++)
        sum += p[k] = exp(p[k] - most);
    for (size_t k = 0; k < f->n; k++)
        p[k] /= sum;
    return p;
}

void enas_net_take(struct enas_net *net, size_t candidate)
{
    net->taken[net->n_steps++] = (uint32_t)candidate;
}

sn_status enas_net_stopped(sn_error *err)
{
    return sn_fail(err, SN_E_STOPPED, "policy", "%s", sn_status_text(SN_E_STOPPED));
}

sn_status enas_net_replay(struct enas_net *net, const uint32_t *taken, double *ret_nll,
                          sn_error *err)
{
    enas_net_begin(net);
    for (size_t t = 0; t < net->n_fields; t++) {
        const double *p = enas_net_step(net);

        if (!p) return enas_net_stopped(err);
        ret_nll[t] = -log(fmax(p[taken[t]], 1e-300));
        enas_net_take(net, taken[t]);
    }
    return SN_OK;
}

/* ---- backward ---- */

/* From -log p_t to the topmost h of step t: d_h [H] is added to. */
static void back_soft(const struct enas_net *net, size_t t, double weight, double *d_h,
                      double *grad)
{
    const struct enas_field *f = &net->field[t];
    const double            *h = part(net, t, net->n_layers - 1, PART_H);
    const double            *p = net->probs + t * net->max_n;

    for (size_t k = 0; k < f->n; k++) {
        const double *row = net->theta + f->soft + k * net->size;
        double        d = weight * (p[k] - (k == net->taken[t])); /* by u */

        if (net->tanh_constant > 0.0) {
            const double s = tanh(dot(row, h, net->size) / net->temperature);

            d *= net->tanh_constant * (1.0 - s * s);
        }
        d /= net->temperature; /* by the logit */
        for (size_t i = 0; i < net->size; i++) {
            grad[f->soft + k * net->size + i] += d * h[i];
            d_h[i] += d * row[i];
        }
    }
}

/* Through one cell. d_h and d_c [H] are the gradients of its h and c; they become those of
 * the step before, and d_x [H] that of its input. d_z [4H] is work space. */
static void back_cell(const struct enas_net *net, size_t t, size_t layer, const double *x,
                      double *d_h, double *d_c, double *d_x, double *d_z, double *grad)
{
    const size_t  h = net->size;
    const double *gi = part(net, t, layer, PART_I), *gf = part(net, t, layer, PART_F);
    const double *gg = part(net, t, layer, PART_G), *go = part(net, t, layer, PART_O);
    const double *tanh_c = part(net, t, layer, PART_TANH_C);
    const double *h_old = t ? part(net, t - 1, layer, PART_H) : NULL;
    const double *c_old = t ? part(net, t - 1, layer, PART_C) : NULL;
    const size_t  wi = w_input(net, layer), wh = w_hidden(net, layer);

    for (size_t i = 0; i < h; i++) {
        const double d_o = d_h[i] * tanh_c[i];

        d_c[i] += d_h[i] * go[i] * (1.0 - tanh_c[i] * tanh_c[i]);
        d_z[i] = d_c[i] * gg[i] * gi[i] * (1.0 - gi[i]);
        d_z[h + i] = c_old ? d_c[i] * c_old[i] * gf[i] * (1.0 - gf[i]) : 0.0;
        d_z[2 * h + i] = d_c[i] * gi[i] * (1.0 - gg[i] * gg[i]);
        d_z[3 * h + i] = d_o * go[i] * (1.0 - go[i]);
        d_c[i] *= gf[i];
    }
    memset(d_x, 0, h * sizeof *d_x);
    memset(d_h, 0, h * sizeof *d_h);
    for (size_t row = 0; row < 4 * h; row++)
        for (size_t i = 0; i < h; i++) {
            grad[wi + row * h + i] += d_z[row] * x[i];
            d_x[i] += d_z[row] * net->theta[wi + row * h + i];
            if (!h_old) continue;
            grad[wh + row * h + i] += d_z[row] * h_old[i];
            d_h[i] += d_z[row] * net->theta[wh + row * h + i];
        }
}

sn_status enas_net_backward(struct enas_net *net, const double *weight, double *grad, sn_error *err)
{
    const size_t h = net->size, n_layers = net->n_layers;
    double      *d_h = net->work, *d_c = d_h + n_layers * h; /* [n_layers][H] each */
    double      *d_z = d_c + n_layers * h, *d_x = d_z + 4 * h;

    assert(net->n_steps == net->n_fields); /* enas_net_replay() came before */
    memset(d_h, 0, 2 * n_layers * h * sizeof *d_h);
    for (size_t t = net->n_fields; t-- > 0;) {
        const sn_status rc = policy_step(net->policy, 2 * step_cost(net, &net->field[t]), err);

        if (rc) return rc;
        if (weight[t] != 0.0) back_soft(net, t, weight[t], d_h + (n_layers - 1) * h, grad);
        for (size_t layer = n_layers; layer-- > 0;) {
            const double *x =
                layer ? part(net, t, layer - 1, PART_H) : net->theta + input_at(net, t);
            double *to = layer ? d_h + (layer - 1) * h : grad + input_at(net, t);

            back_cell(net, t, layer, x, d_h + layer * h, d_c + layer * h, d_x, d_z, grad);
            for (size_t i = 0; i < h; i++)
                to[i] += d_x[i];
        }
    }
    return SN_OK;
}
