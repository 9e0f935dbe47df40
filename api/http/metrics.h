/* metrics: counters and histograms of what the API did, as Prometheus reads them.
 *
 * Counted with relaxed atomics: a scrape may see one request a moment before
 * another, never a torn number. */
#ifndef API_HTTP_METRICS_H
#define API_HTTP_METRICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/buf.h"

enum { METRICS_MAX_ROUTES = 64, METRICS_BUCKETS = 14, METRICS_STATUSES = 24 };

struct metrics_histogram {
    atomic_uint_fast64_t n_within[METRICS_BUCKETS]; /* one bucket each, not cumulative */
    atomic_uint_fast64_t n_slower;
    atomic_uint_fast64_t sum_ns;
};

struct metrics_route {
    const char              *name;
    atomic_uint_fast64_t     n_replies[METRICS_STATUSES]; /* each of metrics_statuses */
    struct metrics_histogram time;
};

struct metrics {
    struct metrics_route     route[METRICS_MAX_ROUTES + 1]; /* the last: no route matched */
    size_t                   n_routes;
    struct metrics_histogram wait;                    /* for a worker */
    atomic_uint_fast64_t n_runs, n_samples, n_splits; /* plans run; inputs in them; on threads */
};

/* Bounds of the histograms, for programs and as they are written. */
struct metrics_bucket {
    double      seconds;
    const char *text;
};
extern const struct metrics_bucket metrics_buckets[METRICS_BUCKETS];

/* Statuses that are sent; the last counts whatever is not in the list. */
extern const int metrics_statuses[METRICS_STATUSES];

void api_metrics_count_reply(struct metrics *m, size_t route, int status);
void api_metrics_count_time(struct metrics *m, size_t route, uint64_t ns);
void api_metrics_count_wait(struct metrics *m, uint64_t ns);
void api_metrics_count_run(struct metrics *m, uint64_t n_samples, bool split);

#endif
