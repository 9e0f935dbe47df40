/* grammar: a document is written module by module; each one knows the shape that comes to it, and
 * leaves the shape that goes on. */
#include "grammar.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supernet/weights.h"

unsigned dice_below(struct dice *d, unsigned n)
{
    if (d->at == d->end || n < 2) return 0;
    return *d->at++ % n;
}

bool dice_once_in(struct dice *d, unsigned n)
{
    return dice_below(d, n) == n - 1;
}

/* ---- shapes ------------------------------------------------------------------------- */

/* A dimension as a document can write it: a number, an expression, a name; or one that only a plan
 * knows, which is equal to itself. */
struct dim {
    enum { FIXED, SEARCHED, SYMBOL, ONLY_PLANNED } kind;
    int  n;        /* FIXED; ONLY_PLANNED: which */
    int  least;    /* of all assignments */
    int  unit;     /* divides all its values */
    char text[56]; /* SEARCHED: the expression; SYMBOL: the name */
};

struct type {
    int        rank;
    struct dim dim[SN_MAX_RANK];
    sn_dtype   dtype;
    bool       optional;
};

enum { MOST_LABELS = 12, MOST_REFS = 24, MOST_NODES = 6, MOST_DEPTH = 4, MOST_MODULES = 40 };

enum use { USE_WIDTH, USE_KERNEL, USE_PAIR, USE_DEPTH, USE_HEADS, USE_REAL, USE_STEP, USE_OP };

struct label {
    char     name[16];
    enum use use;
    int      least, unit;
    char     candidates[80];
};

struct gen {
    struct dice *d;
    struct text *out;
    struct label label[MOST_LABELS];
    int          n_labels, n_modules, n_names, n_planned;
    char         name[16];   /* of the module that is written next; "" for none */
    char         wires[400]; /* its "inputs", if it is a node */
};

static unsigned below(struct gen *g, unsigned n)
{
    return dice_below(g->d, n);
}

static bool once_in(struct gen *g, unsigned n)
{
    return dice_once_in(g->d, n);
}

__attribute__((format(printf, 2, 3))) static void put(struct gen *g, const char *fmt, ...)
{
    char    line[600];
    va_list args;
    int     n;

    va_start(args, fmt);
    n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    text_add(g->out, line, n < (int)sizeof line ? (size_t)n : sizeof line - 1);
}

static struct dim fixed(int n)
{
    return (struct dim){.kind = FIXED, .n = n, .least = n, .unit = n > 0 ? n : 1};
}

static struct dim symbol(const char *name)
{
    struct dim d = {.kind = SYMBOL, .least = 1, .unit = 1};

    snprintf(d.text, sizeof d.text, "%s", name);
    return d;
}

static struct dim planned(struct gen *g)
{
    return (struct dim){.kind = ONLY_PLANNED, .n = ++g->n_planned, .least = 1, .unit = 1};
}

static struct dim searched(int least, int unit, const char *text)
{
    struct dim d = {.kind = SEARCHED, .least = least, .unit = unit};

    snprintf(d.text, sizeof d.text, "%s", text);
    return d;
}

static bool same_dim(const struct dim *a, const struct dim *b)
{
    return a->kind == b->kind &&
           (a->kind == FIXED || a->kind == ONLY_PLANNED ? a->n == b->n
                                                        : strcmp(a->text, b->text) == 0);
}

static bool same_type(const struct type *a, const struct type *b)
{
    if (a->rank != b->rank || a->dtype != b->dtype || a->optional || b->optional) return false;
    for (int i = 0; i < a->rank; i++)
        if (!same_dim(&a->dim[i], &b->dim[i])) return false;
    return true;
}

/* Can an argument say it? */
static bool is_known(const struct dim *d)
{
    return d->kind == FIXED || d->kind == SEARCHED;
}

/* ---- labels and arguments --------------------------------------------------------------- */

static const struct {
    enum use    use;
    int         least, unit;
    const char *candidates;
} tables[] = {
    {USE_WIDTH, 2, 2, "[2, 4, 8]"},       {USE_WIDTH, 4, 4, "[4, 8, 12]"},
    {USE_WIDTH, 1, 1, "[1, 2, 3]"},       {USE_WIDTH, 3, 1, "[5, 3]"},
    {USE_WIDTH, 8, 8, "[16, 8]"},         {USE_WIDTH, 6, 1, "[6, 17, 9]"},
    {USE_WIDTH, 4, 1, "[4, 7, 4]"},       {USE_WIDTH, 16, 2, "[16, 18, 34]"},
    {USE_KERNEL, 1, 1, "[1, 3, 5]"},      {USE_KERNEL, 3, 1, "[3, 5]"},
    {USE_KERNEL, 1, 1, "[3, 1]"},         {USE_KERNEL, 3, 1, "[3, 7]"},
    {USE_PAIR, 1, 1, "[[3, 5], [5, 3]]"}, {USE_PAIR, 1, 1, "[[1, 3], [3, 3], [5, 1]]"},
    {USE_DEPTH, 0, 1, "[0, 1, 2]"},       {USE_DEPTH, 1, 1, "[1, 2]"},
    {USE_DEPTH, 1, 1, "[3, 1, 2]"},       {USE_HEADS, 1, 1, "[1, 2]"},
    {USE_HEADS, 1, 1, "[2, 1, 4]"},       {USE_REAL, 0, 1, "[1e-5, 0.001]"},
    {USE_REAL, 0, 1, "[0.1, 0.5, 1.0]"},  {USE_STEP, 1, 1, "[1, 2]"},
    {USE_STEP, 1, 1, "[2, 1]"},
};

/* A label of that use: one that is there, or a new one. */
static const struct label *label_for(struct gen *g, enum use use)
{
    const bool    fresh = g->n_labels < MOST_LABELS && !once_in(g, 2);
    int           n = 0, pick;
    struct label *l;

    for (int i = 0; i < g->n_labels; i++)
        n += g->label[i].use == use;
    if (n && !fresh) {
        pick = (int)below(g, (unsigned)n);
        for (int i = 0; i < g->n_labels; i++)
            if (g->label[i].use == use && pick-- == 0) return &g->label[i];
    }
    if (g->n_labels == MOST_LABELS) return NULL;
    n = 0;
    for (size_t i = 0; i < COUNT(tables); i++)
        n += tables[i].use == use;
    pick = (int)below(g, (unsigned)n);
    l = &g->label[g->n_labels++];
    for (size_t i = 0; i < COUNT(tables); i++)
        if (tables[i].use == use && pick-- == 0) {
            *l = (struct label){.use = use, .least = tables[i].least, .unit = tables[i].unit};
            snprintf(l->candidates, sizeof l->candidates, "%s", tables[i].candidates);
        }
    snprintf(l->name, sizeof l->name, once_in(g, 8) ? "s/%d" : "w%d", g->n_labels);
    return l;
}

/* A label as expressions read it. */
static const char *read_label(const struct label *l, char buf[40])
{
    snprintf(buf, 40, strchr(l->name, '/') ? "choice('%s')" : "%s", l->name);
    return buf;
}

static int gcd(int a, int b)
{
    return b ? gcd(b, a % b) : a;
}

/* A number of channels or features, searched or not. */
static struct dim width(struct gen *g)
{
    static const int    plain[] = {4, 2, 8, 3, 1, 6, 16, 5, 12, 7, 17, 32};
    const struct label *l, *m;
    char                a[40], b[40], text[128];

