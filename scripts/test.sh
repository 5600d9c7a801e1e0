#!/usr/bin/env bash
# Everything that must hold: formatting, lints, documentation, scripts, licences, and the tests with real models.
#
#   scripts/test.sh [ARGUMENTS FOR THE TEST RUNNER]
#
# Installs what is missing (Debian: root or sudo; Termux: pkg). What cannot be checked here is said at the end.
# ZORD_TEST_MODELS names a folder with the models, if they need not be fetched; ZORD_PEERS one with llama.cpp's own
# tools, against which some tests compare (made by ../shared/reference/peers.sh where that is there).
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$ROOT/scripts/prepare.sh"
cd "$ROOT"

passed=() failed=() skipped=()

# Free room for what is built, in GB.
room() { df -Pk "$(target_folder)" | awk 'NR == 2 { printf "%.0f GB", $4 / 1e6 }'; }

# step NAME COMMAND…
step() {
  local name=$1 start=$SECONDS
  shift
  say "── $name"
  if "$@"; then
    passed+=("$name")
    say "   $name: $((SECONDS - start)) s, $(room) of disk left"
  else
    failed+=("$name")
    say "   $name: FAILED, $(room) of disk left"
  fi
}

skip() {
  skipped+=("$1: $2")
  say "── $1: SKIPPED, $2"
}

documentation() { RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --no-deps --quiet; }

# clippy FEATURE FLAGS…: always --release, so that llama.cpp is built once
clippy() { cargo clippy --release --locked --all-targets --quiet "$@" -- -D warnings; }

scripts() {
  local files
  mapfile -t files < <(git ls-files 2>/dev/null | grep -E '\.sh$|^\.ci/run$' || find scripts termux .ci -name '*.sh' -o -path '.ci/run')
  shellcheck -x -P SCRIPTDIR "${files[@]}"
}

licences() {
  cargo fetch --locked --quiet
  local code=0
  python3 scripts/licences.py || code=$?
  if [ "$code" = 77 ]; then
    skip licences "python3 is older than 3.11"
    return 0
  fi
  return "$code"
}

tests() {
  if cargo nextest --version >/dev/null 2>&1; then
    local code=0 report reason
    # nextest keeps it there, wherever the builds go
    report=$ROOT/target/nextest/default/report.xml
    rm -f "$report"
    cargo nextest run --release --locked --no-fail-fast --no-tests=warn "$@" || code=$?
    if [ -f "$report" ] && has python3; then
      while read -r reason; do skip "a part of the tests" "$reason"; done < <(python3 scripts/skipped.py "$report")
    fi
    [ "$code" = 0 ] && cargo test --release --locked --doc --quiet
  else
    cargo test --release --locked --no-fail-fast "$@"
  fi
}

# The passes of a graphics card, with burn's own processor in the card's place: of the library's tests only these, and without
# C++, so that llama.cpp is not built once more. What talks to cards takes many minutes to build, so it waits to be asked.
gpu_path() {
  local said
  said=$(cargo test --release --locked --no-default-features --features gpu-check --lib -- distill::gpu 2>&1) || {
    printf '%s\n' "$said" >&2
    return 1
  }
  grep -E '^test result: ok\. [1-9][0-9]* passed' <<<"$said"
}

fetch_models() {
  local folder
  folder=$(target_folder)/models
  python3 scripts/fetch.py "$folder" smollm2 gemma >/dev/null || return
  export ZORD_TEST_MODELS=$folder
  python3 scripts/fetch.py "$folder" qwen0.5b >/dev/null || skip "tests with Qwen2.5-Coder" "it could not be fetched"
}

# llama.cpp's own tools live in a chroot, which needs /proc while it is used and must not keep it afterwards.
find_peers() {
  local maker=$ROOT/../shared/reference/peers.sh log
  PEERS=${ZORD_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/zord-peers}
  log=$(target_folder)/peers.log
  unset ZORD_PEERS
  if [ "$(id -u)" != 0 ]; then
    skip "comparison with llama.cpp's tools" "needs root"
    return
  fi
  if ! [ -x "$PEERS/llama/usr/bin/llama-server" ]; then
    if ! [ -f "$maker" ] || [ "${CI:-}" != true ]; then
      skip "comparison with llama.cpp's tools" "they are not installed (ZORD_PEERS names the folder that peers.sh made)"
      return
    fi
    say "── installing llama.cpp's tools"
    trap 'umount "$PEERS/llama/proc" 2>/dev/null || true' EXIT
    if ! timeout 900 bash "$maker" "$PEERS" llama >"$log" 2>&1; then
      skip "comparison with llama.cpp's tools" "they could not be installed, see $log"
      return
    fi
  elif ! mountpoint -q "$PEERS/llama/proc"; then
    trap 'umount "$PEERS/llama/proc" 2>/dev/null || true' EXIT
    mount -t proc proc "$PEERS/llama/proc"
  fi
  export ZORD_PEERS=$PEERS
}

