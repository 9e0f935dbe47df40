/* translate: a case -> the specification and the weights that a user would write.
 *
 * Module types and arguments already have their PyTorch names. What is left: an
 * argument {"expr": "a * 2"} becomes the text "a * 2", `paths` become the children of
 * the containers, and the two helpers Pair and SelfAttention become graphs. */
#include "conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supernet/weights.h"

/* ---- modules ---------------------------------------------------------------------- */

/* A value, an expression, or a value that depends on the input of a Cell. */
static json_t *argument(const json_t *v)
{
    const json_t *expr = json_object_get(v, "expr");
    const char   *key;
    json_t       *part, *copy;

    if (!json_is_object(v)) return json_deep_copy(v);
    if (expr && json_object_size(v) == 1) return json_deep_copy(expr);
    copy = json_object();
    json_object_foreach((json_t *)v, key, part)
        json_object_set_new(copy, key, expr ? json_deep_copy(part) : argument(part));
    return copy;
}

/* Type and arguments, without name and children. */
static json_t *operator(const json_t *m, const char *type)
{
    json_t     *spec = json_object(), *v;
    const char *key;

    json_object_set_new(spec, "type", json_string(type));
    json_object_foreach(json_object_get(m, "init"), key, v)
        json_object_set_new(spec, key, argument(v));
    return spec;
}

static json_t *module(const json_t *m, bool named);

static json_t *modules(const json_t *list, bool named)
{
    json_t *all = json_array(), *m;
    size_t  i;

    json_array_foreach((json_t *)list, i, m) json_array_append_new(all, module(m, named));
    return all;
}

/* Two modules on the same input; both results. */
static json_t *pair(const json_t *m)
{
    json_t *graph =
        json_pack("{s:s, s:[s], s:[], s:[]}", "type", "Graph", "inputs", "x", "nodes", "outputs");
    json_t *part;
    size_t  i;

    json_array_foreach(json_object_get(m, "paths"), i, part)
    {
        json_t *node = module(part, true);

        json_object_set_new(node, "inputs", json_pack("[s]", "x"));
        json_array_append_new(json_object_get(graph, "nodes"), node);
        json_array_append(json_object_get(graph, "outputs"), json_object_get(node, "name"));
    }
    return graph;
}

/* One attention whose query, key and value are the same; its output without weights. */
static json_t *self_attention(const json_t *m)
{
    json_t *mha = operator(m, "MultiheadAttention");

    json_object_set_new(mha, "name", json_string("mha"));
    json_object_set_new(mha, "need_weights", json_false());
    json_object_set_new(mha, "inputs", json_pack("[s, s, s]", "x", "x", "x"));
    return json_pack("{s:s, s:[s], s:[o], s:[s]}", "type", "Graph", "inputs", "x", "nodes", mha,
                     "outputs", "mha");
}

static const char *children_of(const char *op)
{
    static const struct {
        const char *op, *children;
    } containers[] = {
        {"Sequential", "layers"},
        {"LayerChoice", "candidates"},
        {"Repeat", "blocks"},
        {"Cell", "candidates"},
    };

    for (size_t i = 0; i < COUNT(containers); i++)
        if (strcmp(containers[i].op, op) == 0) return containers[i].children;
    return NULL;
}

/* Keys of a Cell that are not among its arguments. */
static void cell_keys(json_t *spec, const json_t *m)
{
    static const char *const keys[] = {"factory", "postprocessor"};

    for (size_t i = 0; i < COUNT(keys); i++)
        if (json_object_get(m, keys[i]))
            json_object_set_new(spec, keys[i], json_deep_copy(json_object_get(m, keys[i])));
    if (json_object_get(m, "preprocessor"))
        json_object_set_new(spec, "preprocessor",
                            modules(json_object_get(m, "preprocessor"), false));
}

static json_t *module(const json_t *m, bool named)
{
    const char *op = json_string_value(json_object_get(m, "op"));
    const char *name = json_string_value(json_object_get(m, "name"));
    json_t     *spec;

    if (!op) op = "?";
    if (strcmp(op, "Pair") == 0)
        spec = pair(m);
    else if (strcmp(op, "SelfAttention") == 0)
        spec = self_attention(m);
    else
        spec = operator(m, op);
    if (named && name && *name) json_object_set_new(spec, "name", json_string(name));
    if (strcmp(op, "Cell") == 0) cell_keys(spec, m);
    if (children_of(op)) /* the blocks of a Repeat are numbered, not named */
        json_object_set_new(spec, children_of(op),
                            modules(json_object_get(m, "paths"), strcmp(op, "Repeat") != 0));
    return spec;
}

