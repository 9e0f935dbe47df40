/* NasBench101Cell: nodes in a row, each an operator on the sum of any earlier ones.
 *
 *   node 0                the input of the cell
 *   node num_nodes - 1    its output: the nodes it reads one after the other, plus node 0
 *   nodes between         read node 0 through a projection of their own, others truncated
 *
 *   labels    <label>/num_nodes, <label>/op<i>, <label>/input<i>
 *   tensors   projections.<i>., ops.<i>.<candidate>.
 *
 * The output has out_features channels, shared by the nodes it reads; how many another node
 * has follows from what reads it. So the channels of a node are a choice that is derived
 * from the others (live/nasbench101.c), and weights are there for all out_features.
 *
 * Ying et al., NAS-Bench-101: Towards Reproducible Neural Architecture Search, ICML 2019. */
#include "structure/template.h"

#include <stdlib.h>
#include <string.h>

static const struct member members[] = {
    {"candidates", MEMBER_ARRAY, true},
    {"projection", MEMBER_OBJECT, true},
    {"in_features", MEMBER_INT | MEMBER_TEXT, true},
    {"out_features", MEMBER_INT, true},
    {"max_num_nodes", MEMBER_INT, false},
    {"max_num_edges", MEMBER_INT, false},
    {"label", MEMBER_TEXT, true},
    {0},
};

/* A NasBench101Cell while it is read. */
struct reader {
    struct builder *b;
    struct module  *m;
    const json_t   *spec;
    json_t        **features; /* by node: what stands for num_features */
};

static sn_status read_numbers(const struct reader *r)
{
    struct builder     *b = r->b;
    struct module      *m = r->m;
    struct nasbench101 *g = &m->nasbench101;
    int64_t             n = 7, edges = 9;
    char                place[256];
    sn_status rc = json_get_int(r->spec, "max_num_nodes", m->where, 2, SN_MAX_PORTS, &n, b->err);

    if (rc == SN_OK)
        rc = json_get_int(r->spec, "max_num_edges", m->where, 1, INT32_MAX, &edges, b->err);
    if (rc == SN_OK)
        rc =
            json_get_int(r->spec, "out_features", m->where, 1, INT32_MAX, &g->out_features, b->err);
    if (rc == SN_OK) rc = template_check_size(b, m->where, r->spec, "in_features");
    if (rc != SN_OK) return rc;
    if (g->out_features < n - 2)
        return build_fail(b, SN_E_INVALID,
                          json_place(m->where, "out_features", place, sizeof place),
                          "%lld channels cannot be shared by the %lld nodes between the first and "
                          "the last",
                          (long long)g->out_features, (long long)n - 2);
    g->n = (int)n;
    g->max_edges = (int)edges;
    g->label = arena_strdup(b->mem, json_string_value(json_object_get(r->spec, "label")));
    g->input = arena_array(b->mem, (size_t)n, sizeof *g->input);
    g->features = arena_array(b->mem, (size_t)n, sizeof *g->features);
    g->projection = arena_array(b->mem, (size_t)n, sizeof(struct module *));
    g->op = arena_array(b->mem, (size_t)n, sizeof(struct module *));
    g->cut = arena_array(b->mem, (size_t)n, sizeof(struct module *));
    m->child = arena_array(b->mem, 3 * (size_t)n, sizeof(struct module *));
    return g->label && g->input && g->features && g->projection && g->op && g->cut && m->child
               ? SN_OK
               : fail_no_memory(b->err, m->where);
}

/* ---- labels -------------------------------------------------------------------------------- */

/* The integers from `first` to `last`. */
static sn_value *range(struct builder *b, int first, int last)
{
    sn_value *value = arena_array(b->mem, (size_t)(last - first + 1), sizeof *value);

    for (int i = first; value && i <= last; i++)
        value[i - first] = (sn_value){.kind = SN_KIND_INT, .as.integer = i};
    return value;
}

