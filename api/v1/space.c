/* space: the choices, their candidates, and who reads them. */
#include "http/route.h"
#include "resident/visit.h"

static void put_choice(struct api_buf *b, const sn_choice *c)
{
    api_buf_text(b, "{\"label\": ");
    api_buf_string(b, c->label);
    api_buf_text(b, ", \"candidates\": [");
    for (size_t i = 0; i < c->n_candidates; i++) {
        if (i) api_buf_text(b, ", ");
        api_buf_value(b, &c->candidate[i]);
    }
    /* 0: any number of them */
    if (c->n_chosen)
        api_buf_printf(b, "], \"n_chosen\": %zu", c->n_chosen);
    else
        api_buf_text(b, "], \"n_chosen\": null");
    api_buf_printf(b, ", \"several\": %s, \"users\": [", c->several ? "true" : "false");
    for (size_t i = 0; i < c->n_users; i++) {
        if (i) api_buf_text(b, ", ");
        api_buf_string(b, c->user[i]);
    }
    api_buf_text(b, "]}");
}

enum problem_code api_get_space(struct call *call)
{
    const sn_supernet *net = call->model->net;
    struct api_buf    *b = &call->body;

    api_buf_printf(b, "{\"version\": %llu, \"size\": \"%s\", \"choices\": [",
                   (unsigned long long)call->model->version, sn_supernet_space_size(net));
    for (size_t i = 0; i < sn_supernet_n_choices(net); i++) {
        api_buf_text(b, i ? ",\n  " : "\n  ");
        put_choice(b, sn_supernet_choice(net, i));
    }
    api_buf_text(b, "]}\n");
    return P_OK;
}
