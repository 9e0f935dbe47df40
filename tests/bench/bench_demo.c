/* bench_demo: what the demo costs through the library. Prints one line for each figure,
 * "name<TAB>median<TAB>unit", for bench.sh to put into its table.
 *
 * Every figure is the median of many runs; several subnets take turns, so that none
 * stays warm alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <supernet/pool.h>
#include <supernet/supernet.h>
#include <supernet/train.h>

enum { N_SUBNETS = 64, ROUNDS = 40, MAX_BATCH = 16 };

static sn_error err;

static void must(sn_status rc)
{
    if (rc == SN_OK) return;
    fprintf(stderr, "bench: %s: %s\n", err.where, err.text);
    exit(1);
}

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void report(const char *name, double *sample, size_t n, double divide, const char *unit)
{
    qsort(sample, n, sizeof *sample, by_value);
    printf("%s\t%.2f\t%s\n", name, sample[n / 2] / divide, unit);
}

static char *read_file(const char *path, size_t *ret_n)
{
    FILE *f = fopen(path, "rb");
    char *text = malloc(1 << 20);

    if (!f || !text) {
        perror(path);
        exit(1);
    }
    *ret_n = fread(text, 1, 1 << 20, f);
    fclose(f);
    return text;
}

static sn_plan *compile(sn_subnet *subnet, int64_t batch)
{
    const sn_desc            in = {SN_F32, {4, {batch, 1, 8, 8}}};
    const sn_compile_options options = {.size = sizeof options, .in = &in, .n_in = 1};
    sn_plan                 *plan;

    must(sn_plan_compile(subnet, &options, &plan, &err));
    return plan;
}

static float image[MAX_BATCH * 64], logits[MAX_BATCH * 10];
static void *scratch;

static void forward(const sn_plan *plan, const float *const *probs)
{
    const sn_plan_info  *info = sn_plan_describe(plan);
    const sn_tensor      x = sn_tensor_dense(SN_F32, &info->in[0].shape, image);
    sn_tensor            y = sn_tensor_dense(SN_F32, &info->out[0].shape, logits);
    const sn_run_options run = {.size = sizeof run, .scratch = scratch, .probs = probs};

    must(sn_plan_forward(plan, &x, &y, &run, &err));
}

/* Every choice that can be is left to a distribution: all candidates run, blended. */
static void soft_forward(sn_supernet *net)
{
    static double  sample[ROUNDS];
    const sn_value heads = {.kind = SN_KIND_INT, .as.integer = 4};
    const size_t   n = sn_supernet_n_choices(net);
    const float  **probs = calloc(n, sizeof *probs);
    sn_policy     *policy;
    sn_draft      *draft;
    sn_subnet     *subnet;
    sn_plan       *plan;
    sn_rng         rng;

    sn_rng_seed(&rng, 1);
    must(sn_policy_create(net, "differentiable", NULL, &policy, &err));
    must(sn_draft_create(net, &draft, &err));
    must(sn_draft_set(draft, "heads0", &heads, &err)); /* heads have no blend */
    must(sn_draft_set(draft, "heads1", &heads, &err));
    must(sn_policy_resample(policy, &rng, draft, &err));
    must(sn_draft_seal(draft, &subnet, &err));
    for (size_t i = 0; i < n; i++)
        if (sn_subnet_is_soft(subnet, i)) {
            float *weight = calloc(sn_supernet_choice(net, i)->n_candidates, sizeof *weight);

            must(sn_policy_probs(policy, &rng, i, weight, &err));
            probs[i] = weight;
        }
    plan = compile(subnet, 1);
    for (int r = 0; r < ROUNDS; r++) {
        const double start = now_us();

        forward(plan, probs);
        sample[r] = now_us() - start;
    }
    report("forward of the whole supernet, all choices soft", sample, ROUNDS, 1, "us");
}

int main(void)
{
    static double sample[N_SUBNETS * ROUNDS];
    sn_subnet    *subnet[N_SUBNETS];
    sn_plan      *plan[N_SUBNETS];
    sn_registry  *registry;
    sn_weights   *weights;
    sn_supernet  *net;
    sn_policy    *policy;
    sn_rng        rng;
    size_t        n, n_spec, n_samples;
    char         *spec = read_file("deploy/demo/spec.json", &n_spec);
    struct rusage usage;

    sn_blas_set_threads(1);
    scratch = aligned_alloc(64, 64 << 20);
    for (size_t i = 0; i < sizeof image / sizeof *image; i++)
        image[i] = (float)(i * 7 % 17) / 16.0f;
    must(sn_registry_create(&registry, &err));
    must(sn_weights_open("deploy/demo/weights.safetensors", &weights, &err));
    must(sn_supernet_load(spec, n_spec, weights, registry, &net, &err));
    must(sn_policy_create(net, "path", NULL, &policy, &err));
    sn_rng_seed(&rng, 1);

    /* A never-seen subnet, from drawing to the first answer; after as many others, which pack the
     * modules, as a daemon that has run for a second has. */
    for (size_t i = 0; i < 2 * N_SUBNETS; i++) {
        const double start = now_us();
        sn_draft    *draft;
        double       sealed, compiled;

        n = i % N_SUBNETS;
        if (i >= N_SUBNETS) {
            sn_plan_unref(plan[n]);
            sn_subnet_unref(subnet[n]);
        }

        must(sn_draft_create(net, &draft, &err));
        must(sn_policy_resample(policy, &rng, draft, &err));
        must(sn_draft_seal(draft, &subnet[n], &err));
        sn_draft_free(draft);
        sealed = now_us();
        plan[n] = compile(subnet[n], 1);
        compiled = now_us();
        forward(plan[n], NULL);
        sample[n] = sealed - start;
        sample[N_SUBNETS + n] = compiled - sealed;
        sample[2 * N_SUBNETS + n] = now_us() - start;
    }
    report("resample and seal", sample, N_SUBNETS, 1, "us");
    report("compile a never-seen subnet", sample + N_SUBNETS, N_SUBNETS, 1, "us");
    report("draw, compile and run a never-seen subnet", sample + 2 * N_SUBNETS, N_SUBNETS, 1, "us");

    n_samples = 0;
    for (int r = 0; r < ROUNDS; r++)
        for (n = 0; n < N_SUBNETS; n++) {
            const double start = now_us();

            forward(plan[n], NULL);
            sample[n_samples++] = now_us() - start;
        }
    report("forward, batch 1, plan cached", sample, n_samples, 1, "us");

    n_samples = 0;
    for (n = 0; n < N_SUBNETS; n++) {
        sn_plan_unref(plan[n]);
        plan[n] = compile(subnet[n], MAX_BATCH);
    }
    for (int r = 0; r < ROUNDS; r++)
        for (n = 0; n < N_SUBNETS; n++) {
            const double start = now_us();

            forward(plan[n], NULL);
            sample[n_samples++] = now_us() - start;
        }
    report("forward, batch 16, per image", sample, n_samples, MAX_BATCH, "us");

    soft_forward(net);
    getrusage(RUSAGE_SELF, &usage);
    printf("peak memory of the library's benchmark\t%.1f\tMB\n", (double)usage.ru_maxrss / 1024);
    return 0;
}