    switch (below(g, 8)) {
    case 0:
    case 1:
        return fixed(plain[below(g, COUNT(plain))]);
    case 2:
        if (!(l = label_for(g, USE_WIDTH)) || !(m = label_for(g, USE_WIDTH))) return fixed(4);
        snprintf(text, sizeof text, "%s(%s, %s)", once_in(g, 2) ? "min" : "max", read_label(l, a),
                 read_label(m, b));
        return searched(l->least < m->least ? l->least : m->least, gcd(l->unit, m->unit), text);
    case 3:
        if (!(l = label_for(g, USE_WIDTH)) || !(m = label_for(g, USE_STEP))) return fixed(4);
        snprintf(text, sizeof text, "%s * %s", read_label(l, a), read_label(m, b));
        return searched(l->least, l->unit, text);
    case 4:
        for (int i = g->n_labels - 1; i >= 0; i--) /* which candidate of a LayerChoice */
            if (g->label[i].use == USE_OP && *g->label[i].candidates && once_in(g, 2)) {
                snprintf(text, sizeof text, "8 if %s == 'a' else 4", read_label(&g->label[i], a));
                return searched(4, 4, text);
            }
        if (!(l = label_for(g, USE_WIDTH))) return fixed(4);
        switch (below(g, 6)) {
        case 0:
            snprintf(text, sizeof text, "%s * 2", read_label(l, a));
            return searched(2 * l->least, 2 * l->unit, text);
        case 1:
            snprintf(text, sizeof text, "%s + 1", read_label(l, a));
            return searched(l->least + 1, 1, text);
        case 2:
            snprintf(text, sizeof text, "to_int(%s * 1.5)", read_label(l, a));
            return searched(l->least, 1, text);
        case 3:
            snprintf(text, sizeof text, "8 if %s > 4 else 4", read_label(l, a));
            return searched(4, 4, text);
        case 4:
            snprintf(text, sizeof text, "(%s // 2 + 1) ** 2 %% 5 + 1", read_label(l, a));
            return searched(1, 1, text);
        default:
            snprintf(text, sizeof text, "cond(%s >= 4, 6, round(2.5))", read_label(l, a));
            return searched(2, 2, text);
        }
    default:
        if (!(l = label_for(g, USE_WIDTH))) return fixed(4);
        return searched(l->least, l->unit, read_label(l, a));
    }
}

static void put_dim(struct gen *g, const struct dim *d)
{
    if (d->kind != FIXED)
        put(g, "\"%s\"", d->text);
    else if (once_in(g, 24))
        put(g, "\"%d + 0\"", d->n);
    else if (once_in(g, 32))
        put(g, "{\"expr\": \"k\", \"choices\": {\"k\": [%d]}}", d->n);
    else
        put(g, "%d", d->n);
}

static void put_arg(struct gen *g, const char *name, const struct dim *d)
{
    put(g, ", \"%s\": ", name);
    put_dim(g, d);
}

/* "name": false or true, where it is written at all. */
static bool put_flag(struct gen *g, const char *name, bool fallback)
{
    const bool value = once_in(g, 3) ? !fallback : fallback;

    if (value != fallback || once_in(g, 8)) put(g, ", \"%s\": %s", name, value ? "true" : "false");
    return value;
}

static void put_real(struct gen *g, const char *name, const char *plain)
{
    static const char *const odd[] = {"0",     "1e-5", "-1.0", "1e30",  "\"1e308 * 10\"",
                                      "1e-45", "0.5",  "1",    "0.999", "\"0.0 * (1e308 * 10)\""};
    const struct label      *l;
    char                     a[40];

    switch (below(g, 6)) {
    case 1:
        put(g, ", \"%s\": %s", name, plain);
        break;
    case 2:
        if ((l = label_for(g, USE_REAL))) put(g, ", \"%s\": \"%s\"", name, read_label(l, a));
        break;
    case 3:
        if (once_in(g, 4)) put(g, ", \"%s\": %s", name, odd[below(g, COUNT(odd))]);
        break;
    default:
        break;
    }
}

/* ---- one module ------------------------------------------------------------------------- */

static void open_module(struct gen *g, const char *type)
{
    g->n_modules++;
    put(g, "{\"type\": \"%s\"", type);
    if (*g->name) put(g, ", \"name\": \"%s\"", g->name);
    if (*g->wires) put(g, ", \"inputs\": %s", g->wires);
    *g->name = *g->wires = '\0';
}

static void put_plain(struct gen *g, const char *type)
{
    open_module(g, type);
    put(g, "}");
}

static void put_one(struct gen *g, struct type *t, int depth, bool keep);

static void put_activation(struct gen *g)
{
    static const char *const types[] = {"ReLU",    "ReLU6",     "Hardswish", "SiLU",
                                        "Sigmoid", "Tanh",      "GELU",      "Hardsigmoid",
                                        "ReLU",    "Hardswish", "Identity"};
    const char *const        type = types[below(g, COUNT(types))];

    open_module(g, type);
    if (strcmp(type, "GELU") == 0 && once_in(g, 2)) put(g, ", \"approximate\": \"tanh\"");
    if (strcmp(type, "ReLU") == 0 && once_in(g, 4)) put(g, ", \"inplace\": true");
    put(g, "}");
}

static void put_dropout(struct gen *g)
{
    open_module(g, "Dropout");
    put_real(g, "p", "0.25");
    put(g, "}");
}

/* Of the last dimension; `out` NULL: as many features as before. */
static void put_linear(struct gen *g, struct type *t, const struct dim *out)
{
    struct dim *last = &t->dim[t->rank - 1];

    open_module(g, "Linear");
    put_arg(g, "in_features", last);
    put_arg(g, "out_features", out ? out : last);
    put_flag(g, "bias", true);
    put(g, "}");
    if (out) *last = *out;
}

static void put_layer_norm(struct gen *g, const struct type *t)
{
    open_module(g, "LayerNorm");
    put(g, ", \"normalized_shape\": ");
    if (t->rank >= 2 && t->dim[t->rank - 1].kind == FIXED && t->dim[t->rank - 2].kind == FIXED &&
        once_in(g, 3))
        put(g, "[%d, %d]", t->dim[t->rank - 2].n, t->dim[t->rank - 1].n);
    else
        put_dim(g, &t->dim[t->rank - 1]);
    put_real(g, "eps", "1e-6");
    put_flag(g, "elementwise_affine", true);
    put(g, "}");
}

static void put_batch_norm(struct gen *g, const struct type *t)
{
    open_module(g, "BatchNorm2d");
    put_arg(g, "num_features", &t->dim[1]);
    put_real(g, "eps", "0.001");
    if (once_in(g, 8))
        put(g, ", \"momentum\": null");
    else
        put_real(g, "momentum", "0.5");
    put_flag(g, "affine", true);
    if (once_in(g, 4)) put(g, ", \"track_running_stats\": false");
    put(g, "}");
}

static void put_group_norm(struct gen *g, const struct type *t)
{
    const struct dim *c = &t->dim[1];

    open_module(g, "GroupNorm");
    if (c->kind == SEARCHED && once_in(g, 3))
        put_arg(g, "num_groups", c);
    else
        put(g, ", \"num_groups\": %d", c->unit % 2 == 0 && once_in(g, 2) ? 2 : 1);
    put_arg(g, "num_channels", c);
    put_real(g, "eps", "0.001");
    put_flag(g, "affine", true);
    put(g, "}");
}

/* What a window leaves of an axis; a number only if everything is. */
static struct dim windowed(struct gen *g, const struct dim *d, int kernel, int stride, int padding,
                           int dilation, bool ceil)
{
    const int span = d->n + 2 * padding - dilation * (kernel - 1) - 1;

    if (d->kind != FIXED || span < 0) return planned(g);
    return fixed((span + (ceil ? stride - 1 : 0)) / stride + 1);
}

static int spatial(const struct type *t)
{
    return t->rank - 2;
}

/* A convolution to `out` channels that keeps height and width if `keep`; channels are axis
 * rank - 3, or what comes before is no image and the document is refused. */
