/* deviation: rules for cases where being different is a decision.
 *
 *     {"rules": [{"name": "...", "group": "expr", "when": {"expr": "/and|or/"},
 *                 "instead": "accepted", "reason": "..."}]}
 *
 *   group    the group of the case
 *   when     path of a member of the case -> its value, or "/extended regular expression/"
 *            over its text; all must hold
 *   instead  "accepted": the case may fail in one way only, that what the original
 *            refuses is accepted. "different": the case may fail in any way.
 *   reason   one sentence
 *
 * A rule excuses a failure; a case that passes needs no rule. */
#include "conformance.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool deviations_open(struct deviations *d, const char *path)
{
    static const char *const keys[] = {"name", "group", "instead", "reason"};
    json_error_t             why;
    json_t                  *rule;
    size_t                   i;

    *d = (struct deviations){.doc = json_load_file(path, JSON_REJECT_DUPLICATES, &why)};
    if (!d->doc) {
        fprintf(stderr, "%s: line %d: %s\n", path, why.line, why.text);
        return false;
    }
    json_array_foreach(json_object_get(d->doc, "rules"), i, rule)
    {
        for (size_t k = 0; k < COUNT(keys); k++)
            if (!json_is_string(json_object_get(rule, keys[k]))) {
                fprintf(stderr, "%s: rule %zu lacks \"%s\"\n", path, i, keys[k]);
                return false;
            }
        if (json_object_size(json_object_get(rule, "when")) == 0) {
            fprintf(stderr, "%s: rule %zu has no condition\n", path, i);
            return false;
        }
    }
    d->n_used = calloc(json_array_size(json_object_get(d->doc, "rules")) + 1, sizeof *d->n_used);
    return d->n_used != NULL;
}

void deviations_fini(struct deviations *d)
{
    json_decref(d->doc);
    free(d->n_used);
}

/* "error.phase" -> the member of the member; NULL if there is none. */
static const json_t *member_at(const json_t *doc, const char *path)
{
    char        key[64];
    const char *dot;

    for (; doc && (dot = strchr(path, '.')); path = dot + 1) {
        snprintf(key, sizeof key, "%.*s", (int)(dot - path), path);
        doc = json_object_get(doc, key);
    }
    return json_object_get(doc, path);
}

/* "/.../" over the text of a member; what is no text is taken as JSON. */
static bool matches(const char *pattern, const json_t *v)
{
    char    source[256];
    char   *text;
    regex_t re;
    bool    found;

    snprintf(source, sizeof source, "%.*s", (int)strlen(pattern) - 2, pattern + 1);
    if (regcomp(&re, source, REG_EXTENDED | REG_NOSUB) != 0) return false;
    text = json_is_string(v) ? strdup(json_string_value(v))
                             : json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
    found = text && regexec(&re, text, 0, NULL, 0) == 0;
    free(text);
    regfree(&re);
    return found;
}

static bool holds(const json_t *when, const json_t *doc)
{
    const char *path;
    json_t     *want;

    json_object_foreach((json_t *)when, path, want)
    {
        const char   *text = json_string_value(want);
        const json_t *v = member_at(doc, path);
        const bool    pattern =
            text && strlen(text) > 2 && text[0] == '/' && text[strlen(text) - 1] == '/';

        if (!v || !(pattern ? matches(text, v) : json_equal(want, v))) return false;
    }
    return true;
}

const char *deviations_find(struct deviations *d, const struct golden *g, const struct report *r)
{
    json_t *rule;
    size_t  i;

    json_array_foreach(json_object_get(d->doc, "rules"), i, rule)
    {
        const char *instead = json_string_value(json_object_get(rule, "instead"));

        if (strcmp(json_string_value(json_object_get(rule, "group")), g->group) != 0) continue;
        if (!holds(json_object_get(rule, "when"), g->doc)) continue;
        if (strcmp(instead, "accepted") == 0 && !r->accepted) continue;
        d->n_used[i]++;
        return json_string_value(json_object_get(rule, "reason"));
    }
    return NULL;
}

void deviations_warn_stale(const struct deviations *d)
{
    json_t *rule;
    size_t  i;

    json_array_foreach(json_object_get(d->doc, "rules"), i, rule) if (d->n_used[i] == 0)
        fprintf(stderr, "warning: the deviation \"%s\" excused no case\n",
                json_string_value(json_object_get(rule, "name")));
}
