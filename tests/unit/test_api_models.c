/* loading, replacing, unloading; the caches and what /metrics says about them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <time.h>

#include <cmocka.h>

#include "resident/resident.h"
#include "support/api_call.h"

#define T   "/v1/supernets/tiny"
#define RUN "POST " T "/forward"
#define X   "{\"inputs\": {\"x\": [[1, 2]]}}"

static struct api_fixture *fixture_of(void **state)
{
    return *state;
}

static double output(const struct answer *a)
{
    return answer_number(a, "results.0.outputs.output.0.0");
}

static void what_is_loaded_is_described(void **state)
{
    struct answer a = api_ask_text(fixture_of(state)->api, "GET /v1/supernets", NULL);
    struct answer b = api_ask_text(fixture_of(state)->api, "GET " T, NULL);

    assert_int_equal(json_array_size(answer_at(&a, "supernets")), 2);
    assert_string_equal(answer_text(&a, "supernets.0.name"), "digits");
    assert_string_equal(answer_text(&a, "supernets.0.source"), "built-in");
    assert_null(answer_at(&a, "supernets.0.modules"));
    assert_string_equal(answer_text(&b, "name"), "tiny");
    assert_int_equal(answer_number(&b, "version"), 2);
    assert_int_equal(answer_number(&b, "parameters"), 9);
    assert_string_equal(answer_text(&b, "space_size"), "2");
    assert_string_equal(answer_text(&b, "inputs.0.shape.0"), "N");
    assert_int_equal(answer_number(&b, "inputs.0.shape.1"), 2);
    assert_true(json_is_null(answer_at(&b, "current")));
    assert_int_equal(json_array_size(answer_at(&b, "modules")), 3);
    assert_string_equal(answer_text(&b, "modules.1.path"), "a");
    assert_int_equal(answer_number(&b, "modules.1.parent"), 0);
    assert_int_equal(answer_number(&b, "modules.1.parameters"), 6);
    answer_fini(&a);
    answer_fini(&b);
}

static void the_space_is_described(void **state)
{
    struct answer a = api_ask_text(fixture_of(state)->api, "GET /v1/supernets/digits/space", NULL);
    json_t       *choices = answer_at(&a, "choices"), *choice;
    size_t        i;
    double        size = 1;

    json_array_foreach(choices, i, choice)
    {
        assert_true(json_array_size(json_object_get(choice, "users")) > 0);
        size *= (double)json_array_size(json_object_get(choice, "candidates"));
    }
    assert_int_equal(json_array_size(choices), 17);
    assert_float_equal(strtod(answer_text(&a, "size"), NULL), size, 0.5);
    answer_fini(&a);
}

static void a_reload_keeps_ids_and_changes_weights(void **state)
{
    struct api   *api = fixture_of(state)->api;
    struct answer before, put, after;
    char          ask[128];

    api_expect(api, 200, "PUT " T "/choices", "{\"w\": 2}");
    before = api_ask_text(api, RUN, X);
    put = api_ask_text(api, "PUT " T, "{\"path\": \"other\"}");
    assert_int_equal(put.resp.status, 200);
    assert_int_equal(answer_number(&put, "version"), 3);
    assert_string_equal(answer_text(&put, "source"), "other");
    after = api_ask_text(api, RUN, X);
    assert_int_equal(after.resp.status, 200);
    assert_int_equal(answer_number(&after, "results.0.version"), 3);
    assert_string_equal(answer_text(&before, "results.0.subnet"),
                        answer_text(&after, "results.0.subnet"));
    assert_float_equal(output(&after), 2 * output(&before), 1e-3);
    snprintf(ask, sizeof ask, "GET " T "/subnets/%s", answer_text(&before, "results.0.subnet"));
    api_expect(api, 200, ask, NULL);
    answer_fini(&before);
    answer_fini(&put);
    answer_fini(&after);
}

static void another_specification_starts_afresh(void **state)
{
    struct api_fixture *f = fixture_of(state);
    char                command[512];

    snprintf(command, sizeof command,
             "mkdir %s/three && sed 's/: .1, 2./: [1]/' %s/tiny/spec.json > %s/three/spec.json && "
             "cp %s/tiny/weights.safetensors %s/three",
             f->dir, f->dir, f->dir, f->dir, f->dir);
    assert_int_equal(system(command), 0);
    api_expect(f->api, 200, "PUT " T "/choices", "{\"w\": 2}");
    api_expect(f->api, 422, "PUT " T, "{\"path\": \"three\"}"); /* weights of another shape */
    api_expect(f->api, 200, "GET " T "/choices", NULL);         /* the old one serves on */
    api_expect(f->api, 201, "PUT /v1/supernets/new", "{\"path\": \"tiny\"}");
    api_expect(f->api, 409, "GET /v1/supernets/new/choices", NULL);
    api_expect(f->api, 204, "DELETE /v1/supernets/new", NULL);
    api_expect(f->api, 404, "GET /v1/supernets/new", NULL);
}