static void put_conv(struct gen *g, struct type *t, const struct dim *out, bool keep)
{
    static const char *const modes[] = {"reflect", "replicate", "circular", "zeros"};
    const int                at = spatial(t);
    struct dim              *c = &t->dim[at - 1];
    const struct label      *l = NULL;
    int                      kernel = 3, stride = 1, padding = 1, dilation = 1;
    bool                     depthwise = false;
    char                     a[40];

    open_module(g, "Conv2d");
    put_arg(g, "in_channels", c);
    depthwise = same_dim(c, out) && once_in(g, 3);
    put_arg(g, "out_channels", out);
    switch (below(g, 8)) {
    case 0:
        kernel = 1, padding = 0;
        put(g, ", \"kernel_size\": 1");
        break;
    case 1:
        put(g, ", \"kernel_size\": 3, \"padding\": 1");
        break;
    case 2:
        if ((l = label_for(g, USE_KERNEL)))
            put(g, ", \"kernel_size\": \"%s\", \"padding\": \"%s // 2\"", read_label(l, a), a);
        else
            put(g, ", \"kernel_size\": 3, \"padding\": \"same\"");
        break;
    case 3:
        if ((l = label_for(g, USE_PAIR)))
            put(g, ", \"kernel_size\": \"%s\", \"padding\": \"same\"", read_label(l, a));
        else
            put(g, ", \"kernel_size\": [3, 3], \"padding\": \"same\"");
        keep = true;
        break;
    case 4:
        kernel = keep ? 1 : 2, padding = 0;
        put(g, ", \"kernel_size\": %d, \"padding\": \"valid\"", kernel);
        break;
    case 5:
        dilation = 2, padding = 2;
        put(g, ", \"kernel_size\": 3, \"padding\": 2, \"dilation\": 2");
        break;
    case 6:
        kernel = 5, padding = 2;
        put(g, ", \"kernel_size\": [5, 5], \"padding\": [2, 2]");
        break;
    default:
        if ((l = label_for(g, USE_KERNEL)))
            put(g, ", \"kernel_size\": \"%s\", \"padding\": \"(%s // 2, %s // 2)\"",
                read_label(l, a), a, a);
        else
            put(g, ", \"kernel_size\": 3, \"padding\": [1, 1]");
        break;
    }
    if (!keep) {
        stride = 1 + (int)below(g, 3);
        if (once_in(g, 8) && (l = label_for(g, USE_STEP))) {
            put(g, ", \"stride\": \"%s\"", read_label(l, a));
            t->dim[at] = planned(g);
            t->dim[at + 1] = planned(g);
        } else if (stride > 1) {
            put(g, ", \"stride\": %d", stride);
        }
        for (int i = 0; i < 2; i++)
            t->dim[at + i] = windowed(g, &t->dim[at + i], kernel, stride, padding, dilation, false);
    }
    if (depthwise)
        put_arg(g, "groups", c);
    else if (c->unit % 2 == 0 && out->unit % 2 == 0 && once_in(g, 6))
        put(g, ", \"groups\": 2");
    put_flag(g, "bias", true);
    if (once_in(g, 6)) put(g, ", \"padding_mode\": \"%s\"", modes[below(g, COUNT(modes))]);
    put(g, "}");
    *c = *out;
}

static void put_pool(struct gen *g, struct type *t, bool keep)
{
    static const char *const types[] = {"MaxPool2d", "AvgPool2d"};
    const bool               average = once_in(g, 2);
    const int                at = spatial(t);
    const bool               small = once_in(g, 2);
    const int                kernel = small ? 2 : 3, padding = small ? 0 : 1;
    int                      stride = kernel;
    bool                     ceil;

    open_module(g, types[average]);
    if (keep) {
        put(g, ", \"kernel_size\": 3, \"stride\": 1, \"padding\": 1");
    } else {
        put(g, ", \"kernel_size\": %d", kernel);
        if (once_in(g, 2)) put(g, ", \"stride\": %d", stride = 1 + (int)below(g, 2));
        if (padding) put(g, ", \"padding\": %d", padding);
        ceil = put_flag(g, "ceil_mode", false);
        for (int i = 0; i < 2; i++)
            t->dim[at + i] =
                ceil ? planned(g) : windowed(g, &t->dim[at + i], kernel, stride, padding, 1, ceil);
    }
    if (average) {
        put_flag(g, "count_include_pad", true);
        if (once_in(g, 6)) put(g, ", \"divisor_override\": 3");
    } else if (keep && once_in(g, 4)) {
        put(g, ", \"dilation\": 1");
    }
    put(g, "}");
}

static void put_adaptive_pool(struct gen *g, struct type *t)
{
    const int at = spatial(t);
    const int n = 1 + (int)below(g, 3);

    open_module(g, "AdaptiveAvgPool2d");
    if (once_in(g, 4)) {
        put(g, ", \"output_size\": [null, %d]}", n);
    } else {
        put(g, ", \"output_size\": %d}", n);
        t->dim[at] = fixed(n);
    }
    t->dim[at + 1] = fixed(n);
}

static void put_mean(struct gen *g, struct type *t)
{
    const bool last = once_in(g, 3) || t->rank < 3;
    bool       keep;

    open_module(g, "Mean");
    if (t->rank >= 4 && !last)
        put(g, ", \"dim\": [-1, -2]");
    else if (last)
        put(g, ", \"dim\": -1");
    else
        put(g, ", \"dim\": %d", 1 + (int)below(g, (unsigned)t->rank - 1) * 0);
    keep = put_flag(g, "keepdim", false);
    put(g, "}");
    if (t->rank >= 4 && !last) {
        if (keep)
            t->dim[t->rank - 1] = t->dim[t->rank - 2] = fixed(1);
        else
            t->rank -= 2;
        return;
    }
    for (int i = last ? t->rank - 1 : 1; !keep && i + 1 < t->rank; i++)
        t->dim[i] = t->dim[i + 1];
    if (keep)
        t->dim[last ? t->rank - 1 : 1] = fixed(1);
    else
        t->rank--;
}

static struct dim product(struct gen *g, const struct dim *d, int n)
{
    int all = 1;

    for (int i = 0; i < n; i++) {
        if (d[i].kind != FIXED) return n == 1 ? d[0] : planned(g);
        all *= d[i].n;
    }
    return fixed(all);
}

static void put_flatten(struct gen *g, struct type *t)
{
    const int start = t->rank > 2 && once_in(g, 4) ? 2 : t->rank > 1 ? 1 : 0;

    open_module(g, "Flatten");
    if (start != 1 || once_in(g, 8)) put(g, ", \"start_dim\": %d", start);
    if (once_in(g, 8)) put(g, ", \"end_dim\": -1");
    put(g, "}");
    t->dim[start] = product(g, &t->dim[start], t->rank - start);
    t->rank = start + 1;
}

static void put_reshape(struct gen *g, struct type *t)
{
    const struct dim *last = &t->dim[t->rank - 1];

    open_module(g, "Reshape");
    if (t->rank >= 3 && once_in(g, 2)) { /* [a, b, c, ...] -> [a, -1, last] */
        put(g, ", \"shape\": [0, -1");
        if (last->kind == FIXED)
            put(g, ", %d]}", last->n);
        else
            put(g, ", 1]}");
        t->dim[1] = t->rank == 3 && last->kind == FIXED ? t->dim[1] : planned(g);
        t->dim[2] = last->kind == FIXED ? *last : fixed(1);
        t->rank = 3;
    } else if (last->kind == FIXED && last->n % 2 == 0 && t->rank < 6 && once_in(g, 2)) {
        put(g, ", \"shape\": [");
        for (int i = 0; i < t->rank - 1; i++)
            put(g, "0, ");
        put(g, "-1, 2]}");
        t->dim[t->rank] = fixed(2);
        t->dim[t->rank - 1] = fixed(last->n / 2);
        t->rank++;
    } else if (once_in(g, 6)) { /* rows of the batch go elsewhere */
        put(g, ", \"shape\": [-1, 2]}");
        t->dim[0] = planned(g);
        t->dim[1] = fixed(2);
        t->rank = 2;
    } else if (once_in(g, 6)) { /* fits to some batches only */
        put(g, ", \"shape\": [2, -1]}");
        t->dim[0] = fixed(2);
        t->dim[1] = planned(g);
        t->rank = 2;
    } else {
        put(g, ", \"shape\": [0, -1]}");
        if (t->rank < 2) t->dim[0] = planned(g);
        t->dim[1] = t->rank < 2 ? fixed(1) : product(g, &t->dim[1], t->rank - 1);
        t->rank = 2;
    }
}

