/* Graph: named nodes, wired by name, in any order.
 *
 * A reference is the name of an input or a node, or "node.1" for its second output.
 * Children end up in topological order; a document whose nodes are in such an order
 * keeps it. The "inputs" of a Graph name what comes in. Of a Graph that is itself a
 * node of a Graph they also say where it comes from: a list uses the outer names
 * inside, an object has the inner names as its members. */
#include <string.h>

#include "document/build.h"

static const struct member members[] = {
    {"inputs", MEMBER_ARRAY | MEMBER_OBJECT, true},
    {"nodes", MEMBER_ARRAY, true},
    {"outputs", MEMBER_ARRAY, true},
    {0},
};

struct graph {
    struct module  *m;
    const json_t   *nodes;
    const char     *list;  /* place of the nodes */
    const char    **input; /* m->n_in names */
    const char    **name;  /* of the nodes */
    size_t          n_nodes;
    struct table    names; /* inputs, then nodes from m->n_in on */
    struct wire   **wire;  /* by node in the order of the document, as all below */
    int            *n_wires;
    struct module **child;
};

/* ---- names ------------------------------------------------------------------------------ */

static sn_status enter_name(struct builder *b, struct graph *g, const char *name, size_t value,
                            const char *where)
{
    size_t other;

    if (table_find(&g->names, name, &other))
        return build_fail(b, SN_E_INVALID, where, "the name \"%s\" is already that of an input",
                          name);
    return table_add(&g->names, b->tmp, name, value) ? SN_OK : fail_no_memory(b->err, where);
}

static sn_status read_inputs(struct builder *b, struct graph *g, const json_t *inputs, bool node)
{
    const bool   by_name = json_is_object(inputs);
    const char  *where = arena_printf(b->mem, "%s.inputs", g->m->where);
    const size_t n = by_name ? json_object_size(inputs) : json_array_size(inputs);
    void        *member = by_name ? json_object_iter((json_t *)inputs) : NULL;

    if (!where) return fail_no_memory(b->err, g->m->where);
    if (by_name && !node)
        return build_fail(b, SN_E_INVALID, where,
                          "this Graph is no node of another, so its inputs are an array of names");
    if (n != (size_t)g->m->n_in)
        return build_fail(b, SN_E_INVALID, where, "the Graph names %zu inputs and gets %d", n,
                          g->m->n_in);
    g->input = arena_array(b->mem, n + 1, sizeof *g->input);
    if (!g->input) return fail_no_memory(b->err, where);
    for (size_t i = 0; i < n; i++) {
        const char *name, *place = arena_printf(b->mem, "%s[%zu]", where, i);
        sn_status   rc;

        if (by_name) {
            name = json_object_iter_key(member);
            member = json_object_iter_next((json_t *)inputs, member);
        } else {
            name = json_string_value(json_array_get(inputs, i));
            if (!name)
                return build_fail(b, SN_E_INVALID, place, "an input of a Graph is a name%s",
                                  node ? "; an absent one is written {\"name\": null}" : "");
        }
        g->input[i] = arena_strdup(b->mem, name);
        if (!place || !g->input[i]) return fail_no_memory(b->err, where);
        rc = build_check_name(b, "the name of an input", name, true, place);
        if (rc == SN_OK && table_find(&g->names, name, &(size_t){0}))
            rc = build_fail(b, SN_E_INVALID, place, "the input \"%s\" is named twice", name);
        if (rc == SN_OK) rc = enter_name(b, g, g->input[i], i, place);
        if (rc != SN_OK) return rc;
    }
    return SN_OK;
}

