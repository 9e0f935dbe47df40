/* metrics: the text form of Prometheus. A series that never counted is left out
 * of the histograms, so that a scrape stays short. */
#include <stdio.h>
#include <stdlib.h>

#include "daemon/process.h"
#include "http/route.h"
#include "resident/resident.h"
#include "supernet/host.h"

static uint64_t get(const atomic_uint_fast64_t *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
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

/* The counters of route i, where METRICS_MAX_ROUTES stands behind the last route. */
static struct metrics_route *counters(struct metrics *m, size_t i)
{
    return &m->route[i < m->n_routes ? i : METRICS_MAX_ROUTES];
}

static void put_requests(struct api_buf *b, struct metrics *m)
{
    family(b, "requests_total", "counter",
           "Requests answered, also refused ones, by endpoint, class of status and status.");
    for (size_t i = 0; i <= m->n_routes; i++)
        for (int k = 0; k < METRICS_STATUSES; k++) {
            const uint64_t n = get(&counters(m, i)->n_replies[k]);
            char class[16] = "other", code[16] = "other";

            if (!n) continue;
            if (metrics_statuses[k]) {
                snprintf(class, sizeof class, "%dxx", metrics_statuses[k] / 100);
                snprintf(code, sizeof code, "%d", metrics_statuses[k]);
            }
            api_buf_printf(
                b, "supernetd_requests_total{route=\"%s\",status=\"%s\",code=\"%s\"} %llu\n",
                counters(m, i)->name, class, code, (unsigned long long)n);
        }
}

/* `label` is "", or begins the braces: "{route=\"space\"". */
static void put_histogram(struct api_buf *b, const char *name, const char *label,
                          struct metrics_histogram *h)
{
    const char *comma = label[0] ? "," : "{", *end = label[0] ? "}" : "";
    uint64_t    n = 0;

    for (int k = 0; k < METRICS_BUCKETS; k++) {
        n += get(&h->n_within[k]);
        api_buf_printf(b, "supernetd_%s_bucket%s%sle=\"%s\"} %llu\n", name, label, comma,
                       metrics_buckets[k].text, (unsigned long long)n);
    }
    n += get(&h->n_slower);
    api_buf_printf(b, "supernetd_%s_bucket%s%sle=\"+Inf\"} %llu\n", name, label, comma,
                   (unsigned long long)n);
    api_buf_printf(b, "supernetd_%s_sum%s%s %.9g\n", name, label, end,
                   (double)get(&h->sum_ns) * 1e-9);
    api_buf_printf(b, "supernetd_%s_count%s%s %llu\n", name, label, end, (unsigned long long)n);
}

static void put_seconds(struct api_buf *b, struct metrics *m)
{
    char label[64];

    family(b, "run_seconds", "histogram",
           "Time to handle a request, without queueing and transfer.");
    for (size_t i = 0; i <= m->n_routes; i++) {
        struct metrics_histogram *h = &counters(m, i)->time;
        uint64_t                  n = get(&h->n_slower);

        for (int k = 0; k < METRICS_BUCKETS; k++)
            n += get(&h->n_within[k]);
        if (n == 0) continue;
        snprintf(label, sizeof label, "{route=\"%s\"", counters(m, i)->name);
        put_histogram(b, "run_seconds", label, h);
    }
    family(b, "queue_seconds", "histogram", "Time that requests waited for a worker.");
    put_histogram(b, "queue_seconds", "", &m->wait);
}

static void put_figures(struct api_buf *b, struct api *api)
{
    struct api_figures f = {0};

    if (!api->read_figures) return;
    api->read_figures(api->figures_cls, &f);
    number(b, "connections", "gauge", "Connections of clients.", f.connections);
    number(b, "connections_limit", "gauge", "How many there may be.", f.max_connections);
    number(b, "requests_in_flight", "gauge", "Requests between their headers and the reply's end.",
           f.in_flight);
    number(b, "requests_running", "gauge", "Requests that workers compute.", f.running);
    number(b, "queue_length", "gauge", "Requests that wait for a worker.", f.waiting);
    number(b, "queue_limit", "gauge", "How many may wait.", f.queue);
    number(b, "workers", "gauge", "Threads that compute.", f.workers);
    number(b, "requests_left_total", "counter", "Requests whose clients left before the answer.",
           f.left);
    family(b, "hangups_total", "counter", "Connections that were closed on clients, by reason.");
    api_buf_printf(b,
                   "supernetd_hangups_total{reason=\"slow\"} %llu\n"
                   "supernetd_hangups_total{reason=\"stuck\"} %llu\n"
                   "supernetd_hangups_total{reason=\"room\"} %llu\n"
                   "supernetd_hangups_total{reason=\"left\"} %llu\n",
                   (unsigned long long)f.slow, (unsigned long long)f.stuck,
                   (unsigned long long)f.for_room, (unsigned long long)f.gone);
    number(b, "log_dropped_total", "counter", "Lines of the log that were dropped unread.",
           f.log_dropped);
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
    put_figures(b, api);
    number(b, "forward_runs_total", "counter", "Subnets run by forwards.",
           get(&api->metrics.n_runs));
    number(b, "forward_split_total", "counter", "Those runs that several workers shared.",
           get(&api->metrics.n_splits));
    number(b, "forward_samples_total", "counter", "Samples in those runs.",
           get(&api->metrics.n_samples));
    put_memory(b, &api->account);
    put_plans(b, &api->plans);
    put_models(b, all, n);
    api_put_process(b);
    for (size_t i = 0; i < n; i++)
        api_model_unref(all[i]);
    free(all);
    return P_OK;
}
