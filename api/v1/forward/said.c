/* forward/said: what a request says beside its inputs, in whichever form.
 *
 * One table for the members of a JSON body, the keys of a binary body's __metadata__ and the
 * parameters of the query. Everything is collected first and looked at together, so that it
 * does not matter where something was said, and a word that nobody knows is never passed over. */
#include <stdio.h>
#include <string.h>

#include "http/words.h"
#include "v1/forward/forward.h"

enum kind { TEXT, WHOLE, VALUE /* JSON: a member, or as a text in metadata */ };

static const struct {
    const char *name, *in_metadata;
    enum kind   kind;
} words[] = {
    [SAID_SUBNET] = {"subnet", "__metadata__.subnet", TEXT},
    [SAID_CHOICES] = {"choices", "__metadata__.choices", VALUE},
    [SAID_SUBNETS] = {"subnets", "__metadata__.subnets", VALUE},
    [SAID_POLICY] = {"policy", "__metadata__.policy", TEXT},
    [SAID_ALPHA] = {"alpha", "__metadata__.alpha", VALUE},
    [SAID_SEED] = {"seed", "__metadata__.seed", WHOLE},
    [SAID_VERSION] = {"version", "__metadata__.version", WHOLE},
    [SAID_MODE] = {"mode", "__metadata__.mode", TEXT},
};

_Static_assert(sizeof words / sizeof words[0] == SAID_COUNT, "a row for each word");

/* What libraries write into a file of tensors on their own account. */
#define FORMATS "pt|np|tf|flax|mlx"

static const char *form_name(enum said_form form)
{
    static const char *const name[] = {
        [SAID_NOWHERE] = "", [IN_QUERY] = "query", [IN_BODY] = "body", [IN_METADATA] = "metadata"};

    return name[form];
}

static const char *where_of(const struct forward *f, enum said_word w)
{
    return f->said[w].in == IN_METADATA ? words[w].in_metadata : words[w].name;
}

static bool is_said(const struct forward *f, enum said_word w)
{
    return f->said[w].in != SAID_NOWHERE;
}

/* Within one form the reader has seen to it that nothing is said twice, and JSON is said in one
 * form only. */
static enum problem_code say(struct forward *f, enum said_word w, const struct said *what)
{
    const struct said *before = &f->said[w];

    if (!is_said(f, w)) {
        f->said[w] = *what;
        return P_OK;
    }
    if (words[w].kind == TEXT    ? strcmp(before->text, what->text) == 0
        : words[w].kind == WHOLE ? before->number == what->number
                                 : false)
        return P_OK;
    return api_fail(&f->call->problem, P_INVALID, words[w].name,
                    "the %s and the %s say different things", form_name(before->in),
                    form_name(what->in));
}

static enum said_word find(const char *name)
{
    enum said_word w = 0;

    while (w < SAID_COUNT && strcmp(words[w].name, name) != 0)
        w++;
    return w;
}

enum problem_code api_forward_say_json(struct forward *f, struct json_text name,
                                       struct json_text value)
{
    struct problem *p = &f->call->problem;
    const char     *text = api_body_decode(f->call, name);
    struct said     what = {.in = IN_BODY, .json = value};
    enum said_word  w;

    if (!text) return p->code;
    w = find(text);
    if (w == SAID_COUNT) return api_fail_unknown(p, "body", text, "inputs|" API_FORWARD_WORDS);
    if (is_said(f, w)) return api_fail(p, P_SYNTAX, "body", "'%s' is given twice", text);
    if (words[w].kind == TEXT && api_body_text(f->call, value, "", text, &what.text) != P_OK)
        return p->code;
    if (words[w].kind == WHOLE &&
        api_body_integer(value, "", text, 0, INT64_MAX, &what.number, p) != P_OK)
        return p->code;
    return say(f, w, &what);
}

/* A text of the metadata or of the query. */
static enum problem_code say_text(struct forward *f, enum said_form form, enum said_word w,
                                  const char *where, const char *text)
{
    struct problem *p = &f->call->problem;
    struct said     what = {.in = form, .text = text};

    if (words[w].kind == WHOLE && api_whole_number(text, where, &what.number, p) != P_OK)
        return p->code;
    if (words[w].kind == VALUE &&
        api_json_read_all(text, strlen(text), where, f->call->req->stop, &what.json, p) != P_OK)
        return p->code;
    return say(f, w, &what);
}

enum problem_code api_forward_say_metadata(struct forward *f)
{
    struct problem *p = &f->call->problem;
    const char     *key, *text;

