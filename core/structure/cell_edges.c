/* cell_edges: nodes of a Cell whose operators are on the edges to their inputs, and the join of
 * its loose ends.
 *
 * An argument may depend on the input: {"if_input": 0, "then": 16, "else": 32} is 16 on the
 * edges from state 0, {"if_input_below": 2, ...} takes "then" on the edges from 0 and 1. */
#include <string.h>

#include "structure/cell.h"
#include "weights/weights.h"

/* ---- operators that depend on the input -------------------------------------------------- */

static bool is_rule(const json_t *v)
{
    return json_object_get(v, "if_input") || json_object_get(v, "if_input_below");
}

/* A Cell inside this one has rules of its own. */
static bool is_cell(const json_t *v)
{
    const char *type = json_string_value(json_object_get(v, "type"));

    return type && strcmp(type, "Cell") == 0;
}

bool cell_has_rules(struct builder *b, const json_t *spec)
{
    const char *key;
    json_t     *part;
    size_t      i;

    if (!budget_spend(arena_budget(b->mem), 8)) return false; /* the next step of it says so */
    if (is_rule(spec)) return true;
    if (is_cell(spec)) return false;
    if (json_is_object(spec)) {
        json_object_foreach((json_t *)spec, key, part) if (cell_has_rules(b, part)) return true;
    }
    json_array_foreach((json_t *)spec, i, part) if (cell_has_rules(b, part)) return true;
    return false;
}

static sn_status check_rule(struct builder *b, const json_t *rule, const char *where)
{
    static const struct member exact[] = {
        {"if_input", MEMBER_INT, true},
        {0},
    };
    static const struct member below[] = {
        {"if_input_below", MEMBER_INT, true},
        {0},
    };
    static const struct member either[] = {
        {"then", ~0u, true},
        {"else", ~0u, true},
        {0},
    };
    const struct member *const tables[] = {json_object_get(rule, "if_input") ? exact : below,
                                           either};

    return build_check_members(b, rule, where, tables, 2);
}

/* A copy of `v` (a new reference) for the edge from state `j`. */
static sn_status resolve(struct builder *b, const json_t *v, int64_t j, const char *where,
                         json_t **ret)
{
    const char *key;
    json_t     *part, *copy, *one;
    size_t      i;
    char        place[256];
    sn_status   rc = SN_OK;

    if (is_rule(v)) {
        const json_t *exact = json_object_get(v, "if_input");
        const json_t *below = json_object_get(v, "if_input_below");
        bool          then;

        rc = check_rule(b, v, where);
        if (rc != SN_OK) return rc;
        then = exact ? json_integer_value(exact) == j : j < json_integer_value(below);
        return resolve(b, json_object_get(v, then ? "then" : "else"), j, where, ret);
    }
    if (!cell_has_rules(b, v)) {
        *ret = json_incref((json_t *)v);
        return SN_OK;
    }
    rc = build_copied(b, 256 + 128 * (json_object_size(v) + json_array_size(v)), where);
    if (rc != SN_OK) return rc;
    copy = json_is_object(v) ? json_object() : json_array();
    if (!copy) return fail_no_memory(b->err, where);
    if (json_is_object(v)) {
        json_object_foreach((json_t *)v, key, part)
        {
            rc = resolve(b, part, j, json_place(where, key, place, sizeof place), &one);
            if (rc == SN_OK && json_object_set_new(copy, key, one) != 0)
                rc = fail_no_memory(b->err, where);
            if (rc != SN_OK) break;
        }
    } else {
        json_array_foreach((json_t *)v, i, part)
        {
            rc = resolve(b, part, j, build_item(where, i, place, sizeof place), &one);
            if (rc == SN_OK && json_array_append_new(copy, one) != 0)
                rc = fail_no_memory(b->err, where);
            if (rc != SN_OK) break;
        }
    }
    if (rc == SN_OK)
        *ret = copy;
    else
        json_decref(copy);
    return rc;
}

/* ---- edges ---------------------------------------------------------------------------------- */

/* Operator `o` on the edge from state `j`. In the original, the loose ends' candidates are
 * all copies of the last one. */
static sn_status build_operator_on(const struct cell_spec *c, struct module *m, int64_t j, size_t o,
                                   struct module **ret)
{
    struct builder *b = c->b;
    const bool      slip = b->net->nni && c->loose_end && !cell_has_rules(b, c->candidates);
    const size_t    from = slip ? c->n_candidates - 1 : o;
    const char     *edge = arena_printf(b->mem, "%s.%lld", m->path, (long long)j);
    json_t         *spec = NULL;
    sn_status       rc;

    struct build_place place = {.parent = m,
                                .name = c->name[o],
                                .path = edge ? build_path(b, edge, c->name[o]) : NULL,
                                .where = arena_printf(b->mem, "%s[%zu]", c->list, from),
                                .n_in = 1};

    if (!place.path || !place.where) return fail_no_memory(b->err, c->where);
    rc = resolve(b, json_array_get(c->candidates, from), j, place.where, &spec);
    if (rc == SN_OK) rc = build_module(b, &place, spec, ret);
    json_decref(spec);
    if (rc == SN_OK && (*ret)->n_out != 1)
        return build_fail(b, SN_E_INVALID, place.where,
                          "a candidate of a Cell has one output, not %d", (*ret)->n_out);
    return rc;
}

