/* document: the JSON that policies take: options, updates, states. */
#ifndef POLICY_DOCUMENT_H
#define POLICY_DOCUMENT_H

#include <jansson.h>

#include "base/base.h"

/* An object with no members but these. */
sn_status document_parse(const char *text, const char *const *allowed, size_t n_allowed,
                         json_t **ret_doc, sn_error *err);

#endif
