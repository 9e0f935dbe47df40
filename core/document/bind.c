/* bind: every tensor that a parameter needs, and nothing besides. F16 and BF16 are
 * widened here, so that the operators see F32 only. */
#include "base/fence.h"
#include "document/build.h"

#include <string.h>

#include "tensor/tensor.h"
#include "weights/weights.h"

/* Names that are missing, or left over: ten of them are shown. */
struct names {
    const char *at[11];
    size_t      n;
};

static void note(struct names *list, const char *name)
{
    if (list->n < COUNT(list->at)) list->at[list->n] = name;
    list->n++;
}

/* "a, b and 3 more" */
static const char *names_text(const struct names *list, char *buf, size_t n_bytes)
{
    struct text t = {0};

    for (size_t i = 0; i < list->n && i < 10; i++)
        text_printf(&t, "%s%s", i ? ", " : "", list->at[i]);
    if (list->n > 10) text_printf(&t, " and %zu more", list->n - 10);
    snprintf(buf, n_bytes, "%s", t.at ? t.at : "");
    free(t.at);
    return buf;
}

static sn_status fail_names(struct builder *b, const struct names *missing,
                            const struct names *surplus)
{
    char lack[480], left[480];

    names_text(missing, lack, sizeof lack);
    names_text(surplus, left, sizeof left);
    if (!surplus->n)
        return build_fail(b, SN_E_UNKNOWN_NAME, "weights", "%zu tensor%s missing: %s", missing->n,
                          missing->n == 1 ? " is" : "s are", lack);
    if (!missing->n)
        return build_fail(b, SN_E_UNKNOWN_NAME, "weights", "nothing uses the tensor%s %s",
                          surplus->n == 1 ? "" : "s", left);
    return build_fail(b, SN_E_UNKNOWN_NAME, "weights",
                      "%zu tensor%s missing: %s; and nothing uses the tensor%s %s", missing->n,
                      missing->n == 1 ? " is" : "s are", lack, surplus->n == 1 ? "" : "s", left);
}

/* The same in F32, dense, in memory of the supernet that no limit of a load counts: it is decided
 * by the weights, not by the document. */
static sn_status widen(struct builder *b, const sn_tensor *narrow, const char *name,
                       sn_tensor *ret_wide)
{
    const int64_t n = sn_shape_count(&narrow->shape);
    char         *bytes;
    sn_status     rc;

    if (n < 0 || n > (INT64_MAX - SN_ALIGN_BYTES) / 4) return fail_no_memory(b->err, name);
    rc = build_step(b, (uint64_t)n / 1024 + 1, name);
    if (rc != SN_OK) return rc;
    if (!b->net->wide) b->net->wide = sn_arena_create();
    bytes = b->net->wide ? sn_arena_alloc(b->net->wide, (size_t)n * 4 + SN_ALIGN_BYTES) : NULL;
    if (!bytes) return fail_no_memory(b->err, name);
    bytes += -(uintptr_t)bytes & (SN_ALIGN_BYTES - 1);
    *ret_wide = sn_tensor_dense(SN_F32, &narrow->shape, bytes);
    tensor_copy(narrow, ret_wide);
    weights_release(b->net->weights, narrow->data, (size_t)n * sn_dtype_bytes(narrow->dtype));
    return SN_OK;
}

/* `want` has dtype and shape, and gets the data. */
static sn_status bind_tensor(struct builder *b, const struct module *m, const char *name,
                             const sn_tensor *have, sn_tensor *want)
{
    const bool integer = want->dtype == SN_I64;
    char       a[192], c[192];

    /* A scalar that nobody computes with may come as [1]: NumPy writes it so. */
    if (integer && want->shape.rank == 0 && have->shape.rank == 1 && have->shape.dim[0] == 1)
        want->shape = have->shape;
    if (!sn_shape_equal(&have->shape, &want->shape))
        return build_fail(b, SN_E_SHAPE, m->where,
                          "the tensor \"%s\" has the shape %s, but the largest values of the "
                          "arguments need %s",
                          name, sn_shape_text(&have->shape, a, sizeof a),
                          sn_shape_text(&want->shape, c, sizeof c));
    if (integer ? have->dtype != SN_I64
                : have->dtype != SN_F32 && have->dtype != SN_F16 && have->dtype != SN_BF16)
        return build_fail(b, SN_E_DTYPE, m->where, "the tensor \"%s\" is %s, but must be %s", name,
                          sn_dtype_name(have->dtype), integer ? "I64" : "F32, F16 or BF16");
    if (have->dtype != want->dtype) return widen(b, have, name, want);
    *want = *have;
    want->data =
        (void *)fence_copy(&b->net->fenced, have->data,
                           (size_t)sn_shape_count(&have->shape) * sn_dtype_bytes(have->dtype));
    return SN_OK;
}

