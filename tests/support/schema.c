#include "support/schema.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

static bool valid(const json_t *root, const json_t *schema, const json_t *v);

const json_t *schema_resolve(const json_t *root, const json_t *schema)
{
    const char   *ref = json_string_value(json_object_get(schema, "$ref"));
    const json_t *found;

    if (!ref) return schema;
    found = strncmp(ref, "#/$defs/", 8) == 0
                ? json_object_get(json_object_get(root, "$defs"), ref + 8)
                : NULL;
    if (!found) {
        fprintf(stderr, "the schema refers to %s, which is not there\n", ref);
        abort();
    }
    return found;
}

/* An integer is a number without fraction, however it is written. */
static bool has_type(const json_t *v, const char *type)
{
    const double d = json_number_value(v);

    if (strcmp(type, "integer") == 0)
        return json_is_integer(v) || (json_is_real(v) && d == (double)(long long)d);
    return (strcmp(type, "object") == 0 && json_is_object(v)) ||
           (strcmp(type, "array") == 0 && json_is_array(v)) ||
           (strcmp(type, "string") == 0 && json_is_string(v)) ||
           (strcmp(type, "number") == 0 && json_is_number(v)) ||
           (strcmp(type, "boolean") == 0 && json_is_boolean(v)) ||
           (strcmp(type, "null") == 0 && json_is_null(v));
}

/* ---- keywords: what is not about v's type is fulfilled ------------------------------------- */

struct place {
    const json_t *root, *schema; /* the keyword's own */
};

static bool check_ref(const struct place *p, const json_t *k, const json_t *v)
{
    (void)k;
    return valid(p->root, schema_resolve(p->root, p->schema), v);
}

static bool check_type(const struct place *p, const json_t *k, const json_t *v)
{
    (void)p;
    if (json_is_string(k)) return has_type(v, json_string_value(k));
    for (size_t i = 0; i < json_array_size(k); i++)
        if (has_type(v, json_string_value(json_array_get(k, i)))) return true;
    return false;
}

static bool check_enum(const struct place *p, const json_t *k, const json_t *v)
{
    (void)p;
    for (size_t i = 0; i < json_array_size(k); i++)
        if (json_equal(json_array_get(k, i), v)) return true;
    return false;
}

static bool check_const(const struct place *p, const json_t *k, const json_t *v)
{
    (void)p;
    return json_equal(k, v);
}

static bool check_all_of(const struct place *p, const json_t *k, const json_t *v)
{
    for (size_t i = 0; i < json_array_size(k); i++)
        if (!valid(p->root, json_array_get(k, i), v)) return false;
    return true;
}

static bool check_any_of(const struct place *p, const json_t *k, const json_t *v)
{
    for (size_t i = 0; i < json_array_size(k); i++)
        if (valid(p->root, json_array_get(k, i), v)) return true;
    return false;
}

static bool check_not(const struct place *p, const json_t *k, const json_t *v)
{
    return !valid(p->root, k, v);
}

static bool check_if(const struct place *p, const json_t *k, const json_t *v)
{
    const json_t *next = json_object_get(p->schema, valid(p->root, k, v) ? "then" : "else");

    return !next || valid(p->root, next, v);
}

static bool check_properties(const struct place *p, const json_t *k, const json_t *v)
{
    const char *name;
    json_t     *schema;

    json_object_foreach((json_t *)k, name, schema)
    {
        const json_t *member = json_object_get(v, name);

        if (member && !valid(p->root, schema, member)) return false;
    }
    return true;
}

static bool check_required(const struct place *p, const json_t *k, const json_t *v)
{
    (void)p;
    for (size_t i = 0; json_is_object(v) && i < json_array_size(k); i++)
        if (!json_object_get(v, json_string_value(json_array_get(k, i)))) return false;
    return true;
}

static bool check_additional(const struct place *p, const json_t *k, const json_t *v)
{
    const char *name;
    json_t     *member;

    if (!json_is_object(v)) return true;
    json_object_foreach((json_t *)v, name, member)
    {
        if (json_object_get(json_object_get(p->schema, "properties"), name)) continue;
        if (json_is_false(k) || !valid(p->root, k, member)) return false;
    }
    return true;
}

