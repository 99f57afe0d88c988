#!/usr/bin/env bash
# Fuzzes the parsers of native/core by libFuzzer: fuzz.sh [SECONDS] [TARGET...], each target for so long, one after another.
# The compiler's coverage counters are in stable Rust; only sanitizers are not, and safe code has no need of them.
# fuzz.sh keep [TARGET...] moves what was found into the kept corpus: as little of it as covers more code.
set -euo pipefail
cd "$(dirname "$0")/.."
what="${1:-20}"
shift || true
host="$(rustc -vV | sed -n 's/^host: //p')"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/fuzz" RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
# With --target, build scripts are compiled without the counters, which they could not be linked with.
if ! cargo build --quiet --locked --release --manifest-path fuzz/Cargo.toml --target "$host"; then
  echo 'fuzz: libFuzzer cannot be built here (it needs a C++ compiler); the tests replay the kept corpus: cargo test -p swarmlet-core --test corpus' >&2
  exit "${FUZZ_MISSING:-1}"
fi
targets=("$@")
((${#targets[@]})) || for source in fuzz/fuzz_targets/*.rs; do targets+=("$(basename "$source" .rs)"); done
for target in "${targets[@]}"; do
  found="$CARGO_TARGET_DIR/corpus/$target" program="$CARGO_TARGET_DIR/$host/release/$target"
  mkdir -p "$found" "fuzz/corpus/$target"
  if [ "$what" = keep ]; then
    "$program" -set_cover_merge=1 -use_counters=0 -use_cmp=0 -max_len=700 "fuzz/corpus/$target" "$found" 2>&1 | tail -n 1
    continue
  fi
  # A memory limit and a time limit for each input: a parser that takes much of either is a finding.
  if ! "$program" -max_total_time="$what" -max_len=4096 -timeout=5 -rss_limit_mb=1024 -print_final_stats=1 \
    -artifact_prefix="fuzz/crash-$target-" "$found" "fuzz/corpus/$target" >"$found.log" 2>&1; then
    tail -n 60 "$found.log" >&2
    echo "fuzz: $target failed; the input is the file fuzz/crash-$target-*: run $program with it, and keep it in fuzz/corpus/$target once it is mended" >&2
    exit 1
  fi
  runs="$(sed -n 's/^stat::number_of_executed_units: *//p' "$found.log")"
  echo "fuzz: $target: $runs inputs in $what s, $(find "$found" -type f | wc -l) new kept in $found"
done
