#!/usr/bin/env python3
"""LoRA adapters with random weights on the small checkpoints, and what PEFT computes with them.

    adapters.py FOLDER NAME…

Each NAME is a checkpoint in FOLDER (checkpoints.py makes them); its adapter becomes NAME-lora beside it.
"""
import json
import pathlib
import sys

import peft
import torch
import transformers as tf
from safetensors.torch import save_file

folder = pathlib.Path(sys.argv[1])
for name in sys.argv[2:]:
    torch.manual_seed(5)
    model = tf.AutoModelForCausalLM.from_pretrained(folder / name, dtype=torch.float32)
    tied = model.config.tie_word_embeddings
    # untied embeddings too; rank-stabilised where they are tied, so that both scales are met
    targets = "all-linear" if tied else [part for part, module in (
        (key.rsplit(".", 1)[-1], module) for key, module in model.named_modules()
    ) if isinstance(module, torch.nn.Linear) and part != "lm_head"] + ["embed_tokens"]
    config = peft.LoraConfig(r=8, lora_alpha=12, target_modules=targets, use_rslora=tied, task_type="CAUSAL_LM")
    model = peft.get_peft_model(model, config).eval()
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if "lora_" in key:
                weight.copy_(torch.randn(weight.shape) * 0.05)
    out = folder / f"{name}-lora"
    model.save_pretrained(out)
    # what was saved says where the base was, which a person's adapter rarely does
    file = out / "adapter_config.json"
    said = json.loads(file.read_text())
    said["base_model_name_or_path"] = "owner/Base-1B" if tied else str(folder / name)
    file.write_text(json.dumps(said))
    tokens = torch.tensor([[(7 * i * i + 3 * i + 11) % model.config.vocab_size for i in range(24)]])
    with torch.no_grad():
        logits = model(tokens).logits[0]
    save_file({"tokens": tokens[0].to(torch.int32), "logits": logits.contiguous()}, out / "reference.safetensors")
