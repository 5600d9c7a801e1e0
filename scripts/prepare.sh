# shellcheck shell=bash
# What a machine needs before Zord Coder can be built on it. Sourced by the other scripts; does nothing by itself.
#
# Knows Debian and its kin (apt-get) and Termux (pkg); elsewhere it says what is missing and leaves the rest to you.

RUST_NEEDED=1.95

say() { printf '%s\n' "$*" >&2; }

fail() {
  printf 'error: %s\n' "$1" >&2
  [ $# -lt 2 ] || printf '\nhint: %s\n' "$2" >&2
  exit 1
}

in_termux() { [ -n "${TERMUX_VERSION:-}" ] || [[ ${PREFIX:-} == */com.termux/* ]]; }

has() { command -v "$1" >/dev/null 2>&1; }

# duration SECONDS: as a person says it.
duration() {
  if [ "$1" -lt 60 ]; then printf '%s s\n' "$1"; else printf '%s min %s s\n' "$(($1 / 60))" "$(($1 % 60))"; fi
}

# as_root COMMAND…: as root, by sudo if need be.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif has sudo; then
    sudo "$@"
  else
    fail "\`$*\` needs root, and there is no sudo" "run it as root, then start this script again"
  fi
}

# quietly COMMAND…: what it prints goes to a file, which is shown only when it fails.
quietly() {
  local log code=0
  log=$(mktemp "${TMPDIR:-/tmp}/zord-install.XXXXXX")
  "$@" >"$log" 2>&1 || code=$?
  if [ "$code" = 0 ]; then
    rm -f "$log"
  else
    tail -n 30 "$log" >&2
    say "(all of it: $log)"
  fi
  return "$code"
}

# add_packages DEBIAN TERMUX: each a list in one word.
add_packages() {
  local debian termux start=$SECONDS
  read -ra debian <<<"$1"
  read -ra termux <<<"$2"
  if in_termux; then
    say "installing ${termux[*]}"
    quietly pkg install -y "${termux[@]}" || fail "\`pkg install ${termux[*]}\` failed" "look at what it said, then start this script again"
  elif has apt-get; then
    local by_hand="apt-get install ${debian[*]}"
    [ "$(id -u)" = 0 ] || has sudo ||
      fail "these packages are missing, and installing them needs root: ${debian[*]}" "as root: $by_hand"
    say "installing ${debian[*]} (by apt-get; a minute or two)"
    if [ -z "${APT_UPDATED:-}" ]; then
      quietly as_root apt-get update || fail "\`apt-get update\` failed" "is there a network? Else, as root: $by_hand"
      APT_UPDATED=yes
    fi
    # another program may hold the lock for a while, as a fresh system's own updates do
    quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -o DPkg::Lock::Timeout=300 \
      --no-install-recommends "${debian[@]}" ||
      fail "these packages could not be installed: ${debian[*]}" "as root: $by_hand"
  else
    fail "this needs what Debian calls \`${debian[*]}\`" "install it with this system's package manager, then start this script again"
  fi
  say "installed in $(duration $((SECONDS - start)))"
}

# The names that bindgen looks for: `libclang.so`, with a version before or behind the ending. LLVM's runtime brings a
# `libclang-cpp.so.14`, which is another library. ZORD_LIBRARY_FOLDERS, separated by colons, replaces where to look.
has_libclang() {
  [ -n "${LIBCLANG_PATH:-}" ] && return
  local folders=(/usr/lib /usr/lib64 /usr/local/lib)
  if in_termux; then folders=("$PREFIX/lib"); fi
  if [ -n "${ZORD_LIBRARY_FOLDERS:-}" ]; then IFS=: read -ra folders <<<"$ZORD_LIBRARY_FOLDERS"; fi
  local names=(-name libclang.so -o -name 'libclang.so.*' -o -name 'libclang-[0-9]*.so' -o -name 'libclang-[0-9]*.so.*')
  [ -n "$(find "${folders[@]}" \( "${names[@]}" \) -exec test -e '{}' \; -print -quit 2>/dev/null)" ]
}

# The compiler, cmake, make and libclang that llama.cpp and bindgen ask for.
need_build_tools() {
  local on_debian="" in_pkg=""
  has cmake || { on_debian+=" cmake" in_pkg+=" cmake"; }
  has c++ || has g++ || has clang++ || { on_debian+=" g++" in_pkg+=" clang"; }
  has cc || has gcc || has clang || { on_debian+=" gcc" in_pkg+=" clang"; }
  has make || { on_debian+=" make" in_pkg+=" make"; }
  has_libclang || { on_debian+=" libclang-dev" in_pkg+=" clang"; }
  [ -z "$on_debian" ] || add_packages "$on_debian" "$in_pkg"
}

need_pip() {
  if ! has python3 || ! python3 -m pip --version >/dev/null 2>&1; then
    add_packages "python3 python3-pip ca-certificates" "python python-pip"
  fi
}

# Rust is the one thing that is not installed by itself: which way to take is the person's choice.
need_rust() {
  has cargo || PATH="$HOME/.cargo/bin:$PATH"
  local way="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh   (then open a new shell)"
  has curl || ! has apt-get || way="apt-get install curl ca-certificates, then $way"
  if in_termux; then way="pkg install rust"; fi
  { has cargo && has rustc; } || fail "Rust $RUST_NEEDED or newer is needed, and there is none" "$way"
  local version
  version=$(rustc --version | sed -n 's/^rustc \([0-9]*\.[0-9]*\).*/\1/p')
  if [ "$(printf '%s\n%s\n' "$RUST_NEEDED" "$version" | sort -V | head -n 1)" != "$RUST_NEEDED" ]; then
    if has rustup; then way="rustup update stable"; fi
    if in_termux; then way="pkg upgrade rust"; fi
    fail "Rust $RUST_NEEDED or newer is needed, this is $(rustc --version)" "$way"
  fi
}

# target_folder: where cargo builds, absolute.
target_folder() {
  local target=${CARGO_TARGET_DIR:-target}
  case $target in
    /*) printf '%s\n' "$target" ;;
    *) printf '%s\n' "$ROOT/$target" ;;
  esac
}
