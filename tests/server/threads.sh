#!/bin/bash
# One request on one worker or on several: the answers are the same bytes, alone, beside idle
# workers and under load; and helpers are there for whoever comes next.
. "$(dirname "$0")/lib.sh"

# A supernet with layers that are worth sharing, and an input for it.
python3 - "$work" <<'PYTHON'
import array, json, os, random, struct, sys

work, rng = sys.argv[1], random.Random(1)


def write(path, tensors):
    header, data = {}, b""
    for name, shape in tensors:
        n = 1
        for d in shape:
            n *= d
        bytes_ = array.array("f", (rng.uniform(-0.05, 0.05) for _ in range(n))).tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(bytes_)]}
        data += bytes_
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def conv(name, n_in, n_out):
    return {"name": name, "type": "Conv2d", "in_channels": n_in, "out_channels": n_out, "kernel_size": 3, "padding": 1}


os.mkdir(work + "/wide")
with open(work + "/wide/spec.json", "w") as f:
    json.dump({"format": "supernet/1", "name": "wide", "choices": {"w": [48, 64]},
               "inputs": [{"name": "x", "dtype": "F32", "shape": ["N", 16, 20, 20]}],
               "model": {"type": "Sequential", "layers": [
                   conv("a", 16, "w"), {"type": "ReLU"}, conv("b", "w", 64), {"type": "ReLU"},
                   {"type": "AdaptiveAvgPool2d", "output_size": 4}, {"type": "Flatten"},
                   {"name": "c", "type": "Linear", "in_features": 1024, "out_features": 700},
                   {"name": "d", "type": "Linear", "in_features": 700, "out_features": 9}]}}, f)
write(work + "/wide/weights.safetensors",
      [("a.weight", [64, 16, 3, 3]), ("a.bias", [64]), ("b.weight", [64, 64, 3, 3]), ("b.bias", [64]),
       ("c.weight", [700, 1024]), ("c.bias", [700]), ("d.weight", [9, 700]), ("d.bias", [9])])
for n in (1, 4):
    write("%s/x%d" % (work, n), [("x", [n, 16, 20, 20])])
PYTHON

start() { # OPTION...: the daemon, and the ids of both subnets
    start_daemon --supernet "wide=$work/wide" "$@"
    m=$url/v1/supernets/wide
    for w in 48 64; do curl -fs "$m/subnets" -d "{\"choices\": {\"w\": $w}}" | jq -r .id; done >"$work/ids"
}
forward() { # BATCH ID
    curl -fs "$m/forward?subnet=$2" -H 'Content-Type: application/x-safetensors' --data-binary "@$work/x$1"
}
all() { # both inputs through both subnets, into files $work/NAME.BATCH.ID
    while read -r id; do
        for n in 1 4; do forward $n "$id" >"$work/$1.$n.$id"; done
    done <"$work/ids"
}
same() { # NAME: as the answers of `alone`
    local file
    for file in "$work"/alone.*; do cmp "$file" "$work/$1.${file#*alone.}" || return 1; done
}
split() { curl -fs "$url/metrics" | awk '/^supernetd_forward_split_total/ {print $2}'; }

# ---- latency: one request on two workers ----

start --workers 1 --threads-per-request 1
all alone
check "one thread splits nothing" equal 0 "$(split)"
stop_daemon
check "four answers, all different" equal 4 "$(sha256sum "$work"/alone.* | cut -c1-64 | sort -u | wc -l)"

start --workers 2 --threads-per-request 2
for round in $(seq 50); do
    all shared
    check "two threads give the bytes of one, round $round" same shared
    [ "$(split)" -gt 0 ] && break
done
check "the other worker took part" test "$(split)" -gt 0

# ---- throughput: more requests than workers ----

client() {
    for round in $(seq "${ROUNDS:-2}"); do
        while read -r id; do
            for n in 1 4; do
                forward $n "$id" | cmp -s - "$work/alone.$n.$id" || echo "client $1, round $round, $n of $id"
            done
        done <"$work/ids"
    done
}
pids=
for i in 1 2 3 4; do
    client $i >"$work/wrong.$i" 2>&1 &
    pids="$pids $!"
done
# shellcheck disable=SC2086  # numbers
wait $pids
check "under load as well" equal "" "$(cat "$work"/wrong.*)"
stop_daemon
check "the daemon ends with status 0" equal 0 "$status"

# ---- what the sums are made of ----

start --workers 2 --threads-per-request 2 --exact
all exact
check "--exact is the default for a specification without Winograd" same exact
stop_daemon
start --workers 1 --winograd
all winograd
stop_daemon
start --workers 2 --threads-per-request 2 --winograd
all again
stop_daemon
check "Winograd's bits do not depend on threads either" \
    equal "$(cat "$work"/winograd.* | sha256sum)" "$(cat "$work"/again.* | sha256sum)"
check "and are near the others" python3 - "$work" <<'PYTHON'
import array, glob, struct, sys

worst = 0
for path in glob.glob(sys.argv[1] + "/alone.*"):
    a, b = (open(p, "rb").read() for p in (path, path.replace("/alone.", "/winograd.")))
    a, b = (array.array("f", x[8 + struct.unpack("<Q", x[:8])[0]:]) for x in (a, b))
    worst = max(worst, max(abs(x - y) for x, y in zip(a, b)) / max(map(abs, a)))
sys.exit(not worst < 1e-3)
PYTHON
finish
