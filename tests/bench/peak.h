/* peak.h: what the fused multiply-add of this machine can do, and clocks for benchmarks. */
#ifndef BENCH_PEAK_H
#define BENCH_PEAK_H

/* Seconds of a clock that only goes forward. */
double bench_now(void);

/* Single-precision operations a second of the calling thread, the best of 30 tries; 0 where there
 * is no such instruction. */
double bench_peak(void);

#endif
