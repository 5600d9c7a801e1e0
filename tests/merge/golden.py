#!/usr/bin/env python3
"""Checkpoints, recipes and what mergekit makes of them, for the tests of zord-merge.

    golden.py OUT_DIR [SMOLLM2_HF_DIR]

OUT_DIR gets `models/`, `recipes/NAME.yml` and `golden/NAME/`. Without the second argument the models are small random ones
in f32; with it they are SmolLM2 (its first six layers, for the disk's sake) and copies of it that moved a little, in bf16.
Arithmetic is in f32, and bf16 is written.

Of equal magnitudes mergekit takes those that PyTorch's sort puts first: any of them where it sorts with vector instructions,
the first ones where it does not. Differences of 16-bit numbers have many equals, so that here it is told to sort stably.

Methods that need sums over whole tensors (norms, angles) get a second answer in `exact/NAME/`, mergekit's own in float64:
where terms cancel, what f32 rounded away in those sums shows in the result.
"""
import os
import pathlib
import shutil
import sys

os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import torch
import transformers as tf
import yaml
from mergekit.config import MergeConfiguration
from mergekit.merge import MergeOptions, run_merge

LAYERS = 4
REAL_LAYERS = 6
SUMS = ("slerp", "nuslerp", "multislerp", "karcher", "model_stock", "slices", "sce", "ties_rescaled")


def sort_stably():
    sort, argsort = torch.sort, torch.argsort
    torch.sort = lambda *args, **named: sort(*args, **named | {"stable": True})
    torch.argsort = lambda *args, **named: argsort(*args, **named | {"stable": True})

    def topk(numbers, k, largest=True):
        found = torch.sort(numbers, descending=largest)
        return found.values[:k], found.indices[:k]

    torch.topk = topk


def small(out):
    for at, name in enumerate(["base", "a", "b", "c"]):
        torch.manual_seed(at)
        config = tf.LlamaConfig(hidden_size=64, intermediate_size=160, num_hidden_layers=LAYERS, num_attention_heads=4,
                                num_key_value_heads=2, vocab_size=300, tie_word_embeddings=False)
        model = tf.LlamaForCausalLM(config)
        if at == 0:
            base = {key: torch.randn_like(weight) * 0.05 for key, weight in model.state_dict().items()}
        with torch.no_grad():
            for key, weight in model.named_parameters():
                weight.copy_(base[key] + (torch.randn_like(weight) * 0.01 if at else 0))
        model.save_pretrained(out / "models" / name)


def real(out, smollm2):
    base = tf.LlamaForCausalLM.from_pretrained(smollm2, dtype=torch.float32, num_hidden_layers=REAL_LAYERS)
    base.to(torch.bfloat16).save_pretrained(out / "models" / "base")
    for at, name in enumerate(["a", "b", "c"]):
        torch.manual_seed(at + 10)
        model = tf.LlamaForCausalLM.from_pretrained(smollm2, dtype=torch.float32, num_hidden_layers=REAL_LAYERS)
        with torch.no_grad():
            for weight in model.parameters():
                # as fine-tuning moves them: a little everywhere, more along a few directions
                weight.add_(torch.randn_like(weight) * weight.std() * 0.02)
                if weight.dim() == 2:
                    u, v = torch.randn(weight.shape[0], 4), torch.randn(4, weight.shape[1])
                    weight.add_(u @ v * weight.std() * 0.01)
        model.to(torch.bfloat16).save_pretrained(out / "models" / name)


