/* Documents, decisions, policies and headers that are small and ask for much: each is taken or
 * refused within 64 MiB and 2^26 steps, which is less than a second.
 *
 * Memory is what was allocated at one time, that of the JSON parser included. Steps are counted by
 * how often the stop hook is asked. */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "base/budget.h"
#include "base/json.h"
#include "supernet/host.h"
#include "supernet/train.h"
#include "support/alloc.h"

enum { MOST_BYTES = 64 << 20, MOST_ASKS = (1 << 26) / BUDGET_ASK_STEPS };

/* A stop hook that counts, and says stop at the `until`-th question; 0: never. */
struct asked {
    size_t n, until;
};

static bool ask(void *cls)
{
    struct asked *a = cls;

    return ++a->n == a->until;
}

/* ---- documents --------------------------------------------------------------------------- */

static void head(struct text *t, const char *shape)
{
    text_printf(t,
                "{\"format\":\"supernet/1\",\"name\":\"worst\",\"inputs\":[{\"name\":\"x\","
                "\"shape\":[\"N\",%s]}]",
                shape);
}

/* "choices": n labels <letter>0, <letter>1, ... of the candidates `from` to `to`. */
static void choices(struct text *t, char letter, int n, int from, int to)
{
    text_printf(t, ",\"choices\":{");
    for (int i = 0; i < n; i++) {
        text_printf(t, "%s\"%c%d\":[", i ? "," : "", letter, i);
        for (int k = from; k <= to; k++)
            text_printf(t, "%s%d", k > from ? "," : "", k);
        text_printf(t, "]");
    }
    text_printf(t, "}");
}

static void times(struct text *t, int n, const char *piece)
{
    for (int i = 0; i < n; i++)
        text_printf(t, "%s", piece);
}

/* n Linears in a row whose in_features is one expression; its text follows. */
static void linears(struct text *t, int n)
{
    text_printf(t,
                ",\"model\":{\"type\":\"Repeat\",\"depth\":%d,\"block\":{\"type\":\"Linear\","
                "\"out_features\":4,\"in_features\":\"",
                n);
}

static void text_tokens(struct text *t)
{
    head(t, "4");
    choices(t, 'a', 1, 4, 4);
    linears(t, 1000);
    text_printf(t, "cond(");
    times(t, 990, "'a' ");
    text_printf(t, "== 'b', 4, 4)\"}}}");
}

static void sum_of(struct text *t, char letter, int n)
{
    for (int i = 0; i < n; i++)
        text_printf(t, "%s%c%d", i ? " + " : "", letter, i);
}

static void nan_options(struct text *t)
{
    head(t, "4,2,2");
    choices(t, 'a', 20, 1, 2);
    text_printf(t, ",\"model\":{\"type\":\"BatchNorm2d\",\"num_features\":4,\"eps\":\""
                   "to_float('nan') * (");
    sum_of(t, 'a', 20);
    text_printf(t, ")\"}}");
}

/* Their hashes were equal when hashes had no key. */
static void colliding_values(struct text *t)
{
    head(t, "4");
    choices(t, 'a', 2, 0, 1023);
    linears(t, 1);
    text_printf(t, "a0 * 9007199254740992 + a1 * 8796093022208 + 1\"}}}");
}

static void conv(struct text *t, const char *kernel)
{
    head(t, "4,8,8");
    choices(t, 'a', 2, 0, 1023);
    text_printf(t,
                ",\"model\":{\"type\":\"Conv2d\",\"in_channels\":4,\"out_channels\":4,"
                "\"kernel_size\":\"%s\"}}",
                kernel);
}

static void repeated_tuples(struct text *t)
{
    conv(t, "(a0, a1) * 4000");
}

static void repeated_texts(struct text *t)
{
    conv(t, "'x' * (a0 + 16 * a1)");
}

static void long_numbers(struct text *t)
{
    conv(t, "to_int('1' * 18 + ' ' * 16000) + a0 + a1");
}

static void maxima_of_tuples(struct text *t)
{
    conv(t, "max((1, a0) * 4000) + a1");
}

static void a_million_options(struct text *t)
{
    conv(t, "a0 + 1024 * a1");
}

