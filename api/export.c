/* export: a subnet to take away.
 *
 *     GET .../export?format=choices|spec|safetensors&subnet=<id>
 *
 * spec and safetensors together are a supernet with nothing left to choose. */
#include <string.h>

#include "choices_json.h"

static const struct format {
    const char *name;
    enum media  media;
    sn_status (*write)(const sn_subnet *subnet, const sn_sink *sink, sn_error *err);
} formats[] = {
    {"choices",     MEDIA_JSON,        sn_subnet_write_choices},
    {"spec",        MEDIA_JSON,        sn_subnet_write_spec   },
    {"safetensors", MEDIA_SAFETENSORS, sn_subnet_write_weights},
};

static const struct format *find_format(const char *name)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (strcmp(formats[i].name, name) == 0) return &formats[i];
    return NULL;
}

enum problem_code api_export(struct call *call)
{
    struct problem      *p = &call->problem;
    const char          *name = api_query_get(&call->query, "format");
    const struct format *format = find_format(name ? name : "choices");
    const sn_sink        sink = api_buf_sink(&call->body);
    sn_subnet           *subnet = NULL;
    sn_error             err = {0};

    if (!format)
        return api_fail(p, P_INVALID, "format",
                        "'%s' is no format; there are choices, spec and safetensors", name);
    call->answer = api_media_negotiate(call->req->accept, &format->media, 1);
    if (call->answer == MEDIA_OTHER)
        return api_fail(p, P_NOT_ACCEPTABLE, "Accept", "'%s' excludes %s, the form of %s",
                        call->req->accept, api_media_name(format->media), format->name);
    if (api_choices_find(call->model, api_query_get(&call->query, "subnet"), "subnet", P_NO_SUBNET,
                         &subnet, p) != P_OK)
        return p->code;
    api_note(call, subnet);
    if (format->write(subnet, &sink, &err) != SN_OK)
        call->body.failed ? api_fail_memory(p) : api_fail_library(p, &err, NULL);
    else if (format->media == MEDIA_JSON)
        api_buf_byte(&call->body, '\n');
    sn_subnet_unref(subnet);
    return p->code;
}
