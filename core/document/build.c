/* build: one module of the document -> one struct module, with all that is in it. */
#include "document/build.h"
#include "registry/registry.h"

#include <string.h>

const struct member build_module_members[] = {
    {"type", MEMBER_TEXT, true},
    {"name", MEMBER_TEXT, false},
    {0},
};

const struct member build_node_members[] = {
    {"inputs", MEMBER_ARRAY | MEMBER_OBJECT, true},
    {0},
};

const char *build_item(const char *where, size_t i, char *buf, size_t n_bytes)
{
    snprintf(buf, n_bytes, "%s[%zu]", where, i);
    return buf;
}

const char *build_value_text(const sn_value *v, char *buf, size_t n_bytes)
{
    struct text t = {0};

    text_json_value(&t, v);
    if (t.at && t.n < n_bytes)
        memcpy(buf, t.at, t.n + 1);
    else
        snprintf(buf, n_bytes, "%.*s...", (int)n_bytes - 4, t.at ? t.at : "");
    free(t.at);
    return buf;
}

/* ---- members -------------------------------------------------------------------------- */

/* "a text or an array" of a set of types, into buf. */
static const char *types_text(unsigned types, char *buf, size_t n_bytes)
{
    static const struct {
        unsigned    type;
        const char *text;
    } row[] = {
        {MEMBER_INT, "an integer"}, {MEMBER_REAL, "a number"},  {MEMBER_BOOL, "true or false"},
        {MEMBER_TEXT, "a text"},    {MEMBER_ARRAY, "an array"}, {MEMBER_OBJECT, "an object"},
        {MEMBER_NULL, "null"},
    };
    size_t n = 0, left = 0;

    for (size_t i = 0; i < COUNT(row); i++)
        left += (types & row[i].type) != 0;
    buf[0] = '\0';
    for (size_t i = 0; i < COUNT(row) && n < n_bytes; i++) {
        if (!(types & row[i].type)) continue;
        left--;
        n += (size_t)snprintf(buf + n, n_bytes - n, "%s%s", row[i].text,
                              left > 1    ? ", "
                              : left == 1 ? " or "
                                          : "");
    }
    return buf;
}

static const struct member *find_member(const struct member *const *tables, size_t n_tables,
                                        const char *name)
{
    for (size_t t = 0; t < n_tables; t++)
        for (const struct member *m = tables[t]; m->name; m++)
            if (strcmp(m->name, name) == 0) return m;
    return NULL;
}

sn_status build_check_members(struct builder *b, const json_t *object, const char *where,
                              const struct member *const *tables, size_t n_tables)
{
    const char *known[32];
    size_t      n_known = 0;
    const char *key;
    json_t     *value;
    char        place[256], want[128], found[128];
    sn_status   rc;

    if (!json_is_object(object))
        return build_fail(b, SN_E_INVALID, where, "expected an object, found %s",
                          json_describe(object, found, sizeof found));
    for (size_t t = 0; t < n_tables; t++)
        for (const struct member *m = tables[t]; m->name && n_known < COUNT(known); m++)
            known[n_known++] = m->name;
    rc = json_check_members(object, where, known, n_known, b->err);
    if (rc != SN_OK) return rc;

    json_object_foreach((json_t *)object, key, value)
    {
        const struct member *m = find_member(tables, n_tables, key);

        if (!(m->types & 1u << json_typeof(value)))
            return build_fail(b, SN_E_INVALID, json_place(where, key, place, sizeof place),
                              "expected %s, found %s", types_text(m->types, want, sizeof want),
                              json_describe(value, found, sizeof found));
    }
    for (size_t t = 0; t < n_tables; t++)
        for (const struct member *m = tables[t]; m->name; m++)
            if (m->required && !json_object_get(object, m->name))
                return build_fail(b, SN_E_INVALID, where, "member \"%s\" is missing", m->name);
    return SN_OK;
}

/* ---- names ------------------------------------------------------------------------------ */

