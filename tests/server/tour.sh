#!/bin/bash
# tour.sh [URL]: do what the README says, in its order, and compare every output with
# what the README prints. Without URL a daemon is started; with one, that daemon is used.
. "$(dirname "$0")/lib.sh"
if [ $# -gt 0 ]; then url=$1; else start_daemon; fi

# Blocks marked ```console: a line "$ command", then its output up to the next one.
awk '/^```console/ { on = 1; next } /^```/ { on = 0 } on' README.md >"$work/tour"
cp -r deploy "$work/" && cd "$work" || exit 1 # the tour writes files

n=0 command=
verify() {
    [ -n "$command" ] || return 0
    n=$((n + 1))
    bash -o pipefail -c "${command//http:\/\/127.0.0.1:8080/$url}" >got 2>&1
    check "the command succeeds: $command" equal 0 $?
    check "the README prints what it prints: $command" equal "$(cat want)" "$(cat got)"
}
while IFS= read -r line; do
    if [[ $line == '$ '* ]]; then
        verify
        command=${line#'$ '}
        : >want
    else
        printf '%s\n' "$line" >>want
    fi
done <tour
verify
check "the README has a tour" test "$n" -gt 8

# What the tour took home is a supernet of its own, and answers the same.
if [ $# -eq 0 ]; then
    mkdir alone && cp spec.json weights.safetensors alone/
    cd - >/dev/null || exit 1
    want=$(curl -fs "$url/v1/supernets/digits/forward" -d @deploy/demo/seven.json | jq -c '.results[0].outputs')
    stop_daemon
    start_daemon --supernet "alone=$work/alone"
    check "the exported network has nothing left to choose" equal 1 "$(curl -fs "$url/v1/supernets" | jq -r '.supernets[0].space_size')"
    check "the exported network answers the same" equal "$want" \
        "$(jq '. + {choices: {}}' deploy/demo/seven.json | curl -fs "$url/v1/supernets/alone/forward" -d @- | jq -c '.results[0].outputs')"
fi
finish
