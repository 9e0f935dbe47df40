/* fuzz_http: a row of requests to a daemon of its own, without sockets. Whatever they are, none is
 * answered with 500, a refusal is a document that says why, the same question has the same
 * answer, and what was charged for it is given back.
 *
 * Bytes decide about requests (calls below), most of them right; slips are put into their bodies,
 * paths and headers. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "api.h"
#include "pipeline.h"
#include "supernet/weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_REQUESTS = 12, ID_BYTES = 33, MOST_IDS = 4 };

struct session {
    struct dice       dice;
    struct api       *api;
    struct api_worker worker;
    char              id[MOST_IDS][ID_BYTES]; /* of subnets in answers, the latest ones */
    int               n_ids;
    struct text       state;      /* of a policy, as it was given */
    bool              misspelled; /* the body that was made last has a key that nobody knows */
};

/* ---- supernets that lie below the model directory --------------------------------------- */

static char model_dir[] = "/tmp/fuzz_http.XXXXXX";

static const struct {
    const char *folder, *spec;
} models[] = {
    {"tiny",
     "{\"format\": \"supernet/1\", \"name\": \"tiny\", \"inputs\": [{\"name\": \"x\", \"shape\": "
     "[\"N\", 2]}], \"choices\": {\"w\": [1, 2]}, \"model\": {\"type\": \"Sequential\", "
     "\"layers\": "
     "[{\"name\": \"a\", \"type\": \"Linear\", \"in_features\": 2, \"out_features\": \"w\"}, "
     "{\"name\": \"b\", \"type\": \"Linear\", \"in_features\": \"w\", \"out_features\": 1}]}}"},
    {"mixed",
     "{\"format\": \"supernet/1\", \"name\": \"mixed\", \"inputs\": [{\"name\": \"x\", \"shape\": "
     "[\"N\", \"L\", 4]}, {\"name\": \"mask\", \"dtype\": \"BOOL\", \"shape\": [\"N\", \"L\"], "
     "\"optional\": true}], \"choices\": {\"heads\": [1, 2], \"d\": [0, 1, 2], \"s/k\": [2, 4]}, "
     "\"model\": {\"type\": \"Graph\", \"inputs\": [\"x\", \"mask\"], \"nodes\": [{\"name\": "
     "\"attn\", \"type\": \"MultiheadAttention\", \"embed_dim\": 4, \"num_heads\": \"heads\", "
     "\"batch_first\": true, \"inputs\": {\"query\": \"x\", \"key\": \"x\", \"value\": \"x\", "
     "\"key_padding_mask\": \"mask\"}}, {\"name\": \"body\", \"type\": \"Repeat\", \"depth\": "
     "\"d\", "
     "\"block\": {\"type\": \"LayerChoice\", \"label\": \"op\", \"candidates\": [{\"name\": "
     "\"fc\", "
     "\"type\": \"Linear\", \"in_features\": 4, \"out_features\": 4}, {\"name\": \"act\", "
     "\"type\": "
     "\"ReLU\"}]}, \"inputs\": [\"attn\"]}, {\"name\": \"pick\", \"type\": \"InputChoice\", "
     "\"label\": \"in\", \"n_candidates\": 3, \"n_chosen\": null, \"reduction\": \"mean\", "
     "\"inputs\": [\"x\", \"attn\", \"body\"]}, {\"name\": \"y\", \"type\": \"Sequential\", "
     "\"layers\": [{\"type\": \"Linear\", \"in_features\": 4, \"out_features\": "
     "\"choice('s/k')\"}, "
     "{\"type\": \"BatchNorm2d\", \"num_features\": 3}], \"inputs\": [\"pick\"]}], \"outputs\": "
     "[\"pick\", \"attn.1\", \"y\"]}}"},
    {"cells",
     "{\"format\": \"supernet/1\", \"name\": \"cells\", \"inputs\": [{\"name\": \"x\", \"shape\": "
     "[\"N\", 3, 4, 4]}], \"model\": {\"type\": \"Sequential\", \"layers\": [{\"type\": \"Cell\", "
     "\"label\": \"c\", \"num_nodes\": 2, \"candidates\": [{\"name\": \"conv\", \"type\": "
     "\"Conv2d\", \"in_channels\": 3, \"out_channels\": 3, \"kernel_size\": 3, \"padding\": 1}, "
     "{\"name\": \"pool\", \"type\": \"MaxPool2d\", \"kernel_size\": 3, \"stride\": 1, "
     "\"padding\": "
     "1}]}, {\"type\": \"Mean\", \"dim\": [2, 3]}]}}"},
    {"broken", "{\"format\": \"supernet/1\", \"inputs\": [}"},
};

