#!/bin/bash
# conformance.sh BUILD: every golden case, in the default mode and with --exact, and the
# proof that their runner can fail. The sanitizers get every third case: they judge memory, not numbers.
set -u
build=$1
every=1
case $build in */asan | */tsan) every=3 ;; esac

selftest=$(tests/conformance/selftest.sh "$build/conformance" 2>&1)
status=$?
echo "$selftest"
golden=$("$build/conformance" --every "$every" tests/conformance 2>&1)
status=$((status + $?))
echo "$golden"
exact=$("$build/conformance" --exact --every "$every" tests/conformance 2>&1)
status=$((status + $?))
echo "$exact"
printf '%s\n' "$(tail -n 1 <<<"$selftest")" "$(tail -n 1 <<<"$golden")" "$(tail -n 1 <<<"$exact")" |
    awk '{ ok += $1; bad += $3 } END { print ok " passed, " bad + 0 " failed" }'
[ "$status" -eq 0 ]
