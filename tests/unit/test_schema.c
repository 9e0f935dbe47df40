/* schema: api/supernet-1.schema.json says what the parser does. Its members are those of
 * the parser's own tables; what the library loads is valid; what the library refuses for
 * a member or its type is not. The examples of api/spec.md load as they are printed. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "document/build.h"
#include "registry/registry.h"
#include "support/schema.h"

static json_t      *schema;
static sn_registry *registry;

static int setup(void **state)
{
    json_error_t why;

    (void)state;
    schema = json_load_file("api/supernet-1.schema.json", JSON_REJECT_DUPLICATES, &why);
    if (!schema) fprintf(stderr, "api/supernet-1.schema.json:%d: %s\n", why.line, why.text);
    return !schema || sn_registry_create(&registry, NULL) != SN_OK;
}

static int teardown(void **state)
{
    (void)state;
    json_decref(schema);
    registry = sn_registry_unref(registry);
    return 0;
}

static const json_t *definition(const char *name)
{
    const json_t *d = json_object_get(json_object_get(schema, "$defs"), name);

    if (!d) fail_msg("the schema has no definition of %s", name);
    return d;
}

/* ---- the tables ------------------------------------------------------------------------------ */

static unsigned type_bits(const json_t *type)
{
    static const struct {
        const char *name;
        unsigned    bits;
    } row[] = {
        {"object", MEMBER_OBJECT},
        {"array", MEMBER_ARRAY},
        {"string", MEMBER_TEXT},
        {"integer", MEMBER_INT},
        {"number", MEMBER_INT | MEMBER_REAL},
        {"boolean", MEMBER_BOOL},
        {"null", MEMBER_NULL},
    };
    unsigned bits = 0;

    for (size_t i = 0; i < json_array_size(type); i++)
        bits |= type_bits(json_array_get(type, i));
    for (size_t i = 0; json_is_string(type) && i < COUNT(row); i++)
        if (strcmp(row[i].name, json_string_value(type)) == 0) bits |= row[i].bits;
    return bits;
}

/* What JSON a schema lets pass. */
static unsigned allowed_types(const json_t *s)
{
    const json_t *any = json_object_get(s, "anyOf"), *values = json_object_get(s, "enum");
    const json_t *value = json_object_get(s, "const");
    unsigned      bits = 0;

    if (json_object_get(s, "$ref")) return allowed_types(schema_resolve(schema, s));
    for (size_t i = 0; i < json_array_size(any); i++)
        bits |= allowed_types(json_array_get(any, i));
    for (size_t i = 0; i < json_array_size(values); i++)
        bits |= 1u << json_typeof(json_array_get(values, i));
    return bits | type_bits(json_object_get(s, "type")) | (value ? 1u << json_typeof(value) : 0);
}

static bool requires(const json_t *s, const char *name)
{
    const json_t *list = json_object_get(s, "required");

    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(json_string_value(json_array_get(list, i)), name) == 0) return true;
    return false;
}

/* The members of `s` are those of the tables, of the same types and as necessary. */
static void same_members(const char *what, const json_t *s, const struct member *const *tables,
                         size_t n_tables)
{
    const json_t *properties = json_object_get(s, "properties");
    size_t        n = 0;

    for (size_t t = 0; t < n_tables; t++)
        for (const struct member *m = tables[t]; m->name; m++, n++) {
            const json_t *p = json_object_get(properties, m->name);
            /* Of a node only, so that the schema cannot demand it of every module. */
            const bool wiring = tables[t] == build_node_members;

            if (!p) fail_msg("%s: the schema has no member %s", what, m->name);
            if (allowed_types(p) != m->types)
                fail_msg("%s.%s: types %#x in the schema, %#x in the parser", what, m->name,
                         allowed_types(p), m->types);
            if (requires(s, m->name) != (m->required && !wiring))
                fail_msg("%s.%s: required in one of schema and parser only", what, m->name);
        }
    if (json_object_size(properties) != n)
        fail_msg("%s: %zu members in the schema, %zu in the parser", what,
                 json_object_size(properties), n);
    assert_true(json_is_false(json_object_get(s, "additionalProperties")));
}

static void the_document_has_the_members_of_the_parser(void **state)
{
    const struct member *document[] = {build_document_members}, *input[] = {build_input_members};
    const struct member *expr[] = {build_expr_members};
    const json_t        *written = json_object_get(definition("expression"), "anyOf");

    (void)state;
    same_members("document", schema, document, 1);
    same_members("inputs[]", definition("input"), input, 1);
    same_members("expression", json_array_get(written, 1), expr, 1);
}

/* A Graph's own inputs say what those of a node would. */
static bool names_inputs(const struct structure *s)
{
    for (const struct member *m = s->member; m->name; m++)
        if (strcmp(m->name, "inputs") == 0) return true;
    return false;
}