static int write_file(void *cls, const void *bytes, size_t n_bytes)
{
    return fwrite(bytes, 1, n_bytes, cls) == n_bytes ? 0 : -1;
}

static void write_model(const char *folder, const char *spec, sn_registry *reg)
{
    struct loaded l;
    sn_error      err = {0};
    char          path[128];
    FILE         *f;

    snprintf(path, sizeof path, "%s/%s", model_dir, folder);
    REQUIRE(mkdir(path, 0700) == 0, "%s", path);
    snprintf(path, sizeof path, "%s/%s/spec.json", model_dir, folder);
    REQUIRE((f = fopen(path, "w")), "%s", path);
    write_file(f, spec, strlen(spec));
    fclose(f);
    if (!pipeline_load(spec, strlen(spec), 2, reg, &l, &err)) return;
    snprintf(path, sizeof path, "%s/%s/weights.safetensors", model_dir, folder);
    REQUIRE((f = fopen(path, "w")), "%s", path);
    write_file(f, l.bytes, l.n_bytes);
    fclose(f);
    loaded_fini(&l);
}

static void remove_models(void)
{
    char path[128];

    for (size_t i = 0; i < COUNT(models); i++) {
        snprintf(path, sizeof path, "%s/%s/spec.json", model_dir, models[i].folder);
        unlink(path);
        snprintf(path, sizeof path, "%s/%s/weights.safetensors", model_dir, models[i].folder);
        unlink(path);
        snprintf(path, sizeof path, "%s/%s", model_dir, models[i].folder);
        rmdir(path);
    }
    rmdir(model_dir);
}

static void write_models(void)
{
    sn_registry *reg;

    REQUIRE(mkdtemp(model_dir), "%s", model_dir);
    atexit(remove_models);
    REQUIRE(sn_registry_create(&reg, NULL) == SN_OK, "registry");
    for (size_t i = 0; i < COUNT(models); i++)
        write_model(models[i].folder, models[i].spec, reg);
    sn_registry_unref(reg);
}

static void open_session(struct session *s)
{
    static bool             written;
    const struct api_config config = {.model_dir = model_dir,
                                      .plan_cache_bytes = 256 << 10,
                                      .subnet_cache = 4,
                                      .max_body_bytes = 64 << 10,
                                      .max_scratch_bytes = 256 << 10,
                                      .max_batch = 8,
                                      .max_subnets = 4,
                                      .pot_bytes = {[POT_BUFFERS] = 4 << 20,
                                                    [POT_SCRATCH] = 4 << 20,
                                                    [POT_PLANS] = 4 << 20,
                                                    [POT_KEPT] = 16 << 20},
                                      .blas_threads = 1};
    char                    why[512] = "", path[128];

    if (!written) write_models();
    written = true;
    s->api = api_create(&config, why, sizeof why);
    REQUIRE(s->api, "%s", why);
    snprintf(path, sizeof path, "%s/tiny", model_dir);
    REQUIRE(api_load(s->api, "tiny", path, why, sizeof why), "%s", why);
    snprintf(path, sizeof path, "%s/mixed", model_dir);
    if (dice_below(&s->dice, 2))
        REQUIRE(api_load(s->api, "mixed", path, why, sizeof why), "%s", why);
    if (dice_once_in(&s->dice, 8))
        REQUIRE(api_load(s->api, "digits", NULL, why, sizeof why), "%s", why);
}

/* ---- what may be asked ----------------------------------------------------------------------- */

#define ONE "/v1/supernets/{m}"

/* {m}: a supernet, {p}: a policy, {i}: an id, {d}: a folder, {c}: choices, {x}: inputs, {f}: a
 * class of policies, {s}: a state, {r}: a small number. */
