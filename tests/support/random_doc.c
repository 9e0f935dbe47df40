#include <stddef.h>

#include "support/random_doc.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "supernet/supernet.h"

enum { MAX_REFS = 32, MAX_IN = 4 };

struct ref {
    char text[24];
};

struct doc {
    sn_rng rng;
    char  *at;
    size_t n, cap;
    int    n_cells, n_modules;
    bool   nni; /* in the compatibility mode, which knows no depth of 0 */
};

/* How many data streams a module takes and makes, and whether a mask runs beside them. */
struct ports {
    int  in, out;
    bool mask;
};

static int below(struct doc *d, int n)
{
    return (int)sn_rng_below(&d->rng, (uint64_t)n);
}

__attribute__((format(printf, 2, 3))) static void put(struct doc *d, const char *fmt, ...)
{
    va_list ap;
    int     n;

    va_start(ap, fmt);
    n = vsnprintf(d->at + (d->n < d->cap ? d->n : d->cap - 1), d->n < d->cap ? d->cap - d->n : 1,
                  fmt, ap);
    va_end(ap);
    d->n += (size_t)n;
}

static void module(struct doc *d, const char *name, const struct ref *from, struct ports p,
                   int depth);

/* {"name": ..., "type": ... */
static void head(struct doc *d, const char *name, const char *type)
{
    put(d, "{");
    if (name) put(d, "\"name\": \"%s\", ", name);
    put(d, "\"type\": \"%s\"", type);
    d->n_modules++;
}

/* , "inputs": [...]} of a node of a Graph that is no Graph itself. */
static void tail(struct doc *d, const struct ref *from, int n)
{
    if (from) {
        put(d, ", \"inputs\": [");
        for (int i = 0; i < n; i++)
            put(d, "%s\"%s\"", i ? ", " : "", from[i].text);
        put(d, "]");
    }
    put(d, "}");
}

/* ---- operators: one output, the shape of the input --------------------------------------- */

static void unary(struct doc *d, const char *name, const struct ref *from)
{
    static const char *const type[] = {"ReLU",      "Identity", "Dropout",    "GELU",
                                       "Hardswish", "Sigmoid",  "Softmax",    "LayerNorm",
                                       "Linear",    "Linear",   "BatchNorm2d"};
    static const char *const args[] = {"",
                                       "",
                                       "",
                                       "",
                                       "",
                                       "",
                                       ", \"dim\": -1",
                                       ", \"normalized_shape\": 4",
                                       ", \"in_features\": 4, \"out_features\": 4",
                                       ", \"in_features\": 4, \"out_features\": 4, \"bias\": false",
                                       ", \"num_features\": 4"};
    const int                k = below(d, 12);

    if (k < 11) {
        head(d, name, type[k]);
        put(d, "%s", args[k]);
    } else { /* elastic inside */
        head(d, name, "Sequential");
        put(d, ", \"layers\": [{\"type\": \"Linear\", \"in_features\": 4, \"out_features\": "
               "\"w\"}, {\"type\": \"Linear\", \"in_features\": \"w\", \"out_features\": 4}]");
    }
    tail(d, from, 1);
}

static void many(struct doc *d, const char *name, const struct ref *from, int n)
{
    static const char *const type[] = {"Add", "Mul", "Average"};

    head(d, name, type[below(d, 3)]);
    tail(d, from, n);
}

/* Two outputs, both ["N", 4, 4]; from[3] is the mask. Only as a node of a Graph. */
static void attention(struct doc *d, const char *name, const struct ref *from, bool mask)
{
    head(d, name, "MultiheadAttention");
    put(d,
        ", \"embed_dim\": 4, \"num_heads\": 2, \"batch_first\": true, \"inputs\": [\"%s\", "
        "\"%s\", \"%s\"",
        from[0].text, from[1].text, from[2].text);
    if (mask) put(d, ", null, \"%s\"", from[3].text);
    put(d, "]}");
}

/* ---- Graph --------------------------------------------------------------------------------- */

struct scope {
    struct ref data[MAX_REFS], mask[MAX_REFS];
    int        n_data, n_mask, n_names, n_inputs;
    struct ref input[MAX_IN + 1];
    bool       x_is_free; /* no node is called "x" yet */
};

/* "node.1" unless that is what an input is called. */
static void name_output(const struct scope *s, const char *node, int out, struct ref *ret)
{
    if (out == 0)
        snprintf(ret->text, sizeof ret->text, "%s", node);
    else
        snprintf(ret->text, sizeof ret->text, "%s.%d", node, out);
    for (int i = 0; out && i < s->n_inputs; i++)
        if (!strcmp(s->input[i].text, ret->text))
            snprintf(ret->text, sizeof ret->text, "%s.0%d", node, out);
}

static struct ref pick(struct doc *d, const struct ref *list, int n)
{
    return list[below(d, n)];
}

