/* serve: the way of every request: route, refuse, handle, answer. */
#include <assert.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "http/json_cursor.h"
#include "http/route.h"
#include "resident/resident.h"
#include "resident/visit.h"

/* ---- routing ---- */

struct match {
    const struct api_route_row *row;    /* NULL: see status */
    int                         status; /* 200, 404 or 405 */
    struct url_slice            segment[2];
    char                        allow[64];
};

static bool same_method(const struct api_route_row *row, const char *method)
{
    return strcmp(row->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(row->method, "GET") == 0);
}

/* What is there at a path; it is the same for everybody. */
static enum problem_code give_options(struct call *call)
{
    call->ret->status = 204;
    return P_OK;
}

static const struct api_route_row options_row = {
    "OPTIONS",     "*",   "options", API_LOOP,     API_READ,    0,
    TAKES_NOTHING, false, "",        {MEDIA_JSON}, give_options};

static struct match match(const char *method, const char *path)
{
    struct match m = {.status = 404};
    const bool   options = strcmp(method, "OPTIONS") == 0;
    size_t       n = 0;

    if (options && strcmp(path, "*") == 0) { /* the whole server */
        snprintf(m.allow, sizeof m.allow, "GET, HEAD, POST, PUT, DELETE, OPTIONS");
        m.row = &options_row;
        m.status = 200;
        return m;
    }

    for (size_t i = 0; i < api_n_routes; i++) {
        const struct api_route_row *row = &api_routes[i];

        m.segment[0] = m.segment[1] = (struct url_slice){0};
        if (!api_url_match(row->pattern, path, m.segment)) continue;
        if (same_method(row, method)) {
            m.row = row;
            m.status = 200;
            return m;
        }
        m.status = 405;
        n += (size_t)snprintf(m.allow + n, sizeof m.allow - n, "%s%s%s", n ? ", " : "", row->method,
                              strcmp(row->method, "GET") == 0 ? ", HEAD" : "");
        assert(n < sizeof m.allow);
    }
    if (m.status == 404) return m;
    n += (size_t)snprintf(m.allow + n, sizeof m.allow - n, ", OPTIONS");
    assert(n < sizeof m.allow);
    if (options) {
        m.row = &options_row;
        m.status = 200;
    }
    return m;
}

/* Of its counters. */
static size_t row_index(const struct api_route_row *row)
{
    return row && row != &options_row ? (size_t)(row - api_routes) : METRICS_MAX_ROUTES;
}

static size_t max_body(const struct api *api, const struct api_route_row *row)
{
    return row->max_body_bytes == SIZE_MAX ? api->config.max_body_bytes : row->max_body_bytes;
}

struct api_route api_route(const struct api *api, const char *method, const char *path)
{
    const struct match m = match(method, path);

    if (!m.row)
        return (struct api_route){.status = m.status,
                                  .name = "none",
                                  .index = METRICS_MAX_ROUTES,
                                  .thread = API_LOOP,
                                  .access = API_READ};
    return (struct api_route){.status = 200,
                              .name = m.row->name,
                              .index = row_index(m.row),
                              .thread = m.row->thread,
                              .max_body_bytes = max_body(api, m.row),
                              .access = m.row->access};
}

/* ---- handling ---- */

/* A wildcard of the path into `to`. What is too long is cut, and still longer than any name:
 * whoever looks for it finds nothing, whoever wants to use it is refused. */
static enum problem_code decode_segment(struct call *call, struct url_slice s, char *to)
{
    char *text;

    if (!s.at) return P_OK;
    text = malloc(s.n + 1);
    if (!text) return api_fail_memory(&call->problem);
    api_url_decode(s.at, s.n, false, text); /* the whole path was checked */
    snprintf(to, API_MAX_NAME, "%s", text);
    free(text);
    return P_OK;
}