static void put_permute(struct gen *g, struct type *t)
{
    const struct type old = *t;
    int               order[SN_MAX_RANK];
    const int         first = once_in(g, 5) ? 0 : 1; /* the batch goes along? */

    for (int i = 0; i < t->rank; i++)
        order[i] = i;
    for (int i = t->rank - 1; i > first; i--) {
        const int k = first + (int)below(g, (unsigned)(i - first + 1)), swap = order[i];

        order[i] = order[k];
        order[k] = swap;
    }
    open_module(g, "Permute");
    put(g, ", \"dims\": [");
    for (int i = 0; i < t->rank; i++) {
        put(g, "%s%d", i ? ", " : "", once_in(g, 8) ? order[i] - t->rank : order[i]);
        t->dim[i] = old.dim[order[i]];
    }
    put(g, "]}");
}

static void put_softmax(struct gen *g, const struct type *t)
{
    open_module(g, "Softmax");
    put(g, ", \"dim\": %d}",
        once_in(g, 3) ? (int)below(g, (unsigned)t->rank) : -1 - (int)below(g, 2) % t->rank);
}

static void put_zero(struct gen *g, struct type *t, bool keep)
{
    const struct dim out = keep ? t->dim[1] : width(g);
    const int        stride = keep || once_in(g, 2) ? 1 : 2;

    open_module(g, "Zero");
    put_arg(g, "C_in", &t->dim[1]);
    put_arg(g, "C_out", &out);
    if (stride > 1) put(g, ", \"stride\": %d", stride);
    put(g, "}");
    t->dim[1] = out;
    for (int i = 2; i < t->rank && stride > 1; i++)
        t->dim[i] = windowed(g, &t->dim[i], 1, stride, 0, 1, false);
}

static void put_truncate(struct gen *g, struct type *t)
{
    struct dim n = is_known(&t->dim[1]) ? fixed(t->dim[1].least) : fixed(1);

    if (once_in(g, 2)) n = fixed(1);
    open_module(g, "Truncate");
    put_arg(g, "channels", &n);
    put(g, "}");
    t->dim[1] = n;
}

static void put_class_token(struct gen *g, struct type *t)
{
    open_module(g, "ClassToken");
    put_arg(g, "embed_dim", &t->dim[2]);
    put(g, "}");
    t->dim[1] = t->dim[1].kind == FIXED ? fixed(t->dim[1].n + 1) : planned(g);
}

static void put_position_embedding(struct gen *g, const struct type *t)
{
    open_module(g, "AbsolutePositionEmbedding");
    put(g, ", \"length\": %d", t->dim[1].kind == FIXED ? t->dim[1].n : 3);
    put_arg(g, "embed_dim", &t->dim[2]);
    put(g, "}");
}

static void put_heads(struct gen *g, int unit)
{
    const struct label *l = unit % 4 == 0 && once_in(g, 3) ? label_for(g, USE_HEADS) : NULL;
    char                a[40];

    if (l)
        put(g, ", \"num_heads\": \"%s\"", read_label(l, a));
    else
        put(g, ", \"num_heads\": %d", unit % 2 == 0 && once_in(g, 2) ? 2 : 1);
}

static void put_relative_attention(struct gen *g, const struct type *t)
{
    const struct label *l = once_in(g, 3) ? label_for(g, USE_HEADS) : NULL;
    char                a[40];

    open_module(g, "RelativePositionSelfAttention");
    put_arg(g, "embed_dim", &t->dim[2]);
    if (l)
        put(g, ", \"num_heads\": \"%s\"", read_label(l, a));
    else
        put(g, ", \"num_heads\": %d", 1 + (int)below(g, 3));
    put(g, ", \"head_dim\": %d", 1 + (int)below(g, 5));
    put_flag(g, "qkv_bias", false);
    if (once_in(g, 4)) put(g, ", \"qk_scale\": 0.5");
    if (once_in(g, 2)) put(g, ", \"rpe\": true, \"rpe_length\": %d", 1 + (int)below(g, 4));
    put_real(g, "attn_drop", "0.1");
    put(g, "}");
}

/* ---- several modules ------------------------------------------------------------------------ */

static void name_next(struct gen *g, const char *prefix)
{
    snprintf(g->name, sizeof g->name, "%s%d", prefix, ++g->n_names);
}

/* Layers that leave the shape as it was. */
static void put_layers(struct gen *g, struct type *t, int n, int depth, bool keep)
{
    for (int i = 0; i < n; i++) {
        if (i) put(g, ", ");
        if (once_in(g, 3)) name_next(g, "m");
        put_one(g, t, depth + 1, keep);
    }
}

/* Wider, a bit of something, as before: the usual block of a network. */
static void put_bottleneck(struct gen *g, struct type *t, int depth)
{
    const bool       image = t->rank == 4;
    const struct dim before = t->dim[image ? 1 : t->rank - 1], inner = width(g);

    open_module(g, "Sequential");
    put(g, ", \"layers\": [");
    if (image)
        put_conv(g, t, &inner, true);
    else
        put_linear(g, t, &inner);
    put(g, ", ");
    put_layers(g, t, 1 + (int)below(g, 3), depth, true);
    put(g, ", ");
    if (image)
        put_conv(g, t, &before, true);
    else
        put_linear(g, t, &before);
    put(g, "]}");
}

static void put_sequential(struct gen *g, struct type *t, int depth, bool keep)
{
    open_module(g, "Sequential");
    put(g, ", \"layers\": [");
    put_layers(g, t, once_in(g, 12) ? 0 : 1 + (int)below(g, 3), depth, keep);
    put(g, "]}");
}

static struct label *op_label(struct gen *g, const char *prefix)
{
    static struct label none;
    struct label       *l = g->n_labels < MOST_LABELS ? &g->label[g->n_labels++] : &none;

    *l = (struct label){.use = USE_OP};
    snprintf(l->name, sizeof l->name, "%s%d", prefix, ++g->n_names);
    return l;
}

static void put_layer_choice(struct gen *g, struct type *t, int depth, bool keep)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    const int                n = 1 + (int)below(g, 4);
    const bool               numbered = once_in(g, 3);
    const int                c = t->rank == 4 ? 1 : t->rank - 1;
    const bool               narrows = !keep && is_known(&t->dim[c]) && t->rank >= 2;
    const struct dim         out = narrows ? width(g) : t->dim[c];
    struct type              after = *t;
    struct label            *l;

    open_module(g, "LayerChoice");
    l = op_label(g, "op");
    put(g, ", \"label\": \"%s\", \"candidates\": [", l->name);
    for (int i = 0; i < n; i++) {
        after = *t;
        if (i) put(g, ", ");
        if (!numbered) snprintf(g->name, sizeof g->name, "%s", names[i]);
        if (narrows && t->rank == 4)
            put_conv(g, &after, &out, true);
        else if (narrows)
            put_linear(g, &after, &out);
        else
            put_one(g, &after, depth + 1, true);
    }
    put(g, "]}");
    *t = after;
    if (!numbered && n > 1 && once_in(g, 2)) /* expressions may read it */
        snprintf(l->candidates, sizeof l->candidates,
                 n == 2   ? "[\"a\", \"b\"]"
                 : n == 3 ? "[\"a\", \"b\", \"c\"]"
                          : "[\"a\", \"b\", \"c\", \"d\"]");
}

