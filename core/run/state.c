/* state: a private copy of the running statistics, so that training mode never
 * touches those that are served. */
#include "run/state.h"
#include "model/model.h"
#include "run/plan.h"
#include "tensor/tensor.h"

struct sn_state {
    sn_arena    *mem;
    sn_supernet *net;
    sn_tensor   *tensor; /* in the order of net->state */
};

SN_EXPORT sn_status sn_state_create(sn_supernet *net, sn_state **ret_state, sn_error *err)
{
    sn_arena *mem = sn_arena_create();
    sn_state *s = mem ? ARENA_NEW(mem, sn_state) : NULL;

    if (s) s->tensor = arena_array(mem, net->n_states + 1, sizeof *s->tensor);
    for (size_t i = 0; s && s->tensor && i < net->n_states; i++) {
        const sn_tensor *from = &net->state[i];
        void            *data =
            arena_array(mem, (size_t)sn_shape_count(&from->shape) + 1, sn_dtype_bytes(from->dtype));

        if (!data) {
            s->tensor = NULL;
            break;
        }
        s->tensor[i] = sn_tensor_dense(from->dtype, &from->shape, data);
        tensor_copy(from, &s->tensor[i]);
    }
    if (!s || !s->tensor) {
        sn_arena_free(mem);
        return fail_no_memory(err, "state");
    }
    s->mem = mem;
    s->net = sn_supernet_ref(net);
    *ret_state = s;
    return SN_OK;
}

bool state_is_of(const sn_state *state, const sn_supernet *net)
{
    return state->net == net;
}

SN_EXPORT size_t sn_state_count(const sn_state *state)
{
    return state->net->n_states;
}

SN_EXPORT const char *sn_state_at(const sn_state *state, size_t i, sn_tensor *ret_tensor)
{
    if (i >= state->net->n_states) return NULL;
    *ret_tensor = state->tensor[i];
    return state->net->state_name[i];
}

SN_EXPORT sn_state *sn_state_free(sn_state *state)
{
    if (state) {
        sn_supernet_unref(state->net);
        sn_arena_free(state->mem);
    }
    return NULL;
}
