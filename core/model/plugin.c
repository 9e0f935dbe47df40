/* plugin: shared objects that add operators and policies. */
#include <dlfcn.h>
#include <stdlib.h>

#include "model/registry.h"

/* How a struct may differ between a plug-in and the library. */
enum rule {
    GIVEN, /* the library makes it, one at a time: the plug-in may know less of it */
    TABLE, /* the plug-in makes it, and it says its own size: see registry.c */
    SHARED /* both make it, or it comes in arrays: as large here as there */
};

/* In the order of SN_PLUGIN. What a newer header has besides is of no use here. */
static const struct {
    const char *name;
    size_t      size;
    enum rule   rule;
} structs[] = {
#define ROW(type, rule)                                                                            \
    {                                                                                              \
#type, sizeof(type), rule                                                                  \
    }
    ROW(sn_call, GIVEN),     ROW(sn_io, GIVEN),         ROW(sn_arg, SHARED),
    ROW(sn_op, TABLE),       ROW(sn_variant, TABLE),    ROW(sn_policy_class, TABLE),
    ROW(sn_arg_def, SHARED), ROW(sn_param_def, SHARED), ROW(sn_tensor, SHARED),
    ROW(sn_desc, SHARED),    ROW(sn_shape, SHARED),     ROW(sn_growth, SHARED),
    ROW(sn_value, SHARED),   ROW(sn_slice, SHARED),     ROW(sn_choice, SHARED),
    ROW(sn_error, SHARED),   ROW(sn_rng, SHARED),       ROW(sn_cost, GIVEN),
    ROW(sn_epilogue, GIVEN), ROW(sn_parallel, GIVEN),
#undef ROW
};

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
        if ((structs[i].rule == SHARED && size[i] != structs[i].size) ||
            (structs[i].rule == GIVEN && size[i] > structs[i].size))
            return sn_fail(err, SN_E_UNSUPPORTED, path,
                           "it was built with another supernet.h, in which %s has %u bytes and not "
                           "%zu: build it again with this library's",
                           structs[i].name, size[i], structs[i].size);
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