static sn_status fail_unknown(struct builder *b, const struct graph *g, const char *ref,
                              const char *where)
{
    const size_t n = g->n_nodes + (size_t)g->m->n_in;
    const char **known = arena_array(b->tmp, n + 1, sizeof *known), *closest;
    char         list[512];

    if (!known) return fail_no_memory(b->err, where);
    for (size_t i = 0; i < n; i++)
        known[i] = i < (size_t)g->m->n_in ? g->input[i] : g->name[i - (size_t)g->m->n_in];
    closest = names_closest(ref, known, n);
    if (closest)
        return build_fail(b, SN_E_UNKNOWN_NAME, where,
                          "there is no input or node \"%s\"; did you mean \"%s\"?", ref, closest);
    return build_fail(b, SN_E_UNKNOWN_NAME, where, "there is no input or node \"%s\"; there are %s",
                      ref, names_list(known, n, list, sizeof list));
}

static struct wire wire_to(const struct graph *g, size_t index, int out)
{
    if (index < (size_t)g->m->n_in) return (struct wire){WIRE_INPUT, (int)index};
    return (struct wire){(int)(index - (size_t)g->m->n_in), out};
}

/* "name", or "name.1" unless something has that very name. */
static sn_status resolve(struct builder *b, const struct graph *g, const char *ref,
                         const char *where, struct wire *ret_wire)
{
    const char *dot = strrchr(ref, '.');
    size_t      index;
    char        name[BUILD_MAX_NAME_BYTES + 1];

    if (table_find(&g->names, ref, &index)) {
        *ret_wire = wire_to(g, index, 0);
        return SN_OK;
    }
    if (!dot || strlen(dot + 1) - 1 > 3 || strspn(dot + 1, "0123456789") != strlen(dot + 1) ||
        (size_t)(dot - ref) > BUILD_MAX_NAME_BYTES)
        return fail_unknown(b, g, ref, where);
    snprintf(name, sizeof name, "%.*s", (int)(dot - ref), ref);
    if (!table_find(&g->names, name, &index)) return fail_unknown(b, g, name, where);
    if (index < (size_t)g->m->n_in && atoi(dot + 1) > 0)
        return build_fail(b, SN_E_INVALID, where,
                          "the input \"%s\" is a single tensor; there is no \"%s\"", name, ref);
    *ret_wire = wire_to(g, index, atoi(dot + 1));
    return SN_OK;
}

/* ---- wires ---------------------------------------------------------------------------------- */

/* One reference of a node; null is an absent input. */
static sn_status read_ref(struct builder *b, const struct graph *g, const json_t *ref,
                          const char *where, bool absent_ok, struct wire *ret_wire)
{
    char found[128];

    if (json_is_null(ref) && absent_ok) {
        *ret_wire = (struct wire){WIRE_ABSENT, 0};
        return SN_OK;
    }
    if (!json_is_string(ref))
        return build_fail(b, SN_E_INVALID, where,
                          "expected the name of an input or a node, found %s",
                          json_describe(ref, found, sizeof found));
    return resolve(b, g, json_string_value(ref), where, ret_wire);
}

static sn_status read_list(struct builder *b, struct graph *g, size_t i, const json_t *list,
                           const char *where, bool absent_ok)
{
    const size_t n = json_array_size(list);

    if (n > SN_MAX_PORTS)
        return build_fail(b, SN_E_LIMIT, where, "%zu inputs are more than %d", n, SN_MAX_PORTS);
    g->wire[i] = arena_array(b->mem, n + 1, sizeof **g->wire);
    if (!g->wire[i]) return fail_no_memory(b->err, where);
    g->n_wires[i] = (int)n;
    for (size_t j = 0; j < n; j++) {
        char      place[256];
        sn_status rc;

        build_item(where, j, place, sizeof place);
        rc = read_ref(b, g, json_array_get(list, j), place, absent_ok, &g->wire[i][j]);
        if (rc != SN_OK) return rc;
    }
    return SN_OK;
}

