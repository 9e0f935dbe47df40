/* mapped: what happens to weights whose file is changed while they are in use. Whatever it is, the
 * process lives and the library says it. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "supernet/host.h"
#include "supernet/weights.h"
#include "support/net.h"

/* Weights of 64 pages, so that most of them are gone when the file is cut behind the first. */
static const char spec[] =
    "{\"format\": \"supernet/1\", \"name\": \"t\", \"inputs\": [{\"name\": \"x\", \"shape\": "
    "[\"N\", 256]}], \"model\": {\"type\": \"Sequential\", \"layers\": [{\"name\": \"fc\", "
    "\"type\": "
    "\"Linear\", \"in_features\": 256, \"out_features\": 256}]}}";
static const struct net_tensor tensors[] = {
    {"fc.weight", 2, {256, 256}},
    {"fc.bias", 1, {256}},
    {NULL, 0, {0}},
};

static char folder[] = "/tmp/test_mapped.XXXXXX", file[64], other[64];

static void write_file(const char *path, const char *mode)
{
    size_t n;
    void  *bytes = net_weights(tensors, &n);
    FILE  *f = fopen(path, mode);

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    free(bytes);
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(file, sizeof file, "%s/weights", folder);
    snprintf(other, sizeof other, "%s/other", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(file);
    unlink(other);
    return rmdir(folder);
}

/* ---- what is a change, and what is not ---- */

static void cut(void)
{
    assert_int_equal(truncate(file, 4096), 0);
}

static void empty(void)
{
    assert_int_equal(truncate(file, 0), 0);
}

static void append(void)
{
    FILE *f = fopen(file, "ab");

    assert_non_null(f);
    fputc(0, f);
    fclose(f);
}

static void overwrite(void)
{
    write_file(file, "r+b");
}

static void copy_over(void)
{
    write_file(file, "wb");
}

static void set_time_back(void)
{
    struct stat st;

    assert_int_equal(stat(file, &st), 0);
    write_file(file, "r+b");
    assert_int_equal(utimensat(AT_FDCWD, file, (struct timespec[2]){st.st_atim, st.st_mtim}, 0), 0);
}

static void replace(void)
{
    write_file(other, "wb");
    assert_int_equal(rename(other, file), 0);
}

static void move_away(void)
{
    assert_int_equal(rename(file, other), 0);
}

static void delete_it(void)
{
    assert_int_equal(unlink(file), 0);
}

static void link_it(void)
{
    assert_int_equal(link(file, other), 0);
}

static void change_rights(void)
{
    assert_int_equal(chmod(file, 0400), 0);
}

static void nothing(void) {}

static const struct change {
    const char *name;
    void (*make)(void);
    bool counts;
} changes[] = {
    {"cut", cut, true},
    {"emptied", empty, true},
    {"longer", append, true},
    {"overwritten", overwrite, true},
    {"copied over", copy_over, true},
    {"overwritten, the time set back", set_time_back, true},
    {"nothing", nothing, false},
    {"replaced by rename", replace, false},
    {"moved away", move_away, false},
    {"deleted", delete_it, false},
    {"another name for it", link_it, false},
    {"other rights", change_rights, false},
};

static void only_a_change_of_the_bytes_counts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        const struct change *c = &changes[i];
        sn_weights          *w = NULL;
        sn_error             err = {0};
        sn_status            rc;

        unlink(other);
        unlink(file);
        write_file(file, "wb");
        assert_int_equal(sn_weights_open(file, &w, NULL), SN_OK);
        assert_int_equal(sn_weights_check(w, NULL), SN_OK);
        c->make();
        assert_false(sn_weights_is_changed(w)); /* nobody has looked */
        rc = sn_weights_check(w, &err);
        if (rc != (c->counts ? SN_E_CHANGED : SN_OK)) fail_msg("%s: %d", c->name, rc);
        if (c->counts && (!strstr(err.text, "replace files by rename") || strcmp(err.where, file)))
            fail_msg("%s: %s: %s", c->name, err.where, err.text);
        assert_int_equal(sn_weights_is_changed(w), c->counts);
        assert_int_equal(sn_weights_check(w, NULL), rc); /* for good */
        sn_weights_unref(w);
    }
}