static bool check_names(const struct place *p, const json_t *k, const json_t *v)
{
    const char *name;
    json_t     *member;

    if (!json_is_object(v)) return true;
    json_object_foreach((json_t *)v, name, member)
    {
        json_t    *text = json_string(name);
        const bool ok = valid(p->root, k, text);

        json_decref(text);
        if (!ok) return false;
    }
    return true;
}

static bool check_items(const struct place *p, const json_t *k, const json_t *v)
{
    for (size_t i = 0; json_is_array(v) && i < json_array_size(v); i++)
        if (!valid(p->root, k, json_array_get(v, i))) return false;
    return true;
}

static bool check_pattern(const struct place *p, const json_t *k, const json_t *v)
{
    regex_t re;
    bool    ok;

    (void)p;
    if (!json_is_string(v)) return true;
    if (regcomp(&re, json_string_value(k), REG_EXTENDED | REG_NOSUB)) abort();
    ok = regexec(&re, json_string_value(v), 0, NULL, 0) == 0;
    regfree(&re);
    return ok;
}

#define LIMIT(name, applies, size, relation)                                                       \
    static bool check_##name(const struct place *p, const json_t *k, const json_t *v)              \
    {                                                                                              \
        (void)p;                                                                                   \
        return !applies(v) || (double)(size)relation json_number_value(k);                         \
    }
LIMIT(min_items, json_is_array, json_array_size(v), >=)
LIMIT(max_items, json_is_array, json_array_size(v), <=)
LIMIT(min_length, json_is_string, json_string_length(v), >=)
LIMIT(max_length, json_is_string, json_string_length(v), <=)
LIMIT(max_properties, json_is_object, json_object_size(v), <=)
LIMIT(minimum, json_is_number, json_number_value(v), >=)
LIMIT(maximum, json_is_number, json_number_value(v), <=)
#undef LIMIT

static bool check_nothing(const struct place *p, const json_t *k, const json_t *v)
{
    (void)p;
    (void)k;
    (void)v;
    return true;
}

static const struct {
    const char *keyword;
    bool (*check)(const struct place *p, const json_t *k, const json_t *v);
} checks[] = {
    {"$ref", check_ref},
    {"type", check_type},
    {"enum", check_enum},
    {"const", check_const},
    {"allOf", check_all_of},
    {"anyOf", check_any_of},
    {"not", check_not},
    {"if", check_if},
    {"then", check_nothing}, /* read by "if" */
    {"else", check_nothing},
    {"properties", check_properties},
    {"required", check_required},
    {"additionalProperties", check_additional},
    {"propertyNames", check_names},
    {"maxProperties", check_max_properties},
    {"items", check_items},
    {"minItems", check_min_items},
    {"maxItems", check_max_items},
    {"minLength", check_min_length},
    {"maxLength", check_max_length},
    {"pattern", check_pattern},
    {"minimum", check_minimum},
    {"maximum", check_maximum},
    {"$schema", check_nothing},
    {"$id", check_nothing},
    {"$defs", check_nothing},
    {"title", check_nothing},
    {"description", check_nothing},
    {"default", check_nothing},
};

static bool valid(const json_t *root, const json_t *schema, const json_t *v)
{
    const struct place p = {root, schema};
    const char        *keyword;
    json_t            *k;

    if (json_is_false(schema)) return false; /* and true lets everything pass */
    json_object_foreach((json_t *)schema, keyword, k)
    {
        size_t i = 0;

        while (i < COUNT(checks) && strcmp(checks[i].keyword, keyword) != 0)
            i++;
        if (i == COUNT(checks)) {
            fprintf(stderr, "the keyword \"%s\" is not implemented in %s\n", keyword, __FILE__);
            abort();
        }
        if (!checks[i].check(&p, k, v)) return false;
    }
    return true;
}

bool schema_valid(const json_t *schema, const json_t *value)
{
    return valid(schema, schema, value);
}
