#!/bin/bash
# coverage.sh CORPUS TARGET...: run every target once over its corpus and what was once found
# (regression/), and print how many lines of core and api they reach, by folder and in all.
set -u
corpus=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for target in "$@"; do
    name=$(basename "$target")
    seeds=$(find "$corpus/$name" "tests/fuzz/regression/$name" -maxdepth 0 2>/dev/null)
    # shellcheck disable=SC2086  # folders
    LLVM_PROFILE_FILE="$work/$name-%p.raw" "$target" -runs=0 -max_len=65536 -timeout=60 $seeds >"$work/log" 2>&1 ||
        { echo "not ok: $name"; tail -n 5 "$work/log"; }
done
llvm-profdata-14 merge -sparse "$work"/*.raw -o "$work/merged" || exit 1
objects=("$1")
for target in "${@:2}"; do objects+=(-object "$target"); done
llvm-cov-14 report "${objects[@]}" -instr-profile="$work/merged" core api 2>/dev/null |
    awk '/\.(c|h) / && $8 > 0 { split($1, part, "/"); sub(/[^\/]*$/, "", $1)
                      lines[$1] += $8; missed[$1] += $9; all += $8; none += $9
                      if (ENVIRON["FILES"]) printf "%6.1f %% of %5d lines  %s%s\n", 100 * (1 - $9 / $8), $8, $1, part[length(part)] }
         END { for (d in lines) printf "%6.1f %% of %5d lines  %s\n", 100 * (1 - missed[d] / lines[d]), lines[d], d | "sort -k 6"
               close("sort -k 6")
               printf "%6.1f %% of %5d lines  core and api\n", 100 * (1 - none / all), all }'
