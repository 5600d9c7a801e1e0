#!/usr/bin/env python3
"""Small checkpoints with random weights, of every architecture that zord-quantize converts, for its tests.

    checkpoints.py OUT_DIR SMOLLM2_HF_DIR

Needs torch, transformers and safetensors (the `lab` part of the peers). The tokenizer is SmolLM2's, but for `spm`, which
gets a SentencePiece model trained here, and `chatglm`, which is given none: it is compared without one.
"""
import json
import pathlib
import shutil
import sys

import torch
import transformers as tf
from safetensors.torch import save_file

VOCAB = 49152


def common(**more):
    base = dict(hidden_size=128, intermediate_size=352, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                vocab_size=VOCAB, max_position_embeddings=512, bos_token_id=1, eos_token_id=2, pad_token_id=2)
    return base | more


MODELS = {
    "llama-linear": lambda: tf.LlamaForCausalLM(tf.LlamaConfig(**common(
        num_key_value_heads=4, rope_parameters={"rope_type": "linear", "factor": 4.0, "rope_theta": 1e5}))),
    "llama-three": lambda: tf.LlamaForCausalLM(tf.LlamaConfig(**common(
        attention_bias=True, head_dim=64, tie_word_embeddings=True,
        rope_parameters={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                         "original_max_position_embeddings": 256, "rope_theta": 5e5}))),
    "qwen2": lambda: tf.Qwen2ForCausalLM(tf.Qwen2Config(**common(rope_parameters={"rope_type": "default", "rope_theta": 1e6}))),
    "qwen2-tied-yarn": lambda: tf.Qwen2ForCausalLM(tf.Qwen2Config(**common(
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128, "rope_theta": 1e6}))),
    "qwen3": lambda: tf.Qwen3ForCausalLM(tf.Qwen3Config(**common(head_dim=64, tie_word_embeddings=True))),
    "phi2": lambda: tf.PhiForCausalLM(tf.PhiConfig(**common(
        intermediate_size=512, num_key_value_heads=4, rope_parameters={"rope_type": "default", "partial_rotary_factor": 0.5, "rope_theta": 1e4}))),
    "phi3": lambda: tf.Phi3ForCausalLM(tf.Phi3Config(**common(original_max_position_embeddings=512))),
    "glm4": lambda: tf.Glm4ForCausalLM(tf.Glm4Config(**common(head_dim=32))),
    "chatglm": lambda: tf.GlmForCausalLM(tf.GlmConfig(**common(head_dim=32))),
    "gemma3": lambda: tf.Gemma3ForCausalLM(tf.Gemma3TextConfig(**common(head_dim=64, sliding_window=64, query_pre_attn_scalar=64))),
    "gemma3-half": lambda: tf.Gemma3ForCausalLM(tf.Gemma3TextConfig(**common(head_dim=64, sliding_window=64, query_pre_attn_scalar=64))),
    "spm": lambda: tf.Gemma3ForCausalLM(tf.Gemma3TextConfig(**common(vocab_size=512, head_dim=64, sliding_window=64, query_pre_attn_scalar=64))),
    "spm-llama": lambda: tf.LlamaForCausalLM(tf.LlamaConfig(**common(vocab_size=520))),
    "granite": lambda: tf.GraniteForCausalLM(tf.GraniteConfig(**common(
        embedding_multiplier=12.0, residual_multiplier=0.22, attention_multiplier=0.0625, logits_scaling=8.0,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6}))),
    "smollm3": lambda: tf.SmolLM3ForCausalLM(tf.SmolLM3Config(**common(
        num_hidden_layers=5, rope_parameters={"rope_type": "default", "rope_theta": 5e6}))),
}


def spm(folder):
    import sentencepiece

    text = folder / "text"
    words = ["alpha", "beta", "gamma", "delta", "return", "function", "value", "def", "import", "größe", "模型", "количество"]
    text.write_text("\n".join(" ".join(words[(i * 7 + j * (i % 5 + 1)) % len(words)] for j in range(12)) for i in range(400)))
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / "tokenizer"), model_type="bpe", vocab_size=380, byte_fallback=True,
        hard_vocab_limit=False, user_defined_symbols=["<start_of_turn>"], minloglevel=2)
    text.unlink()
    (folder / "tokenizer.vocab").unlink()
    (folder / "added_tokens.json").write_text(json.dumps({"<extra>": 500}))
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "bos_token": "<s>", "eos_token": "</s>", "add_bos_token": True, "add_eos_token": False, "chat_template": "{{ messages }}",
        "added_tokens_decoder": {"501": {"content": "<|special|>", "special": False}, "502": {"content": "\u2581two", "special": False},
                                 "1": {"content": "<s>", "special": True}}}))


def main():
    out, smol = map(pathlib.Path, sys.argv[1:3])
    for at, (name, make) in enumerate(MODELS.items()):
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(at)
        model = make().eval()
        with torch.no_grad():
            for key, weight in model.named_parameters():
                # norms too: a weight of one would hide a mistake
                weight.copy_(torch.randn(weight.shape) * 0.05 + (1.0 if "norm" in key and not name.startswith(("gemma", "spm")) else 0.0))
        dtype = torch.float16 if at % 3 == 1 and not name.startswith(("gemma3", "spm")) or name.endswith("half") else torch.bfloat16
        model.to(dtype).save_pretrained(folder, max_shard_size="8MB" if at % 2 else "5GB")
        if name.startswith("spm"):
            spm(folder)
        elif name != "chatglm":
            for file in ("tokenizer.json", "tokenizer_config.json"):
                shutil.copy(smol / file, folder / file)
        # what came out of the reference, for whoever evaluates the converted file
        if not name.startswith("spm"):
            tokens = torch.tensor([[(7 * i * i + 3 * i + 11) % VOCAB for i in range(24)]])
            # loaded anew: turned back from 16 bits, frequencies of positions would have lost theirs
            model = tf.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
            with torch.no_grad():
                logits = model(tokens).logits[0]
            save_file({"tokens": tokens[0].to(torch.int32), "logits": logits.contiguous()}, folder / "reference.safetensors")


main()
