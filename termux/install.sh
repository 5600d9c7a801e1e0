#!/bin/sh
# Installs Zord Coder in Termux, brings it up to date, or takes it away again.
#
#   sh install.sh [--archive FILE | --from-source] [--keys | --no-keys] [--model NAME | --no-model] [--yes]
#   sh install.sh --uninstall
#
#   --archive FILE   a release that is here already; nothing is downloaded
#   --from-source    builds it on the phone, from the repository that this script lies in (20 minutes and more)
#   --keys           adds a row of keys that phones lack above the keyboard; --no-keys does not ask
#   --model NAME     gets a model too; `best` takes the one that fits; --no-model does not ask
#   --yes            takes what fits without asking; the row of keys still wants --keys
#
# Without --archive a release is downloaded from where ZORD_RELEASES points. Everything is unpacked, checked and started
# once beside its final place; then each file moves there in one step, so that what was installed runs until then.
set -eu

NAME=zord
RELEASES=${ZORD_RELEASES:-}
ARCHIVE=$NAME-termux-aarch64.tar.gz
# What a build needs of the disk, in KiB.
BUILD_NEEDS=4000000

say() { printf '%s\n' "$*" >&2; }

# fail MESSAGE [HINT]
fail() {
  printf 'error: %s\n' "$1" >&2
  [ $# -lt 2 ] || printf '\nhint: %s\n' "$2" >&2
  exit 1
}

usage() {
  printf 'error: %s\n\nhint: install.sh [--archive FILE | --from-source | --uninstall] [--keys | --no-keys] [--model NAME | --no-model] [--yes]\n' "$1" >&2
  exit 2
}

has() { command -v "$1" >/dev/null 2>&1; }

# ask QUESTION: whether the person says yes; no where nobody can be asked.
ask() {
  [ -z "$yes" ] || return 0
  (exec </dev/tty) 2>/dev/null || return 1
  printf '%s [y/N] ' "$1" >/dev/tty
  read -r answer </dev/tty || return 1
  case $answer in [yY]*) return 0 ;; *) return 1 ;; esac
}

# need COMMAND PACKAGE: installs the package where the command is missing.
need() {
  has "$1" && return
  say "installing $2"
  pkg install -y "$2" >&2 || fail "\`pkg install $2\` failed" "look at what it said, then start this again"
}

arguments() {
  route='' archive='' keys=ask model=ask yes=''
  while [ $# -gt 0 ]; do
    case $1 in
      --archive)
        [ $# -gt 1 ] || usage "\`--archive\` wants a file"
        route=archive archive=$2
        shift
        ;;
      --from-source) route=source ;;
      --uninstall) route=uninstall ;;
      --keys) keys=yes ;;
      --no-keys) keys=no ;;
      --model)
        [ $# -gt 1 ] || usage "\`--model\` wants a name"
        model=$2
        shift
        ;;
      --no-model) model=no ;;
      --yes) yes=yes ;;
      -h | --help)
        sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
      *) usage "there is no option \`$1\`" ;;
    esac
    shift
  done
}