sn_status build_check_name(struct builder *b, const char *what, const char *text, bool dots,
                           const char *where)
{
    if (!*text) return build_fail(b, SN_E_INVALID, where, "%s may not be empty", what);
    if (strlen(text) > BUILD_MAX_NAME_BYTES)
        return build_fail(b, SN_E_LIMIT, where, "%s of %zu bytes is longer than %d", what,
                          strlen(text), BUILD_MAX_NAME_BYTES);
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            return build_fail(b, SN_E_INVALID, where, "%s may not have control characters", what);
    if (!dots && strchr(text, '.'))
        return build_fail(b, SN_E_INVALID, where,
                          "%s may not have a dot, which separates the parts of a tensor's name; "
                          "\"%s\" has one",
                          what, text);
    return SN_OK;
}

sn_status build_names(struct builder *b, const json_t *list, const char *where, bool required,
                      const char ***ret_names)
{
    const size_t n = json_array_size(list);
    const char **names;
    struct table seen = {0};
    sn_status    rc = build_step(b, 16 * n, where);

    if (rc != SN_OK) return rc;
    if (n > BUILD_MAX_MODULES)
        return build_fail(b, SN_E_LIMIT, where, "%zu modules are more than %d", n,
                          BUILD_MAX_MODULES);
    names = arena_array(b->mem, n ? n : 1, sizeof *names);
    if (!names) return fail_no_memory(b->err, where);
    for (size_t i = 0; i < n; i++) {
        const json_t *spec = json_array_get(list, i);
        const json_t *name = json_object_get(spec, "name");
        char          place[256];
        size_t        other;

        build_item(where, i, place, sizeof place);
        if (required && json_is_object(spec) && !name)
            return build_fail(b, SN_E_INVALID, place, "a node of a Graph needs a \"name\"");
        names[i] = json_is_string(name) ? arena_strdup(b->mem, json_string_value(name))
                                        : arena_printf(b->mem, "%zu", i);
        if (!names[i]) return fail_no_memory(b->err, place);
        rc = build_check_name(b, "a name", names[i], false, place);
        if (rc != SN_OK) return rc;
        if (table_find(&seen, names[i], &other))
            return build_fail(b, SN_E_INVALID, place, "the name \"%s\" is already that of %s[%zu]",
                              names[i], where, other);
        if (!table_add(&seen, b->tmp, names[i], i)) return fail_no_memory(b->err, place);
    }
    *ret_names = names;
    return SN_OK;
}

const char *build_path(struct builder *b, const char *path, const char *name)
{
    return *path ? arena_printf(b->mem, "%s.%s", path, name) : arena_strdup(b->mem, name);
}

sn_status build_fail_inputs(struct builder *b, const struct module *m, int min, int max)
{
    char want[64];

    if (min == max)
        snprintf(want, sizeof want, "%d", min);
    else if (max < 0)
        snprintf(want, sizeof want, "at least %d", min);
    else
        snprintf(want, sizeof want, "%d to %d", min, max);
    return build_fail(b, SN_E_INVALID, m->where, "%s takes %s input%s and gets %d", m->type, want,
                      min == 1 && max <= 1 ? "" : "s", m->n_in);
}

/* ---- modules ----------------------------------------------------------------------------- */

static const sn_op *find_op(const sn_registry *reg, const char *type)
{
    const sn_op *op;

    for (size_t i = 0; (op = sn_registry_op_at(reg, i)); i++)
        if (strcmp(op->type, type) == 0) return op;
    return NULL;
}

/* A Graph has "inputs" of its own, and reads those of a node as well. */
static bool names_inputs(const struct structure *s)
{
    for (const struct member *m = s->member; m->name; m++)
        if (strcmp(m->name, "inputs") == 0) return true;
    return false;
}

static const struct container *find_container(const sn_registry *reg, const char *type)
{
    for (const struct container *c = reg->container; c->type; c++)
        if (strcmp(c->type, type) == 0) return c;
    return NULL;
}

static sn_status fail_unknown_type(struct builder *b, const char *type, const char *where)
{
    const struct container *all = b->net->registry->container;
    const sn_op            *op;
    const char            **known, *closest;
    size_t                  n = 0, n_known = 0;
    struct text             list = {0};
    sn_status               rc;

    while (all[n_known].type)
        n_known++;
    for (size_t i = 0; sn_registry_op_at(b->net->registry, i); i++)
        n_known++;
    known = arena_array(b->tmp, n_known + 1, sizeof *known);
    if (!known) return fail_no_memory(b->err, where);
    for (size_t i = 0; all[i].type; i++)
        known[n++] = all[i].type;
    for (size_t i = 0; (op = sn_registry_op_at(b->net->registry, i)); i++)
        known[n++] = op->type;

    closest = names_closest(type, known, n);
    for (size_t i = 0; i < n; i++)
        text_printf(&list, "%s%s", i ? ", " : "", known[i]);
    if (closest)
        rc = build_fail(b, SN_E_UNKNOWN_NAME, where,
                        "there is no module type \"%s\"; did you mean \"%s\"?", type, closest);
    else
        rc = build_fail(b, SN_E_UNKNOWN_NAME, where, "there is no module type \"%s\"; known are %s",
                        type, list.at ? list.at : "none");
    free(list.at);
    return rc;
}