/* Each command prepares a folder `x` in the model directory, with the words of the
 * refusal. */
static const struct {
    const char *name, *command, *code, *text;
} bad_folders[] = {
    {"a link out of the directory", "ln -s /etc x", "io", ""},
    {"a specification linked from elsewhere",
     "cp -r tiny x && rm x/spec.json && ln -s /etc/passwd x/spec.json", "invalid", "leads out"},
    {"weights linked from elsewhere",
     "cp -r tiny x && mv x/weights.safetensors ../test_api_outside && "
     "ln -s ../../test_api_outside x/weights.safetensors",
     "invalid", "leads out"},
    {"a folder linked from elsewhere",
     "cp -r tiny ../test_api_outside.d && ln -s ../test_api_outside.d x", "invalid", "leads out"},
    {"no weights", "cp -r tiny x && rm x/weights.safetensors", "io", ""},
    {"a file for a folder", "touch x", "io", ""},
    {"a folder for a file", "cp -r tiny x && rm x/spec.json && mkdir x/spec.json", "io", "regular"},
    {"no JSON", "cp -r tiny x && echo hello > x/spec.json", "bad_file", ""},
    {"an empty specification", "cp -r tiny x && : > x/spec.json", "bad_file", ""},
    {"another format", "cp -r tiny x && sed -i s,supernet/1,supernet/9, x/spec.json", "unsupported",
     ""},
    {"an unknown operator", "cp -r tiny x && sed -i s/Linear/Bilinear/ x/spec.json", "unknown_name",
     "Bilinear"},
    {"weights cut short", "cp -r tiny x && truncate -s 60 x/weights.safetensors", "bad_file", ""},
    {"empty weights", "cp -r tiny x && : > x/weights.safetensors", "bad_file", ""},
};

/* What export gives is such a network. */
static void with_nothing_to_choose_nothing_need_be_chosen(void **state)
{
    struct api_fixture *f = fixture_of(state);
    char                command[1024];
    struct answer       a;

    snprintf(command, sizeof command,
             "mkdir %s/fixed && sed 's/: .1, 2./: [2]/' %s/tiny/spec.json > %s/fixed/spec.json && "
             "sed -i 's/\"choices\": {[^}]*}, *//; s/\"w\"/2/g' %s/fixed/spec.json && "
             "cp %s/tiny/weights.safetensors %s/fixed",
             f->dir, f->dir, f->dir, f->dir, f->dir, f->dir);
    assert_int_equal(system(command), 0);
    api_expect(f->api, 201, "PUT /v1/supernets/fixed", "{\"path\": \"fixed\"}");
    a = api_ask_text(f->api, "POST /v1/supernets/fixed/forward", X);
    assert_int_equal(a.resp.status, 200);
    assert_float_equal(output(&a), 5.5 + 10 * 11.25, 1e-3);
    answer_fini(&a);
    api_expect(f->api, 200, "GET /v1/supernets/fixed/choices", NULL);
    api_expect(f->api, 200, "GET /v1/supernets/fixed/export?format=spec", NULL);
    api_expect(f->api, 200, "PUT /v1/supernets/fixed", "{\"path\": \"fixed\"}");
    api_expect(f->api, 200, "POST /v1/supernets/fixed/forward", X);
    api_expect(f->api, 204, "DELETE /v1/supernets/fixed", NULL);
}

