#!/usr/bin/env bash
# The manual, the shells' completions and what else belongs beside the program, into a folder that stands for a prefix.
#
#   scripts/extras.sh FOLDER COMMAND…       COMMAND starts zord, through an emulator where it must
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
FOLDER=${1:?usage: extras.sh FOLDER COMMAND…}
shift
share=$FOLDER/share
mkdir -p "$share/man/man1" "$share/bash-completion/completions" "$share/zsh/site-functions" "$share/fish/vendor_completions.d" \
  "$share/zord" "$share/doc/zord"
"$@" man "$share/man/man1"
"$@" completions bash >"$share/bash-completion/completions/zord"
"$@" completions zsh >"$share/zsh/site-functions/_zord"
"$@" completions fish >"$share/fish/vendor_completions.d/zord.fish"
cp "$ROOT/termux/extra-keys.properties" "$share/zord/"
cp "$ROOT/LICENSE-MIT" "$ROOT/LICENSE-APACHE" "$share/doc/zord/"
