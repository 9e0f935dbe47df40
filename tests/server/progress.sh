#!/bin/bash
# Whatever one connection does, the others are served, time passes and signals arrive.
cd "$(dirname "$0")/../.." && exec python3 tests/server/progress.py "${SUPERNETD:-build/release/supernetd}"