static void a_folder_that_cannot_be_loaded_says_why(void **state)
{
    struct api_fixture *f = fixture_of(state);

    for (size_t i = 0; i < sizeof bad_folders / sizeof bad_folders[0]; i++) {
        struct answer a;
        char          command[512];

        snprintf(command, sizeof command, "cd %s && rm -rf x && %s", f->dir,
                 bad_folders[i].command);
        assert_int_equal(system(command), 0);
        a = api_ask_text(f->api, "PUT /v1/supernets/x", "{\"path\": \"x\"}");
        if (a.resp.status != 422)
            fail_msg("%s: %d %.*s", bad_folders[i].name, a.resp.status, (int)a.resp.n_body,
                     (const char *)a.resp.body);
        assert_string_equal(answer_text(&a, "error.code"), bad_folders[i].code);
        if (!strstr(answer_text(&a, "error.text"), bad_folders[i].text))
            fail_msg("%s: %s", bad_folders[i].name, answer_text(&a, "error.text"));
        answer_fini(&a);
        assert_int_equal(system("rm -rf /tmp/test_api_outside /tmp/test_api_outside.d"), 0);
    }
    api_expect(f->api, 404, "GET /v1/supernets/x", NULL);
}

static void a_link_inside_the_directory_is_followed(void **state)
{
    struct api_fixture *f = fixture_of(state);
    char                command[256];

    snprintf(command, sizeof command, "ln -s tiny %s/inside", f->dir);
    assert_int_equal(system(command), 0);
    api_expect(f->api, 201, "PUT /v1/supernets/inside", "{\"path\": \"inside\"}");
    api_expect(f->api, 204, "DELETE /v1/supernets/inside", NULL);
}

static void names_are_sorted_however_they_came(void **state)
{
    struct api   *api = fixture_of(state)->api;
    const char   *last = "";
    struct answer a;
    json_t       *list, *item;
    size_t        i;

    for (int k = 0; k < 12; k++) {
        char ask[64];

        snprintf(ask, sizeof ask, "PUT /v1/supernets/m%d", k * 7 % 12);
        api_expect(api, 201, ask, "{\"path\": \"tiny\"}");
    }
    a = api_ask_text(api, "GET /v1/supernets", NULL);
    list = answer_at(&a, "supernets");
    assert_int_equal(json_array_size(list), 14);
    json_array_foreach(list, i, item)
    {
        const char *name = json_string_value(json_object_get(item, "name"));

        assert_true(strcmp(last, name) < 0);
        last = name;
    }
    for (int k = 0; k < 12; k++) {
        char ask[64];

        snprintf(ask, sizeof ask, "DELETE /v1/supernets/m%d", k);
        api_expect(api, 204, ask, NULL);
    }
    answer_fini(&a);
}

/* ---- metrics ---- */

/* The value of a series, as it stands in the text; -1 if it is not there. */
static double series(struct api *api, const char *name)
{
    struct answer a = api_ask_text(api, "GET /metrics", NULL);
    char         *text = strndup(a.resp.body, a.resp.n_body), *at;
    char          key[128];
    double        value = -1;

    assert_int_equal(a.resp.status, 200);
    assert_non_null(text);
    snprintf(key, sizeof key, "\n%s ", name);
    at = strstr(text, key);
    if (at) value = strtod(at + strlen(key), NULL);
    free(text);
    answer_fini(&a);
    return value;
}

