/* bench_subnet DIR: the library's side of compare.py, over the public header alone.
 *
 * DIR has spec.json, weights.safetensors, `choices` ("label value" a line, values as
 * sn_value_text writes them) and `images` (16 inputs, floats). Reads one command a line from
 * stdin and answers each with one line; MODE is "direct" or "winograd":
 *
 *   run BATCH THREADS MODE N           microseconds of N runs
 *   output BATCH THREADS MODE PATH     the output to PATH, as floats
 *   info BATCH THREADS MODE            multiply-adds, bytes of the plan, bytes packed for it
 *   peak THREADS                       GFLOP/s of fused multiply-adds on registers
 *   compile N [keep]                   microseconds from choices to plan for N new subnets, then
 *                                      the bytes of the largest plan; `keep`: plans stay, so that
 *                                      each needs memory that the process did not have yet
 *   pair N                             N times: requests a second of two workers by those of one
 *   calibrate PATH                     the weights with normalisation statistics of the images
 *   export DIR                         the subnet: DIR/spec.json and DIR/weights.safetensors
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <supernet/pool.h>
#include <supernet/supernet.h>
#include <supernet/train.h>
#include <supernet/weights.h>

#include "bench/peak.h"
#include "bench/team.h"

enum { N_IMAGES = 16, MAX_JOBS = 32 };

/* How long two workers run side by side: long enough to wake the second one. */
static const double PAIR_SECONDS = 0.05;

static struct {
    sn_weights  *weights;
    sn_supernet *net;
    sn_subnet   *subnet;
    void        *images;
} bench;

static sn_error err;

static void must(sn_status rc)
{
    if (rc == SN_OK) return;
    fprintf(stderr, "bench_subnet: %s: %s\n", err.where, err.text);
    exit(1);
}

static void *need(void *p, const char *what)
{
    if (p) return p;
    perror(what);
    exit(1);
}

static void *memory(size_t n_bytes)
{
    const size_t lines = n_bytes / SN_ALIGN_BYTES + 1;

    return need(aligned_alloc(SN_ALIGN_BYTES, lines * SN_ALIGN_BYTES), "bench_subnet");
}

/* ---- files ------------------------------------------------------------------------------ */

static const char *path_in(const char *dir, const char *name)
{
    static char path[4096];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void *read_file(const char *path, size_t *ret_n)
{
    FILE *f = need(fopen(path, "rb"), path);
    char *bytes;

    fseek(f, 0, SEEK_END);
    *ret_n = (size_t)ftell(f);
    rewind(f);
    bytes = memory(*ret_n + 1);
    need(fread(bytes, 1, *ret_n, f) == *ret_n ? bytes : NULL, path);
    bytes[*ret_n] = '\0';
    fclose(f);
    return bytes;
}

static int write_bytes(void *file, const void *bytes, size_t n_bytes)
{
    return fwrite(bytes, 1, n_bytes, file) != n_bytes;
}

static sn_sink sink_open(const char *path)
{
    return (sn_sink){.write = write_bytes, .cls = need(fopen(path, "wb"), path)};
}

static void sink_close(const sn_sink *sink)
{
    need(fclose(sink->cls) == 0 ? sink->cls : NULL, "bench_subnet");
}

/* ---- loading ---------------------------------------------------------------------------- */

/* Decide `label` for the candidate that `text` writes. */
static void choose(sn_draft *draft, const char *label, const char *text)
{
    const sn_choice *choice;
    size_t           i;
    char             buf[256];

    if (!sn_supernet_find_choice(bench.net, label, &i))
        must(sn_fail(&err, SN_E_UNKNOWN_NAME, label, "is no choice"));
    choice = sn_supernet_choice(bench.net, i);
    for (size_t k = 0; k < choice->n_candidates; k++)
        if (strcmp(sn_value_text(&choice->candidate[k], buf, sizeof buf), text) == 0) {
            must(sn_draft_set(draft, label, &choice->candidate[k], &err));
            return;
        }
    must(sn_fail(&err, SN_E_NOT_CANDIDATE, label, "%s is no candidate", text));
}

static sn_subnet *seal_choices(char *text)
{
    sn_draft  *draft;
    sn_subnet *subnet;
    char      *rest = NULL;

    must(sn_draft_create(bench.net, &draft, &err));
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *space = need(strchr(line, ' '), line);

        *space = '\0';
        choose(draft, line, space + 1);
    }
    must(sn_draft_seal(draft, &subnet, &err));
    sn_draft_free(draft);
    return subnet;
}

