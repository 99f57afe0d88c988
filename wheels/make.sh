#!/usr/bin/env bash
# wheels/make.sh [PLATFORM...]: what `make wheels` runs. Builds the wheels in Docker, one platform after another, and the
# source distribution; collects what Swarmlet needs from PyPI, prints the sizes and verifies everything.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
python=${PYTHON:-python3}
fail() { printf 'wheels: %s\n  next: %s\n' "$1" "$2" >&2; exit 2; }

command -v docker >/dev/null && docker version >/dev/null 2>&1 ||
  fail 'no Docker Engine answers' 'start it, or build where the tools are: wheels/build.sh'
mapfile -t all < <(wheels/build.sh --list)
[ $# -gt 0 ] || set -- "${all[@]}"
scripts/image_base.sh
log=$(mktemp) && trap 'rm -f "$log"' EXIT
for platform in "$@" sdist; do
  started=$SECONDS
  if [ "$platform" = sdist ]; then rm -f wheels/swarmlet-*.tar.gz; else rm -f wheels/swarmlet-*-"$platform".whl; fi
  cat Dockerfile.multiarch wheels/stage.Dockerfile |
    DOCKER_BUILDKIT=1 docker build --progress plain --file - --target wheel --build-arg "WHEEL=$platform" \
      --output type=local,dest=wheels . >"$log" 2>&1 || { tail -n 60 "$log" >&2
    fail "$platform could not be built" 'the lines above say why'; }
  printf 'wheels: %s, %d s\n' "$platform" $((SECONDS - started))
done
wheels/collect.sh
ls -l wheels/swarmlet-* | awk '{ printf "%10d bytes  %s\n", $5, $9 }'

# The wheels of other machines are imported where qemu is; this machine's is installed as a user would.
words=()
if command -v qemu-aarch64-static >/dev/null && command -v qemu-arm-static >/dev/null; then
  for path in $(wheels/interpreters.sh target/pythons); do words+=(--python "$path"); done
fi
compgen -G "wheels/swarmlet-*-manylinux_*_$(uname -m).whl" >/dev/null && words+=(--install)
"$python" wheels/verify.py "${words[@]}"
