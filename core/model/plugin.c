/* plugin: shared objects that add operators and policies. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "model/registry.h"

/* What SN_PLUGIN records when a plug-in is compiled: the interface's version and the
 * sizes of the structs that the library fills and the plug-in reads. */
static sn_status check_abi(void *handle, const char *path, sn_error *err)
{
    static const uint32_t ours[4] = {SN_PLUGIN_ABI, sizeof(sn_call), sizeof(sn_io), sizeof(sn_arg)};
    const uint32_t       *theirs = dlsym(handle, "sn_plugin_abi");

    if (!theirs)
        return sn_fail(err, SN_E_UNSUPPORTED, path,
                       "it does not say for which interface it was built: SN_PLUGIN is missing");
    if (theirs[0] != ours[0])
        return sn_fail(err, SN_E_UNSUPPORTED, path,
                       "it was built for version %u of the plug-in interface, and this library has "
                       "version %u: build it again",
                       theirs[0], ours[0]);
    if (memcmp(theirs, ours, sizeof ours) != 0)
        return sn_fail(err, SN_E_UNSUPPORTED, path,
                       "it was built with another supernet.h: build it again with this library's");
    return SN_OK;
}

static sn_status run_main(sn_registry *reg, void *handle, const char *path, sn_error *err)
{
    const size_t    n_ops = reg->n_ops, n_policies = reg->n_policies;
    sn_plugin_entry entry;
    sn_status       rc;

    *(void **)&entry = dlsym(handle, "sn_plugin_main"); /* POSIX's way to a function pointer */
    if (!entry) return sn_fail(err, SN_E_UNSUPPORTED, path, "it has no function sn_plugin_main");
    rc = entry(reg, err);
    if (rc != SN_OK) { /* all of it or nothing */
        reg->n_ops = n_ops;
        reg->n_policies = n_policies;
        sn_fail(err, rc, path, "its sn_plugin_main gave up without saying why");
    }
    return rc;
}

SN_EXPORT sn_status sn_registry_load_plugin(sn_registry *reg, const char *path, sn_error *err)
{
    char     *real = realpath(path, NULL); /* never a search along a library path */
    void    **list, *handle;
    sn_status rc;

    if (!real) return sn_fail(err, SN_E_IO, path, "there is no such file: %m");
    handle = dlopen(real, RTLD_NOW | RTLD_LOCAL);
    free(real);
    if (!handle) return sn_fail(err, SN_E_IO, path, "it cannot be loaded: %s", dlerror());
    list = realloc(reg->plugin, (reg->n_plugins + 1) * sizeof *list);
    if (!list) {
        dlclose(handle);
        return fail_no_memory(err, path);
    }
    reg->plugin = list;
    rc = check_abi(handle, path, err);
    if (rc == SN_OK) rc = run_main(reg, handle, path, err);
    if (rc == SN_OK)
        reg->plugin[reg->n_plugins++] = handle;
    else
        dlclose(handle);
    return rc;
}

void plugin_close_all(struct sn_registry *reg)
{
    while (reg->n_plugins > 0)
        dlclose(reg->plugin[--reg->n_plugins]);
    free(reg->plugin);
}