static void containers_have_the_members_of_the_parser(void **state)
{
    (void)state;
    for (const struct container *c = registry->container; c->type; c++) {
        const struct structure *s = c->structure;
        const struct member    *tables[] = {build_module_members, s->member, build_node_members};

        same_members(c->type, definition(c->type), tables, names_inputs(s) ? 2 : 3);
    }
}

/* What the schema should say of an argument. */
static json_t *expected_argument(const sn_arg_def *def)
{
    json_t *any = json_array(), *scalars = json_array(), *expected = json_object();

    if (def->kinds & SN_KINDS(SN_KIND_NULL)) json_array_append_new(scalars, json_string("null"));
    if (def->kinds & (SN_KINDS(SN_KIND_BOOL) | SN_KINDS(SN_KIND_INT) | SN_KINDS(SN_KIND_FLOAT)))
        json_array_append_new(scalars, json_string("boolean"));
    if (def->kinds & SN_KINDS(SN_KIND_FLOAT))
        json_array_append_new(scalars, json_string("number"));
    else if (def->kinds & SN_KINDS(SN_KIND_INT))
        json_array_append_new(scalars, json_string("integer"));
    if (json_array_size(scalars) > 0)
        json_array_append_new(any, json_pack("{sO}", "type", scalars));
    if (def->kinds & SN_KINDS(SN_KIND_TUPLE))
        json_array_append_new(any, json_pack("{ss}", "$ref",
                                             def->kinds & SN_KINDS(SN_KIND_NULL)
                                                 ? "#/$defs/integersOrNull"
                                                 : "#/$defs/integers"));
    if (def->kinds & SN_KINDS(SN_KIND_TEXT)) {
        json_t     *words = json_array();
        const char *at = def->keywords;

        while (at && *at) {
            json_array_append_new(words, json_stringn(at, strcspn(at, "|")));
            at += strcspn(at, "|");
            at += *at == '|';
        }
        json_array_append_new(any, def->keywords ? json_pack("{sO}", "enum", words)
                                                 : json_pack("{ss}", "type", "string"));
        json_decref(words);
    }
    if (def->flags & SN_ARG_CHOICE)
        json_array_append_new(any, json_pack("{ss}", "$ref", "#/$defs/expression"));
    json_array_append_new(any, json_pack("{ss}", "$ref", "#/$defs/rule")); /* inside a Cell */
    json_object_set_new(expected, "anyOf", any);
    if (def->fallback)
        json_object_set_new(expected, "default", json_loads(def->fallback, JSON_DECODE_ANY, NULL));
    json_decref(scalars);
    return expected;
}

static void operators_have_the_arguments_of_their_tables(void **state)
{
    const sn_op *op;

    (void)state;
    for (size_t i = 0; (op = sn_registry_op_at(registry, i)); i++) {
        const json_t *s = definition(op->type);
        const json_t *properties = json_object_get(s, "properties");
        size_t        n = 3; /* type, name, inputs */

        for (const sn_arg_def *def = op->args; def && def->name; def++) {
            json_t *want, *got = json_object_get(properties, def->name);

            if (def->flags & SN_ARG_DERIVED) continue;
            n++;
            want = expected_argument(def);
            if (!got || !json_equal(got, want)) {
                char *text = json_dumps(want, 0);

                fail_msg("%s.%s must be %s", op->type, def->name, text);
            }
            if (requires(s, def->name) != !def->fallback)
                fail_msg("%s.%s: required in one of schema and table only", op->type, def->name);
            json_decref(want);
        }
        if (json_object_size(properties) != n)
            fail_msg("%s: the schema has arguments that the operator has not", op->type);
        assert_true(json_is_false(json_object_get(s, "additionalProperties")));
    }
}

static void every_type_is_known_to_the_schema(void **state)
{
    const json_t *module = definition("module");
    const json_t *types = json_object_get(json_object_get(module, "properties"), "type");
    const json_t *all = json_object_get(module, "allOf");
    size_t        n = 0;

    (void)state;
    types = json_object_get(types, "enum");
    for (const struct container *c = registry->container; c->type; c++, n++)
        assert_string_equal(json_string_value(json_array_get(types, n)), c->type);
    for (size_t i = 0; sn_registry_op_at(registry, i); i++, n++)
        assert_string_equal(json_string_value(json_array_get(types, n)),
                            sn_registry_op_at(registry, i)->type);
    assert_int_equal(json_array_size(types), n);
    assert_int_equal(json_array_size(all), n);
    for (size_t i = 0; i < n; i++) {
        const char *type = json_string_value(json_array_get(types, i));
        const char *when = NULL, *then = NULL;

        assert_int_equal(json_unpack(json_array_get(all, i), "{s{s{s{ss}}}s{ss}}", "if",
                                     "properties", "type", "const", &when, "then", "$ref", &then),
                         0);
        assert_string_equal(when, type);
        assert_string_equal(then + strlen("#/$defs/"), type);
    }
}

