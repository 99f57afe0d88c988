#!/usr/bin/env bash
# image_twice.sh [PLATFORM]: builds the agent's image twice from nothing and compares every file (mode, owner, size, hash,
# date). Prints what differs and fails when anything does. It takes as long as two builds without a cache.
set -euo pipefail
cd "$(dirname "$0")/.."

platform=${1:-here}
case $platform in here) case $(uname -m) in x86_64) platform=linux/amd64 ;; aarch64) platform=linux/arm64 ;; *) platform=linux/arm/v7 ;; esac ;; esac
scripts/image_base.sh debian:trixie-slim
scripts/buildx.sh
work=$(mktemp -d)
trap 'rm -rf "$work"; docker image rm --force swarmlet-twice:1 swarmlet-twice:2 >/dev/null 2>&1 || true' EXIT
for time in 1 2; do
  docker buildx build --file Dockerfile.multiarch --target agent --platform "$platform" --no-cache --load --tag "swarmlet-twice:$time" .
  docker save --output "$work/$time.tar" "swarmlet-twice:$time"
done
"${PYTHON:-python3}" image/listing.py "$work/1.tar" "$work/2.tar"
