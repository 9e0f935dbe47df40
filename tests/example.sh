#!/bin/bash
# example.sh BUILD: install into a folder, compile the examples as a stranger would (with
# pkg-config), run them on the demo.
set -u
build=$1 passed=0 failed=0
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
check() { if [ "$2" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "not ok: $1"; fi; }

make -s VARIANT="$(basename "$build")" DESTDIR="$root" PREFIX=/usr install
check "make install works with DESTDIR" $?

for file in bin/supernetd lib/libsupernet.so.0 lib/libsupernet.a; do
    ! readelf -WS "$root/usr/$file" | grep -q '\.debug_info'
    check "$file has no debug symbols" $?
    [ "$(stat -c %s "$root/usr/$file")" -lt $((8 << 20)) ]
    check "$file has less than 8 MB" $?
done
make -s VARIANT="$(basename "$build")" DESTDIR="$root" PREFIX=/usr install-debug
for file in bin/supernetd lib/libsupernet.so; do
    readelf -WS "$root/usr/lib/debug/usr/$file.debug" 2>/dev/null | grep -q '\.debug_info'
    check "the debug symbols of $file are apart" $?
done
readelf -p .gnu_debuglink "$root/usr/bin/supernetd" | grep -q 'supernetd\.debug'
check "supernetd says what its debug symbols are called" $?

pc="$root/usr/lib/pkgconfig/supernet.pc"
flags=$(sed -n 's/^Cflags: //p; s/^Libs: //p' "$pc" | sed "s|\${includedir}|$root/usr/include|; s|\${libdir}|$root/usr/lib|")
# shellcheck disable=SC2086  # words
gcc -std=c11 -Wall -Wextra -Werror tests/example.c -o "$root/example" $flags
check "the example compiles against the installed header" $?

got=$(LD_LIBRARY_PATH="$root/usr/lib" "$root/example" deploy/demo/spec.json deploy/demo/weights.safetensors)
[[ $got =~ ^subnet\ [0-9a-f]{32},\ [1-9][0-9]*\ MACs,\ first\ logit\ -?[0-9] ]]
check "the example runs on the demo: $got" $?

again=$(LD_LIBRARY_PATH="$root/usr/lib" "$root/example" deploy/demo/spec.json deploy/demo/weights.safetensors)
[ "$got" = "$again" ]
check "a seed gives the same subnet and the same answer" $?

# tests/survey.c: a thousand subnets, two threads, and what is written is a network that runs
[ "$(wc -l <tests/survey.c)" -le 120 ]
check "a survey takes 120 lines, threads included" $?
# shellcheck disable=SC2086  # words
gcc -std=c11 -Wall -Wextra -Werror -O2 tests/survey.c -o "$root/survey" $flags
check "the survey compiles against the installed headers" $?
demo=$PWD/deploy/demo
survey() { # folder to write into, arguments
    (mkdir "$root/$1" && cd "$root/$1" && LD_LIBRARY_PATH="$root/usr/lib" ../survey "${@:2}")
}
got=$(survey first "$demo"/{spec.json,weights.safetensors,test-images.safetensors,test-labels.safetensors})
[ "$(awk '/ subnets$/ {n += $(NF - 1)} END {print n}' <<<"$got")" = 1000 ] && [ "$(grep -c subnets <<<"$got")" -ge 3 ]
check "a thousand subnets stand in the histogram, not all alike: $got" $?
best=$(survey second ../first/best.{json,safetensors} "$demo"/test-{images,labels}.safetensors)
[ -n "$best" ] && [ "${best##*, margin }" = "${got##*, margin }" ]
check "the best is a network of its own with the same margin: $best" $?

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
