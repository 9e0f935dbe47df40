/* spec: a supernet/1 document and its weights -> a supernet.
 *
 * Here is the top of the document: what comes in, what goes out, and the order of the
 * steps. The modules are read by build.c and what it calls. */
#include <string.h>

#include "base/budget.h"
#include "base/digest.h"
#include "base/fence.h"
#include "document/build.h"
#include "weights/weights.h"

const struct member build_document_members[] = {
    {"format", MEMBER_TEXT, true},
    {"name", MEMBER_TEXT, true},
    {"compatibility", MEMBER_TEXT, false},
    {"winograd", MEMBER_BOOL, false},
    {"inputs", MEMBER_ARRAY, true},
    {"outputs", MEMBER_ARRAY, false},
    {"choices", MEMBER_OBJECT, false},
    {"model", MEMBER_OBJECT, true},
    {0},
};

const struct member build_input_members[] = {
    {"name", MEMBER_TEXT, true},
    {"dtype", MEMBER_TEXT, false},
    {"shape", MEMBER_ARRAY, true},
    {"optional", MEMBER_BOOL, false},
    {0},
};

/* ---- inputs ---------------------------------------------------------------------------- */

static bool is_identifier(const char *text)
{
    return *text && !strchr("0123456789", *text) &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") ==
               strlen(text);
}

/* ["N", 1, 8, 8]: a name is a dimension that each request decides; "N" is the batch. */
static sn_status read_shape(struct builder *b, const json_t *shape, const char *where,
                            sn_port *port)
{
    const size_t n = json_array_size(shape);
    bool         batch = false;
    char         found[128];

    if (n > SN_MAX_RANK)
        return build_fail(b, SN_E_LIMIT, where, "%zu dimensions are more than %d", n, SN_MAX_RANK);
    port->desc.shape.rank = (int)n;
    for (size_t i = 0; i < n; i++) {
        const json_t *dim = json_array_get(shape, i);
        const char   *symbol = json_string_value(dim);
        char          place[256];

        build_item(where, i, place, sizeof place);
        if (json_is_integer(dim) && json_integer_value(dim) >= 1) {
            port->desc.shape.dim[i] = json_integer_value(dim);
            continue;
        }
        if (!symbol || !is_identifier(symbol))
            return build_fail(b, SN_E_INVALID, place,
                              "a dimension is a positive integer or a name such as \"N\", the "
                              "batch; found %s",
                              json_describe(dim, found, sizeof found));
        if (strcmp(symbol, "N") == 0 && batch)
            return build_fail(b, SN_E_INVALID, place, "the batch dimension \"N\" is there twice");
        batch = batch || strcmp(symbol, "N") == 0;
        port->desc.shape.dim[i] = -1;
        port->symbol[i] = arena_strdup(b->mem, symbol);
        if (!port->symbol[i]) return fail_no_memory(b->err, place);
    }
    return SN_OK;
}

static sn_status read_input(struct builder *b, const json_t *spec, const char *where, sn_port *port)
{
    static const struct member *const tables[] = {build_input_members};
    const char                       *name = NULL, *dtype = "F32";
    char                              place[256];
    sn_status                         rc;

    rc = build_check_members(b, spec, where, tables, 1);
    if (rc == SN_OK) rc = json_get_text(spec, "name", where, &name, b->err);
    if (rc == SN_OK) rc = json_get_text(spec, "dtype", where, &dtype, b->err);
    if (rc == SN_OK) rc = json_get_bool(spec, "optional", where, &port->optional, b->err);
    if (rc == SN_OK) rc = build_check_name(b, "the name of an input", name, true, where);
    if (rc != SN_OK) return rc;
    port->name = arena_strdup(b->mem, name);
    if (!port->name) return fail_no_memory(b->err, where);
    if (!sn_dtype_find(dtype, &port->desc.dtype) || port->desc.dtype == SN_NONE)
        return build_fail(b, SN_E_UNKNOWN_NAME, json_place(where, "dtype", place, sizeof place),
                          "there is no element type \"%s\"; known are F32, F16, BF16, F64, I64, "
                          "I32, I16, I8, U8 and BOOL",
                          dtype);
    return read_shape(b, json_object_get(spec, "shape"),
                      json_place(where, "shape", place, sizeof place), port);
}

