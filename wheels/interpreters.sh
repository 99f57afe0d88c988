#!/usr/bin/env bash
# wheels/interpreters.sh FOLDER [arm64|armhf ...]: unpacks Debian's Python for these boards, FOLDER/ARCH/usr/bin/python3.13.
# Only unpacked, never installed: enough for qemu-user to import a wheel (wheels/verify.py --python). Needs no root.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
fail() { printf 'wheels: %s\n  next: %s\n' "$1" "$2" >&2; exit 2; }
[ $# -ge 1 ] || fail 'no folder was named' 'wheels/interpreters.sh FOLDER'
command -v dpkg-deb >/dev/null || fail 'dpkg-deb is missing' 'apt-get install dpkg'
folder=$1; shift
[ $# -ge 1 ] || set -- arm64 armhf
for arch in "$@"; do
  root=$folder/$arch python=$folder/$arch/usr/bin/python3.13
  [ -e "$root/complete" ] && { printf '%s\n' "$python"; continue; }
  grep -q "_$arch.deb$" "$here/interpreters.lock" || fail "no Python is listed for $arch" 'choose arm64 or armhf'
  mkdir -p "$root/usr/lib" "$root/debs"
  ln -sfn usr/lib "$root/lib" # where programs look for their loader
  python3 "$here/../image/fetch.py" "$here/interpreters.lock" "$root/debs" "_$arch.deb"
  for deb in "$root"/debs/*.deb; do dpkg-deb -x "$deb" "$root"; done
  rm -rf "$root/debs"; touch "$root/complete"
  printf '%s\n' "$python"
done
