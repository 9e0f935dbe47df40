/* list: how the walk puts nodes, values and tensors into it. */
#include "export/list.h"

#include <string.h>

#include "export/walk.h"
#include "live/operand.h"

/* `old` [n] in an array of twice `cap`, or 64; NULL when memory is out. */
static void *grow(struct walk *w, const void *old, size_t n, size_t size, size_t cap)
{
    void *grown = arena_array(w->mem, cap ? 2 * cap : 64, size);

    return grown && n ? memcpy(grown, old, n * size) : grown;
}

sn_status walk_open(struct walk *w, enum export_kind kind, const char *name, const char *type,
                    int *ret_node, sn_error *err)
{
    struct export_list *l = w->list;

    if ((size_t)l->n_nodes == w->cap_nodes) {
        struct export_node *grown =
            grow(w, l->node, (size_t)l->n_nodes, sizeof *grown, w->cap_nodes);

        if (!grown) return fail_no_memory(err, "export");
        l->node = grown;
        w->cap_nodes = w->cap_nodes ? 2 * w->cap_nodes : 64;
    }
    l->node[l->n_nodes] =
        (struct export_node){.kind = kind, .name = name, .type = type, .end = l->n_nodes + 1};
    *ret_node = l->n_nodes++;
    return SN_OK;
}

void walk_close(struct walk *w, int node)
{
    w->list->node[node].end = w->list->n_nodes;
}

sn_status walk_open_graph(struct walk *w, const char *name, const char *const *input_name, int n_in,
                          int *ret_node, sn_error *err)
{
    const sn_status rc = walk_open(w, EXPORT_GRAPH, name, "Graph", ret_node, err);

    if (rc) return rc;
    w->list->node[*ret_node].input_name = input_name ? input_name : w->port;
    w->list->node[*ret_node].n_in = n_in;
    return SN_OK;
}

static const struct export_value *keep_values(struct walk *w, const struct export_value *v, int n)
{
    struct export_value *kept = arena_array(w->mem, (size_t)n + 1, sizeof *kept);

    return kept && n ? memcpy(kept, v, (size_t)n * sizeof *kept) : kept;
}

sn_status walk_inputs(struct walk *w, int node, const struct export_value *in, int n, sn_error *err)
{
    struct export_node *to = &w->list->node[node];

    to->n_in = n;
    to->in = keep_values(w, in, n);
    return to->in ? SN_OK : fail_no_memory(err, "export");
}

sn_status walk_outputs(struct walk *w, int graph, const struct export_value *out, int n,
                       sn_error *err)
{
    struct export_node *of = &w->list->node[graph];

    of->n_out = n;
    of->out = keep_values(w, out, n);
    return of->out ? SN_OK : fail_no_memory(err, "export");
}

sn_status walk_combine(struct walk *w, const char *name, const char *type,
                       const struct export_value *in, int n, struct export_value *ret,
                       sn_error *err)
{
    int       node;
    sn_status rc;

    if (!name) return fail_no_memory(err, "export");
    rc = walk_open(w, EXPORT_OPERATOR, name, type, &node, err);
    if (!rc) rc = walk_inputs(w, node, in, n, err);
    if (!rc) *ret = (struct export_value){node, 0};
    return rc;
}

sn_status walk_add_tensor(struct walk *w, const char *name, const sn_tensor *t,
                          const struct export_pieces *pieces, sn_error *err)
{
    struct export_list *l = w->list;

    if (l->n_tensors == w->cap_tensors) {
        const char **names = grow(w, l->tensor_name, l->n_tensors, sizeof *names, w->cap_tensors);
        sn_tensor   *tensors = grow(w, l->tensor, l->n_tensors, sizeof *tensors, w->cap_tensors);

        const struct export_pieces **all =
            grow(w, l->pieces, l->n_tensors, sizeof *all, w->cap_tensors);

        if (!names || !tensors || !all) return fail_no_memory(err, "export");
        l->tensor_name = names;
        l->tensor = tensors;
        l->pieces = all;
        w->cap_tensors = w->cap_tensors ? 2 * w->cap_tensors : 64;
    }
    l->tensor_name[l->n_tensors] = name;
    l->pieces[l->n_tensors] = pieces;
    l->tensor[l->n_tensors++] = *t;
    return name ? SN_OK : fail_no_memory(err, "export");
}

sn_status export_gather(struct export_list *l, sn_error *err)
{
    for (size_t i = 0; i < l->n_tensors; i++) {
        sn_tensor *t = &l->tensor[i];

        if (!l->pieces[i]) continue;
        t->data = operand_gather(l->pieces[i]->whole, &l->pieces[i]->cut, sn_shape_count(&t->shape),
                                 l->copies);
        if (!t->data) return fail_no_memory(err, "export");
    }
    return SN_OK;
}

void export_list_fini(struct export_list *list)
{
    sn_arena_free(list->mem);
    sn_arena_free(list->copies);
}
