#!/usr/bin/env bash
# From a recipe with an adapter to answers in the terminal: trains, merges, quantizes, asks.
#
#   scripts/lora-to-chat.sh RECIPE OUT PROMPT [--set KEY=VALUE]…
#
# Leaves OUT/adapter (as PEFT saves it), OUT/merged (a Hugging Face folder) and OUT/model-Q4_K_M.gguf; prints the answer.
# The same command goes on where it was stopped. The programs are built if they are not there; ZORD_PROGRAMS names a
# folder with them.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$ROOT/scripts/prepare.sh"

[ $# -ge 3 ] || fail "a recipe, a folder and a prompt are needed" "scripts/lora-to-chat.sh recipe.toml out 'What is a mutex?'"
recipe=$1 out=$2 prompt=$3
shift 3

PROGRAMS=${ZORD_PROGRAMS:-$(target_folder)/release}
if [ -z "${ZORD_PROGRAMS:-}" ]; then
  need_rust
  need_build_tools
  (cd "$ROOT" && cargo build --release --locked --bins >&2)
fi

say "── training"
"$PROGRAMS/zord-distill" run "$recipe" -o "$out/adapter" "$@" >&2
# where the base is, as the adapter itself says
base=$(sed -n 's/^ *"base_model_name_or_path": "\(.*\)",$/\1/p' "$out/adapter/adapter_config.json")
[ -n "$base" ] || fail "\`$out/adapter\` is no adapter" "the recipe needs an \`[adapter]\`"

if ! [ -f "$out/model-Q4_K_M.gguf" ] || [ "$out/adapter/adapter_model.safetensors" -nt "$out/model-Q4_K_M.gguf" ]; then
  say "── merging"
  rm -rf "$out/merged"
  "$PROGRAMS/zord-merge" lora "$base" --adapter "$out/adapter" -o "$out/merged" >&2
  say "── quantizing"
  "$PROGRAMS/zord-quantize" convert "$out/merged" -o "$out/model-f16.gguf" --type f16 >&2
  "$PROGRAMS/zord-quantize" quantize "$out/model-f16.gguf" "$out/model-Q4_K_M.gguf" --type Q4_K_M >&2
  rm -f "$out/model-f16.gguf"
fi

say "── asking"
"$PROGRAMS/zord" chat --no-stdin --preset greedy --max-tokens "${ZORD_MAX_TOKENS:-128}" --model "$out/model-Q4_K_M.gguf" "$prompt"
