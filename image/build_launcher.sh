#!/usr/bin/env bash
# build_launcher.sh OUT PROGRAM: the static launcher of PROGRAM (swarmlet or stratoswarm), for the oldest processor of the family of TARGETARCH.
here=$(dirname "$(readlink -f "$0")")
. "$here/target.sh"
mkdir -p "$(dirname "$1")"
"$zig" cc -target "$zig_target" -mcpu="$launcher_cpu" -static -Os -flto -ffunction-sections -fdata-sections \
  -Wall -Wextra -Werror -Wl,--gc-sections -s "-DPROGRAM=\"$2\"" "$here/launcher/launcher.c" -o "$1"
