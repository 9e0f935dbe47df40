/* config: the table of options and the three places they come from.
 *
 * A new option is a row of `options` and a member of struct config; --help, the
 * sample file, the variable and the checks follow from the row. */
#define _GNU_SOURCE /* memmem */
#include "config/config.h"

#include "api.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum type {
    TEXT,
    COUNT,    /* a whole number */
    BYTES,    /* a whole number with k, M or G */
    TIME,     /* a whole number with ms or s */
    LEVEL,    /* one of `levels` */
    WEIGHTS,  /* map or copy */
    BOOL,     /* true or false; the flag alone says true */
    PATHS,    /* any number of them */
    HOSTS,    /* names, any number of them */
    ORIGINS,  /* scheme://host:port, any number of them */
    CLASSES,  /* words of `classes` with commas; all; auto */
    SUPERNETS /* name=dir, any number of them */
};

struct option {
    const char *name, *operand;
    enum type   type;
    size_t      offset; /* into struct config */
    int64_t     min, max;
    const char *fallback;
    const char *help;
};

#define AT(member) offsetof(struct config, member)
#define K          INT64_C(1024)
#define M          (K * K)
#define G          (K * M)
#define T          (K * G)

/* clang-format off */
static const struct option options[] = {
    {"host", "ADDRESS", TEXT, AT(host), 1, 255, "127.0.0.1",
     "Address to listen on. The default is reached from this machine only; 0.0.0.0 or :: from all."},
    {"port", "N", COUNT, AT(port), 0, 65535, "8080",
     "Port to listen on; 0: any free one, which is logged and printed."},
    {"allow-host", "NAME", HOSTS, AT(allow_host), 1, 255, "",
     "A name by which clients may call this daemon in Host, besides addresses, localhost and the "
     "machine's own name; * for any. May be given several times (in the variable: divided by "
     "commas). Others are answered 403, so that a page of another site cannot get here under a "
     "name of its own."},
    {"allow-origin", "ORIGIN", ORIGINS, AT(allow_origin), 1, 255, "",
     "An origin (https://app.example) whose pages may use this daemon from a browser and read the "
     "answers; * for any. May be given several times (in the variable: divided by commas)."},
    {"allow", "CLASSES", CLASSES, AT(allow), 0, 0, "auto",
     "What clients may do: read (look at what is there), run (forward, resample, seal), change "
     "(current choices, policies, rewards; delete subnets), admin (load and unload supernets), "
     "divided by commas; all; or auto: all if host is a loopback address, else read,run."},
    {"supernet", "NAME=DIR", SUPERNETS, 0, 0, 0, "",
     "A supernet to serve: the folder DIR, with spec.json and weights.safetensors, under the name "
     "NAME. May be given several times (in the variable: divided by commas). None: the built-in "
     "demo, named digits."},
    {"plugin", "PATH", PATHS, AT(plugin), 1, 4095, "",
     "A shared object with operators and policies of your own, loaded at start. May be given "
     "several times (in the variable: divided by commas)."},
    {"model-dir", "DIR", TEXT, AT(model_dir), 0, 4095, "",
     "Supernets may be loaded and unloaded over HTTP, from below this folder; empty: neither."},
    {"weights", "HOW", WEIGHTS, AT(copy_weights), 0, 0, "map",
     "map: files of weights are mapped, so that the kernel can drop their pages; then they must be "
     "replaced by rename, and a supernet whose file is overwritten in place answers 503 until it "
     "is loaded again. copy: they are read into memory of the daemon, within memory-limit."},
    {"workers", "N", COUNT, AT(workers), 0, 48, "0",
     "Threads that compute, one request each; 0: as many as there are cores."},
    {"threads-per-request", "N", COUNT, AT(threads_per_request), 0, 48, "0",
     "Most workers that compute one request together while no other waits; the answer is the same "
     "to the last bit. 1: never more than one; 0: as many as there are cores."},
    {"blas-threads", "N", COUNT, AT(blas_threads), 1, 48, "1",
     "Threads of the BLAS inside one request. More than 1 only with a single worker."},
    {"exact", "", BOOL, AT(exact), 0, 0, "false",
     "Every product of a convolution is made and added, also where a specification says "
     "\"winograd\": true."},
    {"winograd", "", BOOL, AT(winograd), 0, 0, "false",
     "3x3 convolutions of all supernets may be computed by Winograd's algorithm: up to twice as "
     "fast, with errors of about 1e-5 of the largest output of a layer instead of 2e-7."},
    {"queue", "N", COUNT, AT(queue), 1, 65536, "64",
     "Requests that may wait for a worker. One more is answered 503 at once."},
    {"deadline", "TIME", TIME, AT(deadline), 1, 86400000, "30s",
     "Time for a request to wait and to be computed; then it is answered 504."},
    {"grace", "TIME", TIME, AT(grace), 0, 3600000, "20s",
     "Time for requests in flight when the daemon is told to stop; then they are told to stop too."},
    {"idle-timeout", "TIME", TIME, AT(idle_timeout), 100, 3600000, "60s",
     "Time for a client to send a request or to take a reply; then the connection is closed. A "
     "body or a reply that goes on by 64 KB in every second may take longer."},
    {"max-connections", "N", COUNT, AT(max_connections), 1, 65536, "512",
     "Connections at once. When nearly all are taken, the one on which nothing has happened for "
     "longest is closed for a new one."},
    {"max-body", "SIZE", BYTES, AT(max_body), 1 * K, 1 * T, "32M",
     "Largest body of a request. A larger one is answered 413."},
    {"buffer-memory", "SIZE", BYTES, AT(buffer_memory), 1 * K, 1 * T, "128M",
     "Memory for the bodies and replies of all requests together. What does not fit is answered "
     "503."},
    {"max-batch", "N", COUNT, AT(max_batch), 1, 1 * M, "512",
     "Largest batch of one forward."},
    {"max-subnets", "N", COUNT, AT(max_subnets), 1, 1 * M, "256",
     "Most subnets in one call of resample or forward."},
    {"max-supernets", "N", COUNT, AT(max_supernets), 1, 65536, "256",
     "Most supernets that are loaded at once."},
    {"max-scratch", "SIZE", BYTES, AT(max_scratch), 64 * K, 1 * T, "128M",
     "Most memory for the activations of one forward. Every worker may hold as much."},
    {"plan-cache", "SIZE", BYTES, AT(plan_cache), 0, 1 * T, "128M",
     "Memory for compiled plans, of all supernets together."},
    {"subnet-cache", "N", COUNT, AT(subnet_cache), 1, 16 * M, "4096",
     "Sealed subnets that are remembered by id, per supernet; fewer where memory-limit has no room."},
    {"memory-limit", "SIZE", BYTES, AT(memory_limit), 0, 1024 * T, "0",
     "The sum of all limits above must stay below it, or the daemon does not start; 0: the memory "
     "of this machine or container. What the sum leaves is for what is kept: supernets and what is "
     "prepared from their weights (about as much memory as the files take, for 3x3 convolutions by "
     "Winograd's algorithm up to 7 times as much; GET /v1/supernets says how much), copied weights, "
     "policies with their states, remembered subnets. What does not fit is answered 503, or 413 if "
     "it never could. Files of weights that are mapped do not count."},
    {"log-level", "LEVEL", LEVEL, AT(log_level), 0, 0, "info",
     "What is logged to stderr: error, warn, info (every request) or debug."},
};
/* clang-format on */

