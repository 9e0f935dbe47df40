/* soft: what runs of a plan under distributions need, and what a new set of logits costs: a
 * run, no plan. (The numbers: test_soft_demo.c.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "supernet/train.h"
#include "supernet/weights.h"
#include "support/net.h"

enum { IMAGES = 4, CLASSES = 10, PIXELS = 64 };

struct soft {
    sn_supernet *net;
    sn_policy   *policy;
    sn_subnet   *subnet;
    sn_plan     *plan;
    void        *scratch;
    float      **probs; /* by choice; NULL where it is not soft */
    float        image[IMAGES * PIXELS];
};

static void read_images(float *image)
{
    sn_weights *file;
    sn_tensor   t;

    assert_int_equal(sn_weights_open("deploy/demo/test-images.safetensors", &file, NULL), SN_OK);
    assert_true(sn_weights_find(file, "image", &t));
    memcpy(image, t.data, IMAGES * PIXELS * sizeof *image);
    sn_weights_unref(file);
}

static void must(sn_status rc, const sn_error *err)
{
    if (rc != SN_OK) fail_msg("%s: %s", err->where, err->text);
}

static void ask_probs(struct soft *s)
{
    sn_rng   rng;
    sn_error err = {0};

    sn_rng_seed(&rng, 0);
    for (size_t i = 0; i < sn_supernet_n_choices(s->net); i++)
        if (sn_subnet_is_soft(s->subnet, i))
            must(sn_policy_probs(s->policy, &rng, i, s->probs[i], &err), &err);
}

static int setup(void **state)
{
    static struct soft       s;
    sn_error                 err = {0};
    const sn_desc            in = {SN_F32, {4, {IMAGES, 1, 8, 8}}};
    const sn_compile_options options = {.size = sizeof options, .in = &in, .n_in = 1};
    sn_draft                *draft;
    sn_rng                   rng;
    const sn_value           heads = {.kind = SN_KIND_INT, .as.integer = 4};

    s.net = net_demo();
    read_images(s.image);
    must(sn_policy_create(s.net, "differentiable", NULL, &s.policy, &err), &err);
    must(sn_draft_create(s.net, &draft, &err), &err);
    must(sn_draft_set(draft, "heads0", &heads, &err), &err);
    must(sn_draft_set(draft, "heads1", &heads, &err), &err);
    sn_rng_seed(&rng, 0);
    must(sn_policy_resample(s.policy, &rng, draft, &err), &err);
    must(sn_draft_seal(draft, &s.subnet, &err), &err);
    sn_draft_free(draft);
    must(sn_plan_compile(s.subnet, &options, &s.plan, &err), &err);
    s.scratch = aligned_alloc(64, (sn_plan_describe(s.plan)->scratch_bytes + 127) / 64 * 64);
    s.probs = calloc(sn_supernet_n_choices(s.net), sizeof *s.probs);
    for (size_t i = 0; i < sn_supernet_n_choices(s.net); i++)
        if (sn_subnet_is_soft(s.subnet, i))
            s.probs[i] = calloc(sn_supernet_choice(s.net, i)->n_candidates, sizeof **s.probs);
    ask_probs(&s);
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    struct soft *s = *state;

    for (size_t i = 0; i < sn_supernet_n_choices(s->net); i++)
        free(s->probs[i]);
    free(s->probs);
    free(s->scratch);
    sn_plan_unref(s->plan);
    sn_subnet_unref(s->subnet);
    sn_policy_free(s->policy);
    sn_supernet_unref(s->net);
    return 0;
}

static void forward(struct soft *s, float *logits)
{
    const sn_plan_info  *info = sn_plan_describe(s->plan);
    const sn_tensor      in = sn_tensor_dense(SN_F32, &info->in[0].shape, s->image);
    sn_tensor            out = sn_tensor_dense(SN_F32, &info->out[0].shape, logits);
    const sn_run_options run = {
        .size = sizeof run, .scratch = s->scratch, .probs = (const float *const *)s->probs};
    sn_error err = {0};

    must(sn_plan_forward(s->plan, &in, &out, &run, &err), &err);
}