static void put_repeat(struct gen *g, struct type *t, int depth)
{
    const struct label *l;
    int                 most = 1 + (int)below(g, 3);
    char                a[40];

    open_module(g, "Repeat");
    switch (below(g, 3)) {
    case 0:
        put(g, ", \"depth\": %d", most);
        break;
    case 1:
        put(g, ", \"depth\": [%d, %d], \"label\": \"d%d\"", (int)below(g, 2) % most, most,
            ++g->n_names);
        break;
    default:
        if ((l = label_for(g, USE_DEPTH))) {
            put(g, ", \"depth\": \"%s\"", read_label(l, a));
            most = strchr(l->candidates, '3') ? 3 : 2;
        } else {
            put(g, ", \"depth\": %d", most);
        }
    }
    if (once_in(g, 2)) {
        put(g, ", \"block\": ");
        put_one(g, t, depth + 1, true);
    } else {
        put(g, ", \"blocks\": [");
        for (int i = 0; i < most; i++) {
            if (i) put(g, ", ");
            put_one(g, t, depth + 1, true);
        }
        put(g, "]");
    }
    put(g, "}");
}

/* d times n, as a document writes it. */
static struct dim times(struct gen *g, const struct dim *d, int n)
{
    char text[128];

    if (n == 1) return *d;
    if (d->kind == FIXED) return fixed(d->n * n);
    if (d->kind != SEARCHED || strlen(d->text) > 40) return planned(g);
    snprintf(text, sizeof text, "(%s) * %d", d->text, n);
    return searched(d->least * n, d->unit * n, text);
}

/* t: what all predecessors give. Returns the number of outputs. */
static int put_cell(struct gen *g, struct type *t, int n_before, int depth)
{
    const int  n_nodes = 1 + (int)below(g, 3), n_ops = 1 + (int)below(g, 2);
    const int  n_candidates = 1 + (int)below(g, 3);
    const bool loose = once_in(g, 4), factory = once_in(g, 4), two = once_in(g, 5);

    open_module(g, "Cell");
    put(g, ", \"label\": \"cell%d\", \"num_nodes\": %d, \"num_ops_per_node\": %d", ++g->n_names,
        n_nodes, n_ops);
    put(g, ", \"num_predecessors\": %d", n_before);
    put(g, ", \"candidates\": [");
    for (int i = 0; i < n_candidates; i++) {
        struct type after = *t;

        if (i) put(g, ", ");
        if (once_in(g, 2)) snprintf(g->name, sizeof g->name, "c%d", i);
        if (t->rank == 4 && t->dim[1].kind == FIXED && once_in(g, 6)) {
            open_module(g, "Conv2d");
            put(g,
                ", \"in_channels\": %d, \"out_channels\": %d, \"kernel_size\": "
                "{\"%s\": %d, \"then\": 3, \"else\": 1}, \"padding\": \"same\"}",
                t->dim[1].n, t->dim[1].n, once_in(g, 2) ? "if_input" : "if_input_below",
                (int)below(g, 3));
        } else {
            put_one(g, &after, depth + 2, true);
        }
    }
    put(g, "]");
    if (loose) put(g, ", \"merge_op\": \"loose_end\"");
    if (factory) put(g, ", \"factory\": true");
    if (once_in(g, 6)) {
        put(g, ", \"preprocessor\": [");
        for (int i = 0; i < n_before; i++) {
            struct type after = *t;

            if (i) put(g, ", ");
            put_one(g, &after, depth + 2, true);
        }
        put(g, "]");
    }
    if (two) put(g, ", \"postprocessor\": \"prev_last_and_this\"");
    put(g, "}");
    if (t->rank > 1) t->dim[1] = loose ? planned(g) : times(g, &t->dim[1], n_nodes);
    return two ? 2 : 1;
}

static void put_nasbench201(struct gen *g, struct type *t)
{
    const struct dim out = once_in(g, 2) ? t->dim[1] : width(g);
    const bool       image = t->rank == 4;

    open_module(g, "NasBench201Cell");
    put(g, ", \"label\": \"nb%d\"", ++g->n_names);
    put_arg(g, "in_features", &t->dim[1]);
    put_arg(g, "out_features", &out);
    if (once_in(g, 2)) put(g, ", \"num_tensors\": %d", 2 + (int)below(g, 3));
    put(g, ", \"candidates\": [{\"name\": \"none\", \"type\": \"Zero\", \"C_in\": \"in_features\", "
           "\"C_out\": \"out_features\"}");
    if (image)
        put(g,
            ", {\"name\": \"conv\", \"type\": \"Conv2d\", \"in_channels\": \"in_features\", "
            "\"out_channels\": \"out_features\", \"kernel_size\": %d, \"padding\": \"same\"}",
            once_in(g, 2) ? 1 : 3);
    else
        put(g, ", {\"name\": \"fc\", \"type\": \"Linear\", \"in_features\": \"in_features\", "
               "\"out_features\": \"out_features\"}");
    if (same_dim(&out, &t->dim[1])) put(g, ", {\"name\": \"skip\", \"type\": \"Identity\"}");
    put(g, "]}");
    t->dim[1] = out;
}

static void put_nasbench101(struct gen *g, struct type *t)
{
    static const int outs[] = {8, 4, 7, 12, 3};
    const struct dim out = fixed(outs[below(g, COUNT(outs))]);
    const bool       image = t->rank == 4;

    open_module(g, "NasBench101Cell");
    put(g, ", \"label\": \"nc%d\"", ++g->n_names);
    put_arg(g, "in_features", &t->dim[1]);
    put_arg(g, "out_features", &out);
    put(g, ", \"max_num_nodes\": %d", 2 + (int)below(g, 4));
    if (once_in(g, 3)) put(g, ", \"max_num_edges\": %d", 1 + (int)below(g, 8));
    if (image)
        put(g,
            ", \"projection\": {\"type\": \"Conv2d\", \"in_channels\": \"in_features\", "
            "\"out_channels\": \"out_features\", \"kernel_size\": 1}, \"candidates\": ["
            "{\"name\": \"conv\", \"type\": \"Conv2d\", \"in_channels\": \"num_features\", "
            "\"out_channels\": \"num_features\", \"kernel_size\": 3, \"padding\": 1}, {\"name\": "
            "\"pool\", \"type\": \"MaxPool2d\", \"kernel_size\": 3, \"stride\": 1, \"padding\": "
            "1}]}");
    else
        put(g, ", \"projection\": {\"type\": \"Linear\", \"in_features\": \"in_features\", "
               "\"out_features\": \"out_features\"}, \"candidates\": [{\"type\": \"Linear\", "
               "\"in_features\": \"num_features\", \"out_features\": \"num_features\"}, {\"type\": "
               "\"ReLU\"}]}");
    t->dim[1] = out;
}

/* ---- Graph --------------------------------------------------------------------------------- */

struct ref {
    char        name[24];
    struct type type;
};

struct graph {
    struct ref  ref[MOST_REFS];
    int         n_refs;
    struct text node[MOST_NODES];
    int         n_nodes;
};

static void add_ref(struct graph *gr, const char *name, int output, const struct type *t)
{
    struct ref *r;

    if (gr->n_refs == MOST_REFS) return;
    r = &gr->ref[gr->n_refs++];
    if (output)
        snprintf(r->name, sizeof r->name, "%.15s.%d", name, output);
    else
        snprintf(r->name, sizeof r->name, "%.15s", name);
    r->type = *t;
}

static const struct ref *pick_ref(struct gen *g, const struct graph *gr)
{
    /* the newest first: networks are deep rather than wide */
    return &gr->ref[gr->n_refs - 1 - (int)below(g, (unsigned)gr->n_refs)];
}

/* One of the type of `like`; with luck another one. */
static const struct ref *pick_like(struct gen *g, const struct graph *gr, const struct ref *like)
{
    const struct ref *found = like;

    for (int i = 0; i < gr->n_refs; i++)
        if (same_type(&gr->ref[i].type, &like->type) && (found == like || once_in(g, 2)))
            found = &gr->ref[i];
    return found;
}

static const struct ref *pick_mask(struct gen *g, const struct graph *gr, int rank)
{
    for (int i = 0; i < gr->n_refs; i++)
        if (gr->ref[i].type.rank == rank && (gr->ref[i].type.dtype != SN_F32 || once_in(g, 4)))
            return &gr->ref[i];
    return NULL;
}

static void wire(struct gen *g, const char *text)
{
    const size_t n = strlen(g->wires);

    snprintf(g->wires + n, sizeof g->wires - n, "%s", text);
}