static sn_status read_inputs(struct builder *b, const json_t *list)
{
    sn_supernet *net = b->net;
    const size_t n = json_array_size(list);
    struct table seen = {0};

    if (n == 0) return build_fail(b, SN_E_INVALID, "inputs", "a supernet needs an input");
    if (n > SN_MAX_PORTS)
        return build_fail(b, SN_E_LIMIT, "inputs", "%zu inputs are more than %d", n, SN_MAX_PORTS);
    net->input = arena_array(b->mem, n, sizeof *net->input);
    if (!net->input) return fail_no_memory(b->err, "inputs");
    net->n_inputs = n;
    for (size_t i = 0; i < n; i++) {
        char      where[64];
        size_t    other;
        sn_status rc;

        snprintf(where, sizeof where, "inputs[%zu]", i);
        rc = read_input(b, json_array_get(list, i), where, &net->input[i]);
        if (rc != SN_OK) return rc;
        if (table_find(&seen, net->input[i].name, &other))
            return build_fail(b, SN_E_INVALID, where,
                              "the name \"%s\" is already that of inputs[%zu]", net->input[i].name,
                              other);
        if (!table_add(&seen, b->tmp, net->input[i].name, i)) return fail_no_memory(b->err, where);
    }
    return SN_OK;
}

/* ---- the root ----------------------------------------------------------------------------- */

static const sn_op *root_op(const struct builder *b, const json_t *model)
{
    const char  *type = json_string_value(json_object_get(model, "type"));
    const sn_op *op;

    for (size_t i = 0; type && (op = sn_registry_op_at(b->net->registry, i)); i++)
        if (strcmp(op->type, type) == 0) return op;
    return NULL;
}

static bool is_among(const char *name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], name) == 0) return true;
    return false;
}

/* The root is an operator that names its inputs, and the document uses those names. */
static sn_status wire_by_name(struct builder *b, const sn_op *op, int *ret_n_in)
{
    const sn_supernet *net = b->net;
    const size_t       max_in = (size_t)op->max_in;
    int                n = 0;

    for (size_t i = 0; i < net->n_inputs; i++) {
        const char *name = net->input[i].name;
        const char *closest = names_closest(name, op->in_names, max_in);
        char        place[64], list[256];

        build_item("inputs", i, place, sizeof place);
        if (is_among(name, op->in_names, max_in)) continue;
        if (closest)
            return build_fail(b, SN_E_UNKNOWN_NAME, place,
                              "%s has no input \"%s\"; did you mean \"%s\"?", op->type, name,
                              closest);
        return build_fail(b, SN_E_UNKNOWN_NAME, place, "%s has no input \"%s\"; it has %s",
                          op->type, name, names_list(op->in_names, max_in, list, sizeof list));
    }
    for (int j = 0; j < op->max_in; j++) {
        net->root_input[j] = -1;
        for (size_t i = 0; i < net->n_inputs; i++)
            if (strcmp(op->in_names[j], net->input[i].name) == 0) {
                net->root_input[j] = (int)i;
                n = j + 1;
            }
        if (net->root_input[j] < 0 && j < op->min_in)
            return build_fail(b, SN_E_INVALID, "inputs", "%s needs the input \"%s\"", op->type,
                              op->in_names[j]);
    }
    *ret_n_in = n;
    return SN_OK;
}

/* Which input of the document is input j of the root: by name where it can be, else by
 * position. */
static sn_status wire_root(struct builder *b, const json_t *model, int *ret_n_in)
{
    sn_supernet *net = b->net;
    const sn_op *op = root_op(b, model);

    net->root_input = arena_array(b->mem, SN_MAX_PORTS, sizeof *net->root_input);
    if (!net->root_input) return fail_no_memory(b->err, "inputs");
    for (size_t i = 0; i < net->n_inputs; i++) {
        if (op && op->in_names && is_among(net->input[i].name, op->in_names, (size_t)op->max_in))
            return wire_by_name(b, op, ret_n_in);
        net->root_input[i] = (int)i;
    }
    *ret_n_in = (int)net->n_inputs;
    return SN_OK;
}

static sn_status read_model(struct builder *b, const json_t *model)
{
    struct build_place place = {.name = "", .path = "", .where = "model"};
    sn_status          rc;

    if (json_object_get(model, "name"))
        return build_fail(b, SN_E_INVALID, "model.name",
                          "the outermost module has no name: the tensors in it start with the "
                          "names of its parts");
    rc = wire_root(b, model, &place.n_in);
    return rc == SN_OK ? build_module(b, &place, model, &b->net->root) : rc;
}

/* ---- outputs -------------------------------------------------------------------------------- */

/* "outputs" of the document, or else what the root calls them. */
static const char *output_name(struct builder *b, const json_t *given, size_t i)
{
    const struct module *root = b->net->root;

    if (given) {
        const char *name = json_string_value(json_array_get(given, i));

        return name ? arena_strdup(b->mem, name) : NULL;
    }
    if (root->output_ref) return root->output_ref[i];
    if (root->op && root->op->out_names) return root->op->out_names[i];
    return root->n_out == 1 ? "output" : arena_printf(b->mem, "output.%zu", i);
}

