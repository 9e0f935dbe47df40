/* dtype: sizes and names of element types. */
#include <string.h>

#include "base/base.h"
#include "supernet/weights.h"

static const struct {
    const char *name; /* in safetensors */
    size_t      bytes;
} table[SN_DTYPE_COUNT] = {
    [SN_NONE] = {"none", 0}, [SN_F32] = {"F32", 4},   [SN_F16] = {"F16", 2},
    [SN_BF16] = {"BF16", 2}, [SN_F64] = {"F64", 8},   [SN_I64] = {"I64", 8},
    [SN_I32] = {"I32", 4},   [SN_I16] = {"I16", 2},   [SN_I8] = {"I8", 1},
    [SN_U8] = {"U8", 1},     [SN_BOOL] = {"BOOL", 1},
};

SN_EXPORT size_t sn_dtype_bytes(sn_dtype dtype)
{
    return (unsigned)dtype < SN_DTYPE_COUNT ? table[dtype].bytes : 0;
}

SN_EXPORT const char *sn_dtype_name(sn_dtype dtype)
{
    return (unsigned)dtype < SN_DTYPE_COUNT ? table[dtype].name : "unknown";
}

SN_EXPORT bool sn_dtype_find(const char *name, sn_dtype *ret_dtype)
{
    for (int i = SN_NONE + 1; i < SN_DTYPE_COUNT; i++)
        if (strcmp(name, table[i].name) == 0) {
            *ret_dtype = (sn_dtype)i;
            return true;
        }
    return false;
}
