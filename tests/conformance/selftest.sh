#!/bin/bash
# selftest.sh RUNNER: show that the conformance runner can fail. Healthy cases pass;
# the same cases with one thing wrong do not.
set -u
runner=$1
cases=$(dirname "$0")/cases
extra=$(dirname "$0")/extra/cases
passed=0 failed=0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# A fresh copy of GROUP/ID below $tmp/cases.
copy() {
    local from=$cases
    [ -d "$cases/$1" ] || from=$extra
    rm -rf "$tmp/cases"
    mkdir -p "$tmp/cases/$1"
    cp "$from/$1/$2".* "$tmp/cases/$1/"
    chmod -R u+w "$tmp/cases"
    json=$tmp/cases/$1/$2.json tensors=$tmp/cases/$1/$2.safetensors
}

edit() { # jq program
    jq "$1" "$json" >"$tmp/edited" && mv "$tmp/edited" "$json"
}

# Count a sentence as held if the runner ends with WANT (pass or fail) and says so in
# its last line too.
expect() { # want, sentence, options...
    local want=$1 sentence=$2 out status line
    shift 2
    out=$("$runner" --deviations "$rules" "$@" "$tmp/cases" 2>&1)
    status=$?
    line=$(tail -n 1 <<<"$out")
    if { [ "$want" = pass ] && [ $status -eq 0 ] && [[ $line == "1 passed, 0 failed, 0 skipped" ]]; } ||
        { [ "$want" = fail ] && [ $status -eq 1 ] && [[ $line == "0 passed, 1 failed, 0 skipped" ]]; } ||
        { [ "$want" = skip ] && [ $status -eq 0 ] && [[ $line == "0 passed, 0 failed, 1 skipped" ]]; } ||
        { [ "$want" = none ] && [ $status -eq 1 ] && [[ $line == "0 passed, 0 failed, 0 skipped" ]]; }; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "not ok: $sentence (exit status $status)"
        sed 's/^/    /' <<<"$out"
    fi
}

# Flip the highest bit of the exponent of the first float of a tensor.
spoil() { # tensor
    local header start at byte
    header=$(head -c 8 "$tensors" | od -An -tu8 | tr -d ' ')
    start=$(head -c $((8 + header)) "$tensors" | tail -c "$header" | jq ".\"$1\".data_offsets[0]")
    at=$((8 + header + start + 3))
    byte=$(od -An -tu1 -j "$at" -N 1 "$tensors" | tr -d ' ')
    printf "\\x$(printf %02x $((byte ^ 64)))" | dd of="$tensors" bs=1 seek="$at" conv=notrunc status=none
}

rules=$tmp/rules.json
echo '{"rules": []}' >"$rules"

# ---- healthy cases pass ---------------------------------------------------------------

healthy="linear/linear-path-maxmin-3-4 batchnorm2d/bn-path-eval-2 mha/mha-rand-60
    layerchoice/layer-path-index-1 inputchoice/input-path-mean-0-3 repeat/repeat-path-tuple-3
    nested/nested-path-mlp-4 expr/expr-bits-25 expr/dedup-shared expr/weights-unnormalised
    error/err-linear-input-too-wide"
for name in $healthy; do
    copy "${name%/*}" "${name#*/}"
    expect pass "$name passes as it is"
done

# ---- a dropped key ----------------------------------------------------------------------

keys_of() { # GROUP/ID -> what must be there
    case $1 in
    expr/expr-*) echo format id group op policy choices tags error expr leaves dry_run all_options \
        weights weighted_options evaluate constant search_space ;;
    expr/dedup-*) echo exprs search_space choices error ;;
    expr/weights-*) echo expr weights weighted_options choices error ;;
    linear/*) echo format id group op policy training init choices chosen search_space resampled \
        forward inputs outputs params state_before state_after tags error ;;
    nested/*) echo paths choices chosen search_space resampled inputs outputs params error ;;
    *) echo init chosen search_space resampled inputs outputs params error ;;
    esac
}
for name in $healthy; do
    case $name in error/*) continue ;; esac
    for key in $(keys_of "$name"); do
        copy "${name%/*}" "${name#*/}"
        edit "del(.$key)"
        expect fail "$name without \"$key\" fails"
    done
done

# ---- a changed expectation -----------------------------------------------------------------

while IFS=';' read -r name program sentence; do
    copy "${name%/*}" "${name#*/}"
    edit "$program"
    expect fail "$name: $sentence"
