#!/bin/bash
# Ten thousand subnets, each run once: memory stays within the configured caches.
. "$(dirname "$0")/lib.sh"
start_daemon --plan-cache 8M --subnet-cache 1000 --max-subnets 500 --workers 2
m=$url/v1/supernets/digits
rss() { awk '/^VmRSS/ {print $2}' "/proc/$daemon/status"; }

# One input through 500 subnets per call, drawn by the server and sent back by id.
run() {
    curl -fs "$m/resample" -d "{\"count\": 500, \"seed\": $1}" >"$work/drawn"
    jq -c --slurpfile drawn "$work/drawn" '. + {subnets: [$drawn[0].subnets[].id]}' deploy/demo/seven.json |
        curl -fs "$m/forward" -d @- | jq '.results | length'
}
n=0
for i in $(seq 4); do n=$((n + $(run "$i"))); done
before=$(rss)
for i in $(seq 5 20); do n=$((n + $(run "$i"))); done
after=$(rss)
check "10000 subnets were run" equal 10000 "$n"
check "memory grew by less than 8 MB after the caches were full ($before -> $after kB)" \
    test $((after - before)) -lt 8192
curl -fs "$url/metrics" >"$work/metrics"
check "the plan cache keeps its limit" \
    test "$(awk '/^supernetd_plan_cache_bytes/ {print int($2)}' "$work/metrics")" -le $((8 << 20))
finish
