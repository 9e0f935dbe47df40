#!/bin/bash
# The daemon as a program: bytes on the wire, limits, deadlines, signals, the service manager.
cd "$(dirname "$0")/../.." && exec python3 tests/server/daemon.py "${SUPERNETD:-build/release/supernetd}"
