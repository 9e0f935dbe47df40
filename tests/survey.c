/* survey: draw subnets, run each on sixteen images with two threads, print how sure they are of the
 * digits, and write the best as a network of its own, best.json and best.safetensors. */
#include <stdio.h>
#include <stdlib.h>

#include <supernet/pool.h>
#include <supernet/supernet.h>
#include <supernet/weights.h>

enum { SUBNETS = 1000, IMAGES = 16, CLASSES = 10, THREADS = 2, BINS = 20 };

#define TRY(call)                                                                                  \
    do {                                                                                           \
        if ((call) != SN_OK) {                                                                     \
            fprintf(stderr, "%s: %s\n", err.where, err.text);                                      \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static sn_error err;

/* The first images of all, or their digits. */
static sn_tensor first_of(const char *path, const char *name, sn_weights **ret_file)
{
    sn_tensor t;

    TRY(sn_weights_open(path, ret_file, &err));
    if (!sn_weights_find(*ret_file, name, &t) || t.shape.dim[0] < IMAGES) {
        fprintf(stderr, "%s: there is no \"%s\" with %d rows\n", path, name, IMAGES);
        exit(1);
    }
    t.shape.dim[0] = IMAGES;
    return t;
}

/* How far the logit of the right digit is above the others, where it is least so; negative: the
 * image is read wrong. */
static float margin(sn_subnet *subnet, const sn_tensor *images, const int64_t *digit, sn_pool *pool)
{
    const sn_desc            in = {SN_F32, images->shape};
    const sn_compile_options options = {
        .size = sizeof options, .in = &in, .n_in = 1, .n_threads = THREADS};
    sn_run_options      run = {.size = sizeof run, .parallel = sn_pool_parallel(pool)};
    float               logits[IMAGES][CLASSES];
    float               least = 1e9f;
    sn_plan            *plan;
    const sn_plan_info *info;

    TRY(sn_plan_compile(subnet, &options, &plan, &err));
    info = sn_plan_describe(plan);
    sn_tensor out = sn_tensor_dense(SN_F32, &info->out[0].shape, logits);
    run.scratch = aligned_alloc(SN_ALIGN_BYTES, info->scratch_bytes / 64 * 64 + 64);
    TRY(sn_plan_forward(plan, images, &out, &run, &err));
    for (int i = 0; i < IMAGES; i++)
        for (int k = 0; k < CLASSES; k++)
            if (k != digit[i] && logits[i][digit[i]] - logits[i][k] < least)
                least = logits[i][digit[i]] - logits[i][k];
    free(run.scratch), sn_plan_unref(plan);
    return least;
}

static int write_file(void *file, const void *bytes, size_t n_bytes)
{
    return fwrite(bytes, 1, n_bytes, file) != n_bytes;
}

int main(int argc, char **argv)
{
    static char  spec[1 << 16];
    int          histogram[BINS + 1] = {0};
    float        most = -1e9f;
    sn_weights  *weights, *image_file, *label_file;
    sn_registry *registry;
    sn_supernet *net;
    sn_policy   *policy;
    sn_pool     *pool;
    sn_rng       rng;
    sn_draft    *draft;
    sn_subnet   *subnet, *best = NULL;
    FILE        *f = argc == 5 ? fopen(argv[1], "rb") : NULL;
    const size_t n = f ? fread(spec, 1, sizeof spec, f) : 0;

    if (!f || fclose(f)) return fputs("survey SPEC WEIGHTS IMAGES LABELS\n", stderr), 2;
    sn_blas_set_threads(1);
    TRY(sn_registry_create(&registry, &err));
    TRY(sn_weights_open(argv[2], &weights, &err));
    TRY(sn_supernet_load(spec, n, weights, registry, &net, &err));
    TRY(sn_policy_create(net, "path", NULL, &policy, &err));
    TRY(sn_pool_create(THREADS, &pool, &err));
    sn_rng_seed(&rng, 7);
    const sn_tensor images = first_of(argv[3], "image", &image_file);
    const sn_tensor labels = first_of(argv[4], "label", &label_file);

    for (int i = 0; i < SUBNETS; i++) {
        TRY(sn_draft_create(net, &draft, &err));
        TRY(sn_policy_resample(policy, &rng, draft, &err));
        TRY(sn_draft_seal(draft, &subnet, &err));
        const float m = margin(subnet, &images, labels.data, pool);

        histogram[m < 0 ? 0 : 4 * m < BINS ? 1 + (int)(4 * m) : BINS]++;
        if (m > most) {
            sn_subnet_unref(best);
            best = sn_subnet_ref(subnet), most = m;
        }
        sn_draft_free(draft), sn_subnet_unref(subnet);
    }
    for (int i = 0; i <= BINS; i++)
        if (histogram[i]) printf("margin from %5.2f: %4d subnets\n", (i - 1) / 4.0, histogram[i]);
    printf("best: %s, margin %g\n", sn_subnet_id(best), (double)most);

    if (!(f = fopen("best.json", "wb"))) return 1;
    TRY(sn_subnet_write_spec(best, &(sn_sink){write_file, f}, &err));
    if (fclose(f) || !(f = fopen("best.safetensors", "wb"))) return 1;
    TRY(sn_subnet_write_weights(best, &(sn_sink){write_file, f}, &err));
    if (fclose(f)) return 1;
    sn_subnet_unref(best), sn_pool_free(pool), sn_policy_free(policy), sn_supernet_unref(net);
    sn_weights_unref(weights), sn_weights_unref(image_file), sn_weights_unref(label_file);
    return sn_registry_unref(registry) != NULL;
}
