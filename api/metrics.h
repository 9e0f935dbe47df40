/* metrics: counters and histograms of what the API did, as Prometheus reads them.
 *
 * Counted with relaxed atomics: a scrape may see one request a moment before
 * another, never a torn number. */
#ifndef API_METRICS_H
#define API_METRICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { METRICS_MAX_ROUTES = 64, METRICS_BUCKETS = 14, METRICS_CLASSES = 5 };

struct metrics_route {
    atomic_uint_fast64_t n_requests[METRICS_CLASSES]; /* 1xx .. 5xx */
    atomic_uint_fast64_t n_within[METRICS_BUCKETS];   /* one bucket each, not cumulative */
    atomic_uint_fast64_t n_slower;
    atomic_uint_fast64_t sum_ns;
};

struct metrics {
    struct metrics_route route[METRICS_MAX_ROUTES + 1]; /* the last: no route matched */
    atomic_uint_fast64_t n_runs, n_samples, n_splits;   /* plans run; inputs in them; on threads */
};

void api_metrics_count(struct metrics *m, size_t route, int status, uint64_t ns);
void api_metrics_count_run(struct metrics *m, uint64_t n_samples, bool split);

#endif
