/* load: a folder, or what is built in, becomes a model.
 *
 *     <dir>/spec.json   <dir>/weights.safetensors
 *
 * A folder that a client names must lie below the model directory, and so must
 * both files once all links are resolved. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/buf.h"
#include "resident/embedded.h"
#include "resident/load.h"
#include "resident/place.h"
#include "supernet/host.h"
#include "supernet/weights.h"

enum { MAX_SPEC_BYTES = 64 << 20 };

/* The whole file; messages name `what`. */
static enum problem_code read_file(int fd, const char *what, struct api_buf *ret_text,
                                   struct problem *p)
{
    struct stat st;
    ssize_t     got = 1;

    if (fstat(fd, &st) < 0) return api_fail(p, P_IO, what, "cannot be examined: %m");
    if (!S_ISREG(st.st_mode)) return api_fail(p, P_IO, what, "is no regular file");
    if (st.st_size > MAX_SPEC_BYTES)
        return api_fail(p, P_BAD_FILE, what, "%lld bytes are above the limit of %d",
                        (long long)st.st_size, MAX_SPEC_BYTES);
    while (got > 0 && ret_text->n <= MAX_SPEC_BYTES) {
        char *to = api_buf_reserve(ret_text, 1 << 16);

        if (!to) return api_fail_buf(p, ret_text, NULL);
        got = read(fd, to, 1 << 16);
        if (got < 0) return api_fail(p, P_IO, what, "cannot read: %m");
        ret_text->n += (size_t)got;
    }
    return P_OK;
}

static enum problem_code open_spec(const char *dir, const char *below, struct api_buf *spec,
                                   struct problem *p)
{
    char path[PATH_MAX];
    int  fd;

    if (api_place_open(dir, "spec.json", below, path, &fd, p) != P_OK) return p->code;
    read_file(fd, "spec.json", spec, p);
    close(fd);
    return p->code;
}

/* A copy of the weights is charged before it is made; mapped ones are the kernel's. */
static enum problem_code charge_copy(const struct budget *b, int fd, const char *what,
                                     size_t *ret_charged, struct problem *p)
{
    struct stat st;

    if (fstat(fd, &st) < 0) return api_fail(p, P_IO, what, "cannot be examined: %m");
    if (!account_charge(b->account, ACCOUNT_SUPERNETS, (size_t)st.st_size))
        return api_fail_room(p, b->account, ACCOUNT_SUPERNETS, (size_t)st.st_size,
                             "a copy of the weights");
    *ret_charged = (size_t)st.st_size;
    return P_OK;
}

static enum problem_code open_weights(const struct budget *b, const char *dir, const char *below,
                                      sn_weights_mode mode, sn_weights **ret_weights,
                                      size_t *ret_charged, struct problem *p)
{
    static const char  file[] = "weights.safetensors";
    sn_weights_options options = {.size = sizeof options,
                                  .mode = mode,
                                  .stop = b->stop ? api_budget_stopped : NULL,
                                  .stop_cls = (void *)b->stop};
    sn_error           err = {0};
    char               path[PATH_MAX];
    int                fd;

    if (api_place_open(dir, file, below, path, &fd, p) != P_OK) return p->code;
    if (mode == SN_WEIGHTS_COPY && charge_copy(b, fd, file, ret_charged, p) == P_OK)
        options.limit_bytes = *ret_charged; /* it may have grown since */
    if (p->code == P_OK && sn_weights_open_fd(fd, path, &options, ret_weights, &err) != SN_OK) {
        if (!err.where[0] || strncmp(err.where, path, sizeof err.where - 1) == 0)
            snprintf(err.where, sizeof err.where, "%s", file);
        if (err.code == SN_E_STOPPED)
            api_fail(p, P_STOPPED, "", "stopped while the weights were read; nothing was changed");
        else
            api_fail_file(p, &err);
    }
    close(fd);
    return p->code;
}

