/* The end of what simd_avx2.h and simd_avx512.h began. */
#ifdef __clang__
#pragma clang attribute pop
#endif