static enum problem_code check_media(struct call *call, const struct api_route_row *row)
{
    const struct api_request *req = call->req;
    const enum media          form = api_media_of(req);
    enum media                offer[2] = {row->gives[0], row->gives[1]};
    const size_t              n_offers = offer[1] == MEDIA_OTHER ? 1 : 2;

    if (req->n_body > 0 && req->content_encoding && req->content_encoding[0] &&
        strcasecmp(req->content_encoding, "identity") != 0)
        return api_fail(&call->problem, P_MEDIA_TYPE, "Content-Encoding",
                        "'%.200s' is not accepted; send the body as it is", req->content_encoding);
    if (row->takes != TAKES_NOTHING && form != MEDIA_JSON &&
        !(row->takes == TAKES_TENSORS && form == MEDIA_SAFETENSORS) &&
        (req->n_body > 0 || row->takes == TAKES_TENSORS))
        return api_fail(&call->problem, P_MEDIA_TYPE, "Content-Type",
                        "'%s' is not accepted here, but application/json%s is", req->content_type,
                        row->takes == TAKES_TENSORS ? " or application/x-safetensors" : "");
    /* What asks for nothing in particular is answered in the form it was asked in. */
    if (row->takes == TAKES_TENSORS && form == MEDIA_SAFETENSORS) {
        offer[0] = MEDIA_SAFETENSORS;
        offer[1] = MEDIA_JSON;
    }
    call->answer = api_media_negotiate(req->accept, offer, n_offers);
    if (call->answer == MEDIA_OTHER)
        return api_fail(&call->problem, P_NOT_ACCEPTABLE, "Accept",
                        "'%s' excludes what this path answers with: %s%s%s", req->accept,
                        api_media_name(row->gives[0]), n_offers == 2 ? " or " : "",
                        n_offers == 2 ? api_media_name(row->gives[1]) : "");
    return P_OK;
}

static enum problem_code refuse_path(struct call *call, const struct match *m)
{
    const struct api_request *req = call->req;

    if (m->status == 405) {
        memcpy(call->ret->allow, m->allow, sizeof m->allow);
        return api_fail(&call->problem, P_METHOD, "method", "'%s' is not for this path; it has %s",
                        req->method, m->allow);
    }
    return api_fail(&call->problem, P_NOT_FOUND, "path", "there is nothing at '%s'", req->path);
}

/* What is said about a supernet whose weights have changed, and how to get rid of it. */
static bool serves_changed(const struct api_route_row *row)
{
    return row->handle == api_get_supernet || row->handle == api_delete_supernet;
}

/* Before the answer leaves, whatever it is: numbers, or an error that came of reading zeros. */
static enum problem_code check_weights(struct call *call, const struct api_route_row *row)
{
    struct problem changed = {0};

    if (!call->model || serves_changed(row)) return call->problem.code;
    if (row->thread == API_LOOP && !api_model_is_changed(call->model)) return call->problem.code;
    if (api_model_check(call->model, &changed) == P_OK) return call->problem.code;
    call->problem = changed;
    if (!atomic_exchange(&call->model->told, true))
        call->ret->alarm = "the file of its weights was truncated or overwritten in place; it "
                           "answers 503 until it is loaded again";
    return call->problem.code;
}

/* An empty answer, which its account is told of as it grows. */
static void begin(struct call *call)
{
    api_response_fini(call->ret);
    call->ret->status = 200;
    api_call_drop_result(call);
    api_buf_fini(&call->body);
    call->body = (struct api_buf){
        .account = &call->api->account, .purpose = ACCOUNT_REPLIES, .stop = call->req->stop};
}

/* Hardly anything is charged that this call does not hold itself. */
static bool is_alone(const struct call *call)
{
    const struct account *a = &call->api->account;
    const size_t          own = call->n_charged + call->body.charged + call->req->n_body;

    return account_pot_used(a, ACCOUNT_REPLIES) <= own + account_limit(a, ACCOUNT_REPLIES) / 16;
}

enum { MAX_MOVES = 16 };

