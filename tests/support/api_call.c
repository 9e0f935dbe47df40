#include "support/api_call.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "supernet/supernet.h"
#include "supernet/weights.h"

static const char tiny_spec[] =
    "{\"format\": \"supernet/1\", \"name\": \"tiny\",\n"
    " \"inputs\": [{\"name\": \"x\", \"dtype\": \"F32\", \"shape\": [\"N\", 2]}],\n"
    " \"choices\": {\"w\": [1, 2]},\n"
    " \"model\": {\"type\": \"Sequential\", \"layers\": [\n"
    "  {\"name\": \"a\", \"type\": \"Linear\", \"in_features\": 2, \"out_features\": \"w\"},\n"
    "  {\"name\": \"b\", \"type\": \"Linear\", \"in_features\": \"w\", \"out_features\": 1}]}}\n";

static int write_file(void *cls, const void *bytes, size_t n_bytes)
{
    return fwrite(bytes, 1, n_bytes, cls) == n_bytes ? 0 : -1;
}

static void write_model(const char *dir, const char *name, float factor)
{
    static const char *const names[] = {"a.weight", "a.bias", "b.weight", "b.bias"};
    float a_weight[] = {1, 2, 3, 4}, a_bias[] = {0.5f, 0.25f}, b_weight[] = {1, 10}, b_bias[] = {0};
    const sn_shape  square = {2, {2, 2}}, two = {1, {2}}, row = {2, {1, 2}}, one = {1, {1}};
    const sn_tensor tensors[] = {
        sn_tensor_dense(SN_F32, &square, a_weight), sn_tensor_dense(SN_F32, &two, a_bias),
        sn_tensor_dense(SN_F32, &row, b_weight), sn_tensor_dense(SN_F32, &one, b_bias)};
    sn_sink sink = {.write = write_file};
    char    path[256];
    FILE   *f;

    b_weight[0] *= factor;
    b_weight[1] *= factor;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/%s/spec.json", dir, name);
    assert_non_null(f = fopen(path, "w"));
    assert_true(fputs(tiny_spec, f) >= 0);
    assert_int_equal(fclose(f), 0);
    snprintf(path, sizeof path, "%s/%s/weights.safetensors", dir, name);
    assert_non_null(sink.cls = f = fopen(path, "w"));
    assert_int_equal(sn_tensors_write(names, tensors, 4, NULL, NULL, 0, &sink, NULL), SN_OK);
    assert_int_equal(fclose(f), 0);
}

void api_fixture_write_models(char *dir)
{
    assert_non_null(mkdtemp(dir));
    write_model(dir, "tiny", 1);
    write_model(dir, "other", 2);
}

void api_fixture_remove(const char *dir)
{
    char command[256];

    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    assert_int_equal(system(command), 0);
}

struct api *api_fixture_create(const char *dir)
{
    const struct api_config config = {.model_dir = dir,
                                      .plan_cache_bytes = 16 << 20,
                                      .subnet_cache = 8,
                                      .max_body_bytes = 4 << 20,
                                      .max_scratch_bytes = 16 << 20,
                                      .max_batch = 48,
                                      .max_subnets = 16,
                                      .blas_threads = 1};
    char                    why[512] = "";
    struct api             *api = api_create(&config, why, sizeof why);

    assert_string_equal(why, "");
    assert_non_null(api);
    return api;
}

int api_fixture_setup(void **state)
{
    struct api_fixture *f = calloc(1, sizeof *f);
    char                why[512] = "", path[128];

    assert_non_null(f);
    snprintf(f->dir, sizeof f->dir, "/tmp/test_api.XXXXXX");
    api_fixture_write_models(f->dir);
    f->api = api_fixture_create(f->dir);
    snprintf(path, sizeof path, "%s/tiny", f->dir);
    if (!api_load(f->api, "digits", NULL, why, sizeof why) ||
        !api_load(f->api, "tiny", path, why, sizeof why))
        fail_msg("%s", why);
    *state = f;
    return 0;
}

int api_fixture_teardown(void **state)
{
    struct api_fixture *f = *state;

    api_free(f->api);
    api_fixture_remove(f->dir);
    free(f);
    return 0;
}

/* What would be read while it is sent, as a body in memory. */
static void read_source(struct api_response *r)
{
    const struct api_source s = r->source;
    char                   *body;
    size_t                  n = 0, got = 1;

    if (!s.read) return;
    assert_non_null(body = malloc(r->n_body + 1));
    for (; n < r->n_body && got > 0; n += got) /* pieces of odd sizes */
        got = s.read(s.cls, n, body + n, r->n_body - n < 1009 ? r->n_body - n : 1009);
    assert_int_equal(n, r->n_body);
    s.free(s.cls);
    r->source = (struct api_source){0};
    r->body = body;
}

struct answer api_ask(struct api *api, const struct question *q)
{
    char              *method = strdup(q->ask), *path, *query;
    struct api_request req = {.content_type = q->content_type,
                              .content_encoding = q->content_encoding,
                              .accept = q->accept,
                              .origin = q->origin,
                              .request_id = "test-1",
                              .stop = q->stop,
                              .body = q->body,
                              .n_body = q->n_body};
    struct answer      a = {0};
    struct api_worker  worker = {0};

    assert_non_null(method);
    path = strchr(method, ' ');
    assert_non_null(path);
    *path++ = '\0';
    query = strchr(path, '?');
    if (query) *query++ = '\0';
    req.method = method;
    req.path = path;
    req.query = query;
    if (q->body && !q->n_body) req.n_body = strlen(q->body);
    api_handle(api, &worker, &req, &a.resp);
    api_worker_fini(&worker);
    free(method);
    read_source(&a.resp);
    if (a.resp.content_type && strcmp(a.resp.content_type, "application/json") == 0)
        a.json = json_loadb(a.resp.body, a.resp.n_body, JSON_REJECT_DUPLICATES, NULL);
    return a;
}

struct answer api_ask_text(struct api *api, const char *ask, const char *body)
{
    return api_ask(api, &(struct question){.ask = ask, .body = body});
}

void answer_fini(struct answer *a)
{
    json_decref(a->json);
    api_response_fini(&a->resp);
    *a = (struct answer){0};
}

json_t *answer_at(const struct answer *a, const char *path)
{
    json_t *at = a->json;

    while (at && *path) {
        char         key[64];
        const size_t n = strcspn(path, ".");

        assert_true(n < sizeof key);
        memcpy(key, path, n);
        key[n] = '\0';
        at = json_is_array(at) ? json_array_get(at, strtoul(key, NULL, 10))
                               : json_object_get(at, key);
        path += n + (path[n] == '.');
    }
    return at;
}

const char *answer_text(const struct answer *a, const char *path)
{
    const char *text = json_string_value(answer_at(a, path));

    if (!text)
        fail_msg("no text at %s of %.*s", path, (int)a->resp.n_body, (const char *)a->resp.body);
    return text;
}

double answer_number(const struct answer *a, const char *path)
{
    const json_t *json = answer_at(a, path);

    if (!json_is_number(json))
        fail_msg("no number at %s of %.*s", path, (int)a->resp.n_body, (const char *)a->resp.body);
    return json_number_value(json);
}

void api_expect(struct api *api, int status, const char *ask, const char *body)
{
    struct answer a = api_ask_text(api, ask, body);

    if (a.resp.status != status)
        fail_msg("%s: %d instead of %d: %.*s", ask, a.resp.status, status, (int)a.resp.n_body,
                 (const char *)a.resp.body);
    answer_fini(&a);
}
