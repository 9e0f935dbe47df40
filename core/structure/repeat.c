/* Repeat: the first `depth` of its blocks, one after the other. The tensors of block i
 * are those of "<path>.blocks.<i>". */
#include "document/build.h"

static const struct member members[] = {
    {"depth", MEMBER_INT | MEMBER_TEXT | MEMBER_ARRAY | MEMBER_OBJECT, true},
    {"label", MEMBER_TEXT, false},
    {"blocks", MEMBER_ARRAY, false},
    {"block", MEMBER_OBJECT, false},
    {0},
};

static const sn_arg_def depth_def = {
    .name = "depth", .kinds = SN_KINDS(SN_KIND_INT), .flags = SN_ARG_CHOICE | SN_ARG_SOFT_MASK};

/* choice("label") as an expression of that label alone; a label need be no identifier. */
static const char *label_expr(struct builder *b, const char *label)
{
    struct text text = {0};
    const char *copy;

    text_add(&text, "choice(\"", 8);
    for (; *label; label++) {
        if (*label == '"' || *label == '\\') text_add(&text, "\\", 1);
        text_add(&text, label, 1);
    }
    text_add(&text, "\")", 2);
    copy = text.failed ? NULL : arena_strdup(b->mem, text.at);
    free(text.at);
    return copy;
}

/* [min, max]: a label of its own, with all integers between. */
static sn_status read_range(struct builder *b, const json_t *range, const json_t *label,
                            const char *user, struct arg_slot *slot)
{
    const json_t  *low = json_array_get(range, 0), *high = json_array_get(range, 1);
    const char    *where = slot->where, *text;
    const sn_expr *expr;
    sn_choice     *choice = ARENA_NEW(b->mem, sn_choice);
    sn_value      *value;
    int64_t        min, n;
    size_t         index;
    sn_status      rc;

    if (json_array_size(range) != 2 || !json_is_integer(low) || !json_is_integer(high))
        return build_fail(b, SN_E_INVALID, where, "a range is written [min, max], two integers");
    if (!label)
        return build_fail(b, SN_E_INVALID, where, "a range [min, max] needs a \"label\" beside it");
    min = json_integer_value(low);
    if (__builtin_sub_overflow(json_integer_value(high), min, &n) || n < 0 ||
        n >= BUILD_MAX_CANDIDATES)
        return build_fail(b, SN_E_INVALID, where, "the range %lld to %lld is empty or too long",
                          (long long)min, (long long)json_integer_value(high));
    n++;
    value = arena_array(b->mem, (size_t)n, sizeof *value);
    if (!choice || !value) return fail_no_memory(b->err, where);
    for (int64_t i = 0; i < n; i++)
        value[i] = (sn_value){.kind = SN_KIND_INT, .as.integer = min + i};
    *choice = (sn_choice){.label = arena_strdup(b->mem, json_string_value(label)),
                          .candidate = value,
                          .n_candidates = (size_t)n,
                          .n_chosen = 1};
    if (!choice->label) return fail_no_memory(b->err, where);
    rc = build_declare(b, choice, ROLE_PLAIN, where, &index);
    if (rc != SN_OK) return rc;

    text = label_expr(b, choice->label);
    if (!text) return fail_no_memory(b->err, where);
    rc = expr_parse_in(b->mem, text, choice, 1, where, &expr, b->err);
    return rc == SN_OK ? build_set_expr(b, &depth_def, expr, user, where, slot) : rc;
}

