/* enas_state: a controller as JSON and back, exact.
 *
 *     {"choices": ["width", ...], "updates": 12, "drawn": 240, <options>,
 *      "theta": [...], "mean": [...], "square": [...], "draws": [[0, 2, -1, ...], ...]}
 *
 * `draws` are the remembered ones, the oldest first: the place of the candidate of each choice,
 * or -1 - place if it was set by hand. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "policy/document.h"
#include "policy/enas.h"
#include "policy/memory.h"

/* ---- save ---- */

/* What is written goes out in pieces: a large state never is one text. */
struct writer {
    struct text    t;
    const void    *policy;
    const sn_sink *sink;
    sn_status      rc; /* after a failure nothing more is written */
    sn_error      *err;
};

/* Another piece, of so many steps, may follow. */
static bool go_on(struct writer *w, uint64_t n_steps)
{
    if (!w->rc) w->rc = policy_step(w->policy, n_steps, w->err);
    if (!w->rc) w->rc = text_drain(&w->t, w->sink, w->err);
    return !w->rc;
}

static void write_reals(struct writer *w, const char *name, const double *at, size_t n)
{
    text_printf(&w->t, ", \"%s\": [", name);
    for (size_t i = 0; i < n && go_on(w, 32); i++) {
        char buf[REAL_TEXT_BYTES];

        text_printf(&w->t, "%s%s", i ? ", " : "", real_exact(at[i], buf));
    }
    text_add(&w->t, "]", 1);
}

static void write_draws(struct writer *w, const struct enas *e)
{
    struct text *t = &w->t;

    text_printf(t, ", \"draws\": [");
    for (uint64_t i = e->n_held; i-- > 0 && go_on(w, 8 * e->net.n_fields);) {
        const uint32_t *draw = enas_draw_at(e, i);

        text_add(t, "[", 1);
        for (size_t f = 0; f < e->net.n_fields; f++) {
            const int k = (int)(draw[f] & ~(uint32_t)ENAS_FIXED);

            text_printf(t, "%s%d", f ? ", " : "", draw[f] & ENAS_FIXED ? -1 - k : k);
        }
        text_add(t, "], ", i ? 3 : 1);
    }
    text_add(t, "]", 1);
}

sn_status enas_save(const void *state, const sn_supernet *net, const sn_sink *sink, sn_error *err)
{
    const struct enas *e = state;
    struct writer      w = {.policy = state, .sink = sink, .err = err};

    text_printf(&w.t, "{\"choices\": [");
    for (size_t f = 0; f < e->net.n_fields && go_on(&w, 16); f++) {
        text_add(&w.t, ", ", f ? 2 : 0);
        text_json_string(&w.t, sn_supernet_choice(net, e->net.field[f].choice)->label);
    }
    text_printf(&w.t, "], \"updates\": %llu, \"drawn\": %llu", (unsigned long long)e->n_updates,
                (unsigned long long)e->n_drawn);
    for (size_t i = 0; i < ENAS_N_OPTIONS; i++) {
        char buf[REAL_TEXT_BYTES];

        text_printf(&w.t, ", \"%s\": %s", enas_option_name[i], real_text(e->option[i], buf));
    }
    write_reals(&w, "theta", e->net.theta, e->net.n_theta);
    write_reals(&w, "mean", e->mean, e->net.n_theta);
    write_reals(&w, "square", e->square, e->net.n_theta);
    write_draws(&w, e);
    text_add(&w.t, "}", 1);
    if (!w.rc) return text_flush(&w.t, sink, err);
    free(w.t.at);
    return w.rc;
}

/* ---- load: everything into a twin, which replaces the state at the end ---- */

static sn_status check_choices(const struct enas *e, const sn_supernet *net, const json_t *doc,
                               sn_error *err)
{
    const json_t *list = NULL;
    sn_status     rc = json_need(doc, "choices", "policy", &list, err);
    bool          same;

    if (rc) return rc;
    same = json_array_size(list) == e->net.n_fields;
    for (size_t f = 0; same && f < e->net.n_fields; f++) {
        const char *label = json_string_value(json_array_get(list, f));

        same = label && !strcmp(label, sn_supernet_choice(net, e->net.field[f].choice)->label);
    }
    return same ? SN_OK
                : sn_fail(err, SN_E_INVALID, "choices",
                          "the state was saved for another space: its choices are not the %zu "
                          "of this supernet",
                          e->net.n_fields);
}

/* `n` numbers that cannot overflow what is computed from them. */
static sn_status read_reals(const void *policy, const json_t *doc, const char *name, double min,
                            double *to, size_t n, sn_error *err)
{
    const double  max = 1e30;
    const json_t *list = NULL;
    sn_status     rc = json_need(doc, name, "policy", &list, err);

    if (!rc) rc = policy_step(policy, 2 * n, err);
    if (rc) return rc;
    if (!json_is_array(list) || json_array_size(list) != n)
        return sn_fail(err, SN_E_INVALID, name, "must be a list of %zu numbers", n);
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, i);

        to[i] = json_number_value(v);
        if (!json_is_number(v) || !(to[i] >= min && to[i] <= max))
            return sn_fail(err, SN_E_INVALID, name, "entry %zu is no number from %g to %g", i, min,
                           max);
    }
    return SN_OK;
}

