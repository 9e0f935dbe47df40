#!/bin/bash
# What is built for use is built so that a mistake in memory is a crash, not a way in; and a
# user's configuration wins over what unit and image bring along.
. "$(dirname "$0")/lib.sh"
library=$(dirname "$SUPERNETD")/libsupernet.so

for file in "$SUPERNETD" "$library"; do
    readelf -Wld "$file" >"$work/elf"
    name=$(basename "$file")
    check "$name: tables of addresses are read-only once it runs" grep -q GNU_RELRO "$work/elf"
    check "$name: and complete from the start" grep -qE 'BIND_NOW|FLAGS_1.*NOW' "$work/elf"
    check "$name: no code on the stack" grep -qE 'GNU_STACK.* RW ' "$work/elf"
    check "$name: no code is written to" bash -c '! grep -qE "TEXTREL|LOAD.* RWE " "$1"' _ "$work/elf"
    check "$name: can be anywhere" bash -c 'readelf -h "$1" | grep -q "Type: *DYN"' _ "$file"
    readelf -Ws --dyn-syms "$file" >"$work/elf"
    check "$name: stacks are guarded" grep -q ' __stack_chk_fail' "$work/elf"
    check "$name: copies are checked" grep -qE ' __(memcpy|snprintf|vsnprintf|read|strcat|fdelt)_chk' "$work/elf"
done

printf 'port = 0\nmax-batch = 7\nallow-host = first\n' >"$work/base.conf"
printf 'max-batch = 0\n' >"$work/user.conf"
check "of two files the later one is believed" \
    bash -c '"$1" --config "$2/base.conf" --config "$2/user.conf" 2>&1 | grep -q "user.conf:1: max-batch = 0: allowed"' _ "$SUPERNETD" "$work"
for conf in deploy/service.conf deploy/image.conf; do
    check "$conf is one" bash -c '"$1" --config "$2" --max-batch 0 2>&1 | grep -q "^supernetd: --max-batch 0: "' _ "$SUPERNETD" "$conf"
done
check "unit and image set no variable, which would win over a file" \
    bash -c '! grep -nE "SUPERNETD_" deploy/supernetd.service deploy/Dockerfile'
check "no example publishes the port on all addresses" \
    bash -c '! grep -nE "(-p |- \")8080:8080" deploy/Dockerfile deploy/compose.yaml README.md'
finish
