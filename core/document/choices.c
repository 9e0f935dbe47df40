/* choices: labels, who declares them, who reads them, and how many assignments there are.
 *
 * While a document is read, labels are numbered as they are declared. The space that
 * users see has them in the order of first use, so they are numbered anew at the end. */
#include "document/build.h"

#include <string.h>

static bool same_candidates(const sn_choice *a, const sn_choice *b)
{
    if (a->n_candidates != b->n_candidates) return false;
    for (size_t i = 0; i < a->n_candidates; i++)
        if (!sn_value_equal(&a->candidate[i], &b->candidate[i])) return false;
    return true;
}

static const char *candidates_text(const sn_choice *c, char *buf, size_t n_bytes)
{
    const sn_value tuple = {.kind = SN_KIND_TUPLE, .as.tuple = {c->candidate, c->n_candidates}};

    return build_value_text(&tuple, buf, n_bytes);
}

static const char *role_text(enum role role)
{
    static const char *const text[] = {"a table of choices", "a LayerChoice", "an InputChoice"};

    return text[role];
}

/* The label is there already: both must mean the same. */
static sn_status merge(struct builder *b, struct label *l, const sn_choice *c, enum role role,
                       const char *where)
{
    char had[200], have[200];

    if (!same_candidates(&l->choice, c))
        return build_fail(b, SN_E_INVALID, where,
                          "the label \"%s\" has the candidates %s here, but %s at %s", c->label,
                          candidates_text(c, have, sizeof have),
                          candidates_text(&l->choice, had, sizeof had), l->where);
    if (l->choice.soft_only != c->soft_only)
        return build_fail(b, SN_E_INVALID, where,
                          "the label \"%s\" cannot be that of an edge of a Cell and of something "
                          "else (at %s)",
                          c->label, l->where);
    if (l->choice.derived != c->derived)
        return build_fail(b, SN_E_INVALID, where,
                          "the label \"%s\" cannot be that of a node's channels and of something "
                          "else (at %s)",
                          c->label, l->where);
    if (role == ROLE_PLAIN) return SN_OK;
    if (l->role != ROLE_PLAIN && l->role != role)
        return build_fail(b, SN_E_INVALID, where,
                          "the label \"%s\" cannot be that of %s and of %s (at %s)", c->label,
                          role_text(role), role_text(l->role), l->where);
    if (l->role == role && l->choice.n_chosen != c->n_chosen)
        return build_fail(b, SN_E_INVALID, where,
                          "the label \"%s\" has another n_chosen here than at %s", c->label,
                          l->where);
    l->role = role;
    l->choice.several = c->several;
    l->choice.n_chosen = c->n_chosen;
    return SN_OK;
}

sn_status build_declare(struct builder *b, const sn_choice *choice, enum role role,
                        const char *where, size_t *ret_label)
{
    size_t    i;
    sn_status rc = build_step(b, 8 + choice->n_candidates, where);

    if (rc != SN_OK) return rc;
    if (table_find(&b->label_table, choice->label, &i)) {
        rc = merge(b, &b->label[i], choice, role, where);
        if (rc == SN_OK) *ret_label = i;
        return rc;
    }
    rc = build_check_name(b, "a label", choice->label, true, where);
    if (rc != SN_OK) return rc;
    if (b->n_labels >= BUILD_MAX_LABELS)
        return build_fail(b, SN_E_LIMIT, where, "there are more than %d labels", BUILD_MAX_LABELS);
    if (b->n_labels == b->cap_labels) {
        const size_t  cap = b->cap_labels ? 2 * b->cap_labels : 32;
        struct label *list = arena_array(b->tmp, cap, sizeof *list);

        if (!list) return fail_no_memory(b->err, where);
        if (b->n_labels) memcpy(list, b->label, b->n_labels * sizeof *list);
        b->label = list;
        b->cap_labels = cap;
    }
    if (!table_add(&b->label_table, b->tmp, choice->label, b->n_labels))
        return fail_no_memory(b->err, where);
    b->label[b->n_labels] =
        (struct label){.choice = *choice, .role = role, .where = where, .order = SIZE_MAX};
    *ret_label = b->n_labels++;
    return SN_OK;
}

sn_status build_use(struct builder *b, size_t label, const char *user)
{
    struct label *l = &b->label[label];

    if (l->order == SIZE_MAX) l->order = b->n_used++;
    if (l->choice.n_users == l->cap_users) {
        const size_t cap = l->cap_users ? 2 * l->cap_users : 4;
        const char **list = arena_array(b->mem, cap, sizeof *list);

        if (!list) return fail_no_memory(b->err, user);
        if (l->cap_users) memcpy(list, l->user, l->choice.n_users * sizeof *list);
        l->user = list;
        l->cap_users = cap;
    }
    l->user[l->choice.n_users++] = user;
    return SN_OK;
}

