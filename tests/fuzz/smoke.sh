#!/bin/bash
# smoke.sh SECONDS FUZZER...: run each fuzz target for its share of the time, from its
# corpus, with a fixed seed. What was once found (regression/) is run first.
# FUZZ_RUNS=n ends each after n inputs: the same ones every time, whatever the machine.
set -u
seconds=$1
shift
passed=0 failed=0
share=$((seconds / $#))
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for fuzzer in "$@"; do
    name=$(basename "$fuzzer")
    mkdir -p "$work/$name"
    seeds=$(find "tests/fuzz/corpus/$name" "tests/fuzz/regression/$name" -maxdepth 0 2>/dev/null)
    # shellcheck disable=SC2086  # folders
    if "$fuzzer" -max_total_time=$((share > 0 ? share : 1)) ${FUZZ_RUNS:+-runs=$FUZZ_RUNS} -seed=1 -entropic=0 -max_len=65536 -rss_limit_mb=4096 \
        -timeout=20 -artifact_prefix="$work/" "$work/$name" $seeds >"$work/log" 2>&1; then
        passed=$((passed + 1))
        grep -E '^Done' "$work/log" | sed "s/^/$name: /"
    else
        failed=$((failed + 1))
        echo "not ok: $name found something"
        tail -n 40 "$work/log"
        for found in "$work"/crash-* "$work"/timeout-* "$work"/oom-* "$work"/leak-*; do
            [ -f "$found" ] && { echo "$found (base64):"; base64 "$found" | head -n 40; rm "$found"; }
        done
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
