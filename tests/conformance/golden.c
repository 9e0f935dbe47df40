/* golden: read one case. What the format requires must be there: a case from which a
 * key was dropped is a failing case, never a shorter one. */
#include "conformance.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supernet/weights.h"

/* ---- report ---------------------------------------------------------------------- */

void report_fail(struct report *r, const char *fmt, ...)
{
    va_list ap;
    int     n;

    if (r->n_reasons++ > 0 && r->n_bytes + 2 < sizeof r->text)
        r->n_bytes += (size_t)sprintf(r->text + r->n_bytes, "; ");
    va_start(ap, fmt);
    n = vsnprintf(r->text + r->n_bytes, sizeof r->text - r->n_bytes, fmt, ap);
    va_end(ap);
    if (n > 0) r->n_bytes += (size_t)n;
    if (r->n_bytes >= sizeof r->text) r->n_bytes = sizeof r->text - 1;
    for (char *c = r->text; *c; c++)
        if (*c == '\n') *c = ' ';
    r->accepted = false;
}

void report_error(struct report *r, const char *doing, const sn_error *err)
{
    report_fail(r, "%s: %s%s%s", doing, err->where, *err->where ? ": " : "",
                *err->text ? err->text : sn_status_text(err->code));
}

/* ---- what a case must have --------------------------------------------------------- */

/* Keys by what the case is; a set is a bit. */
enum {
    IS_ANY = 1 << 0,
    IS_EXPR = 1 << 1,
    IS_DEDUP = 1 << 2,
    IS_WEIGHTS = 1 << 3,
    IS_NETWORK = 1 << 4, /* computes something */
    IS_PATH = 1 << 5,
    IS_SOFT = 1 << 6,
    IS_PROBS = 1 << 7,
    IS_SUBSTATE = 1 << 8,
    IS_MIXED = 1 << 9,      /* one of the mixed operations */
    IS_CONTAINER = 1 << 10, /* has paths */
    IS_CONFIGURED = 1 << 11 /* has init */
};

static const struct {
    const char *key;
    unsigned    sets;
} required[] = {
    {"format", IS_ANY},
    {"id", IS_ANY},
    {"group", IS_ANY},
    {"op", IS_ANY},
    {"policy", IS_ANY},
    {"choices", IS_ANY},
    {"tags", IS_ANY},
    {"error", IS_ANY},
    {"expr", IS_EXPR | IS_WEIGHTS},
    {"leaves", IS_EXPR},
    {"dry_run", IS_EXPR},
    {"all_options", IS_EXPR},
    {"weights", IS_EXPR | IS_WEIGHTS},
    {"weighted_options", IS_EXPR | IS_WEIGHTS},
    {"evaluate", IS_EXPR},
    {"constant", IS_EXPR},
    {"exprs", IS_DEDUP},
    {"search_space", IS_EXPR | IS_DEDUP | IS_NETWORK},
    {"init", IS_CONFIGURED},
    {"paths", IS_CONTAINER},
    {"training", IS_NETWORK | IS_SUBSTATE},
    {"inputs", IS_NETWORK},
    {"outputs", IS_NETWORK},
    {"params", IS_NETWORK | IS_SUBSTATE},
    {"state_before", IS_NETWORK},
    {"state_after", IS_NETWORK},
    {"forward", IS_MIXED},
    {"chosen", IS_PATH | IS_SUBSTATE},
    {"resampled", IS_PATH},
    {"alpha", IS_SOFT | IS_PROBS},
    {"exported", IS_SOFT},
    {"export_probs", IS_PROBS},
    {"sub_state", IS_SUBSTATE},
};

static bool is_one_of(const char *text, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(text, list[i]) == 0) return true;
    return false;
}