static sn_status read_outputs(struct builder *b, const json_t *given)
{
    sn_supernet *net = b->net;
    const size_t n = (size_t)net->root->n_out;
    struct table seen = {0};

    if (given && json_array_size(given) != n)
        return build_fail(b, SN_E_INVALID, "outputs",
                          "there %s %zu name%s, but the model has %zu output%s",
                          json_array_size(given) == 1 ? "is" : "are", json_array_size(given),
                          json_array_size(given) == 1 ? "" : "s", n, n == 1 ? "" : "s");
    net->output = arena_array(b->mem, n + 1, sizeof *net->output);
    if (!net->output) return fail_no_memory(b->err, "outputs");
    net->n_outputs = n;
    for (size_t i = 0; i < n; i++) {
        char        where[64];
        const char *name;
        size_t      other;
        sn_status   rc;

        snprintf(where, sizeof where, "outputs[%zu]", i);
        if (given && !json_is_string(json_array_get(given, i)))
            return build_fail(b, SN_E_INVALID, where, "the name of an output is a text");
        name = output_name(b, given, i);
        if (!name) return fail_no_memory(b->err, where);
        rc = build_check_name(b, "the name of an output", name, true, where);
        if (rc != SN_OK) return rc;
        if (table_find(&seen, name, &other))
            return build_fail(b, SN_E_INVALID, where,
                              "the name \"%s\" is already that of outputs[%zu]; \"outputs\" of the "
                              "document can name them",
                              name, other);
        if (!table_add(&seen, b->tmp, name, i)) return fail_no_memory(b->err, where);
        net->output[i].name = name;
    }
    return SN_OK;
}

/* ---- the document -----------------------------------------------------------------------------
 */

static sn_status read_head(struct builder *b, const json_t *doc)
{
    static const struct member *const tables[] = {build_document_members};
    const char                       *format = NULL, *name = NULL, *compatibility = NULL;
    sn_status                         rc;

    /* First, so that a document of another kind is called that. */
    rc = json_is_object(doc) ? json_get_text(doc, "format", "", &format, b->err) : SN_OK;
    if (rc == SN_OK && format && strcmp(format, "supernet/1") != 0)
        rc = build_fail(b, SN_E_UNSUPPORTED, "format",
                        "the format is \"%s\"; this library reads \"supernet/1\"", format);
    if (rc == SN_OK) rc = build_check_members(b, doc, "", tables, 1);
    if (rc == SN_OK) rc = json_get_text(doc, "name", "", &name, b->err);
    if (rc == SN_OK) rc = json_get_text(doc, "compatibility", "", &compatibility, b->err);
    if (rc == SN_OK) rc = json_get_bool(doc, "winograd", "", &b->net->winograd, b->err);
    if (rc == SN_OK) rc = build_check_name(b, "the name of a supernet", name, true, "name");
    if (rc != SN_OK) return rc;
    if (compatibility && strcmp(compatibility, "nni-2.8") != 0 &&
        strcmp(compatibility, "nni-2.10") != 0)
        return build_fail(b, SN_E_UNSUPPORTED, "compatibility",
                          "\"%s\" is neither \"nni-2.8\" nor \"nni-2.10\"", compatibility);
    b->net->nni = compatibility != NULL;
    b->net->nni_spare_logit = compatibility && strcmp(compatibility, "nni-2.10") == 0;
    b->net->name = arena_strdup(b->mem, name);
    return b->net->name ? SN_OK : fail_no_memory(b->err, "name");
}

static sn_status read_document(struct builder *b, const json_t *doc)
{
    struct expr_scope top = {0};
    const json_t     *choices;
    sn_status         rc = read_head(b, doc);

    if (rc != SN_OK) return rc;
    rc = read_inputs(b, json_object_get(doc, "inputs"));
    choices = json_object_get(doc, "choices");
    if (rc == SN_OK && choices) rc = build_choices(b, choices, "choices", &top);
    b->scope = &top;
    if (rc == SN_OK) rc = read_model(b, json_object_get(doc, "model"));
    if (rc == SN_OK) rc = read_outputs(b, json_object_get(doc, "outputs"));
    if (rc == SN_OK) rc = build_finish_choices(b);
    return rc == SN_OK ? build_bind(b) : rc;
}

