/* expr_lines: evaluates expressions that come as lines on the standard input, for
 * expr_property.py.
 *
 * In:  expression TAB {"label": [candidates]} TAB {"label": value}
 * Out: value TAB (options, ...)      as Python prints them, each may be `error: why` */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supernet/expr.h"
#include "supernet/supernet.h"

enum { MAX_LABELS = 32, MAX_TEXT_BYTES = 1 << 21 };

static sn_value to_value(json_t *json, sn_arena *mem)
{
    sn_value  v = {.kind = SN_KIND_NULL}, *item;
    sn_value *none = NULL;
    size_t    n;

    switch (json_typeof(json)) {
    case JSON_INTEGER:
        return (sn_value){.kind = SN_KIND_INT, .as.integer = json_integer_value(json)};
    case JSON_REAL:
        return (sn_value){.kind = SN_KIND_FLOAT, .as.real = json_real_value(json)};
    case JSON_TRUE:
    case JSON_FALSE:
        return (sn_value){.kind = SN_KIND_BOOL, .as.boolean = json_is_true(json)};
    case JSON_STRING:
        return (sn_value){.kind = SN_KIND_TEXT, .as.text = json_string_value(json)};
    case JSON_ARRAY:
        n = json_array_size(json);
        item = n > 0 ? sn_arena_alloc(mem, n * sizeof *item) : none;
        for (size_t i = 0; i < n; i++)
            item[i] = to_value(json_array_get(json, i), mem);
        return (sn_value){.kind = SN_KIND_TUPLE, .as.tuple = {item, n}};
    default:
        return v;
    }
}

static void print_value(const sn_value *v, const sn_error *err, char *buf)
{
    if (err->code == SN_OK)
        fputs(sn_value_text(v, buf, MAX_TEXT_BYTES), stdout);
    else
        printf("error: %s", err->text);
}

static void answer(const char *text, json_t *candidates, json_t *assignment, char *buf)
{
    sn_arena   *mem = sn_arena_create();
    sn_choice   choice[MAX_LABELS];
    const char *label[MAX_LABELS], *key;
    sn_value    value[MAX_LABELS], result, *item;
    sn_option  *option;
    sn_error    err = {0};
    sn_expr    *expr = NULL;
    size_t      n_choices = 0, n = 0, n_options = 0;
    json_t     *json;

    json_object_foreach(candidates, key, json)
    {
        const sn_value all = to_value(json, mem);

        choice[n_choices++] = (sn_choice){.label = key,
                                          .candidate = all.as.tuple.item,
                                          .n_candidates = all.as.tuple.n,
                                          .n_chosen = 1};
    }
    json_object_foreach(assignment, key, json)
    {
        label[n] = key;
        value[n++] = to_value(json, mem);
    }
    if (sn_expr_parse(text, choice, n_choices, "line", &expr, &err) == SN_OK)
        sn_expr_evaluate(expr, label, value, n, mem, &result, &err);
    print_value(&result, &err, buf);
    putchar('\t');
    if (expr) {
        err = (sn_error){0};
        if (sn_expr_options(expr, NULL, NULL, NULL, 0, mem, &option, &n_options, &err) == SN_OK) {
            item = sn_arena_alloc(mem, (n_options + 1) * sizeof *item);
            for (size_t i = 0; i < n_options; i++)
                item[i] = option[i].value;
            result = (sn_value){.kind = SN_KIND_TUPLE, .as.tuple = {item, n_options}};
        }
    }
    print_value(&result, &err, buf);
    putchar('\n');
    sn_expr_free(expr);
    sn_arena_free(mem);
}

int main(void)
{
    char  *line = NULL, *buf = malloc(MAX_TEXT_BYTES);
    size_t cap = 0;

    while (buf && getline(&line, &cap, stdin) > 0) {
        const char *text = strtok(line, "\t\n"), *second = strtok(NULL, "\t\n");
        const char *third = strtok(NULL, "\t\n");
        json_t     *candidates = second ? json_loads(second, 0, NULL) : NULL;
        json_t     *assignment = third ? json_loads(third, 0, NULL) : NULL;

        if (!json_is_object(candidates) || !json_is_object(assignment) ||
            json_object_size(candidates) > MAX_LABELS ||
            json_object_size(assignment) > MAX_LABELS) {
            fprintf(stderr, "expr_lines: a line is not: expression TAB choices TAB assignment\n");
            return 1;
        }
        answer(text, candidates, assignment, buf);
        json_decref(candidates);
        json_decref(assignment);
    }
    free(line);
    free(buf);
    return 0;
}
