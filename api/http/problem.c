/* problem: the one place that knows both the library's statuses and HTTP's. */
#include "http/problem.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/buf.h"
#include "http/media.h"

/* Memory comes back as soon as other requests end. */
enum { RETRY_SECONDS = 1 };

static const struct {
    int         status;
    const char *word;
} table[] = {
#define X(name, status, word) {status, word},
    PROBLEM_MAP(X)
#undef X
};

/* Sent if there is not even memory for an error document. */
static const char last_words[] = "{\"error\": {\"code\": \"no_memory\", \"where\": \"\", \"text\": "
                                 "\"out of memory\", \"request\": \"\"}}\n";

int api_problem_status(enum problem_code code)
{
    return table[code].status;
}

const char *api_problem_word(enum problem_code code)
{
    return table[code].word;
}

enum problem_code api_fail(struct problem *p, enum problem_code code, const char *where,
                           const char *fmt, ...)
{
    if (p->code == P_OK) {
        va_list ap;

        va_start(ap, fmt);
        p->code = code;
        snprintf(p->where, sizeof p->where, "%s", where);
        vsnprintf(p->text, sizeof p->text, fmt, ap);
        va_end(ap);
    }
    return p->code;
}

enum problem_code api_fail_memory(struct problem *p)
{
    return api_fail(p, P_NO_MEMORY, "", "out of memory; try again later");
}

static const char try_again[] = "; try again later";

enum problem_code api_fail_room(struct problem *p, const struct account *a,
                                enum account_purpose purpose, size_t n, const char *what)
{
    static const char *const options[N_POTS] = {
        [POT_BUFFERS] = "buffer-memory",
        [POT_SCRATCH] = "workers and max-scratch",
        [POT_PLANS] = "plan-cache",
        [POT_KEPT] = "memory-limit",
    };
    const char  *option = options[account_pot(purpose)];
    const size_t limit = account_limit(a, purpose);

    if (n > limit)
        return api_fail(p, P_LIMIT, "", "%s would take %zu bytes, and %s leaves %zu", what, n,
                        option, limit);
    if (p->code == P_OK) p->no_buffers = account_pot(purpose) == POT_BUFFERS;
    return api_fail(p, P_BUSY, "", "%s would take %zu bytes, and %s leaves %zu for all together%s",
                    what, n, option, limit, try_again);
}

void api_fail_for_ever(struct problem *p)
{
    char *end = strstr(p->text, try_again);

    p->code = P_LIMIT;
    if (end) *end = '\0';
}

/* No default: the compiler lists a status that nobody mapped. */
static enum problem_code code_of(sn_status s)
{
    switch (s) {
    case SN_E_NO_MEMORY:
        return P_NO_MEMORY;
    case SN_E_IO:
        return P_IO;
    case SN_E_SYNTAX:
        return P_SYNTAX;
    case SN_E_INVALID:
        return P_INVALID;
    case SN_E_UNKNOWN_NAME:
        return P_UNKNOWN_NAME;
    case SN_E_NOT_CANDIDATE:
        return P_NOT_CANDIDATE;
    case SN_E_UNDECIDED:
        return P_UNDECIDED;
    case SN_E_EVALUATE:
        return P_EVALUATE;
    case SN_E_SHAPE:
        return P_SHAPE;
    case SN_E_DTYPE:
        return P_DTYPE;
    case SN_E_UNSUPPORTED:
        return P_UNSUPPORTED;
    case SN_E_LIMIT:
        return P_LIMIT;
    case SN_E_STOPPED:
        return P_STOPPED;
    case SN_E_CHANGED:
        return P_CHANGED;
    case SN_OK:
    case SN_STATUS_COUNT:
        break;
    }
    assert(!"a status that is no failure");
    return P_INVALID;
}