/* {"query": "norm"}: by the operator's names; what is not there is absent. */
static sn_status read_named(struct builder *b, struct graph *g, size_t i, const json_t *object,
                            const sn_op *op, const char *where)
{
    int n = 0;

    sn_status rc = json_check_members(object, where, op->in_names, (size_t)op->max_in, b->err);

    if (rc != SN_OK) return rc;
    g->wire[i] = arena_array(b->mem, (size_t)op->max_in + 1, sizeof **g->wire);
    if (!g->wire[i]) return fail_no_memory(b->err, where);
    for (int j = 0; j < op->max_in; j++) {
        const json_t *ref = json_object_get(object, op->in_names[j]);
        char          place[256];

        g->wire[i][j] = (struct wire){WIRE_ABSENT, 0};
        if (!ref && j < op->min_in)
            return build_fail(b, SN_E_INVALID, where, "%s needs the input \"%s\"", op->type,
                              op->in_names[j]);
        if (!ref) continue;
        rc = read_ref(b, g, ref, json_place(where, op->in_names[j], place, sizeof place), true,
                      &g->wire[i][j]);
        if (rc != SN_OK) return rc;
        n = j + 1;
    }
    g->n_wires[i] = n > op->min_in ? n : op->min_in; /* absent ones at the end are left out */
    return SN_OK;
}

/* The inner names of a Graph inside this one are its members. */
static sn_status read_inner(struct builder *b, struct graph *g, size_t i, const json_t *object,
                            const char *where)
{
    const char *key;
    json_t     *ref;
    size_t      j = 0;

    if (json_object_size(object) > SN_MAX_PORTS)
        return build_fail(b, SN_E_LIMIT, where, "%zu inputs are more than %d",
                          json_object_size(object), SN_MAX_PORTS);
    g->wire[i] = arena_array(b->mem, json_object_size(object) + 1, sizeof **g->wire);
    if (!g->wire[i]) return fail_no_memory(b->err, where);
    json_object_foreach((json_t *)object, key, ref)
    {
        char      place[256];
        sn_status rc = read_ref(b, g, ref, json_place(where, key, place, sizeof place), true,
                                &g->wire[i][j++]);

        if (rc != SN_OK) return rc;
    }
    g->n_wires[i] = (int)j;
    return SN_OK;
}

static const sn_op *find_op(const struct builder *b, const char *type)
{
    const sn_op *op;

    for (size_t i = 0; type && (op = sn_registry_op_at(b->net->registry, i)); i++)
        if (strcmp(op->type, type) == 0) return op;
    return NULL;
}

/* The references of node i, before the node itself is built: it must know its inputs. */
static sn_status read_wires(struct builder *b, struct graph *g, size_t i, const char *node_where)
{
    const json_t *spec = json_array_get(g->nodes, i), *inputs = json_object_get(spec, "inputs");
    const char   *type = json_string_value(json_object_get(spec, "type"));
    const sn_op  *op = find_op(b, type);
    const bool    inner = type && strcmp(type, "Graph") == 0;
    char          where[256], found[128];

    json_place(node_where, "inputs", where, sizeof where);
    if (!json_is_object(spec) || !type) return SN_OK; /* the node says so itself */
    if (!inputs)
        return build_fail(b, SN_E_INVALID, node_where, "a node of a Graph needs its \"inputs\"");
    if (json_is_array(inputs)) {
        sn_status rc = read_list(b, g, i, inputs, where, !inner);

        for (int j = 0; rc == SN_OK && j < g->n_wires[i]; j++)
            if (op && g->wire[i][j].from == WIRE_ABSENT && j < op->min_in)
                rc =
                    build_fail(b, SN_E_INVALID, where, "input %d of %s may not be absent", j, type);
        return rc;
    }
    if (!json_is_object(inputs))
        return build_fail(b, SN_E_INVALID, where, "expected an array or an object, found %s",
                          json_describe(inputs, found, sizeof found));
    if (inner) return read_inner(b, g, i, inputs, where);
    if (!op || !op->in_names)
        return build_fail(b, SN_E_INVALID, where,
                          "the inputs of %s have no names: they are written as an array", type);
    return read_named(b, g, i, inputs, op, where);
}