static const struct call {
    const char *ask, *body;
} calls[] = {
    {"POST " ONE "/forward", "{\"inputs\": {x}}"},
    {"POST " ONE "/forward", "{\"inputs\": {x}, \"choices\": {c}}"},
    {"POST " ONE "/forward", "{\"inputs\": {x}, \"subnet\": \"{i}\"}"},
    {"POST " ONE "/forward", "{\"inputs\": {x}, \"subnets\": [\"{i}\", {c}, {c}]}"},
    {"POST " ONE "/forward", "{\"inputs\": {x}, \"policy\": \"{p}\", \"seed\": {r}}"},
    {"POST " ONE "/forward", "{\"inputs\": {x}, \"choices\": {c}, \"policy\": \"{f}\"}"},
    {"POST " ONE "/forward", "{\"inputs\": {x}, \"policy\": \"gumbel\", \"alpha\": "
                             "{\"w\": [0, 1], \"op\": [1, {r}]}}"},
    {"POST " ONE "/forward", "{\"inputs\": {x}, \"choices\": {c}, \"mode\": \"train\"}"},
    {"POST " ONE "/forward", "\x01{\"choices\": {c}}"},
    {"POST " ONE "/forward?subnet={i}", "\x01{}"},
    {"POST " ONE "/forward?policy={p}&seed={r}&mode=eval", "\x01{\"version\": \"1\"}"},
    {"GET /v1/supernets", NULL},
    {"GET " ONE, NULL},
    {"PUT " ONE, "{\"path\": \"{d}\"}"},
    {"DELETE " ONE, NULL},
    {"GET " ONE "/space", NULL},
    {"POST " ONE "/resample", "{\"seed\": {r}}"},
    {"POST " ONE "/resample", "{\"policy\": \"{f}\", \"seed\": {r}, \"count\": {r}}"},
    {"POST " ONE "/resample", "{\"policy\": \"{p}\", \"memo\": {c}}"},
    {"POST " ONE "/resample", NULL},
    {"GET " ONE "/choices", NULL},
    {"PUT " ONE "/choices", "{\"choices\": {c}}"},
    {"PUT " ONE "/choices", "{\"choices\": {c}, \"complete\": true, \"seed\": {r}}"},
    {"PUT " ONE "/choices", "{c}"},
    {"POST " ONE "/subnets", "{\"choices\": {c}}"},
    {"POST " ONE "/subnets", "{\"choices\": {c}, \"policy\": \"max\"}"},
    {"GET " ONE "/subnets/{i}", NULL},
    {"DELETE " ONE "/subnets/{i}", NULL},
    {"GET " ONE "/export?format=spec", NULL},
    {"GET " ONE "/export?format=choices&subnet={i}", NULL},
    {"GET " ONE "/export?format=safetensors", NULL},
    {"GET " ONE "/export?format=probs&policy={p}", NULL},
    {"GET " ONE "/export?format=spec&policy={f}&seed={r}", NULL},
    {"GET " ONE "/export", NULL},
    {"GET " ONE "/policies", NULL},
    {"GET " ONE "/policies/{p}", NULL},
    {"PUT " ONE "/policies/{p}", "{\"policy\": \"{f}\"}"},
    {"PUT " ONE "/policies/{p}", "{\"policy\": \"gumbel\", \"seed\": {r}, \"temperature\": 0.5}"},
    {"PUT " ONE "/policies/{p}", "{\"policy\": \"enas\", \"lstm_size\": 4, \"seed\": {r}}"},
    {"PUT " ONE "/policies/{p}", "{\"policy\": \"differentiable\", \"alpha\": {\"w\": [1, {r}]}}"},
    {"DELETE " ONE "/policies/{p}", NULL},
    {"GET " ONE "/policies/{p}/alpha", NULL},
    {"PUT " ONE "/policies/{p}/alpha", "{\"alpha\": {\"w\": [{r}, 0.5]}, \"temperature\": 2}"},
    {"PUT " ONE "/policies/{p}/alpha", "{\"alpha\": {\"op\": [-0.0, 1e-3], \"in\": [1, 2, {r}]}}"},
    {"POST " ONE "/policies/{p}/reward", "{\"reward\": 0.{r}}"},
    {"POST " ONE "/policies/{p}/reward",
     "{\"rewards\": [{\"choices\": {c}, \"reward\": {r}}], \"entropy_weight\": 0.1}"},
    {"GET " ONE "/policies/{p}/state", NULL},
    {"PUT " ONE "/policies/{p}/state", "{s}"},
    {"GET " ONE "/alpha", NULL},
    {"PUT " ONE "/alpha", "{\"alpha\": {\"w\": [0, {r}]}}"},
    {"GET /healthz", NULL},
    {"GET /readyz", NULL},
    {"GET /metrics", NULL},
    {"GET /openapi.json", NULL},
};

