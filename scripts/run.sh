#!/usr/bin/env bash
# From an empty folder to a conversation: installs what is missing, builds, asks which model to download, opens the TUI.
#
#   scripts/run.sh [ARGUMENTS FOR zord]
#
# A second start does none of this: it looks whether a source is newer than the program, and goes. ZORD_HOME moves the
# models and the configuration; ZORD_MODEL names the model to download, without a question; ZORD_AS_ON_A_PHONE=1 builds
# the way Termux needs.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$ROOT/scripts/prepare.sh"
. "$ROOT/scripts/first-model.sh"

TARGET=$(target_folder)
ZORD=$TARGET/release/zord
BUILT=$TARGET/release/.zord-built
# read by first-model.sh
# shellcheck disable=SC2034
FOLDER=$TARGET/models

is_built() {
  [ -x "$ZORD" ] && [ -e "$BUILT" ] &&
    [ -z "$(cd "$ROOT" && find src assets Cargo.toml Cargo.lock .cargo -newer "$BUILT" -print -quit)" ]
}

build() {
  local start
  if in_termux || [ -n "${ZORD_AS_ON_A_PHONE:-}" ]; then
    "$ROOT/scripts/build-termux.sh" >/dev/null
  else
    need_rust
    need_build_tools
    start=$SECONDS
    say "building zord: some minutes the first time, most of them for llama.cpp, the last lines of cargo's list"
    # from inside the repository: cargo reads its configuration from where it is started
    cd "$ROOT"
    cargo fetch --locked --offline --quiet 2>/dev/null || cargo fetch --locked
    # what the other programs need (zord-quantize, zord-merge, zord-distill) is not built
    cargo build --offline --release --locked --no-default-features --features engine --bin zord >&2
    say "built in $(duration $((SECONDS - start)))"
    tell_what_is_left_out
  fi
  touch "$BUILT"
}

# scripts/llama.cmake leaves a note where it leaves something out.
tell_what_is_left_out() {
  local note
  note=$(find "$TARGET/release/build" -path '*/llama-cpp-sys-2-*/zord-amx.txt' -newer "$ROOT/scripts/llama.cmake" -print -quit 2>/dev/null)
  [ -z "$note" ] || say "$(cat "$note")"
}

is_built || (build)
has_model || get_model
exec "$ZORD" "$@"
