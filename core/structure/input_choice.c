/* InputChoice: n_chosen of its n_candidates inputs, put together by the reduction. The
 * label's candidates are the positions of the inputs. */
#include <string.h>

#include "document/build.h"

static const struct member members[] = {
    {"label", MEMBER_TEXT, true},
    {"n_candidates", MEMBER_INT, true},
    {"n_chosen", MEMBER_INT | MEMBER_NULL, false},
    {"reduction", MEMBER_TEXT, false},
    {0},
};

static const char *const reductions[] = {
    [REDUCE_SUM] = "sum", [REDUCE_MEAN] = "mean", [REDUCE_CONCAT] = "concat"};

static sn_status read_reduction(struct builder *b, struct module *m, const json_t *spec)
{
    const char *text = "sum";
    char        place[256];
    sn_status   rc = json_get_text(spec, "reduction", m->where, &text, b->err);

    if (rc != SN_OK) return rc;
    for (size_t i = 0; i < COUNT(reductions); i++)
        if (strcmp(reductions[i], text) == 0) {
            m->reduction = (enum reduction)i;
            return SN_OK;
        }
    return build_fail(b, SN_E_INVALID, json_place(m->where, "reduction", place, sizeof place),
                      "\"%s\" is none of \"sum\", \"mean\" and \"concat\"", text);
}

static sn_status declare(struct builder *b, struct module *m, const json_t *spec, int64_t n,
                         int64_t n_chosen)
{
    sn_value *value = arena_array(b->mem, (size_t)n, sizeof *value);
    sn_choice choice = {
        .label = arena_strdup(b->mem, json_string_value(json_object_get(spec, "label"))),
        .candidate = value,
        .n_candidates = (size_t)n,
        .n_chosen = (size_t)n_chosen,
        .several = true,
    };
    sn_status rc;

    if (!value || !choice.label) return fail_no_memory(b->err, m->where);
    for (int64_t i = 0; i < n; i++)
        value[i] = (sn_value){.kind = SN_KIND_INT, .as.integer = i};
    rc = build_declare(b, &choice, ROLE_INPUT, m->where, &m->choice);
    return rc == SN_OK ? build_use(b, m->choice, *m->path ? m->path : "model") : rc;
}

static sn_status build(struct builder *b, struct module *m, const json_t *spec, bool node)
{
    int64_t   n = 0, n_chosen = 1;
    sn_status rc;

    (void)node;
    rc = json_get_int(spec, "n_candidates", m->where, 1, SN_MAX_PORTS, &n, b->err);
    if (rc != SN_OK) return rc;
    if (json_is_null(json_object_get(spec, "n_chosen")))
        n_chosen = 0;
    else
        rc = json_get_int(spec, "n_chosen", m->where, 1, n, &n_chosen, b->err);
    if (rc == SN_OK) rc = read_reduction(b, m, spec);
    if (rc != SN_OK) return rc;
    if (m->n_in != n)
        return build_fail(b, SN_E_INVALID, m->where,
                          "InputChoice has n_candidates %lld and gets %d inputs", (long long)n,
                          m->n_in);
    if (m->level >= BUILD_MAX_DEPTH) /* an export is a Graph with what joins the inputs */
        return build_fail(b, SN_E_LIMIT, m->where, "modules are more than %d deep in each other",
                          BUILD_MAX_DEPTH);
    m->n_chosen = (int)n_chosen;
    m->n_out = 1;
    return declare(b, m, spec, n, n_chosen);
}

const struct structure structure_input_choice = {
    .kind = STRUCT_INPUT_CHOICE,
    .member = members,
    .build = build,
};