done <<'ROWS'
linear/linear-path-maxmin-3-4;.resampled.a = 5;another resampled value fails
linear/linear-path-maxmin-3-4;.resampled.a = true;a resampled value of another kind fails
linear/linear-path-maxmin-3-4;.resampled.c = 1;a resampled label that is not there fails
linear/linear-path-maxmin-3-4;del(.resampled.a);a resampled label too few fails
linear/linear-path-maxmin-3-4;.search_space[0].values[1] = 7;another candidate in the space fails
linear/linear-path-maxmin-3-4;.search_space = (.search_space | reverse);another order of the space fails
linear/linear-path-maxmin-3-4;.search_space[1].size = 4;another size in the space fails
linear/linear-path-maxmin-3-4;.search_space[1].chosen_size = 2;another chosen_size in the space fails
linear/linear-path-maxmin-3-4;del(.search_space[1]);a label too few in the space fails
linear/linear-path-maxmin-3-4;.search_space = null;no space where nothing failed fails
linear/linear-path-maxmin-3-4;.choices.a = [3, 6];another candidate fails
linear/linear-path-maxmin-3-4;.chosen.a = 5;another choice than the computed one fails
linear/linear-path-maxmin-3-4;.outputs = [];an output too few fails
linear/linear-path-maxmin-3-4;.outputs = [null];an output that should be absent fails
linear/linear-path-maxmin-3-4;.outputs = ["other"];an output without tensor fails
linear/linear-path-maxmin-3-4;.params = ["weight"];a parameter too few fails
linear/linear-path-maxmin-3-4;.group = "lineal";an unknown group fails
linear/linear-path-maxmin-3-4;.op = "Lineal";an unknown operation fails
linear/linear-path-maxmin-3-4;.policy = "paths";an unknown policy fails
linear/linear-path-maxmin-3-4;.format = 2;an unknown format fails
linear/linear-path-maxmin-3-4;.error = {"kind": "ValueError", "phase": "forward", "message": "no"};an expected error that does not happen fails
batchnorm2d/bn-path-eval-2;.state_after = [];states too few fail
mha/mha-rand-60;.outputs[1] = null;attention weights that should be absent fail
inputchoice/input-path-mean-0-3;.resampled.ic = [3, 0];another order of a selection fails
expr/expr-bits-25;.dry_run = true;a dry run of another kind fails
expr/expr-bits-25;.leaves = ["b"];another leaf fails
expr/expr-bits-25;.leaves = ["a", "a"];a leaf too many fails
expr/expr-bits-25;.all_options = [0];an option too few fails
expr/expr-bits-25;.all_options = [1, 0];another order of the options fails
expr/expr-bits-25;.weighted_options[0][1] += 0.00001;another weight fails
expr/expr-bits-25;.evaluate[0].value = 0;another value fails
expr/expr-bits-25;.evaluate[0] = {"chosen": {"a": 1}, "error": {"kind": "ValueError", "phase": "evaluate"}};an error that does not happen fails
expr/expr-bits-25;del(.evaluate[0].value);an evaluation without result fails
expr/expr-bits-25;.evaluate = [];no evaluation at all fails
expr/expr-bits-25;.constant = 1;a constant where there is none fails
expr/expr-bits-25;.error = {"kind": "ValueError", "phase": "init", "message": "no"};a construction error that does not happen fails
expr/dedup-shared;.search_space[0].values = [3, 4, 7];another merged space fails
expr/weights-unnormalised;.weighted_options[0][1] = 2.1;another explicit weight fails
error/err-linear-input-too-wide;.error.phase = "resample";a refusal after its phase fails
error/err-linear-input-too-wide;.error.phase = "never";an unknown phase fails
error/err-linear-input-too-wide;.error = null;a refusal that is not expected fails
ROWS

# ---- tensors ----------------------------------------------------------------------------------

for row in linear/linear-path-maxmin-3-4:output linear/linear-path-maxmin-3-4:weight \
    linear/linear-path-maxmin-3-4:input batchnorm2d/bn-path-eval-2:after.running_mean \
    mha/mha-rand-60:output.attn_weights; do
    name=${row%:*} tensor=${row#*:}
    copy "${name%/*}" "${name#*/}"
    spoil "$tensor"
    expect fail "$name with another number in $tensor fails"
done
copy linear linear-path-maxmin-3-4
truncate -s -1 "$tensors"
expect fail "a truncated tensor file fails"
copy linear linear-path-maxmin-3-4
rm "$tensors"
expect fail "a missing tensor file fails"
copy linear linear-path-maxmin-3-4
echo '{"format": 1' >"$json"
expect fail "a file that is no JSON fails"

# ---- deviations and selections ------------------------------------------------------------------

copy linear linear-path-maxmin-3-4
edit '.error = {"kind": "ValueError", "phase": "forward", "message": "no"}'
cat >"$rules" <<'RULES'
{"rules": [{"name": "a", "group": "linear", "when": {"error.kind": "ValueError", "op": "/^Lin/"},
            "instead": "accepted", "reason": "it works here"}]}
RULES
expect skip "a rule excuses a refusal that does not happen"
edit '.error = null | .outputs = []'
expect fail "a rule excuses no case that it does not name"
sed -i 's/"error.kind": "ValueError", //' "$rules"
expect fail "a rule about a refusal excuses no wrong result"
echo '{"rules": []}' >"$rules"

copy linear linear-path-maxmin-3-4
expect none "no case of the group is an error" --group conv2d
expect none "no case of the policy is an error" --policy differentiable
rm -r "$tmp/cases" && mkdir "$tmp/cases"
expect none "a directory without cases is an error"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
