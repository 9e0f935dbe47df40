#!/bin/bash
# bench.sh BUILD: latency, throughput and memory of the demo, through the library and
# through HTTP, as one table of medians.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=$1
work=$(mktemp -d)
trap 'kill $daemon 2>/dev/null; rm -rf "$work"' EXIT

row() { printf '%-46s %12s %s\n' "$1" "$2" "$3"; }
# NNI 2.8's own forward of the demo with a new architecture each time, by path sampling, on a
# machine like the first of RESULTS.md: 9 ms.
nni_us=9000

row "the demo" "median" "unit"
"$build/bench_demo" | while IFS=$'\t' read -r name value unit; do
    row "$name" "$value" "$unit"
    [ "$name" = "draw, compile and run a never-seen subnet" ] &&
        row "NNI's path sampling, 9 ms, beside that" "$(awk "BEGIN {printf \"%.0f\", $nni_us / $value}")" "times as long"
done

"$build/supernetd" --port 0 --log-level warn >"$work/out" 2>"$work/log" &
daemon=$!
for _ in $(seq 100); do
    url=$(grep -om1 'http://127\.0\.0\.1:[0-9]*' "$work/out") && break
    sleep 0.05
done
m=$url/v1/supernets/digits
curl -fs "$m/resample" -d '{"seed": 7}' >/dev/null || { cat "$work/log"; exit 1; }

# One image as JSON and as safetensors; sixteen as safetensors.
cp deploy/demo/seven.json "$work/json"
python3 - "$work" <<'PY'
import json, struct, sys
for n in 1, 16:
    header = json.dumps({"image": {"dtype": "F32", "shape": [n, 1, 8, 8], "data_offsets": [0, 256 * n]}}).encode()
    header += b" " * (-len(header) % 8)
    open("%s/tensors%d" % (sys.argv[1], n), "wb").write(struct.pack("<Q", len(header)) + header + struct.pack("<%df" % (64 * n), *([0.5] * 64 * n)))
PY

load() { # NAME BODY TYPE CONNECTIONS
    BODY=$work/$2 TYPE=$3 wrk -t1 -c"$4" -d"${SECONDS_EACH:-3}s" --latency -s tests/bench/post.lua "$m/forward" >"$work/wrk" || exit 1
    grep -q 'Non-2xx' "$work/wrk" && { cat "$work/wrk"; exit 1; }
    row "$1, latency" "$(awk '/ 50% /{print $2}' "$work/wrk")" "(median, $4 connection$([ "$4" -gt 1 ] && echo s))"
    row "$1, throughput" "$(awk '/Requests\/sec/{print $2}' "$work/wrk")" "requests/s"
}
load "HTTP forward, JSON, batch 1" json application/json 1
load "HTTP forward, JSON, batch 1" json application/json 8
load "HTTP forward, binary, batch 1" tensors1 application/x-safetensors 1
load "HTTP forward, binary, batch 1" tensors1 application/x-safetensors 8
load "HTTP forward, binary, batch 16" tensors16 application/x-safetensors 8
row "peak memory of the daemon" "$(awk '/^VmHWM/{printf "%.1f", $2 / 1024}' "/proc/$daemon/status")" "MB"