static void wire_ref(struct gen *g, const char *name)
{
    char quoted[32];

    snprintf(quoted, sizeof quoted, "\"%s\"", name);
    wire(g, quoted);
}

static void node_combine(struct gen *g, struct graph *gr, const char *name)
{
    static const char *const types[] = {"Add", "Mul", "Average", "Concat", "Add"};
    const char *const        type = types[below(g, COUNT(types))];
    const bool               concat = strcmp(type, "Concat") == 0;
    const struct ref        *a = pick_ref(g, gr), *b;
    struct type              t = a->type;
    const int                n = 2 + (int)below(g, 2);
    int                      axis = 1;

    wire(g, "[");
    wire_ref(g, a->name);
    for (int i = 1; i < n; i++) {
        b = once_in(g, 8) ? pick_ref(g, gr) : pick_like(g, gr, a);
        wire(g, ", ");
        wire_ref(g, b->name);
        if (!concat && b->type.rank > t.rank) t = b->type;
    }
    wire(g, "]");
    open_module(g, type);
    if (concat) {
        axis = once_in(g, 4) ? (int)below(g, (unsigned)t.rank) : t.rank > 1;
        if (axis != 1 || once_in(g, 4)) put(g, ", \"dim\": %d", axis);
        t.dim[axis] = times(g, &t.dim[axis], n);
    }
    put(g, "}");
    add_ref(gr, name, 0, &t);
}

static void node_input_choice(struct gen *g, struct graph *gr, const char *name)
{
    static const char *const reductions[] = {"sum", "mean", "concat"};
    const struct ref        *a = pick_ref(g, gr);
    struct type              t = a->type;
    const int                n = 2 + (int)below(g, 3);
    const int                n_chosen = (int)below(g, (unsigned)n + 1);
    const int                reduction = (int)below(g, 3);

    wire(g, "[");
    for (int i = 0; i < n; i++) {
        if (i) wire(g, ", ");
        wire_ref(g, (i == 0 ? a : once_in(g, 12) ? pick_ref(g, gr) : pick_like(g, gr, a))->name);
    }
    wire(g, "]");
    open_module(g, "InputChoice");
    put(g, ", \"label\": \"in%d\", \"n_candidates\": %d", ++g->n_names, n);
    if (n_chosen == n)
        put(g, ", \"n_chosen\": null");
    else if (n_chosen)
        put(g, ", \"n_chosen\": %d", n_chosen);
    if (reduction) put(g, ", \"reduction\": \"%s\"", reductions[reduction]);
    put(g, "}");
    if (reduction == 2 && t.rank > 1)
        t.dim[1] = n_chosen == n ? planned(g) : times(g, &t.dim[1], n_chosen ? n_chosen : 1);
    add_ref(gr, name, 0, &t);
}

static void node_attention(struct gen *g, struct graph *gr, const char *name, const struct ref *q)
{
    const struct ref *k = pick_like(g, gr, q), *key_mask = NULL, *attn_mask = NULL;
    struct type       t = q->type, weights = q->type;
    const struct dim *e = &q->type.dim[2];
    bool              first = !once_in(g, 3);

    if (once_in(g, 6)) k = pick_ref(g, gr);
    if (once_in(g, 2)) key_mask = pick_mask(g, gr, 2);
    if (once_in(g, 3)) attn_mask = pick_mask(g, gr, once_in(g, 3) ? 3 : 2);
    wire(g, "{\"query\": ");
    wire_ref(g, q->name);
    wire(g, ", \"key\": ");
    wire_ref(g, k->name);
    wire(g, ", \"value\": ");
    wire_ref(g, k->name);
    if (key_mask) {
        wire(g, ", \"key_padding_mask\": ");
        wire_ref(g, key_mask->name);
    } else if (once_in(g, 6)) {
        wire(g, ", \"key_padding_mask\": null");
    }
    if (attn_mask) {
        wire(g, ", \"attn_mask\": ");
        wire_ref(g, attn_mask->name);
    }
    wire(g, "}");
    open_module(g, "MultiheadAttention");
    put_arg(g, "embed_dim", e);
    put_heads(g, e->unit);
    if (k->type.rank == 3 && (!same_dim(&k->type.dim[2], e) || once_in(g, 4)) &&
        is_known(&k->type.dim[2])) {
        put_arg(g, "kdim", &k->type.dim[2]);
        put_arg(g, "vdim", &k->type.dim[2]);
    }
    if (first) put(g, ", \"batch_first\": true");
    put_flag(g, "bias", true);
    if (once_in(g, 5)) put(g, ", \"add_bias_kv\": true");
    if (once_in(g, 5)) put(g, ", \"add_zero_attn\": true");
    if (once_in(g, 8)) put(g, ", \"use_separate_proj_weight\": true");
    put_real(g, "dropout", "0.1");
    add_ref(gr, name, 0, &t);
    if (put_flag(g, "need_weights", true)) {
        if (!first) weights.dim[0] = q->type.dim[1], weights.dim[1] = q->type.dim[0];
        weights.dim[2] = k->type.dim[first ? 1 : 0];
        add_ref(gr, name, 1, &weights);
    }
    put(g, "}");
}

static void put_graph(struct gen *g, const char *const *in_name, const struct type *in, int n_in,
                      int depth, struct type *ret_out, int *ret_n_out, bool keep);

/* A Graph inside: two inputs under names of its own, one or more outputs. */
static void node_graph(struct gen *g, struct graph *gr, const char *name, int depth)
{
    static const char *const inner[] = {"p", "q"};
    const struct ref        *in[2] = {pick_ref(g, gr), pick_ref(g, gr)};
    const struct type        types[2] = {in[0]->type, in[1]->type};
    struct type              out[4];
    int                      n_out;

    wire(g, "{\"p\": ");
    wire_ref(g, in[0]->name);
    wire(g, ", \"q\": ");
    wire_ref(g, in[1]->name);
    wire(g, "}");
    put_graph(g, inner, types, 2, depth + 1, out, &n_out, false);
    for (int i = 0; i < n_out; i++)
        add_ref(gr, name, i, &out[i]);
}

/* Several streams through modules that hand them on. */
static void node_streams(struct gen *g, struct graph *gr, const char *name)
{
    const struct ref *in[2] = {pick_ref(g, gr), pick_ref(g, gr)};

    wire(g, "[");
    wire_ref(g, in[0]->name);
    wire(g, ", ");
    wire_ref(g, in[1]->name);
    wire(g, "]");
    open_module(g, "Sequential");
    put(g, ", \"layers\": []}");
    for (int i = 0; i < 2; i++)
        add_ref(gr, name, i, &in[i]->type);
}

static void node_cell(struct gen *g, struct graph *gr, const char *name, int depth)
{
    const struct ref *a = pick_ref(g, gr), *b = pick_like(g, gr, a);
    struct type       t = a->type, last = b->type;

    wire(g, "[");
    wire_ref(g, a->name);
    wire(g, ", ");
    wire_ref(g, b->name);
    wire(g, "]");
    if (put_cell(g, &t, 2, depth) == 2) {
        add_ref(gr, name, 0, &last);
        add_ref(gr, name, 1, &t);
    } else {
        add_ref(gr, name, 0, &t);
    }
}

static void put_node(struct gen *g, struct graph *gr, int depth, bool keep)
{
    const struct ref *r = pick_ref(g, gr);
    char              name[16];
    struct type       t = r->type;

    name_next(g, "n");
    memcpy(name, g->name, sizeof name);
    switch (below(g, 10)) {
    case 0:
    case 1:
        node_combine(g, gr, name);
        return;
    case 2:
        node_input_choice(g, gr, name);
        return;
    case 3:
        if (depth < MOST_DEPTH) {
            node_graph(g, gr, name, depth);
            return;
        }
        break;
    case 4:
        node_streams(g, gr, name);
        return;
    case 5:
        if (depth < MOST_DEPTH) {
            node_cell(g, gr, name, depth);
            return;
        }
        break;
    case 6:
    case 7:
        if (r->type.rank == 3 && is_known(&r->type.dim[2]) && r->type.dtype == SN_F32) {
            node_attention(g, gr, name, r);
            return;
        }
        break;
    default:
        break;
    }
    wire(g, "[");
    wire_ref(g, r->name);
    wire(g, "]");
    put_one(g, &t, depth + 1, keep);
    add_ref(gr, name, 0, &t);
}