static sn_desc input_of(int64_t batch)
{
    sn_desc desc = sn_supernet_input(bench.net, 0)->desc;

    desc.shape.dim[0] = batch;
    return desc;
}

static void load(const char *dir)
{
    sn_registry *registry;
    sn_desc      images;
    size_t       n;
    char        *text;

    sn_blas_set_threads(1);
    must(sn_registry_create(&registry, &err));
    must(sn_weights_open(path_in(dir, "weights.safetensors"), &bench.weights, &err));
    text = read_file(path_in(dir, "spec.json"), &n);
    must(sn_supernet_load(text, n, bench.weights, registry, &bench.net, &err));
    free(text);
    text = read_file(path_in(dir, "choices"), &n);
    bench.subnet = seal_choices(text);
    free(text);
    bench.images = read_file(path_in(dir, "images"), &n);
    images = input_of(N_IMAGES);
    if (n != (size_t)sn_shape_count(&images.shape) * sizeof(float))
        must(sn_fail(&err, SN_E_SHAPE, "images", "they are not %d inputs", N_IMAGES));
}

/* ---- jobs: plans with all they need to run ---------------------------------------------- */

struct job {
    sn_compile_options options;
    sn_desc            input;
    sn_plan           *plan;
    sn_tensor          in, out;
    void              *scratch;
    sn_state          *state;
};

static void job_make(struct job *job, sn_subnet *subnet, int batch, int threads,
                     sn_exactness exactness, sn_mode mode)
{
    const sn_plan_info *info;

    *job = (struct job){.input = input_of(batch)};
    job->options = (sn_compile_options){.size = sizeof job->options,
                                        .in = &job->input,
                                        .n_in = 1,
                                        .mode = mode,
                                        .exactness = exactness,
                                        .n_threads = threads};
    must(sn_plan_compile(subnet, &job->options, &job->plan, &err));
    info = sn_plan_describe(job->plan);
    job->scratch = memory(info->scratch_bytes);
    job->in = sn_tensor_dense(SN_F32, &info->in[0].shape, bench.images);
    job->out = sn_tensor_dense(SN_F32, &info->out[0].shape, NULL);
    job->out.data = memory((size_t)sn_shape_count(&job->out.shape) * sizeof(float));
    if (mode == SN_TRAIN) must(sn_state_create(bench.net, &job->state, &err));
}

static void job_run(const struct job *job)
{
    const sn_run_options options = {.size = sizeof options,
                                    .scratch = job->scratch,
                                    .state = job->state,
                                    .parallel = job->options.n_threads > 1 ? bench_team() : NULL};
    sn_tensor            out = job->out;

    must(sn_plan_forward(job->plan, &job->in, &out, &options, &err));
}

static double job_seconds(const struct job *job)
{
    const double start = bench_now();

    job_run(job);
    return bench_now() - start;
}

/* The job for "BATCH THREADS MODE", made when it is first asked for; at *ret_rest what follows. */
static struct job *job_find(const char *arguments, const char **ret_rest)
{
    static struct job jobs[MAX_JOBS];
    static int        n_jobs;
    int               batch, threads, length;
    char              mode[16];
    sn_exactness      exactness;