static sn_status read_draw(const struct enas *e, const json_t *list, uint32_t *ret_draw,
                           sn_error *err)
{
    if (!json_is_array(list) || json_array_size(list) != e->net.n_fields)
        return sn_fail(err, SN_E_INVALID, "draws", "a draw must be a list of %zu places",
                       e->net.n_fields);
    for (size_t f = 0; f < e->net.n_fields; f++) {
        const json_t    *v = json_array_get(list, f);
        const json_int_t at = json_integer_value(v), k = at < 0 ? -1 - at : at;

        if (!json_is_integer(v) || (uint64_t)k >= e->net.field[f].n)
            return sn_fail(err, SN_E_INVALID, "draws", "%lld is no place among %zu candidates",
                           (long long)at, e->net.field[f].n);
        ret_draw[f] = (uint32_t)k | (at < 0 ? ENAS_FIXED : 0);
    }
    return SN_OK;
}

static sn_status read_draws(struct enas *e, const json_t *doc, sn_error *err)
{
    const json_t *list = NULL;
    uint32_t     *draw = calloc(e->net.n_fields + 1, sizeof *draw);
    int64_t       n_drawn = 0;
    sn_status     rc =
        draw ? json_need(doc, "draws", "policy", &list, err) : fail_no_memory(err, "policy");

    if (!rc) rc = json_get_int(doc, "drawn", "policy", 0, INT64_MAX, &n_drawn, err);
    if (!rc) {
        const size_t n = json_array_size(list);

        if (!json_is_array(list) || n > (size_t)n_drawn || n > (size_t)e->option[ENAS_remember])
            rc = sn_fail(err, SN_E_INVALID, "draws",
                         "must be a list, no longer than drawn and remember say");
        else
            e->n_drawn = (uint64_t)n_drawn - n;
        e->n_held = 0;
        for (size_t i = 0; !rc && i < n; i++) {
            rc = policy_step(e->net.policy, 4 * e->net.n_fields, err);
            if (!rc) rc = read_draw(e, json_array_get(list, i), draw, err);
            if (!rc) rc = enas_remember(e, draw, err);
        }
    }
    free(draw);
    return rc;
}

static sn_status check_shape(const struct enas *e, const double *option, sn_error *err)
{
    for (enum enas_option i = 0; i < ENAS_N_SHAPE; i++)
        if (option[i] != e->option[i])
            return sn_fail(err, SN_E_INVALID, enas_option_name[i],
                           "the state was saved with %s %.0f, this policy was created with %.0f",
                           enas_option_name[i], option[i], e->option[i]);
    return SN_OK;
}

/* `twin` shares nothing with `e` that is written to. */
static sn_status read_state(struct enas *twin, const sn_supernet *net, const json_t *doc,
                            sn_error *err)
{
    const size_t n = twin->net.n_theta;
    double       option[ENAS_N_OPTIONS];
    int64_t      n_updates = 0;
    sn_status    rc = check_choices(twin, net, doc, err);

    memcpy(option, twin->option, sizeof option);
    if (!rc) rc = enas_read_options(doc, 0, option, err);
    if (!rc) rc = check_shape(twin, option, err);
    if (!rc) enas_apply_options(twin, option);
    if (!rc) rc = json_get_int(doc, "updates", "policy", 0, INT64_MAX, &n_updates, err);
    if (!rc) rc = read_reals(twin->net.policy, doc, "theta", -1e30, twin->net.theta, n, err);
    if (!rc) rc = read_reals(twin->net.policy, doc, "mean", -1e30, twin->mean, n, err);
    if (!rc) rc = read_reals(twin->net.policy, doc, "square", 0.0, twin->square, n, err);
    if (!rc) rc = read_draws(twin, doc, err);
    twin->n_updates = (uint64_t)n_updates;
    return rc;
}

sn_status enas_load(void *state, const sn_supernet *net, const char *text, sn_error *err)
{
    const char     *allowed[ENAS_N_OPTIONS + 7] = {"choices", "updates", "drawn", "theta",
                                                   "mean",    "square",  "draws"};
    struct enas    *e = state, twin = *e;
    void *const     policy = e->net.policy;
    const size_t    n = e->net.n_theta;
    struct document doc;
    sn_status       rc;

    memcpy(allowed + 7, enas_option_name, sizeof enas_option_name);
    rc = document_parse(state, text, allowed, COUNT(allowed), &doc, err);
    if (rc) return rc;
    twin.net.theta = policy_calloc(policy, n, sizeof(double));
    twin.mean = policy_calloc(policy, n, sizeof(double));
    twin.square = policy_calloc(policy, n, sizeof(double));
    twin.draw = policy_calloc(policy, (size_t)e->option[ENAS_remember], sizeof *twin.draw);
    rc = twin.net.theta && twin.mean && twin.square && twin.draw
             ? read_state(&twin, net, doc.root, err)
             : fail_no_memory(err, "policy");
    if (!rc) {
        const struct enas old = *e;

        *e = twin;
        twin = old;
    }
    enas_free_learnt(&twin);
    policy_free(policy, twin.net.theta, n, sizeof(double));
    document_end(&doc);
    return rc;
}
