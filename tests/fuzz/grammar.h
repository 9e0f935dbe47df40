/* grammar: documents made of decisions, and slips put into documents.
 *
 * Every decision is a byte of the fuzzer's: the same bytes make the same document, a longer
 * row of bytes a longer one. No bytes left: 0, the plainest decision, so that all of them end. */
#ifndef FUZZ_GRAMMAR_H
#define FUZZ_GRAMMAR_H

#include <stdint.h>

#include "base/base.h"

struct dice {
    const uint8_t *at, *end;
};

/* In [0, n), n > 0. */
unsigned dice_below(struct dice *d, unsigned n);

/* True once in n throws, false without bytes. */
bool dice_once_in(struct dice *d, unsigned n);

/* A document of the language of api/spec.md. Most are valid: shapes are followed as far as they
 * can be known, and arguments are literals, labels or expressions that fit to them. */
void grammar_document(struct dice *d, struct text *ret_doc);

/* One slip: a number, a text, a member or an item is changed into another, is left out or is there
 * twice. What comes out is JSON if `doc` is. */
void grammar_slip(struct dice *d, struct text *doc);

#endif