def recipes(out, layers, whole):
    path = lambda name: str(out / "models" / name)
    model = lambda name, **parameters: {"model": path(name), "parameters": parameters}
    common = {"dtype": "float32", "out_dtype": "bfloat16"}
    task = lambda method, *models, **parameters: {
        "merge_method": method, "base_model": path("base"), "models": list(models), "parameters": parameters}
    two = [model("a", weight=0.6, density=0.4), model("b", weight=0.5, density=0.7)]
    three = two + [model("c", weight=-0.3, density=0.55)]
    gradient = [0.0, 0.5, 0.3, 0.7, 1.0]
    found = {
        "linear": {"merge_method": "linear", "models": [model("a", weight=0.6), model("b", weight=0.3), model("c", weight=0.4)]},
        "linear_raw": {"merge_method": "linear", "models": [model("a", weight=0.6), model("b", weight=0.3)],
                       "parameters": {"normalize": False}},
        "slerp": {"merge_method": "slerp", "base_model": path("a"), "models": [model("b")], "parameters": {"t": 0.35}},
        "slerp_filters": {"merge_method": "slerp", "base_model": path("a"), "models": [model("a"), model("b")], "parameters": {
            "t": [{"filter": "self_attn", "value": gradient}, {"filter": "mlp", "value": [1, 0.5, 0.7, 0.3, 0]}, {"value": 0.5}]}},
        "nuslerp": {"merge_method": "nuslerp", "models": two},
        "nuslerp_base": {"merge_method": "nuslerp", "base_model": path("base"), "models": two},
        "nuslerp_rows": {"merge_method": "nuslerp", "models": two, "parameters": {"nuslerp_flatten": False}},
        "nuslerp_columns": {"merge_method": "nuslerp", "base_model": path("base"), "models": two,
                            "parameters": {"nuslerp_flatten": False, "nuslerp_row_wise": True}},
        "multislerp": {"merge_method": "multislerp", "models": [model("a", weight=1), model("b", weight=2), model("c", weight=1.5)]},
        "multislerp_base": {"merge_method": "multislerp", "base_model": path("base"),
                            "models": [model("a", weight=1), model("b", weight=2), model("c", weight=1.5)]},
        "karcher": {"merge_method": "karcher", "models": [model("a"), model("b"), model("c")]},
        "task_arithmetic": task("task_arithmetic", *three, **{"lambda": 0.8}),
        "task_arithmetic_mean": task("task_arithmetic", *three, normalize=True),
        "ties": task("ties", *three),
        "ties_gradient": task("ties", model("a", weight=[0.2, 0.8], density=[1, 0.6, 0.2]),
                              model("b", weight=[{"filter": "mlp", "value": 0.5}, {"value": 0}], density=0.3), **{"lambda": 1.3}),
        "ties_rescaled": task("ties", *three, normalize=False, rescale=True),
        "breadcrumbs": task("breadcrumbs", *three),
        "breadcrumbs_ties": task("breadcrumbs_ties", model("a", weight=0.6, density=0.9, gamma=0.05),
                                 model("b", weight=0.5, density=0.3, gamma=0.2)),
        "sce": task("sce", model("a"), model("b"), model("c"), select_topk=0.4),
        "sce_all": task("sce", model("a"), model("b"), model("c")),
        "model_stock": task("model_stock", model("a"), model("b"), model("c")),
        "model_stock_rows": task("model_stock", model("a"), model("b"), model("c"), filter_wise=True),
        "nearswap": task("nearswap", model("a"), t=0.002),
        "passthrough": {"merge_method": "passthrough", "slices": [
            {"sources": [{"model": path("a"), "layer_range": [0, layers - 1]}]},
            {"sources": [{"model": path("b"), "layer_range": [1, layers], "parameters": {
                "scale": [{"filter": "o_proj", "value": 0.5}, {"filter": "down_proj", "value": 0.25}, {"value": 1.0}]}}]}]},
        "slices": {"merge_method": "slerp", "base_model": path("a"), "parameters": {"t": 0.5}, "slices": [
            {"sources": [{"model": path("a"), "layer_range": [0, 2]}, {"model": path("b"), "layer_range": [0, 2]}],
             "parameters": {"t": [0.1, 0.9]}},
            {"sources": [{"model": path("a"), "layer_range": [2, layers]}, {"model": path("b"), "layer_range": [1, layers - 1]}]}]},
        "dare_linear": task("dare_linear", *three),
        "dare_ties": task("dare_ties", *three),
        "dare_raw": task("dare_linear", *three, rescale=False),
        "della": task("della", model("a", weight=0.6, density=0.4, epsilon=0.2), model("b", weight=0.5, density=0.7)),
        "della_linear": task("della_linear", model("a", weight=0.6, density=0.4, epsilon=0.2), model("b", weight=0.5, density=0.7)),
    }
    if whole:
        # mergekit draws a sample for larger tensors
        found["arcee_fusion"] = task("arcee_fusion", model("a"))
    return {name: common | recipe for name, recipe in found.items()}


def merge(text, target):
    run_merge(MergeConfiguration.model_validate(yaml.safe_load(text)), str(target),
              MergeOptions(random_seed=7, quiet=True, copy_tokenizer=False, write_model_card=False))
    for file in target.iterdir():
        if file.suffix not in (".safetensors", ".json"):
            file.unlink() if file.is_file() else shutil.rmtree(file)


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    layers = LAYERS
    if len(sys.argv) > 2:
        real(out, sys.argv[2])
        layers = REAL_LAYERS
    else:
        small(out)
    (out / "recipes").mkdir(exist_ok=True)
    sort_stably()
    wanted = os.environ.get("GOLDEN_ONLY", "").split()
    for name, recipe in recipes(out, layers, len(sys.argv) == 2).items():
        if wanted and name not in wanted:
            continue
        text = yaml.safe_dump(recipe, sort_keys=False)
        (out / "recipes" / f"{name}.yml").write_text(text)
        merge(text, out / "golden" / name)
        if name.startswith(SUMS + ("arcee_fusion",)):
            merge(text.replace("dtype: float32", "dtype: float64", 1), out / "exact" / name)
    print("made")


if __name__ == "__main__":
    main()
