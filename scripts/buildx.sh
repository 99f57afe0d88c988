#!/usr/bin/env bash
# Makes `docker buildx` work where it is missing (Debian 12 has no package of it): takes Debian 13's plugin, whose hash is
# in image/buildx.lock, into the Docker client's folder of plugins of this user. Does nothing where one is there.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { printf 'buildx: %s\n  next: %s\n' "$1" "$2" >&2; exit 2; }

command -v docker >/dev/null || fail 'no Docker client was found' 'install Docker (apt-get install docker.io)'
docker buildx version >/dev/null 2>&1 && exit 0
case $(uname -m) in
  x86_64) arch=amd64 ;;
  aarch64) arch=arm64 ;;
  *) fail "no plugin is known for $(uname -m)" 'install docker buildx: https://docs.docker.com/build/install-buildx/' ;;
esac
command -v dpkg-deb >/dev/null || fail 'the plugin comes as a Debian package, and dpkg-deb is missing' \
  'install docker buildx: https://docs.docker.com/build/install-buildx/'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" image/fetch.py image/buildx.lock "$work" "_$arch.deb"
dpkg-deb -x "$work"/*.deb "$work/root"
plugins=${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins
install -D -m 755 "$(find "$work/root" -path '*/cli-plugins/docker-buildx')" "$plugins/docker-buildx"
docker buildx version >/dev/null 2>&1 || fail "the plugin in $plugins does not start" 'docker buildx version'
printf 'buildx: installed into %s\n' "$plugins" >&2