# Where this runs: Termux, of which build, on which processor. Nothing is changed before all of it is known.
surroundings() {
  case ${PREFIX:-} in
    */com.termux*/usr) ;;
    *) fail "this is not Termux (\`PREFIX\` is \`${PREFIX:-}\`)" "elsewhere, scripts/run.sh builds and starts zord" ;;
  esac
  machine=$(uname -m)
  package_machine=$machine
  if has dpkg; then package_machine=$(dpkg --print-architecture); fi
  case $machine/$package_machine in
    aarch64/aarch64 | arm64/*64) ;;
    arm*/* | aarch64/arm | i?86/*) fail "this is a 32-bit Android, and zord needs a 64-bit one (\`$machine\`, \`$package_machine\`)" \
      "a phone whose processor has 64 bits may have a 64-bit Termux: look at \`getprop ro.product.cpu.abilist\`" ;;
    *)
      [ "$route" = source ] || [ "$route" = uninstall ] ||
        fail "there is no release for \`$machine\`" "\`--from-source\` may build one"
      ;;
  esac
  case ${TERMUX_APK_RELEASE:-}/${TERMUX_VERSION:-} in
    *GOOGLE_PLAY*/* | *[Pp][Ll][Aa][Yy]_[Ss][Tt][Oo][Rr][Ee]*/* | */googleplay*) build=play ;;
    F_DROID/* | GITHUB/*) build=free ;;
    *) build=unknown ;;
  esac
}

choose_route() {
  [ -z "$route" ] || return 0
  if [ "$build" = play ]; then
    say "Termux is from the Play Store, which starts no static programs: zord is built here instead"
    route=source
  else
    route=release
  fi
}

begin() {
  stage=$PREFIX/libexec/.$NAME-new
  { mkdir -p "$PREFIX/libexec" && rm -rf "$stage" && mkdir "$stage"; } 2>/dev/null ||
    fail "cannot write into \`$PREFIX/libexec\`" "is the disk full or read-only? \`df -h $PREFIX\`"
  trap 'rm -rf "$stage"' EXIT
  trap 'say "interrupted; what was installed is as it was"; exit 130' INT TERM HUP
}

# room KIB: whether that much is free.
room() {
  free=$(df -Pk "$PREFIX" | tail -n 1 | tr -s ' ' | cut -d ' ' -f 4)
  [ "$free" -ge "$1" ] ||
    fail "$(($1 / 1024)) MiB are needed below \`$PREFIX\`, and $((free / 1024)) MiB are free" "free some space, then start this again"
}

download() {
  [ -n "$RELEASES" ] || fail "it is not known where releases are" \
    "set \`ZORD_RELEASES\` to their address, give one by \`--archive FILE\`, or build one by \`--from-source\`"
  need curl curl
  room 65536
  for file in "$ARCHIVE" "$ARCHIVE.sha256"; do
    say "downloading $file"
    curl --fail --location --silent --show-error --retry 3 --connect-timeout 20 --output "$stage/$file" "$RELEASES/$file" ||
      fail "cannot download \`$RELEASES/$file\`" "is there a network? start this again, or give the file by \`--archive FILE\`"
  done
  archive=$stage/$ARCHIVE
}

# belongs FILE: whether a release has a file of this name; nothing else gets below $PREFIX.
belongs() {
  case $1 in
    *..* | *//*) return 1 ;;
    "bin/$NAME" | "libexec/$NAME/$NAME-"* | "share/$NAME/"* | "share/doc/$NAME/"* | "share/man/man1/$NAME"*.1) ;;
    "share/bash-completion/completions/$NAME" | "share/zsh/site-functions/_$NAME" | \
      "share/fish/vendor_completions.d/$NAME.fish") ;;
    *) return 1 ;;
  esac
}

# only_what_is_listed: the files are those that the list names, no more and no fewer, and each belongs where it is.
only_what_is_listed() {
  (cd "$files" && find . -type f ! -path ./SHA256SUMS) | sed 's|^\./||' | LC_ALL=C sort >"$stage/found"
  sed 's/^[0-9a-f]\{64\} [ *]//' "$files/SHA256SUMS" | LC_ALL=C sort >"$stage/listed"
  extra=$(grep -vxF -f "$stage/listed" "$stage/found" | head -n 1)
  [ -z "$extra" ] || fail "\`$archive\` holds \`$extra\`, which its list does not name" "get it again, from where zord is published"
  while read -r file; do
    belongs "$file" ||
      fail "\`$archive\` would install \`$file\`, which is no part of zord" "get it again, from where zord is published"
  done <"$stage/listed"
  find "$files" -type f -exec chmod 644 {} +
}

# Compares the archive with the checksum beside it, unpacks it, and compares each file with the list inside.
unpack() {
  case $archive in *.deb) fail "\`$archive\` is a package" "\`apt install ./FILE.deb\` installs it" ;; esac
  [ -f "$archive" ] || fail "there is no file \`$archive\`" "give a release of zord, a .tar.gz file"
  need tar tar
  need gzip gzip
  need sha256sum coreutils
  if [ -f "$archive.sha256" ]; then
    expected=$(cut -d ' ' -f 1 <"$archive.sha256")
    found=$(sha256sum <"$archive" | cut -d ' ' -f 1)
    [ "$expected" = "$found" ] ||
      fail "\`$archive\` is damaged: its checksum is $found, it should be $expected" "get it again"
  else
    say "there is no \`$archive.sha256\`, so only the list inside is checked"
  fi
  gzip -t "$archive" 2>/dev/null || fail "\`$archive\` is damaged or no .tar.gz file" "get it again"
  room "$(($(gzip -dc "$archive" | wc -c) / 512))"
  tar -tvzf "$archive" >"$stage/names" 2>/dev/null || fail "\`$archive\` is damaged or no archive" "get it again"
  # plain files and folders below zord/, nothing else
  if grep -Ev "^[d-].* $NAME/[A-Za-z0-9_./-]*\$" "$stage/names" >&2 || grep -F .. "$stage/names" >&2; then
    fail "\`$archive\` holds what no release of zord does" "get it again"
  fi
  mkdir "$stage/files"
  tar -xzf "$archive" -C "$stage/files" --no-same-owner || fail "\`$archive\` cannot be unpacked" "get it again"
  files=$stage/files/$NAME
  [ -f "$files/SHA256SUMS" ] || fail "\`$archive\` is no release of zord: it has no \`$NAME/SHA256SUMS\`" "get it again"
  (cd "$files" && sha256sum -c SHA256SUMS >/dev/null 2>&1) ||
    fail "\`$archive\` is damaged: its files do not match its list" "get it again"
  only_what_is_listed
}

# The program itself, its manual and its completions, as in a release.
build_here() {
  folder=$(cd "$(dirname "$0")/.." && pwd)
  [ -f "$folder/scripts/build-termux.sh" ] ||
    fail "the sources are not beside this script" "\`git clone\` the repository, then \`sh termux/install.sh --from-source\`"
  room "$BUILD_NEEDS"
  need bash bash
  need rustc rust
  files=$stage/files/$NAME
  mkdir -p "$files/bin" "$files/share/man/man1"
  program=$(bash "$folder/scripts/build-termux.sh") || fail "the build failed" "look at what it said above"
  cp "$program" "$files/bin/$NAME"
  bash "$folder/scripts/extras.sh" "$files" "$files/bin/$NAME" || fail "the manual could not be made" "look at what it said above"
}

# Starts the new program once: it must run here before anything is replaced.
try() {
  for file in "$files"/bin/* "$files"/libexec/*/*; do
    [ ! -f "$file" ] || chmod 755 "$file"
  done
  if version=$("$files/bin/$NAME" --version 2>"$stage/said"); then return; fi
  said=$(head -n 3 "$stage/said")
  case $build in
    unknown) fail "the program does not start here (${said:-no word}), in a Termux of unknown build (\`${TERMUX_APK_RELEASE:-none}\`)" \
      "build it here by \`--from-source\`, or use the Termux of F-Droid or GitHub" ;;
    *) fail "the program does not start here (${said:-no word})" "build it here by \`--from-source\`" ;;
  esac
}

