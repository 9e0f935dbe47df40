/* argument: one value of the document -> one slot: fixed, or an expression with its
 * options and its super value. */
#include "document/build.h"

#include <string.h>

const struct member build_expr_members[] = {
    {"expr", MEMBER_TEXT, true},
    {"choices", MEMBER_OBJECT, false},
    {0},
};

/* ---- what an argument may be ---------------------------------------------------------- */

/* The i-th of "same|valid" into buf; false past the end. */
static bool keyword_at(const char *keywords, size_t i, char *buf, size_t n_bytes)
{
    for (; i > 0; i--) {
        keywords = strchr(keywords, '|');
        if (!keywords) return false;
        keywords++;
    }
    snprintf(buf, n_bytes, "%.*s", (int)strcspn(keywords, "|"), keywords);
    return true;
}

static bool is_keyword(const sn_arg_def *def, const char *text)
{
    char word[64];

    for (size_t i = 0; def->keywords && keyword_at(def->keywords, i, word, sizeof word); i++)
        if (strcmp(word, text) == 0) return true;
    return false;
}

/* Things that may be written, for a message: "an integer, null or \"same\"". */
struct wanted {
    char   item[24][40];
    size_t n;
};

static void want(struct wanted *w, const char *text)
{
    if (w->n < COUNT(w->item)) snprintf(w->item[w->n++], sizeof w->item[0], "%s", text);
}

static void want_keywords(struct wanted *w, const sn_arg_def *def)
{
    char word[32], quoted[40];

    for (size_t i = 0; def->keywords && keyword_at(def->keywords, i, word, sizeof word); i++) {
        snprintf(quoted, sizeof quoted, "\"%s\"", word);
        want(w, quoted);
    }
}

static const char *wanted_text(const struct wanted *w, char *buf, size_t n_bytes)
{
    size_t n = 0;

    buf[0] = '\0';
    for (size_t i = 0; i < w->n && n < n_bytes; i++)
        n += (size_t)snprintf(buf + n, n_bytes - n, "%s%s",
                              i == 0         ? ""
                              : i + 1 < w->n ? ", "
                                             : " or ",
                              w->item[i]);
    return buf;
}

/* What `def` may be, into buf. */
static const char *kinds_text(const sn_arg_def *def, char *buf, size_t n_bytes)
{
    static const struct {
        sn_kind     kind;
        const char *text;
    } row[] = {
        {SN_KIND_INT, "an integer"},     {SN_KIND_FLOAT, "a number"},
        {SN_KIND_BOOL, "true or false"}, {SN_KIND_TUPLE, "an array of integers"},
        {SN_KIND_NULL, "null"},
    };
    struct wanted w = {.n = 0};
    unsigned      kinds = def->kinds;

    if (kinds & SN_KINDS(SN_KIND_FLOAT)) kinds &= ~SN_KINDS(SN_KIND_INT); /* "a number" is both */
    for (size_t i = 0; i < COUNT(row); i++)
        if (kinds & SN_KINDS(row[i].kind)) want(&w, row[i].text);
    if (kinds & SN_KINDS(SN_KIND_TEXT)) {
        if (def->keywords)
            want_keywords(&w, def);
        else
            want(&w, "a text");
    }
    return wanted_text(&w, buf, n_bytes);
}

/* A bool passes for an int, and both for a number; in a tuple there are ints, and nulls
 * where the argument may be null as well. */
static bool kind_fits(unsigned kinds, const sn_value *v)
{
    const unsigned items = SN_KINDS(SN_KIND_INT) | (kinds & SN_KINDS(SN_KIND_NULL));
    unsigned       passes = SN_KINDS(v->kind);

    if (v->kind == SN_KIND_BOOL) passes |= SN_KINDS(SN_KIND_INT) | SN_KINDS(SN_KIND_FLOAT);
    if (v->kind == SN_KIND_INT) passes |= SN_KINDS(SN_KIND_FLOAT);
    if (!(kinds & passes)) return false;
    for (size_t i = 0; v->kind == SN_KIND_TUPLE && i < v->as.tuple.n; i++) {
        const sn_kind kind = v->as.tuple.item[i].kind;

        if (kind != SN_KIND_BOOL && !(items & SN_KINDS(kind))) return false;
    }
    return true;
}

static bool has_text(const sn_value *tuple)
{
    for (size_t i = 0; i < tuple->as.tuple.n; i++)
        if (tuple->as.tuple.item[i].kind == SN_KIND_TEXT) return true;
    return false;
}

/* `elastic`: one of several values that an expression can have. */
static sn_status check_value(struct builder *b, const sn_arg_def *def, const sn_value *v,
                             bool elastic, const char *where)
{
    const bool  fits = kind_fits(def->kinds, v);
    const char *hint = "";
    char        found[128], allowed[384];

    if (fits && (v->kind != SN_KIND_TEXT || !def->keywords || is_keyword(def, v->as.text)))
        return SN_OK;
    if (v->kind == SN_KIND_FLOAT && def->kinds & SN_KINDS(SN_KIND_INT))
        hint = "; // and to_int() give integers";
    if (v->kind == SN_KIND_TUPLE && !elastic && def->flags & SN_ARG_CHOICE && has_text(v))
        hint = "; one that depends on a choice is written as a text: \"(3, width)\"";
    return build_fail(b, SN_E_INVALID, where, "%s %s, but %s must be %s%s",
                      elastic ? "the expression can become" : "the value is",
                      build_value_text(v, found, sizeof found), def->name,
                      kinds_text(def, allowed, sizeof allowed), hint);
}

/* ---- filling a slot --------------------------------------------------------------------- */

