#!/bin/bash
# service-test.sh: does systemd accept deploy/supernetd.service, and how much may it do?
#
# Needs Debian's systemd, not a running one.
set -u
cd "$(dirname "$0")/.."
passed=0 failed=0
check() { if [ "$2" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "not ok: $1"; fi; }
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

# A root tree with the unit and what it names; verify only looks whether they are there.
install -d "$root/usr/local/bin" "$root/usr/lib/systemd" "$root/etc/systemd/system"
install -m 755 /bin/true "$root/usr/local/bin/supernetd"
cp -r /usr/lib/systemd/system "$root/usr/lib/systemd/"
verify() {
    install -m 644 "$1" "$root/etc/systemd/system/supernetd.service"
    systemd-analyze --man=no --recursive-errors=no --root="$root" verify supernetd.service
}

verify deploy/supernetd.service
check "systemd accepts the unit without a word" $?
! grep -q '^Environment=SUPERNETD_' deploy/supernetd.service
check "the unit sets no variable that would win over a configuration file" $?
sed 's/^WatchdogSec=/WatchdogSecs=/' deploy/supernetd.service >"$root/wrong"
! verify "$root/wrong" 2>/dev/null
check "it would notice a wrong name" $?
systemd-analyze security --offline=true --threshold=20 --no-pager deploy/supernetd.service >"$root/log" 2>&1
check "the exposure of the unit is at most 2.0 of 10" $? || cat "$root/log"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
