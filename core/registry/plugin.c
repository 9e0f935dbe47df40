/* plugin: shared objects that add operators and policies. */
#include <dlfcn.h>
#include <stdlib.h>

#include "registry/registry.h"
#include "supernet/engine.h"

/* How a struct may differ between a plug-in and the library. */
enum rule {
    GIVEN, /* the library makes it, one at a time: the plug-in may know less of it */
    TABLE, /* the plug-in makes it, and it says its own size: see registry.c */
    SHARED /* both make it, or it comes in arrays: as large here as there */
};

/* In the order of SN_PLUGIN_SIZES. What a newer header has besides is of no use here. */
static const struct {
    const char *name;
    enum rule   rule;
} structs[] = {
    {"sn_call", GIVEN},     {"sn_io", GIVEN},         {"sn_arg", SHARED},
    {"sn_op", TABLE},       {"sn_variant", TABLE},    {"sn_policy_class", TABLE},
    {"sn_arg_def", SHARED}, {"sn_param_def", SHARED}, {"sn_tensor", SHARED},
    {"sn_desc", SHARED},    {"sn_shape", SHARED},     {"sn_growth", SHARED},
    {"sn_value", SHARED},   {"sn_slice", SHARED},     {"sn_choice", SHARED},
    {"sn_error", SHARED},   {"sn_rng", SHARED},       {"sn_sink", SHARED},
    {"sn_cost", GIVEN},     {"sn_epilogue", GIVEN},   {"sn_parallel", GIVEN},
    {"sn_port", GIVEN},     {"sn_module", GIVEN},     {"sn_tensor_info", GIVEN},
};
static const uint32_t ours[] = {SN_PLUGIN_SIZES};

_Static_assert(COUNT(structs) == SN_PLUGIN_N_SIZES && COUNT(ours) == SN_PLUGIN_N_SIZES,
               "structs and SN_PLUGIN_SIZES belong together");

/* Version 2 said the first three only; the others have not changed since. */
enum { VERSION_OF_THREE = 2, N_OF_THREE = 3 };

/* What SN_PLUGIN records when a plug-in is compiled: the interface's version, and the sizes of
 * the structs that go back and forth. */
static sn_status check_abi(void *handle, const char *path, sn_error *err)
{
    const uint32_t *theirs = dlsym(handle, "sn_plugin_abi");
    const uint32_t *size;
    size_t          n;

    if (!theirs)
        return sn_fail(err, SN_E_UNSUPPORTED, path,
                       "it does not say for which interface it was built: SN_PLUGIN is missing");
    if (theirs[0] != SN_PLUGIN_ABI && theirs[0] != VERSION_OF_THREE)
        return sn_fail(err, SN_E_UNSUPPORTED, path,
                       "it was built for version %u of the plug-in interface, and this library has "
                       "version %u: build it again",
                       theirs[0], SN_PLUGIN_ABI);
    n = theirs[0] == VERSION_OF_THREE ? N_OF_THREE : theirs[1];
    size = theirs + (theirs[0] == VERSION_OF_THREE ? 1 : 2);
    for (size_t i = 0; i < n && i < COUNT(structs); i++)
        if ((structs[i].rule == SHARED && size[i] != ours[i]) ||
            (structs[i].rule == GIVEN && size[i] > ours[i]))
            return sn_fail(err, SN_E_UNSUPPORTED, path,
                           "it was built with another supernet.h, in which %s has %u bytes and not "
                           "%u: build it again with this library's",
                           structs[i].name, size[i], ours[i]);
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
        registry_cut(reg, n_ops, n_policies);
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
