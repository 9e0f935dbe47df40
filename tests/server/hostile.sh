#!/bin/bash
# What no client should send: every refusal has its status and a sentence, and the daemon
# answers the next request as if nothing had been.
. "$(dirname "$0")/lib.sh"
mkdir -p "$work/models/good" "$work/outside"
cp deploy/demo/spec.json deploy/demo/weights.safetensors "$work/models/good/"
cp deploy/demo/spec.json deploy/demo/weights.safetensors "$work/outside/"
ln -s "$work/outside" "$work/models/link"
start_daemon --model-dir "$work/models" --max-body 1M
m=$url/v1/supernets/digits

# refused STATUS CODE SENTENCE CURL-ARGUMENTS...
refused() {
    local status=$1 word=$2 sentence=$3
    shift 3
    check "$sentence: $status" equal "$status" "$(code "$@")"
    check "$sentence: code $word" equal "$word" "$(jq -r .error.code "$work/body" 2>&1)"
    check "$sentence: a sentence" test "$(jq -r '.error.text | length' "$work/body" 2>/dev/null || echo 0)" -gt 8
}
# json STATUS CODE SENTENCE METHOD PATH BODY
json() { refused "$1" "$2" "$3" -X "$4" "$m$5" -H 'Content-Type: application/json' --data-binary "$6"; }

json 400 malformed "malformed JSON" POST /resample '{"seed": }'
json 400 malformed "truncated JSON" POST /resample '{"seed": 1'
json 400 malformed "a member twice" POST /resample '{"seed": 1, "seed": 2}'
json 400 malformed "too deep JSON" POST /forward "$(printf '[%.0s' $(seq 5000))"
json 422 invalid "an unknown member" POST /resample '{"sead": 1}'
json 422 invalid "a seed that is no number" POST /resample '{"seed": "x"}'
json 422 invalid "a negative count" POST /resample '{"count": -1}'
json 413 limit "a huge count" POST /resample '{"count": 4000000000}'
json 422 unknown_name "an unknown policy" POST /resample '{"policy": "magic"}'
json 422 unknown_name "an unknown label" PUT /choices '{"choices": {"widht": 12}}'
json 422 not_candidate "a float for an int" PUT /choices '{"choices": {"width": 12.5}}'
json 422 not_candidate "a text for an int" PUT /choices '{"choices": {"width": "12"}}'
json 422 not_candidate "a value beyond 64 bits" PUT /choices '{"choices": {"width": 1e300}}'
json 409 undecided "a choice left open" POST /subnets '{"choices": {"width": 12}}'
json 409 undecided "forward before anything was chosen" POST /forward "$(cat deploy/demo/seven.json)"
curl -fs "$m/resample" -d '{"seed": 7}' >/dev/null
json 422 shape "a wrong shape" POST /forward '{"inputs": {"image": [[[[0]]]]}}'
json 422 shape "a ragged list" POST /forward '{"inputs": {"image": [[[[0], [0, 1]]]]}}'
json 422 unknown_name "an unknown input" POST /forward '{"inputs": {"picture": [0]}}'
json 422 invalid "a missing input" POST /forward '{"inputs": {}}'
json 422 unknown_subnet "an unknown subnet in the body" POST /forward '{"inputs": {}, "subnet": "00000000000000000000000000000000"}'
refused 404 unknown_subnet "an unknown subnet in the path" "$m/subnets/00000000000000000000000000000000"
refused 404 unknown_supernet "an unknown supernet" "$url/v1/supernets/nothing"
refused 404 not_found "an unknown path" "$url/v2/supernets"
refused 405 method_not_allowed "a wrong method" -X DELETE "$m/forward"
refused 415 unsupported_media_type "XML" "$m/forward" -H 'Content-Type: application/xml' -d '<x/>'
refused 415 unsupported_media_type "a form of a page" "$m/resample" -H "Origin: $url" -d '{"seed": 1}'
refused 406 not_acceptable "an answer in XML" "$m/space" -H 'Accept: application/xml'
refused 415 unsupported_media_type "a compressed body" "$m/resample" -H 'Content-Encoding: gzip' -d '{"seed": 1}'
refused 400 malformed "two types of one body" "$m/resample" -H 'Content-Type: application/json' -H 'Content-Type: text/plain' -d '{"seed": 1}'
refused 400 malformed "two origins" "$m/resample" -H 'Origin: http://a.example' -H "Origin: $url" -d '{"seed": 1}'
refused 406 not_acceptable "several lines of Accept, none of them ours" "$m/space" -H 'Accept: text/html' -H 'Accept: application/json;q=0'
check "several lines of Accept are one list" equal 200 "$(code "$m/space" -H 'Accept: application/json' -H 'Accept: text/html')"
check "an empty list asks for nothing" equal 200 "$(code "$m/space" -H 'Accept: ,')"
seven=$(cat deploy/demo/seven.json)
form() { curl -s -o "$work/body" -w '%{content_type}' "$m/forward" -H 'Content-Type: application/json' -d "$seven" "$@"; }
check "the form with the greater weight" equal application/x-safetensors "$(form -H 'Accept: application/json;q=0.1' -H 'Accept: application/x-safetensors;q=0.2')"
check "whichever line comes first" equal application/json "$(form -H 'Accept: application/x-safetensors;q=0.1' -H 'Accept: application/*;q=0.2')"
check "OPTIONS lists the methods" equal 'GET, HEAD, PUT, DELETE, OPTIONS' "$(curl -s -D - -o "$work/body" -X OPTIONS "$m" | tr -d '\r' | sed -n 's/^Allow: //p')"
check "HEAD is GET without a body" equal "$(curl -s "$m/space" | wc -c)" "$(curl -sI "$m/space" | tr -d '\r' | sed -n 's/^Content-Length: //p')"
check "what is created says where" equal "/v1/supernets/digits/policies/p" "$(curl -s -D - -o "$work/body" -X PUT "$m/policies/p" -d '{"policy": "gumbel"}' | tr -d '\r' | sed -n 's/^Location: //p')"
refused 413 too_large "a body above the limit" "$m/forward" -H 'Content-Type: application/x-safetensors' --data-binary @<(head -c 2000000 /dev/zero)
refused 413 too_large "a chunked body above the limit" "$m/forward" -H 'Content-Type: application/x-safetensors' -H 'Transfer-Encoding: chunked' --data-binary @<(head -c 2000000 /dev/zero)

