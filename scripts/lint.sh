#!/usr/bin/env bash
# Everything that is checked without running the product. Each step is named, so that a failure says where.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
step() { printf 'lint: %s\n' "$1"; shift; "$@"; }

step 'ruff format' ruff format --check --quiet .
step 'ruff' ruff check --quiet .
step 'mypy' mypy
step 'stubs' python -m mypy.stubtest swarmlet._native --allowlist .stubtest-allowlist --ignore-disjoint-bases
step 'import contracts' lint-imports
step 'zizmor' zizmor --offline --quiet --no-progress --persona auditor .github
if command -v actionlint >/dev/null; then
  step 'actionlint' actionlint
else
  echo 'lint: actionlint is skipped, it is not installed (pip install -r .github/requirements/actionlint.txt)'
fi
step 'rustfmt' cargo fmt --all --check
step 'crate licences' python scripts/crate_licenses.py --check
step 'clippy' cargo clippy --quiet --locked --workspace --all-targets -- -D warnings
if command -v cargo-deny >/dev/null; then
  step 'cargo deny' cargo deny --log-level error check bans licenses sources
else
  echo 'lint: cargo deny is skipped, it is not installed (cargo install cargo-deny --locked)'
fi
