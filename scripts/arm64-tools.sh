# shellcheck shell=bash
# The compilers that make programs for 64-bit ARM phones. Sourced by the scripts that build or test them, after
# prepare.sh; does nothing by itself.
#
# Two ways lead there. Where rustup has the target `aarch64-unknown-linux-musl` and cargo-zigbuild is installed, those
# are used as they are. Else a Debian testing tree is made (root, 3.5 GB, some five minutes) with its Rust, whose standard
# library is then built along, and with zig and cargo-zigbuild from PyPI. ZORD_ARM64_TOOLS names that tree's folder.

ARM64_TARGET=aarch64-unknown-linux-musl
ARM64_TOOLS=${ZORD_ARM64_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/zord-arm64-tools}
ARM64_BUILD=$(target_folder)/arm64/build
ARM64_PACKAGES=(rustc cargo rust-src clang-21 libclang-21-dev cmake make gcc libc6-dev python3 python3-pip ca-certificates qemu-user)
ARM64_WHEELS=(ziglang==0.17.1 cargo-zigbuild==0.24.0)

# level_arch LEVEL: its features in the compiler's words.
level_arch() {
  case $1 in
    v80) echo armv8-a ;;
    v82) echo armv8-a+dotprod+fp16 ;;
    v86) echo armv8-a+dotprod+fp16+i8mm ;;
    *) fail "there is no level \`$1\`" "v80, v82 or v86" ;;
  esac
}

# The compilers of this machine will do.
arm64_tools_here() {
  has rustup && has cargo-zigbuild && rustup target list --installed 2>/dev/null | grep -qx "$ARM64_TARGET"
}

arm64_tools_made() { [ -e "$ARM64_TOOLS/complete" ]; }

# in_tree COMMAND…: inside the Debian tree, with this repository at /zord and the folder for what is built at /build.
# The mounts are seen by that command alone and end with it.
in_tree() {
  local variables=(PATH=/usr/local/bin:/usr/bin:/usr/sbin HOME=/root CARGO_HOME=/cargo LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive) name
  for name in http_proxy https_proxy HTTP_PROXY HTTPS_PROXY no_proxy NO_PROXY ZORD_ARM64_JOBS; do
    [ -z "${!name:-}" ] || variables+=("$name=${!name}")
  done
  # shellcheck disable=SC2016 # expanded by the shell inside
  unshare --mount --propagation private bash -c '
    tree=$1 root=$2 build=$3
    shift 3
    mount -t proc proc "$tree/proc"
    mount --bind "$root" "$tree/zord"
    mount --bind "$build" "$tree/build"
    exec chroot "$tree" "$@"' in_tree "$ARM64_TOOLS" "$ROOT" "$ARM64_BUILD" /usr/bin/env -i "${variables[@]}" "$@"
}

# Makes the tree, or says why it cannot be.
make_arm64_tools() {
  ! arm64_tools_made || return 0
  mkdir -p "$ARM64_BUILD"
  [ "$(id -u)" = 0 ] || fail "the compilers for ARM are not here, and a tree for them needs root" \
    "rustup target add $ARM64_TARGET && cargo install cargo-zigbuild, with zig on the PATH"
  has debootstrap || add_packages debootstrap ""
  say "making a Debian testing tree with the compilers for ARM in $ARM64_TOOLS"
  rm -rf --one-file-system "$ARM64_TOOLS"
  mkdir -p "$ARM64_TOOLS"
  debootstrap --variant=minbase forky "$ARM64_TOOLS" "" /usr/share/debootstrap/scripts/sid >&2
  mkdir -p "$ARM64_TOOLS"/{zord,build,cargo}
  # a mirror may lag behind its own dates
  printf 'Acquire::Check-Valid-Until "false";\n' >"$ARM64_TOOLS/etc/apt/apt.conf.d/90dates"
  in_tree apt-get update -qq >&2
  in_tree apt-get install -y -qq --no-install-recommends "${ARM64_PACKAGES[@]}" >&2
  local roots=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
  [ ! -f "$roots" ] || cp "$roots" "$ARM64_TOOLS/etc/ssl/certs/ca-certificates.crt"
  in_tree pip install --break-system-packages --root-user-action=ignore --no-input --quiet "${ARM64_WHEELS[@]}" >&2
  touch "$ARM64_TOOLS/complete"
}