static void long_sums_of_two_labels(struct text *t)
{
    head(t, "4");
    choices(t, 'a', 2, 0, 1023);
    linears(t, 1);
    times(t, 500, "a0+a1+");
    text_printf(t, "1\"}}}");
}

/* Products that share their factors. */
static void products(struct text *t)
{
    head(t, "4");
    choices(t, 'a', 1, 4, 4);
    linears(t, 5000);
    times(t, 600, "a0*a0*");
    text_printf(t, "0+4\"}}}");
}

static void a_table_beside_every_argument(struct text *t)
{
    head(t, "4");
    choices(t, 'a', 9000, 1, 2);
    text_printf(t, ",\"model\":{\"type\":\"Sequential\",\"layers\":[");
    for (int i = 0; i < 4000; i++)
        text_printf(t,
                    "%s{\"type\":\"Linear\",\"out_features\":4,\"in_features\":{\"expr\":\"z\","
                    "\"choices\":{\"z\":[4]}}}",
                    i ? "," : "");
    text_printf(t, "]}}");
}

static void many_labels_in_every_argument(struct text *t)
{
    head(t, "4");
    choices(t, 'a', 9000, 1, 1);
    linears(t, 400);
    sum_of(t, 'a', 480);
    text_printf(t, "\"}}}");
}

static void repeats_in_each_other(struct text *t)
{
    head(t, "4");
    text_printf(t, ",\"model\":");
    times(t, 5, "{\"type\":\"Repeat\",\"depth\":100,\"block\":");
    text_printf(t, "{\"type\":\"ReLU\"}}}}}}}");
}

static void cells_in_each_other(struct text *t)
{
    head(t, "4");
    text_printf(t, ",\"model\":");
    for (int i = 0; i < 8; i++)
        text_printf(t,
                    "{\"type\":\"Cell\",\"num_nodes\":4,\"num_ops_per_node\":4,\"label\":\"c%d\","
                    "\"candidates\":[",
                    i);
    text_printf(t, "{\"type\":\"ReLU\"}");
    times(t, 8, "]}");
    text_printf(t, "}");
}

static void a_cell_of_many_edges(struct text *t)
{
    head(t, "4");
    text_printf(t, ",\"model\":{\"type\":\"Cell\",\"num_nodes\":63,\"num_ops_per_node\":64,"
                   "\"factory\":true,\"label\":\"c\",\"candidates\":[{\"type\":\"ReLU\"}");
    times(t, 62, ",{\"type\":\"ReLU\"}");
    text_printf(t, "]}}");
}

static void nasbench_cells_in_each_other(struct text *t)
{
    head(t, "4");
    text_printf(t, ",\"model\":");
    for (int i = 0; i < 6; i++)
        text_printf(t,
                    "{\"type\":\"NasBench101Cell\",\"projection\":{\"type\":\"Linear\","
                    "\"in_features\":\"in_features\",\"out_features\":\"out_features\"},"
                    "\"in_features\":4,\"out_features\":100,\"max_num_nodes\":60,\"label\":\"n%d\","
                    "\"candidates\":[",
                    i);
    text_printf(t, "{\"type\":\"Linear\",\"in_features\":\"num_features\",\"out_features\":"
                   "\"num_features\"}");
    times(t, 6, "]}");
    text_printf(t, "}");
}

/* 340 words of a template, each of which stands for 4000 characters. */
static void growing_templates(struct text *t)
{
    head(t, "4");
    text_printf(t, ",\"model\":{\"type\":\"NasBench201Cell\",\"num_tensors\":60,\"label\":\"t\","
                   "\"out_features\":4,\"in_features\":\"4");
    times(t, 2000, "+4");
    text_printf(t, "\",\"candidates\":[");
    for (int i = 0; i < 100; i++) {
        text_printf(t, "%s{\"type\":\"Linear\",\"out_features\":4,\"in_features\":\"4",
                    i ? "," : "");
        times(t, 340, "+in_features");
        text_printf(t, "\"}");
    }
    text_printf(t, "]}}");
}

