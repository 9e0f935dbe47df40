/* url: paths and queries of requests, percent-encoded as they come. */
#ifndef API_HTTP_URL_H
#define API_HTTP_URL_H

#include "http/problem.h"

enum { API_MAX_PARAMETERS = 8 };

/* The query, decoded; both texts live in `text`. */
struct query {
    size_t n;
    struct {
        const char *key, *value;
    } at[API_MAX_PARAMETERS];
    char *text;
};

/* Percent-decode n bytes into `to`; false for a malformed escape or a '\0'. The
 * result is never longer than the input. */
bool api_url_decode(const char *at, size_t n, bool plus_is_space, char *to);

bool api_url_is_valid(const char *text);

/* Does the raw path match the pattern? Then `ret_segment` are its wildcards, raw. */
struct url_slice {
    const char *at;
    size_t      n;
};
bool api_url_match(const char *pattern, const char *path, struct url_slice ret_segment[2]);

enum problem_code api_query_parse(struct query *q, const char *text, const char *allowed,
                                  struct problem *p);
const char       *api_query_get(const struct query *q, const char *key);

#endif
