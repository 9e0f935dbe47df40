#!/bin/bash
# Whatever clients ask for, memory stays below what was configured.
cd "$(dirname "$0")/../.." && exec python3 tests/server/accounts.py "${SUPERNETD:-build/release/supernetd}"
