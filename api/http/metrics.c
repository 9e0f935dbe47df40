/* metrics: counting. */
#include "http/metrics.h"

const struct metrics_bucket metrics_buckets[METRICS_BUCKETS] = {
    {1e-4, "0.0001"},   {2.5e-4, "0.00025"}, {5e-4, "0.0005"}, {1e-3, "0.001"},
    {2.5e-3, "0.0025"}, {5e-3, "0.005"},     {1e-2, "0.01"},   {2.5e-2, "0.025"},
    {5e-2, "0.05"},     {0.1, "0.1"},        {0.25, "0.25"},   {1, "1"},
    {5, "5"},           {30, "30"},
};

static void add(atomic_uint_fast64_t *n, uint64_t by)
{
    atomic_fetch_add_explicit(n, by, memory_order_relaxed);
}

const int metrics_statuses[METRICS_STATUSES] = {200, 201, 202, 204, 400, 401, 403, 404,
                                                405, 406, 409, 411, 413, 414, 415, 422,
                                                429, 431, 500, 501, 503, 504, 505, 0};

void api_metrics_count_reply(struct metrics *m, size_t route, int status)
{
    int i = 0;

    while (metrics_statuses[i] && metrics_statuses[i] != status)
        i++;
    add(&m->route[route].n_replies[i], 1);
}

static void observe(struct metrics_histogram *h, uint64_t ns)
{
    int i = 0;

    add(&h->sum_ns, ns);
    while (i < METRICS_BUCKETS && (double)ns * 1e-9 > metrics_buckets[i].seconds)
        i++;
    add(i < METRICS_BUCKETS ? &h->n_within[i] : &h->n_slower, 1);
}

void api_metrics_count_time(struct metrics *m, size_t route, uint64_t ns)
{
    observe(&m->route[route].time, ns);
}

void api_metrics_count_wait(struct metrics *m, uint64_t ns)
{
    observe(&m->wait, ns);
}

void api_metrics_count_run(struct metrics *m, uint64_t n_samples, bool split)
{
    add(&m->n_runs, 1);
    add(&m->n_splits, split);
    add(&m->n_samples, n_samples);
}
