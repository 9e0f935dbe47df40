/* config: what a flag, a variable and a line of a file mean, who wins, and the
 * sentence that says what is wrong. Also the limits: what fits, what is refused. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "api.h"
#include "config/config.h"
#include "config/resources.h"

enum { MAX_ARGS = 8 };

static char file_path[64];

/* Load with a file of `text` (NULL: none), one variable and up to two arguments. */
static enum config_action load(struct config *c, const char *text, const char *variable,
                               const char *arg1, const char *arg2, char *why, size_t n_why)
{
    char *env[] = {(char *)variable, NULL};
    char *argv[MAX_ARGS] = {(char *)"supernetd"};
    int   argc = 1;

    if (text) {
        FILE *f = fopen(file_path, "w");

        assert_non_null(f);
        fputs(text, f);
        fclose(f);
        argv[argc++] = (char *)"--config";
        argv[argc++] = file_path;
    }
    if (arg1) argv[argc++] = (char *)arg1;
    if (arg2) argv[argc++] = (char *)arg2;
    why[0] = 0;
    return config_load(c, argc, argv, env, why, n_why);
}

/* ---- values: this file, variable and arguments make this member that value ---- */

#define MEMBER(m) offsetof(struct config, m)

static const struct {
    const char *name, *file, *variable, *arg1, *arg2;
    size_t      member;
    int64_t     value;
} values[] = {
    /* clang-format off */
    {"the default port",               NULL, NULL, NULL, NULL,                         MEMBER(port), 8080},
    {"a flag",                         NULL, NULL, "--port", "9000",                   MEMBER(port), 9000},
    {"a flag with =",                  NULL, NULL, "--port=9000", NULL,                MEMBER(port), 9000},
    {"the last flag wins",             NULL, NULL, "--port=1", "--port=2",             MEMBER(port), 2},
    {"a variable",                     NULL, "SUPERNETD_PORT=9001", NULL, NULL,        MEMBER(port), 9001},
    {"a variable with a dash",         NULL, "SUPERNETD_MAX_BODY=1M", NULL, NULL,      MEMBER(max_body), 1 << 20},
    {"an empty variable is not set",   NULL, "SUPERNETD_PORT=", NULL, NULL,            MEMBER(port), 8080},
    {"a line",                         "port = 9002\n", NULL, NULL, NULL,              MEMBER(port), 9002},
    {"a line without spaces",          "port=9002", NULL, NULL, NULL,                  MEMBER(port), 9002},
    {"a line with more, and CRLF",     "\t port\t=  9002 \t\r\n", NULL, NULL, NULL,    MEMBER(port), 9002},
    {"comments and empty lines",       "# port = 1\n\n  # x\nport = 9002\n", NULL, NULL, NULL, MEMBER(port), 9002},
    {"a variable wins over the file",  "port = 1\n", "SUPERNETD_PORT=2", NULL, NULL,   MEMBER(port), 2},
    {"a flag wins over the file",      "port = 1\n", NULL, "--port", "3",              MEMBER(port), 3},
    {"a flag wins over both",          "port = 1\n", "SUPERNETD_PORT=2", "--port", "3", MEMBER(port), 3},
    {"any free port",                  NULL, NULL, "--port", "0",                      MEMBER(port), 0},
    {"bytes",                          NULL, NULL, "--max-body", "4096",               MEMBER(max_body), 4096},
    {"kilobytes",                      NULL, NULL, "--max-body", "4k",                 MEMBER(max_body), 4096},
    {"kilobytes, capital",             NULL, NULL, "--max-body", "4K",                 MEMBER(max_body), 4096},
    {"megabytes",                      NULL, NULL, "--max-body", "3M",                 MEMBER(max_body), 3 << 20},
    {"gigabytes",                      NULL, NULL, "--max-body", "2G",                 MEMBER(max_body), INT64_C(2) << 30},
    {"milliseconds",                   NULL, NULL, "--deadline", "250ms",              MEMBER(deadline), 250},
    {"seconds",                        NULL, NULL, "--deadline", "7s",                 MEMBER(deadline), 7000},
    {"no time",                        NULL, NULL, "--grace", "0s",                    MEMBER(grace), 0},
    {"a level",                        NULL, NULL, "--log-level", "debug",             MEMBER(log_level), LOG_DEBUG},
    {"what is not said is false",      NULL, NULL, NULL, NULL,                         MEMBER(exact), 0},
    {"a flag alone is true",           NULL, NULL, "--exact", NULL,                    MEMBER(exact), 1},
    {"a flag alone takes no value",    NULL, NULL, "--exact", "--port=1",              MEMBER(port), 1},
    {"a flag that says false",         "winograd = true\n", NULL, "--winograd=false", "--exact", MEMBER(winograd), 0},
    {"a variable that says true",      NULL, "SUPERNETD_WINOGRAD=true", NULL, NULL,    MEMBER(winograd), 1},
    {"by default the address says who may what", NULL, NULL, NULL, NULL,              MEMBER(allow), 0},
    {"classes",                        NULL, NULL, "--allow", "run,read",              MEMBER(allow), 1 << API_READ | 1 << API_RUN},
    {"a variable with commas is one value", NULL, "SUPERNETD_ALLOW=read,admin", NULL, NULL, MEMBER(allow), 1 << API_READ | 1 << API_ADMIN},
    {"all of them",                    "allow = all\n", NULL, NULL, NULL,              MEMBER(allow), 1 << API_READ | 1 << API_RUN | 1 << API_CHANGE | 1 << API_ADMIN},
    {"two names",                      NULL, NULL, "--allow-host=a", "--allow-host=b", MEMBER(allow_host.n), 2},
    {"two names in a variable",        NULL, "SUPERNETD_ALLOW_HOST=a,*", NULL, NULL,   MEMBER(allow_host.n), 2},
    {"a flag replaces the names of a file", "allow-host = a\nallow-host = b\n", NULL, "--allow-host", "c", MEMBER(allow_host.n), 1},
    {"an origin",                      NULL, NULL, "--allow-origin", "http://[::1]:80", MEMBER(allow_origin.n), 1},
    {"a line that says true",          "exact = true\n", NULL, NULL, NULL,             MEMBER(exact), 1},
    /* clang-format on */
};

