#!/usr/bin/env bash
# From the builds in target/arm64 to what Termux installs, in target/arm64/package:
#
#   scripts/package-termux.sh
#
#   zord_VERSION_aarch64.deb            `apt install ./zord_….deb`
#   zord-termux-aarch64.tar.gz          for termux/install.sh, with its .sha256
#
# The manual and the completions come from the program itself, started through qemu-aarch64 on other machines.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$ROOT/scripts/prepare.sh"
. "$ROOT/scripts/arm64-tools.sh"
PREFIX_THERE=/data/data/com.termux/files/usr

BUILDS=${ZORD_BUILDS:-$(target_folder)/arm64}
for file in zord zord-v80 zord-v82 zord-v86; do
  [ -f "$BUILDS/$file" ] || fail "there is no \`$BUILDS/$file\`" "scripts/build-arm64.sh"
done
has python3 || add_packages python3 python
run=()
if [ "$(uname -m)" != aarch64 ]; then
  has qemu-aarch64 || add_packages qemu-user ""
  run=(qemu-aarch64)
fi

package=$BUILDS/package
rm -rf "$package"
tree=$package/tree control=$package/control
mkdir -p "$tree/bin" "$tree/libexec/zord" "$control"
install -m 755 "$BUILDS/zord" "$tree/bin/zord"
install -m 755 "$BUILDS"/zord-v8? "$tree/libexec/zord/"
"$ROOT/scripts/extras.sh" "$tree" "${run[@]}" "$BUILDS/zord-v80"
(cd "$ROOT" && python3 scripts/notices.py "$ARM64_TARGET" --no-default-features --features engine,launcher) \
  >"$tree/share/doc/zord/THIRD-PARTY" || fail "the notices of what is built in could not be made" "cargo fetch --locked"

version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml" | head -n 1)
cat >"$control/control" <<END
Package: zord
Version: $version
Architecture: aarch64
Maintainer: The Zord Coder authors
Installed-Size: @SIZE@
Depends: resolv-conf
Recommends: termux-api
Section: utils
Priority: optional
Description: Coding assistant in the terminal, with the model on the device
 Talks about code, completes it and changes files, without a network. The
 fastest of three builds for this phone's processor is chosen at each start.
END
cat >"$control/postinst" <<END
#!$PREFIX_THERE/bin/sh
[ "\$1" = configure ] || exit 0
case \${TERMUX_APK_RELEASE:-}/\${TERMUX_VERSION:-} in
  *GOOGLE_PLAY*/* | */googleplay*)
    echo "zord: Termux from the Play Store starts no static programs; use the one from F-Droid or GitHub"
    ;;
esac
echo "zord: \\\`zord models pull\\\` gets the model that fits this phone, \\\`zord doctor\\\` tells how to keep answers going in the background"
END
chmod 755 "$control/postinst"
deb=zord_${version}_aarch64.deb
python3 "$ROOT/scripts/pack.py" deb "$control" "$tree" "$PREFIX_THERE" "$package/$deb"

archive=zord-termux-aarch64.tar.gz
(cd "$tree" && find . -type f | sed 's|^\./||' | LC_ALL=C sort | xargs sha256sum) >"$package/SHA256SUMS"
mv "$package/SHA256SUMS" "$tree/SHA256SUMS"
python3 "$ROOT/scripts/pack.py" tar "$tree" zord "$package/$archive"
(cd "$package" && sha256sum "$archive" >"$archive.sha256" && sha256sum "$archive" "$deb")
