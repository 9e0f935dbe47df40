#include "pipeline.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "supernet/host.h"
#include "supernet/op.h"

void pipeline_fail(const char *file, int line, const char *what, const char *fmt, ...)
{
    va_list args;

    fprintf(stderr, "%s:%d: not so: %s: ", file, line, what);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}

/* ---- numbers out of nothing ---------------------------------------------------------- */

static uint64_t mix(uint64_t h, uint64_t v)
{
    h ^= v + 0x9e3779b97f4a7c15 + (h << 6) + (h >> 2);
    h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9;
    h = (h ^ h >> 27) * 0x94d049bb133111eb;
    return h ^ h >> 31;
}

/* In [-1, 1), a multiple of 2^-16. */
static double unit(uint64_t h)
{
    return (double)(h >> 47) / 65536 - 1;
}

static const float specials[] = {0.0f, -0.0f, 1e-40f, -1e-38f, 1e30f, -1e30f, INFINITY, NAN, 1.0f};

static void put_number(sn_dtype dtype, void *at, uint64_t h, bool special)
{
    const float v =
        special && h % 5 == 0 ? specials[(h >> 8) % COUNT(specials)] : (float)(2 * unit(h));
    uint32_t bits;
    uint16_t half;

    memcpy(&bits, &v, 4);
    switch (dtype) {
    case SN_F32:
        memcpy(at, &v, 4);
        break;
    case SN_F64:
        memcpy(at, &(double){(double)v}, 8);
        break;
    case SN_BF16:
        half = (uint16_t)(bits >> 16);
        memcpy(at, &half, 2);
        break;
    case SN_F16:
        half = (uint16_t)(0x3400 + h % 0x800) | (uint16_t)(h >> 20 & 0x8000);
        memcpy(at, &half, 2);
        break;
    case SN_I64:
        memcpy(at, &(int64_t){(int64_t)(h % 7) - 3}, 8);
        break;
    case SN_I32:
        memcpy(at, &(int32_t){(int32_t)(h % 7) - 3}, 4);
        break;
    case SN_I16:
        memcpy(at, &(int16_t){(int16_t)((int)(h % 7) - 3)}, 2);
        break;
    case SN_I8:
        *(int8_t *)at = (int8_t)((int)(h % 7) - 3);
        break;
    case SN_U8:
        *(uint8_t *)at = (uint8_t)(h % 5 == 0 ? h >> 8 : 0);
        break;
    case SN_BOOL:
        *(uint8_t *)at = h % 3 == 0;
        break;
    default:
        break;
    }
}

/* ---- a document with weights ------------------------------------------------------------ */

static int append(void *cls, const void *bytes, size_t n_bytes)
{
    text_add(cls, bytes, n_bytes);
    return 0;
}

static void fill_param(const char *name, sn_tensor *t, uint64_t seed)
{
    const int64_t  n = sn_shape_count(&t->shape);
    const bool     variance = strcmp(name, "running_var") == 0;
    const size_t   bytes = sn_dtype_bytes(t->dtype);
    unsigned char *at = t->data;
    float          v;

    for (int64_t i = 0; i < n; i++) {
        const uint64_t h = mix(seed, (uint64_t)i);

        if (t->dtype == SN_F32) {
            v = (float)(variance ? 0.6 + 0.5 * unit(h) : 0.7 * unit(h));
            memcpy(at + (size_t)i * bytes, &v, 4);
        } else {
            put_number(t->dtype, at + (size_t)i * bytes, h, false);
        }
    }
}

