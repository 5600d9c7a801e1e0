#!/usr/bin/env bash
# Builds llama.cpp by plain CMake, for cargo to link: the way for a phone, where the crate's own build script does not
# know its host. Prints the flags cargo needs, one a line.
#
#   scripts/llama-termux.sh FOLDER
#
# The sources are those of the crate that Cargo.lock names. Cargo's links override then takes the place of the build
# script. Works on any 64-bit Linux too (needs bindgen), which is how it is tried out without a phone.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$ROOT/scripts/prepare.sh"
FOLDER=${1:?usage: llama-termux.sh FOLDER}

# What every core can do, in the compiler's words. `native` would turn on SVE, which kernels hide.
arm_arch() {
  local common="" word line first=yes
  while read -r line; do
    if [ "$first" = yes ]; then common=" $line " first=no; fi
    for word in $common; do
      [[ " $line " == *" $word "* ]] || common=${common/ $word / }
    done
  done < <(sed -n 's/^Features[[:space:]]*: //p' /proc/cpuinfo)
  local arch=armv8-a
  if [[ $common == *" asimddp "* && $common == *" fphp "* && $common == *" asimdhp "* ]]; then
    arch=armv8.2-a+dotprod+fp16
    [[ $common != *" i8mm "* ]] || arch+=+i8mm
  fi
  printf '%s\n' "$arch"
}

sources() {
  cd "$ROOT"
  cargo fetch --locked --offline --quiet 2>/dev/null || cargo fetch --locked >&2
  cargo metadata --format-version 1 --locked --offline |
    python3 -c 'import json, os, sys; print(*(os.path.dirname(p["manifest_path"]) for p in json.load(sys.stdin)["packages"] if p["name"] == "llama-cpp-sys-2"))'
}

bindings() {
  (cd "$1" && bindgen wrapper.h --with-derive-partialeq --no-recursive-allowlist --no-prepend-enum-name \
    --allowlist-item 'ggml_.*' --allowlist-item 'gguf_.*' --allowlist-item 'llama_.*' \
    --raw-line 'type FILE = ::std::os::raw::c_void;' --output "$FOLDER/bindings.rs" -- \
    -Illama.cpp/include -Illama.cpp/ggml/include)
}

has python3 || add_packages python3 python
has bindgen || add_packages bindgen rust-bindgen
# older ones leave out what the crate above needs
version=$(bindgen --version | sed -n 's/^bindgen 0\.\([0-9]*\)\..*/\1/p')
[ "${version:-99}" -ge 69 ] || fail "$(bindgen --version) is too old: 0.69 or newer is needed" "cargo install bindgen-cli"
mkdir -p "$FOLDER"
FOLDER=$(cd "$FOLDER" && pwd)
crate=$(sources)
[ -d "$crate/llama.cpp" ] || fail "cargo does not tell where llama.cpp's sources are"
stamp="$FOLDER/built-from-$(basename "$crate")"

if ! [ -e "$stamp" ]; then
  flags=(-DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DGGML_NATIVE=OFF -DGGML_OPENMP=OFF -DLLAMA_CURL=OFF)
  for part in COMMON TESTS EXAMPLES SERVER TOOLS APP; do flags+=("-DLLAMA_BUILD_$part=OFF"); done
  if [ "$(uname -m)" = aarch64 ]; then flags+=("-DGGML_CPU_ARM_ARCH=$(arm_arch)"); fi
  cmake -S "$crate/llama.cpp" -B "$FOLDER/build" "${flags[@]}" >&2
  cmake --build "$FOLDER/build" --target llama --parallel "$(nproc)" >&2
  bindings "$crate" >&2
  touch "$stamp"
fi

host=$(rustc -vV | sed -n 's/^host: //p')
cxx=stdc++
if in_termux; then cxx=c++_shared; fi
cat >"$FOLDER/cargo.toml" <<END
[target.$host.llama]
rustc-link-search = ["native=$FOLDER/build/src", "native=$FOLDER/build/ggml/src"]
rustc-link-lib = ["static=llama", "static=ggml", "static=ggml-cpu", "static=ggml-base", "dylib=$cxx"]
rustc-env = { OUT_DIR = "$FOLDER" }
END
printf '%s\n' --config "$FOLDER/cargo.toml"
