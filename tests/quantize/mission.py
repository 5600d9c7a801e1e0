#!/usr/bin/env python3
"""Checkpoints with random weights in the shapes of the models that this project is about: sizes and rates are those of the
real ones, answers are not.

    mission.py OUT_DIR SHAPE TOKENIZER_DIR

SHAPE is `0.8b` (Qwen3-0.6B's layers, 42 of them) or `1.5b` (Qwen2.5-1.5B). TOKENIZER_DIR lends its tokenizer, which may be
smaller than the vocabulary. Needs numpy; writes 1.6 and 3.1 GB.
"""
import json
import pathlib
import shutil
import sys

import numpy as np

SHAPES = {
    "0.8b": dict(architectures=["Qwen3ForCausalLM"], model_type="qwen3", hidden_size=1024, intermediate_size=3072, num_hidden_layers=42,
                 num_attention_heads=16, num_key_value_heads=8, head_dim=128, max_position_embeddings=40960),
    "1.5b": dict(architectures=["Qwen2ForCausalLM"], model_type="qwen2", hidden_size=1536, intermediate_size=8960, num_hidden_layers=28,
                 num_attention_heads=12, num_key_value_heads=2, max_position_embeddings=32768),
}


def tensors(config):
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    head = config.get("head_dim", hidden // config["num_attention_heads"])
    queries, pairs = head * config["num_attention_heads"], head * config["num_key_value_heads"]
    yield "model.embed_tokens.weight", (config["vocab_size"], hidden)
    yield "model.norm.weight", (hidden,)
    for layer in range(config["num_hidden_layers"]):
        def name(part, layer=layer):
            return f"model.layers.{layer}.{part}.weight"

        yield name("input_layernorm"), (hidden,)
        yield name("post_attention_layernorm"), (hidden,)
        for part, rows in (("q", queries), ("k", pairs), ("v", pairs)):
            yield name(f"self_attn.{part}_proj"), (rows, hidden)
            if config["model_type"] == "qwen2":
                yield f"model.layers.{layer}.self_attn.{part}_proj.bias", (rows,)
        if config["model_type"] == "qwen3":
            yield name("self_attn.q_norm"), (head,)
            yield name("self_attn.k_norm"), (head,)
        yield name("self_attn.o_proj"), (hidden, queries)
        yield name("mlp.gate_proj"), (inner, hidden)
        yield name("mlp.up_proj"), (inner, hidden)
        yield name("mlp.down_proj"), (hidden, inner)


def main():
    out, shape, tokenizer = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
    config = SHAPES[shape] | dict(vocab_size=151936, tie_word_embeddings=True, rms_norm_eps=1e-6, rope_theta=1e6, torch_dtype="bfloat16")
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(config))
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer / file, out / file)
    header, end = {}, 0
    for name, dims in tensors(config):
        size = 2 * int(np.prod(dims))
        header[name] = {"dtype": "BF16", "shape": dims, "data_offsets": [end, end + size]}
        end += size
    head = json.dumps(header).encode()
    random = np.random.default_rng(1)
    with open(out / "model.safetensors", "wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for name, dims in tensors(config):
            left = int(np.prod(dims))
            while left:
                some = min(left, 1 << 24)
                values = random.standard_normal(some, dtype=np.float32) * 0.02 + (1.0 if "norm" in name else 0.0)
                file.write((values.view(np.uint32) >> 16).astype(np.uint16).tobytes())
                left -= some


main()
