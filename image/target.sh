# Sourced by the build scripts: what one platform of the image is called by each tool, and the C compiler for it.
# Reads TARGETARCH and TARGETVARIANT as BuildKit sets them; leaves CC, AR, RANLIB and the names below.
set -euo pipefail

case "${TARGETARCH:?}${TARGETVARIANT:-}" in
  amd64)       zig_target=x86_64-linux-musl    cpu=x86_64        launcher_cpu=x86_64 host=x86_64-linux-musl
               rust_target=x86_64-unknown-linux-musl  loader=ld-musl-x86_64.so.1  wheel=musllinux_1_2_x86_64 ;;
  arm64|arm64v8) zig_target=aarch64-linux-musl cpu=generic       launcher_cpu=generic host=aarch64-linux-musl
               rust_target=aarch64-unknown-linux-musl loader=ld-musl-aarch64.so.1 wheel=musllinux_1_2_aarch64 ;;
  # Not every ARMv7 has NEON or more than sixteen VFP registers, so neither is used; the launcher runs on ARMv6 to say no.
  armv7)       zig_target=arm-linux-musleabihf cpu=generic+v7a+vfp3d16 launcher_cpu=arm1176jzf_s host=arm-linux-musleabihf
               rust_target=armv7-unknown-linux-musleabihf loader=ld-musl-armhf.so.1 wheel=musllinux_1_2_armv7l ;;
  *) printf 'image: no build for the platform linux/%s%s\n  next: choose linux/amd64, linux/arm64 or linux/arm/v7\n' \
       "$TARGETARCH" "${TARGETVARIANT:+/$TARGETVARIANT}" >&2; exit 2 ;;
esac

# One zig for everything: the C compiler, linker and archiver, with musl's headers, for every target.
zig=$(/opt/tools/bin/python -c 'import pathlib, ziglang; print(pathlib.Path(ziglang.__file__).parent / "zig")')
bin=$(mktemp -d)
# In memory, as the build's other leftovers (see Dockerfile.multiarch): none of it is for the next step.
export ZIG_GLOBAL_CACHE_DIR=/tmp/zig ZIG_LOCAL_CACHE_DIR=/tmp/zig
wrapper() { printf '#!/bin/sh\nexec %s "$@"\n' "$2" >"$bin/$1"; chmod +x "$bin/$1"; }
wrapper cc "$zig cc -target $zig_target -mcpu=$cpu -fno-sanitize=undefined -w"
wrapper ar "$zig ar"
wrapper ranlib "$zig ranlib"
CC=$bin/cc AR=$bin/ar RANLIB=$bin/ranlib
export CC AR RANLIB
# Small, in sections that the linker may drop, position independent on every target: a program that is not would give
# one address to several symbols of libc on ARM (copy relocations) and crash at its start.
small="-DNDEBUG -g0 -Os -fwrapv -flto -fPIC -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables -fno-unwind-tables"