static void a_graph_in_reverse(struct text *t)
{
    head(t, "4");
    text_printf(t, ",\"model\":{\"type\":\"Graph\",\"inputs\":[\"x\"],\"outputs\":[\"n0\"],"
                   "\"nodes\":[");
    for (int i = 0; i < 20000; i++)
        text_printf(t, "{\"name\":\"n%d\",\"type\":\"ReLU\",\"inputs\":[\"n%d\"]},", i, i + 1);
    text_printf(t, "{\"name\":\"n20000\",\"type\":\"ReLU\",\"inputs\":[\"x\"]}]}}");
}

static void many_candidates_repeated(struct text *t)
{
    head(t, "4");
    text_printf(t, ",\"model\":{\"type\":\"Repeat\",\"depth\":2000,\"block\":{\"type\":"
                   "\"LayerChoice\",\"label\":\"l\",\"candidates\":[{\"type\":\"Identity\"}");
    times(t, 4095, ",{\"type\":\"Identity\"}");
    text_printf(t, "]}}}");
}

static void deep_names(struct text *t)
{
    char name[39];

    memset(name, 'q', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    head(t, "4");
    text_printf(t, ",\"model\":{\"type\":\"Repeat\",\"depth\":1000,\"block\":{\"type\":"
                   "\"Sequential\",\"layers\":[");
    for (int i = 0; i < 40; i++)
        text_printf(t, "{\"type\":\"Sequential\",\"name\":\"%s\",\"layers\":[", name);
    text_printf(t, "{\"type\":\"Linear\",\"in_features\":4,\"out_features\":4}");
    times(t, 40, "]}");
    text_printf(t, "]}}}");
}

static void empty_arrays(struct text *t)
{
    text_printf(t, "{\"choices\":{\"a\":[[]");
    times(t, 600000, ",[]");
    text_printf(t, "]}}");
}

static void empty_objects(struct text *t)
{
    text_printf(t, "{\"choices\":{\"a\":[{}");
    times(t, 600000, ",{}");
    text_printf(t, "]}}");
}

static void one_number_of_many_digits(struct text *t)
{
    text_printf(t, "{\"choices\":{\"a\":[");
    times(t, 500000, "12345678");
    text_printf(t, "]}}");
}

static void an_unknown_name_among_many(struct text *t)
{
    head(t, "4");
    choices(t, 'a', 9999, 1, 1);
    linears(t, 1);
    text_printf(t, "a12x\"}}}");
}

static const struct row {
    const char *name;
    void (*write)(struct text *t);
} rows[] = {
#define ROW(f)                                                                                     \
    {                                                                                              \
#f, f                                                                                      \
    }
    ROW(text_tokens),
    ROW(nan_options),
    ROW(colliding_values),
    ROW(repeated_tuples),
    ROW(repeated_texts),
    ROW(long_numbers),
    ROW(maxima_of_tuples),
    ROW(a_million_options),
    ROW(long_sums_of_two_labels),
    ROW(products),
    ROW(a_table_beside_every_argument),
    ROW(many_labels_in_every_argument),
    ROW(repeats_in_each_other),
    ROW(cells_in_each_other),
    ROW(a_cell_of_many_edges),
    ROW(nasbench_cells_in_each_other),
    ROW(growing_templates),
    ROW(a_graph_in_reverse),
    ROW(many_candidates_repeated),
    ROW(deep_names),
    ROW(empty_arrays),
    ROW(empty_objects),
    ROW(one_number_of_many_digits),
    ROW(an_unknown_name_among_many),
};

static sn_status load(const struct text *t, struct asked *a, sn_supernet **ret_net, sn_error *err)
{
    const sn_load_options o = {.size = sizeof o, .stop = ask, .stop_cls = a};
    sn_registry          *reg = NULL;
    sn_status             rc;

    assert_int_equal(sn_registry_create(&reg, NULL), SN_OK);
    rc = sn_supernet_load_with(t->at, t->n, NULL, reg, &o, ret_net, err);
    sn_registry_unref(reg);
    return rc;
}

static void a_small_document_takes_little(void **state)
{
    const struct row *row = *state;
    struct asked      a = {0};
    struct text       t = {0};
    sn_supernet      *net = NULL;
    sn_error          err = {0};
    sn_status         rc;

    row->write(&t);
    assert_false(t.failed);
    alloc_peak_reset();
    rc = load(&t, &a, &net, &err);
    assert_true(alloc_peak_bytes() < MOST_BYTES);
    assert_true(a.n <= MOST_ASKS);
    assert_true(rc == SN_OK || err.text[0]);
    assert_int_not_equal(rc, SN_E_NO_MEMORY);
    if (rc == SN_OK) assert_true(sn_supernet_bytes(net) < MOST_BYTES);
    sn_supernet_unref(net);
    free(t.at);
}

static void a_load_stops_wherever_it_is_asked_to(void **state)
{
    struct text t = {0};

    (void)state;
    text_tokens(&t);
    for (size_t until = 1; until < 1000; until *= 3) {
        struct asked a = {.until = until};
        sn_supernet *net = NULL;
        sn_error     err = {0};
        sn_status    rc = load(&t, &a, &net, &err);

        sn_supernet_unref(net);
        if (rc == SN_OK) break;
        assert_int_equal(rc, SN_E_STOPPED);
        assert_int_equal(err.code, SN_E_STOPPED);
        assert_int_equal(a.n, until); /* and is not asked again */
    }
    free(t.at);
}

static void the_tree_of_a_document_is_estimated_from_above(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct text t = {0};
        json_t     *doc = NULL;

        rows[i].write(&t);
        alloc_peak_reset();
        if (json_parse(t.at, t.n, "", &doc, NULL) == SN_OK)
            assert_true(alloc_peak_bytes() <= json_tree_bytes(t.at, t.n));
        json_decref(doc);
        free(t.at);
    }
}

