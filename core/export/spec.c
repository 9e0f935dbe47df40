/* spec: the list of an export as a specification of its own: containers in each other, values by
 * name. */
#include <stdlib.h>
#include <string.h>

#include "export/list.h"

struct writer {
    const struct export_list *list;
    struct text              *spec;
};

/* A name made for the export; NULL when memory was out. */
static void write_name(struct writer *w, const char *name)
{
    if (name)
        text_json_string(w->spec, name);
    else
        w->spec->failed = true;
}

/* Output `out` of the node `name`: "name.1", or "name.01" and so on where an input is called
 * that. What an input is called comes first when a reference is read. */
static void write_output(struct writer *w, const char *name, int out,
                         const struct export_node *graph)
{
    for (int zeros = 0; out > 0 && zeros <= 3; zeros++) {
        const char *ref = arena_printf(w->list->mem, "%s.%.*s%d", name, zeros, "000", out);
        bool        taken = false;

        for (int i = 0; ref && i < graph->n_in; i++)
            taken = taken || strcmp(graph->input_name[i], ref) == 0;
        if (taken) continue;
        write_name(w, ref);
        return;
    }
    write_name(w, name);
}

static void write_value(struct writer *w, const struct export_node *graph, struct export_value v)
{
    if (v.node == EXPORT_ABSENT)
        text_printf(w->spec, "null");
    else if (v.node == EXPORT_INPUT)
        text_json_string(w->spec, graph->input_name[v.out]);
    else
        write_output(w, w->list->node[v.node].name, v.out, graph);
}

static void write_values(struct writer *w, const struct export_node *graph,
                         const struct export_value *v, int n)
{
    text_printf(w->spec, "[");
    for (int i = 0; i < n; i++) {
        if (i) text_printf(w->spec, ", ");
        write_value(w, graph, v[i]);
    }
    text_printf(w->spec, "]");
}

/* The inputs of a Graph: their names, and where they come from if it is a node of another. */
static void write_graph_inputs(struct writer *w, const struct export_node *n,
                               const struct export_node *graph)
{
    text_printf(w->spec, graph ? ", \"inputs\": {" : ", \"inputs\": [");
    for (int i = 0; i < n->n_in; i++) {
        if (i) text_printf(w->spec, ", ");
        text_json_string(w->spec, n->input_name[i]);
        if (!graph) continue;
        text_printf(w->spec, ": ");
        write_value(w, graph, n->in[i]);
    }
    text_printf(w->spec, graph ? "}" : "]");
}

static void write_node(struct writer *w, int i, const struct export_node *graph);

static void write_inside(struct writer *w, int i, const char *what, const struct export_node *graph)
{
    const struct export_node *node = w->list->node;

    text_printf(w->spec, ", \"%s\": [", what);
    for (int k = i + 1; k < node[i].end; k = node[k].end) {
        if (k > i + 1) text_printf(w->spec, ", ");
        write_node(w, k, graph);
    }
    text_printf(w->spec, "]");
}

/* Node `i`, which is in `graph`, or (NULL) in a Sequential or nothing. */
static void write_node(struct writer *w, int i, const struct export_node *graph)
{
    const struct export_node *n = &w->list->node[i];

    text_printf(w->spec, "{");
    if (n->name) {
        text_printf(w->spec, "\"name\": ");
        text_json_string(w->spec, n->name);
        text_printf(w->spec, ", ");
    }
    text_printf(w->spec, "\"type\": \"%s\"", n->type);
    for (size_t a = 0; a < n->n_args; a++) {
        if (!n->arg[a].said) continue;
        text_printf(w->spec, ", \"%s\": ", n->arg[a].name);
        text_json_value(w->spec, &n->arg[a].value);
    }
    if (n->kind == EXPORT_SEQUENTIAL) write_inside(w, i, "layers", NULL);
    if (n->kind == EXPORT_GRAPH) {
        write_graph_inputs(w, n, graph);
        write_inside(w, i, "nodes", n);
        text_printf(w->spec, ", \"outputs\": ");
        write_values(w, n, n->out, n->n_out);
    } else if (graph) {
        text_printf(w->spec, ", \"inputs\": ");
        write_values(w, graph, n->in, n->n_in);
    }
    text_printf(w->spec, "}");
}

static void write_header(struct writer *w)
{
    const sn_supernet *net = w->list->net;

    text_printf(w->spec, "{\"format\": \"supernet/1\", \"name\": ");
    text_json_string(w->spec, net->name);
    if (net->winograd) text_printf(w->spec, ", \"winograd\": true");
    text_printf(w->spec, ",\n \"inputs\": [");
    for (size_t i = 0; i < net->n_inputs; i++) {
        const sn_port *p = &net->input[i];

        text_printf(w->spec, "%s{\"name\": ", i ? ", " : "");
        text_json_string(w->spec, p->name);
        text_printf(w->spec, ", \"dtype\": \"%s\", \"shape\": [", sn_dtype_name(p->desc.dtype));
        for (int d = 0; d < p->desc.shape.rank; d++) {
            if (d) text_printf(w->spec, ", ");
            if (p->symbol[d])
                text_json_string(w->spec, p->symbol[d]);
            else
                text_printf(w->spec, "%lld", (long long)p->desc.shape.dim[d]);
        }
        text_printf(w->spec, p->optional ? "], \"optional\": true}" : "]}");
    }
    text_printf(w->spec, "],\n \"outputs\": [");
    for (size_t i = 0; i < net->n_outputs; i++) {
        if (i) text_printf(w->spec, ", ");
        text_json_string(w->spec, net->output[i].name);
    }
    text_printf(w->spec, "],\n \"model\": ");
}

SN_EXPORT sn_status sn_subnet_write_spec(const sn_subnet *subnet, const sn_sink *sink,
                                         sn_error *err)
{
    struct export_list list;
    struct text        spec = {0};
    sn_status          rc = export_list(subnet, &list, err);

    if (!rc) {
        struct writer w = {.list = &list, .spec = &spec};

        write_header(&w);
        write_node(&w, 0, NULL);
        text_printf(&spec, "}\n");
        rc = text_flush(&spec, sink, err);
    }
    free(spec.at);
    export_list_fini(&list);
    return rc;
}
