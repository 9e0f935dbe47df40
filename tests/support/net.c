#include "support/net.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "supernet/weights.h"

struct bytes {
    char  *at;
    size_t n;
};

static int append(void *cls, const void *bytes, size_t n)
{
    struct bytes *b = cls;

    b->at = realloc(b->at, b->n + n + 1);
    memcpy(b->at + b->n, bytes, n);
    b->n += n;
    return 0;
}

static float number(const char *name, int64_t i)
{
    uint32_t h = 2166136261u;

    for (; *name; name++)
        h = (h ^ (uint8_t)*name) * 16777619u;
    h = (h ^ (uint32_t)i) * 2654435761u;
    return (float)((h >> 16) % 1000 + 1) / 1000.0f;
}

void *net_weights(const struct net_tensor *tensors, size_t *ret_n_bytes)
{
    const char   *name[256] = {0};
    sn_tensor     tensor[256] = {0};
    struct bytes  b = {0};
    const sn_sink sink = {append, &b};
    size_t        n = 0;

    for (; tensors[n].name; n++) {
        sn_shape shape = {.rank = tensors[n].rank};
        float   *data;

        memcpy(shape.dim, tensors[n].dim, sizeof tensors[n].dim);
        data = calloc((size_t)sn_shape_count(&shape) + 1, sizeof *data);
        for (int64_t i = 0; i < sn_shape_count(&shape); i++)
            data[i] = number(tensors[n].name, i);
        name[n] = tensors[n].name;
        tensor[n] = sn_tensor_dense(SN_F32, &shape, data);
    }
    assert_int_equal(sn_tensors_write(name, tensor, n, NULL, NULL, 0, &sink, NULL), SN_OK);
    for (size_t i = 0; i < n; i++)
        free(tensor[i].data);
    *ret_n_bytes = b.n;
    return b.at;
}

static sn_supernet *load(const char *spec, sn_weights *weights)
{
    sn_error     err = {0};
    sn_registry *reg;
    sn_supernet *net = NULL;

    assert_int_equal(sn_registry_create(&reg, &err), SN_OK);
    if (sn_supernet_load(spec, strlen(spec), weights, reg, &net, &err) != SN_OK)
        fail_msg("%s: %s", err.where, err.text);
    sn_weights_unref(weights);
    sn_registry_unref(reg);
    return net;
}

sn_supernet *net_load(const char *spec, const struct net_tensor *tensors, void **ret_bytes)
{
    sn_weights *weights;
    size_t      n;

    *ret_bytes = net_weights(tensors, &n);
    assert_int_equal(sn_weights_borrow(*ret_bytes, n, "weights", &weights, NULL), SN_OK);
    return load(spec, weights);
}

sn_supernet *net_demo(void)
{
    static char spec[1 << 16];
    FILE       *f = fopen("deploy/demo/spec.json", "rb");
    sn_weights *weights;

    assert_non_null(f);
    spec[fread(spec, 1, sizeof spec - 1, f)] = 0;
    fclose(f);
    assert_int_equal(sn_weights_open("deploy/demo/weights.safetensors", &weights, NULL), SN_OK);
    return load(spec, weights);
}

sn_draft *net_draft(sn_supernet *net, const char *choices)
{
    sn_error  err = {0};
    sn_draft *draft;
    char      label[64], text[64];
    int       used;

    assert_int_equal(sn_draft_create(net, &draft, &err), SN_OK);
    for (; sscanf(choices, " %63[^=]=%63s%n", label, text, &used) == 2; choices += used) {
        const bool     is_int = isdigit((unsigned char)text[0]);
        const sn_value v = {.kind = is_int ? SN_KIND_INT : SN_KIND_TEXT};
        sn_value       value = v, item[8];
        size_t         n = 0;

        for (char *at = text; is_int && *at && n < 8; at += *at == ',')
            item[n++] = (sn_value){.kind = SN_KIND_INT, .as.integer = strtoll(at, &at, 10)};
        if (n > 1)
            value = (sn_value){.kind = SN_KIND_TUPLE, .as.tuple = {item, n}};
        else if (is_int)
            value = item[0];
        else
            value.as.text = text;
        if (sn_draft_set(draft, label, &value, &err) != SN_OK)
            fail_msg("%s: %s", err.where, err.text);
    }
    return draft;
}

sn_subnet *net_choose(sn_supernet *net, const char *choices)
{
    sn_error   err = {0};
    sn_draft  *draft = net_draft(net, choices);
    sn_subnet *subnet = NULL;

    if (sn_draft_seal(draft, &subnet, &err) != SN_OK) fail_msg("%s: %s", err.where, err.text);
    sn_draft_free(draft);
    return subnet;
}
