/* call: one request on its way through the API, and what every endpoint gets. */
#ifndef API_HTTP_CALL_H
#define API_HTTP_CALL_H

#include "api.h"
#include "http/budget.h"
#include "http/buf.h"
#include "http/media.h"
#include "http/metrics.h"
#include "http/problem.h"
#include "resident/plan_cache.h"
#include "resident/store.h"

struct api {
    struct api_config config;
    struct account    account;
    char             *model_dir; /* config.model_dir, resolved; NULL: nothing may be loaded */
    sn_registry      *registry;
    struct store      store;
    struct plan_cache plans;
    struct metrics    metrics;
    atomic_bool       draining;
    void (*read_figures)(void *cls, struct api_figures *ret); /* NULL: there is no server */
    void *figures_cls;
};

enum { API_MAX_SEGMENTS = 8, API_MAX_NAME = 256, API_MAX_PARAMETERS = 8 };

/* The query, decoded; both texts live in `text`. */
struct query {
    size_t n;
    struct {
        const char *key, *value;
    } at[API_MAX_PARAMETERS];
    char *text;
};

struct call {
    struct api               *api;
    struct api_worker        *worker;
    const struct api_request *req;
    struct api_response      *ret;
    struct problem            problem;
    char                      name[API_MAX_NAME]; /* {m} of the path, decoded */
    char                      id[API_MAX_NAME];   /* {id} or {p} of the path, decoded */
    struct query              query;
    struct model             *model; /* {m}, referenced; NULL for routes without */
    bool                      holds; /* its `handover` */
    bool                      moved; /* another load has taken its place: begin again with that */
    struct api_buf            body;  /* of the answer; handed over at the end */
    size_t                    n_charged; /* as a request, see api_call_charge() */
    sn_arena                 *mem;       /* see api_call_alloc(); NULL: not needed yet */
    enum media                answer;
};

struct budget api_call_budget(struct call *call);

typedef enum problem_code api_handler(struct call *call);

/* Charge n bytes that this call is about to take and gives back when it ends; `what` is put into
 * the message if there is no room for them. */
enum problem_code api_call_charge(struct call *call, size_t n, const char *what);

/* Memory that is charged likewise and lives as long as the call; NULL and a problem. */
void *api_call_alloc(struct call *call, size_t n);

/* Before anything is changed: is the answer written, and is there still time? Else a problem. */
bool api_body_is_whole(struct call *call);

/* Past its deadline, or nobody waits for it any more? Then the problem says what was done. */
__attribute__((format(printf, 2, 3))) enum problem_code api_call_stopped(struct call *call,
                                                                         const char  *fmt, ...);

enum api_takes {
    TAKES_NOTHING,
    TAKES_JSON,    /* there must be a body */
    TAKES_TENSORS, /* likewise: JSON or safetensors */
    MAYBE_JSON
};

/* What an answer gives to be sent back later must not be larger than what is taken: the first ends
 * the writing where that is sure, the second knows the whole. */
void              api_limit_answer(struct call *call);
enum problem_code api_check_answer(struct call *call, const char *what);

/* The answer is about what has just come into being at "/v1/supernets/<name>" and then `rest`. */
void api_created(struct call *call, const char *rest, const char *id);

/* Before the call changes anything of its model: nobody replaces the model until the call is over,
 * or lets go. Fails if that has happened already; the call then begins again with the new one. */
enum problem_code api_hold(struct call *call);
void              api_let_go(struct call *call);

/* One endpoint. The row says everything, also where it runs and what it accepts. */
struct api_route_row {
    const char    *method, *pattern; /* "{m}", "{id}", "{p}" match one segment */
    const char    *name;
    enum api_lane  lane;
    enum api_class access;
    size_t         max_body_bytes; /* SIZE_MAX: the configured one, max-body */
    enum api_takes takes;
    bool           has_model; /* {m} must be loaded: 404 before anything else is looked at */
    const char    *query;     /* "format|subnet": the parameters it knows */
    enum media     gives[2];  /* forms of the answer, the preferred first; MEDIA_OTHER: none */
    api_handler   *handle;
};

extern const struct api_route_row api_routes[];
extern const size_t               api_n_routes;

/* ---- url.c ---- */

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

/* ---- words.c ---- */

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

/* ---- endpoints: one family per file ---- */

api_handler api_list_supernets, api_get_supernet, api_put_supernet, api_delete_supernet;
api_handler api_get_space;
api_handler api_resample;
api_handler api_put_choices, api_get_choices;
api_handler api_create_subnet, api_get_subnet, api_delete_subnet;
api_handler api_forward;
api_handler api_list_policies, api_get_policy, api_put_policy, api_delete_policy;
api_handler api_post_reward, api_get_policy_state, api_put_policy_state;
api_handler api_get_alpha, api_put_alpha;
api_handler api_export;
api_handler api_get_health, api_get_ready, api_get_metrics, api_get_openapi;

/* ---- load.c ---- */

/* The supernet in `dir` (spec.json, weights.safetensors), or the built-in demo for
 * NULL. With `below`, the files must lie below that folder, links resolved. */
enum problem_code api_load_model(struct api *api, const struct budget *b, const char *name,
                                 const char *source, const char *dir, const char *below,
                                 struct model **ret_model, struct problem *p);

/* Make it visible under its name; takes `m` in any case. */
enum problem_code api_install_model(struct api *api, const struct budget *b, struct model *m,
                                    bool *ret_replaced, struct kept *ret_kept, struct problem *p);

/* ---- place.c ---- */

/* Open dir/file for reading, without waiting for anything, and write where into path[PATH_MAX].
 * With `below` (without links itself, the start of `dir`) nothing outside of it is opened. What it
 * is, the caller has to look at: any kind of file can be there. */
enum problem_code api_place_open(const char *dir, const char *file, const char *below, char *path,
                                 int *ret_fd, struct problem *p);

/* ---- embedded.c ---- */

struct embedded {
    const char *at;
    size_t      n;
};
struct embedded api_embedded_openapi(void);
struct embedded api_embedded_demo_spec(void);
struct embedded api_embedded_demo_weights(void);

#endif
