/* Batches of a forward: whatever the server plans for, the answer is that of the batch that came.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "support/api_call.h"

/* Networks without weights, as folders of the fixture's model directory. */
static const struct {
    const char *name, *inputs, *model;
} nets[] = {
    {"fixed", "{\"name\": \"x\", \"shape\": [\"N\", 2, 1, 1]}",
     "{\"type\": \"BatchNorm2d\", \"num_features\": 2, \"affine\": false, \"track_running_stats\": "
     "false}"},
    {"named", "{\"name\": \"x\", \"shape\": [\"N\"]}, {\"name\": \"y\", \"shape\": [\"N\", \"L\"]}",
     "{\"type\": \"Graph\", \"inputs\": [\"x\", \"y\"], \"outputs\": [\"s\"], \"nodes\": "
     "[{\"name\": "
     "\"s\", \"type\": \"Add\", \"inputs\": [\"x\", \"y\"]}]}"},
    {"twelve", "{\"name\": \"x\", \"shape\": [\"N\", 4]}",
     "{\"type\": \"Reshape\", \"shape\": [12]}"},
    {"mean", "{\"name\": \"x\", \"shape\": [\"N\", 2]}", "{\"type\": \"Mean\", \"dim\": 0}"},
    {"still", "{\"name\": \"x\", \"shape\": [2]}", "{\"type\": \"ReLU\"}"},
};

static void write_text(const char *dir, const char *file, const void *bytes, size_t n)
{
    char  path[256];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, file);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

static int setup(void **state)
{
    static const char no_tensors[] = "\x08\0\0\0\0\0\0\0{}      ";

    if (api_fixture_setup(state) != 0) return -1;
    for (size_t i = 0; i < sizeof nets / sizeof nets[0]; i++) {
        const struct api_fixture *f = *state;
        char                      dir[128], spec[1024], why[256];

        snprintf(dir, sizeof dir, "%s/%s", f->dir, nets[i].name);
        snprintf(spec, sizeof spec,
                 "{\"format\": \"supernet/1\", \"name\": \"%s\", \"inputs\": [%s], \"model\": %s}",
                 nets[i].name, nets[i].inputs, nets[i].model);
        assert_int_equal(mkdir(dir, 0700), 0);
        write_text(dir, "spec.json", spec, strlen(spec));
        write_text(dir, "weights.safetensors", no_tensors, 16);
        if (!api_load(f->api, nets[i].name, dir, why, sizeof why)) fail_msg("%s", why);
    }
    return 0;
}

static struct answer ask(void **state, int status, const char *net, const char *inputs)
{
    char          what[128], body[4096];
    struct answer a;

    snprintf(what, sizeof what, "POST /v1/supernets/%s/forward", net);
    snprintf(body, sizeof body, "{\"inputs\": {%s}, \"choices\": {}}", inputs);
    a = api_ask_text(((struct api_fixture *)*state)->api, what, body);
    if (a.resp.status != status)
        fail_msg("%s %s: %d %.*s", net, inputs, a.resp.status, (int)a.resp.n_body,
                 (const char *)a.resp.body);
    return a;
}

static void expect(void **state, int status, const char *net, const char *inputs)
{
    struct answer a = ask(state, status, net, inputs);

    answer_fini(&a);
}

/* Statistics of the batch: 1 value per channel is too few, any other number is not. */
static void a_plan_for_one_batch_is_made_for_the_batch_that_came(void **state)
{
    expect(state, 422, "fixed", "\"x\": [[[[1]],[[2]]]]");
    for (int i = 0; i < 2; i++) { /* planned, and from the cache */
        struct answer a =
            ask(state, 200, "fixed", "\"x\": [[[[1]],[[2]]],[[[2]],[[2]]],[[[3]],[[2]]]]");

        assert_float_equal(answer_number(&a, "results.0.outputs.output.2.0.0.0"), 1.2247, 1e-3);
        assert_float_equal(answer_number(&a, "results.0.outputs.output.1.0.0.0"), 0.0, 1e-3);
        answer_fini(&a);
        expect(state, 200, "fixed", "\"x\": [[[[1]],[[2]]],[[[2]],[[2]]]]");
    }
    expect(state, 422, "fixed", "\"x\": [[[[1]],[[2]]]]");
}

/* [N] and [N, L] fit where L is N or one of them 1, whatever the server would plan for. */
static void sizes_that_fit_by_rounding_up_alone_are_refused(void **state)
{
    expect(state, 422, "named", "\"x\": [1,2,3], \"y\": [[1,2,3,4],[1,2,3,4],[1,2,3,4]]");
    expect(state, 200, "named", "\"x\": [1,2,3], \"y\": [[1,2,3],[1,2,3],[1,2,3]]");
    expect(state, 200, "named", "\"x\": [1,2,3], \"y\": [[1],[1],[1]]");
    expect(state, 422, "named", "\"x\": [1,2,3], \"y\": [[1,2,3,4],[1,2,3,4],[1,2,3,4]]");
    expect(state, 200, "named", "\"x\": [1], \"y\": [[1,2,3,4]]");
}

static void what_fits_one_batch_alone_is_served_for_it(void **state)
{
    expect(state, 422, "twelve", "\"x\": [[1,2,3,4]]");
    expect(state, 200, "twelve", "\"x\": [[1,2,3,4],[1,2,3,4],[1,2,3,4]]");
    expect(state, 422, "twelve", "\"x\": [[1,2,3,4],[1,2,3,4],[1,2,3,4],[1,2,3,4]]");
}

static void an_empty_batch_is_refused_where_the_answer_would_not_be_empty(void **state)
{
    expect(state, 422, "mean", "\"x\": []");
    expect(state, 422, "still", "\"x\": []");
    expect(state, 422, "fixed", "\"x\": []");
    expect(state, 422, "named", "\"x\": [], \"y\": []");
}

static void an_empty_batch_has_an_empty_answer(void **state)
{
    struct answer a =
        api_ask_text(((struct api_fixture *)*state)->api, "POST /v1/supernets/tiny/forward",
                     "{\"inputs\": {\"x\": []}, \"choices\": {\"w\": 1}}");

    assert_int_equal(a.resp.status, 200);
    assert_int_equal(json_array_size(answer_at(&a, "results.0.outputs.output")), 0);
    assert_true(json_is_array(answer_at(&a, "results.0.outputs.output")));
    answer_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_for_one_batch_is_made_for_the_batch_that_came),
        cmocka_unit_test(sizes_that_fit_by_rounding_up_alone_are_refused),
        cmocka_unit_test(what_fits_one_batch_alone_is_served_for_it),
        cmocka_unit_test(an_empty_batch_has_an_empty_answer),
        cmocka_unit_test(an_empty_batch_is_refused_where_the_answer_would_not_be_empty),
    };

    return cmocka_run_group_tests_name("api batch", tests, setup, api_fixture_teardown);
}
