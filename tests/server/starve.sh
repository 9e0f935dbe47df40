#!/bin/bash
# Who sends little, or nothing, or reads nothing, takes nothing from the others.
cd "$(dirname "$0")/../.." && exec python3 tests/server/starve.py "${SUPERNETD:-build/release/supernetd}"