/* What the modules need, in their order: names and shapes, for users and for what follows. */
static sn_status list_tensors(struct builder *b)
{
    sn_supernet    *net = b->net;
    sn_tensor_info *at;

    for (size_t i = 0; i < b->n_modules; i++)
        for (size_t k = 0; k < b->module[i]->n_params; k++)
            net->n_tensors += b->module[i]->param[k].dtype != SN_NONE;
    at = net->tensor = arena_array(b->mem, net->n_tensors + 1, sizeof *at);
    if (!at) return fail_no_memory(b->err, "weights");
    for (size_t i = 0; i < b->n_modules; i++) {
        const struct module *m = b->module[i];

        for (size_t k = 0; k < m->n_params; k++) {
            const sn_param_def *def = &m->op->params[k];

            if (m->param[k].dtype == SN_NONE) continue;
            *at = (sn_tensor_info){.name = build_path(b, m->path, def->name),
                                   .desc = {m->param[k].dtype, m->param[k].shape},
                                   .module = i,
                                   .optional = def->flags & (SN_PARAM_UNUSED | SN_PARAM_I64),
                                   .state = def->flags & SN_PARAM_STATE};
            if (!at++->name) return fail_no_memory(b->err, m->where);
        }
    }
    return SN_OK;
}

/* All parameters of one module; `info` is the next of them. `used` marks the names that were
 * asked for. */
static sn_status bind_module(struct builder *b, struct module *m, const sn_tensor_info **info,
                             struct table *used, struct names *missing)
{
    const sn_weights *weights = b->net->weights;

    for (size_t k = 0; k < m->n_params; k++) {
        const sn_tensor_info *t;
        sn_tensor             have;

        if (m->param[k].dtype == SN_NONE) continue;
        t = (*info)++;
        if (!table_add(used, b->tmp, t->name, k)) return fail_no_memory(b->err, m->where);
        if (sn_weights_find(weights, t->name, &have)) {
            sn_status rc = bind_tensor(b, m, t->name, &have, &m->param[k]);

            if (rc != SN_OK) return rc;
        } else {
            m->param[k] = (sn_tensor){0};
            if (!t->optional) note(missing, t->name);
            continue;
        }
        if (t->state) {
            m->state[k] = (int)b->net->n_states;
            b->net->state_name[b->net->n_states] = t->name;
            b->net->state[b->net->n_states++] = m->param[k];
        }
    }
    return SN_OK;
}

sn_status build_bind(struct builder *b)
{
    sn_supernet          *net = b->net;
    struct names          missing = {0}, surplus = {0};
    struct table          used = {0};
    size_t                n_states = 0, n_tensors;
    sn_status             rc = list_tensors(b);
    const sn_tensor_info *info = net->tensor;

    if (rc != SN_OK) return rc;
    net->bare = !net->weights && net->n_tensors > 0;
    if (!net->weights) return SN_OK;
    n_tensors = sn_weights_count(net->weights);
    for (size_t i = 0; i < net->n_tensors; i++)
        n_states += net->tensor[i].state;
    net->state_name = arena_array(b->mem, n_states + 1, sizeof *net->state_name);
    net->state = arena_array(b->mem, n_states + 1, sizeof *net->state);
    if (!net->state_name || !net->state) return fail_no_memory(b->err, "weights");

    for (size_t i = 0; i < b->n_modules && rc == SN_OK; i++)
        rc = bind_module(b, b->module[i], &info, &used, &missing);
    if (rc != SN_OK) return rc;
    for (size_t i = 0; i < n_tensors; i++) {
        sn_tensor   t;
        const char *name = sn_weights_at(net->weights, i, &t);
        size_t      k;

        if (!table_find(&used, name, &k)) note(&surplus, name);
    }
    return missing.n || surplus.n ? fail_names(b, &missing, &surplus) : SN_OK;
}
