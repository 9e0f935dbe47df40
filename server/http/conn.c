/* conn: the life of a request, read from top to bottom.
 *
 *   on_uri         the first line was read                      OPENED
 *   on_request     headers: route, limits, room for the body    BODY, or REFUSED
 *                  parts of the body: no reply is allowed here
 *                  the end: compute, here or on a worker        RUNNING, connection suspended
 *   conn_finish    the worker is done, connection resumed       DONE
 *   on_request     once more: the reply
 *   on_completed   the reply is out, or the client has left
 *
 * A refusal is decided at the headers. If little is to come, the body is read
 * and thrown away before it is sent, so that the connection can live on and no
 * client is cut off while it still writes. */
#include "http/conn.h"

#include "http/headers.h"
#include "http/strict.h"
#include "http/unreadable.h"
#include "log/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    SWALLOW_BYTES = 1 << 20, /* a refused body up to this is read, not cut off */
    EARLY_BYTES = 64 << 10,  /* a body worth not sending when the queue is full */
    FIRST_CHUNK_BYTES = 64 << 10,
    PIECE_BYTES = 32 << 10 /* of a reply that is read while it is sent */
};

/* One request. The fields say who may touch them. */
struct job {
    struct pool_job        base; /* the pool's, while it has the job */
    struct due             due;  /* from here on: loop thread only */
    struct httpd          *h;
    struct MHD_Connection *conn;
    const char            *method; /* as sent */
    struct peer           *peer;   /* NULL if there was no memory to watch it */
    enum { JOB_OPENED, JOB_BODY, JOB_REFUSED, JOB_RUNNING, JOB_DONE } state;
    struct api_route    route;
    bool                counted, replied;
    bool                last;          /* the connection ends with this reply */
    bool                expired;       /* its stop flag was set, or it never ran */
    bool                refused_below; /* by the HTTP library, and logged */
    bool                left;          /* the client is gone: nobody wants the reply */
    bool                speaks_11;
    bool                on_worker;
    size_t              n_announced; /* by Content-Length */
    size_t              cap;         /* of the body so far */
    size_t              n_received;
    uint64_t            opened_ns;
    char                request_id[CONN_ID_BYTES];
    const char         *uri_at; /* in the HTTP daemon's buffer: n_uri bytes */
    size_t              n_uri;
    bool                uri_is_good;
    const char         *authority; /* in uri, if it has one: n_authority bytes */
    size_t              n_authority;
    const char         *origin;    /* whose pages may read the reply; NULL: no other's */
    bool                preflight; /* a browser asks what such a page may send */
    char               *accepts;   /* several lines of Accept as one; NULL: there was one at most */
    struct api_request  req;       /* loop thread, until RUNNING; then the worker */
    struct api_response resp;      /* the worker, until DONE; then the loop thread */
    atomic_bool         stop;      /* any thread */
    char                uri[];     /* path, NUL, query */
};

/* ---- helpers ------------------------------------------------------------------ */

/* Room for a body of n_bytes more. The API charges replies: it makes them. */
static bool charge(struct job *job, size_t n_bytes)
{
    return account_charge(api_account(job->h->api), ACCOUNT_BODIES, n_bytes);
}

static void discharge(struct job *job, size_t n_bytes)
{
    account_discharge(api_account(job->h->api), ACCOUNT_BODIES, n_bytes);
}

/* Would there be, now? What an answer says that comes before the body was sent. */
static bool has_room(struct job *job, size_t n_bytes)
{
    if (!charge(job, n_bytes)) return false;
    discharge(job, n_bytes);
    return true;
}

static void drop_body(struct job *job)
{
    free((void *)job->req.body);
    job->req.body = NULL;
    job->req.n_body = 0;
    discharge(job, job->cap);
    job->cap = 0;
}

static void enter(struct job *job, enum peer_phase phase)
{
    if (job->peer) peer_enter(&job->h->peers, job->peer, phase);
}

/* ---- what is asked for ------------------------------------------------------------- */