static void plans_are_cached_by_buckets_of_the_batch(void **state)
{
    struct api  *api = fixture_of(state)->api;
    const double misses = series(api, "supernetd_plan_cache_misses_total");
    const double hits = series(api, "supernetd_plan_cache_hits_total");
    const double samples = series(api, "supernetd_forward_samples_total");

    for (int n = 1; n <= 8; n++) { /* batches 1, 2, 3..4, 5..8 */
        char body[256] = "{\"choices\": {\"w\": 1}, \"inputs\": {\"x\": [[1, 2]";

        for (int i = 1; i < n; i++)
            strcat(body, ", [1, 2]");
        strcat(body, "]}}");
        api_expect(api, 200, RUN, body);
    }
    assert_float_equal(series(api, "supernetd_plan_cache_misses_total"), misses + 4, 0);
    assert_float_equal(series(api, "supernetd_plan_cache_hits_total"), hits + 4, 0);
    assert_float_equal(series(api, "supernetd_forward_samples_total"), samples + 36, 0);
}

static void prepared_weights_are_reported(void **state)
{
    static const char series_name[] = "supernetd_supernet_packed_bytes{supernet=\"packed\"}";
    struct api       *api = fixture_of(state)->api;
    struct answer     a;

    api_expect(api, 201, "PUT /v1/supernets/packed", "{\"path\": \"tiny\"}");
    assert_float_equal(series(api, series_name), 0, 0);
    api_expect(api, 200, "POST /v1/supernets/packed/forward",
               "{\"choices\": {\"w\": 1}, \"inputs\": {\"x\": [[1, 2]]}}");
    a = api_ask_text(api, "GET /v1/supernets/packed", NULL);
    assert_true(answer_number(&a, "packed_bytes") > 0);
    assert_float_equal(series(api, series_name), answer_number(&a, "packed_bytes"), 0);
    answer_fini(&a);
    api_expect(api, 204, "DELETE /v1/supernets/packed", NULL);
}

static void an_unloaded_supernet_leaves_no_plans(void **state)
{
    struct api  *api = fixture_of(state)->api;
    const double entries = series(api, "supernetd_plan_cache_entries");
    const double bytes = series(api, "supernetd_plan_cache_bytes");

    api_expect(api, 201, "PUT /v1/supernets/gone", "{\"path\": \"tiny\"}");
    api_expect(api, 200, "POST /v1/supernets/gone/forward",
               "{\"choices\": {\"w\": 1}, \"inputs\": {\"x\": [[1, 2]]}}");
    assert_float_equal(series(api, "supernetd_plan_cache_entries"), entries + 1, 0);
    assert_true(series(api, "supernetd_plan_cache_bytes") > bytes);
    api_expect(api, 204, "DELETE /v1/supernets/gone", NULL);
    assert_float_equal(series(api, "supernetd_plan_cache_entries"), entries, 0);
    assert_float_equal(series(api, "supernetd_plan_cache_bytes"), bytes, 0);
}

static void the_plan_cache_keeps_its_bound(void **state)
{
    const struct api_config small = {.plan_cache_bytes = 100000,
                                     .subnet_cache = 4,
                                     .max_body_bytes = 1 << 20,
                                     .max_scratch_bytes = 16 << 20,
                                     .max_batch = 4,
                                     .max_subnets = 64,
                                     .blas_threads = 1};
    char                    why[256] = "", body[4096], *at = body;
    struct api             *api = api_create(&small, why, sizeof why);
    struct answer           a;

    (void)state;
    assert_non_null(api);
    assert_true(api_load(api, "digits", NULL, why, sizeof why));
    at += sprintf(body, "{\"inputs\": {\"image\": [[[");
    for (int i = 0; i < 64; i++)
        at += sprintf(at, "%s%d%s", i % 8 ? ", " : i ? ", [" : "[", i, i % 8 == 7 ? "]" : "");
    strcpy(at, "]]]}}");
    for (int i = 0; i < 100; i++) {
        api_expect(api, 200, "POST /v1/supernets/digits/resample", NULL);
        api_expect(api, 200, "POST /v1/supernets/digits/forward", body);
        assert_true(series(api, "supernetd_plan_cache_bytes") <= 100000);
    }
    assert_true(series(api, "supernetd_plan_cache_evictions_total") > 0);
    assert_true(series(api, "supernetd_plan_cache_entries") > 0);
    a = api_ask_text(api, "GET /v1/supernets/digits", NULL);
    assert_int_equal(answer_number(&a, "subnets"), 4);
    answer_fini(&a);
    api_free(api);
}

