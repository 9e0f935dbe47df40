/* forward/said: what a request says beside its inputs, in whichever form.
 *
 * One table for the members of a JSON body, the keys of a binary body's __metadata__ and the
 * parameters of the query. Everything is collected first and looked at together, so that it
 * does not matter where something was said, and a word that nobody knows is never passed over. */
#include <stdio.h>
#include <string.h>

#include "http/words.h"
#include "supernet/weights.h"
#include "v1/forward/request.h"

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

const char *api_forward_where(const struct forward_request *r, enum said_word w)
{
    return r->said[w].in == IN_METADATA ? words[w].in_metadata : words[w].name;
}

bool api_forward_is_said(const struct forward_request *r, enum said_word w)
{
    return r->said[w].in != SAID_NOWHERE;
}

/* Within one form the reader has seen to it that nothing is said twice, and JSON is said in one
 * form only. */
static enum problem_code say(struct forward_request *r, enum said_word w, const struct said *what)
{
    const struct said *before = &r->said[w];

    if (!api_forward_is_said(r, w)) {
        r->said[w] = *what;
        return P_OK;
    }
    if (words[w].kind == TEXT    ? strcmp(before->text, what->text) == 0
        : words[w].kind == WHOLE ? before->number == what->number
                                 : false)
        return P_OK;
    return api_fail(&r->call->problem, P_INVALID, words[w].name,
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

enum problem_code api_forward_say_json(struct forward_request *r, struct json_text name,
                                       struct json_text value)
{
    struct problem *p = &r->call->problem;
    const char     *text = api_body_decode(r->call, name);
    struct said     what = {.in = IN_BODY, .json = value};
    enum said_word  w;

    if (!text) return p->code;
    w = find(text);
    if (w == SAID_COUNT) return api_fail_unknown(p, "body", text, "inputs|" API_FORWARD_WORDS);
    if (api_forward_is_said(r, w))
        return api_fail(p, P_SYNTAX, "body", "'%s' is given twice", text);
    if (words[w].kind == TEXT && api_body_text(r->call, value, "", text, &what.text) != P_OK)
        return p->code;
    if (words[w].kind == WHOLE &&
        api_body_integer(value, "", text, 0, INT64_MAX, &what.number, p) != P_OK)
        return p->code;
    return say(r, w, &what);
}

/* A text of the metadata or of the query. */
static enum problem_code say_text(struct forward_request *r, enum said_form form, enum said_word w,
                                  const char *where, const char *text)
{
    struct problem *p = &r->call->problem;
    struct said     what = {.in = form, .text = text};

    if (words[w].kind == WHOLE && api_whole_number(text, where, &what.number, p) != P_OK)
        return p->code;
    if (words[w].kind == VALUE &&
        api_json_read_all(text, strlen(text), where, r->call->req->stop, &what.json, p) != P_OK)
        return p->code;
    return say(r, w, &what);
}

enum problem_code api_forward_say_metadata(struct forward_request *r)
{
    struct problem *p = &r->call->problem;
    const char     *key, *text;

    for (size_t i = 0; (key = sn_weights_metadata_at(r->weights, i, &text)); i++) {
        const enum said_word w = find(key);

        if (w < SAID_COUNT)
            say_text(r, IN_METADATA, w, words[w].in_metadata, text);
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

enum problem_code api_forward_say_query(struct forward_request *r)
{
    const struct query *q = &r->call->query;

    for (size_t i = 0; i < q->n; i++) { /* the route's row lets words of the table through */
        const enum said_word w = find(q->at[i].key);

        if (say_text(r, IN_QUERY, w, words[w].name, q->at[i].value) != P_OK)
            return r->call->problem.code;
    }
    return P_OK;
}