/* ---- tables of the document ------------------------------------------------------------- */

static sn_status candidate(struct builder *b, const json_t *spec, const char *where,
                           sn_value *ret_value)
{
    sn_value  v;
    sn_status rc = json_value(spec, where, b->mem, &v, b->err);

    if (rc != SN_OK) return rc;
    for (size_t i = 0; v.kind == SN_KIND_TUPLE && i < v.as.tuple.n; i++)
        if (v.as.tuple.item[i].kind != SN_KIND_INT)
            return build_fail(b, SN_E_INVALID, where,
                              "a candidate that is an array has integers only, not %s",
                              build_value_text(&v.as.tuple.item[i], (char[64]){0}, 64));
    *ret_value = v;
    return SN_OK;
}

static sn_status candidates(struct builder *b, const char *label, const json_t *list,
                            const char *where, sn_choice *ret_choice)
{
    const size_t n = json_array_size(list);
    char         found[128];
    sn_value    *value;
    const char  *copy;
    sn_status    rc;

    if (!json_is_array(list))
        return build_fail(b, SN_E_INVALID, where, "expected an array of candidates, found %s",
                          json_describe(list, found, sizeof found));
    if (n == 0) return build_fail(b, SN_E_INVALID, where, "a choice needs at least one candidate");
    if (n > BUILD_MAX_CANDIDATES)
        return build_fail(b, SN_E_LIMIT, where, "%zu candidates are more than %d", n,
                          BUILD_MAX_CANDIDATES);
    rc = build_step(b, 8 * n, where);
    if (rc != SN_OK) return rc;
    value = arena_array(b->mem, n, sizeof *value);
    copy = arena_strdup(b->mem, label);
    if (!value || !copy) return fail_no_memory(b->err, where);
    for (size_t i = 0; i < n; i++) {
        char place[256];

        build_item(where, i, place, sizeof place);
        rc = candidate(b, json_array_get(list, i), place, &value[i]);
        if (rc != SN_OK) return rc;
    }
    *ret_choice = (sn_choice){.label = copy, .candidate = value, .n_candidates = n, .n_chosen = 1};
    return SN_OK;
}

sn_status build_choices(struct builder *b, const json_t *table, const char *where,
                        struct expr_scope *ret_scope)
{
    enum { FEW = 8 };
    const size_t  n = json_object_size(table);
    struct table *by_label = n > FEW ? ARENA_NEW(b->tmp, struct table) : NULL;
    sn_choice    *list;
    const char   *label;
    json_t       *spec;
    char          found[128];
    size_t        i = 0, index;

    if (!json_is_object(table))
        return build_fail(b, SN_E_INVALID, where, "expected an object, found %s",
                          json_describe(table, found, sizeof found));
    list = arena_array(b->mem, n ? n : 1, sizeof *list);
    if (!list || (n > FEW && !by_label)) return fail_no_memory(b->err, where);
    json_object_foreach((json_t *)table, label, spec)
    {
        const char *place = arena_printf(b->mem, "%s.%s", where, label);
        sn_status   rc;

        if (!place) return fail_no_memory(b->err, where);
        rc = candidates(b, label, spec, place, &list[i]);
        if (rc == SN_OK) rc = build_declare(b, &list[i], ROLE_PLAIN, place, &index);
        if (rc != SN_OK) return rc;
        if (by_label && !table_add(by_label, b->tmp, list[i].label, i))
            return fail_no_memory(b->err, where);
        i++;
    }
    *ret_scope =
        (struct expr_scope){.choice = list, .n = n, .by_label = by_label, .outer = b->scope};
    return SN_OK;
}

/* ---- the size of the space: an exact decimal --------------------------------------------- */

/* A number of nine digits to a limb, the lowest first. */
struct decimal {
    uint32_t *limb;
    size_t    n;
};
enum { LIMB = 1000000000 };

static void decimal_times(struct decimal *d, uint64_t factor)
{
    unsigned __int128 carry = 0;

    for (size_t i = 0; i < d->n || carry; i++) {
        if (i == d->n) d->limb[d->n++] = 0;
        carry += (unsigned __int128)d->limb[i] * factor;
        d->limb[i] = (uint32_t)(carry % LIMB);
        carry /= LIMB;
    }
}

/* n choose k; n is at most SN_MAX_PORTS, so it fits. */
static uint64_t binomial(uint64_t n, uint64_t k)
{
    unsigned __int128 c = 1;

    if (k > n) return 0;
    for (uint64_t i = 1; i <= k; i++)
        c = c * (n - k + i) / i;
    return (uint64_t)c;
}

