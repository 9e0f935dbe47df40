/* operator: the members of a module -> the arguments of an operator, checked against the
 * operator's table; then the operator itself says whether it can be built, and which
 * tensors it needs. */
#include "document/build.h"

#include <string.h>

#include "supernet/engine.h"

static size_t count_args(const sn_op *op)
{
    size_t n = 0;

    while (op->args && op->args[n].name)
        n++;
    return n;
}

static size_t count_params(const sn_op *op)
{
    size_t n = 0;

    while (op->params && op->params[n].name)
        n++;
    return n;
}

static size_t count_variants(const sn_op *op)
{
    size_t n = 0;

    while (op->variants && op->variants[n].name)
        n++;
    return n;
}

/* ---- arguments ------------------------------------------------------------------------ */

static sn_status check_members(struct builder *b, const struct module *m, const json_t *spec,
                               bool node)
{
    const char *known[SN_MAX_ARGS + 3] = {"type", "name"};
    size_t      n = 2;

    if (node) known[n++] = "inputs";
    for (size_t i = 0; i < m->n_args; i++)
        if (!(m->op->args[i].flags & SN_ARG_DERIVED)) known[n++] = m->op->args[i].name;
    return json_check_members(spec, m->where, known, n, b->err);
}

/* "stem.kernel_size"; the root has no path. */
static const char *user_name(struct builder *b, const struct module *m, const char *arg)
{
    return build_path(b, m->path, arg);
}

static const char *place_of(struct builder *b, const struct module *m, const char *arg)
{
    return arena_printf(b->mem, "%s.%s", m->where, arg);
}

/* In the order of the document: labels count their first use in it. */
static sn_status written_args(struct builder *b, struct module *m, const json_t *spec)
{
    const char *key;
    json_t     *value;
    int         position = 0;

    json_object_foreach((json_t *)spec, key, value)
    {
        size_t a = 0;

        while (a < m->n_args && strcmp(m->op->args[a].name, key) != 0)
            a++;
        if (a < m->n_args) {
            const char *where = place_of(b, m, key), *user = user_name(b, m, key);
            sn_status   rc;

            if (!where || !user) return fail_no_memory(b->err, m->where);
            rc = build_argument(b, &m->op->args[a], value, user, where, &m->arg[a]);
            if (rc != SN_OK) return rc;
            m->arg[a].position = position++;
        }
    }
    return SN_OK;
}

static sn_status default_arg(struct builder *b, struct module *m, size_t a)
{
    const sn_arg_def *def = &m->op->args[a];
    const char       *where = place_of(b, m, def->name);
    json_t           *value;
    sn_status         rc = build_step(b, 32, m->where);

    if (rc != SN_OK) return rc;
    if (!where) return fail_no_memory(b->err, m->where);
    if (!def->fallback)
        return build_fail(b, SN_E_INVALID, m->where, "%s needs the argument \"%s\"", m->type,
                          def->name);
    rc = json_parse(def->fallback, strlen(def->fallback), where, &value, b->err);
    if (rc != SN_OK) return rc;
    rc = build_argument(b, def, value, NULL, where, &m->arg[a]);
    json_decref(value);
    return rc;
}

static sn_status derived_arg(struct builder *b, struct module *m, size_t a)
{
    const sn_arg_def *def = &m->op->args[a];
    const char       *where = place_of(b, m, def->name);
    struct expr_name  name[SN_MAX_ARGS];
    const sn_expr    *expr;
    size_t            n = 0;
    sn_status         rc;

    if (!where) return fail_no_memory(b->err, m->where);
    for (size_t i = 0; i < m->n_args; i++) {
        const struct arg_slot *slot = &m->arg[i];

        if (m->op->args[i].flags & SN_ARG_DERIVED) continue;
        name[n++] = (struct expr_name){slot->name, slot->expr, slot->expr ? NULL : &slot->fixed};
    }
    m->arg[a].name = def->name;
    m->arg[a].where = where;
    m->arg[a].flags = def->flags;
    rc = expr_compose(b->mem, def->fallback, name, n, where, &expr, b->err);
    if (rc != SN_OK) return rc;
    return build_set_expr(b, def, expr, NULL, where, &m->arg[a]);
}