#undef AT

enum { N_OPTIONS = sizeof options / sizeof options[0], WIDTH = 84 };

static const struct {
    const char *word;
    int64_t     bits;
} classes[] = {
    {"auto", 0},
    {"all", 1 << API_READ | 1 << API_RUN | 1 << API_CHANGE | 1 << API_ADMIN},
    {"read", 1 << API_READ},
    {"run", 1 << API_RUN},
    {"change", 1 << API_CHANGE},
    {"admin", 1 << API_ADMIN},
};

static const char *const levels[] = {"error", "warn", "info", "debug"}; /* enum log_level */

static const struct {
    const char        *flag, *help;
    enum config_action action;
} actions[] = {
    {"--help", "Print this text.", CONFIG_HELP},
    {"--version", "Print the versions of the daemon and of what it uses.", CONFIG_VERSION},
    {"--print-config", "Print a configuration file with every option at its default.",
     CONFIG_PRINT},
};

/* ---- values ------------------------------------------------------------------- */

/* Where a value comes from, for messages and for who wins. */
struct source {
    enum { FROM_DEFAULT, FROM_FILE, FROM_ENV, FROM_FLAG } kind;
    const char *file;
    int         line;
    int         n_file; /* of several files, which */
};

struct loader {
    struct config *config;
    int            list_from[N_OPTIONS]; /* source of each list so far */
    int            line_of[N_OPTIONS];
    char          *why;
    size_t         n_why;
};

