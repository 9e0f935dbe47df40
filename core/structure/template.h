/* template: a module of the document in which words stand for numbers, such as
 * {"type": "Conv2d", "in_channels": "in_features", "out_channels": "out_features"}. */
#ifndef STRUCTURE_TEMPLATE_H
#define STRUCTURE_TEMPLATE_H

#include "document/build.h"

struct template_word {
    const char   *word;
    const json_t *value; /* an integer, or the text of an expression */
};

/* A word's value is copied into every argument that names it: it is not too long. */
sn_status template_check_size(struct builder *b, const char *where, const json_t *spec,
                              const char *name);

/* A copy of `spec` (a new reference) with the words replaced in every argument, alone or
 * in an expression. Names, types and labels stay. */
sn_status template_fill(struct builder *b, const json_t *spec, const struct template_word *word,
                        size_t n_words, const char *where, json_t **ret);

#endif