/* The client's own id if it is short and printable, so that its logs and ours meet. */
static void make_request_id(struct httpd *h, const char *sent, char id[CONN_ID_BYTES])
{
    const size_t n = sent ? strlen(sent) : 0;
    bool         good = n > 0 && n <= 64;
    uint64_t     z;

    for (size_t i = 0; i < n && good; i++)
        good = sent[i] > 0x20 && sent[i] < 0x7f;
    if (good) {
        memcpy(id, sent, n + 1);
        return;
    }
    z = h->id_seed += 0x9e3779b97f4a7c15u; /* splitmix64: no two alike, and no system call */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    snprintf(id, CONN_ID_BYTES, "%016llx", (unsigned long long)(z ^ (z >> 31)));
}

/* Path and query as sent; "http://host/path" is "/path" here, for that host. */
static void split_uri(struct job *job)
{
    char *path = job->uri, *query;

    if (!strncasecmp(path, "http://", 7) || !strncasecmp(path, "https://", 8)) {
        path = strchr(path, ':') + 3;
        job->authority = path;
        job->n_authority = strcspn(path, "/?");
        path += job->n_authority;
    }
    query = strchr(path, '?');
    if (query) *query++ = 0;
    job->req.path = *path ? path : "/";
    job->req.query = query;
}

static struct peer *peer_of(struct MHD_Connection *conn)
{
    return MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

void *conn_on_uri(void *cls, const char *uri, struct MHD_Connection *conn)
{
    const size_t  n = strlen(uri) + 1;
    struct job   *job = calloc(1, sizeof *job + n);
    struct httpd *h = cls;

    h->moved = true;
    if (!job) return NULL;
    memcpy(job->uri, uri, n);
    job->h = h;
    job->conn = conn;
    job->uri_at = uri;
    job->n_uri = n - 1;
    job->peer = peer_of(conn);
    if (job->peer) job->peer->request = job;
    job->opened_ns = uv_hrtime();
    job->req.request_id = job->request_id;
    job->req.stop = &job->stop;
    job->uri_is_good = strict_uri(job->uri);
    split_uri(job);
    return job;
}

/* ---- replies ---------------------------------------------------------------------- */

/* The body of a reply as the HTTP daemon asks for it; `cls` is the job, which lives until the
 * reply is out. */
static ssize_t read_source(void *cls, uint64_t at, char *to, size_t n)
{
    struct job              *job = cls;
    const struct api_source *s = &job->resp.source;
    const size_t             got = s->read(s->cls, at, to, n);

    job->h->moved = true;
    if (job->peer) job->peer->n_calls++;
    return got ? (ssize_t)got : MHD_CONTENT_READER_END_WITH_ERROR;
}

/* What lets a page of the origin read the reply, and send what it asked for. */
static enum MHD_Result add_cors(const struct job *job, struct MHD_Response *m)
{
    enum MHD_Result ok = MHD_add_response_header(m, "Access-Control-Allow-Origin", job->origin);

    ok &= MHD_add_response_header(m, "Vary", "Origin");
    if (!job->preflight)
        return ok & MHD_add_response_header(m, "Access-Control-Expose-Headers",
                                            "Location, Retry-After, X-Request-Id");
    ok &=
        MHD_add_response_header(m, "Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE");
    ok &= MHD_add_response_header(m, "Access-Control-Allow-Headers",
                                  "Accept, Content-Type, X-Request-Id");
    return ok & MHD_add_response_header(m, "Access-Control-Max-Age", "600");
}

static enum MHD_Result reply(struct job *job)
{
    struct api_response *r = &job->resp;
    struct MHD_Response *m;
    enum MHD_Result      ok = MHD_YES;
    char                 seconds[16];

