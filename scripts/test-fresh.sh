#!/usr/bin/env bash
# The first hour on machines that have never seen this program: a new root of each system, in which scripts/run.sh starts
# with nothing but Rust, as root and as a person with sudo. By hand and before a release: it takes root, a network, 5 GB
# and a quarter of an hour a system.
#
#   scripts/test-fresh.sh [--prepare] [bookworm] [trixie] [noble]        all three without a name
#
#   --prepare    stops before the build: what is missing is told and installed, and no more
#
# ZORD_FRESH names the folder for the roots (they are removed afterwards, unless a test fails). Rust is this machine's
# own, mounted read-only, with what cargo has downloaded; packages come from the systems' usual servers.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$ROOT/scripts/prepare.sh"

FRESH=${ZORD_FRESH:-${TMPDIR:-/tmp}/zord-fresh}
RUST=$(rustc --print sysroot 2>/dev/null) || fail "there is no Rust on this machine to lend" "install it by rustup"
REGISTRY=${CARGO_HOME:-$HOME/.cargo}/registry
# what stands in /etc/apt of a new machine but its servers, which debootstrap writes
ENVIRONMENT=(LANG=C.UTF-8 TERM=dumb PATH=/opt/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  CARGO_HOME=/opt/cargo ZORD_MODEL=none)

only_prepare="" systems=() results=()
for word in "$@"; do
  case $word in
    --prepare) only_prepare=yes ;;
    bookworm | trixie | noble) systems+=("$word") ;;
    *) fail "there is no system \`$word\` here" "bookworm (Debian 12), trixie (Debian 13), noble (Ubuntu 24.04)" ;;
  esac
