#!/bin/bash
# A plug-in as api/plugins.md writes it: compiled by the page's command, served, asked; and
# the ones that do not fit, each refused with its sentence.
. "$(dirname "$0")/../server/lib.sh"
source=tests/plugin/feature_scale.c
build() { gcc -std=c11 -Wall -Wextra -Werror -O2 -shared -fPIC -Icore/include "$@"; }

check "the example compiles without a warning" build "$source" -o "$work/feature_scale.so"
sed -n '/^```c$/,/^```$/p' api/plugins.md | sed '1d;$d' >"$work/page.c"
check "the page shows the example as it is" cmp "$work/page.c" "$source"

mkdir "$work/net"
sed -n '/^```json$/,/^```$/p' api/plugins.md | sed '1d;$d' >"$work/net/spec.json"
python3 - "$work/net/weights.safetensors" <<'PY'
import struct, sys
header = b'{"scale.weight": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}'
header += b" " * (-len(header) % 8)
open(sys.argv[1], "wb").write(struct.pack("<Q", len(header)) + header + struct.pack("<4f", 1, 10, 100, 1000))
PY

start_daemon --plugin "$work/feature_scale.so" --supernet "scaled=$work/net"
m=$url/v1/supernets/scaled
answer() { curl -s "$m/forward" -d "$1" | jq -c '.results[0].outputs.output // .error.text'; }
check "a narrow subnet uses a prefix of the weight" equal '[[1,20]]' \
    "$(answer '{"inputs": {"x": [[1, 2]]}, "choices": {"width": 2}}')"
check "a wide one uses all of it" equal '[[1,20,300,4000]]' \
    "$(answer '{"inputs": {"x": [[1, 2, 3, 4]]}, "choices": {"width": 4}}')"
check "its own refusal reaches the client" equal '"the last axis is 3, num_features is 4"' \
    "$(answer '{"inputs": {"x": [[1, 2, 3]]}, "choices": {"width": 4}}')"
check "its policy draws" equal '{"width":2}' \
    "$(curl -s "$m/resample" -d '{"policy": "first"}' | jq -c '.subnets[0].choices')"
stop_daemon
check "the daemon ends with status 0" equal 0 "$status"

flags=$(grep -ohE '^ +SN_(ARG|PARAM|OP|FUSES)_[A-Z0-9_]+ = [0-9]+' core/include/supernet/{op,engine}.h | grep -oE 'SN_[A-Z0-9_]+' | grep -v SN_OP_ABI)
for flag in $flags; do check "the page explains $flag" grep -q "\`$flag\`" api/plugins.md; done

# structs only grow at their ends
printf '#include <supernet/%s.h>\n' engine expr host op supernet train weights >"$work/today.h"
python3 tests/plugin/layout.py tests/plugin/frozen/supernet/supernet.h "$work/today.h" >"$work/layout.c"
check "what the header of version 2 had is where it was" gcc -std=c11 -fsyntax-only -Icore/include "$work/layout.c"
sed 's/^    size_t  *n_in, n_out;/int more;&/' tests/plugin/frozen/supernet/supernet.h >"$work/moved.h"
python3 tests/plugin/layout.py "$work/moved.h" "$work/today.h" >"$work/moved.c"
check "and it would be noticed if it were not" grep -q 'has moved: plug-ins' \
    <(gcc -std=c11 -fsyntax-only -Icore/include "$work/moved.c" 2>&1)

# a plug-in that was compiled with the one header of version 2, before tables had the member `grow`
sed 's|supernet/op.h|supernet/supernet.h|; /^\/\* All axes but the last may grow/,/^}/d; /\.grow = grow/d' "$source" >"$work/frozen.c"
check "the example compiles with the header of version 2" gcc -std=c11 -Wall -Wextra -Werror -O2 \
    -shared -fPIC -Itests/plugin/frozen "$work/frozen.c" -o "$work/frozen.so"
start_daemon --plugin "$work/frozen.so" --supernet "scaled=$work/net"
m=$url/v1/supernets/scaled
check "a plug-in of version 2 runs" equal '[[1,20,300,4000]]' \
    "$(answer '{"inputs": {"x": [[1, 2, 3, 4]]}, "choices": {"width": 4}}')"
check "for other batches too" equal '[[1,20],[3,40],[5,60]]' \
    "$(answer '{"inputs": {"x": [[1, 2], [3, 4], [5, 6]]}, "choices": {"width": 2}}')"
check "and its policy draws" equal '{"width":2}' \
    "$(curl -s "$m/resample" -d '{"policy": "first"}' | jq -c '.subnets[0].choices')"
stop_daemon

# refused SENTENCE FILE: the daemon does not start, and says why
refused() {
    "$SUPERNETD" --port 0 --plugin "$2" >"$work/out" 2>&1
    check "exit status of a plug-in that is refused: $1" test $? -ne 0
    check "the sentence names the file and the reason: $1" grep -q "$2.*$1" "$work/out"
}
sed 's/^SN_PLUGIN;/const uint32_t sn_plugin_abi[4] = {99, 0, 0, 0};/' "$source" >"$work/old.c"
check "a plug-in of another interface compiles" build "$work/old.c" -o "$work/old.so"
refused "built for version 99 of the plug-in interface" "$work/old.so"
# Where structs that both sides make have another size, or one that the plug-in reads is larger.
sizes() { sed "s/^SN_PLUGIN;/const uint32_t sn_plugin_abi[] = {SN_PLUGIN_ABI, 3, $1};/" "$source"; }
sizes 'sizeof(sn_call) - 8, sizeof(sn_io), sizeof(sn_arg)' >"$work/smaller.c"
build "$work/smaller.c" -o "$work/smaller.so"
start_daemon --plugin "$work/smaller.so"
check "a plug-in that knows less of what it is given is taken" test -n "$url"
stop_daemon
sizes 'sizeof(sn_call) + 8, sizeof(sn_io), sizeof(sn_arg)' >"$work/larger.c"
build "$work/larger.c" -o "$work/larger.so"
refused "in which sn_call has [0-9]* bytes and not [0-9]*: build it again" "$work/larger.so"
sizes 'sizeof(sn_call), sizeof(sn_io), sizeof(sn_arg) - 8' >"$work/strides.c"
build "$work/strides.c" -o "$work/strides.so"
refused "in which sn_arg has [0-9]* bytes and not [0-9]*: build it again" "$work/strides.so"
sed 's/^SN_PLUGIN;//' "$source" >"$work/silent.c"
build "$work/silent.c" -o "$work/silent.so"
refused "SN_PLUGIN is missing" "$work/silent.so"
sed 's/"FeatureScale"/"Linear"/' "$source" >"$work/taken.c"
build "$work/taken.c" -o "$work/taken.so"
refused "there is an operator of this type already" "$work/taken.so"
echo 'no shared object' >"$work/text.so"
refused "it cannot be loaded" "$work/text.so"
refused "there is no such file" "$work/nowhere.so"
finish