static void variable_name(const struct option *o, char *buf, size_t n)
{
    snprintf(buf, n, "SUPERNETD_%s", o->name);
    for (char *c = buf; *c; c++)
        *c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
}

static void describe_size(int64_t n, char *buf, size_t n_buf)
{
    static const char unit[] = {'k', 'M', 'G'};
    int               u = -1;

    while (n && n % K == 0 && u < 2)
        n /= K, u++;
    snprintf(buf, n_buf, u < 0 ? "%lld" : "%lld%c", (long long)n, u < 0 ? 0 : unit[u]);
}

static void describe_time(int64_t ms, char *buf, size_t n_buf)
{
    const bool whole = ms % 1000 == 0;

    snprintf(buf, n_buf, whole ? "%llds" : "%lldms", (long long)(whole ? ms / 1000 : ms));
}

static void describe_allowed(const struct option *o, char *buf, size_t n)
{
    char lo[32], hi[32];

    switch (o->type) {
    case TEXT:
        snprintf(buf, n, "a text of %d to %d bytes", (int)o->min, (int)o->max);
        return;
    case COUNT:
        snprintf(buf, n, "a whole number from %lld to %lld", (long long)o->min, (long long)o->max);
        return;
    case BYTES:
        describe_size(o->min, lo, sizeof lo);
        describe_size(o->max, hi, sizeof hi);
        snprintf(buf, n, "a size from %s to %s, such as 512k, 64M or 2G", lo, hi);
        return;
    case TIME:
        describe_time(o->min, lo, sizeof lo);
        describe_time(o->max, hi, sizeof hi);
        snprintf(buf, n, "a time from %s to %s with its unit, such as 500ms or 30s", lo, hi);
        return;
    case LEVEL:
        snprintf(buf, n, "error, warn, info or debug");
        return;
    case WEIGHTS:
        snprintf(buf, n, "map or copy");
        return;
    case BOOL:
        snprintf(buf, n, "true or false");
        return;
    case PATHS:
        snprintf(buf, n, "a path of %d to %d bytes", (int)o->min, (int)o->max);
        return;
    case HOSTS:
        snprintf(buf, n, "a name of letters, digits, '.', '_' and '-', without a port, or *");
        return;
    case ORIGINS:
        snprintf(buf, n, "an origin such as https://app.example:8443, without a path, or *");
        return;
    case CLASSES:
        snprintf(buf, n, "auto, all, or some of read, run, change and admin divided by commas");
        return;
    case SUPERNETS:
        break;
    }
    snprintf(buf, n, "NAME=DIR, with a name that is not taken yet, of " API_NAME_RULE);
}

/* "--port 99999: ", "SUPERNETD_PORT=99999: ", "supernetd.conf:3: port = 99999: " */
static bool refuse(struct loader *l, const struct option *o, const char *value,
                   const struct source *from)
{
    char what[256], name[64], allowed[256];

    variable_name(o, name, sizeof name);
    switch (from->kind) {
    case FROM_FLAG:
        snprintf(what, sizeof what, "--%s %.100s", o->name, value);
        break;
    case FROM_ENV:
        snprintf(what, sizeof what, "%s=%.100s", name, value);
        break;
    case FROM_FILE:
        snprintf(what, sizeof what, "%.100s:%d: %s = %.80s", from->file, from->line, o->name,
                 value);
        break;
    case FROM_DEFAULT:
        snprintf(what, sizeof what, "the default of %s", o->name);
        break;
    }
    describe_allowed(o, allowed, sizeof allowed);
    snprintf(l->why, l->n_why, "%s: allowed is %s", what, allowed);
    return false;
}

