/* supernet: what the public header lets see of a loaded supernet. */
#include "supernet/host.h"

#include <string.h>

#include "base/fence.h"
#include "model/model.h"

SN_EXPORT const char *sn_supernet_name(const sn_supernet *net)
{
    return net->name;
}

SN_EXPORT const char *sn_supernet_spec(const sn_supernet *net)
{
    return net->spec;
}

SN_EXPORT const uint8_t *sn_supernet_digest(const sn_supernet *net)
{
    return net->digest;
}

SN_EXPORT size_t sn_supernet_n_inputs(const sn_supernet *net)
{
    return net->n_inputs;
}

SN_EXPORT const sn_port *sn_supernet_input(const sn_supernet *net, size_t i)
{
    return i < net->n_inputs ? &net->input[i] : NULL;
}

SN_EXPORT size_t sn_supernet_n_outputs(const sn_supernet *net)
{
    return net->n_outputs;
}

SN_EXPORT const sn_port *sn_supernet_output(const sn_supernet *net, size_t i)
{
    return i < net->n_outputs ? &net->output[i] : NULL;
}

SN_EXPORT size_t sn_supernet_n_modules(const sn_supernet *net)
{
    return net->n_modules;
}

SN_EXPORT const sn_module *sn_supernet_module(const sn_supernet *net, size_t i)
{
    return i < net->n_modules ? &net->info[i] : NULL;
}

SN_EXPORT size_t sn_supernet_n_tensors(const sn_supernet *net)
{
    return net->n_tensors;
}

SN_EXPORT const sn_tensor_info *sn_supernet_tensor(const sn_supernet *net, size_t i)
{
    return i < net->n_tensors ? &net->tensor[i] : NULL;
}

SN_EXPORT size_t sn_supernet_n_choices(const sn_supernet *net)
{
    return net->n_choices;
}

SN_EXPORT const sn_choice *sn_supernet_choice(const sn_supernet *net, size_t i)
{
    return i < net->n_choices ? &net->choice[i] : NULL;
}

SN_EXPORT bool sn_supernet_find_choice(const sn_supernet *net, const char *label, size_t *ret_i)
{
    return table_find(&net->label, label, ret_i);
}

SN_EXPORT const char *sn_supernet_space_size(const sn_supernet *net)
{
    return net->space_size;
}

SN_EXPORT size_t sn_supernet_bytes(const sn_supernet *net)
{
    return arena_bytes(net->mem) + (net->wide ? arena_bytes(net->wide) : 0);
}

SN_EXPORT const sn_weights *sn_supernet_weights(const sn_supernet *net)
{
    return net->weights;
}

sn_status supernet_check_lost(const sn_supernet *net, sn_error *err)
{
    if (!net->weights || !sn_weights_is_changed(net->weights)) return SN_OK;
    return sn_weights_check(net->weights, err);
}

SN_EXPORT size_t sn_supernet_packed_bytes(const sn_supernet *net)
{
    return atomic_load_explicit(&net->packed_bytes, memory_order_relaxed);
}

SN_EXPORT sn_supernet *sn_supernet_ref(sn_supernet *net)
{
    if (net) ref_take(&net->n_refs);
    return net;
}

SN_EXPORT sn_supernet *sn_supernet_unref(sn_supernet *net)
{
    if (net && ref_drop(&net->n_refs)) {
        for (size_t i = 0; i < net->n_modules; i++)
            for (size_t k = 0; k < net->module[i]->n_packed; k++)
                fence_free(atomic_load_explicit(&net->module[i]->packed[k], memory_order_relaxed));
        sn_weights_unref(net->weights);
        sn_registry_unref(net->registry);
        sn_arena_free(net->wide);
        fence_drop(&net->fenced);
        pthread_mutex_destroy(&net->publishing);
        sn_arena_free(net->mem); /* net itself as well */
    }
    return NULL;
}
