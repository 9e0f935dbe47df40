#!/bin/bash
# A mapped file of weights is damaged while it is served: the daemon lives, says so, and answers
# the other supernets; and what is no file is refused at once. See "Mapped files" in api/spec.md.
. "$(dirname "$0")/lib.sh"
python=(python3 tests/server/mapped.py)
models=$work/models
mkdir -p "$models/other" "$work/outside"
cp deploy/demo/spec.json deploy/demo/weights.safetensors "$models/other/"
cp deploy/demo/spec.json deploy/demo/weights.safetensors "$work/outside/"
"${python[@]}" make "$work/first" 1
"${python[@]}" make "$work/second" 2
put() { code -X PUT "$url/v1/supernets/$1" -d "{\"path\": \"${2:-$1}\"}"; }
forward() { code "$url/v1/supernets/big/forward" -d @"$work/first/body.json"; }
word() { jq -r .error.code "$work/body"; }
value() { jq -c '.results[0].outputs' "$work/body"; }
fresh() { rm -rf "$models/big"; cp -r "$work/first" "$models/big"; }
file=$models/big/weights.safetensors

start_daemon --model-dir "$models" --workers 2
put other >/dev/null
fresh
put big >/dev/null
check "the healthy supernet answers" equal 200 "$(forward)"
right=$(value)

# healthy SENTENCE: what happened to the names of the file does not matter
healthy() {
    check "$1: answered" equal 200 "$(forward)"
    check "$1: with the weights that were loaded" equal "$right" "$(value)"
    check "$1: ready" equal 200 "$(code "$url/readyz")"
}
cp "$work/second/weights.safetensors" "$models/big/new"
mv "$models/big/new" "$file"
healthy "replaced by rename"
fresh && put big >/dev/null && forward >/dev/null
chmod 600 "$file" && ln "$file" "$models/big/link"
healthy "other rights and another name"
mv "$file" "$models/big/moved" && cp "$work/second/weights.safetensors" "$file"
healthy "moved away, another one in its place"
fresh && put big >/dev/null && forward >/dev/null
rm "$file"
healthy "deleted"

# damaged SENTENCE: after the file was changed in place
damaged() {
    check "$1: 503" equal 503 "$(forward)"
    check "$1: code" equal weights_changed "$(word)"
    check "$1: not ready" equal "503 weights_changed" "$(code "$url/readyz") $(word)"
    check "$1: in the list" equal weights_changed \
        "$(curl -s "$url/v1/supernets" | jq -r '.supernets[] | select(.name == "big").state')"
    check "$1: described" equal weights_changed "$(curl -s "$url/v1/supernets/big" | jq -r .state)"
    check "$1: in the metrics" grep -q 'supernet_weights_changed{supernet="big"} 1' \
        <(curl -s "$url/metrics")
    check "$1: every later request" equal "503 weights_changed" \
        "$(code "$url/v1/supernets/big/space") $(word)"
    check "$1: also on the loop" equal "503 weights_changed" \
        "$(code "$url/v1/supernets/big/choices") $(word)"
    check "$1: others are served" equal 200 "$(code "$url/v1/supernets/other/resample" -d '{"seed": 1}')"
    check "$1: alive" equal 200 "$(code "$url/healthz")"
    fresh
    check "$1: loaded again" equal 200 "$(put big)"
    check "$1: answered again" equal 200 "$(forward)"
    check "$1: as before" equal "$right" "$(value)"
    check "$1: ready again" equal 200 "$(code "$url/readyz")"
}
fresh && put big >/dev/null && forward >/dev/null
: >"$file"
damaged "emptied"
check "the log says so, once" equal 1 "$(grep -c 'level=warn event=weights_changed .*model=big' "$work/log")"
truncate -s 4096 "$file"
damaged "truncated"
truncate -s +1 "$file"
damaged "longer"
cp "$work/second/weights.safetensors" "$file"
damaged "copied over"
dd if="$work/second/weights.safetensors" of="$file" conv=notrunc status=none
damaged "overwritten"
touch -r "$file" "$work/time"
dd if="$work/second/weights.safetensors" of="$file" conv=notrunc status=none
touch -r "$work/time" "$file"
damaged "overwritten, with the time set back"
put big >/dev/null # nothing is prepared yet: the first forward reads the file
truncate -s 4096 "$file"
damaged "truncated before the first forward"
truncate -s 4096 "$file"
check "an export of lost weights: 503" equal "503 weights_changed" \
    "$(code "$url/v1/supernets/big/export?format=safetensors") $(word)"
