/* api_call: requests to the API by calling a function, and two supernets to ask.
 *
 *     digits   the built-in demo
 *     tiny     x [N, 2] -> output [N, 1], one choice w in 1, 2:
 *              w = 1: x0 + 2 x1 + 0.5     w = 2: that + 10 (3 x0 + 4 x1 + 0.25)
 *
 * tiny lies in a temporary model directory, as folder "tiny", and again as "other"
 * with all results twice as large. */
#ifndef SUPPORT_API_CALL_H
#define SUPPORT_API_CALL_H

#include <jansson.h>

#include "api.h"

struct api_fixture {
    struct api *api;
    char        dir[64]; /* the model directory */
};

/* One answer. `json` is NULL if the body is no JSON. */
struct answer {
    struct api_response resp;
    json_t             *json;
};

/* What does not matter may be left NULL or 0. */
struct question {
    const char        *ask; /* "GET /v1/supernets/digits/export?format=spec" */
    const void        *body;
    size_t             n_body; /* 0: body is a text */
    const char        *content_type, *content_encoding, *accept, *origin;
    const atomic_bool *stop;
};

/* Group set-up and tear-down of cmocka: *state is a struct api_fixture with both
 * supernets loaded. */
int api_fixture_setup(void **state);
int api_fixture_teardown(void **state);

/* An API over a model directory with small limits; asserts that it works. */
struct api *api_fixture_create(const char *dir);

/* The folders tiny and other below `dir` (a template for mkdtemp). */
void api_fixture_write_models(char *dir);
void api_fixture_remove(const char *dir);

struct answer api_ask(struct api *api, const struct question *q);
struct answer api_ask_text(struct api *api, const char *ask, const char *body);
void          answer_fini(struct answer *a);

/* A path of member names and indices into the answer: "results.0.outputs.output". */
json_t     *answer_at(const struct answer *a, const char *path);
const char *answer_text(const struct answer *a, const char *path);
double      answer_number(const struct answer *a, const char *path);

/* Ask, expect the status, and forget the answer. */
void api_expect(struct api *api, int status, const char *ask, const char *body);

#endif