    if (sscanf(arguments, "%d %d %15s%n", &batch, &threads, mode, &length) != 3 || batch < 1 ||
        batch > N_IMAGES || threads < 1 || threads > 2)
        must(sn_fail(&err, SN_E_INVALID, arguments, "not BATCH THREADS MODE"));
    *ret_rest = arguments + length + (arguments[length] == ' ');
    exactness = strcmp(mode, "winograd") == 0 ? SN_EXACTNESS_WINOGRAD : SN_EXACTNESS_DIRECT;
    for (int i = 0; i < n_jobs; i++)
        if (jobs[i].input.shape.dim[0] == batch && jobs[i].options.n_threads == threads &&
            jobs[i].options.exactness == exactness)
            return &jobs[i];
    need(n_jobs < MAX_JOBS ? jobs : NULL, "too many jobs");
    job_make(&jobs[n_jobs], bench.subnet, batch, threads, exactness, SN_EVAL);
    return &jobs[n_jobs++];
}

/* ---- commands --------------------------------------------------------------------------- */

static void run(const char *arguments)
{
    const struct job *job = job_find(arguments, &arguments);

    for (int i = atoi(arguments); i > 0; i--)
        printf("%.2f ", job_seconds(job) * 1e6);
    printf("\n");
}

static void output(const char *arguments)
{
    const struct job *job = job_find(arguments, &arguments);
    const sn_sink     sink = sink_open(arguments);

    job_run(job);
    write_bytes(sink.cls, job->out.data, (size_t)sn_shape_count(&job->out.shape) * sizeof(float));
    sink_close(&sink);
    printf("ok\n");
}

static void info(const char *arguments)
{
    const sn_plan_info *plan = sn_plan_describe(job_find(arguments, &arguments)->plan);

    printf("%llu %zu %zu\n", (unsigned long long)plan->cost.macs, plan->plan_bytes,
           plan->packed_bytes);
}

static void peak_body(void *cls, int i)
{
    ((double *)cls)[i] = bench_peak();
}

static void peak(const char *arguments)
{
    double flops[2] = {0};

    bench_team()->run(NULL, atoi(arguments) > 1 ? 2 : 1, peak_body, flops);
    printf("%.1f\n", (flops[0] + flops[1]) * 1e-9);
}

/* From decisions to a plan that could run. */
static sn_plan *switch_to(const sn_draft *draft)
{
    const sn_desc            input = input_of(1);
    const sn_compile_options options = {.size = sizeof options, .in = &input, .n_in = 1};
    sn_subnet               *subnet;
    sn_plan                 *plan;

    must(sn_draft_seal(draft, &subnet, &err));
    must(sn_plan_compile(subnet, &options, &plan, &err));
    sn_subnet_unref(subnet);
    return plan;
}

/* A draft with everything decided by the policy of this name. */
static sn_draft *draw(const char *name, sn_rng *rng)
{
    sn_policy *policy;
    sn_draft  *draft;

    must(sn_policy_create(bench.net, name, NULL, &policy, &err));
    must(sn_draft_create(bench.net, &draft, &err));
    must(sn_policy_resample(policy, rng, draft, &err));
    sn_policy_free(policy);
    return draft;
}

static void compile(const char *arguments)
{
    const int  n = atoi(arguments);
    const bool keep = strstr(arguments, " keep") != NULL;
    sn_plan  **plan = memory((size_t)n * sizeof(sn_plan *));
    size_t     most = 0;
    sn_draft  *draft;
    sn_rng     rng;

    sn_rng_seed(&rng, 1);
    draft = draw("max", &rng);
    sn_plan_unref(switch_to(draft)); /* packs every module once, for all that follow */
    sn_draft_free(draft);
    for (int i = 0; i < n; i++) {
        double start;
        size_t n_bytes;

        draft = draw("random", &rng);
        start = bench_now();
        plan[i] = switch_to(draft);
        printf("%.2f ", (bench_now() - start) * 1e6);
        n_bytes = sn_plan_describe(plan[i])->plan_bytes;
        most = n_bytes > most ? n_bytes : most;
        if (!keep) plan[i] = sn_plan_unref(plan[i]);
        sn_draft_free(draft);
    }
    printf("%zu\n", most);
    for (int i = 0; i < n; i++)
        sn_plan_unref(plan[i]);
    free(plan);
}

