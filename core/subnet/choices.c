/* choices: decisions as JSON, {"label": value, ...} in the order of the space. What follows from
 * other decisions is not written, as it cannot be set: what is written can be read. */
#include <string.h>

#include "base/json.h"
#include "subnet/subnet.h"

static sn_status write_decisions(const sn_supernet *net, const struct decision *decision,
                                 const sn_sink *sink, sn_error *err)
{
    struct text t = {0};
    bool        first = true;

    text_add(&t, "{", 1);
    for (size_t i = 0; i < net->n_choices; i++) {
        if (decision[i].state != DECISION_VALUE || net->choice[i].derived) continue;
        text_add(&t, ", ", first ? 0 : 2);
        first = false;
        text_json_string(&t, net->choice[i].label);
        text_add(&t, ": ", 2);
        text_json_value(&t, &decision[i].value);
    }
    text_add(&t, "}", 1);
    return text_flush(&t, sink, err);
}

SN_EXPORT sn_status sn_subnet_write_choices(const sn_subnet *subnet, const sn_sink *sink,
                                            sn_error *err)
{
    return write_decisions(subnet->net, subnet->decision, sink, err);
}

SN_EXPORT sn_status sn_draft_write_choices(const sn_draft *draft, const sn_sink *sink,
                                           sn_error *err)
{
    return write_decisions(draft->net, draft->decision, sink, err);
}

enum { MEMBER_WORK = 16 }; /* steps of looking up a label and its candidate */

static sn_status read_members(sn_draft *draft, const json_t *doc, sn_arena *tmp, sn_error *err)
{
    const char *label;
    json_t     *member;

    json_object_foreach((json_t *)doc, label, member)
    {
        sn_value  value;
        sn_status rc = budget_step(arena_budget(tmp), MEMBER_WORK, label, err);

        if (rc == SN_OK) rc = json_value(member, label, tmp, &value, err);

        if (rc == SN_OK) rc = draft_set(draft, label, &value, err);
        if (rc != SN_OK) return rc;
    }
    return SN_OK;
}

/* All of them or none: decisions are replaced, never changed, so the old ones are still there. */
SN_EXPORT sn_status sn_draft_read_choices(sn_draft *draft, const char *json, size_t n_bytes,
                                          sn_error *err)
{
    const size_t     n = draft->net->n_choices;
    struct budget    budget = draft_budget(draft);
    sn_arena        *tmp = sn_arena_create();
    struct decision *before = NULL;
    json_t          *doc = NULL;
    char             found[128];
    sn_status        rc;

    if (tmp && arena_limit(tmp, &budget)) before = arena_array(tmp, n + 1, sizeof *before);
    if (!before) {
        sn_arena_free(tmp);
        return budget_settle(&budget, fail_no_memory(err, "choices"), err);
    }
    memcpy(before, draft->decision, n * sizeof *before);
    rc = json_parse_within(&budget, json, n_bytes, "choices", &doc, err);
    if (rc == SN_OK && !json_is_object(doc))
        rc = sn_fail(err, SN_E_INVALID, "choices", "must be an object {label: value}, not %s",
                     json_describe(doc, found, sizeof found));
    if (rc == SN_OK) rc = read_members(draft, doc, tmp, err);
    if (rc != SN_OK) memcpy(draft->decision, before, n * sizeof *before);
    json_decref(doc);
    sn_arena_free(tmp);
    draft_tidy(draft);
    return budget_settle(&budget, rc, err);
}
