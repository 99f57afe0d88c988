#!/usr/bin/env bash
# build_packages.sh PACKAGES PYTHON OUT: what the agent imports from PyPI, its two C extensions compiled for TARGETARCH.
# Leaves OUT/PACKAGE/... and OUT/licenses/.
here=$(dirname "$(readlink -f "$0")")
. "$here/target.sh"
packages=$(readlink -f "$1") python=$(readlink -f "$2") out=$(mkdir -p "$3" && readlink -f "$3") work=$(mktemp -d)

for wheel in "$packages"/*.whl; do python3 -m zipfile -e "$wheel" "$out"; done
for name in msgspec psutil zeroconf; do mkdir "$work/$name" && tar -C "$work/$name" --strip-components=1 -xf "$packages/$name"-*.tar.gz; done
cp -r "$work/msgspec/src/msgspec" "$work/psutil/psutil" "$work/zeroconf/src/zeroconf" "$out/"
extension() { # NAME FLAGS... : links one extension module; what it needs of Python it finds in the interpreter.
  local to=$1; shift
  "$CC" -shared $small -I"$python/include" -I"$python/include/internal" "$@" -Wl,--gc-sections -s -o "$out/$to"
}
extension msgspec/_core.so "$work/msgspec/src/msgspec/_core.c"
digits=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' "$work/psutil/psutil/__init__.py" | tr -d .)
(cd "$work/psutil" && extension psutil/_psutil_linux.so -DPSUTIL_POSIX=1 -DPSUTIL_LINUX=1 -DPSUTIL_SIZEOF_PID_T=4 \
  -DPSUTIL_VERSION="$digits" -DPy_LIMITED_API=0x03060000 \
  psutil/_psutil_linux.c psutil/arch/all/*.c psutil/arch/posix/*.c psutil/arch/linux/*.c)

mkdir -p "$out/licenses"
for name in msgspec psutil; do cp "$work/$name/LICENSE" "$out/licenses/$name"; done
cp "$work/zeroconf/COPYING" "$out/licenses/zeroconf"
for file in "$out"/*.dist-info/licenses/LICENSE*; do
  name=$(basename "${file%%.dist-info/*}"); cp "$file" "$out/licenses/${name%%-*}"
done
rm -rf "$out"/*.dist-info
