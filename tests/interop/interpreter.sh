#!/bin/bash
# interpreter.sh: random documents of the fuzzer's grammar, answered by the library and by an
# interpreter in PyTorch. INTERPRETER_N networks (300) from INTERPRETER_SEED (1).
set -u
dump=${SUPERNETD:-build/release/supernetd}
dump=$(dirname "$dump")/tests/interop/interpreter/dump
python=python3
for candidate in build/interop/venv/bin/python3 /usr/bin/python3; do
    "$candidate" -c 'import torch' 2>/dev/null && { python=$candidate; break; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$dump" "$work" "${INTERPRETER_N:-300}" "${INTERPRETER_SEED:-1}" || { echo "0 passed, 1 failed"; exit 1; }
OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1 "$python" tests/interop/interpreter/compare.py "$work"
