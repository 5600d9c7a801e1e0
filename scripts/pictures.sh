#!/usr/bin/env bash
# The README's pictures, drawn from real sessions: 80×24, and 45×30 as on a phone held upright.
#
#   scripts/pictures.sh [QUESTION]
#
# Needs tmux, and what screenshot.py needs; asks the model that zord would use. PYTHON names a python3 that has Pillow.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$ROOT/scripts/prepare.sh"
QUESTION=${1:-Write a Python function that reverses a string, with an example.}
ZORD=$(target_folder)/release/zord
SOCKET=zord-pictures
has tmux || add_packages tmux tmux

tmux_here() { tmux -L "$SOCKET" "$@"; }

screen() { tmux_here capture-pane -p -t zord; }

# wait_for WORDS yes|no: until the screen shows the words, or no longer does.
wait_for() {
  local tries=0
  while if screen | grep -q "$1"; then [ "$2" = no ]; else [ "$2" = yes ]; fi; do
    tries=$((tries + 1))
    [ "$tries" -lt 600 ] || fail "the screen still does not say what it should about \`$1\`"
    sleep 0.5
  done
}

picture() {
  local name=$1 columns=$2 rows=$3
  tmux_here -f /dev/null new-session -d -s zord -x "$columns" -y "$rows" \
    "env COLORTERM=truecolor LANG=C.UTF-8 '$ZORD'"
  wait_for "0/8.1k" yes
  tmux_here send-keys -t zord -l "$QUESTION"
  tmux_here send-keys -t zord Enter
  wait_for "Esc stops" yes
  wait_for "Esc stops" no
  tmux_here capture-pane -e -p -N -t zord |
    "${PYTHON:-python3}" "$ROOT/scripts/screenshot.py" "$ROOT/assets/pictures/$name.png" --columns "$columns"
  tmux_here kill-server
}

trap 'tmux_here kill-server 2>/dev/null || true' EXIT
mkdir -p "$ROOT/assets/pictures"
picture wide 80 24
picture phone 45 30
