#!/bin/bash
# expr.sh [ARGUMENTS]: expressions mean in the library what they mean in Python.
set -u
build=$(dirname "${SUPERNETD:-build/release/supernetd}")
program=$build/tests/property/expr_lines

mkdir -p "$(dirname "$program")"
cc -std=gnu11 -O2 -g -Icore/include tests/property/expr_lines.c "$build/libsupernet.a" \
    -o "$program" -ljansson -lmd -lopenblas -lm -ldl -pthread || exit 1
exec /usr/bin/python3 tests/property/expr_property.py "$program" "$@"
