#!/bin/bash
# Documents and choices that are small and ask for much are refused in little time and memory; what
# once ended the daemon is answered.
. "$(dirname "$0")/lib.sh"
python3 tests/server/documents.py "$work/models"
start_daemon --model-dir "$work/models"

peak_kb() { awk '/VmHWM/ { print $2 }' "/proc/$daemon/status"; }

# load NAME: the status of loading it
load() {
    code -X PUT "$url/v1/supernets/$1" -H 'Content-Type: application/json' -d "{\"path\": \"$1\"}"
}

# choose NAME CHOICES: the status of sealing them
choose() {
    code -X POST "$url/v1/supernets/$1/subnets" -H 'Content-Type: application/json' \
        -d "{\"choices\": $2}"
}

before=$(peak_kb)
for name in repeats colliding tuples tokens; do
    status=$(load "$name")
    check "$name: refused, and not for want of a server" test "$status" -ge 400 -a "$status" -lt 500
    check "$name: the reason is a limit" grep -q "the limit" "$work/body"
done
check "documents of every size: less than 100 MB more" test $(($(peak_kb) - before)) -lt 100000

check "a network with choices of integers" equal 201 "$(load kinds)"
check "4.0 stands for the candidate 4" test "$(choose kinds '{"h": 4.0}')" -lt 300
check "and is shown as it" equal 4 "$(jq -c .choices.h "$work/body")"
id=$(jq -r .id "$work/body")
check "it runs" equal 200 "$(code "$url/v1/supernets/kinds/forward" \
    -d "{\"subnet\": \"$id\", \"inputs\": {\"x\": [[1, 2, 3, 4]]}}")"

check "a label that an expression reads" equal 201 "$(load lists)"
check "takes no list" equal 422 "$(choose lists '{"op": ["0", "1"]}')"
check "and says so" equal not_candidate "$(jq -r .error.code "$work/body")"
check "but one" test "$(choose lists '{"op": "1"}')" -lt 300

check "choices in each other" equal 201 "$(load nested)"
list=$(printf '"0",%.0s' $(seq 63))'"0"'
check "64 times each: refused" test "$(choose nested "$(for i in 0 1 2 3 4 5; do
    printf '%s"l%d": [%s]' "$([ $i = 0 ] && echo '{' || echo ', ')" $i "$list"
done)}")" -ge 400
check "with a limit as the reason" equal limit "$(jq -r .error.code "$work/body")"
check "it took less than 100 MB" test $(($(peak_kb) - before)) -lt 200000
check "the daemon is well" curl -fs "$url/healthz" -o /dev/null
stop_daemon
check "it ends as it should" equal 0 "$status"
finish