static void put_shuffled(struct gen *g, struct graph *gr)
{
    int left = gr->n_nodes;

    for (bool first = true; left > 0; first = false) {
        const int   k = once_in(g, 3) ? left - 1 : 0;
        struct text t = gr->node[k];

        if (!first) put(g, ",\n  ");
        text_add(g->out, t.at ? t.at : "{}", t.at ? t.n : 2);
        free(t.at);
        memmove(&gr->node[k], &gr->node[k + 1], (size_t)(left - k - 1) * sizeof t);
        left--;
    }
}

/* `keep`: one output, of the shape of the first input. */
static void put_graph(struct gen *g, const char *const *in_name, const struct type *in, int n_in,
                      int depth, struct type *ret_out, int *ret_n_out, bool keep)
{
    struct graph       gr = {0};
    const bool         node = *g->wires != '\0'; /* then "inputs" says where they come from */
    struct text *const out = g->out;

    open_module(g, "Graph");
    if (!node) put(g, ", \"inputs\": [");
    for (int i = 0; i < n_in; i++) {
        if (!node) put(g, "%s\"%s\"", i ? ", " : "", in_name[i]);
        add_ref(&gr, in_name[i], 0, &in[i]);
    }
    if (!node) put(g, "]");
    put(g, ", \"nodes\": [\n  ");
    gr.n_nodes = 1 + (int)below(g, keep ? 3 : MOST_NODES);
    for (int i = 0; i < gr.n_nodes; i++) {
        g->out = &gr.node[i];
        put_node(g, &gr, depth, keep);
    }
    g->out = out;
    put_shuffled(g, &gr);
    put(g, "], \"outputs\": [");
    *ret_n_out = keep ? 1 : 1 + (int)below(g, 3);
    for (int i = 0; i < *ret_n_out; i++) {
        const struct ref *r = i == 0 ? &gr.ref[gr.n_refs - 1] : pick_ref(g, &gr);

        for (int k = gr.n_refs - 1; keep && k >= 0; k--)
            if (same_type(&gr.ref[k].type, &in[0])) {
                r = &gr.ref[k];
                break;
            }
        put(g, "%s\"%s\"", i ? ", " : "", r->name);
        ret_out[i] = r->type;
    }
    put(g, "]}");
}

/* x + f(x) */
static void put_residual(struct gen *g, struct type *t, int depth)
{
    struct type inner = *t;
    const char *name;

    if (*g->wires) { /* a node has its inputs' names from outside */
        put_sequential(g, t, depth, true);
        return;
    }
    open_module(g, "Graph");
    put(g, ", \"inputs\": [\"x\"], \"nodes\": [");
    snprintf(g->name, sizeof g->name, "f");
    snprintf(g->wires, sizeof g->wires, "[\"x\"]");
    put_one(g, &inner, depth + 1, true);
    if (t->rank == 4 && is_known(&t->dim[1]) && once_in(g, 3)) { /* squeeze and excite */
        struct type squeezed = *t;

        squeezed.dim[2] = squeezed.dim[3] = fixed(1);
        put(g, ", {\"name\": \"s\", \"type\": \"AdaptiveAvgPool2d\", \"output_size\": 1, "
               "\"inputs\": [\"f\"]}, ");
        snprintf(g->name, sizeof g->name, "e");
        snprintf(g->wires, sizeof g->wires, "[\"s\"]");
        put_conv(g, &squeezed, &t->dim[1], true);
        put(g,
            ", {\"name\": \"h\", \"type\": \"%s\", \"inputs\": [\"e\"]}, {\"name\": \"m\", "
            "\"type\": \"Mul\", \"inputs\": [\"f\", \"h\"]}",
            once_in(g, 2) ? "Hardsigmoid" : "Sigmoid");
        name = "m";
    } else {
        name = "f";
    }
    put(g,
        ", {\"name\": \"y\", \"type\": \"Add\", \"inputs\": [\"x\", \"%s\"]}], \"outputs\": "
        "[\"y\"]}",
        name);
}

/* ---- any module --------------------------------------------------------------------------------
 */

/* A layer of the shape it comes to; with `keep` the shape goes on as it is. */
static void put_layer(struct gen *g, struct type *t, bool keep)
{
    const int        at = spatial(t);
    const bool       image = (t->rank == 4 || t->rank == 3) && is_known(&t->dim[at - 1]);
    const bool       last_known = is_known(&t->dim[t->rank - 1]);
    const bool       channels = t->rank >= 2 && is_known(&t->dim[1]);
    const struct dim c = image ? t->dim[at - 1] : fixed(1);
    struct dim       out;

    if (t->dtype != SN_F32 && !once_in(g, 6)) {
        put_plain(g, "Identity");
        return;
    }
    /* where the batch counts tokens: memory for them need not grow with their number */
    if (t->rank == 3 && last_known && t->dim[1].kind == SYMBOL && t->dim[1].text[0] == 'N' &&
        !once_in(g, 3)) {
        put_relative_attention(g, t);
        return;
    }
    switch (below(g, 24)) {
    case 0:
    case 1:
    case 2:
        if (t->rank != 4 || !image) break;
        out = keep ? c : width(g);
        put_conv(g, t, &out, keep);
        return;
    case 3:
        if (!image || t->rank != 3 || last_known) break;
        out = keep ? c : width(g);
        put_conv(g, t, &out, keep);
        return;
    case 4:
    case 5:
        if (!channels) break;
        put_batch_norm(g, t);
        return;
    case 6:
        if (!channels) break;
        put_group_norm(g, t);
        return;
    case 7:
    case 8:
    case 9:
        if (!last_known || (t->rank == 4 && !once_in(g, 4))) break;
        if (keep) {
            put_linear(g, t, NULL);
        } else {
            out = width(g);
            put_linear(g, t, &out);
        }
        return;
    case 10:
        if (!last_known) break;
        put_layer_norm(g, t);
        return;
    case 11:
        if (t->rank != 3 || !last_known) break;
        put_relative_attention(g, t);
        return;
    case 12:
        if (t->rank != 3 || !last_known) break;
        if (keep)
            put_position_embedding(g, t);
        else
            put_class_token(g, t);
        return;
    case 13:
        put_dropout(g);
        return;
    case 14:
        put_softmax(g, t);
        return;
    case 15:
        if (t->rank != 4 && (t->rank != 3 || !once_in(g, 4))) break;
        put_pool(g, t, keep);
        return;
    case 16:
        if (t->rank != 4 || keep) break;
        put_adaptive_pool(g, t);
        return;
    case 17:
        if (keep) break;
        put_mean(g, t);
        return;
    case 18:
        if (keep) break;
        put_flatten(g, t);
        return;
    case 19:
        if (keep) break;
        put_reshape(g, t);
        return;
    case 20:
        if (keep) break;
        put_permute(g, t);
        return;
    case 21:
        if (!channels) break;
        if (keep || once_in(g, 2))
            put_zero(g, t, keep);
        else
            put_truncate(g, t);
        return;
    case 22:
        put_plain(g, once_in(g, 2) ? "Identity" : "Add");
        return;
    case 23:
        if (t->rank == 3 && last_known) {
            put_relative_attention(g, t);
        } else if (!keep && channels && t->rank == 4) {
            if (once_in(g, 2))
                put_nasbench101(g, t);
            else
                put_nasbench201(g, t);
        } else {
            break;
        }
        return;
    default:
        break;
    }
    put_activation(g);
}

