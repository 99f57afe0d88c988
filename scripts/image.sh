#!/usr/bin/env bash
# image.sh TARGET PLATFORM...: builds a target of Dockerfile.multiarch for each platform, loads it into the engine and
# holds it to its budget. `here` is this machine's platform.
#   agent        stratoswarm/swarmlet:latest      (others: :latest-arm64, :latest-armv7)
#   coordinator  stratoswarm/coordinator:latest
set -euo pipefail
cd "$(dirname "$0")/.."

target=$1; shift
case $target in agent) name=stratoswarm/swarmlet ;; coordinator) name=stratoswarm/coordinator ;;
  *) printf 'image: no target %s\n  next: agent or coordinator\n' "$target" >&2; exit 2 ;; esac
case $(uname -m) in x86_64) native=linux/amd64 ;; aarch64) native=linux/arm64 ;; arm*) native=linux/arm/v7 ;; *) native= ;; esac

scripts/image_base.sh debian:trixie-slim
scripts/buildx.sh
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml | head -n 1)
revision=$(git rev-parse HEAD 2>/dev/null || true)
archive=$(mktemp)
trap 'rm -f "$archive"' EXIT

for platform in "$@"; do
  [ "$platform" = here ] && platform=$native
  short=${platform#linux/} short=${short//\//}
  [ "$platform" = "$native" ] && tag=latest || tag=latest-$short
  started=$SECONDS
  docker buildx build --file Dockerfile.multiarch --target "$target" --platform "$platform" --load --tag "$name:$tag" \
    --build-arg VERSION="$version" --build-arg REVISION="$revision" ${IMAGE_BUILD_OPTIONS:-} .
  printf 'image: %s:%s for %s, built in %d s\n' "$name" "$tag" "$platform" $((SECONDS - started))
  docker save --output "$archive" "$name:$tag"
  "${PYTHON:-python3}" image/gate.py --platform "$target $platform" --budget "$target" "$archive"
done