static sn_status declare(const struct reader *r, const sn_choice *choice, enum role role,
                         size_t *ret_label)
{
    struct module *m = r->m;
    sn_status      rc;

    if (!choice->label || !choice->candidate) return fail_no_memory(r->b->err, m->where);
    rc = build_declare(r->b, choice, role, m->where, ret_label);
    if (rc != SN_OK || choice->derived) return rc;
    return build_use(r->b, *ret_label, *m->path ? m->path : "model");
}

static sn_status declare_num_nodes(const struct reader *r)
{
    struct nasbench101 *g = &r->m->nasbench101;
    const sn_choice     choice = {.label = arena_printf(r->b->mem, "%s/num_nodes", g->label),
                                  .candidate = range(r->b, 2, g->n),
                                  .n_candidates = (size_t)g->n - 1,
                                  .n_chosen = 1};

    return declare(r, &choice, ROLE_PLAIN, &g->num_nodes);
}

static sn_status declare_input(const struct reader *r, int v)
{
    struct nasbench101 *g = &r->m->nasbench101;
    const sn_choice     choice = {.label = arena_printf(r->b->mem, "%s/input%d", g->label, v),
                                  .candidate = range(r->b, 0, v - 1),
                                  .n_candidates = (size_t)v,
                                  .several = true};

    return declare(r, &choice, ROLE_INPUT, &g->input[v]);
}

static int by_integer(const void *a, const void *b)
{
    const int64_t x = ((const sn_value *)a)->as.integer, y = ((const sn_value *)b)->as.integer;

    return (x > y) - (x < y);
}

/* What one of k nodes gets that share the channels, for every k; the choice. */
static sn_status declare_features(const struct reader *r, int v, sn_choice *ret_choice)
{
    struct nasbench101 *g = &r->m->nasbench101;
    const size_t        n_max = 2 * (size_t)g->n;
    sn_value           *value = arena_array(r->b->mem, n_max, sizeof *value);
    size_t              n = 0, n_different = 0;

    if (!value) return fail_no_memory(r->b->err, r->m->where);
    for (int64_t k = 1; k <= g->n - 2; k++) {
        const int64_t share = g->out_features / k;

        value[n++] = (sn_value){.kind = SN_KIND_INT, .as.integer = share};
        if (g->out_features % k)
            value[n++] = (sn_value){.kind = SN_KIND_INT, .as.integer = share + 1};
    }
    qsort(value, n, sizeof *value, by_integer);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || value[i].as.integer != value[i - 1].as.integer)
            value[n_different++] = value[i];
    *ret_choice = (sn_choice){.label = arena_printf(r->b->mem, "%s/features%d_of_%lld", g->label, v,
                                                    (long long)g->out_features),
                              .candidate = value,
                              .n_candidates = n_different,
                              .n_chosen = 1,
                              .derived = true};
    return declare(r, ret_choice, ROLE_PLAIN, &g->features[v]);
}

/* choice("label"), or the number that the last node is bound to have. */
static sn_status set_features(const struct reader *r, int v, const char *label)
{
    struct text t = {0};

    if (label) {
        text_printf(&t, "choice(");
        text_json_string(&t, label);
        text_add(&t, ")", 1);
        r->features[v] = t.failed ? NULL : json_stringn(t.at, t.n);
        free(t.at);
    } else {
        r->features[v] = json_integer(r->m->nasbench101.out_features);
    }
    return r->features[v] ? SN_OK : fail_no_memory(r->b->err, r->m->where);
}

/* Expressions inside the cell see the channels of its nodes, others do not. */
static sn_status declare_all_features(const struct reader *r, struct expr_scope *scope)
{
    struct builder *b = r->b;
    const int       n = r->m->nasbench101.n;
    sn_choice      *choice = arena_array(b->mem, (size_t)n, sizeof *choice);
    sn_status       rc = SN_OK;

    if (!choice) return fail_no_memory(b->err, r->m->where);
    *scope = (struct expr_scope){.choice = choice, .outer = b->scope};
    b->scope = scope;
    for (int v = 1; rc == SN_OK && v < n - 1; v++) {
        rc = declare_features(r, v, &choice[scope->n]);
        if (rc == SN_OK) rc = set_features(r, v, choice[scope->n++].label);
    }
    return rc == SN_OK ? set_features(r, n - 1, NULL) : rc;
}

