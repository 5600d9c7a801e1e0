#!/usr/bin/env python3
"""A small model, PEFT adapters of every kind that zord-merge bakes, and what PEFT makes of them.

    adapters.py OUT_DIR

OUT_DIR gets `base`, and for every NAME `adapter-NAME` and `merged-NAME`.
"""
import pathlib
import sys

import torch
import transformers as tf
from peft import LoraConfig, get_peft_model

KINDS = {
    "plain": dict(r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"]),
    "patterns": dict(r=4, lora_alpha=8, target_modules=["q_proj", "up_proj"], rank_pattern={"up_proj": 6}, alpha_pattern={"up_proj": 3}),
    "stabilized": dict(r=4, lora_alpha=8, target_modules=["v_proj", "gate_proj"], use_rslora=True),
    "dora": dict(r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"], use_dora=True),
    "embedding": dict(r=4, lora_alpha=8, target_modules=["q_proj", "embed_tokens"]),
    "saved": dict(r=4, lora_alpha=8, target_modules=["q_proj"], modules_to_save=["lm_head", "norm"]),
}


def model():
    torch.manual_seed(0)
    return tf.LlamaForCausalLM(tf.LlamaConfig(hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4,
                                              num_key_value_heads=2, vocab_size=100, tie_word_embeddings=False))


def main():
    out = pathlib.Path(sys.argv[1])
    model().save_pretrained(out / "base")
    for at, (name, config) in enumerate(KINDS.items()):
        torch.manual_seed(at + 1)
        peft = get_peft_model(model(), LoraConfig(task_type="CAUSAL_LM", **config))
        with torch.no_grad():
            for key, weight in peft.named_parameters():
                if weight.requires_grad:
                    weight.add_(torch.randn_like(weight) * 0.1)
        peft.save_pretrained(out / f"adapter-{name}")
        peft.merge_and_unload().save_pretrained(out / f"merged-{name}")


main()
