#!/usr/bin/env bash
# build_native.sh SOURCE OUT: the native extension for TARGETARCH, as OUT. Taken from the wheel of this platform in
# SOURCE/wheels when one is there that is newer than what it is made of; else that wheel is built first.
here=$(dirname "$(readlink -f "$0")")
. "$here/target.sh"
source=$(readlink -f "$1") out=$2

found() { find "$source/wheels" -name "swarmlet-*-$wheel.whl" 2>/dev/null | sort | tail -n 1; }
file=$(found)
if [ -n "$file" ] && [ -n "$(find "$source/native" "$source"/Cargo.* -newer "$file" -print -quit)" ]; then
  printf 'image: %s is older than its source; it is built again\n' "$(basename "$file")" >&2
  rm "$file" && file=
fi
if [ -z "$file" ]; then
  "$source/wheels/build.sh" "$wheel"
  file=$(found)
fi
mkdir -p "$(dirname "$out")"
python3 - "$file" "$out" <<'PY'
import pathlib, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    name = next(name for name in archive.namelist() if name.startswith("swarmlet/_native") and name.endswith(".so"))
    pathlib.Path(sys.argv[2]).write_bytes(archive.read(name))
PY