static void scratch_memory_is_bounded(void **state)
{
    const struct api_config small = {.plan_cache_bytes = 1 << 20,
                                     .subnet_cache = 4,
                                     .max_body_bytes = 1 << 20,
                                     .max_scratch_bytes = 64,
                                     .max_batch = 64,
                                     .max_subnets = 8,
                                     .blas_threads = 1};
    char                    why[256] = "";
    struct api             *api = api_create(&small, why, sizeof why);
    struct api_fixture     *f = fixture_of(state);
    struct answer           a;
    char                    dir[128];

    assert_non_null(api);
    snprintf(dir, sizeof dir, "%s/tiny", f->dir);
    assert_true(api_load(api, "tiny", dir, why, sizeof why));
    a = api_ask_text(api, RUN,
                     "{\"choices\": {\"w\": 2}, \"inputs\": {\"x\": [[1,2],[1,2],[1,2],[1,2],[1,2],"
                     "[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2]]}}");
    assert_int_equal(a.resp.status, 413);
    assert_string_equal(answer_text(&a, "error.code"), "limit");
    answer_fini(&a);

    /* 4 samples fit, also through 4 subnets, but not the outputs of 5 */
    api_expect(api, 200, RUN,
               "{\"subnets\": [{\"w\": 1}, {\"w\": 1}, {\"w\": 1}, {\"w\": 1}],"
               " \"inputs\": {\"x\": [[1,2],[1,2],[1,2],[1,2]]}}");
    a = api_ask_text(api, RUN,
                     "{\"subnets\": [{\"w\": 1}, {\"w\": 1}, {\"w\": 1}, {\"w\": 1}, {\"w\": 1}],"
                     " \"inputs\": {\"x\": [[1,2],[1,2],[1,2],[1,2]]}}");
    assert_int_equal(a.resp.status, 413);
    assert_string_equal(answer_text(&a, "error.where"), "outputs");
    answer_fini(&a);
    api_free(api);
}

/* What promtool does not see: a series twice, buckets that decrease, no +Inf. */
static void the_text_of_metrics_is_sound(void **state)
{
    struct answer a = api_ask_text(fixture_of(state)->api, "GET /metrics", NULL);
    char         *text = strndup(a.resp.body, a.resp.n_body), *line, *rest = text;
    char         *seen[2048];
    size_t        n_seen = 0;
    double        bucket = 0;

    assert_string_equal(a.resp.content_type, "text/plain; version=0.0.4; charset=utf-8");
    assert_int_equal(text[a.resp.n_body - 1], '\n');
    while ((line = strtok_r(rest, "\n", &rest))) {
        char  *value = strrchr(line, ' '), *end;
        double x;

        if (strncmp(line, "# TYPE ", 7) == 0 && strstr(line, " counter"))
            assert_non_null(strstr(line, "_total counter"));
        if (line[0] == '#') continue;
        assert_true(strncmp(line, "supernetd_", 10) == 0 || strncmp(line, "process_", 8) == 0);
        assert_non_null(value);
        *value++ = '\0';
        x = strtod(value, &end);
        assert_true(*end == '\0' && end != value && x >= 0);
        for (size_t i = 0; i < n_seen; i++)
            if (strcmp(seen[i], line) == 0) fail_msg("%s is there twice", line);
        assert_true(n_seen < sizeof seen / sizeof seen[0]);
        seen[n_seen++] = line;
        if (strstr(line, "_bucket{")) {
            if (strstr(line, "le=\"0.0001\"")) bucket = 0;
            assert_true(x >= bucket);
            bucket = x;
        }
        if (strstr(line, "_count{")) assert_true(x == bucket && x > 0);
    }
    assert_true(n_seen > 100);
    free(text);
    answer_fini(&a);
}

