/* blas: which BLAS is linked, and its number of threads: the one process-wide setting of the
 * kernels. */
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