/* ---- inputs ------------------------------------------------------------------------- */

/* "input" -> "input", "input.query" -> "query", "input.0" -> "input0" */
static void input_name(const char *tensor, char *buf, size_t n_bytes)
{
    const char *dot = strchr(tensor, '.');

    if (dot && dot[1] >= '0' && dot[1] <= '9')
        snprintf(buf, n_bytes, "input%s", dot + 1);
    else
        snprintf(buf, n_bytes, "%s", dot ? dot + 1 : tensor);
}

/* With the samples on this axis; -1: on none. */
static json_t *input(const char *name, const sn_tensor *t, int axis)
{
    json_t *shape = json_array();

    for (int i = 0; i < t->shape.rank; i++)
        json_array_append_new(shape, i == axis ? json_string("N") : json_integer(t->shape.dim[i]));
    return json_pack("{s:s, s:s, s:o}", "name", name, "dtype", sn_dtype_name(t->dtype), "shape",
                     shape);
}

/* The axis of an input that holds the samples, or -1. */
static int batch_axis(const struct golden *g, const char *name, const sn_tensor *t)
{
    const json_t *first = json_object_get(json_object_get(g->doc, "init"), "batch_first");

    if (strcmp(g->op, "MultiheadAttention") != 0) return t->shape.rank > 1 ? 0 : -1;
    if (strcmp(name, "attn_mask") == 0) return -1;
    if (strcmp(name, "key_padding_mask") == 0) return t->shape.rank == 2 ? 0 : -1;
    return t->shape.rank < 3 ? -1 : json_is_true(first) ? 0 : 1;
}

/* Do all inputs have as many samples? */
static bool have_one_batch(const struct golden *g, struct report *r)
{
    const json_t *names = json_object_get(g->doc, "inputs");
    int64_t       batch = -1;

    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *tensor = json_string_value(json_array_get(names, i));
        char        text[64];
        sn_tensor   t;
        int         axis;

        if (!tensor || !golden_tensor(g, tensor, &t, r)) return false;
        input_name(tensor, text, sizeof text);
        axis = batch_axis(g, text, &t);
        if (axis < 0) continue;
        if (batch >= 0 && t.shape.dim[axis] != batch) return false;
        batch = t.shape.dim[axis];
    }
    return batch > 0;
}

/* A case that ends before its forward has no inputs, but a network takes some. */
static json_t *assumed_inputs(const struct golden *g)
{
    static const char *const roles[] = {"query", "key", "value"};
    const json_t            *init = json_object_get(g->doc, "init");
    const sn_tensor          scalar = {.dtype = SN_F32, .shape = {.rank = 2, .dim = {1, 1}}};
    json_int_t               n = 1;
    json_t                  *list = json_array();

    if (strcmp(g->op, "MultiheadAttention") == 0) {
        for (size_t i = 0; i < COUNT(roles); i++)
            json_array_append_new(list, input(roles[i], &scalar, -1));
        return list;
    }
    if (strcmp(g->op, "InputChoice") == 0)
        n = json_integer_value(json_object_get(init, "n_candidates"));
    if (strcmp(g->op, "Cell") == 0)
        n = json_integer_value(json_object_get(init, "num_predecessors"));
    for (json_int_t i = 0; i < n; i++) {
        char name[32];

        snprintf(name, sizeof name, "input%d", (int)i);
        json_array_append_new(list, input(name, &scalar, -1));
    }
    return list;
}

static json_t *inputs(const struct golden *g, struct report *r)
{
    const json_t *names = json_object_get(g->doc, "inputs");
    json_t       *list, *name;
    struct report none = {0}; /* what it says is said again below */
    bool          batched;
    size_t        i;

    if (json_array_size(names) == 0) return assumed_inputs(g);
    batched = have_one_batch(g, &none);
    list = json_array();
    json_array_foreach((json_t *)names, i, name)
    {
        const char *tensor = json_string_value(name);
        char        text[64];
        sn_tensor   t;

        if (!tensor) {
            report_fail(r, "an entry of inputs is no text");
            continue;
        }
        if (!golden_tensor(g, tensor, &t, r)) continue;
        input_name(tensor, text, sizeof text);
        json_array_append_new(list, input(text, &t, batched ? batch_axis(g, text, &t) : -1));
    }
    return list;
}

/* ---- the document ------------------------------------------------------------------- */

