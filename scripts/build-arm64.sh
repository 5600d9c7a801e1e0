#!/usr/bin/env bash
# The program for 64-bit ARM phones: static, at three levels of the instruction set, with a launcher that picks one.
#
#   scripts/build-arm64.sh [v80] [v82] [v86]        all three without a name; the launcher comes with any of them
#
# The results stand in target/arm64: `zord` (the launcher), `zord-v80` (every 64-bit phone), `zord-v82` (dot products
# and half-precision arithmetic), `zord-v86` (8-bit matrix products too). The C++ is built for exactly these features:
# no atomics of ARMv8.1 and no SVE, which some kernels announce and some of their cores lack. How the compilers are
# found, and what the first build needs, stands in arm64-tools.sh. The same commit gives the same bytes with the same
# compilers: paths are mapped away, and nothing records a time.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$ROOT/scripts/prepare.sh"
. "$ROOT/scripts/arm64-tools.sh"

# compile FOLDER LEVEL…: with the compilers that are on the PATH.
compile() {
  local folder=$1 level flags=() c_flags
  shift
  mkdir -p "$folder/result"
  # The sys crate states `armv8-a` for this target whatever the environment says; this is read later, and wins.
  # shellcheck disable=SC2016 # CMake expands it
  printf 'set(GGML_CPU_ARM_ARCH "$ENV{GGML_CPU_ARM_ARCH}" CACHE STRING "" FORCE)\n' >"$folder/arch.cmake"
  export CMAKE_PROJECT_TOP_LEVEL_INCLUDES=$folder/arch.cmake CARGO_TARGET_DIR=$folder CARGO_INCREMENTAL=0
  local home=${CARGO_HOME:-$HOME/.cargo}
  # Atomics of ARMv8.1 would be chosen at run time by the kernel's word, and one kernel is known to lie (Exynos 9810).
  c_flags="-mno-outline-atomics -ffile-prefix-map=$home=/cargo -ffile-prefix-map=$folder=/build -ffile-prefix-map=$ROOT=/zord"
  export CFLAGS_aarch64_unknown_linux_musl=$c_flags CXXFLAGS_aarch64_unknown_linux_musl=$c_flags
  RUSTFLAGS="-C target-feature=-outline-atomics --remap-path-prefix=$home=/cargo --remap-path-prefix=$folder=/build --remap-path-prefix=$ROOT=/zord"
  if ! arm64_tools_here; then
    # a distribution's compiler: its standard library is built along, and the C library's start files are zig's
    export RUSTC_BOOTSTRAP=1 LIBCLANG_PATH=${LIBCLANG_PATH:-/usr/lib/llvm-21/lib}
    flags+=("-Zbuild-std=std,panic_abort")
    RUSTFLAGS+=" -C link-self-contained=no"
  fi
  export RUSTFLAGS
  flags+=(${ZORD_ARM64_JOBS:+-j "$ZORD_ARM64_JOBS"})
  cd "$ROOT"
  for level in "$@"; do
    say "building zord-$level"
    # configured once and never again otherwise; only what the level changes is compiled anew
    rm -f "$folder/$ARM64_TARGET"/release/build/llama-cpp-sys-2-*/out/build/CMakeCache.txt
    GGML_CPU_ARM_ARCH=$(level_arch "$level")
    export GGML_CPU_ARM_ARCH ZORD_ARM_LEVEL=$level
    cargo zigbuild --release --locked --target "$ARM64_TARGET" --config 'profile.release.strip="symbols"' \
      --no-default-features --features engine,launcher --bin zord --bin zord-launch "${flags[@]}" >&2
    cp "$folder/$ARM64_TARGET/release/zord" "$folder/result/zord-$level"
  done
  cp "$folder/$ARM64_TARGET/release/zord-launch" "$folder/result/zord"
}

levels=()
for level in "$@"; do
  [ "$level" = --here ] || levels+=("$level")
done
[ ${#levels[@]} -gt 0 ] || levels=(v80 v82 v86)
for level in "${levels[@]}"; do level_arch "$level" >/dev/null; done

if [ "${1:-}" = --here ]; then
  compile /build "${levels[@]}"
  exit
fi

RESULT=$(target_folder)/arm64
mkdir -p "$ARM64_BUILD"
if arm64_tools_here; then
  need_build_tools
  (compile "$ARM64_BUILD" "${levels[@]}")
else
  make_arm64_tools
  in_tree /zord/scripts/build-arm64.sh --here "${levels[@]}"
fi
for level in "${levels[@]}"; do cp "$ARM64_BUILD/result/zord-$level" "$RESULT/zord-$level"; done
cp "$ARM64_BUILD/result/zord" "$RESULT/zord"
(cd "$RESULT" && sha256sum zord "${levels[@]/#/zord-}")
