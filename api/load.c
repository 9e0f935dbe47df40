/* load: a folder, or what is built in, becomes a model.
 *
 *     <dir>/spec.json   <dir>/weights.safetensors
 *
 * A folder that a client names must lie below the model directory, and so must
 * both files once all links are resolved. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "choices_json.h"

enum { MAX_SPEC_BYTES = 64 << 20 };

/* The whole file; messages name `what`. */
static enum problem_code read_file(const char *path, const char *what, struct api_buf *ret_text,
                                   struct problem *p)
{
    const int   fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    ssize_t     got = 1;

    if (fd < 0 || fstat(fd, &st) < 0) {
        api_fail(p, P_IO, what, "cannot open: %m");
    } else if (!S_ISREG(st.st_mode)) {
        api_fail(p, P_IO, what, "is no regular file");
    } else if (st.st_size > MAX_SPEC_BYTES) {
        api_fail(p, P_BAD_FILE, what, "%lld bytes are above the limit of %d", (long long)st.st_size,
                 MAX_SPEC_BYTES);
    } else {
        while (got > 0 && ret_text->n <= MAX_SPEC_BYTES) {
            char *to = api_buf_reserve(ret_text, 1 << 16);

            if (!to) {
                api_fail_memory(p);
                break;
            }
            got = read(fd, to, 1 << 16);
            if (got < 0)
                api_fail(p, P_IO, what, "cannot read: %m");
            else
                ret_text->n += (size_t)got;
        }
    }
    if (fd >= 0) close(fd);
    return p->code;
}

static bool is_below(const char *path, const char *root)
{
    const size_t n = strlen(root);

    return strncmp(path, root, n) == 0 &&
           (path[n] == '/' || path[n] == '\0' || strcmp(root, "/") == 0);
}

/* dir/file without links, in memory to free(). */
static enum problem_code resolve(const char *dir, const char *file, const char *below,
                                 char **ret_path, struct problem *p)
{
    char  joined[PATH_MAX];
    char *path;

    if ((size_t)snprintf(joined, sizeof joined, "%s/%s", dir, file) >= sizeof joined)
        return api_fail(p, P_IO, "path", "the path is too long");
    path = realpath(joined, NULL);
    if (!path)
        return errno == ENOMEM ? api_fail_memory(p) : api_fail(p, P_IO, file, "cannot open: %m");
    if (below && !is_below(path, below)) {
        free(path);
        return api_fail(p, P_INVALID, "path", "%s leads out of the model directory", file);
    }
    *ret_path = path;
    return P_OK;
}

static enum problem_code open_dir(const char *dir, const char *below, struct api_buf *spec,
                                  sn_weights **ret_weights, struct problem *p)
{
    char    *spec_path = NULL, *weights_path = NULL;
    sn_error err = {0};

    if (resolve(dir, "spec.json", below, &spec_path, p) == P_OK &&
        resolve(dir, "weights.safetensors", below, &weights_path, p) == P_OK &&
        read_file(spec_path, "spec.json", spec, p) == P_OK &&
        sn_weights_open(weights_path, ret_weights, &err) != SN_OK) {
        if (!err.where[0] || strcmp(err.where, weights_path) == 0)
            snprintf(err.where, sizeof err.where, "weights.safetensors");
        api_fail_file(p, &err);
    }
    free(spec_path);
    free(weights_path);
    return p->code;
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

    if ((dir ? open_dir(dir, below, &spec, &weights, p) : open_demo(&spec, &weights, p)) != P_OK)
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
    if (publish_only_subnet(m, p) != P_OK)
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