static sn_status all_args(struct builder *b, struct module *m, const json_t *spec)
{
    sn_status rc;

    for (size_t a = 0; a < m->n_args; a++)
        m->arg[a].position = -1;
    rc = written_args(b, m, spec);
    for (size_t a = 0; a < m->n_args && rc == SN_OK; a++)
        if (m->arg[a].position < 0 && !(m->op->args[a].flags & SN_ARG_DERIVED))
            rc = default_arg(b, m, a);
    for (size_t a = 0; a < m->n_args && rc == SN_OK; a++)
        if (m->op->args[a].flags & SN_ARG_DERIVED) rc = derived_arg(b, m, a);
    return rc;
}

/* ---- the operator's own word ------------------------------------------------------------- */

/* The full size of every tensor; its data is bound later. */
static sn_status all_shapes(struct builder *b, struct module *m, const sn_call *call)
{
    char text[192];

    for (size_t k = 0; k < m->n_params; k++) {
        const unsigned flags = m->op->params[k].flags;
        sn_shape       shape = {0};
        int64_t        n;
        sn_status      rc =
            fail_foreign(b->err, m->op->shape(call, k, &shape, b->err), m->where, m->type);

        if (rc != SN_OK) return rc;
        m->state[k] = -1;
        if (shape.rank < 0) continue;
        n = shape.rank <= SN_MAX_RANK ? sn_shape_count(&shape) : -1;
        if (n < 0 || n > INT64_MAX / 8)
            return build_fail(b, SN_E_LIMIT, m->where, "the parameter \"%s\" would be %s",
                              m->op->params[k].name,
                              shape.rank <= SN_MAX_RANK ? sn_shape_text(&shape, text, sizeof text)
                                                        : "of too many dimensions");
        m->param[k] = sn_tensor_dense(flags & SN_PARAM_I64 ? SN_I64 : SN_F32, &shape, NULL);
        if (!(flags & (SN_PARAM_I64 | SN_PARAM_STATE | SN_PARAM_UNUSED)))
            m->n_param_elements += (uint64_t)n;
    }
    return SN_OK;
}

static sn_status ask(struct builder *b, struct module *m)
{
    sn_arg    arg[SN_MAX_ARGS] = {0};
    sn_tensor none[SN_MAX_PARAMS] = {0};
    sn_desc   in[SN_MAX_PORTS] = {0}, out[SN_MAX_PORTS] = {0};
    sn_call   call = {.size = sizeof call,
                      .where = m->where,
                      .mode = SN_EVAL,
                      .nni = b->net->nni,
                      .arg = arg,
                      .param = none,
                      .n_in = (size_t)m->n_in,
                      .n_out = (size_t)m->n_out,
                      .in = in,
                      .out = out};

    for (size_t a = 0; a < m->n_args; a++) {
        const struct arg_slot *slot = &m->arg[a];

        arg[a] = (sn_arg){.value = slot->super,
                          .super = slot->super,
                          .option = slot->option,
                          .n_options = slot->n_options,
                          .elastic = slot->expr != NULL,
                          .position = slot->position};
    }
    if (m->op->check) {
        sn_status rc = fail_foreign(b->err, m->op->check(&call, b->err), m->where, m->type);

        if (rc != SN_OK) return rc;
    }
    return all_shapes(b, m, &call);
}

sn_status build_operator(struct builder *b, struct module *m, const json_t *spec, bool node)
{
    const sn_op *op = m->op;
    sn_status    rc;

    m->n_args = count_args(op);
    m->n_params = count_params(op);
    m->n_out = op->n_out;
    m->arg = arena_array(b->mem, m->n_args + 1, sizeof *m->arg);
    m->param = arena_array(b->mem, m->n_params + 1, sizeof *m->param);
    m->state = arena_array(b->mem, m->n_params + 1, sizeof *m->state);
    m->n_packed = count_variants(op) * m->n_params + 1;
    m->packed = arena_array(b->mem, m->n_packed, sizeof *m->packed);
    if (!m->arg || !m->param || !m->state || !m->packed) return fail_no_memory(b->err, m->where);

    rc = check_members(b, m, spec, node);
    if (rc != SN_OK) return rc;
    if (m->n_in < op->min_in || (op->max_in >= 0 && m->n_in > op->max_in))
        return build_fail_inputs(b, m, op->min_in, op->max_in);
    if (m->n_in > SN_MAX_PORTS)
        return build_fail(b, SN_E_LIMIT, m->where, "%d inputs are more than %d", m->n_in,
                          SN_MAX_PORTS);
    rc = all_args(b, m, spec);
    return rc == SN_OK ? ask(b, m) : rc;
}