struct worker {
    struct job job;
    int        repeats;
};

static void work(void *cls, int i)
{
    const struct worker *worker = (const struct worker *)cls + i;

    for (int r = 0; r < worker->repeats; r++)
        job_run(&worker->job);
}

static void pair(const char *arguments)
{
    static struct worker worker[2];
    const sn_parallel   *team = bench_team();

    for (int i = 0; i < 2 && !worker[i].repeats; i++) {
        job_make(&worker[i].job, bench.subnet, 1, 1, SN_EXACTNESS_DIRECT, SN_EVAL);
        job_run(&worker[i].job);
        worker[i].repeats = 1 + (int)(PAIR_SECONDS / job_seconds(&worker[i].job));
    }
    worker[1].repeats = worker[0].repeats;
    for (int i = atoi(arguments); i > 0; i--) {
        const double start = bench_now();
        double       alone;

        work(worker, 0);
        alone = bench_now() - start;
        team->run(team->pool, 2, work, worker);
        printf("%.2f ", 2 * alone / (bench_now() - start - alone));
    }
    printf("\n");
}

/* The state's tensor of this name, if it has one, instead of the weights'. */
static void replace(const sn_state *state, const char *name, sn_tensor *t)
{
    for (size_t i = 0; i < sn_state_count(state); i++) {
        sn_tensor   learned;
        const char *called = sn_state_at(state, i, &learned);

        if (strcmp(called, name) == 0) *t = learned;
    }
}

static void calibrate(const char *path)
{
    const size_t  n = sn_weights_count(bench.weights);
    const char  **name = memory(n * sizeof *name);
    sn_tensor    *tensor = memory(n * sizeof *tensor);
    const sn_sink sink = sink_open(path);
    struct job    job;

    job_make(&job, bench.subnet, N_IMAGES, 1, SN_EXACTNESS_DIRECT, SN_TRAIN);
    job_run(&job);
    for (size_t i = 0; i < n; i++) {
        name[i] = sn_weights_at(bench.weights, i, &tensor[i]);
        replace(job.state, name[i], &tensor[i]);
    }
    must(sn_tensors_write(name, tensor, n, NULL, NULL, 0, &sink, &err));
    sink_close(&sink);
    printf("ok\n");
}

static void export_to(const char *dir)
{
    sn_sink sink = sink_open(path_in(dir, "spec.json"));

    must(sn_subnet_write_spec(bench.subnet, &sink, &err));
    sink_close(&sink);
    sink = sink_open(path_in(dir, "weights.safetensors"));
    must(sn_subnet_write_weights(bench.subnet, &sink, &err));
    sink_close(&sink);
    printf("ok\n");
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(const char *arguments);
    } commands[] = {
        {"run ", run},
        {"output ", output},
        {"info ", info},
        {"peak ", peak},
        {"compile ", compile},
        {"pair ", pair},
        {"calibrate ", calibrate},
        {"export ", export_to},
    };
    char line[4096];

    if (argc != 2) {
        fprintf(stderr, "usage: bench_subnet DIR < commands\n");
        return 2;
    }
    load(argv[1]);
    while (fgets(line, sizeof line, stdin)) {
        bool known = false;

        line[strcspn(line, "\n")] = '\0';
        for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
            const size_t n = strlen(commands[i].name);

            if (strncmp(line, commands[i].name, n) != 0) continue;
            commands[i].run(line + n);
            known = true;
        }
        if (!known) must(sn_fail(&err, SN_E_INVALID, line, "no such command"));
        fflush(stdout);
    }
    return 0;
}