/* Groups that describe what the later version of the original added. */
static const char *compatibility(const struct golden *g)
{
    static const char *const later[] = {"layernorm", "probs", "substate", "cell-extra-logit"};

    for (size_t i = 0; i < COUNT(later); i++)
        if (strcmp(g->group, later[i]) == 0) return "nni-2.10";
    return "nni-2.8";
}

/* Keyword arguments of the call: need_weights is an argument of the module here, and
 * any other becomes one that the module does not know. */
static json_t *root(const struct golden *g)
{
    json_t     *spec = module(g->doc, false), *v;
    const char *key;

    json_object_foreach(json_object_get(g->doc, "forward"), key, v) json_object_set(spec, key, v);
    return spec;
}

char *translate(const struct golden *g, struct report *r)
{
    json_t *doc = json_object();
    char   *text;

    json_object_set_new(doc, "format", json_string("supernet/1"));
    json_object_set_new(doc, "name", json_string(g->id));
    json_object_set_new(doc, "compatibility", json_string(compatibility(g)));
    json_object_set_new(doc, "inputs", inputs(g, r));
    json_object_set(doc, "choices", json_object_get(g->doc, "choices"));
    json_object_set_new(doc, "model", root(g));
    text = json_dumps(doc, JSON_COMPACT);
    if (!text) report_fail(r, "the case cannot be written as a specification");
    json_decref(doc);
    return text;
}

static bool has_input_rule(const json_t *v)
{
    const char *key;
    json_t     *part;
    size_t      i;

    if (json_object_get(v, "if_input") || json_object_get(v, "if_input_below")) return true;
    if (json_is_object(v)) {
        json_object_foreach((json_t *)v, key, part) if (has_input_rule(part)) return true;
    }
    if (json_is_array(v)) {
        json_array_foreach((json_t *)v, i, part) if (has_input_rule(part)) return true;
    }
    return false;
}

/* A Cell has its operators on edges if they depend on the input or nothing merges all. */
static bool decides(const json_t *m, const char *label)
{
    const json_t *init = json_object_get(m, "init");
    const char   *op = json_string_value(json_object_get(m, "op"));
    const char   *own = json_string_value(json_object_get(init, "label"));
    const char   *merge = json_string_value(json_object_get(init, "merge_op"));
    json_t       *part;
    size_t        i;

    if (op && own && strcmp(op, "Cell") == 0 && strncmp(label, own, strlen(own)) == 0 &&
        label[strlen(own)] == '/' &&
        (json_is_true(json_object_get(m, "factory")) ||
         (merge && strcmp(merge, "loose_end") == 0) || has_input_rule(json_object_get(m, "paths"))))
        return true;
    json_array_foreach(json_object_get(m, "paths"), i, part) if (decides(part, label)) return true;
    return false;
}

bool translate_is_edge_label(const struct golden *g, const char *label)
{
    return decides(g->doc, label);
}

/* ---- weights -------------------------------------------------------------------------- */

static int append(void *cls, const void *from, size_t n_bytes)
{
    struct bytes *b = cls;

    if (b->cap - b->n < n_bytes) {
        const size_t   cap = 2 * (b->n + n_bytes);
        unsigned char *at = realloc(b->at, cap);

        if (!at) return 1;
        b->at = at;
        b->cap = cap;
    }
    memcpy(b->at + b->n, from, n_bytes);
    b->n += n_bytes;
    return 0;
}

sn_sink bytes_sink(struct bytes *b)
{
    return (sn_sink){append, b};
}

void bytes_fini(struct bytes *b)
{
    free(b->at);
}

bool bytes_of_params(const struct golden *g, struct bytes *b, struct report *r)
{
    const json_t *params = json_object_get(g->doc, "params");
    const size_t  n = json_array_size(params);
    const char  **name = calloc(n + 1, sizeof *name);
    sn_tensor    *tensor = calloc(n + 1, sizeof *tensor);
    const sn_sink sink = bytes_sink(b);
    sn_error      err = {0};
    bool          ok = name && tensor;

    if (!ok) report_fail(r, "no memory");
    for (size_t i = 0; ok && i < n; i++) {
        name[i] = json_string_value(json_array_get(params, i));
        if (!name[i]) report_fail(r, "an entry of params is no text");
        ok = name[i] && golden_tensor(g, name[i], &tensor[i], r);
    }
    if (ok && sn_tensors_write(name, tensor, n, NULL, NULL, 0, &sink, &err) != SN_OK) {
        report_error(r, "weights of the case", &err);
        ok = false;
    }
    free(name);
    free(tensor);
    return ok;
}