# put FILE: into its place below $PREFIX, whole or not at all.
put() {
  mv -f "$files/$1" "$PREFIX/$1" || fail "cannot write \`$PREFIX/$1\`" "start this again: what is there still runs"
}

install_files() {
  list=$PREFIX/share/$NAME/installed
  if has dpkg && dpkg -s "$NAME" >/dev/null 2>&1; then
    fail "zord is installed as a package" "\`pkg upgrade $NAME\`, or \`pkg uninstall $NAME\` first"
  fi
  (cd "$files" && find . -type f ! -path ./SHA256SUMS | sed 's|^\./||' | sort) >"$stage/list"
  # every folder first: what cannot be written must show before anything moves
  for folder in "share/$NAME" $(sed 's|/[^/]*$||' "$stage/list" | sort -u); do
    { mkdir -p "$PREFIX/$folder" && [ -w "$PREFIX/$folder" ]; } 2>/dev/null ||
      fail "cannot write into \`$PREFIX/$folder\`" "is the prefix read-only? nothing was changed"
  done
  # Both the old files and the new ones are on the list until all have moved, the program itself last.
  cat "$list" "$stage/list" 2>/dev/null | sort -u >"$stage/both"
  mv -f "$stage/both" "$list"
  grep -v '^bin/' "$stage/list" | while read -r file; do put "$file"; done
  grep '^bin/' "$stage/list" | while read -r file; do put "$file"; done
  while read -r file; do
    grep -qxF "$file" "$stage/list" || rm -f "${PREFIX:?}/$file"
  done <"$list"
  mv -f "$stage/list" "$list"
  say "installed $version in $PREFIX/bin"
}

properties() { printf '%s\n' "$HOME/.termux/termux.properties"; }

