#!/bin/bash
# 32 clients at once, each with a subnet of its own: every answer equals the answer that
# its subnet gave alone.
. "$(dirname "$0")/lib.sh"
start_daemon --queue 256
m=$url/v1/supernets/digits
n=32 rounds=${ROUNDS:-10}

curl -fs -d "{\"count\": $n, \"seed\": 1}" "$m/resample" >"$work/subnets"
check "32 subnets are drawn, nearly all different" \
    test "$(jq '[.subnets[].id] | unique | length' "$work/subnets")" -ge 24

# Requests by id, and with inline choices, alternate: the second needs no memory of the first.
for i in $(seq 0 $((n - 1))); do
    jq -c --slurpfile digit deploy/demo/seven.json \
        ".subnets[$i] as \$s | \$digit[0] + {subnet: \$s.id}" "$work/subnets" >"$work/id.$i"
    jq -c --slurpfile digit deploy/demo/seven.json \
        ".subnets[$i] as \$s | \$digit[0] + {choices: \$s.choices}" "$work/subnets" >"$work/choices.$i"
    curl -fs -d "@$work/id.$i" "$m/forward" >"$work/alone.$i"
done
check "different subnets give different answers" \
    test "$(cat "$work"/alone.* | jq -c '.results[0].outputs' | sort -u | wc -l)" -gt 16

client() {
    for round in $(seq "$rounds"); do
        form=id
        [ $((round % 2)) -eq 0 ] && form=choices
        curl -fs -d "@$work/$form.$1" "$m/forward" | cmp -s - "$work/alone.$1" || echo "client $1, round $round, $form"
    done
}
pids=
for i in $(seq 0 $((n - 1))); do
    client "$i" >"$work/wrong.$i" 2>&1 &
    pids="$pids $!"
done
# shellcheck disable=SC2086  # numbers
wait $pids
check "all $((n * rounds)) concurrent answers equal those given alone" equal "" "$(cat "$work"/wrong.*)"

stop_daemon
check "the daemon ends with status 0" equal 0 "$status"
finish
