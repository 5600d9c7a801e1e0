#!/usr/bin/env bash
# Builds zord on the phone itself, with Termux's own Rust, clang and cmake, for this phone's processor; prints where the
# program is.
#
#   scripts/build-termux.sh
#
# llama.cpp is built by llama-termux.sh, since the crate that brings it does not know this host. Works on any 64-bit
# Linux too, which is how it is tried out without a phone.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$ROOT/scripts/prepare.sh"

TARGET=$(target_folder)
need_rust >&2
need_build_tools >&2
say "building (20 minutes and more on a phone, most of them for llama.cpp)"
override=$("$ROOT/scripts/llama-termux.sh" "$TARGET/llama")
mapfile -t flags <<<"$override"
# cargo reads its configuration from where it is started
cd "$ROOT"
cargo fetch --locked --offline --quiet 2>/dev/null || cargo fetch --locked >&2
cargo build --release --locked --offline --no-default-features --features engine --bin zord "${flags[@]}" >&2
printf '%s\n' "$TARGET/release/zord"