    for (size_t i = 0; (key = sn_weights_metadata_at(f->weights, i, &text)); i++) {
        const enum said_word w = find(key);

        if (w < SAID_COUNT)
            say_text(f, IN_METADATA, w, words[w].in_metadata, text);
        else if (strcmp(key, "format") != 0)
            api_fail_unknown(p, "__metadata__", key, API_FORWARD_WORDS "|format");
        else if (!api_word_in(FORMATS, text, strlen(text)))
            api_fail(p, P_INVALID, "__metadata__.format",
                     "'%.200s' is none of pt, np, tf, flax, "
                     "mlx, which say what library has written the tensors",
                     text);
        if (p->code != P_OK) return p->code;
    }
    return P_OK;
}

enum problem_code api_forward_say_query(struct forward *f)
{
    const struct query *q = &f->call->query;

    for (size_t i = 0; i < q->n; i++) { /* the route's row lets words of the table through */
        const enum said_word w = find(q->at[i].key);

        if (say_text(f, IN_QUERY, w, words[w].name, q->at[i].value) != P_OK)
            return f->call->problem.code;
    }
    return P_OK;
}

static enum problem_code check_version(struct forward *f)
{
    const struct model *m = f->call->model;
    const struct said  *said = &f->said[SAID_VERSION];

    if (!is_said(f, SAID_VERSION) || (uint64_t)said->number == m->version) return P_OK;
    return api_fail(&f->call->problem, P_STALE, where_of(f, SAID_VERSION),
                    "version %lld of supernet '%s' is not served, version %llu is",
                    (long long)said->number, m->name, (unsigned long long)m->version);
}

static enum problem_code read_mode(struct forward *f)
{
    const char *mode = f->said[SAID_MODE].text;

    if (!mode) return P_OK;
    if (strcmp(mode, "eval") != 0 && strcmp(mode, "train") != 0)
        return api_fail(&f->call->problem, P_INVALID, where_of(f, SAID_MODE),
                        "'%.200s' is neither eval nor train", mode);
    f->train = mode[0] == 't';
    return P_OK;
}

/* What contradicts itself, wherever its parts were said. */
static enum problem_code check_together(struct forward *f)
{
    struct problem *p = &f->call->problem;
    const bool      decided = is_said(f, SAID_POLICY) || is_said(f, SAID_ALPHA);

    if (is_said(f, SAID_SUBNET) + is_said(f, SAID_CHOICES) + is_said(f, SAID_SUBNETS) > 1)
        return api_fail(p, P_INVALID,
                        f->said[SAID_SUBNET].in == IN_QUERY       ? "subnet"
                        : f->said[SAID_CHOICES].in == IN_METADATA ? "__metadata__"
                                                                  : "body",
                        "only one of subnet, choices and subnets can say what to run");
    if (is_said(f, SAID_POLICY) && is_said(f, SAID_ALPHA))
        return api_fail(p, P_INVALID, "policy", "only one of policy and alpha can decide");
    if (is_said(f, SAID_SUBNETS) && decided)
        return api_fail(p, P_INVALID, "subnets", "a policy decides one subnet, not a list");
    if (is_said(f, SAID_SEED) && !is_said(f, SAID_POLICY))
        return api_fail(p, P_INVALID, where_of(f, SAID_SEED),
                        "a seed is for a policy, and none is named");
    return P_OK;
}

enum problem_code api_forward_decide(struct forward *f)
{
    const struct said    *said = f->said;
    struct forward_policy how = {.name = said[SAID_POLICY].text,
                                 .id = said[SAID_SUBNET].text,
                                 .alpha = said[SAID_ALPHA].json,
                                 .choices = said[SAID_CHOICES].json,
                                 .has_seed = is_said(f, SAID_SEED),
                                 .seed = (uint64_t)said[SAID_SEED].number,
                                 .where_name = where_of(f, SAID_POLICY),
                                 .where_id = where_of(f, SAID_SUBNET),
                                 .where_alpha = where_of(f, SAID_ALPHA),
                                 .where_choices = where_of(f, SAID_CHOICES)};

    /* 404 is for what the URL names. */
    how.if_unknown = said[SAID_SUBNET].in == IN_QUERY ? P_NO_SUBNET : P_UNKNOWN_SUBNET;
    if (check_version(f) != P_OK || read_mode(f) != P_OK || check_together(f) != P_OK)
        return f->call->problem.code;
    if (how.name || how.alpha.at) return api_forward_policy(f, &how);
    if (how.choices.at) return api_forward_one_choices(f, how.choices, how.where_choices);
    if (is_said(f, SAID_SUBNETS))
        return api_forward_list(f, said[SAID_SUBNETS].json, where_of(f, SAID_SUBNETS));
    return api_forward_one_id(f, how.id, how.where_id, how.if_unknown); /* NULL: the current one */
}