static bool stop_at_once(void *cls)
{
    (void)cls;
    return true;
}

static void a_copy_is_stopped_and_limited(void **state)
{
    sn_weights_options options = {.size = sizeof options, .mode = SN_WEIGHTS_COPY};
    sn_weights        *w = NULL;
    int                fd;

    (void)state;
    unlink(file);
    write_file(file, "wb");
    fd = open(file, O_RDONLY);
    options.stop = stop_at_once;
    assert_int_equal(sn_weights_open_fd(fd, file, &options, &w, NULL), SN_E_STOPPED);
    options.stop = NULL;
    options.limit_bytes = 100000;
    assert_int_equal(sn_weights_open_fd(fd, file, &options, &w, NULL), SN_E_LIMIT);
    options.limit_bytes = 1000000;
    assert_int_equal(sn_weights_open_fd(fd, file, &options, &w, NULL), SN_OK);
    w = sn_weights_unref(w);
    assert_int_equal(sn_weights_open_fd(fd, file, NULL, &w, NULL), SN_OK);
    sn_weights_unref(w);
    close(fd);
}

static void a_private_copy_does_not_change(void **state)
{
    const sn_weights_options copy = {.size = sizeof copy, .mode = SN_WEIGHTS_COPY};
    sn_weights              *w = NULL, *borrowed = NULL;
    sn_tensor                t, b;
    size_t                   n;
    void                    *bytes = net_weights(tensors, &n);
    int                      fd;

    (void)state;
    write_file(file, "wb");
    fd = open(file, O_RDONLY);
    assert_int_equal(sn_weights_open_fd(fd, file, &copy, &w, NULL), SN_OK);
    assert_int_equal(sn_weights_borrow(bytes, n, "memory", &borrowed, NULL), SN_OK);
    close(fd);
    empty();
    assert_int_equal(sn_weights_check(w, NULL), SN_OK);
    assert_int_equal(sn_weights_check(borrowed, NULL), SN_OK);
    assert_true(sn_weights_find(w, "fc.weight", &t) && sn_weights_find(borrowed, "fc.weight", &b));
    assert_memory_equal(t.data, b.data, 256 * 256 * 4);
    sn_weights_unref(w);
    sn_weights_unref(borrowed);
    free(bytes);
}

/* ---- reading what is gone ---- */

static sn_supernet *load(sn_weights *w, sn_error *err)
{
    sn_registry *reg = NULL;
    sn_supernet *net = NULL;

    assert_int_equal(sn_registry_create(&reg, NULL), SN_OK);
    sn_supernet_load(spec, sizeof spec - 1, w, reg, &net, err);
    sn_registry_unref(reg);
    return net;
}

static sn_status compile(sn_subnet *subnet, sn_plan **ret_plan, sn_error *err)
{
    const sn_desc            in = {SN_F32, {2, {1, 256}}};
    const sn_compile_options options = {.size = sizeof options, .in = &in, .n_in = 1};

    return sn_plan_compile(subnet, &options, ret_plan, err);
}

static sn_status forward(const sn_plan *plan, float *y, sn_error *err)
{
    static float    x[256] = {1};
    const size_t    n = (sn_plan_describe(plan)->scratch_bytes + 127) / 64 * 64;
    sn_run_options  options = {.size = sizeof options, .scratch = aligned_alloc(64, n)};
    const sn_shape  shape = {2, {1, 256}};
    const sn_tensor in = sn_tensor_dense(SN_F32, &shape, x);
    sn_tensor       out = sn_tensor_dense(SN_F32, &shape, y);
    const sn_status rc = sn_plan_forward(plan, &in, &out, &options, err);

    free(options.scratch);
    return rc;
}

static int discard(void *cls, const void *bytes, size_t n_bytes)
{
    uint32_t *sum = cls;

    for (size_t i = 0; i < n_bytes; i++)
        *sum += ((const uint8_t *)bytes)[i];
    return 0;
}

/* The file is cut before the stage of this number; from it on everything says so. */
enum stage { LOAD, COMPILE, FORWARD, EXPORT, N_STAGES };