    if (r->source.read)
        m = MHD_create_response_from_callback(r->n_body, PIECE_BYTES, read_source, job, NULL);
    else /* the body is freed and given back in on_completed, when it is out */
        m = MHD_create_response_from_buffer(r->n_body, r->body, MHD_RESPMEM_PERSISTENT);
    if (!m) return MHD_NO; /* no memory: drop the connection */
    if (r->content_type) ok &= MHD_add_response_header(m, "Content-Type", r->content_type);
    ok &= MHD_add_response_header(m, "X-Request-Id", job->request_id);
    if (r->location[0]) ok &= MHD_add_response_header(m, "Location", r->location);
    if (r->allow[0]) ok &= MHD_add_response_header(m, "Allow", r->allow);
    if (job->origin) ok &= add_cors(job, m);
    if (r->retry_after > 0) {
        snprintf(seconds, sizeof seconds, "%d", r->retry_after);
        ok &= MHD_add_response_header(m, "Retry-After", seconds);
    }
    if (job->last || job->h->draining) ok &= MHD_add_response_header(m, "Connection", "close");
    if (ok) ok = ((unreadable_queue *)job->h->queue_response)(job->conn, (unsigned)r->status, m);
    MHD_destroy_response(m);
    if (ok && !job->replied) api_count_reply(job->h->api, &job->route, r->status);
    job->replied = ok == MHD_YES;
    if (job->state != JOB_REFUSED) job->state = JOB_DONE;
    enter(job, PEER_REPLY);
    return ok;
}

/* The reply becomes an error document of the server's own. */
static void set_problem_at(struct job *job, int status, const char *code, const char *where,
                           const char *text)
{
    struct api_response *r = &job->resp;

    api_response_fini(r);
    api_problem(status, code, where, text, job->request_id, r);
    if (status == 503 && r->retry_after == 0)
        r->retry_after = job->h->draining ? 1 : pool_retry_after(job->h->pool);
}

static void set_problem(struct job *job, int status, const char *code, const char *text)
{
    set_problem_at(job, status, code, "", text);
}

static void refuse_at(struct job *job, int status, const char *code, const char *where,
                      const char *text)
{
    drop_body(job);
    set_problem_at(job, status, code, where, text);
    job->state = JOB_REFUSED;
    enter(job, PEER_REFUSED);
}

static void refuse(struct job *job, int status, const char *code, const char *text)
{
    refuse_at(job, status, code, "", text);
}

static void refuse_size(struct job *job)
{
    char text[128];

    if (job->route.max_body_bytes == 0)
        snprintf(text, sizeof text, "this route takes no body");
    else
        snprintf(text, sizeof text, "the body may have up to %zu bytes%s",
                 job->route.max_body_bytes,
                 job->route.max_body_bytes == (size_t)job->h->config->max_body
                     ? ", which --max-body sets"
                     : "");
    refuse(job, 413, "too_large", text);
}

static void refuse_full(struct job *job)
{
    char text[128];

    snprintf(text, sizeof text, "the queue is full: %lld requests wait already",
             (long long)job->h->config->queue);
    refuse(job, 503, "busy", text);
}

static void refuse_memory(struct job *job)
{
    peers_make_room(&job->h->peers);
    refuse(job, 503, "busy", "the memory for requests and replies is taken; see buffer-memory");
}

/* ---- the request -------------------------------------------------------------------- */

/* Compute it where we are: it answers at once. */
static void handle_here(struct job *job)
{
    api_handle(job->h->api, NULL, &job->req, &job->resp);
}

/* Is it let in? If so, pages of an allowed origin may read the answer. */
static struct access_refusal check_access(struct httpd *h, struct job *job,
                                          const struct headers *hd)
{
    const struct access_request r = {
        .host = hd->host,
        .origin = hd->origin,
        .fetch_site = hd->fetch_site,
        .authority = job->authority,
        .n_authority = job->n_authority,
        .access = job->route.access,
        .is_options = !strcmp(job->method, "OPTIONS"),
    };
    const struct access_refusal no = access_check(&h->access, &r);

    if (!no.code && hd->origin && access_is_allowed_origin(&h->access, hd->origin)) {
        job->origin = hd->origin; /* lives as long as the request */
        job->preflight = r.is_options && hd->asked_method;
    }
    return no;
}

static void read_headers(struct job *job, const char *method, const char *version,
                         struct headers *hd)
{
    /* Others may lay the lines out in another way. Later ones are strict by themselves. */
    const bool                      adjacent = !strcmp(MHD_get_version(), "0.9.75");
    const union MHD_ConnectionInfo *info;