static void fill_choices(struct session *s, struct text *t)
{
    static const char *const members[] = {"\"w\": 1",
                                          "\"w\": 2",
                                          "\"heads\": 2",
                                          "\"heads\": 1",
                                          "\"d\": 0",
                                          "\"d\": 2",
                                          "\"s/k\": 4",
                                          "\"op\": \"fc\"",
                                          "\"op\": [\"fc\", \"act\"]",
                                          "\"in\": [0, 2]",
                                          "\"in\": 1",
                                          "\"op\": \"act\"",
                                          "\"w\": 3",
                                          "\"w\": 1.0",
                                          "\"in\": []",
                                          "\"c/op_1_0\": \"conv\"",
                                          "\"d\": 1",
                                          "\"s/k\": 2",
                                          "\"q\": null"};
    static const char *const whole[] = {
        "{\"w\": 2}", "{\"heads\": 2, \"d\": 1, \"s/k\": 4, \"op\": \"fc\", \"in\": [0, 1]}",
        "{\"w\": 1}", "{\"heads\": 1, \"d\": 0, \"s/k\": 2, \"in\": 2}"};

    if (!dice_once_in(&s->dice, 3)) {
        text_printf(t, "%s", whole[dice_below(&s->dice, COUNT(whole))]);
        return;
    }
    text_printf(t, "{");
    for (unsigned n = dice_below(&s->dice, 5), i = 0; i < n; i++)
        text_printf(t, "%s%s", i ? ", " : "", members[dice_below(&s->dice, COUNT(members))]);
    text_printf(t, "}");
}

static void fill(struct session *s, char what, struct text *t)
{
    static const char *const names[] = {"tiny",   "mixed", "tiny",   "mixed",   "cells",
                                        "digits", "new",   "t%69ny", "no-such", "..",
                                        "%00",    "a%2Fb", ""};
    static const char *const policies[] = {"p",      "default", "q",   "path",
                                           "gumbel", "max",     "%zz", "a b"};
    static const char *const folders[] = {"tiny", "mixed", "cells",          "broken", "../tiny",
                                          "",     "/tmp",  "tiny/spec.json", "none",   "."};
    static const char *const types[] = {"path", "gumbel", "differentiable", "proxyless", "enas",
                                        "max",  "min",    "random",         "none"};
    static const char *const inputs[] = {
        "{\"x\": [[1, 2]]}",
        "{\"x\": [[[1, 2, 3, 4], [0.5, -1e-3, 0, 1]]]}",
        "{\"x\": [[1, 2], [3, 4], [-0.0, 1e30]]}",
        "{\"x\": [[[1, 2, 3, 4], [4, 3, 2, 1]]], \"mask\": [[false, true]]}",
        "{\"x\": []}",
        "{\"x\": [[[[1,2,3,4],[1,2,3,4],[1,2,3,4],[1,2,3,4]],[[1,2,3,4],[1,2,3,4],[1,2,3,4],[1,2,3,"
        "4]],[[1,2,3,4],[1,2,3,4],[1,2,3,4],[1,2,3,4]]]]}",
        "{\"x\": [[1, 2], [1, 2], [1, 2], [1, 2], [1, 2], [1, 2], [1, 2], [1, 2], [1, 2]]}"};

#define ONE_OF(list) list[dice_below(&s->dice, COUNT(list))]
    switch (what) {
    case 'm':
        text_printf(t, "%s", ONE_OF(names));
        break;
    case 'p':
        text_printf(t, "%s", ONE_OF(policies));
        break;
    case 'd':
        text_printf(t, "%s", ONE_OF(folders));
        break;
    case 'f':
        text_printf(t, "%s", ONE_OF(types));
        break;
    case 'x':
        text_printf(t, "%s", ONE_OF(inputs));
        break;
    case 'c':
        fill_choices(s, t);
        break;
    case 'r':
        text_printf(t, "%u", dice_below(&s->dice, 6));
        break;
    case 's':
        text_printf(t, "%s", s->state.at ? s->state.at : "{}");
        break;
    default:
        if (s->n_ids && !dice_once_in(&s->dice, 6))
            text_printf(t, "%s", s->id[dice_below(&s->dice, (unsigned)s->n_ids)]);
        else
            text_printf(t, "0123456789abcdef0123456789abcdef");
    }
#undef ONE_OF
}