static void node(struct doc *d, struct scope *s, bool first, int depth)
{
    struct ref   from[MAX_IN + 1], name, made;
    struct ports p = {1 + below(d, 3), 1 + below(d, 2), s->n_mask > 0 && below(d, 2)};
    const bool   attends = below(d, 6) == 0;

    if (!first) put(d, ", ");
    if (s->x_is_free && below(d, 3) == 0) {
        s->x_is_free = false;
        snprintf(name.text, sizeof name.text, "x");
    } else {
        snprintf(name.text, sizeof name.text, "n%d", s->n_names++);
    }
    if (attends) p.in = 3, p.out = 2;
    for (int i = 0; i < p.in; i++)
        from[i] = pick(d, s->data, s->n_data);
    if (p.mask) from[p.in] = pick(d, s->mask, s->n_mask);
    if (attends)
        attention(d, name.text, from, p.mask);
    else
        module(d, name.text, from, p, depth - 1);
    for (int o = 0; o < p.out && s->n_data < MAX_REFS; o++)
        name_output(s, name.text, o, &s->data[s->n_data++]);
    name_output(s, name.text, p.out, &made);
    if (p.mask && !attends && s->n_mask < MAX_REFS) s->mask[s->n_mask++] = made;
}

static void graph(struct doc *d, const char *name, const struct ref *from, struct ports p,
                  int depth)
{
    static const char *const before[] = {"a", "x.", "m"}, *const behind[] = {"", "", ".1"};
    struct scope s = {.n_inputs = p.in + p.mask, .x_is_free = true};
    const int    style = below(d, 3), shift = below(d, 2), n = below(d, 4);

    for (int i = 0; i < s.n_inputs; i++)
        snprintf(s.input[i].text, sizeof s.input[i].text, "%s%d%s", before[style], i + shift,
                 behind[style]);
    memcpy(s.data, s.input, (size_t)p.in * sizeof *s.data);
    s.n_data = p.in;
    if (p.mask) s.mask[s.n_mask++] = s.input[p.in];
    head(d, name, "Graph");
    put(d, from ? ", \"inputs\": {" : ", \"inputs\": [");
    for (int i = 0; i < s.n_inputs; i++) {
        put(d, "%s\"%s\"", i ? ", " : "", s.input[i].text);
        if (from) put(d, ": \"%s\"", from[i].text);
    }
    put(d, from ? "}, \"nodes\": [" : "], \"nodes\": [");
    for (int i = 0; i < n; i++)
        node(d, &s, i == 0, depth);
    put(d, "], \"outputs\": [");
    for (int o = 0; o < p.out; o++)
        put(d, "%s\"%s\"", o ? ", " : "",
            s.n_data > p.in && below(d, 3) ? s.data[p.in + below(d, s.n_data - p.in)].text
                                           : pick(d, s.data, s.n_data).text);
    if (p.mask) put(d, ", \"%s\"", pick(d, s.mask, s.n_mask).text);
    put(d, "]}");
}

/* ---- other containers ------------------------------------------------------------ */

static void chain(struct doc *d, const char *name, const struct ref *from, struct ports p,
                  int depth)
{
    const int n = p.in == p.out ? below(d, 3) : 1 + below(d, 2);

    head(d, name, "Sequential");
    put(d, ", \"layers\": [");
    for (int i = 0, in = p.in; i < n; i++) {
        const int out = i == n - 1 ? p.out : 1 + below(d, 2);

        if (i) put(d, ", ");
        module(d, NULL, NULL, (struct ports){in, out, p.mask}, depth - 1);
        in = out;
    }
    put(d, "]");
    tail(d, from, p.in + p.mask);
}

static void layer_choice(struct doc *d, const char *name, const struct ref *from, struct ports p,
                         int depth)
{
    static const char *const names[] = {"x", "+", "b"};
    const int                n = 2 + below(d, 2);

    head(d, name, "LayerChoice");
    put(d, ", \"label\": \"l%d_%d\", \"candidates\": [", n, below(d, 4));
    for (int i = 0; i < n; i++) {
        if (i) put(d, ", ");
        module(d, names[i], NULL, p, depth - 1);
    }
    put(d, "]");
    tail(d, from, p.in + p.mask);
}

static void repeat(struct doc *d, const char *name, const struct ref *from, struct ports p,
                   int depth)
{
    head(d, name, "Repeat");
    put(d, ", \"depth\": \"%s\", \"blocks\": [", below(d, 2) ? "d" : d->nni ? "3 - d" : "2 - d");
    module(d, NULL, NULL, p, depth - 1);
    put(d, ", ");
    module(d, NULL, NULL, p, depth - 1);
    put(d, "]");
    tail(d, from, p.in + p.mask);
}