/* Nothing was changed yet in a model that has been replaced, so that beginning again with the new
 * one does everything once. */
static enum problem_code handle(struct call *call, const struct api_route_row *row)
{
    struct problem *p = &call->problem;

    for (int i = 0; i < MAX_MOVES; i++) {
        row->handle(call);
        api_let_go(call);
        if (!call->moved) break;
        call->moved = false;
        if (i + 1 == MAX_MOVES) break;
        *p = (struct problem){0};
        begin(call);
        call->model = api_model_unref(call->model);
        if (api_find_model(call) != P_OK) break;
    }
    if (check_weights(call, row) == P_OK && call->result.cls)
        call->result.cls->write[call->answer](call, call->result.at);
    api_call_drop_result(call);
    if (p->code == P_OK && call->body.failed) api_fail_buf(p, &call->body, NULL);
    if (p->no_buffers && is_alone(call)) api_fail_for_ever(p);
    return p->code;
}

static enum problem_code serve(struct call *call, const struct match *m)
{
    const struct api_route_row *row = m->row;
    const struct api_request   *req = call->req;
    struct problem             *p = &call->problem;

    if (!api_url_is_valid(req->path))
        return api_fail(p, P_SYNTAX, "path",
                        "a percent sign needs two hexadecimal digits behind it, other than 00");
    if (!row) return refuse_path(call, m);
    if (row == &options_row) {
        memcpy(call->ret->allow, m->allow, sizeof m->allow);
        return row->handle(call);
    }
    if (decode_segment(call, m->segment[0], call->name) != P_OK ||
        decode_segment(call, m->segment[1], call->id) != P_OK)
        return p->code;
    if (req->n_body > max_body(call->api, row))
        return api_fail(p, P_TOO_LARGE, "body", "%zu bytes are above the limit of %zu%s",
                        req->n_body, max_body(call->api, row),
                        row->max_body_bytes == SIZE_MAX ? ", which --max-body sets" : "");
    if (row->has_model && api_find_model(call) != P_OK) return p->code;
    if (call->model && api_model_is_changed(call->model) && check_weights(call, row) != P_OK)
        return p->code;
    if (req->n_body == 0 && row->takes == TAKES_JSON)
        return api_fail(p, P_SYNTAX, "body",
                        "is empty, and this route needs one; see /openapi.json");
    if (check_media(call, row) != P_OK ||
        api_query_parse(&call->query, req->query, row->query, p) != P_OK)
        return p->code;
    return handle(call, row);
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

enum { TRIM_BYTES = 8 << 20 };

void api_handle(struct api *api, struct api_worker *worker, const struct api_request *req,
                struct api_response *ret)
{
    const uint64_t     start = now_ns();
    const struct match m = match(req->method, req->path);
    struct api_worker  own = {0};
    struct call        call = {.api = api,
                               .config = &api->config,
                               .account = &api->account,
                               .worker = worker ? worker : &own,
                               .req = req,
                               .ret = ret};

    *ret = (struct api_response){0};
    begin(&call);
    if (serve(&call, &m) == P_OK) {
        ret->content_type = ret->status == 204 ? NULL : api_media_name(call.answer);
        if (!ret->source.read) {
            if (call.body.cap > 2 * API_BUF_FREE_BYTES) api_buf_shrink(&call.body);
            ret->body = call.body.at;
            ret->n_body = call.body.n;
            ret->account = &api->account;
            ret->n_charged = call.body.charged;
        }
    } else {
        api_buf_fini(&call.body);
        api_problem_respond(&call.problem, req->request_id, ret);
    }
    sn_arena_free(call.mem);
    account_discharge(&api->account, ACCOUNT_REQUESTS, call.n_charged);
    if (call.n_charged > TRIM_BYTES) malloc_trim(0); /* many small objects came and went */
    api_model_unref(call.model);
    free(call.query.text);
    api_worker_fini(&own);
    api_metrics_count_time(&api->metrics, row_index(m.row), now_ns() - start);
}
