/* blas: the public door to the one process-wide setting under the kernels. */
#include "base/base.h"
#include "kernel/gemm.h"
#include "supernet/pool.h"

SN_EXPORT void sn_blas_set_threads(int n)
{
    kernel_blas_set_threads(n);
}

SN_EXPORT const char *sn_blas_describe(void)
{
    return kernel_blas_describe();
}
