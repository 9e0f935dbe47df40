/* document: strict reading of what a policy is told. */
#include "policy/document.h"

#include <string.h>

#include "base/json.h"
#include "policy/memory.h"
#include "supernet/op.h"

sn_status document_parse(void *policy, const char *text, const char *const *allowed,
                         size_t n_allowed, struct document *ret_doc, sn_error *err)
{
    const size_t    n = strlen(text);
    struct document d = {.policy = policy, .n_bytes = json_tree_bytes(text, n)};
    char            kind[64];
    sn_status       rc = policy_step(policy, n, err);

    if (rc) return rc;
    if (policy && !sn_policy_charge(policy, d.n_bytes)) return fail_no_memory(err, "policy");
    rc = json_parse(text, n, "policy", &d.root, err);
    if (rc)
        ; /* said */
    else if (!json_is_object(d.root))
        rc = sn_fail(err, SN_E_INVALID, "policy", "expected an object, found %s",
                     json_describe(d.root, kind, sizeof kind));
    else if (!n_allowed && json_object_size(d.root))
        rc = sn_fail(err, SN_E_INVALID, "policy", "this policy takes no options; found \"%s\"",
                     json_object_iter_key(json_object_iter(d.root)));
    else
        rc = json_check_members(d.root, "policy", allowed, n_allowed, err);
    if (rc)
        document_end(&d);
    else
        *ret_doc = d;
    return rc;
}

void document_end(struct document *doc)
{
    json_decref(doc->root);
    if (doc->policy) sn_policy_discharge(doc->policy, doc->n_bytes);
    *doc = (struct document){0};
}
