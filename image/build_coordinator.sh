#!/usr/bin/env bash
# build_coordinator.sh LOCK OUT: what only the coordinator imports from PyPI, from ready wheels for musl, stripped.
# Leaves OUT/PACKAGE/..., OUT/lib (libraries that wheels bring along) and OUT/licenses/.
here=$(dirname "$(readlink -f "$0")")
. "$here/target.sh"
lock=$(readlink -f "$1") out=$(mkdir -p "$2" && readlink -f "$2") work=$(mktemp -d)

/opt/tools/bin/pip download --quiet --no-deps --require-hashes --only-binary :all: --platform "$wheel" --python-version 3.13 \
  --implementation cp --abi cp313 --abi abi3 --abi none --dest "$work" --requirement "$lock"
for file in "$work"/*.whl; do python3 -m zipfile -e "$file" "$out"; done
mkdir -p "$out/licenses" "$out/lib"
for folder in "$out"/*.dist-info; do
  name=$(basename "$folder") name=${name%%-*}
  find "$folder" -iname 'LICEN[CS]E*' -type f -print0 | sort -z | xargs -0 cat >"$out/licenses/$name"
done
find "$out" -path '*.libs/*' -name '*.so*' -exec mv -t "$out/lib" {} +
rm -rf "$out"/*.dist-info "$out"/*.libs "$out"/*.data
# One strip for every target; the wheels come with what only a debugger reads.
find "$out" -name '*.so*' -type f -exec strip --strip-unneeded {} +