/* Digits, then one of the units of the type. */
static bool parse_number(const struct option *o, const char *s, int64_t *ret_n)
{
    static const struct {
        const char *unit;
        enum type   type;
        int64_t     factor;
    } units[] = {
        {"", COUNT, 1},  {"", BYTES, 1},  {"k", BYTES, K}, {"K", BYTES, K},
        {"M", BYTES, M}, {"G", BYTES, G}, {"ms", TIME, 1}, {"s", TIME, 1000},
    };
    int64_t n = 0;

    if (!isdigit((unsigned char)*s)) return false;
    for (; isdigit((unsigned char)*s); s++)
        if (__builtin_mul_overflow(n, (int64_t)10, &n) ||
            __builtin_add_overflow(n, (int64_t)(*s - '0'), &n))
            return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (units[i].type == o->type && !strcmp(units[i].unit, s)) {
            if (__builtin_mul_overflow(n, units[i].factor, &n)) return false;
            *ret_n = n;
            return n >= o->min && n <= o->max;
        }
    return false;
}

static bool is_list(const struct option *o)
{
    return o->type == SUPERNETS || o->type == PATHS || o->type == HOSTS || o->type == ORIGINS;
}

static void forget_supernets(struct config *c)
{
    for (size_t i = 0; i < c->n_supernets; i++) {
        free(c->supernet[i].name);
        free(c->supernet[i].dir);
    }
    free(c->supernet);
    c->supernet = NULL;
    c->n_supernets = 0;
}

static bool name_is_good(const struct config *c, const char *name, size_t n)
{
    if (!api_name_is_valid(name, n)) return false;
    for (size_t i = 0; i < c->n_supernets; i++)
        if (strlen(c->supernet[i].name) == n && !memcmp(c->supernet[i].name, name, n)) return false;
    return true;
}

/* One NAME=DIR of `n` bytes. */
static bool add_supernet(struct config *c, const char *value, size_t n)
{
    const char             *eq = memchr(value, '=', n);
    const size_t            n_name = eq ? (size_t)(eq - value) : 0;
    struct config_supernet *more;

    if (!eq || n_name + 1 == n || !name_is_good(c, value, n_name)) return false;
    more = realloc(c->supernet, (c->n_supernets + 1) * sizeof *more);
    if (!more) return false;
    c->supernet = more;
    more[c->n_supernets].name = strndup(value, n_name);
    more[c->n_supernets].dir = strndup(eq + 1, n - n_name - 1);
    c->n_supernets++;
    return more[c->n_supernets - 1].name && more[c->n_supernets - 1].dir;
}

static void forget_list(struct config_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->at[i]);
    free(l->at);
    *l = (struct config_list){0};
}

static bool item_is_good(const struct option *o, const char *value, size_t n)
{
    const char *host;

    if (n < (size_t)o->min || n > (size_t)o->max) return false;
    if (o->type == PATHS || (n == 1 && *value == '*')) return true;
    if (o->type == HOSTS) {
        for (size_t i = 0; i < n; i++)
            if (!isalnum((unsigned char)value[i]) && !strchr("._-", value[i])) return false;
        return true;
    }
    host = memmem(value, n, "://", 3);
    if (!host || host == value || host + 3 == value + n) return false;
    for (const char *c = host + 3; c < value + n; c++)
        if (!isalnum((unsigned char)*c) && !strchr("._-:[]", *c)) return false;
    return true;
}

static bool add_text(struct config_list *l, const struct option *o, const char *value, size_t n)
{
    char **more;

    if (!item_is_good(o, value, n)) return false;
    more = realloc(l->at, (l->n + 1) * sizeof *more);
    if (!more) return false;
    l->at = more;
    more[l->n] = strndup(value, n);
    return more[l->n++] != NULL;
}

static bool add_item(struct config *c, const struct option *o, const char *value, size_t n)
{
    if (o->type == SUPERNETS) return add_supernet(c, value, n);
    return add_text((struct config_list *)((char *)c + o->offset), o, value, n);
}

/* Words with commas; "all" and "auto" stand alone. */
static bool parse_classes(const char *value, int64_t *ret_bits)
{
    *ret_bits = 0;
    for (const char *s = value;; s++) {
        const size_t n = strcspn(s, ",");
        size_t       i = 0;

        while (i < sizeof classes / sizeof classes[0] &&
               (strlen(classes[i].word) != n || memcmp(classes[i].word, s, n)))
            i++;
        if (i == sizeof classes / sizeof classes[0]) return false;
        if (i < 2 && n != strlen(value)) return false;
        *ret_bits |= classes[i].bits;
        s += n;
        if (!*s) return true;
    }
}

