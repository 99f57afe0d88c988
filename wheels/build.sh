#!/usr/bin/env bash
# wheels/build.sh [PLATFORM...]: builds the wheels of these platforms (all of them, when none is named) into wheels/;
# `sdist` among them is the source distribution, `--list` prints the platforms.
# One abi3 wheel serves CPython 3.11 and every later one. Nothing is emulated: zig compiles C and links for each target,
# and Rust's standard library is built along where no ready one is installed. The same source gives the same bytes.
#
#   CARGO_TARGET_DIR   where compiled crates are kept between builds (default: target/wheels)
#   SOURCE_DATE_EPOCH  the date of every file in the wheel (default: the first one that a zip file can hold)
set -euo pipefail
here=$(dirname "$(readlink -f "$0")") root=$(dirname "$(dirname "$(readlink -f "$0")")")
platforms=(manylinux_2_28_x86_64 manylinux_2_28_aarch64 manylinux_2_31_armv7l
           musllinux_1_2_x86_64 musllinux_1_2_aarch64 musllinux_1_2_armv7l)

fail() { printf 'wheels: %s\n  next: %s\n' "$1" "$2" >&2; exit 2; }

# What each tool calls the target. Not every ARMv7 has NEON or more than sixteen VFP registers, so C may use neither
# (Rust's own target is as careful; ring asks the processor before it uses NEON).
describe() {
  case $1 in
    manylinux_2_28_x86_64)  rust=x86_64-unknown-linux-gnu       zig=x86_64-linux-gnu.2.28     cpu=x86_64 ;;
    manylinux_2_28_aarch64) rust=aarch64-unknown-linux-gnu      zig=aarch64-linux-gnu.2.28    cpu=generic ;;
    manylinux_2_31_armv7l)  rust=armv7-unknown-linux-gnueabihf  zig=arm-linux-gnueabihf.2.31  cpu=generic+v7a+vfp3d16 ;;
    musllinux_1_2_x86_64)   rust=x86_64-unknown-linux-musl      zig=x86_64-linux-musl         cpu=x86_64 ;;
    musllinux_1_2_aarch64)  rust=aarch64-unknown-linux-musl     zig=aarch64-linux-musl        cpu=generic ;;
    musllinux_1_2_armv7l)   rust=armv7-unknown-linux-musleabihf zig=arm-linux-musleabihf      cpu=generic+v7a+vfp3d16 ;;
    *) fail "there is no wheel for the platform $1" "choose among ${platforms[*]}" ;;
  esac
}

# Says what is missing before anything is compiled.
check_tools() {
  command -v rustc >/dev/null && command -v cargo >/dev/null ||
    fail 'no Rust toolchain was found (rustc, cargo)' 'install Rust 1.85 or newer, or build in Docker: make wheels'
  python=$(command -v python3) || fail 'no python3 was found' 'install CPython 3.11 or newer, or build in Docker: make wheels'
  "$python" -c 'import maturin' 2>/dev/null && command -v maturin >/dev/null ||
    fail "maturin is not installed for $python" 'python3 -m pip install maturin==1.16.0'
  zig_program=$("$python" -c 'import pathlib, ziglang; print(pathlib.Path(ziglang.__file__).parent / "zig")' 2>/dev/null) ||
    fail "zig is not installed for $python" 'python3 -m pip install ziglang==0.15.2'
  sysroot=$(rustc --print sysroot)
}

has_std() { compgen -G "$sysroot/lib/rustlib/$1/lib/libstd-*.rlib" >/dev/null; }

