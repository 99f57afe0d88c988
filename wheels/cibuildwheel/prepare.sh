#!/bin/sh
# prepare.sh PROJECT: what cibuildwheel runs first in each of its containers (`before-all`). Installs Rust where there is
# none, and writes cargo's settings: how to link there, and what no library may tell of the machine that built it.
set -eu
project=${1:?'prepare.sh PROJECT'}
rust=1.85.1 rustup=1.29.0
fail() { printf 'wheels: %s\n  next: %s\n' "$1" "$2" >&2; exit 2; }

# The container says which wheel it is for. rustup has no compiler that runs on musl on ARMv7; Alpine has.
case ${AUDITWHEEL_PLAT:-} in
  manylinux_2_28_x86_64)  triple=x86_64-unknown-linux-gnu      sum=4acc9acc76d5079515b46346a485974457b5a79893cfb01112423c89aeb5aa10 ;;
  manylinux_2_28_aarch64) triple=aarch64-unknown-linux-gnu     sum=9732d6c5e2a098d3521fca8145d826ae0aaa067ef2385ead08e6feac88fa5792 ;;
  manylinux_2_31_armv7l)  triple=armv7-unknown-linux-gnueabihf sum=124e02253af9128f9e27ea1ac929cbb73cf44cf35469d0f594a1b62f7b71fea1 ;;
  musllinux_1_2_x86_64)   triple=x86_64-unknown-linux-musl     sum=9cd3fda5fd293890e36ab271af6a786ee22084b5f6c2b83fd8323cec6f0992c1 ;;
  musllinux_1_2_aarch64)  triple=aarch64-unknown-linux-musl    sum=88761caacddb92cd79b0b1f939f3990ba1997d701a38b3e8dd6746a562f2a759 ;;
  musllinux_1_2_armv7l)   triple=armv7-unknown-linux-musleabihf sum= ;;
  *) fail "no wheel is built for the platform '${AUDITWHEEL_PLAT:-}'" 'cibuildwheel --print-build-identifiers --platform linux' ;;
esac

install_rust() {
  if [ -z "$sum" ]; then
    # And what psutil is built with, which has no ready wheel there and is needed to use this one.
    apk add --no-cache cargo rust rust-src linux-headers
    return
  fi
  curl --proto '=https' --tlsv1.2 --fail --silent --show-error --retry 3 --output /tmp/rustup-init \
    "https://static.rust-lang.org/rustup/archive/$rustup/$triple/rustup-init"
  printf '%s  /tmp/rustup-init\n' "$sum" | sha256sum -c -
  chmod +x /tmp/rustup-init
  /tmp/rustup-init -y --no-modify-path --profile minimal --default-toolchain "$rust" --default-host "$triple"
  rm /tmp/rustup-init
}
mkdir -p "$CARGO_HOME"
command -v cargo >/dev/null || install_rust
library=$(rustc --print sysroot)/lib/rustlib/src/rust/library
[ -n "$sum" ] || [ -f "$library/Cargo.lock" ] ||
  fail "the source of Rust's standard library is not in $library" 'apk add rust-src, of the version of rust'

# What unwinds the stack is linked in, so that no wheel needs libgcc_s beside it.
cat >"$CARGO_HOME/linker" <<'SH'
#!/bin/sh
for word; do
  shift
  case $word in -lgcc_s) set -- "$@" -lgcc_eh -lgcc ;; *) set -- "$@" "$word" ;; esac
done
exec gcc "$@"
SH
chmod +x "$CARGO_HOME/linker"

cd "$project"
cargo fetch --quiet --locked
crates='' # the last prefix that fits counts
for folder in "$CARGO_HOME"/registry/src/*; do crates="$crates, \"--remap-path-prefix=$folder=crates\""; done
cat >"$CARGO_HOME/config.toml" <<TOML
[target.$triple]
linker = "$CARGO_HOME/linker"
rustflags = ["-Ctarget-feature=-crt-static", "--remap-path-prefix=$project=swarmlet", "--remap-path-prefix=$library=/rustc/library"$crates]
TOML
