/* forward_said: what a request says beside its inputs, in whichever form.
 *
 * One table for the members of a JSON body, the keys of a binary body's __metadata__ and the
 * parameters of the query. Everything is collected first and looked at together, so that it
 * does not matter where something was said, and a word that nobody knows is never passed over. */
#include <stdio.h>
#include <string.h>

#include "forward.h"

enum kind { TEXT, WHOLE, VALUE /* JSON: a member, or as a text in metadata */ };

static const struct {
    const char *name, *in_metadata;
    enum kind   kind;
} words[] = {
    [SAID_SUBNET] = {"subnet",  "__metadata__.subnet",  TEXT },
    [SAID_CHOICES] = {"choices", "__metadata__.choices", VALUE},
    [SAID_SUBNETS] = {"subnets", "__metadata__.subnets", VALUE},
    [SAID_POLICY] = {"policy",  "__metadata__.policy",  TEXT },
    [SAID_ALPHA] = {"alpha",   "__metadata__.alpha",   VALUE},
    [SAID_SEED] = {"seed",    "__metadata__.seed",    WHOLE},
    [SAID_VERSION] = {"version", "__metadata__.version", WHOLE},
    [SAID_MODE] = {"mode",    "__metadata__.mode",    TEXT },
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
    return f->said_in[w] == IN_METADATA ? words[w].in_metadata : words[w].name;
}

/* Takes `value`; NULL if there was no memory for it. */
static enum problem_code say(struct forward *f, enum said_form form, enum said_word w,
                             json_t *value)
{
    struct problem *p = &f->call->problem;

    if (!value) return api_fail_memory(p);
    if (!f->said[w]) {
        f->said[w] = value;
        f->said_in[w] = form;
        return P_OK;
    }
    if (!json_equal(f->said[w], value)) /* within one form the reader has seen to it */
        api_fail(p, P_INVALID, words[w].name, "the %s and the %s say different things",
                 form_name(f->said_in[w]), form_name(form));
    json_decref(value);
    return p->code;
}

static enum said_word find(const char *name)
{
    enum said_word w = 0;

    while (w < SAID_COUNT && strcmp(words[w].name, name) != 0)
        w++;
    return w;
}

enum problem_code api_forward_say_json(struct forward *f, const char *name, json_t *value)
{
    const enum said_word w = find(name);
    struct problem      *p = &f->call->problem;

    if (w == SAID_COUNT)
        api_fail_unknown(p, "body", name, "inputs|" API_FORWARD_WORDS);
    else if (f->said[w])
        api_fail(p, P_SYNTAX, "body", "'%s' is given twice", name);
    else if (words[w].kind == TEXT && !json_is_string(value))
        api_fail(p, P_INVALID, name, "must be a string, not %s", api_json_kind(value));
    else if (words[w].kind == WHOLE && !json_is_integer(value))
        api_fail(p, P_INVALID, name, "must be an integer, not %s", api_json_kind(value));
    else if (words[w].kind == WHOLE && json_integer_value(value) < 0)
        api_fail(p, P_INVALID, name, "%lld is below 0", (long long)json_integer_value(value));
    else
        return say(f, IN_BODY, w, value);
    json_decref(value);
    return p->code;
}

/* A text of the metadata or of the query. */
static enum problem_code say_text(struct forward *f, enum said_form form, enum said_word w,
                                  const char *where, const char *text)
{
    struct problem *p = &f->call->problem;
    json_t         *value = NULL;
    int64_t         number;

    switch (words[w].kind) {
    case TEXT:
        return say(f, form, w, json_string(text));
    case WHOLE:
        return api_whole_number(text, where, &number, p) == P_OK
                   ? say(f, form, w, json_integer(number))
                   : p->code;
    case VALUE:
        break;
    }
    return api_json_parse(text, text, strlen(text), where, &value, p) == P_OK
               ? say(f, form, w, value)
               : p->code;
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

static const char *text_of(const struct forward *f, enum said_word w)
{
    return json_string_value(f->said[w]);
}

static enum problem_code check_version(struct forward *f)
{
    const struct model *m = f->call->model;
    const json_t       *said = f->said[SAID_VERSION];

    if (!said || (uint64_t)json_integer_value(said) == m->version) return P_OK;
    return api_fail(&f->call->problem, P_STALE, where_of(f, SAID_VERSION),
                    "version %lld of supernet '%s' is not served, version %llu is",
                    (long long)json_integer_value(said), m->name, (unsigned long long)m->version);
}

static enum problem_code read_mode(struct forward *f)
{
    const char *mode = text_of(f, SAID_MODE);

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
    json_t *const  *said = f->said;
    struct problem *p = &f->call->problem;
    const bool      decided = said[SAID_POLICY] || said[SAID_ALPHA];

    if (!!said[SAID_SUBNET] + !!said[SAID_CHOICES] + !!said[SAID_SUBNETS] > 1)
        return api_fail(p, P_INVALID,
                        f->said_in[SAID_SUBNET] == IN_QUERY       ? "subnet"
                        : f->said_in[SAID_CHOICES] == IN_METADATA ? "__metadata__"
                                                                  : "body",
                        "only one of subnet, choices and subnets can say what to run");
    if (said[SAID_POLICY] && said[SAID_ALPHA])
        return api_fail(p, P_INVALID, "policy", "only one of policy and alpha can decide");
    if (said[SAID_SUBNETS] && decided)
        return api_fail(p, P_INVALID, "subnets", "a policy decides one subnet, not a list");
    if (said[SAID_SEED] && !said[SAID_POLICY])
        return api_fail(p, P_INVALID, where_of(f, SAID_SEED),
                        "a seed is for a policy, and none is named");
    return P_OK;
}

enum problem_code api_forward_decide(struct forward *f)
{
    json_t *const        *said = f->said;
    struct forward_policy how = {.name = text_of(f, SAID_POLICY),
                                 .id = text_of(f, SAID_SUBNET),
                                 .alpha = said[SAID_ALPHA],
                                 .choices = said[SAID_CHOICES],
                                 .has_seed = said[SAID_SEED] != NULL,
                                 .seed = (uint64_t)json_integer_value(said[SAID_SEED]),
                                 .where_name = where_of(f, SAID_POLICY),
                                 .where_id = where_of(f, SAID_SUBNET),
                                 .where_alpha = where_of(f, SAID_ALPHA),
                                 .where_choices = where_of(f, SAID_CHOICES)};

    /* 404 is for what the URL names. */
    how.if_unknown = f->said_in[SAID_SUBNET] == IN_QUERY ? P_NO_SUBNET : P_UNKNOWN_SUBNET;
    if (check_version(f) != P_OK || read_mode(f) != P_OK || check_together(f) != P_OK)
        return f->call->problem.code;
    if (how.name || how.alpha) return api_forward_policy(f, &how);
    if (how.choices) return api_forward_one_choices(f, how.choices, how.where_choices);
    if (said[SAID_SUBNETS])
        return api_forward_list(f, said[SAID_SUBNETS], where_of(f, SAID_SUBNETS));
    return api_forward_one_id(f, how.id, how.where_id, how.if_unknown); /* NULL: the current one */
}

void api_forward_said_fini(struct forward *f)
{
    for (enum said_word w = 0; w < SAID_COUNT; w++)
        json_decref(f->said[w]);
}
