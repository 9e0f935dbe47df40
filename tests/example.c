/* example: choose a subnet, run it, print what it says. Uses the public header only. */
#include <stdio.h>
#include <stdlib.h>

#include <supernet/supernet.h>

#define TRY(call)                                                                                  \
    do {                                                                                           \
        if ((call) != SN_OK) {                                                                     \
            fprintf(stderr, "%s: %s\n", err.where, err.text);                                      \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

int main(int argc, char **argv)
{
    static char  spec[1 << 16];
    static float image[64], logits[10];
    sn_error     err = {SN_OK, "", ""};
    sn_registry *registry;
    sn_weights  *weights;
    sn_supernet *net;
    sn_policy   *policy;
    sn_draft    *draft;
    sn_subnet   *subnet;
    sn_plan     *plan;
    sn_rng       rng;
    sn_desc      in = {SN_F32, {4, {1, 1, 8, 8}}};
    FILE        *f = fopen(argc == 3 ? argv[1] : "spec.json", "rb");
    const size_t n = f ? fread(spec, 1, sizeof spec, f) : 0;

    TRY(sn_registry_create(&registry, &err));
    TRY(sn_weights_open(argc == 3 ? argv[2] : "weights.safetensors", &weights, &err));
    TRY(sn_supernet_load(spec, n, weights, registry, &net, &err));
    TRY(sn_policy_create(net, "path", NULL, &policy, &err));
    TRY(sn_draft_create(net, &draft, &err));
    sn_rng_seed(&rng, 7);
    TRY(sn_policy_resample(policy, &rng, draft, &err));
    TRY(sn_draft_seal(draft, &subnet, &err));
    TRY(sn_plan_compile(
        subnet, &(sn_compile_options){.size = sizeof(sn_compile_options), .in = &in, .n_in = 1},
        &plan, &err));

    const sn_plan_info *info = sn_plan_describe(plan);
    sn_tensor           x = sn_tensor_dense(SN_F32, &info->in[0].shape, image);
    sn_tensor           y = sn_tensor_dense(SN_F32, &info->out[0].shape, logits);
    sn_run_options      run = {.size = sizeof run,
                               .scratch = aligned_alloc(64, (info->scratch_bytes + 63) / 64 * 64 + 64)};

    TRY(sn_plan_forward(plan, &x, &y, &run, &err));
    printf("subnet %s, %llu MACs, first logit %g\n", sn_subnet_id(subnet),
           (unsigned long long)info->cost.macs, logits[0]);
    free(run.scratch), fclose(f);
    sn_plan_unref(plan), sn_subnet_unref(subnet), sn_draft_free(draft), sn_policy_free(policy);
    sn_supernet_unref(net), sn_weights_unref(weights), sn_registry_unref(registry);
    return 0;
}
