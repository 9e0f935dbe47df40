#!/bin/bash
# conformance.sh BUILD: the golden cases of path sampling, and the proof that their
# runner can fail. The sanitizers get every third case: they judge memory, not numbers.
set -u
build=$1
every=1
case $build in */asan | */tsan) every=3 ;; esac

# Everything that needs neither a Cell nor a distribution.
cases=tests/conformance/cases extra=tests/conformance/extra/cases
groups=("$cases"/{linear,conv2d,batchnorm2d,mha,layerchoice,inputchoice,repeat,nested,expr}
    "$extra/layernorm")
for file in "$cases"/error/*.json "$extra"/substate/*.json; do
    case $file in *-cell-*) ;; *) groups+=("$file") ;; esac
done

selftest=$(tests/conformance/selftest.sh "$build/conformance" 2>&1)
status=$?
echo "$selftest"
golden=$("$build/conformance" --policy path --every "$every" "${groups[@]}" 2>&1)
status=$((status + $?))
echo "$golden"
printf '%s\n%s\n' "$(tail -n 1 <<<"$selftest")" "$(tail -n 1 <<<"$golden")" |
    awk '{ ok += $1; bad += $3 } END { print ok " passed, " bad + 0 " failed" }'
[ "$status" -eq 0 ]