static enum problem_code open_dir(const struct api *api, const struct budget *b, const char *dir,
                                  const char *below, struct api_buf *spec, sn_weights **ret_weights,
                                  size_t *ret_charged, struct problem *p)
{
    const sn_weights_mode mode = api->config.copy_weights ? SN_WEIGHTS_COPY : SN_WEIGHTS_MAP;

    if (open_spec(dir, below, spec, p) != P_OK) return p->code;
    return open_weights(b, dir, below, mode, ret_weights, ret_charged, p);
}

static enum problem_code open_demo(struct api_buf *spec, sn_weights **ret_weights,
                                   struct problem *p)
{
    const struct embedded text = api_embedded_demo_spec(), weights = api_embedded_demo_weights();
    sn_error              err = {0};

    api_buf_add(spec, text.at, text.n);
    if (spec->failed) return api_fail_memory(p);
    if (sn_weights_borrow(weights.at, weights.n, "built-in weights", ret_weights, &err) != SN_OK)
        return api_fail_file(p, &err);
    return P_OK;
}

/* With nothing to choose there is one subnet, and it need not be named in requests. */
static enum problem_code publish_only_subnet(struct model *m, struct problem *p)
{
    sn_subnet *subnet = NULL;
    sn_draft  *draft = NULL;
    sn_error   err = {0};
    bool       created;

    if (sn_supernet_n_choices(m->net) > 0) return P_OK;
    if (sn_draft_create(m->net, &draft, &err) != SN_OK) return api_fail_file(p, &err);
    if (api_model_seal(m, draft, &subnet, &created, p) == P_OK) api_model_publish(m, subnet);
    sn_subnet_unref(subnet);
    sn_draft_free(draft);
    return p->code;
}

enum { MODEL_BYTES = 48 << 20 }; /* as the library's own limit for a document in memory */

/* Weights of 16 bits are widened to 32 in memory of the supernet. */
static size_t widened_bytes(const sn_weights *weights)
{
    size_t    sum = 0;
    sn_tensor t;

    for (size_t i = 0; sn_weights_at(weights, i, &t); i++)
        if (t.dtype == SN_F16 || t.dtype == SN_BF16) sum += (size_t)sn_shape_count(&t.shape) * 4;
    return sum; /* at most twice the file */
}

/* One try with at most `most` bytes. */
static sn_status try_load(const struct api *api, const struct budget *b, const struct api_buf *spec,
                          sn_weights *weights, size_t most, size_t *ret_got, sn_supernet **ret_net,
                          sn_error *err)
{
    const size_t got =
        account_reserve(b->account, ACCOUNT_SUPERNETS, most, most > BUDGET_USUAL ? 1 : 2);
    const sn_load_options options = {.size = sizeof options,
                                     .stop = b->stop ? api_budget_stopped : NULL,
                                     .stop_cls = (void *)b->stop,
                                     .memory_limit_bytes = got ? got : 1};
    const sn_status       rc = sn_supernet_load_with(spec->at ? spec->at : "", spec->n, weights,
                                               api->registry, &options, ret_net, err);

    account_settle(b->account, ACCOUNT_SUPERNETS, got,
                   rc == SN_OK ? sn_supernet_bytes(*ret_net) : 0);
    *ret_got = got;
    return rc;
}

/* The document over the weights, and what it holds charged. */
static enum problem_code load(const struct api *api, const struct budget *b,
                              const struct api_buf *spec, sn_weights *weights,
                              sn_supernet **ret_net, size_t *inout_charged, struct problem *p)
{
    const size_t wide = widened_bytes(weights);
    sn_error     err = {0};
    size_t       got;
    sn_status    rc;

    if (!account_charge(b->account, ACCOUNT_SUPERNETS, wide))
        return api_fail_room(p, b->account, ACCOUNT_SUPERNETS, wide, "widening the weights");
    rc = try_load(api, b, spec, weights, BUDGET_USUAL, &got, ret_net, &err);
    if (rc == SN_E_LIMIT) {
        err = (sn_error){0};
        rc = try_load(api, b, spec, weights, MODEL_BYTES, &got, ret_net, &err);
    }
    account_discharge(b->account, ACCOUNT_SUPERNETS, wide); /* what was widened is in it now */
    if (rc == SN_OK)
        *inout_charged += sn_supernet_bytes(*ret_net);
    else if (rc == SN_E_STOPPED)
        api_fail(p, P_STOPPED, "", "stopped while the document was read; nothing was changed");
    else if (rc == SN_E_LIMIT && got < MODEL_BYTES)
        api_fail_budget(p, b, ACCOUNT_SUPERNETS, got, MODEL_BYTES, &err, "the supernet");
    else
        api_fail_file(p, &err);
    return p->code;
}

