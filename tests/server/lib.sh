# lib.sh: what the tests of the running daemon share. Source it from the project's root.
#
#     start_daemon [OPTION...]   start it on a free port; sets $url and $daemon
#     stop_daemon                SIGTERM, wait; sets $status
#     check SENTENCE COMMAND...  one test: does the command succeed?
#     finish                     the closing line and the exit status
#
# Needs curl and jq.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
SUPERNETD=${SUPERNETD:-build/release/supernetd}
work=$(mktemp -d)
passed=0 failed=0 daemon=

cleanup() {
    [ -z "$daemon" ] || kill -9 "$daemon" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT

start_daemon() {
    : >"$work/log"
    "$SUPERNETD" --port 0 "$@" >"$work/out" 2>"$work/log" &
    daemon=$!
    for _ in $(seq 600); do
        url=$(grep -om1 'http://127\.0\.0\.1:[0-9]*' "$work/out")
        [ -n "$url" ] && curl -fs "$url/readyz" >/dev/null && return 0
        kill -0 "$daemon" 2>/dev/null || break
        sleep 0.1
    done
    echo "the daemon did not start:"
    cat "$work/out" "$work/log"
    exit 1
}

stop_daemon() {
    kill -TERM "$daemon"
    wait "$daemon"
    status=$?
    daemon=
}

check() {
    local sentence=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "not ok: $sentence"
    fi
}

# equal WANT GOT: for check
equal() {
    [ "$1" = "$2" ] || { printf '  want: %s\n  got:  %s\n' "$1" "$2"; return 1; }
}

# code ARGUMENTS...: the HTTP status of a request; the body is left in $work/body
code() { curl -s -o "$work/body" -w '%{http_code}' "$@"; }

finish() {
    [ -z "$daemon" ] || stop_daemon
    grep -sE 'Sanitizer|runtime error' "$work/log" && failed=$((failed + 1))
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
    exit
}
