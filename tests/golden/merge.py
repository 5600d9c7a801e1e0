#!/usr/bin/env python3
"""Writes `merge.json` and `merge.safetensors`: what mergekit makes of small models by every recipe of `tests/merge/golden.py`.

    merge.py WORK_DIR          (needs mergekit, torch, transformers: `versions` in the file says which)

Of each merge every 331st number is kept; of those that chance has a part in, means over all of them; of those that need no
sum over a whole tensor, a hash over all of them besides. What mergekit computes in float64 is kept beside where its f32
loses digits (see `tests/merge/golden.py`).
"""
import hashlib
import json
import os
import pathlib
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "merge"))

import torch
import yaml
from safetensors.torch import load_file, save_file

import golden
from toy import HERE, checkpoint, versions, write_lines

STEP = 331
LAYERS, HIDDEN, INNER, VOCABULARY, PAIRS = 4, 64, 160, 300, 32
STATISTICS = ("dare", "della", "arcee_fusion")
KEYS = ["num_hidden_layers", "vocab_size", "dtype", "architectures"]


def model(moved):
    tensors = [["model.embed_tokens.weight", [VOCABULARY, HIDDEN]], ["model.norm.weight", [HIDDEN]], ["lm_head.weight", [VOCABULARY, HIDDEN]]]
    for layer in (f"model.layers.{at}" for at in range(LAYERS)):
        for name, shape in {
            "input_layernorm": [HIDDEN], "post_attention_layernorm": [HIDDEN], "self_attn.q_proj": [HIDDEN, HIDDEN],
            "self_attn.k_proj": [PAIRS, HIDDEN], "self_attn.v_proj": [PAIRS, HIDDEN], "self_attn.o_proj": [HIDDEN, HIDDEN],
            "mlp.gate_proj": [INNER, HIDDEN], "mlp.up_proj": [INNER, HIDDEN], "mlp.down_proj": [HIDDEN, INNER],
        }.items():
            tensors.append([f"{layer}.{name}.weight", shape])
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN, "intermediate_size": INNER,
        "num_hidden_layers": LAYERS, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": VOCABULARY,
        "rms_norm_eps": 1e-6, "tie_word_embeddings": False, "dtype": "float32",
    }
    return {"config": config, "dtype": "F32", "seed": 100, "size": 0.09, "one": [], "shards": 1, "tensors": tensors} | (
        {"moved": moved} if moved else {})


# `near-`: so little moved that mergekit takes the mean instead of SCE's weights
MODELS = {"base": None, "a": [1000, 0.017], "b": [2000, 0.017], "c": [3000, 0.017],
          "near-a": [4000, 1e-4], "near-b": [5000, 2e-4], "near-c": [6000, 3e-4]}


def recipes():
    found = golden.recipes(pathlib.Path(), LAYERS, True)
    near = [{"model": f"models/near-{name}"} for name in "abc"]
    found["sce_near"] = {"dtype": "float32", "out_dtype": "float32", "merge_method": "sce", "base_model": "models/base",
                         "models": near, "parameters": {"select_topk": 0.4}}
    return found


def read(folder):
    tensors = {}
    for file in folder.glob("*.safetensors"):
        tensors |= load_file(file)
    return dict(sorted(tensors.items()))


def sample(tensors):
    parts = []
    for at, values in enumerate(tensors.values()):
        values = values.flatten()
        parts.append(values[17 * at % 64::STEP])
    return torch.cat(parts)


def moments(tensors, base):
    """Of what was added to the base: means of magnitudes and of squares, and the share that was left alone."""
    deltas = torch.cat([(tensors[key].float() - base[key]).double().flatten() for key in tensors])
    limits = torch.cat([base[key].abs().flatten() / 256 for key in tensors])
    return [deltas.abs().mean().item(), (deltas**2).mean().item(), (deltas.abs() <= limits).double().mean().item()]


def whole(tensors):
    digest = hashlib.sha256()
    for values in tensors.values():
        digest.update(values.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def main():
    work = pathlib.Path(sys.argv[1])
    work.mkdir(parents=True, exist_ok=True)
    os.chdir(work)
    torch.set_num_threads(1)
    golden.sort_stably()
    models = {}
    for name, moved in MODELS.items():
        models[name] = model(moved)
        models[name]["sha256"] = checkpoint(pathlib.Path("models") / name, models[name])
    base = read(pathlib.Path("models/base"))
    samples, found = {}, {}
    for name, recipe in recipes().items():
        text = yaml.safe_dump(recipe, sort_keys=False)
        golden.merge(text, pathlib.Path("golden") / name)
        merged = read(pathlib.Path("golden") / name)
        config = json.loads((pathlib.Path("golden") / name / "config.json").read_text())
        entry = {"recipe": text, "config": {key: config[key] for key in KEYS if key in config}}
        if name.startswith(STATISTICS):
            entry["moments"] = moments(merged, base)
        else:
            samples[name] = sample(merged)
        if name.startswith(golden.SUMS + ("arcee_fusion",)):
            golden.merge(text.replace("dtype: float32", "dtype: float64", 1), pathlib.Path("exact") / name)
            samples[f"{name}/exact"] = sample(read(pathlib.Path("exact") / name))
        elif not name.startswith(STATISTICS):
            entry["sha256"] = whole(merged)
        found[name] = entry
    save_file(samples, HERE / "merge.safetensors")
    shared = {"models": models["base"] | {"models": {name: {"moved": moved, "sha256": models[name]["sha256"]} for name, moved in MODELS.items()}}}
    write_lines(HERE / "merge.json", {"made with": versions("mergekit", "torch", "transformers", "numpy"), "step": STEP} | shared, found)


main()
