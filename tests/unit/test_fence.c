/* Builds that fence memory end a run in which an operator strays; in all builds, and under
 * sanitizers, one that does not stray runs. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "supernet/op.h"
#include "supernet/supernet.h"

#define RELU "{\"type\": \"ReLU\"}"

#ifdef SN_FENCE
enum { FENCED = 1 };
#else
enum { FENCED = 0 };
#endif

enum stray {
    NOWHERE,
    READ_BEHIND,
    READ_BEFORE,
    WRITE_BEHIND,
    WRITE_BEFORE,
    WRITE_INPUT,
    SKIP_THE_LAST, /* leave it unwritten */
    READ_OUTPUT,   /* before it is written */
    READ_SCRATCH,  /* likewise */
    WRITE_BEHIND_SCRATCH,
    WRITE_FAR_BEHIND_SCRATCH,
    N_STRAYS
};

enum { SCRATCH = 20 }; /* bytes; its memory has 64 */

static const sn_arg_def   args[] = {{"how", SN_KINDS(SN_KIND_INT), SN_ARG_FIXED, NULL, NULL}, {0}};
static const sn_param_def params[] = {{0}};

static sn_status infer(sn_call *call, sn_error *err)
{
    (void)err;
    call->out[0] = call->in[0];
    call->scratch_bytes = SCRATCH;
    return SN_OK;
}

static void forward(const sn_call *call, const sn_io *io)
{
    const int64_t   n = sn_shape_count(&io->out->shape);
    float          *x = io->in[0].data, *y = io->out[0].data;
    char           *scratch = io->scratch;
    volatile float *sink = y;
    int64_t         how, last = n;

    sn_value_int(&call->arg[0].value, &how);
    memset(scratch, 0, how == READ_SCRATCH ? 0 : SCRATCH);
    if (how == SKIP_THE_LAST) last = n - 1;
    if (how == READ_OUTPUT) x = y;
    for (int64_t i = 0; i < last; i++)
        y[i] = x[i] + (float)scratch[0];
    if (how == READ_BEHIND) sink[0] = x[n];
    if (how == READ_BEFORE) sink[0] = x[-1];
    if (how == WRITE_BEHIND) sink[n] = 1.0f;
    if (how == WRITE_BEFORE) sink[-1] = 1.0f;
    if (how == WRITE_INPUT) *(volatile float *)x = 1.0f;
    if (how == WRITE_BEHIND_SCRATCH) ((volatile char *)scratch)[SCRATCH] = 1;
    if (how == WRITE_FAR_BEHIND_SCRATCH) ((volatile char *)scratch)[64] = 1;
}

static bool grow(const sn_call *call, const sn_growth *in, sn_growth *out)
{
    (void)call;
    out[0] = in[0];
    return true;
}

static const sn_op stray = {.size = sizeof stray,
                            .abi = SN_OP_ABI,
                            .type = "Stray",
                            .args = args,
                            .params = params,
                            .min_in = 1,
                            .max_in = 1,
                            .n_out = 1,
                            .infer = infer,
                            .forward = forward,
                            .grow = grow};

/* `batch` of at most 5 samples through an operator that strays, between others or from the caller's
 * memory and into it; 0 if all went well. */
static int run(bool between, int how, int64_t batch)
{
    static char        empty[] = "\x02\0\0\0\0\0\0\0{}";
    static const char  head[] = "{\"format\": \"supernet/1\", \"name\": \"t\", \"inputs\": "
                                "[{\"name\": \"x\", \"shape\": [\"N\", 3]}], \"model\": {\"type\": "
                                "\"Sequential\", \"layers\": [";
    char               spec[1024];
    float              x[15], y[15];
    sn_registry       *reg;
    sn_weights        *weights;
    sn_supernet       *net;
    sn_draft          *draft;
    sn_subnet         *subnet;
    sn_plan           *plan;
    sn_shape           shape = {2, {5, 3}};
    sn_desc            desc = {SN_F32, shape};
    sn_compile_options options = {.size = sizeof options, .in = &desc, .n_in = 1};
    sn_run_options     way = {.size = sizeof way};
    sn_tensor          in, out;

    snprintf(spec, sizeof spec, "%s%s{\"type\": \"Stray\", \"how\": %d}%s]}}", head,
             between ? RELU ", " : "", how, between ? ", " RELU : "");
    if (sn_registry_create(&reg, NULL) || sn_registry_add_op(reg, &stray, NULL) ||
        sn_weights_borrow(empty, 10, "none", &weights, NULL) ||
        sn_supernet_load(spec, strlen(spec), weights, reg, &net, NULL) ||
        sn_draft_create(net, &draft, NULL) || sn_draft_seal(draft, &subnet, NULL) ||
        sn_plan_compile(subnet, &options, &plan, NULL))
        return 2;
    for (int i = 0; i < 15; i++)
        x[i] = (float)i;
    way.scratch = aligned_alloc(64, (sn_plan_describe(plan)->scratch_bytes + 127) / 64 * 64);
    shape.dim[0] = batch;
    in = sn_tensor_dense(SN_F32, &shape, x);
    out = sn_tensor_dense(SN_F32, &shape, y);
    if (sn_plan_forward(plan, &in, &out, &way, NULL) != SN_OK) return 3;
    free(way.scratch);
    sn_plan_unref(plan);
    sn_subnet_unref(subnet);
    sn_draft_free(draft);
    sn_supernet_unref(net);
    sn_weights_unref(weights);
    sn_registry_unref(reg);
    return memcmp(x, y, (size_t)batch * 3 * sizeof *x) ? 4 : 0;
}

/* The same in a process of its own, where it may die; how it ended. */
static int run_apart(bool between, int how, int64_t batch)
{
    const pid_t child = fork();
    int         status = 0;

    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit none = {0, 0};

        setrlimit(RLIMIT_CORE, &none);
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        signal(SIGABRT, SIG_DFL);
        if (how != NOWHERE && !freopen("/dev/null", "w", stderr)) _exit(9);
        _exit(run(between, how, batch));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void who_does_not_stray_runs(void **state)
{
    (void)state;
    for (int between = 0; between < 2; between++)
        for (int64_t batch = 1; batch <= 5; batch++)
            assert_int_equal(run(between, NOWHERE, batch), 0);
}

static void who_strays_ends_the_process(void **state)
{
    (void)state;
    if (!FENCED) skip(); /* what it does is undefined there */
    for (int between = 0; between < 2; between++)
        for (int64_t batch = 1; batch <= 5; batch += 2)
            for (int how = NOWHERE; how < N_STRAYS; how++) {
                const int status = run_apart(between, how, batch);

                /* a value between steps is not protected: its maker may write it, and so may others
                 */
                if (how == NOWHERE || (how == WRITE_INPUT && between))
                    assert_int_equal(status, 0);
                else if (!WIFSIGNALED(status))
                    fail_msg("stray %d, batch %d ended with %x", how, (int)batch, (unsigned)status);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_does_not_stray_runs),
        cmocka_unit_test(who_strays_ends_the_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
