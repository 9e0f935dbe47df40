/* schema: the part of JSON Schema 2020-12 that our own schemas use. A keyword that is
 * not implemented ends the program, so that none is silently without effect. */
#ifndef SUPPORT_SCHEMA_H
#define SUPPORT_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>

/* Is `value` valid under the whole of `schema`? */
bool schema_valid(const json_t *schema, const json_t *value);

/* The part of `root` that {"$ref": "#/$defs/name"} means; other schemas are themselves. */
const json_t *schema_resolve(const json_t *root, const json_t *schema);

#endif
