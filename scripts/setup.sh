#!/usr/bin/env bash
# Makes .venv, installs the pinned dependencies and builds the native extension. Safe to run again: it does only
# what changed. Says what is missing instead of failing somewhere inside a build.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { printf 'setup: %s\n  next: %s\n' "$1" "$2" >&2; exit 2; }

python=${PYTHON:-python3}
command -v "$python" >/dev/null || fail "no $python was found" "install CPython 3.11 or newer (apt-get install python3 python3-venv)"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  fail "$("$python" -V) is too old; 3.11 or newer is needed" "install a newer CPython and run: make PYTHON=/path/to/python3.11"
command -v cargo >/dev/null || fail "no Rust toolchain was found (cargo)" "install Rust 1.85 or newer, then run the same command again"
command -v cc >/dev/null || fail "no C compiler was found (cc)" "install one (apt-get install gcc)"

if [ ! -x .venv/bin/python ]; then
  "$python" -m venv .venv || fail "the virtual environment could not be made" "apt-get install python3-venv"
fi

# One stamp per input: dependencies when pyproject.toml or the lock changed, the extension when Rust changed.
deps=$(cat pyproject.toml requirements.lock | sha256sum)
if [ "$(cat .venv/deps.stamp 2>/dev/null)" != "$deps" ]; then
  .venv/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
  .venv/bin/python -m pip install --quiet --constraint requirements.lock --group dev
  printf '%s' "$deps" >.venv/deps.stamp.new
  rm -f .venv/native.stamp
fi

native=$( { find native Cargo.toml Cargo.lock pyproject.toml -type f -print0 | sort -z | xargs -0 sha256sum; } | sha256sum)
# "PROFILE HASH": a build of any profile will do, unless one is asked for (figures are of a release build).
built=$(cat .venv/native.stamp 2>/dev/null || true)
if [ "${built#* }" != "$native" ] || [ "${SWARMLET_PROFILE:-${built%% *}}" != "${built%% *}" ]; then
  export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}" PIP_CONSTRAINT="$PWD/requirements.lock" PIP_QUIET=1
  # It builds into the environment that is active, which may be another one.
  VIRTUAL_ENV="$PWD/.venv" .venv/bin/maturin develop --quiet --extras coordinator,gpu ${SWARMLET_PROFILE:+--profile "$SWARMLET_PROFILE"}
  printf '%s %s' "${SWARMLET_PROFILE:-dev}" "$native" >.venv/native.stamp
fi
[ -f .venv/deps.stamp.new ] && mv .venv/deps.stamp.new .venv/deps.stamp
exit 0
