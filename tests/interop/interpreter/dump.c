/* dump DIR N SEED: N random documents of tests/fuzz/grammar.h, each with a random subnet of it and
 * what the library answers, for compare.py.
 *
 *   DIR/<i>.spec.json   DIR/<i>.choices.json   DIR/<i>.weights.safetensors
 *   DIR/<i>.io.safetensors   in.<name>, out.<number> */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/pipeline.h"
#include "model/model.h"
#include "supernet/host.h"
#include "supernet/weights.h"

enum { MOST_BYTES = 600, MOST_SCRATCH = 1 << 24 };

static int write_file(void *cls, const void *bytes, size_t n_bytes)
{
    return fwrite(bytes, 1, n_bytes, cls) == n_bytes ? 0 : -1;
}

static FILE *create(const char *dir, int i, const char *suffix)
{
    char  path[512];
    FILE *f;

    snprintf(path, sizeof path, "%s/%d.%s", dir, i, suffix);
    f = fopen(path, "w");
    REQUIRE(f, "%s", path);
    return f;
}

static sn_subnet *draw(sn_supernet *net, sn_rng *rng)
{
    sn_policy *policy = NULL;
    sn_draft  *draft = NULL;
    sn_subnet *subnet = NULL;

    REQUIRE(sn_policy_create(net, "path", NULL, &policy, NULL) == SN_OK, "policy");
    REQUIRE(sn_draft_create(net, &draft, NULL) == SN_OK, "draft");
    if (sn_policy_resample(policy, rng, draft, NULL) == SN_OK) sn_draft_seal(draft, &subnet, NULL);
    sn_draft_free(draft);
    sn_policy_free(policy);
    return subnet;
}

static void write_tensors(const char *dir, int i, const sn_plan *plan, const struct request *r,
                          const struct outputs *out)
{
    const sn_plan_info *info = sn_plan_describe(plan);
    const sn_supernet  *net = sn_subnet_supernet(sn_plan_subnet(plan));
    static char         names[2 * SN_MAX_PORTS][300];
    const char         *name[2 * SN_MAX_PORTS];
    sn_tensor           tensor[2 * SN_MAX_PORTS];
    sn_desc             desc[SN_MAX_PORTS];
    sn_sink             sink = {.write = write_file};
    size_t              n = 0, n_in;

    request_describe(r, net, r->largest, desc);
    for (size_t k = 0; k < info->n_in; k++) {
        if (desc[k].dtype == SN_NONE) continue;
        snprintf(names[n], sizeof names[n], "in.%s", sn_supernet_input(net, k)->name);
        tensor[n++] = pipeline_input(net, k, &desc[k], r, 0);
    }
    n_in = n;
    for (size_t k = 0; k < out->n; k++) {
        if (out->tensor[k].dtype == SN_NONE) continue;
        snprintf(names[n], sizeof names[n], "out.%zu", k);
        tensor[n++] = out->tensor[k];
    }
    for (size_t k = 0; k < n; k++)
        name[k] = names[k];
    sink.cls = create(dir, i, "io.safetensors");
    REQUIRE(sn_tensors_write(name, tensor, n, NULL, NULL, 0, &sink, NULL) == SN_OK, "tensors");
    fclose(sink.cls);
    for (size_t k = 0; k < n_in; k++)
        free(tensor[k].data);
}

/* False: the document, the draw or the shapes were refused, as some must be. */
static bool one(const char *dir, int i, sn_registry *reg, sn_rng *rng)
{
    uint8_t            bytes[MOST_BYTES];
    struct dice        dice = {bytes, bytes + 40 + sn_rng_below(rng, MOST_BYTES - 40)};
    struct request     r = {.seed = sn_rng_next(rng), .largest = 1 + (int64_t)sn_rng_below(rng, 5)};
    sn_desc            in[SN_MAX_PORTS];
    sn_compile_options options = {
        .size = sizeof options, .in = in, .scratch_limit_bytes = MOST_SCRATCH};
    struct text    doc = {0};
    struct loaded  l = {0};
    sn_subnet     *subnet = NULL;
    sn_plan       *plan = NULL;
    struct outputs out = {0};
    sn_error       err = {0};
    sn_sink        sink = {.write = write_file};

    for (size_t k = 0; k < sizeof bytes; k++)
        bytes[k] = (uint8_t)sn_rng_next(rng);
    for (size_t k = 0; k < COUNT(r.size); k++)
        r.size[k] = 1 + (int64_t)sn_rng_below(rng, 7);
    grammar_document(&dice, &doc);
    /* the original's arithmetic is what tests/conformance is for */
    if (pipeline_load(doc.at, doc.n, sn_rng_next(rng), reg, &l, &err) && !l.net->nni &&
        (subnet = draw(l.net, rng))) {
        request_describe(&r, l.net, r.largest, in);
        options.n_in = sn_supernet_n_inputs(l.net);
        options.exactness = l.net->winograd ? SN_EXACTNESS_DIRECT : SN_EXACTNESS_SPEC;
        sn_plan_compile(subnet, &options, &plan, NULL);
    }
    if (plan) {
        const struct run run = {.batch = r.largest, .fill = 0xff};

        if (pipeline_run(plan, &r, &run, &out, &err)) REQUIRE(false, "%s: %s", err.where, err.text);
        sink.cls = create(dir, i, "spec.json");
        write_file(sink.cls, doc.at, doc.n);
        fclose(sink.cls);
        sink.cls = create(dir, i, "choices.json");
        REQUIRE(sn_subnet_write_choices(subnet, &sink, NULL) == SN_OK, "choices");
        fclose(sink.cls);
        sink.cls = create(dir, i, "weights.safetensors");
        write_file(sink.cls, l.bytes, l.n_bytes);
        fclose(sink.cls);
        write_tensors(dir, i, plan, &r, &out);
    }
    outputs_fini(&out);
    sn_subnet_unref(subnet);
    free(doc.at);
    loaded_fini(&l);
    return sn_plan_unref(plan), plan != NULL;
}

int main(int argc, char **argv)
{
    sn_registry *reg = NULL;
    sn_rng       rng;
    int          n;

    REQUIRE(argc == 4, "usage: dump DIR N SEED");
    REQUIRE(sn_registry_create(&reg, NULL) == SN_OK, "registry");
    sn_rng_seed(&rng, strtoull(argv[3], NULL, 10));
    n = atoi(argv[2]);
    for (int i = 0; i < n;)
        i += one(argv[1], i, reg, &rng);
    sn_registry_unref(reg);
    return 0;
}