/* ---- modules --------------------------------------------------------------------------------- */

/* Takes `spec`. The module is "<what>.<v>". */
static sn_status add(const struct reader *r, const char *what, int v, const char *where,
                     json_t *spec, struct module **ret)
{
    struct builder          *b = r->b;
    const char              *name = arena_printf(b->mem, "%s.%d", what, v);
    const struct build_place place = {.parent = r->m,
                                      .name = name,
                                      .path = name ? build_path(b, r->m->path, name) : NULL,
                                      .where = where,
                                      .n_in = 1};
    sn_status                rc;

    if (!place.path || !where || !spec) {
        json_decref(spec);
        return fail_no_memory(b->err, r->m->where);
    }
    rc = build_module(b, &place, spec, ret);
    json_decref(spec);
    if (rc != SN_OK) return rc;
    if ((*ret)->n_out != 1)
        return build_fail(b, SN_E_INVALID, where, "this module must have one output, but has %d",
                          (*ret)->n_out);
    r->m->child[r->m->n_children++] = *ret;
    return SN_OK;
}

static sn_status add_projection(const struct reader *r, int v)
{
    const struct template_word word[] = {
        {"in_features", json_object_get(r->spec, "in_features")},
        {"out_features", r->features[v]},
    };
    const char *where = arena_printf(r->b->mem, "%s.projection", r->m->where);
    json_t     *spec;
    sn_status   rc = template_fill(r->b, json_object_get(r->spec, "projection"), word, COUNT(word),
                                   r->m->where, &spec);

    if (rc != SN_OK) return rc;
    return add(r, "projections", v, where, spec, &r->m->nasbench101.projection[v]);
}

static sn_status add_op(const struct reader *r, int v)
{
    const struct template_word word = {"num_features", r->features[v]};
    struct nasbench101        *g = &r->m->nasbench101;
    json_t                    *candidates;
    sn_status rc = template_fill(r->b, json_object_get(r->spec, "candidates"), &word, 1,
                                 r->m->where, &candidates);

    if (rc != SN_OK) return rc;
    return add(r, "ops", v, r->m->where,
               json_pack("{s:s, s:o, s:o}", "type", "LayerChoice", "label",
                         json_sprintf("%s/op%d", g->label, v), "candidates", candidates),
               &g->op[v]);
}

static sn_status add_cut(const struct reader *r, int v)
{
    return add(r, "cuts", v, r->m->where,
               json_pack("{s:s, s:O}", "type", "Truncate", "channels", r->features[v]),
               &r->m->nasbench101.cut[v]);
}

static sn_status read_cell(const struct reader *r, struct expr_scope *scope)
{
    const int n = r->m->nasbench101.n;
    sn_status rc = declare_num_nodes(r);

    if (rc == SN_OK) rc = declare_all_features(r, scope);
    for (int v = 1; rc == SN_OK && v < n; v++)
        rc = add_projection(r, v);
    for (int v = 1; rc == SN_OK && v < n - 1; v++)
        rc = add_op(r, v);
    for (int v = 1; rc == SN_OK && v < n; v++)
        rc = declare_input(r, v);
    for (int v = 2; rc == SN_OK && v < n - 1; v++)
        rc = add_cut(r, v);
    return rc;
}

static sn_status build(struct builder *b, struct module *m, const json_t *spec, bool node)
{
    json_t                        *features[SN_MAX_PORTS] = {NULL};
    const struct reader            r = {.b = b, .m = m, .spec = spec, .features = features};
    const struct expr_scope *const outer = b->scope;
    struct expr_scope              inner;
    sn_status rc = m->n_in == 1 ? read_numbers(&r) : build_fail_inputs(b, m, 1, 1);

    (void)node;
    if (rc == SN_OK) rc = read_cell(&r, &inner);
    for (int v = 0; v < SN_MAX_PORTS; v++)
        json_decref(features[v]);
    b->scope = outer;
    m->n_out = 1;
    return rc;
}

const struct structure structure_nasbench101 = {
    .kind = STRUCT_NASBENCH101,
    .member = members,
    .build = build,
};
