#!/bin/bash
# Everything at once that a client can do to a connection, while another one works and looks at the clock.
cd "$(dirname "$0")/../.." && exec python3 tests/server/attack.py "${SUPERNETD:-build/release/supernetd}"
