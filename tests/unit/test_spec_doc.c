/* spec_doc: the page about specifications tells the truth: its table of operators is what
 * is registered, and its first example can be loaded and run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "supernet/op.h"
#include "support/net.h"

static char page[1 << 17];

static int read_page(void **state)
{
    FILE *f = fopen("api/spec.md", "rb");

    (void)state;
    if (!f) return 1;
    page[fread(page, 1, sizeof page - 1, f)] = 0;
    return fclose(f);
}

/* "| `Linear` | **in_features**, **out_features**, bias = true | weight, bias |" */
static void write_row(const sn_op *op, struct text *row)
{
    int n = 0;

    text_printf(row, "| `%s` | ", op->type);
    for (const sn_arg_def *d = op->args; d && d->name; d++) {
        const char *mark = d->flags & SN_ARG_CHOICE ? "**" : "";

        if (d->flags & SN_ARG_DERIVED) continue;
        text_printf(row, "%s%s%s%s", n++ ? ", " : "", mark, d->name, mark);
        if (d->fallback) text_printf(row, " = %s", d->fallback);
    }
    text_printf(row, "%s | ", n ? "" : "none");
    n = 0;
    for (const sn_param_def *p = op->params; p && p->name; p++)
        text_printf(row, "%s%s", n++ ? ", " : "", p->name);
    text_printf(row, "%s |\n", n ? "" : "none");
}

static void every_operator_has_its_row(void **state)
{
    sn_registry *reg;
    const sn_op *op;

    (void)state;
    assert_int_equal(sn_registry_create(&reg, NULL), SN_OK);
    for (size_t i = 0; (op = sn_registry_op_at(reg, i)); i++) {
        struct text row = {0};

        write_row(op, &row);
        if (!strstr(page, row.at)) fail_msg("api/spec.md lacks the row\n%s", row.at);
        free(row.at);
    }
    sn_registry_unref(reg);
}

static void the_first_example_loads(void **state)
{
    static const struct net_tensor tensors[] = {
        {"in.weight", 2, {24, 4}},
        {"in.bias", 1, {24}},
        {"body.blocks.0.fc.weight", 2, {24, 24}},
        {"body.blocks.0.fc.bias", 1, {24}},
        {"body.blocks.1.fc.weight", 2, {24, 24}},
        {"body.blocks.1.fc.bias", 1, {24}},
        {"out.weight", 2, {2, 24}},
        {"out.bias", 1, {2}},
        {NULL, 0, {0}},
    };
    const char  *start = strstr(page, "```json\n") + strlen("```json\n");
    char        *spec = strndup(start, (size_t)(strstr(start, "```") - start));
    void        *bytes;
    sn_supernet *net = net_load(spec, tensors, &bytes);
    sn_subnet   *subnet = net_choose(net, "width=8 depth=1");

    (void)state;
    assert_string_equal(sn_supernet_space_size(net), "6");
    sn_subnet_unref(subnet);
    sn_supernet_unref(net);
    free(bytes);
    free(spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operator_has_its_row),
        cmocka_unit_test(the_first_example_loads),
    };

    return cmocka_run_group_tests_name("spec_doc", tests, read_page, NULL);
}
