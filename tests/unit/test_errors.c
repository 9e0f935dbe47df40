/* errors: every folder of tests/errors is one way to write a wrong specification:
 *
 *   spec.json   the document
 *   error       the status, and on the next line the sentence that a user will read;
 *               one that ends in "..." goes on with a list of all that exists
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

enum { MAX_CASES = 512 };

static const char *const root = "tests/errors";

/* The whole of root/name/file; the test ends if it cannot be read. */
static char *read_file(const char *name, const char *file, size_t *ret_n)
{
    char        path[512], part[4096];
    struct text t = {0};
    size_t      n;
    FILE       *f;

    snprintf(path, sizeof path, "%s/%s/%s", root, name, file);
    f = fopen(path, "rb");
    if (!f) fail_msg("%s is missing", path);
    while ((n = fread(part, 1, sizeof part, f)) > 0)
        text_add(&t, part, n);
    fclose(f);
    assert_non_null(t.at);
    *ret_n = t.n;
    return t.at;
}

static const char *status_name(sn_status code)
{
    static const char *const name[] = {
#define X(name, text) #name,
        SN_STATUS_MAP(X)
#undef X
    };

    return name[code];
}

static void case_is_refused(void **state)
{
    const char  *name = *state;
    sn_registry *reg = NULL;
    sn_supernet *net = NULL;
    sn_error     err = {0};
    struct text  got = {0};
    size_t       n_spec, n_error;
    char        *spec = read_file(name, "spec.json", &n_spec);
    char        *want = read_file(name, "error", &n_error);
    sn_status    rc;

    assert_int_equal(sn_registry_create(&reg, NULL), SN_OK);
    rc = sn_supernet_load(spec, n_spec, NULL, reg, &net, &err);
    assert_int_equal(rc, err.code);
    assert_null(net);
    text_printf(&got, "%s\n%s%s%s\n", status_name(rc), err.where, *err.where ? ": " : "", err.text);
    if (n_error > 4 && strcmp(want + n_error - 4, "...\n") == 0 && got.n > n_error) {
        want[n_error - 4] = '\0';
        got.at[n_error - 4] = '\0';
    }
    assert_string_equal(got.at, want);
    free(got.at);
    free(spec);
    free(want);
    sn_registry_unref(reg);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct CMUnitTest *)a)->name, ((const struct CMUnitTest *)b)->name);
}

int main(void)
{
    static struct CMUnitTest tests[MAX_CASES];
    struct dirent           *entry;
    size_t                   n = 0;
    int                      failed;
    DIR                     *dir = opendir(root);

    if (!dir) {
        fprintf(stderr, "%s is missing: run this from the top of the project\n", root);
        return 1;
    }
    while ((entry = readdir(dir)) && n < MAX_CASES) {
        char *name;

        if (entry->d_name[0] == '.') continue;
        name = strdup(entry->d_name);
        tests[n++] =
            (struct CMUnitTest){.name = name, .test_func = case_is_refused, .initial_state = name};
    }
    closedir(dir);
    if (n == 0) {
        fprintf(stderr, "%s is empty\n", root);
        return 1;
    }
    qsort(tests, n, sizeof *tests, by_name);
    failed = _cmocka_run_group_tests("errors", tests, n, NULL, NULL);
    for (size_t i = 0; i < n; i++)
        free((char *)(uintptr_t)tests[i].name);
    return failed;
}
