/* Sequential: layers one after the other; each gets all outputs of the one before. */
#include "document/build.h"

static const struct member members[] = {
    {"layers", MEMBER_ARRAY, true},
    {0},
};

static sn_status build(struct builder *b, struct module *m, const json_t *spec, bool node)
{
    const json_t *layers = json_object_get(spec, "layers");
    const char   *list = arena_printf(b->mem, "%s.layers", m->where);
    const char  **name;
    int           n = m->n_in;
    sn_status     rc;

    (void)node;
    if (!list) return fail_no_memory(b->err, m->where);
    rc = build_names(b, layers, list, false, &name);
    if (rc != SN_OK) return rc;
    m->n_children = json_array_size(layers);
    m->child = arena_array(b->mem, m->n_children + 1, sizeof(struct module *));
    if (!m->child) return fail_no_memory(b->err, m->where);
    for (size_t i = 0; i < m->n_children; i++) {
        const struct build_place place = {
            .parent = m,
            .name = name[i],
            .path = build_path(b, m->path, name[i]),
            .where = arena_printf(b->mem, "%s[%zu]", list, i),
            .n_in = n,
        };

        rc = build_module(b, &place, json_array_get(layers, i), &m->child[i]);
        if (rc != SN_OK) return rc;
        n = m->child[i]->n_out;
    }
    m->n_out = n;
    return SN_OK;
}

const struct structure structure_sequential = {
    .kind = STRUCT_SEQUENTIAL,
    .member = members,
    .build = build,
};