static uint64_t n_decisions(const sn_choice *c)
{
    if (c->n_chosen == 1) return c->n_candidates;
    if (c->n_chosen > 1) return binomial(c->n_candidates, c->n_chosen);
    return c->n_candidates < 64 ? ((uint64_t)1 << c->n_candidates) - 1 : UINT64_MAX;
}

static sn_status space_size(struct builder *b)
{
    struct decimal d = {.n = 1};
    char          *digits;
    size_t         n = 0;

    /* A factor is below 2^64: less than three limbs. */
    d.limb = arena_array(b->tmp, 3 * b->n_used + 4, sizeof *d.limb);
    digits = arena_array(b->mem, 27 * b->n_used + 40, 1);
    if (!d.limb || !digits) return fail_no_memory(b->err, "choices");
    d.limb[0] = 1;
    for (size_t i = 0; i < b->n_used; i++)
        decimal_times(&d, n_decisions(&b->net->choice[i]));
    for (size_t i = d.n; i-- > 0;)
        n += (size_t)sprintf(digits + n, i + 1 == d.n ? "%u" : "%09u", d.limb[i]);
    b->net->space_size = digits;
    return SN_OK;
}

/* ---- the final order ------------------------------------------------------------------------ */

static void renumber(struct arg_slot *slot, const size_t *to)
{
    size_t *leaf = (size_t *)slot->leaf; /* ours to write until loading ends */

    for (size_t i = 0; i < slot->n_leaves; i++)
        leaf[i] = to[leaf[i]];
}

static void renumber_cell(struct module *m, const size_t *to)
{
    for (size_t k = 0; k < m->cell.n_picks; k++) {
        m->cell.op[k] = to[m->cell.op[k]];
        m->cell.input[k] = to[m->cell.input[k]];
    }
    for (int j = 0; j < m->n_in; j++)
        m->cell.edge[j] = to[m->cell.edge[j]];
}

static void renumber_nasbench101(struct nasbench101 *g, const size_t *to)
{
    g->num_nodes = to[g->num_nodes];
    for (int v = 1; v < g->n; v++) {
        g->input[v] = to[g->input[v]];
        if (v < g->n - 1) g->features[v] = to[g->features[v]];
    }
}

sn_status build_finish_choices(struct builder *b)
{
    sn_supernet *net = b->net;
    size_t      *to = arena_array(b->tmp, b->n_labels + 1, sizeof *to);
    size_t       n_unused = 0, most = 1;

    for (size_t i = 0; i < b->n_labels; i++)
        if (b->label[i].choice.n_candidates > most) most = b->label[i].choice.n_candidates;
    net->choice = arena_array(b->mem, b->n_labels + 1, sizeof *net->choice);
    net->read_by = arena_array(b->mem, b->n_labels + 1, sizeof *net->read_by);
    net->candidate = arena_array(b->mem, most, sizeof *net->candidate);
    if (!to || !net->choice || !net->read_by || !net->candidate)
        return fail_no_memory(b->err, "choices");
    for (size_t i = 0; i < most; i++)
        net->candidate[i] = (uint32_t)i;
    net->n_choices = b->n_labels;
    for (size_t i = 0; i < b->n_labels; i++) {
        const struct label *l = &b->label[i];

        if (l->read_by && l->choice.n_chosen != 1)
            return build_fail(b, SN_E_INVALID, l->read_by,
                              "an expression reads the label \"%s\", but the InputChoice of that "
                              "label may choose several at once",
                              l->choice.label);
        to[i] = l->order != SIZE_MAX ? l->order : b->n_used + n_unused++;
        net->choice[to[i]] = l->choice;
        net->choice[to[i]].user = l->user;
        net->read_by[to[i]] = l->read_by;
        if (!table_add(&net->label, b->mem, l->choice.label, to[i]))
            return fail_no_memory(b->err, "choices");
    }
    for (size_t i = 0; i < b->n_modules; i++) {
        struct module *m = b->module[i];

        for (size_t a = 0; a < m->n_args; a++)
            renumber(&m->arg[a], to);
        if (m->kind == STRUCT_LAYER_CHOICE || m->kind == STRUCT_INPUT_CHOICE)
            m->choice = to[m->choice];
        if (m->kind == STRUCT_REPEAT) renumber(&m->depth, to);
        if (m->kind == STRUCT_CELL) renumber_cell(m, to);
        if (m->kind == STRUCT_NASBENCH101) renumber_nasbench101(&m->nasbench101, to);
    }
    return space_size(b);
}