/* ---- decisions ------------------------------------------------------------------------------ */

static sn_supernet *load_text(const char *text)
{
    struct text  t = {.at = (char *)text, .n = strlen(text)};
    struct asked a = {0};
    sn_supernet *net = NULL;
    sn_error     err = {0};

    if (load(&t, &a, &net, &err) != SN_OK) fail_msg("%s: %s", err.where, err.text);
    return net;
}

/* A list may name a candidate 64 times, and so may the lists inside: 64^5 modules. */
static void lists_in_each_other_are_expanded_within_limits(void **state)
{
    struct text  t = {0};
    sn_value     name = {.kind = SN_KIND_TEXT, .as.text = "0"}, item[64];
    sn_value     list = {.kind = SN_KIND_TUPLE, .as.tuple = {item, 64}};
    sn_supernet *net;
    sn_draft    *draft = NULL;
    sn_subnet   *subnet = NULL;
    sn_error     err = {0};
    struct asked a = {0};

    (void)state;
    for (int i = 0; i < 64; i++)
        item[i] = name;
    head(&t, "4");
    text_printf(&t, ",\"model\":");
    for (int i = 0; i < 5; i++)
        text_printf(&t, "{\"type\":\"LayerChoice\",\"label\":\"l%d\",\"candidates\":[", i);
    text_printf(&t, "{\"type\":\"ReLU\"}]}]}]}]}]}}");
    net = load_text(t.at);
    assert_int_equal(sn_draft_create(net, &draft, NULL), SN_OK);
    for (int i = 0; i < 5; i++) {
        const char label[] = {'l', (char)('0' + i), '\0'};

        assert_int_equal(sn_draft_set(draft, label, &list, &err), SN_OK);
    }
    sn_draft_limits(draft, &(sn_limits){.size = sizeof(sn_limits), .stop = ask, .stop_cls = &a});
    alloc_peak_reset();
    assert_int_equal(sn_draft_seal(draft, &subnet, &err), SN_E_LIMIT);
    assert_true(alloc_peak_bytes() < MOST_BYTES + (1 << 20));
    assert_true(a.n > 0 && a.n <= MOST_ASKS);
    sn_draft_free(draft);
    sn_supernet_unref(net);
    free(t.at);
}

