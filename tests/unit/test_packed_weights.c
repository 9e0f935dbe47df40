/* Prepared weights take the place of the file's pages, they do not come on top of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "supernet/host.h"
#include "supernet/weights.h"
#include "support/net.h"

enum { WIDTH = 512, WEIGHT_KB = WIDTH * WIDTH * 4 / 1024 };

static const char spec[] =
    "{\"format\": \"supernet/1\", \"name\": \"wide\", \"choices\": {\"w\": [256, 512]},\n"
    " \"inputs\": [{\"name\": \"x\", \"dtype\": \"F32\", \"shape\": [\"N\", 512]}],\n"
    " \"model\": {\"type\": \"Linear\", \"in_features\": 512, \"out_features\": \"w\"}}";

static char path[64];

static int write_file(void *cls, const void *bytes, size_t n)
{
    return fwrite(bytes, 1, n, cls) == n ? 0 : -1;
}

/* The weights as a file of `dtype`; every element is these bytes. */
static void write_weights(sn_dtype dtype, uint32_t element)
{
    static const char *const names[] = {"weight", "bias"};
    const size_t             n = sn_dtype_bytes(dtype);
    const sn_shape           square = {2, {WIDTH, WIDTH}}, row = {1, {WIDTH}};
    char                    *data = malloc(WIDTH * WIDTH * n);
    FILE                    *f = fopen(path, "w");
    const sn_sink            sink = {write_file, f};

    assert_non_null(data);
    assert_non_null(f);
    for (size_t i = 0; i < WIDTH * WIDTH; i++)
        memcpy(data + i * n, &element, n);
    const sn_tensor tensors[] = {sn_tensor_dense(dtype, &square, data),
                                 sn_tensor_dense(dtype, &row, data)};
    assert_int_equal(sn_tensors_write(names, tensors, 2, NULL, NULL, 0, &sink, NULL), SN_OK);
    assert_int_equal(fclose(f), 0);
    free(data);
}

static sn_supernet *open_net(void)
{
    sn_registry *reg = NULL;
    sn_weights  *weights = NULL;
    sn_supernet *net = NULL;
    sn_error     err = {0};

    if (sn_registry_create(&reg, &err) || sn_weights_open(path, &weights, &err) ||
        sn_supernet_load(spec, strlen(spec), weights, reg, &net, &err))
        fail_msg("%s: %s", err.where, err.text);
    sn_weights_unref(weights);
    sn_registry_unref(reg);
    return net;
}

/* Kilobytes of the mapped file that are in memory. */
static long resident_kb(void)
{
    FILE *f = fopen("/proc/self/smaps", "r");
    char  line[512];
    bool  ours = false;
    long  kb, sum = 0;

    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        if (strchr(line, '-') && strchr(line, ' ') > strchr(line, '-'))
            ours = strstr(line, path) != NULL;
        if (ours && sscanf(line, "Rss: %ld kB", &kb) == 1) sum += kb;
    }
    fclose(f);
    return sum;
}

static sn_plan *compile(sn_supernet *net, const char *choices)
{
    const sn_desc            in = {SN_F32, {2, {1, WIDTH}}};
    const sn_compile_options options = {.size = sizeof options, .in = &in, .n_in = 1};
    sn_subnet               *subnet = net_choose(net, choices);
    sn_plan                 *plan = NULL;

    assert_int_equal(sn_plan_compile(subnet, &options, &plan, NULL), SN_OK);
    sn_subnet_unref(subnet);
    return plan;
}

/* All inputs are 1, all weights w: every output is 513 w. */
static void check_run(const sn_plan *plan, int64_t width, float w)
{
    float          x[WIDTH], y[WIDTH];
    const sn_shape in_shape = {2, {1, WIDTH}}, out_shape = {2, {1, width}};
    sn_tensor      in = sn_tensor_dense(SN_F32, &in_shape, x),
              out = sn_tensor_dense(SN_F32, &out_shape, y);
    const size_t   n_bytes = sn_plan_describe(plan)->scratch_bytes / SN_ALIGN_BYTES + 1;
    sn_run_options options = {.size = sizeof options,
                              .scratch = aligned_alloc(SN_ALIGN_BYTES, n_bytes * SN_ALIGN_BYTES)};

    for (int i = 0; i < WIDTH; i++)
        x[i] = 1;
    assert_int_equal(sn_plan_forward(plan, &in, &out, &options, NULL), SN_OK);
    for (int64_t i = 0; i < width; i++)
        assert_float_equal(y[i], 513 * w, 0);
    free(options.scratch);
}

/* Of a fenced build, whose weights are copies, nothing can be said. */
static bool gave_pages_back(void)
{
#ifdef SN_FENCE
    return true;
#else
    return resident_kb() < WEIGHT_KB / 4;
#endif
}

static void prepared_weights_replace_those_of_the_file(void **state)
{
    sn_supernet *net;
    sn_plan     *wide, *narrow;
    size_t       packed;

    (void)state;
    write_weights(SN_F32, 0x3f000000); /* 0.5 */
    net = open_net();
    assert_int_equal(sn_supernet_packed_bytes(net), 0);
    wide = compile(net, "w=512");
    packed = sn_supernet_packed_bytes(net);
    assert_true(packed >= WEIGHT_KB * 1024 && packed < 2 * WEIGHT_KB * 1024);
    /* what is left is around the tensors: the pages that they share, and what a fault reads */
    assert_true(gave_pages_back());
    narrow = compile(net, "w=256");
    assert_int_equal(sn_supernet_packed_bytes(net), packed);
    assert_true(gave_pages_back());
    check_run(wide, 512, 0.5f);
    check_run(narrow, 256, 0.5f);
    sn_plan_unref(wide);
    sn_plan_unref(narrow);
    sn_supernet_unref(net);
}

static int count_bytes(void *cls, const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        *(size_t *)cls += ((const uint8_t *)bytes)[i] == 0x3f;
    return 0;
}

static void what_was_given_back_can_still_be_read(void **state)
{
    sn_supernet  *net;
    sn_plan      *plan;
    size_t        n = 0;
    const sn_sink sink = {count_bytes, &n};

    (void)state;
    write_weights(SN_F32, 0x3f000000);
    net = open_net();
    plan = compile(net, "w=512");
    assert_int_equal(sn_subnet_write_weights(sn_plan_subnet(plan), &sink, NULL), SN_OK);
    assert_true(n >= WIDTH * WIDTH + WIDTH && n < WIDTH * WIDTH + WIDTH + 100);
    sn_plan_unref(plan);
    sn_supernet_unref(net);
}

static void widened_weights_replace_those_of_the_file(void **state)
{
    sn_supernet *net;
    sn_plan     *plan;

    (void)state;
    write_weights(SN_F16, 0x3800); /* 0.5 */
    net = open_net();
    assert_true(resident_kb() < WEIGHT_KB / 2 / 4);
    plan = compile(net, "w=512");
    check_run(plan, 512, 0.5f);
    sn_plan_unref(plan);
    sn_supernet_unref(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prepared_weights_replace_those_of_the_file),
        cmocka_unit_test(what_was_given_back_can_still_be_read),
        cmocka_unit_test(widened_weights_replace_those_of_the_file),
    };
    int rc, fd;

    strcpy(path, "/tmp/test_packed_weights.XXXXXX");
    fd = mkstemp(path);
    if (fd < 0) return 1;
    close(fd);
    rc = cmocka_run_group_tests_name("packed weights", tests, NULL, NULL);
    unlink(path);
    return rc;
}