static enum problem_code fail_full(const struct api *api, struct problem *p)
{
    return api_fail(p, P_LIMIT, "path",
                    "there are %zu supernets already, as many as --max-supernets allows; delete "
                    "one first",
                    api->config.max_supernets);
}

enum problem_code api_load_model(struct api *api, const struct budget *b, const char *name,
                                 const char *source, const char *dir, const char *below,
                                 struct model **ret_model, struct problem *p)
{
    struct api_buf spec = {.account = b->account, .purpose = ACCOUNT_SUPERNETS};
    sn_weights    *weights = NULL;
    sn_supernet   *net = NULL;
    struct model  *m = NULL;
    size_t         charged = 0;

    if (!api_store_has_room(&api->store, name, api->config.max_supernets)) return fail_full(api, p);
    if ((dir ? open_dir(api, b, dir, below, &spec, &weights, &charged, p)
             : open_demo(&spec, &weights, p)) != P_OK ||
        load(api, b, &spec, weights, &net, &charged, p) != P_OK)
        goto out;
    m = api_model_create(name, source, net, sn_weights_bytes(weights), api->config.subnet_cache,
                         b->account, charged);
    if (!m) {
        api_fail_memory(p);
        goto out;
    }
    net = NULL;
    charged = 0;
    if (publish_only_subnet(m, p) != P_OK || api_model_check(m, p) != P_OK)
        api_model_unref(m);
    else
        *ret_model = m;
out:
    sn_supernet_unref(net);
    sn_weights_unref(weights);
    account_discharge(b->account, ACCOUNT_SUPERNETS, charged);
    api_buf_fini(&spec);
    return p->code;
}

/* One try; false if the name stands for another load by now. Takes `m` if true. */
static bool install(struct api *api, const struct budget *b, struct model *m, struct model *old,
                    struct kept *ret_kept, struct problem *p)
{
    enum store_put rc;

    if (old) api_model_inherit(m, old, b, ret_kept, p);
    /* the last moment in which nothing was done */
    if (p->code == P_OK && api_budget_stopped((void *)b->stop))
        api_fail(p, P_STOPPED, "", "stopped before anything was changed");
    if (p->code != P_OK) {
        api_model_unref(m);
        return true;
    }
    pthread_rwlock_wrlock(&m->handover); /* whoever finds it now waits for its policies */
    rc = api_store_put(&api->store, m, old, api->config.max_supernets);
    if (rc == STORE_PUT) api_instances_move(&m->instances, m->net);
    pthread_rwlock_unlock(&m->handover);
    if (rc == STORE_OTHER) return false;
    if (rc == STORE_NO_MEMORY || rc == STORE_FULL) {
        rc == STORE_FULL ? fail_full(api, p) : api_fail_memory(p);
        api_model_unref(m);
    } else if (old) {
        api_plan_cache_purge(&api->plans, old);
        api_model_unref(old); /* that of the store */
    }
    return true;
}

enum problem_code api_install_model(struct api *api, const struct budget *b, struct model *m,
                                    bool *ret_replaced, struct kept *ret_kept, struct problem *p)
{
    bool done = false;

    while (!done) {
        struct model *old = api_store_take(&api->store, m->name);

        *ret_replaced = old != NULL;
        if (old) pthread_rwlock_wrlock(&old->handover);
        if (!old || !atomic_load(&old->retired)) done = install(api, b, m, old, ret_kept, p);
        if (old) pthread_rwlock_unlock(&old->handover);
        api_model_unref(old);
    }
    return p->code;
}