static void check_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct config c;
        char          why[512];
        int64_t       got;

        if (load(&c, values[i].file, values[i].variable, values[i].arg1, values[i].arg2, why,
                 sizeof why) != CONFIG_RUN)
            fail_msg("%s: %s", values[i].name, why);
        memcpy(&got, (char *)&c + values[i].member, sizeof got);
        if (got != values[i].value)
            fail_msg("%s: got %" PRId64 ", want %" PRId64, values[i].name, got, values[i].value);
        config_fini(&c);
    }
}

/* ---- refusals: what is said, with the source, the value and what is allowed ---- */

static const struct {
    const char *file, *variable, *arg1, *arg2;
    const char *sentence; /* FILE stands for the path of the file */
} refusals[] = {
    /* clang-format off */
    {NULL, NULL, "--port", "99999",
     "--port 99999: allowed is a whole number from 0 to 65535"},
    {NULL, NULL, "--port", "-1",
     "--port -1: allowed is a whole number from 0 to 65535"},
    {NULL, NULL, "--port", "80 ",
     "--port 80 : allowed is a whole number from 0 to 65535"},
    {NULL, NULL, "--port", "",
     "--port : allowed is a whole number from 0 to 65535"},
    {NULL, NULL, "--port", "99999999999999999999",
     "--port 99999999999999999999: allowed is a whole number from 0 to 65535"},
    {NULL, NULL, "--port", NULL,
     "--port needs a value: N"},
    {NULL, "SUPERNETD_MAX_BODY=8Q", NULL, NULL,
     "SUPERNETD_MAX_BODY=8Q: allowed is a size from 1k to 1024G, such as 512k, 64M or 2G"},
    {NULL, NULL, "--max-body", "9223372036854775807G",
     "--max-body 9223372036854775807G: allowed is a size from 1k to 1024G, such as 512k, 64M or 2G"},
    {NULL, NULL, "--deadline", "30",
     "--deadline 30: allowed is a time from 1ms to 86400s with its unit, such as 500ms or 30s"},
    {NULL, NULL, "--log-level", "loud",
     "--log-level loud: allowed is error, warn, info or debug"},
    {NULL, NULL, "--exact=yes", NULL,
     "--exact yes: allowed is true or false"},
    {NULL, "SUPERNETD_EXACT=1", NULL, NULL,
     "SUPERNETD_EXACT=1: allowed is true or false"},
    {NULL, NULL, "--exact", "true",
     "\"true\" is no option; --help lists all of them"},
    {"winograd = true\n", NULL, "--exact", NULL,
     "exact and winograd are both true: one forbids what the other allows; set one of them, or "
     "none to do as each specification says"},
    {NULL, NULL, "--allow", "read,write",
     "--allow read,write: allowed is auto, all, or some of read, run, change and admin divided by commas"},
    {NULL, NULL, "--allow", "all,read",
     "--allow all,read: allowed is auto, all, or some of read, run, change and admin divided by commas"},
    {NULL, NULL, "--allow", "read,",
     "--allow read,: allowed is auto, all, or some of read, run, change and admin divided by commas"},
    {NULL, NULL, "--allow-host", "a:80",
     "--allow-host a:80: allowed is a name of letters, digits, '.', '_' and '-', without a port, or *"},
    {NULL, NULL, "--allow-origin", "https://a/b",
     "--allow-origin https://a/b: allowed is an origin such as https://app.example:8443, without a path, or *"},
    {NULL, NULL, "--allow-origin", "a.example",
     "--allow-origin a.example: allowed is an origin such as https://app.example:8443, without a path, or *"},
    {NULL, NULL, "--supernet", "digits",
     "--supernet digits: allowed is NAME=DIR, with a name that is not taken yet, of up to 128 "
     "letters, digits, '.', '_' and '-', not starting with '.'"},
    {NULL, NULL, "--supernet=a=/x", "--supernet=a=/y",
     "--supernet a=/y: allowed is NAME=DIR, with a name that is not taken yet, of up to 128 "
     "letters, digits, '.', '_' and '-', not starting with '.'"},
    {NULL, NULL, "--supernet", "a/b=/x",
     "--supernet a/b=/x: allowed is NAME=DIR, with a name that is not taken yet, of up to 128 "
     "letters, digits, '.', '_' and '-', not starting with '.'"},
    {NULL, NULL, "--prot", "80",
     "there is no option --prot; --help lists all of them"},
    {NULL, NULL, "80", NULL,
     "\"80\" is no option; --help lists all of them"},
    {"\nport = x\n", NULL, NULL, NULL,
     "FILE:2: port = x: allowed is a whole number from 0 to 65535"},
    {"port\n", NULL, NULL, NULL,
     "FILE:1: \"port\" is no line of the form name = value"},
    {"prot = 1\n", NULL, NULL, NULL,
     "FILE:1: there is no option \"prot\"; --print-config lists all of them"},
    {"port = 1\n\nport = 2\n", NULL, NULL, NULL,
     "FILE:3: port is set in line 1 already"},
    {"config = /x\n", NULL, NULL, NULL,
     "FILE:1: there is no option \"config\"; --print-config lists all of them"},
    {NULL, "SUPERNETD_CONFIG=/nowhere/at.all", NULL, NULL,
     "cannot read the configuration file /nowhere/at.all: No such file or directory"},
    {NULL, "SUPERNETD_CONFIG=/", NULL, NULL,
     "cannot read the configuration file /: Is a directory"},
    /* clang-format on */
};