static void expand(struct session *s, const char *pattern, struct text *t)
{
    text_add(t, "", 0);
    for (; *pattern; pattern++)
        if (pattern[0] == '{' && strchr("mpidcxfsr", pattern[1]) && pattern[2] == '}') {
            fill(s, pattern[1], t);
            pattern += 2;
        } else {
            text_add(t, pattern, 1);
        }
}

/* A body of tensors, `metadata` being an object of texts, or of choices. */
static int append(void *cls, const void *bytes, size_t n_bytes)
{
    text_add(cls, bytes, n_bytes);
    return 0;
}

static void tensor_body(struct session *s, const char *metadata, struct text *ret)
{
    static const sn_shape shapes[] = {{2, {1, 2}}, {3, {1, 2, 4}}, {2, {3, 2}},   {4, {1, 3, 4, 4}},
                                      {2, {0, 2}}, {2, {9, 2}},    {3, {2, 1, 4}}};
    static const sn_dtype dtypes[] = {SN_F32, SN_F32, SN_F16, SN_F64, SN_BF16, SN_I64};
    static const char *const keys[] = {"choices", "version", "subnet", "policy", "chioces", "mode"};
    unsigned char            numbers[1024];
    const sn_shape          *shape =
        &shapes[dice_once_in(&s->dice, 2) ? dice_below(&s->dice, COUNT(shapes)) : 0];
    const sn_dtype dtype = dtypes[dice_below(&s->dice, COUNT(dtypes))];
    const char    *name[] = {"x", "mask"}, *key[2], *value[2];
    json_t        *json = json_loads(metadata, 0, NULL);
    json_t        *member = json_object_get(json, "choices");
    char          *text = member ? json_dumps(member, JSON_COMPACT) : NULL;
    const sn_sink  sink = {append, ret};
    size_t         n_meta = 0;
    sn_tensor      tensor[2];
    struct text    header = {0};
    uint64_t       n;

    for (size_t i = 0; i < sizeof numbers; i++)
        numbers[i] = (unsigned char)(i % 4 == 3 ? 0x3e : i * 37);
    tensor[0] = sn_tensor_dense(dtype, shape, numbers);
    tensor[1] = sn_tensor_dense(SN_BOOL, &(sn_shape){2, {1, 2}}, (unsigned char[]){0, 1});
    if (text) {
        key[n_meta] = "choices";
        value[n_meta++] = text;
    }
    if (dice_once_in(&s->dice, 2)) {
        key[n_meta] = keys[text ? 1 + dice_below(&s->dice, COUNT(keys) - 1)
                                : dice_below(&s->dice, COUNT(keys))];
        s->misspelled = strcmp(key[n_meta], "chioces") == 0;
        value[n_meta++] = s->n_ids ? s->id[0] : "1";
    }
    sn_tensors_write(name, tensor, shape->rank == 3 && dice_once_in(&s->dice, 2) ? 2 : 1, key,
                     value, n_meta, &sink, NULL);
    if (dice_once_in(&s->dice, 5) && ret->n > 8) { /* a slip in the header */
        s->misspelled = false;
        memcpy(&n, ret->at, 8);
        text_add(&header, ret->at + 8, (size_t)n);
        grammar_slip(&s->dice, &header);
        text_add(&header, ret->at + 8 + n, ret->n - 8 - (size_t)n);
        if (header.n >= ret->n - 8) n += header.n - (ret->n - 8);
        ret->n = 0;
        text_add(ret, (char *)&n, 8);
        text_add(ret, header.at, header.n);
        free(header.at);
    }
    if (dice_once_in(&s->dice, 12)) ret->n = dice_below(&s->dice, (unsigned)ret->n + 1);
    free(text);
    json_decref(json);
}

/* ---- asking
 * --------------------------------------------------------------------------------------- */

static void read_all(struct api_response *resp, struct text *ret)
{
    char     part[777];
    uint64_t at = 0;
    size_t   n;

    text_add(ret, "", 0);
    if (!resp->source.read) {
        text_add(ret, resp->body ? resp->body : "", resp->body ? resp->n_body : 0);
        return;
    }
    while (at < resp->n_body) {
        n = resp->source.read(resp->source.cls, at, part, sizeof part);
        REQUIRE(n > 0 && n <= sizeof part, "a source ends early");
        text_add(ret, part, n);
        at += n;
    }
    REQUIRE(at == resp->n_body, "a source is longer than it said");
}