    strict_begin(&hd->strict, adjacent, method, job->uri_at, job->n_uri, version);
    if (!job->uri_is_good)
        hd->strict.wrong = "the path contains a space or a control character; %20 is a space";
    if (!job->authority && job->uri[0] != '/' && strcmp(job->uri, "*"))
        hd->strict.wrong = "what is asked for is neither a path nor a URL of http or https";
    MHD_get_connection_values_n(job->conn, MHD_HEADER_KIND, headers_read, hd);
    info = MHD_get_connection_info(job->conn, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    strict_end(&hd->strict, method, info->header_size);
}

/* Headers: everything that can be refused is refused now. */
static enum MHD_Result on_headers(struct httpd *h, struct job *job, const char *method,
                                  const char *version)
{
    const char           *wrong;
    struct headers        hd = {0};
    struct access_refusal no;
    size_t                n_body = 0;

    read_headers(job, method, version, &hd);
    make_request_id(h, hd.request_id, job->request_id);
    job->counted = true;
    h->n_requests++;
    job->method = method;
    job->speaks_11 = !strcmp(version, "HTTP/1.1");
    /* A HEAD is a GET whose body is left out, which the HTTP daemon does for us. */
    job->req.method = strcmp(method, "HEAD") ? method : "GET";
    job->req.content_type = hd.content_type;
    job->req.accept = hd.accept;
    job->accepts = hd.accepts;
    job->req.content_encoding = hd.content_encoding;
    job->req.origin = hd.origin;
    job->route = api_route(h->api, job->req.method, job->req.path);

    wrong = headers_check(&hd, version, &n_body);
    if (wrong) {
        refuse(job, 400, "malformed", wrong);
        job->last = true; /* who knows what follows */
        return reply(job);
    }
    no = check_access(h, job, &hd);
    job->state = JOB_BODY;
    enter(job, PEER_BODY);
    if (no.code) {
        refuse_at(job, 403, no.code, no.where, no.text);
    } else if (job->route.status != 200) {
        handle_here(job); /* 404 or 405, with the body unread */
        job->state = JOB_REFUSED;
        enter(job, PEER_REFUSED);
    } else if (h->draining && job->route.thread == API_WORKER) {
        refuse(job, 503, "draining", "the daemon is stopping");
    } else if (n_body > job->route.max_body_bytes) {
        refuse_size(job);
    } else if (job->route.thread == API_WORKER && pool_is_full(h->pool) &&
               (n_body > EARLY_BYTES || hd.expects_continue)) {
        refuse_full(job);
    } else if (n_body && !has_room(job, n_body)) {
        refuse_memory(job);
    }
    job->n_announced = n_body;
    if (job->state == JOB_REFUSED && (hd.expects_continue || n_body > SWALLOW_BYTES)) {
        job->last = true; /* else the unread body would pass for the next request */
        return reply(job);
    }
    return MHD_YES;
}

/* Memory is taken as the body comes in, up to the limit of its route: what a client announces
 * and does not send costs nothing. */
static bool grow(struct job *job, size_t n_want)
{
    size_t cap = job->cap ? job->cap : FIRST_CHUNK_BYTES;
    void  *body;

    if (n_want > job->route.max_body_bytes) {
        refuse_size(job);
        return false;
    }
    while (cap < n_want)
        cap *= 2;
    if (cap > job->route.max_body_bytes) cap = job->route.max_body_bytes;
    if (job->n_announced && cap > job->n_announced) cap = job->n_announced;
    if (!charge(job, cap - job->cap)) {
        refuse_memory(job);
        return false;
    }
    body = realloc((void *)job->req.body, cap);
    if (!body) {
        discharge(job, cap - job->cap);
        refuse_memory(job);
        return false;
    }
    job->req.body = body;
    job->cap = cap;
    return true;
}

/* A part of the body. No reply is allowed here, so a refusal waits for the end. */
static void on_part(struct job *job, const char *part, size_t n)
{
    job->n_received += n;
    if (job->peer) job->peer->moved_ms = uv_now(job->h->turn.loop);
    if (job->state != JOB_BODY) return; /* thrown away */
    if (n > job->cap - job->req.n_body && !grow(job, job->req.n_body + n)) return;
    memcpy((char *)job->req.body + job->req.n_body, part, n);
    job->req.n_body += n;
}

/* The body is complete. */
static enum MHD_Result on_end(struct httpd *h, struct job *job)
{
    if (job->route.thread == API_LOOP) {
        handle_here(job);
        return reply(job);
    }
    if (h->hurry) { /* its upload ended after the grace period */
        refuse(job, 503, "draining", "the daemon is stopping");
        return reply(job);
    }
    job->state = JOB_RUNNING;
    if (!pool_push(h->pool, &job->base)) {
        refuse_full(job);
        return reply(job);
    }
    /* The worker may be done already, but its answer comes through this thread, so
     * it cannot resume the connection before we suspend it. */
    job->on_worker = true;
    if (job->peer) peer_work(&h->peers, job->peer, job, job->speaks_11);
    deadline_add(&h->deadline, &job->due);
    MHD_suspend_connection(job->conn);
    h->n_suspended++;
    return MHD_YES;
}

enum MHD_Result conn_on_request(void *cls, struct MHD_Connection *conn, const char *url,
                                const char *method, const char *version, const char *part,
                                size_t *n_part, void **ret_job)
{
    struct httpd *h = cls;
    struct job   *job = *ret_job;

    (void)conn;
    (void)url;
    if (!job) return MHD_NO; /* no memory for it in on_uri */
    h->moved = true;
    if (job->peer) job->peer->n_calls++;
    if (job->state == JOB_OPENED) return on_headers(h, job, method, version);
    if (*n_part > 0) {
        on_part(job, part, *n_part);
        *n_part = 0;
        return MHD_YES;
    }
    switch (job->state) {
    case JOB_BODY:
        return on_end(h, job);
    case JOB_REFUSED:
    case JOB_DONE:
        return job->left ? MHD_NO : reply(job);
    case JOB_OPENED:
    case JOB_RUNNING:
        break; /* suspended: cannot happen */
    }
    return MHD_NO;
}

/* ---- to the worker and back ------------------------------------------------------------ */

void conn_run(void *cls, struct api_worker *worker, struct pool_job *base)
{
    struct httpd *h = cls;
    struct job   *job = (struct job *)base;

    api_handle(h->api, worker, &job->req, &job->resp);
}

/* The one place that resumes. */
static void resume(struct job *job)
{
    deadline_remove(&job->h->deadline, &job->due);
    drop_body(job); /* its memory is worth more than waiting for the reply to be sent */
    job->state = JOB_DONE;
    job->h->n_suspended--;
    enter(job, PEER_REPLY);
    MHD_resume_connection(job->conn);
}

/* `done` says what was done until then. */
static void set_expired(struct job *job, const char *done)
{
    char text[256];

    snprintf(text, sizeof text, "not finished within the deadline of %lld ms: %s",
             (long long)job->h->config->deadline, done);
    if (job->h->hurry)
        set_problem(job, 503, "draining", "the daemon is stopping");
    else
        set_problem(job, 504, "deadline", text);
}

void conn_finish(struct httpd *h, struct pool_job *list)
{
    for (struct pool_job *base = list, *next; base; base = next) {
        struct job *job = (struct job *)base;
        char        done[sizeof job->resp.stopped];

        next = base->next;
        api_count_wait(h->api, base->started_ns - base->pushed_ns);
        /* What got done all the same is sent, late or not: a 504 means that it was not. */
        if (!job->left && job->expired && job->resp.status == 504) {
            memcpy(done, job->resp.stopped, sizeof done);
            set_expired(job, done);
        }
        resume(job);
    }
}

void conn_expire(void *cls, struct due *due)
{
    struct httpd *h = cls;
    struct job   *job = (struct job *)((char *)due - offsetof(struct job, due));

    job->expired = true;
    if (pool_take_back(h->pool, &job->base)) {
        api_count_wait(h->api, job->base.done_ns - job->base.pushed_ns);
        if (!job->left) set_expired(job, "it was not begun");
        resume(job);
    } else {
        atomic_store(&job->stop, true);
    }
}

/* Nobody waits for it any more, so its time is over. */
void conn_left(void *cls, void *waiting)
{
    struct httpd *h = cls;
    struct job   *job = waiting;

    job->left = true;
    h->n_left++;
    deadline_remove(&h->deadline, &job->due);
    conn_expire(h, &job->due);
    httpd_turn_soon(h); /* not now: the caller goes through the list of connections */
}

/* ---- the end ---------------------------------------------------------------------------- */

static void log_request(const struct job *job, enum MHD_RequestTerminationCode code)
{
    const bool      sent = job->replied && code == MHD_REQUEST_TERMINATED_COMPLETED_OK;
    struct log_line l;

    if (job->resp.alarm && log_begin(&l, LOG_WARN, job->resp.code)) {
        log_text(&l, "request", job->request_id);
        log_note(&l, job->resp.note);
        log_text(&l, "text", job->resp.alarm);
        log_end(&l);
    }
    if (job->refused_below) return;
    if (!log_begin(&l, LOG_INFO, sent ? "request" : job->method ? "aborted" : "malformed")) return;
    if (job->method) { /* else the headers could not be read to their end */
        log_text(&l, "request", job->request_id);
        log_text(&l, "method", job->method);
    }
    log_text(&l, "path", job->req.path);
    if (job->replied) log_int(&l, "status", job->resp.status);
    if (job->replied && job->resp.code) log_text(&l, "code", job->resp.code);
    if (job->route.name) log_text(&l, "route", job->route.name);
    if (job->on_worker) {
        log_ms(&l, "queue_ms", job->base.started_ns - job->base.pushed_ns);
        log_ms(&l, "run_ms", job->base.done_ns - job->base.started_ns);
    }
    log_ms(&l, "total_ms", uv_hrtime() - job->opened_ns);
    log_int(&l, "bytes_in", (int64_t)job->n_received);
    log_int(&l, "bytes_out", (int64_t)job->resp.n_body);
    log_note(&l, job->resp.note);
    log_end(&l);
}

void conn_on_completed(void *cls, struct MHD_Connection *conn, void **ret_job,
                       enum MHD_RequestTerminationCode code)
{
    struct httpd *h = cls;
    struct job   *job = *ret_job;

    (void)conn;
    h->moved = true;
    if (!job) return;
    log_request(job, code);
    if (job->peer) job->peer->request = NULL;
    enter(job, PEER_HEADERS);
    if (job->counted) h->n_requests--;
    drop_body(job);
    api_response_fini(&job->resp);
    free(job->accepts);
    free(job);
    *ret_job = NULL;
}

bool conn_is_unreadable(struct MHD_Connection *conn, struct conn_unreadable *ret)
{
    struct peer *peer = peer_of(conn);
    struct job  *job;

    if (!peer) return false; /* there was no memory to know it by */
    job = peer->request;
    *ret = (struct conn_unreadable){.h = peer->owner, .fd = peer->fd};
    if (job) {
        job->refused_below = true;
        if (job->route.name) ret->route = &job->route;
    }
    if (job && job->request_id[0])
        snprintf(ret->id, sizeof ret->id, "%s", job->request_id);
    else
        make_request_id(ret->h, MHD_lookup_connection_value(conn, MHD_HEADER_KIND, "X-Request-Id"),
                        ret->id);
    return true;
}