static void a_value_is_kept_in_the_kind_of_its_candidate(void **state)
{
    static const char text[] =
        "{\"format\":\"supernet/1\",\"name\":\"k\",\"compatibility\":\"nni-2.8\",\"inputs\":"
        "[{\"name\":\"x\",\"shape\":[\"N\",4]}],\"choices\":{\"h\":[4,8]},\"model\":"
        "{\"type\":\"Linear\",\"in_features\":\"h\",\"out_features\":\"2 * h\"}}";
    const sn_value four = {.kind = SN_KIND_FLOAT, .as.real = 4.0};
    sn_supernet   *net = load_text(text);
    sn_draft      *draft = NULL;
    sn_subnet     *subnet = NULL;

    (void)state;
    assert_int_equal(sn_draft_create(net, &draft, NULL), SN_OK);
    assert_int_equal(sn_draft_set(draft, "h", &four, NULL), SN_OK);
    assert_int_equal(sn_draft_get(draft, 0)->kind, SN_KIND_INT);
    assert_int_equal(sn_draft_seal(draft, &subnet, NULL), SN_OK);
    assert_int_equal(sn_subnet_value(subnet, 0)->kind, SN_KIND_INT);
    sn_subnet_unref(subnet);
    sn_draft_free(draft);
    sn_supernet_unref(net);
}

/* 2.0, where the value that was checked is 2. */
static void an_argument_gets_the_value_that_was_checked(void **state)
{
    static const char text[] =
        "{\"format\":\"supernet/1\",\"name\":\"k\",\"inputs\":[{\"name\":\"x\",\"shape\":[\"N\",4]"
        "}],\"choices\":{\"a\":[1,2]},\"model\":{\"type\":\"Repeat\",\"depth\":"
        "\"cond(a == 1, 2, 2.0)\",\"block\":{\"type\":\"ReLU\"}}}";
    const sn_value two = {.kind = SN_KIND_INT, .as.integer = 2};
    sn_supernet   *net = load_text(text);
    sn_draft      *draft = NULL;
    sn_subnet     *subnet = NULL;

    (void)state;
    assert_int_equal(sn_draft_create(net, &draft, NULL), SN_OK);
    assert_int_equal(sn_draft_set(draft, "a", &two, NULL), SN_OK);
    assert_int_equal(sn_draft_seal(draft, &subnet, NULL), SN_OK);
    sn_subnet_unref(subnet);
    sn_draft_free(draft);
    sn_supernet_unref(net);
}

static void a_label_that_an_expression_reads_takes_one(void **state)
{
    static const char *const compatibility[] = {"", "\"compatibility\":\"nni-2.8\","};
    const sn_value           item[2] = {{.kind = SN_KIND_TEXT, .as.text = "0"},
                                        {.kind = SN_KIND_TEXT, .as.text = "1"}};
    const sn_value           both = {.kind = SN_KIND_TUPLE, .as.tuple = {item, 2}};
    const sn_value           list_of_one = {.kind = SN_KIND_TUPLE, .as.tuple = {item, 1}};

    (void)state;
    for (size_t i = 0; i < COUNT(compatibility); i++) {
        struct text  t = {0};
        sn_supernet *net;
        sn_draft    *draft = NULL;
        sn_subnet   *subnet = NULL;
        sn_error     err = {0};

        text_printf(&t,
                    "{\"format\":\"supernet/1\",\"name\":\"k\",%s\"inputs\":[{\"name\":\"x\","
                    "\"shape\":[\"N\",4]}],\"choices\":{\"op\":[\"0\",\"1\"]},\"model\":{\"type\":"
                    "\"Sequential\",\"layers\":[{\"type\":\"LayerChoice\",\"label\":\"op\","
                    "\"candidates\":[{\"type\":\"ReLU\"},{\"type\":\"Identity\"}]},{\"type\":"
                    "\"Repeat\",\"depth\":\"cond(op == '0', 1, 2)\",\"block\":{\"type\":\"ReLU\"}"
                    "}]}}",
                    compatibility[i]);
        net = load_text(t.at);
        assert_int_equal(sn_draft_create(net, &draft, NULL), SN_OK);
        assert_int_equal(sn_draft_set(draft, "op", &both, &err), SN_E_NOT_CANDIDATE);
        assert_non_null(strstr(err.text, "model.layers[1].depth"));
        assert_int_equal(sn_draft_set(draft, "op", &list_of_one, NULL), SN_OK);
        assert_int_equal(sn_draft_get(draft, 0)->kind, SN_KIND_TEXT);
        assert_int_equal(sn_draft_seal(draft, &subnet, NULL), SN_OK);
        sn_subnet_unref(subnet);
        sn_draft_free(draft);
        sn_supernet_unref(net);
        free(t.at);
    }
}

