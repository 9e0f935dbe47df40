/* assemble: modules and wires, without a document. */
#include "structure/assemble.h"

#include <string.h>

sn_status assemble_init(struct assembly *g, struct builder *b, struct module *m, size_t cap)
{
    const char **input = arena_array(b->mem, (size_t)m->n_in + 1, sizeof *input);

    *g = (struct assembly){.b = b, .m = m, .cap = cap};
    m->kind = STRUCT_GRAPH;
    m->child = arena_array(b->mem, cap + 1, sizeof(struct module *));
    m->wire = arena_array(b->mem, cap + 1, sizeof(struct wire *));
    m->input_name = input;
    if (!m->child || !m->wire || !input) return fail_no_memory(b->err, m->where);
    for (int i = 0; i < m->n_in; i++) {
        input[i] = arena_printf(b->mem, "x.%d", i);
        if (!input[i]) return fail_no_memory(b->err, m->where);
    }
    return SN_OK;
}

sn_status assemble_child(struct assembly *g, struct builder *b, struct module *parent,
                         const char *name, int n_in, size_t cap)
{
    const struct build_place place = {.parent = parent,
                                      .name = name,
                                      .path = build_path(b, parent->path, name),
                                      .where = parent->where,
                                      .n_in = n_in};
    struct module           *m;
    sn_status                rc;

    if (!name || !place.path) return fail_no_memory(b->err, parent->where);
    rc = build_enter(b, &place, &m);
    if (rc != SN_OK) return rc;
    m->type = "Graph";
    return assemble_init(g, b, m, cap);
}

sn_status assemble_add(struct assembly *g, struct module *child, const struct wire *wire,
                       struct wire *ret_state)
{
    const size_t n = (size_t)child->n_in, at = g->m->n_children;
    struct wire *copy = arena_array(g->b->mem, n + 1, sizeof *copy);

    if (!copy) return fail_no_memory(g->b->err, g->m->where);
    if (n) memcpy(copy, wire, n * sizeof *copy);
    g->m->child[at] = child;
    g->m->wire[at] = copy;
    g->m->n_children++;
    if (ret_state) *ret_state = (struct wire){(int)at, 0};
    return SN_OK;
}

sn_status assemble_read(struct assembly *g, const char *name, const char *where, const json_t *spec,
                        const struct wire *wire, int n, struct wire *ret_state)
{
    struct builder          *b = g->b;
    const struct build_place place = {.parent = g->m,
                                      .name = name,
                                      .path = name ? build_path(b, g->m->path, name) : NULL,
                                      .where = where,
                                      .n_in = n};
    struct module           *child;
    sn_status                rc = build_module(b, &place, spec, &child);

    if (rc != SN_OK) return rc;
    if (child->n_out != 1)
        return build_fail(b, SN_E_INVALID, where, "this module must have one output, but has %d",
                          child->n_out);
    return assemble_add(g, child, wire, ret_state);
}

sn_status assemble_join(struct assembly *g, const char *name, const char *type, const char *member,
                        int64_t value, const struct wire *wire, int n, struct wire *ret_state)
{
    json_t   *spec;
    sn_status rc;

    if (n == 1) {
        *ret_state = wire[0];
        return SN_OK;
    }
    spec = json_pack("{s:s}", "type", type);
    if (spec && member) json_object_set_new(spec, member, json_integer(value));
    rc = spec ? assemble_read(g, name, g->m->where, spec, wire, n, ret_state)
              : fail_no_memory(g->b->err, g->m->where);
    json_decref(spec);
    return rc;
}

sn_status assemble_end(struct assembly *g, const struct wire *output, int n_out)
{
    struct wire *copy = arena_array(g->b->mem, (size_t)n_out + 1, sizeof *copy);

    if (!copy) return fail_no_memory(g->b->err, g->m->where);
    memcpy(copy, output, (size_t)n_out * sizeof *copy);
    g->m->output = copy;
    g->m->n_out = n_out;
    return SN_OK;
}
