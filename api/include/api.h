/* api.h - the HTTP-free face of the daemon: request bytes in, response bytes out.
 *
 * Nothing here knows sockets, event loops or logs, so every endpoint can be
 * tested by calling a function. A worker thread calls api_handle(); the loop
 * thread asks api_route() what a request may cost before it reads the body. */
#ifndef API_H
#define API_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "account.h"

struct api;
struct sn_parallel; /* supernet.h */

/* Limits and places, all set by the server from its option table. */
struct api_config {
    const char  *model_dir;        /* PUT loads from below it; NULL: nothing may be loaded */
    size_t       plan_cache_bytes; /* for all supernets together */
    size_t       subnet_cache;     /* sealed subnets remembered per supernet */
    size_t       max_body_bytes;   /* of a forward, and of whatever an answer can be sent back to */
    size_t       max_scratch_bytes; /* one forward may not need more */
    size_t       pot_bytes[N_POTS]; /* limits of the account; 0: none */
    int64_t      max_batch;
    size_t       max_subnets;     /* per call of resample or forward */
    size_t       max_supernets;   /* loaded at once; 0: any number */
    int          blas_threads;    /* process-wide, set by api_create() before the first plan */
    int          n_threads;       /* most threads of one forward, see api_worker.parallel; 0: 1 */
    bool         copy_weights;    /* private memory instead of a mapped file */
    bool         exact, winograd; /* for all plans; neither: as each specification says */
    char *const *plugin;          /* shared objects with operators and policies */
    size_t       n_plugins;
};

enum api_thread {
    API_LOOP,  /* answers at once: the thread that reads the request */
    API_WORKER /* may take long: a worker */
};

/* What a request does, for whoever decides who may do what. */
enum api_class {
    API_OPEN,   /* health, readiness and metrics: for everybody who gets here */
    API_READ,   /* looks */
    API_RUN,    /* computes; what it leaves behind is a cache, or sugar for curl */
    API_CHANGE, /* makes others get other answers, or deletes what they use */
    API_ADMIN,  /* loads and unloads supernets */
    API_N_CLASSES
};

/* What the server knows of itself, for /metrics. */
struct api_figures {
    uint64_t connections, max_connections;
    uint64_t workers, running, waiting, queue; /* requests that are computed and wait; its length */
    uint64_t in_flight;                        /* requests from the headers to the reply's end */
    uint64_t slow, stuck, for_room, gone;      /* connections hung up on, by reason */
    uint64_t left;                             /* requests whose clients did not wait */
    uint64_t log_dropped;                      /* lines of the log that nobody read */
};

/* What a route allows; `status` is 200, or the refusal (404, 405) that
 * api_handle() would answer anyway. */
struct api_route {
    int             status;
    const char     *name;  /* "forward", for logs */
    size_t          index; /* of its counters */
    enum api_thread thread;
    size_t          max_body_bytes;
    enum api_class  access;
};

struct api_request {
    const char        *method, *path; /* path as sent, percent-encoded, without the query */
    const char        *query;         /* "a=1&b=2", percent-encoded; NULL or "" for none */
    const char        *content_type, *content_encoding, *accept, *origin; /* NULL if not sent */
    const char        *request_id; /* never NULL; comes back in error documents */
    const void        *body;
    size_t             n_body;
    const atomic_bool *stop; /* set at the deadline or when draining; may be NULL */
};

/* What a worker keeps from request to request, and what its thread can do. */
struct api_worker {
    void                     *scratch; /* activations */
    size_t                    n_scratch;
    struct account           *account;  /* of the scratch memory; set with it */
    const struct sn_parallel *parallel; /* the caller's; NULL: each request on one thread */
    uint64_t                  n_shared; /* loops of it that ran on several; the caller counts */
};

/* A body that is made while it is sent: it never is in memory as a whole. */
struct api_source {
    /* Up to n bytes from `at` on; 0: it cannot go on. Any thread, but one at a time. */
    size_t (*read)(void *cls, uint64_t at, void *to, size_t n);
    void (*free)(void *cls);
    void *cls;
};

struct api_response {
    int               status;       /* HTTP status code */
    const char       *content_type; /* static string; NULL: no body */
    void             *body;         /* malloc()ed; NULL if there is a source */
    size_t            n_body;
    struct api_source source;        /* without `read`: none */
    struct account   *account;       /* where n_charged bytes are charged as replies; may be NULL */
    size_t            n_charged;     /* memory that the response holds */
    int               retry_after;   /* seconds; 0: no header */
    char              allow[64];     /* methods, for 405 and OPTIONS */
    char              location[320]; /* of what was created, for 201; a path */
    char              stopped[160];  /* with 504: what was done until then */
    char              note[160];     /* for the log: "model=digits subnet=9f3a..." */
    const char       *code;          /* for the log: the word of the error document; NULL: none */
    const char       *alarm; /* for the log, once: what somebody has to look at; NULL: nothing */
};

/* The library and the BLAS behind it in one line, "supernet 0.1.0, OpenBLAS 0.3.21 ...": for
 * --version and the log at start. Static; callable before api_create(). */
const char *api_describe(void);

/* Names of supernets, on the command line as in a path: one rule for all. */
enum { API_NAME_BYTES = 128 };
#define API_NAME_RULE "up to 128 letters, digits, '.', '_' and '-', not starting with '.'"
bool api_name_is_valid(const char *name, size_t n);

/* NULL and a sentence in `why` if it cannot start. */
struct api *api_create(const struct api_config *config, char *why, size_t n_why);
struct api *api_free(struct api *api);

/* Load a supernet at start: a folder with spec.json and weights.safetensors, or
 * NULL for the built-in demo. False and a sentence if that fails. */
bool api_load(struct api *api, const char *name, const char *dir, char *why, size_t n_why);

/* Where /metrics finds them; `read` is called on the thread that handles the request. */
void api_set_figures(struct api *api, void (*read)(void *cls, struct api_figures *ret), void *cls);

/* A reply is sent: whoever made it, and whatever it says. `route` is NULL for a request that was
 * not understood. Any thread. */
void api_count_reply(struct api *api, const struct api_route *route, int status);

/* A request has waited for a worker. */
void api_count_wait(struct api *api, uint64_t ns);

/* From now on /readyz answers 503. */
void api_drain(struct api *api);

struct api_route api_route(const struct api *api, const char *method, const char *path);

/* Always fills `ret`: a failure becomes a response too. Safe on any thread;
 * `worker` is that thread's own, NULL on the loop. */
void api_handle(struct api *api, struct api_worker *worker, const struct api_request *req,
                struct api_response *ret);

/* The error document, for refusals that the server itself decides (413, 503, 504). */
void api_problem(int status, const char *code, const char *where, const char *text,
                 const char *request_id, struct api_response *ret);

/* Free what a response holds, and give it back to the account. */
void api_response_fini(struct api_response *resp);

/* The account of everything that requests make the daemon hold. */
struct account *api_account(struct api *api);

/* Free what a worker kept. */
void api_worker_fini(struct api_worker *worker);

#endif