static void lost_weights_are_said_at_every_stage(void **state)
{
    (void)state;
    assert_int_equal(sn_sigbus_install(NULL), SN_OK); /* over the one of cmocka, for this test */
    for (int cut_at = LOAD; cut_at < N_STAGES; cut_at++) {
        sn_weights   *w = NULL;
        sn_supernet  *net = NULL;
        sn_draft     *draft = NULL;
        sn_subnet    *subnet = NULL;
        sn_plan      *plan = NULL;
        sn_error      err = {0};
        uint32_t      sum = 0;
        const sn_sink sink = {discard, &sum};
        float         y[256];

        unlink(file);
        write_file(file, "wb");
        assert_int_equal(sn_weights_open(file, &w, NULL), SN_OK);
        if (cut_at == LOAD) cut();
        net = load(w, &err);
        assert_int_equal(err.code, cut_at == LOAD ? SN_E_CHANGED : SN_OK);
        if (net) {
            assert_int_equal(sn_draft_create(net, &draft, NULL), SN_OK);
            assert_int_equal(sn_draft_seal(draft, &subnet, NULL), SN_OK);
            if (cut_at == COMPILE) cut();
            if (compile(subnet, &plan, &err) == SN_OK) {
                if (cut_at == FORWARD) cut();
                /* what was packed is read from memory: it is right, or it is said */
                if (forward(plan, y, &err) != SN_OK) assert_int_equal(err.code, SN_E_CHANGED);
            }
            if (cut_at == EXPORT) cut();
            assert_int_equal(sn_subnet_write_weights(subnet, &sink, NULL), SN_E_CHANGED);
            assert_int_equal(compile(subnet, &plan, NULL), SN_E_CHANGED);
        }
        sn_plan_unref(plan);
        sn_draft_free(draft);
        sn_subnet_unref(subnet);
        sn_supernet_unref(net);
        sn_weights_unref(w);
    }
}

/* More mappings than one block of the table holds; every one is marked alone. */
static void the_table_knows_every_mapping(void **state)
{
    enum { N = 200 };
    sn_weights *w[N] = {0};

    (void)state;
    assert_int_equal(sn_sigbus_install(NULL), SN_OK);
    unlink(file);
    write_file(file, "wb");
    for (int i = 0; i < N; i++)
        assert_int_equal(sn_weights_open(file, &w[i], NULL), SN_OK);
    for (int i = 0; i < N; i += 3)
        w[i] = sn_weights_unref(w[i]);
    for (int i = 0; i < N; i += 3)
        assert_int_equal(sn_weights_open(file, &w[i], NULL), SN_OK);
    cut();
    for (int i = 0; i < N; i++) {
        sn_tensor      t;
        volatile float read = 1;

        if (i % 2) continue;
        assert_true(sn_weights_find(w[i], "fc.weight", &t));
        read = ((const volatile float *)t.data)[256 * 256 - 1];
        assert_true(read == 0.0f);
    }
    for (int i = 0; i < N; i++) {
        assert_int_equal(sn_weights_is_changed(w[i]), i % 2 == 0);
        sn_weights_unref(w[i]);
    }
}

/* ---- faults that are none of ours ---- */

static void read_past_a_file(void)
{
    const int            fd = open(file, O_RDONLY);
    const volatile char *at = mmap(NULL, 1 << 16, PROT_READ, MAP_PRIVATE, fd, 0);

    (void)at[40000];
}

static void send_it(void)
{
    raise(SIGBUS);
}

static void the_default_action_stays_for_others(void **state)
{
    void (*const fault[])(void) = {read_past_a_file, send_it};

    (void)state;
    unlink(file);
    write_file(file, "wb");
    cut();
    for (size_t i = 0; i < sizeof fault / sizeof fault[0]; i++) {
        const pid_t child = fork();
        int         status;

        if (child == 0) {
            signal(SIGBUS, SIG_DFL);
            if (sn_sigbus_install(NULL)) _exit(0);
            fault[i]();
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_change_of_the_bytes_counts),
        cmocka_unit_test(a_private_copy_does_not_change),
        cmocka_unit_test(a_copy_is_stopped_and_limited),
        cmocka_unit_test(lost_weights_are_said_at_every_stage),
        cmocka_unit_test(the_table_knows_every_mapping),
        cmocka_unit_test(the_default_action_stays_for_others),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
