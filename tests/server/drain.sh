#!/bin/bash
# SIGTERM under load: what was accepted is answered, new connections are refused, the
# daemon ends with status 0 and says why it went.
. "$(dirname "$0")/lib.sh"
start_daemon --queue 256
m=$url/v1/supernets/digits
curl -fs -d '{"seed": 3}' "$m/resample" >/dev/null

client() { # a body came completely, or the connection did: never half an answer
    while :; do
        got=$(curl -s -w '\n%{http_code}' -d @deploy/demo/seven.json "$m/forward")
        curl_status=$?
        http=${got##*$'\n'}
        case $curl_status:$http in
        0:200) [ "$(jq '.results[0].outputs.output[0] | length' <<<"${got%$'\n'*}")" = 10 ] || echo "half an answer" ;;
        0:503) break ;;
        7:* | 56:* | 52:*) break ;; # refused, or closed before anything was sent
        *) echo "curl $curl_status, http $http"; break ;;
        esac
    done
}
for i in $(seq 8); do client >"$work/wrong.$i" 2>&1 & done
sleep 1
stop_daemon
wait
check "the daemon ends with status 0" equal 0 "$status"
check "no request got half an answer" equal "" "$(cat "$work"/wrong.*)"
check "the log tells that it drained" grep -q 'event=stop' "$work/log"
finish