/* "node.5" of a node that has fewer outputs. */
static sn_status check_wire(struct builder *b, const struct graph *g, const struct wire *w,
                            const char *where)
{
    if (w->from < 0 || w->out < g->child[w->from]->n_out) return SN_OK;
    return build_fail(b, SN_E_INVALID, where, "\"%s\" has %d output%s; there is no \"%s.%d\"",
                      g->name[w->from], g->child[w->from]->n_out,
                      g->child[w->from]->n_out == 1 ? "" : "s", g->name[w->from], w->out);
}

static sn_status build_nodes(struct builder *b, struct graph *g)
{
    sn_status rc = SN_OK;

    for (size_t i = 0; i < g->n_nodes; i++) {
        const char *where = arena_printf(b->mem, "%s[%zu]", g->list, i);

        if (!where) return fail_no_memory(b->err, g->list);
        rc = read_wires(b, g, i, where);
        if (rc != SN_OK) return rc;
        rc = build_module(b,
                          &(struct build_place){.parent = g->m,
                                                .name = g->name[i],
                                                .path = build_path(b, g->m->path, g->name[i]),
                                                .where = where,
                                                .n_in = g->n_wires[i],
                                                .node = true},
                          json_array_get(g->nodes, i), &g->child[i]);
        if (rc != SN_OK) return rc;
    }
    for (size_t i = 0; i < g->n_nodes && rc == SN_OK; i++)
        for (int j = 0; j < g->n_wires[i] && rc == SN_OK; j++) {
            char place[256];

            rc = check_wire(b, g, &g->wire[i][j],
                            json_place(g->child[i]->where, "inputs", place, sizeof place));
        }
    return rc;
}

/* ---- order -------------------------------------------------------------------------------------
 */

/* The path of a depth-first walk ends where it began. */
static sn_status fail_cycle(struct builder *b, const struct graph *g, const size_t *stack, size_t n,
                            size_t again)
{
    struct text path = {0};
    size_t      from = n;
    sn_status   rc;

    while (stack[from - 1] != again)
        from--;
    for (size_t i = from - 1; i < n && i < from + 9; i++)
        text_printf(&path, "%s <- ", g->name[stack[i]]);
    if (n - from > 9) text_printf(&path, "... <- ");
    text_printf(&path, "%s", g->name[again]);
    rc = build_fail(b, SN_E_INVALID, g->list, "the nodes go round in a circle: %s",
                    path.at ? path.at : "");
    free(path.at);
    return rc;
}

/* order[k] is the node at position k. A node comes after all that it reads. */
static sn_status sort(struct builder *b, struct graph *g, size_t *order)
{
    enum { NEW, OPEN, DONE };
    const size_t n = g->n_nodes;
    char        *state = arena_array(b->tmp, n + 1, 1);
    size_t      *stack = arena_array(b->tmp, n + 1, sizeof *stack);
    int         *next = arena_array(b->tmp, n + 1, sizeof *next); /* wire to follow */
    size_t       n_order = 0;

    if (!state || !stack || !next) return fail_no_memory(b->err, g->list);
    for (size_t root = 0; root < n; root++) {
        size_t depth = 0;

        if (state[root] == NEW) {
            state[root] = OPEN;
            stack[depth++] = root;
        }
        while (depth) {
            const size_t i = stack[depth - 1];
            int          from;

            if (next[i] == g->n_wires[i]) {
                state[i] = DONE;
                order[n_order++] = i;
                depth--;
                continue;
            }
            from = g->wire[i][next[i]++].from;
            if (from < 0 || state[from] == DONE) continue;
            if (state[from] == OPEN) return fail_cycle(b, g, stack, depth, (size_t)from);
            state[from] = OPEN;
            stack[depth++] = (size_t)from;
        }
    }
    return SN_OK;
}