static void check_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const char   *want = refusals[i].sentence;
        struct config c;
        char          why[512], sentence[512];

        assert_int_equal(load(&c, refusals[i].file, refusals[i].variable, refusals[i].arg1,
                              refusals[i].arg2, why, sizeof why),
                         CONFIG_BAD);
        if (!strncmp(want, "FILE", 4)) {
            snprintf(sentence, sizeof sentence, "%s%s", file_path, want + 4);
            want = sentence;
        }
        assert_string_equal(why, want);
        config_fini(&c);
    }
}

/* ---- texts, lists and actions ---- */

static void texts_and_supernets(void **state)
{
    struct config c;
    char          why[512];

    (void)state;
    assert_int_equal(load(&c, NULL, NULL, NULL, NULL, why, sizeof why), CONFIG_RUN);
    assert_string_equal(c.host, "127.0.0.1");
    assert_null(c.model_dir);
    assert_int_equal(c.n_supernets, 0);
    config_fini(&c);

    assert_int_equal(load(&c, "supernet = a=/x y\nsupernet = b=/=#\nmodel-dir = /m\n", NULL, NULL,
                          NULL, why, sizeof why),
                     CONFIG_RUN);
    assert_string_equal(c.model_dir, "/m");
    assert_int_equal(c.n_supernets, 2);
    assert_string_equal(c.supernet[0].dir, "/x y");
    assert_string_equal(c.supernet[1].name, "b");
    assert_string_equal(c.supernet[1].dir, "/=#");
    config_fini(&c);

    /* a stronger source replaces the list, it does not add to it */
    assert_int_equal(
        load(&c, "supernet = a=/x\n", "SUPERNETD_SUPERNET=b=/y,a=/z", NULL, NULL, why, sizeof why),
        CONFIG_RUN);
    assert_int_equal(c.n_supernets, 2);
    assert_string_equal(c.supernet[0].name, "b");
    assert_string_equal(c.supernet[1].dir, "/z");
    config_fini(&c);
}