/* All tensors that `net`, loaded without weights, would need; false if they are too many. */
static bool make_weights(const sn_supernet *net, uint64_t seed, struct text *ret)
{
    sn_arena     *mem = sn_arena_create();
    const sn_sink sink = {append, ret};
    const char  **name;
    sn_tensor    *tensor;
    size_t        n = 0, most = 0;
    uint64_t      elements = 0;

    for (size_t i = 0; i < net->n_modules; i++) {
        most += net->module[i]->n_params;
        elements += sn_supernet_module(net, i)->n_params;
    }
    if (elements > MOST_PARAMS) {
        sn_arena_free(mem);
        return false;
    }
    name = arena_array(mem, most + 1, sizeof *name);
    tensor = arena_array(mem, most + 1, sizeof *tensor);
    for (size_t i = 0; i < net->n_modules; i++) {
        const struct module *m = net->module[i];

        for (size_t k = 0; k < m->n_params; k++) {
            const char *suffix = m->op->params[k].name;
            sn_dtype    dtype = m->param[k].dtype;

            if (dtype == SN_NONE) continue;
            if (m->op->params[k].flags & SN_PARAM_UNUSED && seed % 3 == 0) continue;
            if (dtype == SN_F32 && seed % 7 == 1) dtype = i % 2 ? SN_F16 : SN_BF16;
            name[n] = *m->path ? arena_printf(mem, "%s.%s", m->path, suffix) : suffix;
            tensor[n] = sn_tensor_dense(
                dtype, &m->param[k].shape,
                sn_arena_alloc(
                    mem, (size_t)sn_shape_count(&m->param[k].shape) * sn_dtype_bytes(dtype) + 1));
            fill_param(suffix, &tensor[n], mix(seed, n));
            n++;
        }
    }
    REQUIRE(sn_tensors_write(name, tensor, n, NULL, NULL, 0, &sink, NULL) == SN_OK, "weights");
    sn_arena_free(mem);
    return true;
}

bool pipeline_load(const char *spec, size_t n_bytes, uint64_t seed, sn_registry *reg,
                   struct loaded *ret, sn_error *err)
{
    sn_supernet *bare = NULL;
    sn_weights  *weights = NULL;
    struct text  bytes = {0};
    sn_status    rc;

    *ret = (struct loaded){0};
    if ((rc = sn_supernet_load(spec, n_bytes, NULL, reg, &bare, err))) {
        REQUIRE(!bare && rc == err->code && *err->text, "a refusal has a sentence");
        return false;
    }
    if (!make_weights(bare, seed, &bytes)) {
        sn_supernet_unref(bare);
        sn_fail(err, SN_E_LIMIT, "", "too large to be tried");
        return false;
    }
    ret->bytes = realloc(bytes.at, bytes.n);
    ret->n_bytes = bytes.n;
    rc = sn_weights_borrow(ret->bytes, ret->n_bytes, "weights", &weights, err);
    REQUIRE(rc == SN_OK, "%s", err->text);
    rc = sn_supernet_load(spec, n_bytes, weights, reg, &ret->net, err);
    REQUIRE(rc == SN_OK || rc == SN_E_LIMIT, "what it says it needs does not load: %s: %s",
            err->where, err->text);
    if (rc == SN_OK)
        REQUIRE(strcmp(sn_supernet_space_size(bare), sn_supernet_space_size(ret->net)) == 0,
                "the space depends on weights");
    sn_supernet_unref(bare);
    sn_weights_unref(weights);
    if (rc) loaded_fini(ret);
    return rc == SN_OK;
}

void loaded_fini(struct loaded *l)
{
    sn_supernet_unref(l->net);
    free(l->bytes);
    *l = (struct loaded){0};
}

/* ---- runs ---------------------------------------------------------------------------------- */

void request_describe(const struct request *r, const sn_supernet *net, int64_t batch,
                      sn_desc *ret_in)
{
    for (size_t i = 0; i < sn_supernet_n_inputs(net); i++) {
        const sn_port *port = sn_supernet_input(net, i);

        ret_in[i] = port->desc;
        for (int k = 0; k < port->desc.shape.rank; k++)
            if (port->symbol[k])
                ret_in[i].shape.dim[k] = strcmp(port->symbol[k], "N") == 0
                                             ? batch
                                             : r->size[(unsigned char)*port->symbol[k] % 3];
        if (port->optional && r->absent >> i & 1) ret_in[i] = (sn_desc){.dtype = SN_NONE};
    }
}

