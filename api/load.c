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

#include "choices_json.h"

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

        if (!to) return api_fail_memory(p);
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

static enum problem_code open_weights(const char *dir, const char *below, sn_weights_mode mode,
                                      sn_weights **ret_weights, struct problem *p)
{
    static const char file[] = "weights.safetensors";
    sn_error          err = {0};
    char              path[PATH_MAX];
    int               fd;

    if (api_place_open(dir, file, below, path, &fd, p) != P_OK) return p->code;
    if (sn_weights_open_fd(fd, path, mode, ret_weights, &err) != SN_OK) {
        if (!err.where[0] || strncmp(err.where, path, sizeof err.where - 1) == 0)
            snprintf(err.where, sizeof err.where, "%s", file);
        api_fail_file(p, &err);
    }
    close(fd);
    return p->code;
}

static enum problem_code open_dir(const struct api *api, const char *dir, const char *below,
                                  struct api_buf *spec, sn_weights **ret_weights, struct problem *p)
{
    const sn_weights_mode mode = api->config.copy_weights ? SN_WEIGHTS_COPY : SN_WEIGHTS_MAP;

    if (open_spec(dir, below, spec, p) != P_OK) return p->code;
    return open_weights(dir, below, mode, ret_weights, p);
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
    if (api_choices_seal(m, draft, &subnet, &created, p) == P_OK) api_model_publish(m, subnet);
    sn_subnet_unref(subnet);
    sn_draft_free(draft);
    return p->code;
}

enum problem_code api_load_model(struct api *api, const char *name, const char *source,
                                 const char *dir, const char *below, struct model **ret_model,
                                 struct problem *p)
{
    struct api_buf spec = {0};
    sn_weights    *weights = NULL;
    sn_supernet   *net = NULL;
    struct model  *m = NULL;
    sn_error       err = {0};

    if ((dir ? open_dir(api, dir, below, &spec, &weights, p) : open_demo(&spec, &weights, p)) !=
        P_OK)
        goto out;
    if (sn_supernet_load(spec.at ? spec.at : "", spec.n, weights, api->registry, &net, &err) !=
        SN_OK) {
        api_fail_file(p, &err);
        goto out;
    }
    m = api_model_create(name, source, net, sn_weights_bytes(weights), api->config.subnet_cache);
    if (!m) {
        api_fail_memory(p);
        goto out;
    }
    net = NULL;
    if (publish_only_subnet(m, p) != P_OK || api_model_check(m, p) != P_OK)
        api_model_unref(m);
    else
        *ret_model = m;
out:
    sn_supernet_unref(net);
    sn_weights_unref(weights);
    api_buf_fini(&spec);
    return p->code;
}

/* One try; false if the name stands for another load by now. Takes `m` if true. */
static bool install(struct api *api, struct model *m, struct model *old, struct kept *ret_kept,
                    struct problem *p)
{
    enum store_put rc;

    if (old && api_model_inherit(m, old, ret_kept, p) != P_OK) {
        api_model_unref(m);
        return true;
    }
    rc = api_store_put(&api->store, m, old);
    if (rc == STORE_OTHER) return false;
    if (rc == STORE_NO_MEMORY) {
        api_fail_memory(p);
        api_model_unref(m);
    } else if (old) {
        api_plan_cache_purge(&api->plans, old);
        api_model_unref(old); /* that of the store */
    }
    return true;
}

enum problem_code api_install_model(struct api *api, struct model *m, bool *ret_replaced,
                                    struct kept *ret_kept, struct problem *p)
{
    bool done = false;

    while (!done) {
        struct model *old = api_store_take(&api->store, m->name);

        *ret_replaced = old != NULL;
        if (old) pthread_rwlock_wrlock(&old->handover);
        if (!old || !atomic_load(&old->retired)) done = install(api, m, old, ret_kept, p);
        if (old) pthread_rwlock_unlock(&old->handover);
        api_model_unref(old);
    }
    return p->code;
}
