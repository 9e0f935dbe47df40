#!/bin/bash
# Requests made from the document, valid and not, against the running daemon: no answer that the document
# does not describe, no 500, nothing accepted that it excludes. What is valid by its schema may still not
# fit (422): that two members exclude each other, or what a label takes, is no matter of schemas.
. "$(dirname "$0")/../server/lib.sh"
venv=$PWD/build/interop/venv
mkdir -p "$work/models/digits"
cp deploy/demo/spec.json deploy/demo/weights.safetensors "$work/models/digits/"
start_daemon --model-dir "$work/models" --max-body 1M
m=$url/v1/supernets/digits

run() { # NAME LINES-OF-CONFIGURATION
    cat >"$work/schemathesis.toml" <<EOF
[checks]
positive_data_acceptance.expected-statuses = ["2xx", 404, 409, 413, 422]
$2
EOF

    # From there, for it keeps files of its own where it runs.
    (cd "$work" && "$venv/bin/schemathesis" --config-file "$work/schemathesis.toml" run "$url/openapi.json" --checks all \
        --phases examples,coverage,fuzzing --max-examples "${EXAMPLES:-15}" --seed 1 --generation-database none \
        --request-timeout 20 --warnings off --no-color) >"$work/ran" 2>&1
    status=$?
    # "947 generated, 947 passed", or "947 generated, 7 found 7 unique failures"
    read -r ok bad < <(awk '/ generated, / { bad = $4 == "found" ? $3 : 0; print $1 - bad, bad }' "$work/ran")
    ok=${ok:-0} bad=${bad:-0}
    [ "$status" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
    [ "$bad" -eq 0 ] || { echo "$1:"; sed -n '/= FAILURES =/,$p' "$work/ran" | head -n 120; [ "$ok" -gt 0 ] || tail -n 20 "$work/ran"; }
    passed=$((passed + ok)) failed=$((failed + bad))
    check "$1: the daemon lives" test "$(code "$url/healthz")" = 200
}

run "whatever comes" ""

# And where everything that is named exists.
code -X PUT "$m" -d '{"path": "digits"}' >/dev/null
code -X PUT "$m/policies/mine" -d '{"policy": "differentiable"}' >/dev/null
id=$(curl -fs "$m/resample" -d '{"seed": 7}' | jq -r '.subnets[0].id')
run "what exists" "[parameters]
\"path.m\" = \"digits\"
\"path.p\" = \"mine\"
\"path.id\" = \"$id\"
\"query.subnet\" = \"$id\"
\"query.policy\" = \"mine\""
check "nothing was a 500" test "$(curl -fs "$url/metrics" | grep -c 'code="500"')" = 0
finish