static void input_choice(struct doc *d, const char *name, const struct ref *from, int n)
{
    const int  n_chosen = n > 1 ? 1 + below(d, 2) : 1;
    const bool concat = n_chosen == 2 && below(d, 3) == 0;

    if (concat) { /* ["N", 8, 4], and back */
        head(d, name, "Sequential");
        put(d, ", \"layers\": [");
    }
    head(d, concat ? NULL : name, "InputChoice");
    put(d, ", \"label\": \"i%d_%d_%d\", \"n_candidates\": %d, \"n_chosen\": %d", n, n_chosen,
        below(d, 3), n, n_chosen);
    if (concat)
        put(d, ", \"reduction\": \"concat\"}, {\"type\": \"Reshape\", \"shape\": [0, 2, 4, 4]}, "
               "{\"type\": \"Mean\", \"dim\": [1]}]");
    else
        put(d, ", \"reduction\": \"%s\"", below(d, 2) ? "sum" : "mean");
    tail(d, from, n);
}

static void cell(struct doc *d, const char *name, const struct ref *from, int n)
{
    const bool edges = below(d, 2);

    head(d, name, "Cell");
    put(d,
        ", \"label\": \"c%d\", \"num_nodes\": 1, \"num_ops_per_node\": %d, \"num_predecessors\": "
        "%d, \"merge_op\": \"%s\", \"factory\": %s, \"candidates\": [",
        d->n_cells++, 1 + below(d, 2), n, below(d, 2) ? "all" : "loose_end",
        edges ? "true" : "false");
    unary(d, "x", NULL);
    put(d, ", ");
    module(d, "sum", NULL, (struct ports){1, 1, false}, edges ? 0 : 1);
    put(d, "]");
    tail(d, from, n);
}

static void bench(struct doc *d, const char *name, const struct ref *from)
{
    static const char candidates[] =
        "\"candidates\": [{\"name\": \"same\", \"type\": \"Identity\"}, {\"name\": \"relu\", "
        "\"type\": \"ReLU\"}, {\"name\": \"chain\", \"type\": \"Sequential\", \"layers\": []}]";

    if (below(d, 2)) {
        head(d, name, "NasBench201Cell");
        put(d,
            ", \"label\": \"c%d\", \"num_tensors\": 3, \"in_features\": 4, \"out_features\": 4, "
            "%s",
            d->n_cells++, candidates);
    } else {
        head(d, name, "NasBench101Cell");
        put(d,
            ", \"label\": \"c%d\", \"in_features\": 4, \"out_features\": 4, \"max_num_nodes\": 4, "
            "\"projection\": {\"type\": \"Truncate\", \"channels\": \"out_features\"}, %s",
            d->n_cells++, candidates);
    }
    tail(d, from, 1);
}

/* ---- any module ------------------------------------------------------------------ */

static void module(struct doc *d, const char *name, const struct ref *from, struct ports p,
                   int depth)
{
    const bool plain = !p.mask && p.out == 1, last = depth <= 0 || d->n_modules > 40;
    const int  kind = below(d, plain ? 10 : 6);

    if (plain && (last || kind == 9)) {
        if (p.in == 1)
            unary(d, name, from);
        else
            many(d, name, from, p.in);
    } else if (last || kind <= 1) {
        graph(d, name, from, p, last ? 0 : depth);
    } else if (kind == 2 && p.in == p.out) {
        repeat(d, name, from, p, depth);
    } else if (kind <= 3) {
        layer_choice(d, name, from, p, depth);
    } else if (kind <= 5) {
        chain(d, name, from, p, depth);
    } else if (kind == 6) {
        cell(d, name, from, p.in);
    } else if (kind == 7 && p.in == 1) {
        bench(d, name, from);
    } else {
        input_choice(d, name, from, p.in);
    }
}

_Bool random_document(uint64_t seed, char *buf, size_t n_bytes)
{
    struct doc   d = {.at = buf, .cap = n_bytes};
    struct ports p;

    sn_rng_seed(&d.rng, seed);
    p = (struct ports){2, 1 + below(&d, 2), below(&d, 3) > 0};
    d.nni = below(&d, 4) == 0;
    put(&d, "{\"format\": \"supernet/1\", \"name\": \"t\", ");
    if (d.nni) put(&d, "\"compatibility\": \"nni-2.8\", ");
    put(&d, "\"inputs\": [{\"name\": \"key\", "
            "\"shape\": [\"N\", 4, 4]}, {\"name\": \"query\", \"shape\": [\"N\", 4, 4]}");
    if (p.mask) put(&d, ", {\"name\": \"mask\", \"shape\": [4, 4], \"optional\": true}");
    put(&d, "], \"choices\": {\"w\": [2, 3, 4], \"d\": [%s1, 2]}, \"outputs\": [",
        d.nni ? "" : "0, ");
    for (int o = 0; o < p.out + p.mask; o++)
        put(&d, "%s\"o%d\"", o ? ", " : "", o);
    put(&d, "], \"model\": ");
    module(&d, NULL, NULL, p, 3);
    put(&d, "}");
    return d.n < d.cap;
}
