#!/usr/bin/env bash
# wheels/collect.sh [PYTHON...]: collects what Swarmlet needs from PyPI, in the versions of requirements.lock, so that
# `pip install --no-index --find-links wheels/ swarmlet` needs no network. For glibc on x86_64 and ARM64, and the Pythons
# named (default: 3.11 to 3.14). ARMv7 has no ready psutil and msgspec on PyPI: there pip builds them or asks piwheels.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
python=${PYTHON:-python3}
[ $# -gt 0 ] || set -- 3.11 3.12 3.13 3.14
needs=$("$python" -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")')
for arch in x86_64 aarch64; do
  for version in "$@"; do
    "$python" -m pip download --quiet --disable-pip-version-check --only-binary :all: --dest wheels \
      --python-version "$version" --implementation cp --platform "manylinux_2_28_$arch" --platform "manylinux_2_17_$arch" \
      --platform "manylinux2014_$arch" --constraint requirements.lock --requirement /dev/stdin <<<"$needs" || {
        printf 'wheels: what Swarmlet needs for Python %s on %s could not be collected\n  next: the lines above say why\n' \
          "$version" "$arch" >&2; exit 1; }
  done
done