/* ---- documents ---------------------------------------------------------------------------------
 */

static char *read_file(const char *path, size_t *ret_n)
{
    struct text t = {0};
    char        part[4096];
    size_t      n;
    FILE       *f = fopen(path, "rb");

    if (!f) fail_msg("%s is missing", path);
    while ((n = fread(part, 1, sizeof part, f)) > 0)
        text_add(&t, part, n);
    fclose(f);
    assert_non_null(t.at);
    *ret_n = t.n;
    return t.at;
}

/* Loads the document without weights; *ret_valid is the schema's opinion, true for what
 * is no JSON. */
static sn_status load(const char *text, size_t n, bool *ret_valid, sn_error *err)
{
    sn_supernet *net = NULL;
    json_t      *doc = json_loadb(text, n, JSON_DECODE_ANY, NULL);
    sn_status    rc = sn_supernet_load(text, n, NULL, registry, &net, err);

    *ret_valid = !doc || schema_valid(schema, doc);
    json_decref(doc);
    sn_supernet_unref(net);
    return rc;
}

/* f(path of each entry of `folder`); there must be some. */
static void each_file(const char *folder, const char *file, void (*f)(const char *path))
{
    DIR           *dir = opendir(folder);
    struct dirent *entry;
    size_t         n = 0;
    char           path[512];

    if (!dir) fail_msg("%s is missing", folder);
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s%s", folder, entry->d_name, file);
        f(path);
        n++;
    }
    closedir(dir);
    assert_true(n > 0);
}

static void is_valid_if_it_loads(const char *path)
{
    sn_error err = {0};
    size_t   n;
    char    *text = read_file(path, &n);
    bool     is_valid;

    if (load(text, n, &is_valid, &err) == SN_OK && !is_valid)
        fail_msg("%s loads, but is not valid under the schema", path);
    free(text);
}

/* The sentences about members and their types, except for the names of an operator's
 * inputs, which are no members to the schema. */
static bool is_about_members(const sn_error *err)
{
    const size_t n = strlen(err->where);

    if (err->code != SN_E_INVALID) return false;
    if (n > 7 && strcmp(err->where + n - 7, ".inputs") == 0) return false;
    return strncmp(err->text, "expected ", 9) == 0 || strncmp(err->text, "member ", 7) == 0 ||
           strncmp(err->text, "there is no member ", 19) == 0;
}

static void is_invalid_if_the_members_are_wrong(const char *path)
{
    sn_error err = {0};
    size_t   n;
    char    *text = read_file(path, &n);
    bool     is_valid;

    assert_int_not_equal(load(text, n, &is_valid, &err), SN_OK);
    if (is_about_members(&err) && is_valid)
        fail_msg("%s is valid under the schema, but %s: %s", path, err.where, err.text);
    free(text);
}

static void what_loads_is_valid(void **state)
{
    (void)state;
    is_valid_if_it_loads("deploy/demo/spec.json");
    each_file("tests/fuzz/corpus/fuzz_spec", "", is_valid_if_it_loads);
}

static void what_is_refused_for_its_members_is_invalid(void **state)
{
    (void)state;
    each_file("tests/errors", "/spec.json", is_invalid_if_the_members_are_wrong);
}

/* Every block of JSON in api/spec.md that is a whole document. */
static void examples_of_the_documentation_load(void **state)
{
    size_t n, n_examples = 0;
    char  *text = read_file("api/spec.md", &n), *at = text;

    (void)state;
    while ((at = strstr(at, "```json\n"))) {
        char    *end = strstr(at += 8, "```");
        sn_error err = {0};
        bool     is_valid;

        assert_non_null(end);
        if (strncmp(at, "{\n  \"format\"", 12) == 0) {
            if (load(at, (size_t)(end - at), &is_valid, &err) != SN_OK)
                fail_msg("%.60s...: %s: %s", at, err.where, err.text);
            assert_true(is_valid);
            n_examples++;
        }
        at = end + 3;
    }
    assert_true(n_examples >= 3);
    free(text);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_document_has_the_members_of_the_parser),
        cmocka_unit_test(containers_have_the_members_of_the_parser),
        cmocka_unit_test(operators_have_the_arguments_of_their_tables),
        cmocka_unit_test(every_type_is_known_to_the_schema),
        cmocka_unit_test(what_loads_is_valid),
        cmocka_unit_test(what_is_refused_for_its_members_is_invalid),
        cmocka_unit_test(examples_of_the_documentation_load),
    };

    return cmocka_run_group_tests_name("schema", tests, setup, teardown);
}