/* What the public header shows of each module. */
static sn_status publish_modules(struct builder *b)
{
    sn_supernet *net = b->net;

    net->n_modules = b->n_modules;
    net->module = arena_array(b->mem, b->n_modules, sizeof(struct module *));
    net->info = arena_array(b->mem, b->n_modules, sizeof *net->info);
    if (!net->module || !net->info) return fail_no_memory(b->err, "model");
    for (size_t i = 0; i < b->n_modules; i++) {
        const struct module *m = net->module[i] = b->module[i];

        net->info[i] = (sn_module){.path = m->path,
                                   .where = m->where,
                                   .type = m->type,
                                   .parent = m->parent,
                                   .n_params = m->n_param_elements};
    }
    return SN_OK;
}

/* The document as it came, and its digest. */
static sn_status keep_document(struct builder *b, const char *json, size_t n_bytes)
{
    struct digest digest;
    char         *copy = sn_arena_alloc(b->mem, n_bytes + 1);

    if (!copy) return fail_no_memory(b->err, "");
    memcpy(copy, json, n_bytes);
    b->net->spec = copy;
    digest_init(&digest);
    digest_add(&digest, json, n_bytes);
    digest_final(&digest, b->net->digest);
    return SN_OK;
}

/* A Conv2d is 4 KB: there is room for the largest spaces that were published. */
enum { LOAD_BYTES = 48 << 20, LOAD_STEPS = 1 << 26 };

/* Into `mem`, with `tmp` for the time being; both are the caller's. */
static sn_status load(const char *json, size_t n_bytes, sn_weights *weights, sn_registry *reg,
                      sn_arena *mem, sn_arena *tmp, sn_supernet **ret_net, sn_error *err)
{
    sn_supernet   *net = ARENA_NEW(mem, sn_supernet);
    json_t        *doc = NULL;
    struct builder b;
    sn_status      rc;

    if (!net) return fail_no_memory(err, "");
    net->mem = mem;
    net->registry = reg;
    net->weights = weights;
    b = (struct builder){.net = net, .mem = mem, .tmp = tmp, .err = err};
    rc = keep_document(&b, json, n_bytes);
    if (rc == SN_OK) rc = json_parse_within(arena_budget(mem), json, n_bytes, "", &doc, err);
    if (rc == SN_OK) rc = read_document(&b, doc);
    if (rc == SN_OK) rc = publish_modules(&b);
    if (rc == SN_OK) rc = sn_weights_check(weights, err);
    json_decref(doc);
    if (rc == SN_OK) {
        *ret_net = net;
    } else {
        sn_arena_free(net->wide);
        fence_drop(&net->fenced);
    }
    return rc;
}

SN_EXPORT sn_status sn_supernet_load_with(const char *spec_json, size_t spec_bytes,
                                          sn_weights *weights, sn_registry *reg,
                                          const sn_load_options *options, sn_supernet **ret_net,
                                          sn_error *err)
{
    sn_load_options o;
    sn_arena       *mem = NULL, *tmp = NULL;
    sn_supernet    *net = NULL;
    struct budget   budget;
    sn_status       rc = SN_E_NO_MEMORY;

    options_read(&o, sizeof o, options);
    if (spec_bytes > BUILD_MAX_BYTES)
        return sn_fail(err, SN_E_LIMIT, "", "a document of %zu bytes is longer than %d", spec_bytes,
                       BUILD_MAX_BYTES);
    budget = budget_of(o.stop, o.stop_cls, o.memory_limit_bytes ? o.memory_limit_bytes : LOAD_BYTES,
                       o.step_limit ? o.step_limit : LOAD_STEPS);
    mem = sn_arena_create();
    tmp = sn_arena_create();
    if (mem && tmp && arena_limit(mem, &budget) && arena_limit(tmp, &budget))
        rc = load(spec_json, spec_bytes, weights, reg, mem, tmp, &net, err);
    else
        fail_no_memory(err, "");
    sn_arena_free(tmp);
    if (rc != SN_OK) {
        sn_arena_free(mem);
        return budget_settle(&budget, rc, err);
    }
    arena_limit(mem, NULL);
    sn_registry_ref(reg);
    if (weights) sn_weights_ref(weights);
    weights_use(weights);
    atomic_init(&net->n_refs, 1);
    pthread_mutex_init(&net->publishing, NULL); /* cannot fail where attributes are those */
    *ret_net = net;
    return SN_OK;
}

SN_EXPORT sn_status sn_supernet_load(const char *spec_json, size_t spec_bytes, sn_weights *weights,
                                     sn_registry *reg, sn_supernet **ret_net, sn_error *err)
{
    return sn_supernet_load_with(spec_json, spec_bytes, weights, reg, NULL, ret_net, err);
}