static unsigned sets_of(const struct golden *g)
{
    static const char *const mixed[] = {"Linear", "Conv2d", "BatchNorm2d", "MultiheadAttention",
                                        "LayerNorm"};
    static const char *const containers[] = {"LayerChoice", "Repeat", "Cell", "Sequential"};
    unsigned                 sets = IS_ANY;

    if (strcmp(g->op, "Expr") == 0) return sets | IS_EXPR;
    if (strcmp(g->op, "Dedup") == 0) return sets | IS_DEDUP;
    if (strcmp(g->op, "Weights") == 0) return sets | IS_WEIGHTS;
    if (strcmp(g->op, "Sequential") != 0) sets |= IS_CONFIGURED;
    if (is_one_of(g->op, containers, COUNT(containers))) sets |= IS_CONTAINER;
    if (strcmp(g->group, "probs") == 0) return sets | IS_PROBS;
    if (strcmp(g->group, "substate") == 0) return sets | IS_SUBSTATE;
    if (is_one_of(g->op, mixed, COUNT(mixed))) sets |= IS_MIXED;
    return sets | IS_NETWORK | (golden_is_path(g) ? IS_PATH : IS_SOFT);
}

static void check_keys(const struct golden *g, struct report *r)
{
    static const char *const groups[] = {
        "linear",      "conv2d",    "batchnorm2d", "mha",      "layerchoice",
        "inputchoice", "repeat",    "cell",        "nested",   "expr",
        "error",       "layernorm", "probs",       "substate", "cell-extra-logit"};
    static const char *const policies[] = {"path", "differentiable"};
    const char              *policy = golden_text(g, "policy");
    const unsigned           sets = sets_of(g);

    if (json_integer_value(json_object_get(g->doc, "format")) != 1)
        report_fail(r, "\"format\" is not 1");
    if (!is_one_of(g->group, groups, COUNT(groups)))
        report_fail(r, "there is no group \"%s\"", g->group);
    for (size_t i = 0; i < COUNT(required); i++)
        if (sets & required[i].sets && !json_object_get(g->doc, required[i].key))
            report_fail(r, "the key \"%s\" is missing", required[i].key);
    if (sets & (IS_NETWORK | IS_PROBS | IS_SUBSTATE) &&
        (!policy || !is_one_of(policy, policies, COUNT(policies))))
        report_fail(r, "\"policy\" is neither \"path\" nor \"differentiable\"");
    if (sets & (IS_NETWORK | IS_SUBSTATE) && !json_is_boolean(json_object_get(g->doc, "training")))
        report_fail(r, "\"training\" is neither true nor false");
}

/* ---- reading -------------------------------------------------------------------------- */

/* x.json -> x.safetensors, if there is one. */
static void open_tensors(struct golden *g, struct report *r)
{
    const size_t n = strlen(g->path) - strlen(".json");
    char        *path = malloc(n + sizeof ".safetensors");
    sn_error     err = {0};

    if (!path) {
        report_fail(r, "no memory");
        return;
    }
    sprintf(path, "%.*s.safetensors", (int)n, g->path);
    if (access(path, F_OK) == 0 && sn_weights_open(path, &g->tensors, &err) != SN_OK)
        report_error(r, "tensors of the case", &err);
    free(path);
}

bool golden_init(struct golden *g, const char *path, struct report *r)
{
    json_error_t why;

    *g = (struct golden){.path = path, .id = "?", .group = "?", .op = "?"};
    g->doc = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(g->doc)) {
        report_fail(r, "not a JSON object: line %d: %s", why.line, why.text);
        return false;
    }
    if (golden_text(g, "id")) g->id = golden_text(g, "id");
    if (golden_text(g, "group")) g->group = golden_text(g, "group");
    if (golden_text(g, "op")) g->op = golden_text(g, "op");
    check_keys(g, r);
    open_tensors(g, r);
    return r->n_reasons == 0;
}

void golden_fini(struct golden *g)
{
    json_decref(g->doc);
    sn_weights_unref(g->tensors);
}

const char *golden_text(const struct golden *g, const char *key)
{
    return json_string_value(json_object_get(g->doc, key));
}

bool golden_is_path(const struct golden *g)
{
    const char *policy = golden_text(g, "policy");

    return policy && strcmp(policy, "path") == 0;
}

bool golden_tensor(const struct golden *g, const char *name, sn_tensor *ret_tensor,
                   struct report *r)
{
    if (g->tensors && sn_weights_find(g->tensors, name, ret_tensor)) return true;
    report_fail(r, "the case lacks the tensor \"%s\"", name);
    return false;
}