/* Tells a list's sources apart; a file is one of its own. */
static int rank_of(const struct source *from)
{
    return from->kind == FROM_FILE ? FROM_FLAG + 1 + from->n_file : (int)from->kind;
}

/* One item, or from the environment several; a stronger source replaces the whole list. */
static bool add_items(struct loader *l, const struct option *o, const char *value,
                      const struct source *from)
{
    int *const list_from = &l->list_from[o - options];
    size_t     n;

    if (*list_from != rank_of(from)) {
        if (o->type == SUPERNETS)
            forget_supernets(l->config);
        else
            forget_list((struct config_list *)((char *)l->config + o->offset));
    }
    *list_from = rank_of(from);
    if (from->kind != FROM_ENV) return add_item(l->config, o, value, strlen(value));
    for (const char *s = value;; s += n + 1) {
        n = strcspn(s, ",");
        if (!add_item(l->config, o, s, n)) return false;
        if (!s[n]) return true;
    }
}

static bool set(struct loader *l, const struct option *o, const char *value,
                const struct source *from)
{
    char *const  at = (char *)l->config + o->offset;
    const size_t n = strlen(value);
    bool         good = false;

    switch (o->type) {
    case TEXT:
        good = n >= (size_t)o->min && n <= (size_t)o->max;
        if (good) {
            char *copy = n ? strdup(value) : NULL;

            free(*(char **)at);
            *(char **)at = copy;
            good = copy || !n;
        }
        break;
    case COUNT:
    case BYTES:
    case TIME:
        good = parse_number(o, value, (int64_t *)at);
        break;
    case LEVEL:
        for (size_t i = 0; i < sizeof levels / sizeof levels[0] && !good; i++)
            if (!strcmp(value, levels[i])) {
                *(int64_t *)at = (int64_t)i;
                good = true;
            }
        break;
    case WEIGHTS:
        good = !strcmp(value, "map") || !strcmp(value, "copy");
        *(int64_t *)at = value[0] == 'c';
        break;
    case BOOL:
        good = !strcmp(value, "true") || !strcmp(value, "false");
        *(int64_t *)at = value[0] == 't';
        break;
    case CLASSES:
        good = parse_classes(value, (int64_t *)at);
        break;
    case PATHS:
    case HOSTS:
    case ORIGINS:
    case SUPERNETS:
        good = add_items(l, o, value, from);
        break;
    }
    return good || refuse(l, o, value, from);
}

static const struct option *find(const char *name, size_t n)
{
    for (size_t i = 0; i < N_OPTIONS; i++)
        if (strlen(options[i].name) == n && !memcmp(options[i].name, name, n)) return &options[i];
    return NULL;
}

/* ---- the three places ------------------------------------------------------------ */

static bool load_line(struct loader *l, char *line, struct source *from)
{
    char                *name = line + strspn(line, " \t"), *value, *end;
    const struct option *o;

    for (end = name + strlen(name); end > name && strchr(" \t\r\n", end[-1]); end--)
        end[-1] = 0;
    if (!*name || *name == '#') return true;
    value = name + strcspn(name, "=");
    if (!*value) {
        snprintf(l->why, l->n_why, "%s:%d: \"%.80s\" is no line of the form name = value",
                 from->file, from->line, name);
        return false;
    }
    *value++ = 0;
    value += strspn(value, " \t");
    for (end = name + strlen(name); end > name && strchr(" \t", end[-1]); end--)
        end[-1] = 0;
    o = find(name, strlen(name));
    if (!o) {
        snprintf(l->why, l->n_why,
                 "%s:%d: there is no option \"%.80s\"; --print-config lists all of them",
                 from->file, from->line, name);
        return false;
    }
    if (l->line_of[o - options] && !is_list(o)) {
        snprintf(l->why, l->n_why, "%s:%d: %s is set in line %d already", from->file, from->line,
                 o->name, l->line_of[o - options]);
        return false;
    }
    l->line_of[o - options] = from->line;
    return set(l, o, value, from);
}

