#!/bin/bash
# Training mode over HTTP: batch statistics, updated on a copy of the call's own; what is
# served stays as it is.
. "$(dirname "$0")/lib.sh"
start_daemon
m=$url/v1/supernets/digits
curl -fs "$m/resample" -d '{"seed": 7}' >/dev/null
before=$(curl -fs "$m/forward" -d @deploy/demo/seven.json)
trained=$(jq '. + {mode: "train"}' deploy/demo/seven.json | curl -fs "$m/forward" -d @-)
check "the statistics of the call come back" \
    equal '["stem.norm.running_mean","stem.norm.running_var"]' "$(jq -c '.results[0].state | keys' <<<"$trained")"
check "batch statistics give other outputs" \
    test "$(jq -c '.results[0].outputs' <<<"$before")" != "$(jq -c '.results[0].outputs' <<<"$trained")"
again=$(jq '. + {mode: "train"}' deploy/demo/seven.json | curl -fs "$m/forward" -d @-)
check "each call starts from what is served" equal "$trained" "$again"
check "what is served is untouched" equal "$before" "$(curl -fs "$m/forward" -d @deploy/demo/seven.json)"
check "eval mode has no state to tell of" equal null "$(jq '.results[0].state' <<<"$before")"
check "another mode is refused" equal 422 "$(jq '. + {mode: "test"}' deploy/demo/seven.json | code "$m/forward" -d @-)"
finish
