#!/bin/bash
# run.sh SUITE...: run each suite, show what fails, and add everything up.
#
# A suite is a command. It says how many tests passed and failed in one of two ways:
# lines of cmocka ("[  PASSED  ] 3 test(s)."), or a last line "N passed, N failed".
# One that exits with an error without saying what failed counts as one failure.
# The closing line is `N passed, N failed`; the exit status is 0 if nothing failed.
set -u
passed=0 failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

for suite in "$@"; do
    started=$(date +%s)
    # shellcheck disable=SC2086  # a command with its arguments
    timeout "${SUITE_TIMEOUT:-900}" $suite >"$log" 2>&1 </dev/null
    status=$?
    counts=$(awk '
        /^\[  PASSED  \] [0-9]+ test/ { ok += $4 }
        /^\[  FAILED  \] [0-9]+ test/ { bad += $4 }
        /^([a-z]+: )?[0-9]+ passed, [0-9]+ failed/ { sub(/^[a-z]+: /, ""); last_ok = $1; last_bad = $3 }
        END { print ok + last_ok, bad + last_bad }' "$log")
    read -r ok bad <<<"$counts"
    [ $status -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
    [ $((ok + bad)) -gt 0 ] || bad=1 # a suite that tests nothing is broken
    passed=$((passed + ok)) failed=$((failed + bad))
    if [ "$bad" -gt 0 ]; then
        echo "FAIL $suite: $ok passed, $bad failed, exit status $status"
        grep -vE '^\[ (RUN|      OK) ' "$log" | tail -n "${SUITE_LINES:-60}" | sed 's/^/    /'
    else
        echo "ok   $suite: $ok passed ($(($(date +%s) - started)) s)"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