/* Ids that answers mention are asked for later. */
static void remember_ids(struct session *s, const struct text *body)
{
    const char *at = body->at;

    while ((at = strstr(at, "\"id\": \""))) {
        at += 7;
        if (strlen(at) < ID_BYTES || at[32] != '"') continue;
        snprintf(s->id[s->n_ids < MOST_IDS ? s->n_ids++ : MOST_IDS - 1], ID_BYTES, "%.32s", at);
    }
}

static void check_problem(const struct api_response *resp, const struct text *body)
{
    json_t     *json, *error;
    const char *code, *text, *request;

    REQUIRE(resp->content_type && strcmp(resp->content_type, "application/json") == 0, "%d",
            resp->status);
    json = json_loadb(body->at, body->n, JSON_REJECT_DUPLICATES, NULL);
    error = json_object_get(json, "error");
    code = json_string_value(json_object_get(error, "code"));
    text = json_string_value(json_object_get(error, "text"));
    request = json_string_value(json_object_get(error, "request"));
    REQUIRE(code && *code && text && *text && request && strcmp(request, "fuzz-1") == 0, "%.*s",
            (int)body->n, body->at);
    REQUIRE(json_is_string(json_object_get(error, "where")), "%.*s", (int)body->n, body->at);
    json_decref(json);
}

static void ask(struct session *s, const struct api_request *req, struct api_response *resp,
                struct text *body)
{
    static const int known[] = {200, 201, 204, 400, 403, 404, 405, 406,
                                409, 413, 415, 422, 429, 503, 504};
    bool             is_known = false;

    api_handle(s->api, &s->worker, req, resp);
    read_all(resp, body);
    for (size_t i = 0; i < COUNT(known); i++)
        is_known |= resp->status == known[i];
    REQUIRE(is_known, "%s %s: %d: %.*s", req->method, req->path, resp->status, (int)body->n,
            body->at);
    if (resp->status >= 400 && strcmp(req->method, "HEAD") != 0) check_problem(resp, body);
    if (resp->status < 300 && resp->content_type &&
        strcmp(resp->content_type, "application/json") == 0 && strcmp(req->method, "HEAD") != 0) {
        json_t *json =
            json_loadb(body->at, body->n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);

        REQUIRE(json, "%s %s: no JSON: %.*s", req->method, req->path, (int)body->n, body->at);
        json_decref(json);
    }
}

/* Does the question alone decide about the answer? Draws of policies are remembered, and clocks
 * go on. */
static bool is_repeatable(const struct api_request *req)
{
    if (strcmp(req->path, "/metrics") == 0 || strcmp(req->path, "/healthz") == 0) return false;
    if (req->query && strstr(req->query, "policy")) return false;
    if (strcmp(req->method, "GET") == 0) return strstr(req->path, "export") == NULL || req->query;
    return strstr(req->path, "/forward") && req->body &&
           !memmem(req->body, req->n_body, "policy", 6);
}

