/* document: the JSON that policies take: options, updates, states. */
#ifndef POLICY_DOCUMENT_H
#define POLICY_DOCUMENT_H

#include <jansson.h>

#include "base/base.h"

/* Its tree, charged to the policy until document_end(). Zeroed: none. */
struct document {
    json_t *root;
    void   *policy;
    size_t  n_bytes;
};

/* An object with no members but these. */
sn_status document_parse(void *policy, const char *text, const char *const *allowed,
                         size_t n_allowed, struct document *ret_doc, sn_error *err);
void      document_end(struct document *doc);

#endif
