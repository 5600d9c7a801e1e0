#!/usr/bin/env bash
# The program for Android's own C library, by the NDK: for maintainers who want it to start in the Play Store's Termux,
# or from an app. Position-independent, with the C++ library inside, for Android 9 (API 28) and newer.
#
#   scripts/build-android.sh [v80] [v82] [v86]      all three without a name; into target/android
#
# Needs the NDK (ANDROID_NDK_HOME), cargo-ndk 3 or newer and rustup's target aarch64-linux-android. The tests do not run
# it: the NDK comes from no package registry.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$ROOT/scripts/prepare.sh"
. "$ROOT/scripts/arm64-tools.sh"
API=28
TARGET=aarch64-linux-android

levels=("$@")
[ ${#levels[@]} -gt 0 ] || levels=(v80 v82 v86)
for level in "${levels[@]}"; do level_arch "$level" >/dev/null; done

need_rust
has cargo-ndk || fail "cargo-ndk is needed, and there is none" "cargo install cargo-ndk"
ANDROID_NDK=${ANDROID_NDK:-${ANDROID_NDK_HOME:-${ANDROID_NDK_ROOT:-}}}
[ -f "$ANDROID_NDK/build/cmake/android.toolchain.cmake" ] ||
  fail "there is no NDK at \`$ANDROID_NDK\`" "set \`ANDROID_NDK_HOME\` to the folder of the NDK"
rustup target list --installed | grep -qx "$TARGET" || fail "Rust cannot build for $TARGET" "rustup target add $TARGET"
need_build_tools

build=$(target_folder)
result=$build/android
mkdir -p "$result"
export ANDROID_NDK ANDROID_API_LEVEL=$API
cd "$ROOT"
for level in "${levels[@]}"; do
  say "building zord-$level"
  # unlike on Linux, the sys crate takes this one from the environment here
  GGML_CPU_ARM_ARCH=$(level_arch "$level")
  export GGML_CPU_ARM_ARCH ZORD_ARM_LEVEL=$level
  cargo ndk --target arm64-v8a --platform "$API" build --release --locked --no-default-features \
    --features engine,launcher,llama-cpp-2/android-static-stdcxx --bin zord --bin zord-launch >&2
  cp "$build/$TARGET/release/zord" "$result/zord-$level"
done
cp "$build/$TARGET/release/zord-launch" "$result/zord"
(cd "$result" && sha256sum zord "${levels[@]/#/zord-}")