check "loading what was truncated: 422" equal "422 bad_file" "$(put big) $(word)"
check "the one that is served stays refused" equal "503 weights_changed" "$(forward) $(word)"
check "it can be unloaded" equal 204 "$(code -X DELETE "$url/v1/supernets/big")"
check "and all is ready" equal 200 "$(code "$url/readyz")"

# while requests run: an answer is right, or it is the error
for how in empty truncate copy; do
    fresh && put big >/dev/null
    "${python[@]}" hammer "$url" "$work/first/body.json" "$file" "$how" \
        "$work/second/weights.safetensors" >"$work/hammered"
    check "$how while requests run: right answers, then errors" equal ok "$(cat "$work/hammered")"
    check "$how while requests run: alive" equal 200 "$(code "$url/healthz")"
done

# in the middle of an answer: it ends early, and nobody can take it for a whole one
"${python[@]}" large "$models/large"
put large >/dev/null
check "a large export comes whole" equal 0 \
    "$(curl -s -o "$work/large" "$url/v1/supernets/large/export?format=safetensors"; echo $?)"
curl -s --limit-rate 2M -o "$work/cut" "$url/v1/supernets/large/export?format=safetensors" &
reader=$!
sleep 0.5
: >"$models/large/weights.safetensors"
wait "$reader"
check "a large export that lost its weights ends as a failure" test $? -ne 0
check "and what came of it is right" cmp -n "$(stat -c %s "$work/cut")" "$work/large" "$work/cut"
check "the next one: 503" equal "503 weights_changed" \
    "$(code "$url/v1/supernets/large/export?format=safetensors") $(word)"
curl -s -X DELETE "$url/v1/supernets/large"

# what is no file, or lies elsewhere
refused() { # STATUS CODE SENTENCE PATH
    local start=$SECONDS
    check "$3: $1 $2" equal "$1 $2" "$(code -m 5 -X PUT "$url/v1/supernets/x" -d "{\"path\": \"$4\"}") $(word)"
    check "$3: at once" test $((SECONDS - start)) -lt 3
}
for kind in spec weights; do
    name=spec.json
    [ $kind = weights ] && name=weights.safetensors
    for what in fifo folder socket device out; do
        dir=$models/$kind-$what
        cp -r "$models/other" "$dir" && rm "$dir/$name"
        case $what in
        fifo) mkfifo "$dir/$name" ;;
        folder) mkdir "$dir/$name" ;;
        socket) python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$dir/$name" ;;
        device) ln -s /dev/zero "$dir/$name" ;;
        out) ln -s ../../outside/$name "$dir/$name" ;;
        esac
        case $what in device | out) want="422 invalid" ;; *) want="422 io" ;; esac
        refused $want "a $what as $name" "$kind-$what"
    done
done
ln -s other "$models/relative"
ln -s "$models/other" "$models/absolute"
check "a link to a folder inside" equal 201 "$(put relative)"
check "an absolute link to a folder inside" equal 201 "$(put absolute)"
check "all workers are free" equal 200 "$(code "$url/v1/supernets/other/resample" -d '{"seed": 1}')"
stop_daemon
check "the daemon ends well" equal 0 "$status"

# a private copy
export ASAN_OPTIONS=handle_sigbus=0${ASAN_OPTIONS:+:$ASAN_OPTIONS} # for the last check: the default action
start_daemon --model-dir "$models" --weights copy
fresh && put big >/dev/null
: >"$file"
check "a copy does not know of the file" equal 200 "$(forward)"
check "a copy has the same answers" equal "$right" "$(value)"

# a fault that is none of ours ends the process, as it would without a handler
kill -BUS "$daemon"
{ wait "$daemon"; } 2>/dev/null
check "SIGBUS from elsewhere ends the daemon" equal 135 $?
daemon=
finish
