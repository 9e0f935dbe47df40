#!/bin/bash
# Pages of other sites, names that are not ours, and what is allowed from afar.
cd "$(dirname "$0")/../.." && exec python3 tests/server/access.py "${SUPERNETD:-build/release/supernetd}"