/* ---- policies ---------------------------------------------------------------------------------
 */

static sn_supernet *load_wide(void)
{
    struct text  t = {0};
    sn_supernet *net;

    head(&t, "4");
    choices(&t, 'a', 40, 1, 10);
    text_printf(&t, ",\"model\":{\"type\":\"Sequential\",\"layers\":[");
    for (int i = 0; i < 40; i++)
        text_printf(&t, "%s{\"type\":\"Linear\",\"in_features\":\"a%d\",\"out_features\":4}",
                    i ? "," : "", i);
    text_printf(&t, "]}}");
    net = load_text(t.at);
    free(t.at);
    return net;
}

static void a_large_controller_is_refused_before_it_is_there(void **state)
{
    const sn_limits limits = {.size = sizeof limits, .memory_limit_bytes = 8 << 20};
    sn_supernet    *net = load_wide();
    sn_policy      *p = NULL;
    sn_error        err = {0};

    (void)state;
    alloc_peak_reset();
    assert_int_equal(sn_policy_create_with(net, "enas",
                                           "{\"lstm_size\": 512, \"lstm_num_layers\": 4}", &limits,
                                           &p, &err),
                     SN_E_LIMIT);
    assert_true(alloc_peak_bytes() < 8 << 20);
    assert_non_null(strstr(err.text, "8388608 bytes"));
    sn_supernet_unref(net);
}

static int count_bytes(void *cls, const void *bytes, size_t n_bytes)
{
    (void)bytes;
    *(size_t *)cls += n_bytes;
    return 0;
}

static void what_a_policy_holds_is_counted(void **state)
{
    static const char *const names[] = {"path", "differentiable", "gumbel", "proxyless", "enas"};
    sn_supernet             *net = load_wide();

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        sn_policy *p = NULL;
        sn_draft  *draft = NULL;
        sn_rng     rng;
        size_t     n = 0, held;

        alloc_peak_reset();
        assert_int_equal(sn_policy_create(net, names[i], NULL, &p, NULL), SN_OK);
        held = sn_policy_bytes(p);
        assert_true(held <= alloc_peak_bytes());
        assert_true(alloc_peak_bytes() <= held + 4096); /* the allocator's rounding, and no more */
        sn_rng_seed(&rng, 1);
        assert_int_equal(sn_draft_create(net, &draft, NULL), SN_OK);
        assert_int_equal(sn_policy_resample(p, &rng, draft, NULL), SN_OK);
        if (i > 0) {
            alloc_peak_reset();
            assert_int_equal(sn_policy_save(p, &(sn_sink){count_bytes, &n}, NULL), SN_OK);
            assert_true(n > 1000);
            assert_true(alloc_peak_bytes() < 256 << 10); /* in pieces, whatever its size */
        }
        sn_draft_free(draft);
        sn_policy_free(p);
    }
    sn_supernet_unref(net);
}

static int keep_bytes(void *cls, const void *bytes, size_t n_bytes)
{
    text_add(cls, bytes, n_bytes);
    return 0;
}

static void a_policy_that_is_stopped_is_as_it_was(void **state)
{
    sn_supernet *net = load_wide();
    struct asked a = {0};
    sn_limits    limits = {.size = sizeof limits, .stop = ask, .stop_cls = &a};
    struct text  before = {0}, after = {0};
    sn_policy   *p = NULL;
    sn_draft    *draft = NULL;
    sn_rng       rng;
    sn_error     err = {0};

    (void)state;
    sn_rng_seed(&rng, 1);
    assert_int_equal(sn_policy_create(net, "enas", NULL, &p, NULL), SN_OK);
    assert_int_equal(sn_draft_create(net, &draft, NULL), SN_OK);
    assert_int_equal(sn_policy_resample(p, &rng, draft, NULL), SN_OK);
    assert_int_equal(sn_policy_save(p, &(sn_sink){keep_bytes, &before}, NULL), SN_OK);
    a.until = 20;
    sn_policy_limits(p, &limits);
    assert_int_equal(sn_policy_update(p, "{\"reward\": 1}", &err), SN_E_STOPPED);
    assert_int_equal(err.code, SN_E_STOPPED);
    a.until = 2;
    a.n = 0;
    assert_int_equal(sn_policy_load(p, before.at, NULL), SN_E_STOPPED);
    sn_policy_limits(p, NULL);
    assert_int_equal(sn_policy_save(p, &(sn_sink){keep_bytes, &after}, NULL), SN_OK);
    assert_string_equal(before.at, after.at);
    assert_int_equal(sn_policy_update(p, "{\"reward\": 1}", NULL), SN_OK);
    sn_draft_free(draft);
    sn_policy_free(p);
    sn_supernet_unref(net);
    free(before.at);
    free(after.at);
}