static void one_request(struct session *s)
{
    static const char *const methods[] = {"GET",  "PUT",     "POST",  "DELETE",
                                          "HEAD", "OPTIONS", "PATCH", "X"};
    static const char *const types[] = {"application/json",
                                        "application/x-safetensors",
                                        "text/plain",
                                        "application/json; charset=utf-8",
                                        "",
                                        "*/*",
                                        "application/x-safetensors, application/json;q=0.5"};
    const struct call       *call = &calls[dice_below(&s->dice, COUNT(calls))];
    struct text              ask_text = {0}, body = {0}, answer = {0}, again = {0};
    struct api_request       req = {.request_id = "fuzz-1"};
    struct api_response      resp, resp_again;
    char                    *exact = NULL, *query;
    size_t                   at;

    s->misspelled = false;
    expand(s, call->ask, &ask_text);
    if (call->body && call->body[0] == 1) {
        struct text metadata = {0};

        expand(s, call->body + 1, &metadata);
        tensor_body(s, metadata.at, &body);
        free(metadata.at);
        req.content_type = types[1];
    } else if (call->body) {
        expand(s, call->body, &body);
        if (dice_once_in(&s->dice, 4)) grammar_slip(&s->dice, &body);
        req.content_type = types[0];
    }
    if (dice_once_in(&s->dice, 12) && body.n) { /* any byte */
        at = dice_below(&s->dice, 256) * body.n / 256;
        body.at[at] = (char)dice_below(&s->dice, 256);
        s->misspelled = false;
    }
    if (dice_once_in(&s->dice, 16)) { /* of the path as well */
        at = dice_below(&s->dice, 256) * ask_text.n / 256;
        if (at > 7) ask_text.at[at] = "%/?&=.~a"[dice_below(&s->dice, 8)];
        s->misspelled = false;
    }
    if (dice_once_in(&s->dice, 16)) req.content_type = types[dice_below(&s->dice, COUNT(types))];
    if (dice_once_in(&s->dice, 4)) req.accept = types[dice_below(&s->dice, COUNT(types))];
    if (dice_once_in(&s->dice, 32))
        req.content_encoding = dice_below(&s->dice, 2) ? "gzip" : "identity";
    req.method = ask_text.at;
    req.path = strchr(ask_text.at, ' ');
    *(char *)req.path++ = '\0';
    query = strchr(req.path, '?');
    if (query) *query++ = '\0';
    req.query = query;
    if (dice_once_in(&s->dice, 32)) { /* some read no body */
        req.method = methods[dice_below(&s->dice, COUNT(methods))];
        s->misspelled = false;
    }
    if (call->body) { /* to the byte, so that reading on is seen */
        exact = malloc(body.n);
        memcpy(exact, body.at, body.n);
        req.body = exact;
        req.n_body = body.n;
    }
    if (getenv("FUZZ_SHOW"))
        fprintf(stderr, "%s %s?%s %s\n%.*s\n", req.method, req.path, query ? query : "",
                req.content_type ? req.content_type : "", (int)req.n_body, (const char *)req.body);
    ask(s, &req, &resp, &answer);
    if (getenv("FUZZ_SHOW"))
        fprintf(stderr, "-> %d %.*s\n", resp.status, (int)(answer.n < 500 ? answer.n : 500),
                answer.at);
    remember_ids(s, &answer);
    REQUIRE(!s->misspelled || resp.status >= 400, "a key that nobody knows is taken: %d",
            resp.status);
    if (is_repeatable(&req)) {
        ask(s, &req, &resp_again, &again);
        REQUIRE(resp.status == resp_again.status && answer.n == again.n &&
                    memcmp(answer.at, again.at, answer.n) == 0,
                "%s %s is answered with %d %.*s, then with %d %.*s", req.method, req.path,
                resp.status, (int)answer.n, answer.at, resp_again.status, (int)again.n, again.at);
        api_response_fini(&resp_again);
    }
    if (resp.status == 200 && strstr(req.path, "/state") && strcmp(req.method, "GET") == 0) {
        s->state.n = 0;
        text_add(&s->state, answer.at, answer.n);
    }
    api_response_fini(&resp);
    free(exact);
    free(ask_text.at);
    free(body.at);
    free(answer.at);
    free(again.at);
}

static void unload(struct session *s, const char *name)
{
    char                     path[256];
    const struct api_request req = {.method = "DELETE", .path = path, .request_id = "fuzz-1"};
    struct api_response      resp;

    snprintf(path, sizeof path, "/v1/supernets/%s", name);
    api_handle(s->api, &s->worker, &req, &resp);
    REQUIRE(resp.status == 204, "%s: %d", path, resp.status);
    api_response_fini(&resp);
}

/* What passes is given back at once, what was loaded when it is unloaded. */
static void close_session(struct session *s)
{
    const struct api_request req = {
        .method = "GET", .path = "/v1/supernets", .request_id = "fuzz-1"};
    struct account     *account = api_account(s->api);
    struct api_response resp;
    struct text         body = {0};
    json_t             *json, *one;
    size_t              i;

    ask(s, &req, &resp, &body);
    json = json_loadb(body.at, body.n, 0, NULL);
    json_array_foreach(json_object_get(json, "supernets"), i, one)
        unload(s, json_string_value(json_object_get(one, "name")));
    json_decref(json);
    free(body.at);
    api_response_fini(&resp);
    api_worker_fini(&s->worker);
    for (int k = 0; k < N_PURPOSES; k++)
        REQUIRE(account_used(account, k) == 0, "%zu bytes of %s are not given back",
                account_used(account, k), account_name(k));
    api_free(s->api);
    free(s->state.at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct session s = {.dice = {data, data + size}};

    open_session(&s);
    for (int n = 0; n < MOST_REQUESTS && s.dice.at < s.dice.end; n++)
        one_request(&s);
    close_session(&s);
    return 0;
}