static bool load_file(struct loader *l, const char *path, int n_file)
{
    struct source from = {.kind = FROM_FILE, .file = path, .n_file = n_file};
    FILE         *f = fopen(path, "re");
    char         *line = NULL;
    size_t        cap = 0;
    ssize_t       n;
    bool          good = true;

    memset(l->line_of, 0, sizeof l->line_of);
    if (f) {
        while (good && (n = getline(&line, &cap, f)) >= 0) {
            from.line++;
            if (strlen(line) != (size_t)n) {
                snprintf(l->why, l->n_why, "%s:%d: a NUL byte; is this a configuration file?", path,
                         from.line);
                good = false;
            } else {
                good = load_line(l, line, &from);
            }
        }
    }
    if (!f || ferror(f)) {
        snprintf(l->why, l->n_why, "cannot read the configuration file %s: %s", path,
                 strerror(errno));
        good = false;
    }
    free(line);
    if (f) fclose(f);
    return good;
}

/* The value of variable `name`; NULL if it is not set, or empty. */
static const char *variable(char *const *env, const char *name)
{
    const size_t n = strlen(name);

    for (; env && *env; env++)
        if (!strncmp(*env, name, n) && (*env)[n] == '=') return (*env)[n + 1] ? *env + n + 1 : NULL;
    return NULL;
}

static bool load_env(struct loader *l, char *const *env)
{
    const struct source from = {.kind = FROM_ENV};
    char                name[64];

    for (size_t i = 0; i < N_OPTIONS; i++) {
        const char *value;

        variable_name(&options[i], name, sizeof name);
        value = variable(env, name);
        if (value && !set(l, &options[i], value, &from)) return false;
    }
    return true;
}

/* One flag at argv[*i], which moves past its value. `o` is NULL for --config. */
struct flag {
    const struct option *o;
    const char          *value;
};

static bool next_flag(struct loader *l, int argc, char *const *argv, int *i, struct flag *ret_flag)
{
    const char  *flag = argv[*i], *value;
    const size_t n = strcspn(flag, "=");
    const bool   is_config = n == 8 && !memcmp(flag, "--config", 8);

    if (strncmp(flag, "--", 2) || !flag[2]) {
        snprintf(l->why, l->n_why, "\"%.80s\" is no option; --help lists all of them", flag);
        return false;
    }
    ret_flag->o = find(flag + 2, n - 2);
    if (!ret_flag->o && !is_config) {
        snprintf(l->why, l->n_why, "there is no option %.80s; --help lists all of them", flag);
        return false;
    }
    value = flag[n] ? flag + n + 1 : NULL;
    if (!value && ret_flag->o && ret_flag->o->type == BOOL) value = "true";
    if (!value && *i + 1 < argc) value = argv[++*i];
    if (!value) {
        snprintf(l->why, l->n_why, "%s needs a value: %s", flag,
                 is_config ? "PATH" : ret_flag->o->operand);
        return false;
    }
    ++*i;
    ret_flag->value = value;
    return true;
}

static enum config_action asked_action(int argc, char *const *argv)
{
    for (int i = 1; i < argc; i++)
        for (size_t k = 0; k < sizeof actions / sizeof actions[0]; k++)
            if (!strcmp(argv[i], actions[k].flag) || (k == 0 && !strcmp(argv[i], "-h")))
                return actions[k].action;
    return CONFIG_RUN;
}

enum config_action config_load(struct config *config, int argc, char *const *argv, char *const *env,
                               char *why, size_t n_why)
{
    const struct source defaults = {.kind = FROM_DEFAULT}, flags = {.kind = FROM_FLAG};
    struct loader       l = {.config = config, .why = why, .n_why = n_why};
    const char         *path = variable(env, "SUPERNETD_CONFIG");
    int                 n_files = 0;
    enum config_action  action = asked_action(argc, argv);
    struct flag         flag;

    *config = (struct config){0};
    if (action != CONFIG_RUN) return action;
    for (size_t k = 0; k < N_OPTIONS; k++)
        if (!is_list(&options[k]) && !set(&l, &options[k], options[k].fallback, &defaults))
            return CONFIG_BAD;

    for (int i = 1; i < argc;) /* are the flags flags? */
        if (!next_flag(&l, argc, argv, &i, &flag)) return CONFIG_BAD;
    for (int i = 1; i < argc;) { /* what are the files, in their order? */
        next_flag(&l, argc, argv, &i, &flag);
        if (!flag.o && !load_file(&l, flag.value, n_files++)) return CONFIG_BAD;
    }
    if (path && n_files == 0 && !load_file(&l, path, 0)) return CONFIG_BAD;
    if (!load_env(&l, env)) return CONFIG_BAD;
    for (int i = 1; i < argc;) {
        next_flag(&l, argc, argv, &i, &flag); /* good, as seen above */
        if (flag.o && !set(&l, flag.o, flag.value, &flags)) return CONFIG_BAD;
    }
    if (config->exact && config->winograd) {
        snprintf(why, n_why,
                 "exact and winograd are both true: one forbids what the other allows; set one of "
                 "them, or none to do as each specification says");
        return CONFIG_BAD;
    }
    return CONFIG_RUN;
}