/* All weight on one candidate each: the subnet that has just those, in the full size. */
static void new_logits_need_no_new_plan(void **state)
{
    struct soft *s = *state;
    float        before[IMAGES * CLASSES], after[IMAGES * CLASSES];
    sn_error     err = {0};

    forward(s, before);
    must(sn_policy_update(s->policy, "{\"alpha\": {\"width\": [9, 0, 0, 0], \"op0\": [0, 9, 0]}}",
                          &err),
         &err);
    ask_probs(s);
    forward(s, after); /* the same plan */
    assert_memory_not_equal(before, after, sizeof before);
}

/* A run that lacks the weights of a choice is refused, not guessed. */
static void weights_must_be_given(void **state)
{
    struct soft         *s = *state;
    float                logits[IMAGES * CLASSES];
    const sn_plan_info  *info = sn_plan_describe(s->plan);
    const sn_tensor      in = sn_tensor_dense(SN_F32, &info->in[0].shape, s->image);
    sn_tensor            out = sn_tensor_dense(SN_F32, &info->out[0].shape, logits);
    const sn_run_options run = {.size = sizeof run, .scratch = s->scratch};
    sn_error             err = {0};

    assert_int_equal(sn_plan_forward(s->plan, &in, &out, &run, &err), SN_E_INVALID);
    assert_string_equal(err.where, "width");
}

/* As many as there are candidates: where the lengths are said, another one is refused. */
static void weights_have_the_length_of_their_choice(void **state)
{
    struct soft        *s = *state;
    float               logits[IMAGES * CLASSES];
    const sn_plan_info *info = sn_plan_describe(s->plan);
    const sn_tensor     in = sn_tensor_dense(SN_F32, &info->in[0].shape, s->image);
    sn_tensor           out = sn_tensor_dense(SN_F32, &info->out[0].shape, logits);
    const size_t        n = sn_supernet_n_choices(s->net);
    size_t             *n_probs = calloc(n, sizeof *n_probs), width = 0, right;
    sn_run_options      run = {.size = sizeof run,
                               .scratch = s->scratch,
                               .probs = (const float *const *)s->probs,
                               .n_probs = n_probs};

    assert_true(sn_supernet_find_choice(s->net, "width", &width));
    for (size_t i = 0; i < n; i++)
        n_probs[i] = sn_supernet_choice(s->net, i)->n_candidates;
    right = n_probs[width];
    assert_int_equal(sn_plan_forward(s->plan, &in, &out, &run, NULL), SN_OK);
    for (n_probs[width] = 0; n_probs[width] < right + 2; n_probs[width]++) {
        sn_error err = {0};

        if (n_probs[width] == right) continue;
        assert_int_equal(sn_plan_forward(s->plan, &in, &out, &run, &err), SN_E_INVALID);
        assert_string_equal(err.where, "width");
    }
    free(n_probs);
}

/* Heads have no blend: refused when the subnet is sealed, naming the argument. */
static void heads_cannot_follow_a_distribution(void **state)
{
    struct soft *s = *state;
    sn_draft    *draft;
    sn_subnet   *subnet = NULL;
    sn_rng       rng;
    sn_error     err = {0};

    sn_rng_seed(&rng, 0);
    must(sn_draft_create(s->net, &draft, &err), &err);
    must(sn_draft_soften(draft, "heads0", &err), &err);
    must(sn_policy_resample(s->policy, &rng, draft, &err), &err);
    assert_int_equal(sn_draft_seal(draft, &subnet, &err), SN_E_UNSUPPORTED);
    assert_non_null(strstr(err.where, "num_heads"));
    sn_draft_free(draft);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_logits_need_no_new_plan),
        cmocka_unit_test(weights_must_be_given),
        cmocka_unit_test(weights_have_the_length_of_their_choice),
        cmocka_unit_test(heads_cannot_follow_a_distribution),
    };

    return cmocka_run_group_tests_name("soft", tests, setup, teardown);
}