static void actions(void **state)
{
    struct config c;
    char          why[512];

    (void)state;
    assert_int_equal(load(&c, NULL, NULL, "--help", NULL, why, sizeof why), CONFIG_HELP);
    assert_int_equal(load(&c, NULL, NULL, "-h", NULL, why, sizeof why), CONFIG_HELP);
    assert_int_equal(load(&c, NULL, NULL, "--version", NULL, why, sizeof why), CONFIG_VERSION);
    assert_int_equal(load(&c, NULL, NULL, "--print-config", NULL, why, sizeof why), CONFIG_PRINT);
}

static void a_misspelt_variable_is_noticed(void **state)
{
    char *env[] = {(char *)"HOME=/",           (char *)"SUPERNETD_PRT=1",
                   (char *)"SUPERNETD_PORT=1", (char *)"SUPERNETD_CONFIG=/x",
                   (char *)"SUPERNETD_X=",     NULL};

    (void)state;
    assert_string_equal(config_stray_variable(env, 0), "SUPERNETD_PRT=1");
    assert_string_equal(config_stray_variable(env, 1), "SUPERNETD_X=");
    assert_null(config_stray_variable(env, 2));
}

/* ---- help and sample: both from the table ---- */

static char *written(void (*write)(FILE *to))
{
    char  *text = NULL;
    size_t n = 0;
    FILE  *f = open_memstream(&text, &n);

    assert_non_null(f);
    write(f);
    fclose(f);
    return text;
}

static char *read_file(const char *path)
{
    FILE  *f = fopen(path, "r");
    char  *text = calloc(1, 1 << 16);
    size_t n;

    if (!f) fail_msg("%s: cannot be read; tests run in the top folder", path);
    n = fread(text, 1, (1 << 16) - 1, f);
    text[n] = 0;
    fclose(f);
    return text;
}

static void the_sample_file_is_what_the_daemon_prints(void **state)
{
    char *printed = written(config_write_sample);
    char *file = read_file("deploy/supernetd.conf");

    (void)state;
    assert_string_equal(file, printed);
    free(file);
    free(printed);
}

/* Every commented option, uncommented, gives the configuration of no file at all. */
static void the_sample_file_says_the_defaults(void **state)
{
    char         *sample = written(config_write_sample);
    char          lines[1 << 14] = "";
    struct config from_file, from_nothing;
    char          why[512];
    size_t        n_options = 0;

    (void)state;
    for (char *line = strtok(sample, "\n"); line; line = strtok(NULL, "\n"))
        if (line[0] == '#' && line[1] != ' ' && line[1] && !strstr(line, "= NAME=DIR") &&
            !strstr(line, "= DIR") && !strstr(line, "= PATH") && !strstr(line, "= NAME") &&
            !strstr(line, "= ORIGIN")) {
            strcat(strcat(lines, line + 1), "\n");
            n_options++;
        }
    assert_true(n_options >= 17);
    if (load(&from_file, lines, NULL, NULL, NULL, why, sizeof why) != CONFIG_RUN)
        fail_msg("%s", why);
    assert_int_equal(load(&from_nothing, NULL, NULL, NULL, NULL, why, sizeof why), CONFIG_RUN);
    assert_string_equal(from_file.host, from_nothing.host);
    free(from_file.host);
    free(from_nothing.host);
    from_file.host = from_nothing.host = NULL;
    assert_memory_equal(&from_file, &from_nothing, sizeof from_file);
    free(sample);
}

static void the_help_names_every_option_and_exit_status(void **state)
{
    static const char *const words[] = {
        "--host",       "--supernet NAME=DIR", "--log-level",   "--config PATH",
        "default 8080", "SUPERNETD_MAX_BODY",  "exit status: 0"};
    char *help = written(config_write_help);

    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (!strstr(help, words[i])) fail_msg("--help does not say \"%s\"", words[i]);
    free(help);
}

/* ---- limits: on a machine with 1 GB, 4 cores and 1024 files ---- */