/* The next in the list of all modules, with what its parent says about it. */
sn_status build_enter(struct builder *b, const struct build_place *place, struct module **ret)
{
    struct module *m = ARENA_NEW(b->mem, struct module);

    if (!m) return fail_no_memory(b->err, place->where);
    if (b->n_modules == b->cap_modules) {
        const size_t    cap = b->cap_modules ? 2 * b->cap_modules : 64;
        struct module **list = arena_array(b->tmp, cap, sizeof(struct module *));

        if (!list) return fail_no_memory(b->err, place->where);
        if (b->n_modules) memcpy(list, b->module, b->n_modules * sizeof(struct module *));
        b->module = list;
        b->cap_modules = cap;
    }
    if (b->n_modules >= BUILD_MAX_MODULES)
        return build_fail(b, SN_E_LIMIT, place->where, "there are more than %d modules",
                          BUILD_MAX_MODULES);
    if (strlen(place->path) > BUILD_MAX_PATH_BYTES)
        return build_fail(b, SN_E_LIMIT, place->where,
                          "the names down to here have %zu bytes together, more than %d",
                          strlen(place->path), BUILD_MAX_PATH_BYTES);
    m->level = place->parent ? place->parent->level + 1 : 1;
    if (m->level > BUILD_MAX_DEPTH)
        return build_fail(b, SN_E_LIMIT, place->where,
                          "modules are more than %d deep in each other", BUILD_MAX_DEPTH);
    m->index = (int)b->n_modules;
    m->parent = place->parent ? place->parent->index : -1;
    m->name = place->name;
    m->path = place->path;
    m->where = place->where;
    m->n_in = place->n_in;
    b->module[b->n_modules++] = m;
    *ret = m;
    return SN_OK;
}

sn_status build_module(struct builder *b, const struct build_place *place, const json_t *spec,
                       struct module **ret_module)
{
    const struct container *c;
    const struct structure *s;
    const char             *type = NULL, *name = NULL;
    char                    found[128], at[256];
    struct module          *m = NULL;
    sn_status               rc;

    if (!place->name || !place->path || !place->where) return fail_no_memory(b->err, "");
    if (!json_is_object(spec))
        return build_fail(b, SN_E_INVALID, place->where, "expected a module, found %s",
                          json_describe(spec, found, sizeof found));
    rc = build_step(b, 64 + 8 * json_object_size(spec), place->where);
    if (rc != SN_OK) return rc;
    rc = json_get_text(spec, "type", place->where, &type, b->err);
    if (rc == SN_OK) rc = json_get_text(spec, "name", place->where, &name, b->err);
    if (rc != SN_OK) return rc;
    if (!type) return build_fail(b, SN_E_INVALID, place->where, "member \"type\" is missing");
    rc = build_enter(b, place, &m);
    if (rc != SN_OK) return rc;

    m->op = find_op(b->net->registry, type);
    if (m->op) {
        m->type = m->op->type;
        rc = build_operator(b, m, spec, place->node);
        if (rc != SN_OK) return rc;
        *ret_module = m;
        return SN_OK;
    }
    c = find_container(b->net->registry, type);
    if (!c) return fail_unknown_type(b, type, json_place(place->where, "type", at, sizeof at));
    s = c->structure;
    m->type = c->type;
    m->kind = s->kind;
    {
        const struct member *tables[] = {build_module_members, s->member, build_node_members};
        const bool           wired = place->node && !names_inputs(s);

        rc = build_check_members(b, spec, m->where, tables, wired ? 3 : 2);
        if (rc != SN_OK) return rc;
    }
    rc = s->build(b, m, spec, place->node);
    if (rc != SN_OK) return rc;
    *ret_module = m;
    return SN_OK;
}
