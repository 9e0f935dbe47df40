/* The whole demo under distributions, every choice soft that can be, against PyTorch:
 * tests/reference/soft_demo.py wrote the logits. One plan serves all logits of one set of
 * fixed choices. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "supernet/train.h"
#include "supernet/weights.h"
#include "support/net.h"

enum { MAX_CHOICES = 32, MAX_CANDIDATES = 8, MAX_LOGITS = 256, PIXELS = 64, CLASSES = 10 };

static json_t      *golden;
static sn_supernet *net;
static sn_weights  *images;
static int64_t      n_images;

static sn_policy *policy_of(const json_t *row)
{
    json_t    *options = json_pack("{s:O}", "alpha", json_object_get(row, "alpha"));
    char      *text = json_dumps(options, 0);
    sn_policy *policy;
    sn_error   err = {0};

    if (sn_policy_create(net, "differentiable", text, &policy, &err) != SN_OK)
        fail_msg("%s: %s", err.where, err.text);
    free(text);
    json_decref(options);
    return policy;
}

/* The fixed choices by hand, the rest left to the policy. */
static sn_subnet *subnet_of(const json_t *row, sn_policy *policy)
{
    json_t     *choices = json_object_get(row, "choices"), *json;
    const char *label;
    sn_draft   *draft;
    sn_subnet  *subnet;
    sn_rng      rng;
    sn_error    err = {0};

    sn_rng_seed(&rng, 0);
    assert_int_equal(sn_draft_create(net, &draft, &err), SN_OK);
    json_object_foreach(choices, label, json)
    {
        const sn_value v = {.kind = SN_KIND_INT, .as.integer = json_integer_value(json)};

        assert_int_equal(sn_draft_set(draft, label, &v, &err), SN_OK);
    }
    assert_int_equal(sn_policy_resample(policy, &rng, draft, &err), SN_OK);
    if (sn_draft_seal(draft, &subnet, &err) != SN_OK) fail_msg("%s: %s", err.where, err.text);
    sn_draft_free(draft);
    return subnet;
}

static size_t weigh(sn_policy *policy, const sn_subnet *subnet, float weight[][MAX_CANDIDATES],
                    const float **probs)
{
    size_t n_soft = 0;

    assert_true(sn_supernet_n_choices(net) <= MAX_CHOICES);
    for (size_t i = 0; i < sn_supernet_n_choices(net); i++) {
        probs[i] = NULL;
        if (!sn_subnet_is_soft(subnet, i)) continue;
        assert_true(sn_supernet_choice(net, i)->n_candidates <= MAX_CANDIDATES);
        assert_int_equal(sn_policy_probs(policy, NULL, i, weight[i], NULL), SN_OK);
        probs[i] = weight[i];
        n_soft++;
    }
    return n_soft;
}

static void run(sn_subnet *subnet, const float *const *probs, float *logits)
{
    const sn_desc            in = {SN_F32, {4, {n_images, 1, 8, 8}}};
    const sn_shape           shape = {2, {n_images, CLASSES}};
    const sn_compile_options options = {.size = sizeof options, .in = &in, .n_in = 1};
    sn_run_options           how = {.size = sizeof how, .probs = probs};
    sn_tensor                x, y = sn_tensor_dense(SN_F32, &shape, logits);
    sn_error                 err = {0};
    sn_plan                 *plan;

    assert_true(sn_weights_find(images, "image", &x));
    x.shape.dim[0] = n_images; /* the first of them */
    if (sn_plan_compile(subnet, &options, &plan, &err) != SN_OK)
        fail_msg("%s: %s", err.where, err.text);
    how.scratch = aligned_alloc(SN_ALIGN_BYTES, (sn_plan_describe(plan)->scratch_bytes + 127) &
                                                    ~(size_t)(SN_ALIGN_BYTES - 1));
    assert_int_equal(sn_plan_forward(plan, &x, &y, &how, &err), SN_OK);
    free(how.scratch);
    sn_plan_unref(plan);
}

static void agrees_with_pytorch(void **state)
{
    const json_t *row = *state, *want = json_object_get(row, "logits");
    float         weight[MAX_CHOICES][MAX_CANDIDATES], logits[MAX_LOGITS];
    const float  *probs[MAX_CHOICES];
    sn_policy    *policy = policy_of(row);
    sn_subnet    *subnet = subnet_of(row, policy);

    assert_int_equal(weigh(policy, subnet, weight, probs),
                     json_object_size(json_object_get(row, "alpha")));
    assert_true(n_images * CLASSES <= MAX_LOGITS);
    assert_int_equal(json_array_size(want), n_images);
    run(subnet, probs, logits);
    for (int64_t i = 0; i < n_images * CLASSES; i++) {
        const json_t *line = json_array_get(want, (size_t)(i / CLASSES));
        const double  v = json_number_value(json_array_get(line, (size_t)(i % CLASSES)));

        if (!(fabs(logits[i] - v) <= 1e-4 * fmax(1.0, fabs(v))))
            fail_msg("image %d, class %d: %.7g, PyTorch has %.7g", (int)(i / CLASSES),
                     (int)(i % CLASSES), (double)logits[i], v);
    }
    sn_subnet_unref(subnet);
    sn_policy_free(policy);
}

int main(void)
{
    struct CMUnitTest test[8];
    json_t           *cases;
    int               n_failed;
    size_t            n;

    golden = json_load_file("tests/reference/soft_demo.json", 0, NULL);
    cases = json_object_get(golden, "cases");
    n_images = json_integer_value(json_object_get(golden, "images"));
    n = json_array_size(cases);
    if (n == 0 || n > sizeof test / sizeof *test) return 1;
    net = net_demo();
    if (sn_weights_open("deploy/demo/test-images.safetensors", &images, NULL) != SN_OK) return 1;
    for (size_t i = 0; i < n; i++) {
        const json_t *row = json_array_get(cases, i);

        test[i] = (struct CMUnitTest){json_string_value(json_object_get(row, "name")),
                                      agrees_with_pytorch, NULL, NULL, (void *)(uintptr_t)row};
    }
    n_failed = _cmocka_run_group_tests("soft_demo", test, n, NULL, NULL);
    sn_weights_unref(images);
    sn_supernet_unref(net);
    json_decref(golden);
    return n_failed;
}
