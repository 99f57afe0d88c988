#!/usr/bin/env bash
# build_native.sh SOURCE OUT: the native extension for TARGETARCH, as OUT. Takes it from a wheel in SOURCE/wheels when the
# one for this platform is there, else builds it.
here=$(dirname "$(readlink -f "$0")")
. "$here/target.sh"
source=$(readlink -f "$1") out=$2
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$source/pyproject.toml" | head -n 1)
from_wheel() {
  local file
  file=$(find "$source/wheels" -name "swarmlet-$version-*-$wheel.whl" 2>/dev/null | head -n 1)
  [ -n "$file" ] && python3 - "$file" "$out" <<'PY'
import pathlib, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    name = next(name for name in archive.namelist() if name.startswith("swarmlet/_native") and name.endswith(".so"))
    pathlib.Path(sys.argv[2]).write_bytes(archive.read(name))
PY
}
mkdir -p "$(dirname "$out")"
if from_wheel; then exit 0; fi
if [ -x "$source/wheels/build.sh" ]; then
  (cd "$source" && wheels/build.sh "$wheel") && from_wheel
  exit
fi

# Cargo hands the linker words that zig does not know; ring's build script does the same to the compiler.
cat >"$bin/zig-cc" <<SH
#!/bin/bash
words=()
for word in "\$@"; do
  case \$word in -lgcc_s|-lgcc|--target=*|-march=*|-mfloat-abi=*|-Wl,-melf*) ;; *) words+=("\$word") ;; esac
done
exec $zig cc -target $zig_target -mcpu=$cpu -fno-sanitize=undefined -w "\${words[@]}" -lunwind
SH
sed 's/ -lunwind$//' "$bin/zig-cc" >"$bin/compile"
chmod +x "$bin/zig-cc" "$bin/compile"
env_name=${rust_target//-/_}
export "CC_$env_name=$bin/compile" "AR_$env_name=$AR"
upper=${env_name^^}
export "CARGO_TARGET_${upper}_LINKER=$bin/zig-cc"
export CARGO_PROFILE_RELEASE_LTO=fat RUSTC_BOOTSTRAP=1 PYO3_NO_PYTHON=1 CARGO_TARGET_DIR=/tmp/target
export RUSTFLAGS="-C target-feature=-crt-static -C link-self-contained=no --remap-path-prefix=$source=swarmlet --remap-path-prefix=$HOME/.cargo=cargo"
cd "$source/native"
cargo build --release --locked -Zbuild-std=std,panic_unwind --target "$rust_target" --features pyo3/extension-module
cp "/tmp/target/$rust_target/release/lib_native.so" "$out"
