/* words: what may be said, as lists "a|b|c". */
#ifndef API_HTTP_WORDS_H
#define API_HTTP_WORDS_H

#include "http/problem.h"

/* Is `word` one of "a|b|c"? And "a, b, c" for messages, into buf; returns buf. */
bool        api_word_in(const char *list, const char *word, size_t n_word);
const char *api_words_text(const char *list, char *buf, size_t n_bytes);

/* A word that is not in the list: a misspelt one must not look like success. */
enum problem_code api_fail_unknown(struct problem *p, const char *where, const char *word,
                                   const char *allowed);

/* A number of a query or of metadata: digits alone, from 0 on. */
enum problem_code api_whole_number(const char *text, const char *where, int64_t *ret_number,
                                   struct problem *p);

/* What a supernet or a policy may be called, wherever the name comes from. */
enum problem_code api_check_name(const char *name, struct problem *p);

#endif