static const struct {
    const char *name, *arg1, *arg2;
    int64_t     workers;
    const char *refusal; /* how it begins, NULL: it fits */
} budgets[] = {
    {"the defaults fit", NULL, NULL, 4, NULL},
    {"workers as asked", "--workers=2", NULL, 2, NULL},
    {"one worker for a BLAS with threads", "--blas-threads=4", NULL, 1, NULL},
    {"threads in threads", "--blas-threads=2", "--workers=2", 2,
     "blas-threads is 2 with 2 workers"},
    {"a cache larger than the machine", "--plan-cache=2G", NULL, 4,
     "the configured limits add up to 2"},
    {"scratch for every worker", "--max-scratch=256M", NULL, 4,
     "the configured limits add up to 1"},
    {"a limit that says less", "--memory-limit=256M", NULL, 4, "the configured limits add up to "},
    {"a limit that says more", "--memory-limit=8G", "--plan-cache=2G", 4, NULL},
    {"a body that the buffers cannot hold", "--max-body=256M", NULL, 4,
     "max-body is 268435456 bytes"},
    {"more connections than files", "--max-connections=1000", NULL, 4,
     "max-connections is 1000, but"},
};

static void check_budgets(void **state)
{
    const struct limits machine = {.memory_bytes = 1 << 30, .cores = 4, .files = 1024};

    (void)state;
    for (size_t i = 0; i < sizeof budgets / sizeof budgets[0]; i++) {
        struct config c;
        int64_t       bytes = 0;
        char          why[1024] = "";
        bool          fits;

        assert_int_equal(load(&c, NULL, NULL, budgets[i].arg1, budgets[i].arg2, why, sizeof why),
                         CONFIG_RUN);
        fits = resources_settle(&machine, &c, &bytes, why, sizeof why);
        if (fits != !budgets[i].refusal ||
            (!fits && strncmp(why, budgets[i].refusal, strlen(budgets[i].refusal))))
            fail_msg("%s: %s", budgets[i].name, fits ? "it fits" : why);
        assert_in_range(c.threads_per_request, 1, c.workers);
        if (c.workers != budgets[i].workers)
            fail_msg("%s: %" PRId64 " workers", budgets[i].name, c.workers);
        if (fits) assert_true(bytes > c.plan_cache + c.workers * c.max_scratch + c.buffer_memory);
        config_fini(&c);
    }
}

/* ---- threads: on a machine with 4 cores ---- */

static const struct {
    const char *arg1, *arg2;
    int64_t     threads_per_request;
} teams[] = {
    {NULL, NULL, 4},
    {"--threads-per-request=3", NULL, 3},
    {"--threads-per-request=1", NULL, 1},
    {"--workers=2", NULL, 2},
    {"--workers=2", "--threads-per-request=3", 2},
    {"--workers=8", NULL, 4},
    {"--workers=8", "--threads-per-request=6", 6},
    {"--blas-threads=4", NULL, 1},
};

static void check_teams(void **state)
{
    const struct limits machine = {.memory_bytes = INT64_C(4) << 30, .cores = 4, .files = 1024};

    (void)state;
    for (size_t i = 0; i < sizeof teams / sizeof teams[0]; i++) {
        struct config c;
        int64_t       bytes;
        char          why[1024] = "";

        assert_int_equal(load(&c, NULL, NULL, teams[i].arg1, teams[i].arg2, why, sizeof why),
                         CONFIG_RUN);
        if (!resources_settle(&machine, &c, &bytes, why, sizeof why))
            fail_msg("row %zu: %s", i, why);
        if (c.threads_per_request != teams[i].threads_per_request)
            fail_msg("row %zu: %" PRId64 " threads", i, c.threads_per_request);
        config_fini(&c);
    }
}

static void this_machine_has_something(void **state)
{
    struct limits l;

    (void)state;
    resources_find(&l);
    assert_true(l.cores >= 1);
    assert_true(l.memory_bytes > 1 << 20);
    assert_true(l.files >= 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_values),
        cmocka_unit_test(check_refusals),
        cmocka_unit_test(texts_and_supernets),
        cmocka_unit_test(actions),
        cmocka_unit_test(a_misspelt_variable_is_noticed),
        cmocka_unit_test(the_sample_file_is_what_the_daemon_prints),
        cmocka_unit_test(the_sample_file_says_the_defaults),
        cmocka_unit_test(the_help_names_every_option_and_exit_status),
        cmocka_unit_test(check_budgets),
        cmocka_unit_test(check_teams),
        cmocka_unit_test(this_machine_has_something),
    };
    int rc, fd;

    strcpy(file_path, "/tmp/test_config.XXXXXX");
    fd = mkstemp(file_path);
    if (fd < 0) return 1;
    close(fd);
    rc = cmocka_run_group_tests_name("config", tests, NULL, NULL);
    unlink(file_path);
    return rc;
}