void config_fini(struct config *config)
{
    free(config->host);
    free(config->model_dir);
    forget_supernets(config);
    forget_list(&config->plugin);
    forget_list(&config->allow_host);
    forget_list(&config->allow_origin);
}

const char *config_stray_variable(char *const *env, size_t i)
{
    for (; env && *env; env++) {
        const size_t n = strcspn(*env, "=");
        bool         known = n == 16 && !memcmp(*env, "SUPERNETD_CONFIG", 16);
        char         name[64];

        if (strncmp(*env, "SUPERNETD_", 10)) continue;
        for (size_t k = 0; k < N_OPTIONS && !known; k++) {
            variable_name(&options[k], name, sizeof name);
            known = strlen(name) == n && !memcmp(name, *env, n);
        }
        if (!known && i-- == 0) return *env;
    }
    return NULL;
}

/* ---- help and sample ------------------------------------------------------------- */

/* `text` in lines of WIDTH, each after `indent`. */
static void write_wrapped(FILE *to, const char *indent, const char *text)
{
    const size_t room = WIDTH - strlen(indent);

    while (*text) {
        size_t n = strlen(text);

        if (n > room)
            for (n = room; n > 0 && text[n] != ' '; n--)
                ;
        fprintf(to, "%s%.*s\n", indent, (int)n, text);
        text += n + strspn(text + n, " ");
    }
}

void config_write_help(FILE *to)
{
    char left[64];

    fprintf(to, "supernetd - serve the sub-networks of weight-sharing supernets over HTTP\n\n"
                "usage: supernetd [--config PATH] [--OPTION VALUE]...\n\n");
    for (size_t i = 0; i < N_OPTIONS; i++) {
        const struct option *o = &options[i];

        snprintf(left, sizeof left, o->operand[0] ? "  --%s %s" : "  --%s", o->name, o->operand);
        fprintf(to, "%-30sdefault %s\n", left, o->fallback[0] ? o->fallback : "none");
        write_wrapped(to, "      ", o->help);
    }
    fprintf(to, "  --config PATH\n");
    write_wrapped(
        to, "      ",
        "Read options from this file; --print-config writes one to start from. May be given "
        "several times: what a later file says wins.");
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        fprintf(to, "  %s\n      %s\n", actions[i].flag, actions[i].help);
    fprintf(
        to,
        "\nSizes take k, M or G; times need ms or s. Every option is also a variable\n"
        "(--max-body 8M is SUPERNETD_MAX_BODY=8M; an empty one counts as not set) and a line\n"
        "of the configuration file (max-body = 8M). A flag without a value (--exact) is true\n"
        "or false there. Flags win over variables, variables over the file.\n\n"
        "SIGTERM or SIGINT: finish the requests in flight, then exit; again: hurry.\n"
        "SIGHUP: the same in a terminal that is closed; else it is logged and changes nothing,\n"
        "since options are read at start only.\n\n"
        "exit status: 0 stopped as asked; 1 could not start, or failed; 2 an option or the\n"
        "configuration is wrong\n");
}

void config_write_sample(FILE *to)
{
    char name[64];

    fprintf(to, "# supernetd.conf - every option with its default.\n"
                "#\n"
                "# supernetd --print-config writes this file; supernetd --config PATH reads it.\n"
                "# Environment variables win over this file, flags over both. Sizes take k, M or\n"
                "# G; times need ms or s. A comment has a line of its own.\n");
    for (size_t i = 0; i < N_OPTIONS; i++) {
        const struct option *o = &options[i];

        variable_name(o, name, sizeof name);
        fprintf(to, "\n");
        write_wrapped(to, "# ", o->help);
        fprintf(to, "# (--%s, %s)\n", o->name, name);
        fprintf(to, "#%s = %s\n", o->name, o->fallback[0] ? o->fallback : o->operand);
    }
}
