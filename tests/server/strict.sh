#!/bin/bash
# What is no HTTP is refused with our document, once, and nothing behind it is served.
cd "$(dirname "$0")/../.." && exec python3 tests/server/strict.py "${SUPERNETD:-build/release/supernetd}"
