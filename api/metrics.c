/* metrics: the text form of Prometheus. A series that never counted is left out
 * of the histograms, so that a scrape stays short. */
#include "metrics.h"

#include <stdlib.h>

#include "call.h"

static const struct {
    double      seconds;
    const char *text;
} buckets[METRICS_BUCKETS] = {
    {1e-4,   "0.0001" },
    {2.5e-4, "0.00025"},
    {5e-4,   "0.0005" },
    {1e-3,   "0.001"  },
    {2.5e-3, "0.0025" },
    {5e-3,   "0.005"  },
    {1e-2,   "0.01"   },
    {2.5e-2, "0.025"  },
    {5e-2,   "0.05"   },
    {0.1,    "0.1"    },
    {0.25,   "0.25"   },
    {1,      "1"      },
    {5,      "5"      },
    {30,     "30"     },
};

static uint64_t get(const atomic_uint_fast64_t *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

static void add(atomic_uint_fast64_t *n, uint64_t by)
{
    atomic_fetch_add_explicit(n, by, memory_order_relaxed);
}

void api_metrics_count(struct metrics *m, size_t route, int status, uint64_t ns)
{
    struct metrics_route *r = &m->route[route];
    int                   i = 0;

    add(&r->n_requests[status / 100 - 1], 1);
    add(&r->sum_ns, ns);
    while (i < METRICS_BUCKETS && (double)ns * 1e-9 > buckets[i].seconds)
        i++;
    add(i < METRICS_BUCKETS ? &r->n_within[i] : &r->n_slower, 1);
}

void api_metrics_count_run(struct metrics *m, uint64_t n_samples, bool split)
{
    add(&m->n_runs, 1);
    add(&m->n_splits, split);
    add(&m->n_samples, n_samples);
}

static void family(struct api_buf *b, const char *name, const char *type, const char *help)
{
    api_buf_printf(b, "# HELP supernetd_%s %s\n# TYPE supernetd_%s %s\n", name, help, name, type);
}

static void number(struct api_buf *b, const char *name, const char *type, const char *help,
                   uint64_t value)
{
    family(b, name, type, help);
    api_buf_printf(b, "supernetd_%s %llu\n", name, (unsigned long long)value);
}

static const char *route_name(size_t i)
{
    return i < api_n_routes ? api_routes[i].name : "none";
}

/* The counters of route i, where METRICS_MAX_ROUTES stands behind the last route. */
static struct metrics_route *counters(struct metrics *m, size_t i)
{
    return &m->route[i < api_n_routes ? i : METRICS_MAX_ROUTES];
}

static void put_requests(struct api_buf *b, struct metrics *m)
{
    family(b, "requests_total", "counter", "Requests answered, by endpoint and class of status.");
    for (size_t i = 0; i <= api_n_routes; i++)
        for (int c = 0; c < METRICS_CLASSES; c++) {
            const uint64_t n = get(&counters(m, i)->n_requests[c]);

            if (n)
                api_buf_printf(b, "supernetd_requests_total{route=\"%s\",status=\"%dxx\"} %llu\n",
                               route_name(i), c + 1, (unsigned long long)n);
        }
}

static void put_seconds(struct api_buf *b, struct metrics *m)
{
    family(b, "run_seconds", "histogram",
           "Time to handle a request, without queueing and transfer.");
    for (size_t i = 0; i <= api_n_routes; i++) {
        struct metrics_route *r = counters(m, i);
        const char           *name = route_name(i);
        uint64_t              n = 0;

        for (int k = 0; k < METRICS_BUCKETS; k++)
            n += get(&r->n_within[k]);
        if (n + get(&r->n_slower) == 0) continue;
        n = 0;
        for (int k = 0; k < METRICS_BUCKETS; k++) {
            n += get(&r->n_within[k]);
            api_buf_printf(b, "supernetd_run_seconds_bucket{route=\"%s\",le=\"%s\"} %llu\n", name,
                           buckets[k].text, (unsigned long long)n);
        }
        n += get(&r->n_slower);
        api_buf_printf(b, "supernetd_run_seconds_bucket{route=\"%s\",le=\"+Inf\"} %llu\n", name,
                       (unsigned long long)n);
        api_buf_printf(b, "supernetd_run_seconds_sum{route=\"%s\"} %.9g\n", name,
                       (double)get(&r->sum_ns) * 1e-9);
        api_buf_printf(b, "supernetd_run_seconds_count{route=\"%s\"} %llu\n", name,
                       (unsigned long long)n);
    }
}

static void put_plans(struct api_buf *b, struct plan_cache *plans)
{
    const struct plan_cache_figures f = api_plan_cache_read(plans);

    number(b, "plan_cache_bytes", "gauge", "Memory held by cached plans.", f.bytes);
    number(b, "plan_cache_limit_bytes", "gauge", "Bound on the memory held by cached plans.",
           plans->max_bytes);
    number(b, "plan_cache_entries", "gauge", "Plans in the cache.", f.n_entries);
    number(b, "plan_cache_hits_total", "counter", "Plans found in the cache.", f.n_hits);
    number(b, "plan_cache_misses_total", "counter", "Plans compiled because none was cached.",
           f.n_misses);
    number(b, "plan_cache_evictions_total", "counter", "Plans dropped to make room.",
           f.n_evictions);
}

static void put_memory(struct api_buf *b, const struct account *a)
{
    family(b, "memory_bytes", "gauge", "Memory that requests made the daemon hold, by purpose.");
    for (int i = 0; i < N_PURPOSES; i++)
        api_buf_printf(b, "supernetd_memory_bytes{purpose=\"%s\"} %zu\n",
                       account_name((enum account_purpose)i),
                       account_used(a, (enum account_purpose)i));
    family(b, "memory_limit_bytes", "gauge",
           "Bound on that memory; purposes with the same pot share it.");
    for (int i = 0; i < N_PURPOSES; i++)
        if (account_limit(a, (enum account_purpose)i) != SIZE_MAX)
            api_buf_printf(b, "supernetd_memory_limit_bytes{pot=\"%s\",purpose=\"%s\"} %zu\n",
                           account_pot_name((enum account_purpose)i),
                           account_name((enum account_purpose)i),
                           account_limit(a, (enum account_purpose)i));
}

static void put_models(struct api_buf *b, struct model **all, size_t n)
{
    number(b, "supernets", "gauge", "Supernets that are loaded.", n);
    if (n == 0) return;
    family(b, "supernet_weight_bytes", "gauge", "Size of the mapped weights.");
    for (size_t i = 0; i < n; i++)
        api_buf_printf(b, "supernetd_supernet_weight_bytes{supernet=\"%s\"} %zu\n", all[i]->name,
                       all[i]->weight_bytes);
    family(b, "supernet_packed_bytes", "gauge",
           "Memory of weights that are prepared for its plans.");
    for (size_t i = 0; i < n; i++)
        api_buf_printf(b, "supernetd_supernet_packed_bytes{supernet=\"%s\"} %zu\n", all[i]->name,
                       sn_supernet_packed_bytes(all[i]->net));
    family(b, "supernet_weights_changed", "gauge",
           "1 if the weights' file was changed in place: load the supernet again.");
    for (size_t i = 0; i < n; i++)
        api_buf_printf(b, "supernetd_supernet_weights_changed{supernet=\"%s\"} %d\n", all[i]->name,
                       api_model_is_changed(all[i]));
    family(b, "supernet_version", "gauge", "Number of the load that is being served.");
    for (size_t i = 0; i < n; i++)
        api_buf_printf(b, "supernetd_supernet_version{supernet=\"%s\"} %llu\n", all[i]->name,
                       (unsigned long long)all[i]->version);
    family(b, "supernet_subnets", "gauge", "Subnets remembered by id.");
    for (size_t i = 0; i < n; i++)
        api_buf_printf(b, "supernetd_supernet_subnets{supernet=\"%s\"} %zu\n", all[i]->name,
                       api_model_n_subnets(all[i]));
}

enum problem_code api_get_metrics(struct call *call)
{
    struct api     *api = call->api;
    struct api_buf *b = &call->body;
    size_t          n;
    struct model  **all = api_store_list(&api->store, &n);

    if (!all) return api_fail_memory(&call->problem);
    family(b, "build_info", "gauge", "Constant 1, labelled with the version.");
    api_buf_printf(b, "supernetd_build_info{version=\"%s\"} 1\n", sn_version());
    number(b, "draining", "gauge", "1 while the daemon is shutting down.",
           atomic_load(&api->draining));
    put_requests(b, &api->metrics);
    put_seconds(b, &api->metrics);
    number(b, "forward_runs_total", "counter", "Subnets run by forwards.",
           get(&api->metrics.n_runs));
    number(b, "forward_split_total", "counter", "Those runs that several workers shared.",
           get(&api->metrics.n_splits));
    number(b, "forward_samples_total", "counter", "Samples in those runs.",
           get(&api->metrics.n_samples));
    put_memory(b, &api->account);
    put_plans(b, &api->plans);
    put_models(b, all, n);
    for (size_t i = 0; i < n; i++)
        api_model_unref(all[i]);
    free(all);
    return P_OK;
}