done
[ ${#systems[@]} -gt 0 ] || systems=(bookworm trixie noble)
[ "$(id -u)" = 0 ] || fail "this makes and enters new roots, which needs root"

# make_root SYSTEM: a minimal system in $FRESH/SYSTEM.
make_root() {
  local folder=$FRESH/$1 mirror=${ZORD_MIRROR:-http://deb.debian.org/debian} script=() options=(--variant=minbase)
  has debootstrap || add_packages debootstrap ""
  if [ "$1" = noble ]; then
    mirror=${ZORD_UBUNTU_MIRROR:-http://archive.ubuntu.com/ubuntu}
    # older ones know neither its name nor its key; all Ubuntus since 2007 are put up alike
    [ -e "/usr/share/debootstrap/scripts/$1" ] || script=(/usr/share/debootstrap/scripts/gutsy)
    [ -e /usr/share/keyrings/ubuntu-archive-keyring.gpg ] || options+=(--no-check-gpg)
    options+=('--components=main,universe')
  fi
  mkdir -p "$folder"
  quietly debootstrap "${options[@]}" "$1" "$folder" "$mirror" "${script[@]}"
}

# enter ROOT: mounts what programs need; leave ROOT takes it away again.
enter() {
  mkdir -p "$1/opt/rust" "$1/opt/cargo/registry" "$1/proc" "$1/dev"
  mount -t proc proc "$1/proc"
  mount --bind /dev "$1/dev"
  mount --bind -o ro "$RUST" "$1/opt/rust"
  # cargo writes locks beside what it reads
  mount --bind "$REGISTRY" "$1/opt/cargo/registry"
}

leave() {
  local place
  for place in opt/cargo/registry opt/rust dev proc; do
    if mountpoint -q "$1/$place"; then umount "$1/$place"; fi
  done
}

# inside ROOT USER COMMAND…: in the repository, with nothing of this machine's environment. Who is not root builds below the
# home folder, since the sources are root's.
inside() {
  local folder=$1 user=$2
  shift 2
  # shellcheck disable=SC2016 # expanded by the shell inside
  chroot --userspec="$user" --groups="" "$folder" env -i "${ENVIRONMENT[@]}" sh -c '
    HOME=$(getent passwd "$(id -u)" | cut -d: -f6)
    [ "$(id -u)" = 0 ] || export CARGO_TARGET_DIR="$HOME/target"
    export HOME
    cd /zord && exec "$@"' sh "$@"
}

# check NAME COMMAND…: one line of the result.
check() {
  local name=$1 start=$SECONDS
  shift
  if "$@"; then
    results+=("ok      $(printf '%-60s' "$name") $(duration $((SECONDS - start)))")
  else
    results+=("FAILED  $name")
    return 1
  fi
}

# without_rust ROOT: one sentence, and nothing installed.
without_rust() {
  local said
  ! said=$(inside "$1" root env PATH=/usr/sbin:/usr/bin:/sbin:/bin scripts/run.sh --version 2>&1) || return 1
  say "$said"
  [[ $said == "error: Rust "*" is needed"* ]] && ! inside "$1" root sh -c 'command -v cmake' >/dev/null
}

# without_sudo ROOT: which packages are missing.
without_sudo() {
  local said
  ! said=$(inside "$1" fresh bash -c '. scripts/prepare.sh; need_build_tools' 2>&1) || return 1
  say "$said"
  [[ $said == "error: these packages are missing, and installing them needs root:"*cmake*libclang-dev* ]]
}

prepare_as() { inside "$1" "$2" bash -euc '. scripts/prepare.sh; need_rust; need_build_tools; need_pip; need_build_tools'; }

# LLVM's runtime without libclang: the library that was once taken for it.
only_the_runtime() {
  local package
  package=$(inside "$1" root sh -c "apt-cache search --names-only '^libclang-cpp[0-9.]*[a-z0-9]*$' | sort -V | sed -n '1s/ .*//p'")
  [ -n "$package" ] && quietly inside "$1" root apt-get install -y --no-install-recommends "$package" &&
    inside "$1" root bash -euc '. scripts/prepare.sh; ! has_libclang'
}

opens_as() { inside "$1" "$2" scripts/run.sh --version && inside "$1" "$2" scripts/run.sh doctor >/dev/null; }

# answers ROOT: from a program that is built to its first answer, with the smallest model.
answers() { inside "$1" fresh env ZORD_MODEL=smollm2-135m-instruct scripts/run.sh chat --max-tokens 16 "Name a colour."; }

fresh_system() {
  local system=$1 folder=$FRESH/$1
  check "$system: a new root" make_root "$system" || return 1
  mkdir -p "$folder/zord"
  (cd "$ROOT" && git ls-files -z | tar --null -T - -c) | tar -x -C "$folder/zord"
  enter "$folder"
  chroot "$folder" useradd --create-home fresh
  check "$system: without Rust there is one sentence" without_rust "$folder" || return 1
  check "$system: without sudo the packages are named" without_sudo "$folder" || return 1
  quietly inside "$folder" root sh -c 'apt-get update && apt-get install -y --no-install-recommends sudo ca-certificates' || return 1
  printf 'fresh ALL=(ALL) NOPASSWD: ALL\n' >"$folder/etc/sudoers.d/fresh"
  check "$system: LLVM's runtime is not libclang" only_the_runtime "$folder" || return 1
  check "$system: what is missing is installed, with sudo" prepare_as "$folder" fresh || return 1
  check "$system: nothing is missing then, as root" prepare_as "$folder" root || return 1
  [ -z "$only_prepare" ] || return 0
  check "$system: from the sources to the program, with sudo" opens_as "$folder" fresh || return 1
  check "$system: the first answer" answers "$folder" || return 1
  check "$system: from the sources to the program, as root" opens_as "$folder" root
}

failed=""
trap 'for system in "${systems[@]}"; do leave "$FRESH/$system"; done' EXIT
for system in "${systems[@]}"; do
  say "── $system"
  if fresh_system "$system"; then
    leave "$FRESH/$system"
    rm -rf --one-file-system "${FRESH:?}/$system"
  else
    failed=yes
    say "the root stays in $FRESH/$system"
  fi
done
say ""
printf '%s\n' "${results[@]}"
[ -z "$failed" ]