# Builds for phones take compilers that most machines have not, and a quarter of an hour: CI makes one level if there is
# time, elsewhere ZORD_TEST_PHONES=yes asks for it.
phones() {
  local limit=4500 log asked=${ZORD_TEST_PHONES:-}
  [ "${CI:-}" != true ] || asked=${asked:-yes}
  if [ "$asked" != yes ]; then
    skip "builds for phones" "nobody asked (ZORD_TEST_PHONES=yes; scripts/test-arm64.sh proves all levels)"
    return
  fi
  log=$(target_folder)/arm64-tools.log
  if [ "${CI:-}" = true ] && [ $((limit - SECONDS)) -lt 1800 ]; then
    skip "builds for phones" "$((SECONDS / 60)) minutes have gone already (scripts/test-arm64.sh proves them)"
    return
  fi
  . "$ROOT/scripts/arm64-tools.sh"
  if ! arm64_tools_here && ! arm64_tools_made; then
    if [ "${CI:-}" != true ]; then
      skip "builds for phones" "their compilers are not here (scripts/test-arm64.sh gets them and proves all levels)"
      return
    fi
    say "── getting the compilers for phones"
    # shellcheck disable=SC2016 # expanded by the shell inside
    if ! ROOT=$ROOT timeout 900 bash -euc '. "$ROOT/scripts/prepare.sh"; . "$ROOT/scripts/arm64-tools.sh"; make_arm64_tools' \
      >"$log" 2>&1; then
      skip "builds for phones" "their compilers could not be had, see $log"
      return
    fi
  fi
  step "builds for phones, one level" one_level $((limit - SECONDS))
}

# one_level SECONDS: in CI no longer than that; too little time says nothing about the builds.
one_level() {
  local code=0
  if [ "${CI:-}" != true ]; then
    scripts/test-arm64.sh --short
    return
  fi
  timeout "$1" scripts/test-arm64.sh --short || code=$?
  if [ "$code" = 124 ]; then
    skip "builds for phones" "they took more than $(($1 / 60)) minutes"
    return 0
  fi
  return "$code"
}

need_rust
need_build_tools
need_pip
has shellcheck || add_packages shellcheck shellcheck
mkdir -p "$(target_folder)"
# one build, no second one: incremental files only cost time here; property tests repeat from one seed
export CARGO_INCREMENTAL=${CARGO_INCREMENTAL:-0} PROPTEST_RNG_SEED=20261121 PROPTEST_DISABLE_FAILURE_PERSISTENCE=1

if cargo fmt --version >/dev/null 2>&1; then
  step formatting cargo fmt --all --check
else
  skip formatting "rustfmt is not installed (rustup component add rustfmt)"
fi
step scripts scripts
step licences licences
if has cargo-deny && [ -d "${CARGO_HOME:-$HOME/.cargo}/advisory-dbs" ]; then
  step advisories cargo deny --offline check --config .deny.toml advisories
else
  skip advisories "they need cargo-deny and its database (cargo deny fetch), which a machine without internet has not"
fi
if cargo clippy --version >/dev/null 2>&1; then
  step "clippy, as built by default" clippy
  step "clippy, without C++" clippy --no-default-features
  step "clippy, as built for a phone" clippy --no-default-features --features engine
  step "clippy, with graphics cards" clippy --no-default-features --features gpu
else
  skip clippy "it is not installed (rustup component add clippy)"
fi
step documentation documentation
if [ -n "${ZORD_TEST_MODELS:-}" ]; then
  say "── models from $ZORD_TEST_MODELS"
elif ! fetch_models; then
  skip "tests with real models" "they could not be fetched"
fi
find_peers
step tests tests "$@"
if [ "${ZORD_TEST_GPU:-}" = yes ]; then
  step "the graphics cards' passes, on the processor" gpu_path
else
  skip "the graphics cards' passes" "nobody asked (ZORD_TEST_GPU=yes runs them on the processor)"
fi
phones

say ""
for line in "${skipped[@]+"${skipped[@]}"}"; do say "SKIPPED $line"; done
for line in "${failed[@]+"${failed[@]}"}"; do say "FAILED  $line"; done
printf 'steps: %d passed, %d failed, %d skipped\n' "${#passed[@]}" "${#failed[@]}" "${#skipped[@]}"
[ "${#failed[@]}" = 0 ]
