/* call: one request on its way through the API, and what every endpoint gets. */
#ifndef API_HTTP_CALL_H
#define API_HTTP_CALL_H

#include "api.h"
#include "http/budget.h"
#include "http/buf.h"
#include "http/media.h"
#include "http/problem.h"
#include "http/url.h"
#include "supernet/expr.h"

struct call;
struct api;   /* what stays between calls: resident/resident.h */
struct model; /* a loaded supernet: resident/model.h */

enum { API_MAX_NAME = 256 };

/* What a handler has computed, for one of the writers to say: that of the call's answer. What a
 * handler says in one form only it may as well write into the body itself. */
struct api_result_class {
    enum problem_code (*write[MEDIA_COUNT])(struct call *call, void *result);
    void (*fini)(void *result);
};

struct api_result {
    const struct api_result_class *cls; /* NULL: there is none */
    void                          *at;
};

struct call {
    struct api               *api;
    const struct api_config  *config;
    struct account           *account;
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
    struct api_result         result;
    struct api_buf            body;      /* of the answer; handed over at the end */
    size_t                    n_charged; /* as a request, see api_call_charge() */
    sn_arena                 *mem;       /* see api_call_alloc(); NULL: not needed yet */
    enum media                answer;
};

/* End the result; there is none any more. */
void api_call_drop_result(struct call *call);

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

/* What an answer gives to be sent back later must not be larger than what is taken: the first ends
 * the writing where that is sure, the second knows the whole. */
void              api_limit_answer(struct call *call);
enum problem_code api_check_answer(struct call *call, const char *what);

/* The answer is about what has just come into being at "/v1/supernets/<name>" and then `rest`. */
void api_created(struct call *call, const char *rest, const char *id);

#endif
