#!/bin/bash
# image-test.sh: build the image of deploy/Dockerfile without a container engine, start
# it as its own user with a read-only root, and run the README's tour against it.
#
# Needs root (chroot isolation) and Debian's buildah and mmdebstrap. The base image is
# made here, so that nothing but Debian packages is fetched.
set -u
cd "$(dirname "$0")/.."
passed=0 failed=0
check() { if [ "$2" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "not ok: $1"; fi; }

work=$(mktemp -d)
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs REGISTRIES_CONFIG_PATH=$work/registries.conf
export XDG_RUNTIME_DIR=$work
: >"$work/registries.conf"
root="--root $work/storage --runroot $work/run"
b() { # shellcheck disable=SC2086  # words
    buildah $root "$@"; }
container=
finish() {
    [ -z "${pid-}" ] || kill "$pid" 2>/dev/null
    [ -z "$container" ] || b rm "$container" >/dev/null 2>&1
    b rm --all >/dev/null 2>&1
    rm -rf "$work"
}
trap finish EXIT

# The base: what debian:bookworm-slim is, from the archive that this machine uses. Its
# apt lists come along, so that packages are fetched from the same place.
mmdebstrap --variant=apt --include=ca-certificates --aptopt='APT::Sandbox::User "root"' bookworm "$work/bookworm.tar" >"$work/log" 2>&1
check "a base image can be made" $? || cat "$work/log"
printf 'FROM scratch\nADD bookworm.tar /\n' >"$work/Dockerfile"
b bud -q -t docker.io/library/debian:bookworm-slim -f "$work/Dockerfile" "$work" >"$work/log" 2>&1
check "the base image is an image" $?

b bud --format docker -t supernetd:test -f deploy/Dockerfile . >"$work/log" 2>&1
built=$?
check "deploy/Dockerfile builds" $built
[ $built -eq 0 ] || { tail -n 30 "$work/log"; echo "$passed passed, $failed failed"; exit 1; }

config=$(b inspect --type image supernetd:test | jq .Docker.config)
[ "$(jq -r .User <<<"$config")" = 10001:10001 ]
check "the image does not run as root" $?
jq -e '.Healthcheck.Test | index("http://127.0.0.1:8080/readyz")' <<<"$config" >/dev/null
check "the image has a health check" $?
[ "$(jq '[.Env[]? | select(startswith("SUPERNETD_"))] | length' <<<"$config")" = 0 ]
check "the image sets no variable that would win over a configuration file" $?

container=$(b from supernetd:test)
mounted=$(b mount "$container")
[ "$(stat -c %s "$mounted/usr/bin/supernetd")" -lt $((8 << 20)) ] && ! readelf -WS "$mounted/usr/bin/supernetd" | grep -q '\.debug_info'
check "the daemon in the image has no debug symbols" $?
[ "$(b run "$container" -- id -u)" = 10001 ]
check "commands in the container run as the user of the image" $?
b run "$container" -- sh -c '! touch /usr/bin/x /etc/x /x' 2>/dev/null
check "that user cannot write to the root file system" $?

# The container shares the network of this machine here, so it gets a port of its own.
port=$((20000 + RANDOM % 20000))
b run "$container" -- env SUPERNETD_HOST=127.0.0.1 SUPERNETD_PORT=$port \
    supernetd --config /usr/share/supernetd/image.conf --config /etc/supernetd/supernetd.conf >"$work/daemon" 2>&1 &
pid=$!
for _ in $(seq 100); do curl -fsS "http://127.0.0.1:$port/readyz" >/dev/null 2>&1 && break; sleep 0.1; done
curl -fsS "http://127.0.0.1:$port/readyz" >/dev/null
check "the daemon in the container gets ready" $?

tests/server/tour.sh "http://127.0.0.1:$port"
check "the README's tour works against the container" $?

daemon=$(pgrep -n -f "^supernetd --config /usr/share/supernetd/image.conf" || true)
[ -n "$daemon" ] && kill -TERM "$daemon"
wait $pid
check "SIGTERM ends it with status 0" $?
pid=

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
