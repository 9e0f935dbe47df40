#!/bin/sh
# setup.sh LIST...: install the Debian packages of deploy/packages.LIST that are missing.
# Quick and silent when nothing is; says what it installs; never upgrades anything.
set -eu
cd "$(dirname "$0")"

# `make -j` asks for several lists at once, and apt works for one at a time.
exec 9<setup.sh
flock 9

lists=
for list in "$@"; do lists="$lists packages.$list"; done
# shellcheck disable=SC2086  # a list of files
wanted=$(sed 's/#.*//' $lists)

missing=
for package in $wanted; do
    state=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
    [ "$state" = 'install ok installed' ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "setup: installing$missing"
sudo=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "setup: needs root or sudo to install$missing" >&2; exit 1; }
    sudo=sudo
fi
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get -qq update
# shellcheck disable=SC2086  # words
$sudo apt-get -qq -y -o Dpkg::Use-Pty=0 install --no-install-recommends $missing >/dev/null
