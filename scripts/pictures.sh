#!/usr/bin/env bash
# The README's pictures, drawn from real sessions: 80×24, and 45×30 as on a phone held upright.
#
#   scripts/pictures.sh [QUESTION]
#
# Needs tmux, and what screenshot.py needs; asks the model that zord would use, and for the editor Qwen2.5-Coder-0.5B. PYTHON
# names a python3 that has Pillow, PICTURES the ones to draw (wide phone editor review).
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

# in_folder FOLDER COLUMNS ROWS ARGUMENTS…: zord in a terminal of its own
in_folder() {
  local folder=$1 columns=$2 rows=$3
  shift 3
  tmux_here -f /dev/null new-session -d -s zord -c "$folder" -x "$columns" -y "$rows" \
    env COLORTERM=truecolor LANG=C.UTF-8 "$ZORD" "$@"
}

# typed WORDS: as if on the keyboard, then Enter
typed() {
  tmux_here send-keys -t zord -l "$1"
  tmux_here send-keys -t zord Enter
}

# shot NAME COLUMNS: what is seen now, as a picture
shot() {
  tmux_here capture-pane -e -p -N -t zord |
    "${PYTHON:-python3}" "$ROOT/scripts/screenshot.py" "$ROOT/assets/pictures/$1.png" --columns "$2"
  tmux_here kill-server
}

conversation() {
  in_folder "$ROOT" "$2" "$3"
  wait_for "ctx 0/" yes
  typed "$QUESTION"
  wait_for "Esc stops" yes
  wait_for "Esc stops" no
  shot "$1" "$2"
}

# A model that fills in suggests something worth a look.
suggestion() {
  local folder=$1 tries=0
  cat >"$folder/words.py" <<'END'
import re


def words(text):
    """The words of a text, in lower case."""
    return re.findall(r"\w+", text.lower())


def count(text):
    """How often each word occurs in a text."""
    counts = {}
    for word in words(text):
        
    return counts
END
  in_folder "$folder" 80 20 --model "$MODELS/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf" words.py:13
  wait_for "words.py" yes
  tmux_here send-keys -t zord End
  until screen | grep -q "Tab accept"; do
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || fail "nothing is suggested"
    tmux_here send-keys -t zord "M-\\"
    sleep 1
  done
  shot editor 80
}

review() {
  local folder=$1
  printf 'def area(width, height):\n    return width * height\n\n\nprint(area(2, 3))\n' >"$folder/area.py"
  in_folder "$folder" 80 24
  wait_for "ctx 0/" yes
  typed "@area.py Write this whole file again, with a docstring in the function and type hints."
  wait_for "Esc stops" yes
  wait_for "Esc stops" no
  typed "/apply"
  wait_for "y accept" yes
  shot review 80
}

FOLDER=$(mktemp -d)
trap 'tmux_here kill-server 2>/dev/null || true; rm -rf "$FOLDER"' EXIT
MODELS=${ZORD_TEST_MODELS:-$(target_folder)/models}
[ -f "$MODELS/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf" ] || python3 "$ROOT/scripts/fetch.py" "$MODELS" qwen0.5b >/dev/null
mkdir -p "$ROOT/assets/pictures"
for name in ${PICTURES:-wide phone editor review}; do
  case $name in
    wide) conversation wide 80 24 ;;
    phone) conversation phone 45 30 ;;
    editor) suggestion "$FOLDER" ;;
    review) review "$FOLDER" ;;
    *) fail "there is no picture \`$name\`" "wide, phone, editor, review" ;;
  esac
done