static sn_status set_fixed(struct builder *b, const sn_arg_def *def, const sn_value *v,
                           const char *where, struct arg_slot *slot)
{
    sn_value *option = ARENA_NEW(b->mem, sn_value);
    sn_status rc = check_value(b, def, v, false, where);

    if (rc != SN_OK) return rc;
    if (!option) return fail_no_memory(b->err, where);
    *option = *v;
    slot->fixed = slot->super = *v;
    slot->option = option;
    slot->n_options = 1;
    return SN_OK;
}

static sn_status set_leaves(struct builder *b, const sn_expr *expr, const char *user,
                            const char *where, struct arg_slot *slot)
{
    const size_t n = expr_n_labels(expr);
    size_t      *leaf = arena_array(b->mem, n, sizeof *leaf);

    if (!leaf) return fail_no_memory(b->err, where);
    for (size_t i = 0; i < n; i++) {
        const char *label = expr_label(expr, i)->label;
        sn_status   rc;

        if (!table_find(&b->label_table, label, &leaf[i]))
            return build_fail(b, SN_E_UNKNOWN_NAME, where, "there is no label \"%s\"", label);
        if (!b->label[leaf[i]].read_by) b->label[leaf[i]].read_by = where;
        if (!user || b->label[leaf[i]].choice.derived) continue;
        rc = build_use(b, leaf[i], user);
        if (rc != SN_OK) return rc;
    }
    slot->leaf = leaf;
    slot->n_leaves = n;
    return SN_OK;
}

sn_status build_set_expr(struct builder *b, const sn_arg_def *def, const sn_expr *expr,
                         const char *user, const char *where, struct arg_slot *slot)
{
    const bool     nni = b->net->nni;
    const unsigned components = nni ? SN_ARG_COMPONENTS_NNI : SN_ARG_COMPONENTS;
    sn_value      *option = NULL, super;
    size_t         n = 0;
    sn_status      rc;

    rc = expr_values(expr, !nni, b->mem, &option, &n, b->err);
    if (rc == SN_OK) rc = build_step(b, 4 * n, where);
    if (rc != SN_OK) return rc;
    if (expr_n_labels(expr) == 0) return set_fixed(b, def, &option[0], where, slot);
    for (size_t i = 0; i < n; i++) {
        rc = check_value(b, def, &option[i], true, where);
        if (rc != SN_OK) return rc;
    }
    rc = expr_super(option, n, def->flags & components, b->mem, &super, where, b->err);
    if (rc == SN_OK) rc = set_leaves(b, expr, user, where, slot);
    if (rc != SN_OK) return rc;
    slot->expr = expr;
    slot->option = option;
    slot->n_options = n;
    slot->super = super;
    return SN_OK;
}

static bool is_word(const char *text)
{
    return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") ==
           strlen(text);
}

static sn_status set_text(struct builder *b, const sn_arg_def *def, const char *text,
                          const json_t *own, const char *user, const char *where,
                          struct arg_slot *slot)
{
    struct expr_scope        beside; /* the labels declared there, and all others */
    const struct expr_scope *scope = b->scope;
    const sn_expr           *expr;
    const char              *place = own ? arena_printf(b->mem, "%s.choices", where) : where;
    char                     words[256];
    sn_error                 why = {0};
    struct wanted            w = {.n = 0};
    sn_status                rc = SN_OK;

    if (strlen(text) > BUILD_MAX_TEXT_BYTES)
        return build_fail(b, SN_E_LIMIT, where, "an expression of %zu bytes is longer than %d",
                          strlen(text), BUILD_MAX_TEXT_BYTES);
    if (!place) return fail_no_memory(b->err, where);
    if (own) {
        rc = build_choices(b, own, place, &beside);
        scope = &beside;
    }
    if (rc != SN_OK) return rc;
    rc = expr_parse_scope(b->mem, text, scope, where, &expr, &why);
    if (rc == SN_E_UNKNOWN_NAME && def->keywords && is_word(text)) {
        want_keywords(&w, def);
        return build_fail(b, rc, where, "\"%s\" is neither a label nor a word that %s knows: %s",
                          text, def->name, wanted_text(&w, words, sizeof words));
    }
    if (rc != SN_OK) return build_fail(b, rc, why.where, "%s", why.text);
    return build_set_expr(b, def, expr, user, where, slot);
}

sn_status build_argument(struct builder *b, const sn_arg_def *def, const json_t *value,
                         const char *user, const char *where, struct arg_slot *slot)
{
    static const struct member *const tables[] = {build_expr_members};
    const char                       *text = json_string_value(value); /* NULL: no text */
    char                              allowed[384];
    sn_value                          v;
    sn_status                         rc;

    slot->name = def->name;
    slot->where = where;
    slot->flags = def->flags;
    if (json_is_object(value)) {
        rc = build_check_members(b, value, where, tables, 1);
        if (rc != SN_OK) return rc;
        if (!(def->flags & SN_ARG_CHOICE))
            return build_fail(b, SN_E_UNSUPPORTED, where, "%s may not depend on a choice: write %s",
                              def->name, kinds_text(def, allowed, sizeof allowed));
        return set_text(b, def, json_string_value(json_object_get(value, "expr")),
                        json_object_get(value, "choices"), user, where, slot);
    }
    if (text && !is_keyword(def, text)) {
        if (def->flags & SN_ARG_CHOICE) return set_text(b, def, text, NULL, user, where, slot);
        if (!(def->kinds & SN_KINDS(SN_KIND_TEXT)))
            return build_fail(
                b, SN_E_UNSUPPORTED, where,
                "\"%s\" is an expression, but %s may not depend on a choice: write %s", text,
                def->name, kinds_text(def, allowed, sizeof allowed));
    }
    rc = json_value(value, where, b->mem, &v, b->err);
    if (rc != SN_OK) return rc;
    return set_fixed(b, def, &v, where, slot);
}
