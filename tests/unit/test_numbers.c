/* numbers: every argument that may be a float has a range, and what is outside is refused when
 * the document is loaded, written down or as a candidate. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "op/op_internal.h"
#include "supernet/supernet.h"

enum range { PROBABILITY, NOT_NEGATIVE, FINITE };

struct row {
    const char *type, *others, *arg;
    enum range  range;
    bool        fixed; /* takes no choice */
};

/* clang-format off */
static const struct row rows[] = {
    {"BatchNorm2d", "\"num_features\": 2", "eps",      NOT_NEGATIVE, false},
    {"BatchNorm2d", "\"num_features\": 2", "momentum", NOT_NEGATIVE, false},
    {"GroupNorm", "\"num_groups\": 1, \"num_channels\": 2", "eps", NOT_NEGATIVE, false},
    {"LayerNorm", "\"normalized_shape\": 2", "eps", NOT_NEGATIVE, true},
    {"Dropout", "\"inplace\": false", "p", PROBABILITY, false},
    {"MultiheadAttention", "\"embed_dim\": 4, \"num_heads\": 2", "dropout", PROBABILITY, false},
    {"RelativePositionSelfAttention", "\"embed_dim\": 4, \"num_heads\": 2", "attn_drop", PROBABILITY, true},
    {"RelativePositionSelfAttention", "\"embed_dim\": 4, \"num_heads\": 2", "proj_drop", PROBABILITY, true},
    {"RelativePositionSelfAttention", "\"embed_dim\": 4, \"num_heads\": 2", "qk_scale", FINITE, true},
};
/* clang-format on */

/* The status of a document with one such module, whose argument is `value`. */
static sn_status load(const struct row *r, const char *choices, const char *value, sn_error *err)
{
    const int    n_inputs = strcmp(r->type, "MultiheadAttention") == 0 ? 3 : 1;
    char         doc[1024];
    sn_registry *reg = NULL;
    sn_supernet *net = NULL;
    sn_status    rc;

    snprintf(doc, sizeof doc,
             "{\"format\": \"supernet/1\", \"name\": \"t\", \"inputs\": [{\"name\": \"x\", "
             "\"shape\": [\"N\", 2, 4, 4]}], %s \"model\": {\"type\": \"Graph\", \"inputs\": "
             "[\"x\"], \"outputs\": [\"m\"], \"nodes\": [{\"name\": \"m\", \"type\": \"%s\", %s, "
             "\"%s\": %s, \"inputs\": [%s]}]}}",
             choices, r->type, r->others, r->arg, value,
             n_inputs == 3 ? "\"x\", \"x\", \"x\"" : "\"x\"");
    assert_int_equal(sn_registry_create(&reg, err), SN_OK);
    rc = sn_supernet_load(doc, strlen(doc), NULL, reg, &net, err);
    sn_supernet_unref(net);
    sn_registry_unref(reg);
    return rc;
}

static bool inside(enum range range, double v)
{
    if (range == PROBABILITY) return v >= 0.0 && v <= 1.0;
    if (range == NOT_NEGATIVE) return v >= 0.0 && v < 1e39;
    return v > -1e39 && v < 1e39;
}

static void what_is_outside_its_range_is_refused(void **state)
{
    static const struct {
        const char *text;
        double      value;
    } given[] = {
        {"\"1e999\"", INFINITY},
        {"\"-1e999\"", -INFINITY},
        {"\"1e999 - 1e999\"", NAN},
        {"1e39", 1e39},
        {"-1e-9", -1e-9},
        {"-1", -1},
        {"1.5", 1.5},
        {"0", 0},
        {"-0.0", -0.0},
        {"0.25", 0.25},
    };
    const struct row *r = *state;
    char              line[128];

    for (size_t i = 0; i < COUNT(given); i++) {
        const bool ok = inside(r->range, given[i].value), is_text = given[i].text[0] == '"';
        sn_error   err = {0};
        sn_status  rc;

        if (r->fixed && is_text) continue;
        rc = load(r, "", given[i].text, &err);
        if (rc != (ok ? SN_OK : SN_E_INVALID))
            fail_msg("%s.%s = %s: %d %s: %s", r->type, r->arg, given[i].text, rc, err.where,
                     err.text);
        snprintf(line, sizeof line, "model.nodes[0].%s", r->arg);
        if (!ok) assert_string_equal(err.where, line);
        if (r->fixed || is_text) continue;
        snprintf(line, sizeof line, "\"choices\": {\"c\": [0.5, %s]},", given[i].text);
        rc = load(r, line, "\"c\"", &err);
        if (rc != (ok ? SN_OK : SN_E_INVALID))
            fail_msg("%s.%s of 0.5 and %s: %d %s: %s", r->type, r->arg, given[i].text, rc,
                     err.where, err.text);
    }
}

static void every_float_argument_has_a_row(void **state)
{
    sn_registry *reg = NULL;
    sn_error     err = {0};
    const sn_op *op;

    (void)state;
    assert_int_equal(sn_registry_create(&reg, &err), SN_OK);
    for (size_t i = 0; (op = sn_registry_op_at(reg, i)); i++)
        for (const sn_arg_def *a = op->args; a->name; a++) {
            bool found = !(a->kinds & SN_KINDS(SN_KIND_FLOAT)) || a->flags & SN_ARG_DERIVED;

            for (size_t k = 0; k < COUNT(rows); k++)
                found |= !strcmp(rows[k].type, op->type) && !strcmp(rows[k].arg, a->name);
            if (!found) fail_msg("%s.%s may be a float and has no range here", op->type, a->name);
        }
    sn_registry_unref(reg);
}

int main(void)
{
    struct CMUnitTest tests[COUNT(rows) + 1];
    char              name[COUNT(rows)][96];

    for (size_t i = 0; i < COUNT(rows); i++) {
        snprintf(name[i], sizeof name[i], "a range: %s of %s", rows[i].arg, rows[i].type);
        tests[i] = (struct CMUnitTest){name[i], what_is_outside_its_range_is_refused, NULL, NULL,
                                       (void *)&rows[i]};
    }
    tests[COUNT(rows)] = (struct CMUnitTest)cmocka_unit_test(every_float_argument_has_a_row);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