# Cargo hands the linker, and ring's build script the compiler, words that zig refuses or that would undo -target.
# They are found by name, not by path: a linker's path would become part of every crate's name, and of the bytes.
write_tools() {
  mkdir -p "$tools"
  local refused='-lgcc_s|-lgcc|--target=*|-march=*|-mcpu=*|-mfloat-abi=*|-mfpu=*|-Wl,-melf*|-Wl,--no-undefined-version'
  cat >"$tools/$rust-cc" <<SH
#!/bin/bash
words=()
for word in "\$@"; do case \$word in $refused) ;; *) words+=("\$word") ;; esac; done
exec "$zig_program" cc -target $zig -mcpu=$cpu -fno-sanitize=undefined -g0 -w "\${words[@]}" \${SWARMLET_LINK:-}
SH
  # Unwinding is linked in, so that no wheel needs libgcc_s beside it. rustc guesses by the name what a linker takes.
  printf '#!/bin/sh\nSWARMLET_LINK=-lunwind exec "%s" "$@"\n' "$tools/$rust-cc" >"$tools/$rust-link-cc"
  printf '#!/bin/sh\nexec "%s" ar "$@"\n' "$zig_program" >"$tools/$rust-ar"
  chmod +x "$tools/$rust-cc" "$tools/$rust-link-cc" "$tools/$rust-ar"
}

# No path of this machine may stay in the library: where the crates, their copies and the compiler's library lie.
remapped_paths() {
  local folder # the last prefix that fits counts
  printf ' --remap-path-prefix=%s=swarmlet' "$root"
  for folder in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do printf ' --remap-path-prefix=%s=crates' "$folder"; done
  for folder in "$sysroot/lib/rustlib/src/rust" "$(readlink -f "$sysroot/lib/rustlib/src/rust")" "/$sysroot/lib/rustlib/src/rust"; do
    printf ' --remap-path-prefix=%s=/rustc' "$folder"
  done
}

build() {
  local platform=$1 rust zig cpu name upper flags std=()
  describe "$platform"
  if ! has_std "$rust"; then
    [ -f "$sysroot/lib/rustlib/src/rust/library/Cargo.lock" ] ||
      fail "Rust's standard library for $rust is neither installed nor there as source to build it" \
           'install the source (apt-get install rust-src), or build in Docker: make wheels'
    std=(-Z 'build-std=std,panic_unwind')
    export RUSTC_BOOTSTRAP=1 # build-std is not stable; this is the one unstable thing used
  fi
  write_tools
  name=${rust//-/_} upper=$(tr a-z- A-Z_ <<<"$rust")
  export "CC_$name=$rust-cc" "AR_$name=$rust-ar" "CARGO_TARGET_${upper}_LINKER=$rust-link-cc"
  cargo fetch --quiet --locked --manifest-path "$root/native/Cargo.toml"
  # musl: the C library of the system, not a copy of it inside, and zig's start files instead of Rust's.
  case $rust in *-musl*) flags='-C target-feature=-crt-static -C link-self-contained=no' ;; *) flags= ;; esac
  RUSTFLAGS="$flags$(remapped_paths)"
  export RUSTFLAGS
  printf 'wheels: %s%s\n' "$platform" "${std:+, with the standard library}"
  (cd "$root" && maturin build --quiet --release --locked --target "$rust" --compatibility "${platform%_"${platform#*linux_*_*_}"}" \
    --out "$out/$platform" "${std[@]}") >"$out/log" 2>&1 || { cat "$out/log" >&2; exit 1; }
  "$python" "$here/finish.py" "$out/$platform"/*.whl --into "$here" --source "$root" \
    --rust "$(rustc --version | cut -d' ' -f2)" --zig "$("$zig_program" version)"
}

build_sdist() {
  printf 'wheels: the source distribution\n'
  (cd "$root" && maturin sdist --out "$here") >"$out/log" 2>&1 || { cat "$out/log" >&2; exit 1; }
}

[ "${1:-}" != --list ] || { printf '%s\n' "${platforms[@]}"; exit 0; }
for platform in "$@"; do [ "$platform" = sdist ] || describe "$platform"; done
check_tools
# Optimising across all crates at once takes longer and makes it a tenth smaller; developers' builds do without.
export CARGO_PROFILE_RELEASE_LTO=${CARGO_PROFILE_RELEASE_LTO:-fat}
# The interpreter of this machine says nothing about the target: the stable ABI is linked without one.
export PYO3_NO_PYTHON=1 SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-315532800} CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target/wheels}
tools=$CARGO_TARGET_DIR/tools
export PATH=$tools:$PATH
out=$(mktemp -d) && trap 'rm -rf "$out"' EXIT
for platform in "${@:-${platforms[@]}}"; do
  if [ "$platform" = sdist ]; then build_sdist; else (build "$platform"); fi
done