static void put_one(struct gen *g, struct type *t, int depth, bool keep)
{
    static const char *const x[] = {"x"};
    const bool               wide = t->rank >= 2 && t->dtype == SN_F32;
    struct type              out[4];
    const struct type        in = *t;
    int                      n_out;

    if (t->rank < 1 || depth >= MOST_DEPTH || g->n_modules >= MOST_MODULES) {
        if (t->rank < 1)
            put_plain(g, "Identity");
        else
            put_layer(g, t, keep);
        return;
    }
    switch (below(g, 20)) {
    case 0:
    case 1:
        put_sequential(g, t, depth, keep);
        return;
    case 2:
        put_layer_choice(g, t, depth, keep);
        return;
    case 3:
        put_repeat(g, t, depth);
        return;
    case 4:
        if (*g->wires) break;
        put_graph(g, x, &in, 1, depth, out, &n_out, true);
        return;
    case 5:
        put_residual(g, t, depth);
        return;
    case 6:
        if (keep || !wide) break;
        if (put_cell(g, t, 1, depth) == 2) *t = in; /* what follows gets two: refused, mostly */
        return;
    case 7:
        if (!wide || !is_known(&t->dim[1]) || keep || (t->rank != 4 && t->rank != 2)) break;
        put_nasbench201(g, t);
        return;
    case 8:
        if (!wide || !is_known(&t->dim[1]) || keep || (t->rank != 4 && t->rank != 2)) break;
        put_nasbench101(g, t);
        return;
    case 9:
        if (!wide || !is_known(&t->dim[t->rank == 4 ? 1 : t->rank - 1])) break;
        put_bottleneck(g, t, depth);
        return;
    default:
        break;
    }
    put_layer(g, t, keep);
}

/* ---- documents ----------------------------------------------------------------------------------
 */

static struct type input_type(struct gen *g)
{
    static const int small[] = {4, 2, 6, 8, 3, 1, 5, 7, 16};
    struct type      t = {.dtype = SN_F32};

#define SMALL fixed(small[below(g, COUNT(small))])
    switch (below(g, 12)) {
    case 0:
    case 1:
    case 2:
        t.rank = 4;
        t.dim[0] = symbol("N");
        t.dim[1] = SMALL;
        t.dim[2] = once_in(g, 8) ? symbol("L") : SMALL;
        t.dim[3] = once_in(g, 8) ? symbol("M") : once_in(g, 2) ? t.dim[2] : SMALL;
        break;
    case 3:
    case 4:
    case 5:
        t.rank = 3;
        t.dim[0] = symbol("N");
        t.dim[1] = once_in(g, 2) ? symbol("L") : SMALL;
        t.dim[2] = SMALL;
        break;
    case 6:
        t.rank = 3;
        t.dim[0] = once_in(g, 2) ? fixed(1) : once_in(g, 2) ? symbol("L") : SMALL;
        t.dim[1] = symbol("N");
        t.dim[2] = SMALL;
        break;
    case 7:
        t.rank = 2;
        t.dim[0] = once_in(g, 2) ? symbol("M") : SMALL;
        t.dim[1] = SMALL;
        break;
    case 8:
        t.rank = 1 + (int)below(g, 6);
        for (int i = 0; i < t.rank; i++)
            t.dim[i] =
                once_in(g, 3) ? symbol(once_in(g, 2) ? "L" : "M") : fixed(1 + (int)below(g, 4));
        if (once_in(g, 2)) t.dim[below(g, (unsigned)t.rank)] = symbol("N");
        break;
    case 9:
        t.rank = 3;
        t.dim[0] = SMALL;
        t.dim[1] = SMALL;
        t.dim[2] = SMALL;
        if (once_in(g, 2)) t.dim[1] = symbol("N");
        break;
    default:
        t.rank = 2;
        t.dim[0] = symbol("N");
        t.dim[1] = once_in(g, 6) ? symbol("L") : SMALL;
        break;
    }
#undef SMALL
    return t;
}

/* Another input that goes well with the first: the same, a mask of it, one to broadcast. */
static struct type further_input(struct gen *g, const struct type *first)
{
    static const sn_dtype masks[] = {SN_BOOL, SN_U8, SN_F32};
    static const sn_dtype other[] = {SN_F16, SN_BF16, SN_F64, SN_I64, SN_I32, SN_I16, SN_I8};
    struct type           t = *first;

    switch (below(g, 8)) {
    case 0:
    case 1:
        break;
    case 2:
        if (first->rank != 3) break;
        t.rank = 2;
        t.dtype = masks[below(g, COUNT(masks))];
        t.optional = once_in(g, 2);
        break;
    case 3:
        if (first->rank != 3) break;
        t.rank = 2;
        t.dim[0] = t.dim[1];
        t.dtype = masks[below(g, COUNT(masks))];
        t.optional = once_in(g, 2);
        break;
    case 4:
        t.dim[below(g, (unsigned)t.rank)] = once_in(g, 2) ? fixed(1) : symbol("M");
        break;
    case 5:
        if (t.rank < 2) break;
        t.rank--;
        memmove(t.dim, t.dim + 1, (size_t)t.rank * sizeof t.dim[0]);
        break;
    case 6:
        t = input_type(g);
        t.optional = once_in(g, 2);
        break;
    default:
        if (once_in(g, 4)) t.dtype = other[below(g, COUNT(other))];
        t.optional = once_in(g, 2);
        break;
    }
    return t;
}

static void put_inputs(struct gen *g, const struct type *in, const char *const *name, int n)
{
    put(g, "\"inputs\": [");
    for (int i = 0; i < n; i++) {
        put(g, "%s{\"name\": \"%s\", \"shape\": [", i ? ", " : "", name[i]);
        for (int k = 0; k < in[i].rank; k++)
            if (in[i].dim[k].kind == FIXED)
                put(g, "%s%d", k ? ", " : "", in[i].dim[k].n);
            else
                put(g, "%s\"%s\"", k ? ", " : "", in[i].dim[k].text);
        put(g, "]");
        if (in[i].dtype != SN_F32) put(g, ", \"dtype\": \"%s\"", sn_dtype_name(in[i].dtype));
        if (in[i].optional) put(g, ", \"optional\": true");
        put(g, "}");
    }
    put(g, "]");
}

void grammar_document(struct dice *d, struct text *ret_doc)
{
    static const char *const names[] = {"x", "y", "z"};
    struct text              model = {0};
    struct gen               g = {.d = d, .out = &model};
    struct type              in[3], out[4], t;
    const unsigned           several = below(&g, 8);
    const int                n_in = several < 5 ? 1 : several < 7 ? 2 : 3;
    const unsigned           form = below(&g, 16);
    bool                     comma = false;
    int                      n_out;

    in[0] = t = input_type(&g);
    for (int i = 1; i < n_in; i++)
        in[i] = further_input(&g, &in[0]);
    if (n_in == 1 && form < 10) {
        open_module(&g, "Sequential");
        put(&g, ", \"layers\": [\n ");
        put_layers(&g, &t, 1 + (int)below(&g, 5), 0, false);
        put(&g, "]}");
    } else if (n_in == 1 && form < 12) {
        put_one(&g, &t, 0, false);
    } else {
        put_graph(&g, names, in, n_in, 0, out, &n_out, false);
    }

    g.out = ret_doc;
    put(&g, "{\"format\": \"supernet/1\", \"name\": \"fuzz\",\n ");
    put_inputs(&g, in, names, n_in);
    put(&g, ",\n \"choices\": {");
    for (int i = 0; i < g.n_labels; i++)
        if (*g.label[i].candidates) {
            put(&g, "%s\"%s\": %s", comma ? ", " : "", g.label[i].name, g.label[i].candidates);
            comma = true;
        }
    put(&g, "},\n \"model\": ");
    text_add(ret_doc, model.at, model.n);
    if (once_in(&g, 6)) put(&g, ",\n \"compatibility\": \"nni-2.%s\"", once_in(&g, 3) ? "10" : "8");
    if (once_in(&g, 6)) put(&g, ",\n \"winograd\": true");
    put(&g, "}\n");
    free(model.at);
}