/* Checkpoints of the original have operators also for edges from states that come after
 * the node: as many as there are tensors for. */
static size_t count_edges(const struct cell_spec *c, const struct module *m)
{
    size_t n = (size_t)m->n_in;

    for (int64_t j = m->n_in; c->b->net->weights && j < m->n_in + c->n_predecessors; j++) {
        char prefix[BUILD_MAX_PATH_BYTES + 32];

        snprintf(prefix, sizeof prefix, "%s.%lld.", m->path, (long long)j);
        if (weights_has_prefix(c->b->net->weights, prefix)) n = (size_t)j + 1;
    }
    return n;
}

/* The label of the weights of the edge from state `j`: its operators, and in the later
 * version of the original the absence of any. */
static sn_status declare_edge(const struct cell_spec *c, int64_t i, int64_t j, size_t *ret_label)
{
    const size_t    spare = c->b->net->nni_spare_logit;
    sn_value       *value = arena_array(c->b->mem, c->n_candidates + 1, sizeof *value);
    const sn_choice choice = {.label = cell_label(c, "", i, j),
                              .candidate = value,
                              .n_candidates = c->n_candidates + spare,
                              .n_chosen = 1,
                              .soft_only = true};

    if (!choice.label || !value) return fail_no_memory(c->b->err, c->where);
    memcpy(value, c->name_value, c->n_candidates * sizeof *value);
    if (spare) value[c->n_candidates] = (sn_value){.kind = SN_KIND_NULL};
    return build_declare(c->b, &choice, ROLE_PLAIN, c->where, ret_label);
}

sn_status cell_build_edges(const struct cell_spec *c, struct assembly *ops, int64_t t,
                           const struct wire *wire, struct wire *ret_state)
{
    struct builder          *b = c->b;
    const char              *name = arena_printf(b->mem, "%lld", (long long)t);
    const int64_t            i = c->n_predecessors + t;
    const struct build_place place = {.parent = ops->m,
                                      .name = name,
                                      .path = name ? build_path(b, ops->m->path, name) : NULL,
                                      .where = c->where,
                                      .n_in = (int)i};
    struct module           *m;
    sn_status                rc;

    if (!place.path) return fail_no_memory(b->err, c->where);
    rc = build_enter(b, &place, &m);
    if (rc != SN_OK) return rc;
    m->level++; /* an export has a Graph for each edge */
    m->type = "CellNode";
    m->kind = STRUCT_CELL;
    m->n_out = 1;
    m->cell = (struct cell){.n_ops = c->n_candidates,
                            .n_edges = count_edges(c, m),
                            .n_picks = (size_t)c->n_picks,
                            .op = c->op + t * c->n_picks,
                            .input = c->input + t * c->n_picks,
                            .edge = arena_array(b->mem, (size_t)i + 1, sizeof(size_t))};
    m->n_children = m->cell.n_edges * m->cell.n_ops;
    m->child = arena_array(b->mem, m->n_children + 1, sizeof(struct module *));
    if (!m->cell.edge || !m->child) return fail_no_memory(b->err, c->where);
    for (int64_t j = 0; rc == SN_OK && j < i; j++)
        rc = declare_edge(c, i, j, &m->cell.edge[j]);
    for (size_t k = 0; rc == SN_OK && k < m->n_children; k++)
        rc = build_operator_on(c, m, (int64_t)(k / m->cell.n_ops), k % m->cell.n_ops, &m->child[k]);
    return rc == SN_OK ? assemble_add(ops, m, wire, ret_state) : rc;
}

sn_status cell_build_loose_ends(const struct cell_spec *c, struct assembly *ops,
                                const struct wire *state, struct wire *ret_state)
{
    struct builder          *b = c->b;
    const struct build_place place = {.parent = ops->m,
                                      .name = "loose",
                                      .path = build_path(b, ops->m->path, "loose"),
                                      .where = c->where,
                                      .n_in = (int)c->n_nodes};
    struct build_place       inside = place;
    json_t                  *join;
    struct module           *m;
    sn_status                rc;

    if (!place.path) return fail_no_memory(b->err, c->where);
    rc = build_enter(b, &place, &m);
    if (rc != SN_OK) return rc;
    m->type = "LooseEnds";
    m->kind = STRUCT_LOOSE_ENDS;
    m->n_out = 1;
    m->n_children = 1;
    m->child = arena_array(b->mem, 1, sizeof(struct module *));
    m->node = ops->m->child; /* the nodes are the first children there */
    join = json_pack("{s:s, s:I}", "type", "Concat", "dim", (json_int_t)c->concat_dim);
    if (!m->child || !join) {
        json_decref(join);
        return fail_no_memory(b->err, c->where);
    }
    inside.parent = m;
    inside.name = "concat";
    inside.path = build_path(b, m->path, "concat");
    rc = build_module(b, &inside, join, &m->child[0]);
    json_decref(join);
    return rc == SN_OK ? assemble_add(ops, m, state, ret_state) : rc;
}