static sn_status read_depth(struct builder *b, struct module *m, const json_t *spec)
{
    const json_t *depth = json_object_get(spec, "depth"), *label = json_object_get(spec, "label");
    struct arg_slot *slot = &m->depth;
    const char      *user = build_path(b, m->path, "depth");
    int64_t          min, max;
    sn_status        rc;

    slot->name = depth_def.name;
    slot->flags = depth_def.flags;
    slot->where = arena_printf(b->mem, "%s.depth", m->where);
    if (!user || !slot->where) return fail_no_memory(b->err, m->where);
    if (label && !json_is_array(depth))
        return build_fail(b, SN_E_INVALID, m->where,
                          "\"label\" is for a depth written as a range [min, max]");
    if (json_is_array(depth))
        rc = read_range(b, depth, label, user, slot);
    else
        rc = build_argument(b, &depth_def, depth, user, slot->where, slot);
    if (rc != SN_OK) return rc;

    /* Options are in ascending order. */
    sn_value_int(&slot->option[0], &min);
    sn_value_int(&slot->super, &max);
    if (min < 0 || max < 1)
        return build_fail(b, SN_E_INVALID, slot->where,
                          "a depth of %lld to %lld: the least may not be negative and the greatest "
                          "not below 1",
                          (long long)min, (long long)max);
    if (max > BUILD_MAX_MODULES)
        return build_fail(b, SN_E_LIMIT, slot->where, "a depth of %lld is more than %d",
                          (long long)max, BUILD_MAX_MODULES);
    m->n_children = (size_t)max;
    return SN_OK;
}

/* `blocks` has one module for each position; `block` is the same for all of them. */
static sn_status check_blocks(struct builder *b, const struct module *m, const json_t *blocks,
                              const json_t *block)
{
    const size_t n = json_array_size(blocks);

    if (!blocks == !block)
        return build_fail(b, SN_E_INVALID, m->where,
                          "a Repeat has either \"blocks\", one for each position, or \"block\", "
                          "the same for all");
    if (block) return SN_OK;
    if (n < m->n_children)
        return build_fail(b, SN_E_INVALID, m->where,
                          "the depth can be %zu, but there %s %zu block%s", m->n_children,
                          n == 1 ? "is" : "are", n, n == 1 ? "" : "s");
    if (n > m->n_children && !b->net->nni)
        return build_fail(b, SN_E_INVALID, m->where,
                          "there are %zu blocks, but the depth is never more than %zu", n,
                          m->n_children);
    return SN_OK;
}

static sn_status build_block(struct builder *b, struct module *m, size_t i, const json_t *spec,
                             const char *where)
{
    const char *name = arena_printf(b->mem, "%zu", i), *own = NULL;
    const char *list = build_path(b, m->path, "blocks");
    sn_status   rc;

    if (!name || !list || !where) return fail_no_memory(b->err, m->where);
    rc = json_get_text(spec, "name", where, &own, b->err);
    if (rc != SN_OK) return rc;
    if (own)
        return build_fail(b, SN_E_INVALID, where,
                          "a block has no name of its own: its tensors are those of \"%s.%s\"",
                          list, name);
    rc = build_module(b,
                      &(struct build_place){.parent = m,
                                            .name = name,
                                            .path = build_path(b, list, name),
                                            .where = where,
                                            .n_in = m->n_in},
                      spec, &m->child[i]);
    if (rc != SN_OK) return rc;
    if (m->child[i]->n_out != m->n_in)
        return build_fail(
            b, SN_E_INVALID, where,
            "a block of a Repeat has as many outputs as inputs; this one has %d and %d",
            m->child[i]->n_out, m->n_in);
    return SN_OK;
}

static sn_status build(struct builder *b, struct module *m, const json_t *spec, bool node)
{
    const json_t *blocks = json_object_get(spec, "blocks"), *block = json_object_get(spec, "block");
    sn_status     rc;

    (void)node;
    rc = read_depth(b, m, spec);
    if (rc == SN_OK) rc = check_blocks(b, m, blocks, block);
    if (rc != SN_OK) return rc;
    m->n_out = m->n_in;
    m->child = arena_array(b->mem, m->n_children, sizeof(struct module *));
    if (!m->child) return fail_no_memory(b->err, m->where);
    for (size_t i = 0; i < m->n_children && rc == SN_OK; i++)
        rc = blocks ? build_block(b, m, i, json_array_get(blocks, i),
                                  arena_printf(b->mem, "%s.blocks[%zu]", m->where, i))
                    : build_block(b, m, i, block, arena_printf(b->mem, "%s.block", m->where));
    return rc;
}

const struct structure structure_repeat = {
    .kind = STRUCT_REPEAT,
    .member = members,
    .build = build,
};