/* From the order of the document to that of `order`. */
static sn_status arrange(struct builder *b, struct graph *g, const size_t *order)
{
    struct module *m = g->m;
    const size_t   n = g->n_nodes;
    int           *at = arena_array(b->tmp, n + 1, sizeof *at);

    m->n_children = n;
    m->input_name = g->input;
    m->child = arena_array(b->mem, n + 1, sizeof(struct module *));
    m->wire = arena_array(b->mem, n + 1, sizeof(struct wire *));
    if (!at || !m->child || !m->wire) return fail_no_memory(b->err, g->list);
    for (size_t k = 0; k < n; k++) {
        m->child[k] = g->child[order[k]];
        m->wire[k] = g->wire[order[k]];
        at[order[k]] = (int)k;
    }
    for (size_t k = 0; k < n; k++)
        for (int j = 0; j < m->child[k]->n_in; j++)
            if (m->wire[k][j].from >= 0) m->wire[k][j].from = at[m->wire[k][j].from];
    for (int j = 0; j < m->n_out; j++)
        if (m->output[j].from >= 0) m->output[j].from = at[m->output[j].from];
    return SN_OK;
}

static sn_status read_outputs(struct builder *b, struct graph *g, const json_t *outputs)
{
    const size_t n = json_array_size(outputs);
    char         where[256];
    const char **refs;

    json_place(g->m->where, "outputs", where, sizeof where);
    if (n == 0) return build_fail(b, SN_E_INVALID, where, "a Graph needs an output");
    if (n > SN_MAX_PORTS)
        return build_fail(b, SN_E_LIMIT, where, "%zu outputs are more than %d", n, SN_MAX_PORTS);
    g->m->n_out = (int)n;
    g->m->output = arena_array(b->mem, n, sizeof *g->m->output);
    g->m->output_ref = refs = arena_array(b->mem, n, sizeof *refs);
    if (!g->m->output || !refs) return fail_no_memory(b->err, where);
    for (size_t j = 0; j < n; j++) {
        const json_t *ref = json_array_get(outputs, j);
        char          place[256];
        sn_status     rc;

        build_item(where, j, place, sizeof place);
        rc = read_ref(b, g, ref, place, false, &g->m->output[j]);
        if (rc == SN_OK) rc = check_wire(b, g, &g->m->output[j], place);
        if (rc != SN_OK) return rc;
        refs[j] = arena_strdup(b->mem, json_string_value(ref));
        if (!refs[j]) return fail_no_memory(b->err, where);
    }
    return SN_OK;
}

static sn_status build(struct builder *b, struct module *m, const json_t *spec, bool node)
{
    struct graph g = {.m = m, .nodes = json_object_get(spec, "nodes")};
    size_t      *order;
    sn_status    rc;

    g.n_nodes = json_array_size(g.nodes);
    g.list = arena_printf(b->mem, "%s.nodes", m->where);
    g.wire = arena_array(b->tmp, g.n_nodes + 1, sizeof *g.wire);
    g.n_wires = arena_array(b->tmp, g.n_nodes + 1, sizeof *g.n_wires);
    g.child = arena_array(b->tmp, g.n_nodes + 1, sizeof(struct module *));
    order = arena_array(b->tmp, g.n_nodes + 1, sizeof *order);
    if (!g.list || !g.wire || !g.n_wires || !g.child || !order)
        return fail_no_memory(b->err, m->where);
    rc = read_inputs(b, &g, json_object_get(spec, "inputs"), node);
    if (rc == SN_OK) rc = build_names(b, g.nodes, g.list, true, &g.name);
    for (size_t i = 0; i < g.n_nodes && rc == SN_OK; i++) {
        char place[256];

        build_item(g.list, i, place, sizeof place);
        rc = enter_name(b, &g, g.name[i], (size_t)m->n_in + i, place);
    }
    if (rc == SN_OK) rc = build_nodes(b, &g);
    if (rc == SN_OK) rc = read_outputs(b, &g, json_object_get(spec, "outputs"));
    if (rc == SN_OK) rc = sort(b, &g, order);
    return rc == SN_OK ? arrange(b, &g, order) : rc;
}

const struct structure structure_graph = {
    .kind = STRUCT_GRAPH,
    .member = members,
    .build = build,
};