# safetensors that lie about themselves
tensors() { refused "$1" "$2" "$3" "$m/forward" -H 'Content-Type: application/x-safetensors' --data-binary "@$work/bytes"; }
document() { # HEADER [DATA-BYTES]
    python3 -c 'import struct,sys; h=sys.argv[1].encode(); sys.stdout.buffer.write(struct.pack("<Q",len(h))+h+bytes(int(sys.argv[2])))' "$1" "${2:-0}" >"$work/bytes"
}
printf '\377\377\377\377\377\377\377\377{}' >"$work/bytes"
tensors 400 malformed "a header longer than the body"
: >"$work/bytes"
printf 'abc' >"$work/bytes"
tensors 400 malformed "three bytes"
document '{"image": {"dtype": "F32", "shape": [1, 1, 8, 8], "data_offsets": [0, 256]}}' 100
tensors 400 malformed "data that ends early"
document '{"image": {"dtype": "F32", "shape": [9223372036854775807, 9223372036854775807], "data_offsets": [0, 4]}}' 4
tensors 400 malformed "a shape whose product overflows"
document '{"image": {"dtype": "F64", "shape": [1, 1, 8, 8], "data_offsets": [0, 512]}}' 512
tensors 422 dtype "the wrong element type"

# loading from where nothing may be loaded
load() { refused "$1" "$2" "$3" -X PUT "$url/v1/supernets/x" -H 'Content-Type: application/json' -d "{\"path\": \"$4\"}"; }
check "a supernet below the model folder is loaded" equal 201 "$(code -X PUT "$url/v1/supernets/good" -d '{"path": "good"}')"
load 422 invalid "a path that climbs out" ../outside
load 422 invalid "an absolute path" "$work/outside"
load 422 invalid "a link that leads out" link
load 422 io "a folder that is not there" nowhere

# bytes that are no HTTP
port=${url##*:}
for line in 'GET / HTTP/9.9' 'GARBAGE' $'\001\002\003' 'GET /v1/supernets/%zz HTTP/1.1'; do
    printf '%s\r\nHost: localhost\r\n\r\n' "$line" | timeout 5 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port; cat >&3; head -c 12 <&3" >"$work/reply" 2>/dev/null
    check "'${line//[^[:print:]]/?}' is refused, or the connection is closed" \
        bash -c '! grep -q "HTTP/1.1 [25]00" "$1"' _ "$work/reply"
done

check "after all that, it still reads a seven" equal 7 \
    "$(curl -fs "$m/forward" -d @deploy/demo/seven.json | jq '.results[0].outputs.output[0] | index(max)')"
check "nothing was answered with a 500" test "$(grep -c 'status=500' "$work/log")" = 0
stop_daemon
check "the daemon ends with status 0" equal 0 "$status"
finish