# The row's text: beside this script in the repository, inside a release otherwise.
key_row() {
  for row in "$PREFIX/share/$NAME/extra-keys.properties" "$(dirname "$0")/extra-keys.properties"; do
    if [ -f "$row" ]; then
      cat "$row"
      return
    fi
  done
}

set_keys() {
  file=$(properties)
  [ "$keys" != no ] || return 0
  ! grep -q '^# zord: begin' "$file" 2>/dev/null || return 0
  if grep -q '^[[:space:]]*extra-keys[[:space:]]*=' "$file" 2>/dev/null; then
    say "\`$file\` has a row of extra keys already; it stays as it is. Ours: $PREFIX/share/$NAME/extra-keys.properties"
    return
  fi
  # --yes is no word about someone's keyboard
  if [ "$keys" = ask ]; then
    [ -z "$yes" ] || return 0
    ask "Add a row of keys (Esc, Ctrl, Tab, arrows, /, @) above the keyboard?" || return 0
  fi
  mkdir -p "$(dirname "$file")"
  { [ ! -f "$file" ] || cat "$file"; printf '# zord: begin\n'; key_row; printf '# zord: end\n'; } >"$file.zord"
  mv -f "$file.zord" "$file"
  if has termux-reload-settings; then termux-reload-settings || true; fi
  say "the row of keys is set in $file"
}

get_model() {
  case $model in
    no) return ;;
    ask)
      if "$PREFIX/bin/$NAME" models list --json 2>/dev/null | tr -d ' \n' | grep -q '"stored":\[{'; then return; fi
      best=$("$PREFIX/bin/$NAME" models list 2>/dev/null | sed -n 's/^\* \([^ ]*\).*/\1/p' | head -n 1)
      if [ -z "$best" ]; then
        say "no model fits the memory that is free now; close other apps, then \`$NAME models pull\`"
        return
      fi
      ask "Get the model that fits this phone best, $best?" || {
        say "get a model later by \`$NAME models pull\`; on this phone $best fits best"
        return
      }
      ;;
    best) best='' ;;
    *) best=$model ;;
  esac
  # shellcheck disable=SC2086 # without a name the program chooses
  "$PREFIX/bin/$NAME" models pull $best || say "zord is installed; the model is not: \`$NAME models pull\` tries again"
}

hints() {
  cat >&2 <<'END'

Android ends programs that work hard in the background. To keep answers going with the screen off:
  - exempt Termux from battery optimisation (Settings, Apps, Termux, Battery, Unrestricted);
  - Android 14 and newer: turn on "Disable child process restrictions" in the developer options;
    Android 12 and 13: adb shell settings put global settings_enable_monitor_phantom_procs false

`zord` opens it, `zord doctor` looks at this phone, `zord bench --tune` finds the best settings.
END
}

uninstall() {
  list=$PREFIX/share/$NAME/installed
  [ -f "$list" ] || fail "zord was not installed by this script" "a package goes by \`pkg uninstall $NAME\`"
  while read -r file; do
    case $file in /* | *..*) fail "\`$list\` names \`$file\`, which this script did not install" "look at it" ;; esac
  done <"$list"
  while read -r file; do rm -f "${PREFIX:?}/$file"; done <"$list"
  rm -f "$list"
  rmdir "$PREFIX/libexec/$NAME" "$PREFIX/share/$NAME" 2>/dev/null || true
  file=$(properties)
  if grep -q '^# zord: begin' "$file" 2>/dev/null; then
    sed '/^# zord: begin/,/^# zord: end/d' "$file" >"$file.zord"
    mv -f "$file.zord" "$file"
    if has termux-reload-settings; then termux-reload-settings || true; fi
  fi
  say "zord is gone; models, conversations and settings stay (in \`${ZORD_HOME:-$HOME/.local/share/zord and $HOME/.config/zord}\`)"
}

arguments "$@"
surroundings
if [ "$route" = uninstall ]; then
  uninstall
  exit
fi
choose_route
begin
case $route in
  source) build_here ;;
  release)
    download
    unpack
    ;;
  archive) unpack ;;
esac
try
if [ "$route" != source ] && ! [ -f "$PREFIX/etc/resolv.conf" ]; then
  # a static program asks the name servers that stand there
  pkg install -y resolv-conf >&2 || say "\`pkg install resolv-conf\` failed; names are looked up at public servers"
fi
install_files
set_keys
get_model
hints
