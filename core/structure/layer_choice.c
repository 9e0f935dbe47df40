/* LayerChoice: one of its candidates runs; of several, the outputs are added up. The
 * label's candidates are the names. */
#include "document/build.h"

static const struct member members[] = {
    {"label", MEMBER_TEXT, true},
    {"candidates", MEMBER_ARRAY, true},
    {0},
};

/* The names as the values of the label. */
static sn_status declare(struct builder *b, struct module *m, const json_t *spec,
                         const char *const *name, size_t n)
{
    sn_value *value = arena_array(b->mem, n, sizeof *value);
    sn_choice choice = {
        .label = arena_strdup(b->mem, json_string_value(json_object_get(spec, "label"))),
        .candidate = value,
        .n_candidates = n,
        .n_chosen = 1,
        .several = true,
    };
    sn_status rc;

    if (!value || !choice.label) return fail_no_memory(b->err, m->where);
    for (size_t i = 0; i < n; i++)
        value[i] = (sn_value){.kind = SN_KIND_TEXT, .as.text = name[i]};
    rc = build_declare(b, &choice, ROLE_LAYER, m->where, &m->choice);
    return rc == SN_OK ? build_use(b, m->choice, *m->path ? m->path : "model") : rc;
}

static sn_status build(struct builder *b, struct module *m, const json_t *spec, bool node)
{
    const json_t *candidates = json_object_get(spec, "candidates");
    const char   *list = arena_printf(b->mem, "%s.candidates", m->where);
    const size_t  n = json_array_size(candidates);
    const char  **name;
    sn_status     rc;

    (void)node;
    if (!list) return fail_no_memory(b->err, m->where);
    if (n == 0) return build_fail(b, SN_E_INVALID, list, "a LayerChoice needs a candidate");
    if (n > BUILD_MAX_CANDIDATES)
        return build_fail(b, SN_E_LIMIT, list, "%zu candidates are more than %d", n,
                          BUILD_MAX_CANDIDATES);
    rc = build_names(b, candidates, list, false, &name);
    if (rc == SN_OK) rc = declare(b, m, spec, name, n);
    if (rc != SN_OK) return rc;

    m->n_children = n;
    m->child = arena_array(b->mem, n, sizeof(struct module *));
    if (!m->child) return fail_no_memory(b->err, m->where);
    for (size_t i = 0; i < n; i++) {
        const struct build_place place = {
            .parent = m,
            .name = name[i],
            .path = build_path(b, m->path, name[i]),
            .where = arena_printf(b->mem, "%s[%zu]", list, i),
            .n_in = m->n_in,
        };

        rc = build_module(b, &place, json_array_get(candidates, i), &m->child[i]);
        if (rc != SN_OK) return rc;
        if (m->child[i]->n_out != m->child[0]->n_out)
            return build_fail(b, SN_E_INVALID, place.where,
                              "this candidate has %d output%s, but \"%s\" has %d",
                              m->child[i]->n_out, m->child[i]->n_out == 1 ? "" : "s", name[0],
                              m->child[0]->n_out);
    }
    m->n_out = m->child[0]->n_out;
    return SN_OK;
}

const struct structure structure_layer_choice = {
    .kind = STRUCT_LAYER_CHOICE,
    .member = members,
    .build = build,
};