sn_tensor pipeline_input(const sn_supernet *net, size_t i, const sn_desc *desc,
                         const struct request *r, int64_t first)
{
    const sn_port *port = sn_supernet_input(net, i);
    const size_t   bytes = sn_dtype_bytes(desc->dtype);
    const int64_t  n = sn_shape_count(&desc->shape);
    sn_tensor      t = {.dtype = desc->dtype};
    unsigned char *at;

    if (desc->dtype == SN_NONE) return t;
    at = malloc((size_t)n * bytes);
    t = sn_tensor_dense(desc->dtype, &desc->shape, at);
    for (int64_t e = 0; e < n; e++) {
        uint64_t h = mix(r->seed, i);
        int64_t  rest = e;

        for (int k = desc->shape.rank - 1; k >= 0; k--) {
            int64_t place = rest % desc->shape.dim[k];

            rest /= desc->shape.dim[k];
            if (port->symbol[k] && strcmp(port->symbol[k], "N") == 0) place += first;
            h = mix(h, (uint64_t)place);
        }
        put_number(desc->dtype, at + (size_t)e * bytes, h, r->special);
    }
    return t;
}

static void use_badly(enum misuse misuse, size_t n_in, sn_tensor *in, struct outputs *out,
                      sn_run_options *options)
{
    sn_tensor *t = misuse == LONG_INPUT ? (n_in ? &in[0] : NULL) : out->n ? &out->tensor[0] : NULL;
    sn_shape   shape;

    if (misuse == NO_SCRATCH) {
        free(options->scratch);
        options->scratch = NULL;
        return;
    }
    if (misuse == USED_WELL || !t || t->dtype == SN_NONE || t->shape.rank == 0) return;
    shape = t->shape;
    if (misuse == SHORT_OUTPUT) shape.dim[0]--;
    if (misuse == LONG_INPUT) shape.dim[shape.rank - 1]++;
    free(t->data);
    *t = sn_tensor_dense(misuse == OTHER_DTYPE ? SN_I8 : t->dtype, &shape, NULL);
    t->data = malloc((size_t)sn_shape_count(&shape) * sn_dtype_bytes(t->dtype));
    memset(t->data, 0, (size_t)sn_shape_count(&shape) * sn_dtype_bytes(t->dtype));
}

sn_status pipeline_run(const sn_plan *plan, const struct request *r, const struct run *run,
                       struct outputs *ret, sn_error *err)
{
    const sn_plan_info *info = sn_plan_describe(plan);
    const sn_supernet  *net = sn_subnet_supernet(sn_plan_subnet(plan));
    sn_desc             in_desc[SN_MAX_PORTS], out_desc[SN_MAX_PORTS] = {0};
    sn_tensor           in[SN_MAX_PORTS];
    sn_run_options      options = {.size = sizeof options,
                                   .stop = run->stop,
                                   .stop_cls = run->stop_cls,
                                   .probs = run->probs,
                                   .n_probs = run->n_probs,
                                   .state = run->state,
                                   .parallel = run->parallel};
    sn_status           rc;

    request_describe(r, net, run->batch, in_desc);
    for (size_t i = 0; i < info->n_in; i++)
        in[i] = pipeline_input(net, i, &in_desc[i], r, run->first);
    sn_plan_outputs(plan, run->batch, out_desc);
    ret->n = info->n_out;
    for (size_t i = 0; i < info->n_out; i++) {
        const size_t n =
            (size_t)sn_shape_count(&out_desc[i].shape) * sn_dtype_bytes(out_desc[i].dtype);

        ret->tensor[i] = sn_tensor_dense(out_desc[i].dtype, &out_desc[i].shape,
                                         out_desc[i].dtype == SN_NONE ? NULL : malloc(n));
        if (ret->tensor[i].data) memset(ret->tensor[i].data, run->fill, n);
    }
    REQUIRE(posix_memalign(&options.scratch, SN_ALIGN_BYTES, info->scratch_bytes) == 0, "memory");
    memset(options.scratch, run->fill, info->scratch_bytes);
    use_badly(run->misuse, info->n_in, in, ret, &options);
    rc = sn_plan_forward(plan, in, ret->tensor, &options, err);
    free(options.scratch);
    for (size_t i = 0; i < info->n_in; i++)
        free(in[i].data);
    return rc;
}

void outputs_fini(struct outputs *o)
{
    for (size_t i = 0; i < o->n; i++)
        free(o->tensor[i].data);
    o->n = 0;
}
