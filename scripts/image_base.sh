#!/usr/bin/env bash
# Makes the base image of Dockerfile.multiarch from Debian's packages where it is neither present nor to be pulled,
# so that one Dockerfile serves machines with and without a container registry. Does nothing where the tag exists.
set -euo pipefail

tag=${1:-debian:trixie-slim}
suite=${tag#debian:} suite=${suite%-slim}
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}

fail() { printf 'image base: %s\n  next: %s\n' "$1" "$2" >&2; exit 2; }

docker version >/dev/null 2>&1 || fail 'no Docker Engine answers' 'start it, or install it (apt-get install docker.io)'
docker image inspect "$tag" >/dev/null 2>&1 && exit 0
if timeout 120 docker pull --quiet "$tag" >/dev/null 2>&1; then exit 0; fi

[ "$(id -u)" = 0 ] || fail "$tag cannot be pulled, and making it here needs root" "sudo scripts/image_base.sh $tag"
command -v debootstrap >/dev/null || fail "$tag cannot be pulled, and debootstrap is missing to make it here" 'apt-get install debootstrap'
printf 'image base: %s cannot be pulled; it is made here from Debian packages\n' "$tag" >&2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
debootstrap --variant=minbase --include=ca-certificates "$suite" "$work/root" "$mirror" >"$work/log" 2>&1 || {
  tail -n 20 "$work/log" >&2
  fail 'debootstrap failed' "check that $mirror can be reached"
}
rm -rf "$work"/root/var/cache/apt/archives/*.deb "$work"/root/var/lib/apt/lists/*
# A machine behind an inspecting proxy trusts an authority of its own; a build on it must trust the same one.
if compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
  cp /usr/local/share/ca-certificates/*.crt "$work/root/usr/local/share/ca-certificates/"
  chroot "$work/root" update-ca-certificates >/dev/null 2>&1
fi
tar -C "$work/root" --numeric-owner -c . | docker import --change 'CMD ["bash"]' - "$tag" >/dev/null
