/* document: strict reading of what a policy is told. */
#include "policy/document.h"

#include <string.h>

#include "base/json.h"

sn_status document_parse(const char *text, const char *const *allowed, size_t n_allowed,
                         json_t **ret_doc, sn_error *err)
{
    char      kind[64];
    json_t   *doc;
    sn_status rc = json_parse(text, strlen(text), "policy", &doc, err);

    if (rc) return rc;
    if (!json_is_object(doc))
        rc = sn_fail(err, SN_E_INVALID, "policy", "expected an object, found %s",
                     json_describe(doc, kind, sizeof kind));
    else if (!n_allowed && json_object_size(doc))
        rc = sn_fail(err, SN_E_INVALID, "policy", "this policy takes no options; found \"%s\"",
                     json_object_iter_key(json_object_iter(doc)));
    else
        rc = json_check_members(doc, "policy", allowed, n_allowed, err);
    if (rc)
        json_decref(doc);
    else
        *ret_doc = doc;
    return rc;
}