/* ---- headers ------------------------------------------------------------------------------------
 */

static sn_status borrow(struct text *header, sn_error *err)
{
    const uint64_t n = header->n;
    char          *bytes = malloc(8 + header->n);
    sn_weights    *w = NULL;
    sn_status      rc;

    assert_non_null(bytes);
    memcpy(bytes, &n, 8);
    memcpy(bytes + 8, header->at, header->n);
    alloc_peak_reset();
    rc = sn_weights_borrow(bytes, 8 + header->n, "body", &w, err);
    assert_true(alloc_peak_bytes() < MOST_BYTES + (1 << 20));
    sn_weights_unref(w);
    free(bytes);
    free(header->at);
    return rc;
}

static void a_shape_of_millions_ends_at_the_ninth(void **state)
{
    struct text t = {0};
    sn_error    err = {0};

    (void)state;
    text_printf(&t, "{\"a\":{\"dtype\":\"F32\",\"shape\":[0");
    times(&t, 3000000, ",0");
    text_printf(&t, "],\"data_offsets\":[0,0]}}");
    assert_int_equal(borrow(&t, &err), SN_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, "more than 8 dimensions"));
}

static void tensors_and_metadata_have_their_limit(void **state)
{
    struct text t = {0};
    sn_error    err = {0};

    (void)state;
    text_printf(&t, "{\"__metadata__\":{\"k\":\"\"");
    for (int i = 0; i < 600000; i++)
        text_printf(&t, ",\"%x\":\"\"", i);
    text_printf(&t, "}}");
    assert_int_equal(borrow(&t, &err), SN_E_LIMIT);

    t = (struct text){0};
    text_printf(&t, "{\"t\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}");
    for (int i = 0; i < 300000; i++)
        text_printf(&t, ",\"%x\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}", i);
    text_printf(&t, "}");
    assert_int_equal(borrow(&t, &err), SN_E_LIMIT);
}

static void what_is_nested_in_a_header_is_not_followed(void **state)
{
    struct text t = {0};
    sn_error    err = {0};

    (void)state;
    text_printf(&t, "{\"a\":{\"shape\":");
    times(&t, 1000000, "[");
    assert_int_equal(borrow(&t, &err), SN_E_SYNTAX);
}

int main(void)
{
    struct CMUnitTest test[COUNT(rows) + 20] = {{0}};
    size_t            n = 0;

    json_set_alloc_funcs(malloc, free); /* so that the parser's memory is counted */
    for (; n < COUNT(rows); n++)
        test[n] = (struct CMUnitTest){.name = rows[n].name,
                                      .test_func = a_small_document_takes_little,
                                      .initial_state = (void *)&rows[n]};
#define TEST(f) test[n++] = (struct CMUnitTest)cmocka_unit_test(f)
    TEST(a_load_stops_wherever_it_is_asked_to);
    TEST(the_tree_of_a_document_is_estimated_from_above);
    TEST(lists_in_each_other_are_expanded_within_limits);
    TEST(a_value_is_kept_in_the_kind_of_its_candidate);
    TEST(an_argument_gets_the_value_that_was_checked);
    TEST(a_label_that_an_expression_reads_takes_one);
    TEST(a_large_controller_is_refused_before_it_is_there);
    TEST(what_a_policy_holds_is_counted);
    TEST(a_policy_that_is_stopped_is_as_it_was);
    TEST(a_shape_of_millions_ends_at_the_ninth);
    TEST(tensors_and_metadata_have_their_limit);
    TEST(what_is_nested_in_a_header_is_not_followed);
    return _cmocka_run_group_tests("worst documents", test, n, NULL, NULL);
}
