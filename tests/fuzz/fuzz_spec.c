/* fuzz_spec: whatever the bytes are, a document is refused with a sentence, or it is a
 * supernet whose parts hold together; and what is exported of a subnet of it is a
 * document again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "supernet/weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok) abort();
}

static int append(void *cls, const void *bytes, size_t n_bytes)
{
    text_add(cls, bytes, n_bytes);
    return 0;
}

static void check_parts(const sn_supernet *net)
{
    const char *size = sn_supernet_space_size(net);

    require(*size && strspn(size, "0123456789") == strlen(size) && *size != '0');
    require(sn_supernet_n_inputs(net) > 0 && sn_supernet_n_outputs(net) > 0);
    for (size_t i = 0; i < sn_supernet_n_outputs(net); i++)
        require(*sn_supernet_output(net, i)->name);
    for (size_t i = 0; i < sn_supernet_n_choices(net); i++) {
        const sn_choice *c = sn_supernet_choice(net, i);
        size_t           again;

        require(c->n_candidates > 0 && sn_supernet_find_choice(net, c->label, &again) &&
                again == i);
        for (size_t u = 0; u < c->n_users; u++)
            require(*c->user[u]);
    }
    for (size_t i = 0; i < sn_supernet_n_modules(net); i++)
        require(sn_supernet_module(net, i)->parent < (int)i);
}

/* Documents that decide nothing by chance: the seed is fixed. */
static void export_again(sn_supernet *net, sn_registry *reg)
{
    sn_policy    *policy = NULL;
    sn_draft     *draft = NULL;
    sn_subnet    *subnet = NULL;
    sn_supernet  *again = NULL;
    struct text   doc = {0};
    const sn_sink sink = {append, &doc};
    sn_error      err = {0};
    sn_rng        rng;

    sn_rng_seed(&rng, 1);
    require(sn_policy_create(net, "path", NULL, &policy, NULL) == SN_OK);
    require(sn_draft_create(net, &draft, NULL) == SN_OK);
    if (sn_policy_resample(policy, &rng, draft, &err) != SN_OK ||
        sn_draft_seal(draft, &subnet, &err) != SN_OK) {
        require(err.code != SN_OK && *err.text);
    } else if (sn_subnet_write_spec(subnet, &sink, &err) == SN_OK) {
        require(sn_supernet_load(doc.at, doc.n, NULL, reg, &again, NULL) == SN_OK);
        require(strcmp(sn_supernet_space_size(again), "1") == 0);
    } else {
        require(err.code != SN_OK && *err.text);
    }
    free(doc.at);
    sn_supernet_unref(again);
    sn_subnet_unref(subnet);
    sn_draft_free(draft);
    sn_policy_free(policy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sn_registry *reg = NULL;
    sn_supernet *net = NULL;
    sn_error     err = {0};
    sn_status    rc;

    require(sn_registry_create(&reg, NULL) == SN_OK);
    rc = sn_supernet_load((const char *)data, size, NULL, reg, &net, &err);
    require(rc == err.code);
    if (rc == SN_OK) {
        check_parts(net);
        export_again(net, reg);
    } else {
        require(!net && *err.text);
    }
    sn_supernet_unref(net);
    sn_registry_unref(reg);
    return 0;
}