enum problem_code api_fail_library(struct problem *p, const sn_error *err, const char *where)
{
    if (err->code == SN_E_STOPPED) /* whoever has changed something by then says so himself */
        return api_fail(p, P_STOPPED, "", "stopped before it was done; nothing was changed");
    return api_fail(p, code_of(err->code), where ? where : err->where, "%s",
                    err->text[0] ? err->text : sn_status_text(err->code));
}

enum problem_code api_fail_buf(struct problem *p, const struct api_buf *b, const sn_error *err)
{
    if (b->refused)
        return api_fail_room(p, b->account, b->purpose, b->refused,
                             b->purpose == ACCOUNT_REPLIES     ? "the answer"
                             : b->purpose == ACCOUNT_SUPERNETS ? "the document"
                                                               : "what the request says");
    if (b->is_full)
        return api_fail(p, P_LIMIT, "",
                        "the answer takes more than %zu bytes; by --max-body and --buffer-memory "
                        "PUT would not take back so many",
                        b->most);
    if (b->failed) return api_fail_memory(p);
    if (b->stop && atomic_load(b->stop))
        return api_fail(p, P_STOPPED, "", "stopped while the answer was written");
    return api_fail_library(p, err, NULL);
}

enum problem_code api_fail_file(struct problem *p, const sn_error *err)
{
    enum problem_code code = code_of(err->code);

    if (code != P_NO_MEMORY && code != P_CHANGED && api_problem_status(code) != 422)
        code = P_BAD_FILE;
    return api_fail(p, code, err->where, "%s",
                    err->text[0] ? err->text : sn_status_text(err->code));
}

/* All but what the log and the headers want. */
static void drop(struct api_response *ret)
{
    if (ret->source.read) ret->source.free(ret->source.cls);
    if (ret->account) account_discharge(ret->account, ACCOUNT_REPLIES, ret->n_charged);
    free(ret->body);
    ret->source = (struct api_source){0};
    ret->account = NULL;
    ret->body = NULL;
    ret->n_body = ret->n_charged = 0;
}

void api_response_fini(struct api_response *resp)
{
    drop(resp);
    *resp = (struct api_response){0};
}

static void respond(int status, const char *word, const char *where, const char *text,
                    const char *request_id, struct api_response *ret)
{
    struct api_buf b = {0};

    api_buf_text(&b, "{\"error\": {\"code\": ");
    api_buf_string(&b, word);
    api_buf_text(&b, ", \"where\": ");
    api_buf_string(&b, where);
    api_buf_text(&b, ", \"text\": ");
    api_buf_string(&b, text);
    api_buf_text(&b, ", \"request\": ");
    api_buf_string(&b, request_id);
    api_buf_text(&b, "}}\n");

    drop(ret);
    ret->status = status;
    ret->code = word;
    ret->content_type = api_media_name(MEDIA_JSON);
    if (b.failed) {
        api_buf_fini(&b);
        b.at = strdup(last_words);
        b.n = b.at ? sizeof last_words - 1 : 0;
    }
    ret->body = b.at;
    ret->n_body = b.n;
}

void api_problem_respond(const struct problem *p, const char *request_id, struct api_response *ret)
{
    assert(p->code != P_OK);
    respond(table[p->code].status, table[p->code].word, p->where, p->text, request_id, ret);
    ret->retry_after = ret->status == 503 ? RETRY_SECONDS : 0;
    if (p->code == P_STOPPED) snprintf(ret->stopped, sizeof ret->stopped, "%.159s", p->text);
}

/* What the server refuses by itself has its word and status from the same table. */
static bool is_in_table(int status, const char *word)
{
    for (int code = P_OK + 1; code < PROBLEM_COUNT; code++)
        if (table[code].status == status && strcmp(table[code].word, word) == 0) return true;
    return false;
}

void api_problem(int status, const char *code, const char *where, const char *text,
                 const char *request_id, struct api_response *ret)
{
    assert(is_in_table(status, code));
    *ret = (struct api_response){0};
    respond(status, code, where, text, request_id, ret);
}
