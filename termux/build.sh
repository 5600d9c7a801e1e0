# shellcheck shell=bash disable=SC2034,SC2154 # read and set by termux-packages
# Recipe for termux-packages; scripts/package-termux.sh makes the same package without it.
TERMUX_PKG_HOMEPAGE=https://zord.example
TERMUX_PKG_DESCRIPTION="Coding assistant in the terminal, with the model on the device"
TERMUX_PKG_LICENSE="MIT, Apache-2.0"
TERMUX_PKG_LICENSE_FILE="LICENSE-MIT, LICENSE-APACHE"
TERMUX_PKG_MAINTAINER="The Zord Coder authors"
TERMUX_PKG_VERSION="0.1.0"
TERMUX_PKG_DEPENDS="libc++"
TERMUX_PKG_RECOMMENDS="termux-api"
TERMUX_PKG_BUILD_IN_SRC=true
TERMUX_PKG_SKIP_SRC_EXTRACT=true
# the engine maps models and counts on 64 bits
TERMUX_PKG_EXCLUDED_ARCHES="arm, i686, x86_64"

# Levels of the processor and what the compiler is told for each; the launcher picks one at each start.
_ZORD_LEVELS="v80:armv8-a v82:armv8-a+dotprod+fp16 v86:armv8-a+dotprod+fp16+i8mm"

# The recipe is part of the repository: link its folder to packages/zord.
termux_step_get_source() {
	local checkout
	checkout="$(dirname "$(realpath "$TERMUX_PKG_BUILDER_DIR")")"
	mkdir -p "$TERMUX_PKG_SRCDIR"
	git -C "$checkout" archive HEAD | tar -x -C "$TERMUX_PKG_SRCDIR"
}

termux_step_pre_configure() {
	termux_setup_cmake
	termux_setup_rust
}

termux_step_make() {
	local level
	if [ "$TERMUX_ON_DEVICE_BUILD" = "true" ]; then
		bash scripts/build-termux.sh
		return
	fi
	# what the engine calls is in bionic from Android 9 on
	export ANDROID_NDK="$NDK" ANDROID_API_LEVEL=28
	for level in $_ZORD_LEVELS; do
		ZORD_ARM_LEVEL="${level%%:*}" GGML_CPU_ARM_ARCH="${level##*:}" cargo build \
			--jobs "$TERMUX_PKG_MAKE_PROCESSES" --target "$CARGO_TARGET_NAME" --release --locked \
			--no-default-features --features engine,launcher --bin zord --bin zord-launch
		cp "target/$CARGO_TARGET_NAME/release/zord" "zord-${level%%:*}"
	done
}

termux_step_make_install() {
	if [ "$TERMUX_ON_DEVICE_BUILD" = "true" ]; then
		install -Dm700 target/release/zord "$TERMUX_PREFIX/bin/zord"
		bash scripts/extras.sh "$TERMUX_PREFIX" target/release/zord
		return
	fi
	install -Dm700 "target/$CARGO_TARGET_NAME/release/zord-launch" "$TERMUX_PREFIX/bin/zord"
	install -Dm700 -t "$TERMUX_PREFIX/libexec/zord" zord-v80 zord-v82 zord-v86
	install -Dm600 -t "$TERMUX_PREFIX/share/zord" termux/extra-keys.properties
	mkdir -p "$TERMUX_PREFIX/share/doc/zord"
	python3 scripts/notices.py "$CARGO_TARGET_NAME" --no-default-features --features engine,launcher \
		> "$TERMUX_PREFIX/share/doc/zord/THIRD-PARTY"
}

termux_step_create_debscripts() {
	cat <<-EOF > ./postinst
		#!$TERMUX_PREFIX/bin/sh
		[ "\$1" = configure ] || exit 0
		echo "zord: \\\`zord models pull\\\` gets the model that fits this phone, \\\`zord doctor\\\` looks at it"
	EOF
}