/* Handling is timed where it happens; replies are counted by whoever sends them. */
static void every_request_is_counted(void **state)
{
    struct api            *api = fixture_of(state)->api;
    const char            *timed = "supernetd_run_seconds_count{route=\"space\"}";
    const double           n = series(api, timed);
    const struct api_route space = api_route(api, "GET", "/v1/supernets/tiny/space");

    api_expect(api, 200, "GET " T "/space", NULL);
    api_expect(api, 200, "HEAD " T "/space", NULL);
    api_expect(api, 404, "GET /v1/supernets/nobody/space", NULL);
    assert_float_equal(series(api, timed), (n < 0 ? 0 : n) + 3, 0);

    api_count_reply(api, &space, 200);
    api_count_reply(api, &space, 503);
    api_count_reply(api, &space, 503);
    api_count_reply(api, &space, 299);
    api_count_reply(api, NULL, 400);
#define COUNT(route, class, code)                                                                  \
    series(api,                                                                                    \
           "supernetd_requests_total{route=\"" route "\",status=\"" class "\",code=\"" code "\"}")
    assert_float_equal(COUNT("space", "2xx", "200"), 1, 0);
    assert_float_equal(COUNT("space", "5xx", "503"), 2, 0);
    assert_float_equal(COUNT("space", "other", "other"), 1, 0);
    assert_float_equal(COUNT("none", "4xx", "400"), 1, 0);
#undef COUNT

    api_count_wait(api, 2000000);
    assert_float_equal(series(api, "supernetd_queue_seconds_bucket{le=\"0.001\"}"), 0, 0);
    assert_float_equal(series(api, "supernetd_queue_seconds_bucket{le=\"0.0025\"}"), 1, 0);
    assert_float_equal(series(api, "supernetd_queue_seconds_count"), 1, 0);
}

static void read_figures(void *cls, struct api_figures *ret)
{
    (void)cls;
    *ret = (struct api_figures){.connections = 3, .waiting = 2, .workers = 4, .for_room = 5};
}

static void the_server_and_the_process_are_described(void **state)
{
    struct api *api = fixture_of(state)->api;

    assert_true(series(api, "supernetd_connections") < 0); /* nobody listens here */
    api_set_figures(api, read_figures, NULL);
    assert_float_equal(series(api, "supernetd_connections"), 3, 0);
    assert_float_equal(series(api, "supernetd_queue_length"), 2, 0);
    assert_float_equal(series(api, "supernetd_workers"), 4, 0);
    assert_float_equal(series(api, "supernetd_hangups_total{reason=\"room\"}"), 5, 0);
    api_set_figures(api, NULL, NULL);

    assert_true(series(api, "process_resident_memory_bytes") > 1 << 20);
    assert_true(series(api, "process_virtual_memory_bytes") >=
                series(api, "process_resident_memory_bytes"));
    assert_true(series(api, "process_cpu_seconds_total") >= 0);
    assert_true(series(api, "process_open_fds") >= 3);
    assert_true(series(api, "process_max_fds") > series(api, "process_open_fds"));
    assert_true(series(api, "process_threads") >= 1);
    assert_true(fabs(series(api, "process_start_time_seconds") - (double)time(NULL)) < 900);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_loaded_is_described),
        cmocka_unit_test(the_space_is_described),
        cmocka_unit_test(a_reload_keeps_ids_and_changes_weights),
        cmocka_unit_test(another_specification_starts_afresh),
        cmocka_unit_test(with_nothing_to_choose_nothing_need_be_chosen),
        cmocka_unit_test(a_folder_that_cannot_be_loaded_says_why),
        cmocka_unit_test(a_link_inside_the_directory_is_followed),
        cmocka_unit_test(names_are_sorted_however_they_came),
        cmocka_unit_test(plans_are_cached_by_buckets_of_the_batch),
        cmocka_unit_test(prepared_weights_are_reported),
        cmocka_unit_test(an_unloaded_supernet_leaves_no_plans),
        cmocka_unit_test(the_plan_cache_keeps_its_bound),
        cmocka_unit_test(scratch_memory_is_bounded),
        cmocka_unit_test(every_request_is_counted),
        cmocka_unit_test(the_server_and_the_process_are_described),
        cmocka_unit_test(the_text_of_metrics_is_sound),
    };

    return cmocka_run_group_tests_name("api_models", tests, api_fixture_setup,
                                       api_fixture_teardown);
}
