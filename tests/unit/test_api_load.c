/* api_load: what a load takes is charged before it is taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "account.h"
#include "api.h"
#include "supernet/supernet.h"
#include "supernet/weights.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { WIDTH = 1024, ELEMENTS = WIDTH * WIDTH }; /* 2 MiB in 16 bits, 4 in 32 */

static const char spec[] =
    "{\"format\": \"supernet/1\", \"name\": \"t\", \"inputs\": [{\"name\": \"x\", \"shape\": "
    "[\"N\", "
    "1024]}], \"model\": {\"type\": \"Linear\", \"in_features\": 1024, \"out_features\": 1024, "
    "\"bias\": false}}";

static char dir[64];

static int write_bytes(void *cls, const void *bytes, size_t n_bytes)
{
    return fwrite(bytes, 1, n_bytes, cls) == n_bytes ? 0 : -1;
}

static int set_up(void **state)
{
    static const char *const name = "weight";
    const sn_shape           shape = {2, {WIDTH, WIDTH}};
    void                    *zeros = calloc(ELEMENTS, 2);
    const sn_tensor          t = sn_tensor_dense(SN_F16, &shape, zeros);
    char                     path[128];
    FILE                    *f;
    sn_sink                  sink = {write_bytes, NULL};

    (void)state;
    strcpy(dir, "/tmp/test_api_load.XXXXXX");
    if (!mkdtemp(dir)) return -1;
    snprintf(path, sizeof path, "%s/spec.json", dir);
    if (!(f = fopen(path, "wb"))) return -1;
    fputs(spec, f);
    fclose(f);
    snprintf(path, sizeof path, "%s/weights.safetensors", dir);
    if (!(f = fopen(path, "wb"))) return -1;
    sink.cls = f;
    if (sn_tensors_write(&name, &t, 1, NULL, NULL, 0, &sink, NULL)) return -1;
    fclose(f);
    free(zeros);
    return 0;
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

static void memory_of_a_load_is_charged_first(void **state)
{
    static const struct {
        const char *name;
        bool        copy;
        size_t      kept_bytes;
        const char *why; /* NULL: it is loaded */
    } rows[] = {
        {"widened weights fit", false, 5 << 20, NULL},
        {"widened weights are too large", false, 3 << 20,
         "widening the weights would take 4194304"},
        {"a copy and wide weights fit", true, 7 << 20, NULL},
        {"a copy leaves too little", true, 5 << 20, "widening the weights would take 4194304"},
        {"a copy is too large", true, 1 << 20, "a copy of the weights would take 2097"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct api_config config = {.plan_cache_bytes = 1 << 20,
                                          .subnet_cache = 8,
                                          .max_batch = 8,
                                          .max_subnets = 8,
                                          .max_scratch_bytes = 1 << 20,
                                          .copy_weights = rows[i].copy,
                                          .pot_bytes = {[POT_KEPT] = rows[i].kept_bytes}};
        char                    why[512] = "";
        struct api             *api = api_create(&config, why, sizeof why);
        bool                    loaded;

        assert_non_null(api);
        loaded = api_load(api, "t", dir, why, sizeof why);
        if (loaded != !rows[i].why || (rows[i].why && !strstr(why, rows[i].why)))
            fail_msg("%s: %s", rows[i].name, why);
        if (!loaded) assert_int_equal(account_used(api_account(api), ACCOUNT_SUPERNETS), 0);
        api_free(api);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_of_a_load_is_charged_first),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
