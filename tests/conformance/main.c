/* conformance DIR...: run every golden case below the directories.
 *
 * Prints a line for each failing case and ends with `N passed, N failed, N skipped`.
 * The exit status is 1 if anything failed or nothing was found, 2 for a wrong call. */
#include "conformance.h"

#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supernet/pool.h"

static const char usage[] =
    "usage: conformance [options] DIR|FILE...\n"
    "  --policy NAME      only cases of this policy (path, differentiable), and those of none\n"
    "  --exact            plans without Winograd's algorithm, whatever the specification says\n"
    "  --eval             only cases that are not in training mode\n"
    "  --group NAME       only cases of this group\n"
    "  --every N          only each N-th case of what is left\n"
    "  --deviations FILE  rules for what is different on purpose; otherwise\n"
    "                     deviations.json in DIR, above it, or of the source tree\n"
    "  -v                 also name what passes and what is skipped\n";

struct options {
    const char *policy, *group, *deviations;
    bool        eval, exact, verbose;
    size_t      every;
};

struct tally {
    size_t n_passed, n_failed, n_skipped, n_seen;
};

struct suite {
    struct options    options;
    struct deviations deviations;
    sn_registry      *registry;
    struct tally      tally;
};

/* ---- one case ---------------------------------------------------------------------- */

static bool is_wanted(struct suite *s, const struct golden *g)
{
    const struct options *o = &s->options;
    const char           *policy = golden_text(g, "policy");

    if (o->group && strcmp(o->group, g->group) != 0) return false;
    if (o->policy && policy && strcmp(o->policy, policy) != 0) return false;
    if (o->eval && json_is_true(json_object_get(g->doc, "training"))) return false;
    return s->tally.n_seen++ % o->every == 0;
}

static void dispatch(const struct suite *s, const struct golden *g, struct report *r)
{
    sn_registry *reg = s->registry;

    if (strcmp(g->op, "Expr") == 0 || strcmp(g->op, "Dedup") == 0 || strcmp(g->op, "Weights") == 0)
        run_expression(g, r);
    else if (strcmp(g->group, "probs") == 0)
        run_probs(g, reg, r);
    else if (strcmp(g->group, "substate") == 0)
        run_substate(g, reg, r);
    else
        run_network(g, reg, s->options.exact ? SN_EXACTNESS_DIRECT : SN_EXACTNESS_SPEC, r);
}

static void run_case(struct suite *s, const char *path)
{
    struct golden g;
    struct report r = {0};
    const bool    complete = golden_init(&g, path, &r);
    const char   *reason = NULL;

    if (is_wanted(s, &g)) {
        if (complete) dispatch(s, &g, &r);
        if (complete && r.n_reasons > 0) reason = deviations_find(&s->deviations, &g, &r);
        if (r.n_reasons == 0) {
            s->tally.n_passed++;
            if (s->options.verbose) printf("PASS %s/%s\n", g.group, g.id);
        } else if (reason) {
            s->tally.n_skipped++;
            if (s->options.verbose) printf("SKIP %s/%s: %s\n", g.group, g.id, reason);
        } else {
            s->tally.n_failed++;
            printf("FAIL %s/%s: %s\n", g.group, strcmp(g.id, "?") != 0 ? g.id : path, r.text);
        }
    }
    golden_fini(&g);
}

/* ---- directories ------------------------------------------------------------------------ */

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool is_case(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot && strcmp(dot, ".json") == 0 && strcmp(name, "deviations.json") != 0;
}

static bool run_directory(struct suite *s, char *dir)
{
    char   *roots[] = {dir, NULL};
    FTS    *walk = fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name);
    FTSENT *e;
    bool    ok = walk != NULL;

    while (walk && (e = fts_read(walk))) {
        if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR || e->fts_info == FTS_NS) {
            fprintf(stderr, "%s: %s\n", e->fts_path, strerror(e->fts_errno));
            ok = false;
        }
        if (e->fts_info == FTS_F && is_case(e->fts_name)) run_case(s, e->fts_path);
    }
    if (walk) fts_close(walk);
    return ok;
}

/* ---- the rules ---------------------------------------------------------------------------- */

/* Beside the cases, or else those of the tree that the runner was built in. `whole`:
 * the directory is the one that the rules are for. */
static bool find_rules(const char *dir, char *buf, size_t n_bytes, bool *ret_whole)
{
    char    self[4096];
    ssize_t n;

    snprintf(buf, n_bytes, "%s/deviations.json", dir);
    *ret_whole = access(buf, R_OK) == 0;
    if (*ret_whole) return true;
    snprintf(buf, n_bytes, "%s/../deviations.json", dir);
    if (access(buf, R_OK) == 0) return true;
    n = readlink("/proc/self/exe", self, sizeof self - 1);
    for (int up = 0; n > 0 && up < 3; up++) /* build/<variant>/conformance */
        while (n > 0 && self[--n] != '/')
            ;
    if (n <= 0) return false;
    snprintf(buf, n_bytes, "%.*s/tests/conformance/deviations.json", (int)n, self);
    return access(buf, R_OK) == 0;
}

/* ---- the call ------------------------------------------------------------------------------ */

static int parse_options(int argc, char **argv, struct options *o)
{
    int i;

    *o = (struct options){.every = 1};
    for (i = 1; i < argc && argv[i][0] == '-'; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (strcmp(argv[i], "-v") == 0)
            o->verbose = true;
        else if (strcmp(argv[i], "--exact") == 0)
            o->exact = true;
        else if (strcmp(argv[i], "--eval") == 0)
            o->eval = true;
        else if (value && strcmp(argv[i], "--policy") == 0)
            o->policy = argv[++i];
        else if (value && strcmp(argv[i], "--group") == 0)
            o->group = argv[++i];
        else if (value && strcmp(argv[i], "--deviations") == 0)
            o->deviations = argv[++i];
        else if (value && strcmp(argv[i], "--every") == 0 && atoi(value) > 0)
            o->every = (size_t)atoi(argv[++i]);
        else
            return -1;
    }
    return i < argc ? i : -1;
}

int main(int argc, char **argv)
{
    struct suite s = {0};
    sn_error     err = {0};
    char         rules[4200];
    const int    first = parse_options(argc, argv, &s.options);
    bool         ok = true, whole = false;

    if (first < 0) {
        fputs(usage, stderr);
        return 2;
    }
    sn_blas_set_threads(1);
    if (s.options.deviations)
        ok = deviations_open(&s.deviations, s.options.deviations);
    else if (find_rules(argv[first], rules, sizeof rules, &whole))
        ok = deviations_open(&s.deviations, rules);
    if (ok && sn_registry_create(&s.registry, &err) != SN_OK) {
        fprintf(stderr, "registry: %s\n", err.text);
        ok = false;
    }
    for (int i = first; ok && i < argc; i++)
        ok = run_directory(&s, argv[i]);
    if (ok && whole && !s.options.policy && !s.options.group && !s.options.eval &&
        s.options.every == 1) {
        fflush(stdout);
        deviations_warn_stale(&s.deviations);
    }
    printf("%zu passed, %zu failed, %zu skipped\n", s.tally.n_passed, s.tally.n_failed,
           s.tally.n_skipped);
    sn_registry_unref(s.registry);
    deviations_fini(&s.deviations);
    return ok && s.tally.n_failed == 0 && s.tally.n_passed + s.tally.n_skipped > 0 ? 0 : 1;
}
