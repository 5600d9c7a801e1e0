#!/usr/bin/env python3
"""Writes the tokenizers beside it: two byte-level ones of other merges, and a SentencePiece model.

    vocabularies.py          (needs sentencepiece; made with 0.2.3)
"""
import io
import json
import pathlib

import sentencepiece

HERE = pathlib.Path(__file__).parent
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<|spare|>"]
FIRST = ["Ġ t", "Ġt h", "e r", "i n", "Ġth e", "in g", "Ġ a", "o n", "Ġ =", "r e", "t i", "ti on"]
SECOND = ["h e", "n d", "Ġ s", "a t", "Ġ i", "o r", "m e", "Ġ b", "e s", "u m", "um b", "e r"]
WORDS = ["alpha", "beta", "gamma", "delta", "return", "function", "value", "def", "import", "größe", "模型", "количество"]


def alphabet():
    """GPT-2's letters for bytes."""
    other = 0
    for byte in range(256):
        printable = 33 <= byte <= 126 or 161 <= byte <= 172 or 174 <= byte <= 255
        yield chr(byte if printable else 256 + other)
        other += not printable


def byte_level(name, merges):
    words = list(alphabet()) + [merge.replace(" ", "") for merge in merges]
    added = [{"id": len(words) + at, "content": text, "special": True, "normalized": False, "lstrip": False, "rstrip": False,
              "single_word": False} for at, text in enumerate(SPECIAL)]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    made = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, level]},
        "post_processor": None, "decoder": level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "vocab": {word: at for at, word in enumerate(words)}, "merges": [merge.split(" ") for merge in merges]},
    }
    (HERE / name).write_text(json.dumps(made, ensure_ascii=False, separators=(",", ":")) + "\n")


def pieces():
    lines = [" ".join(WORDS[(i * 7 + j * (i % 5 + 1)) % len(WORDS)] for j in range(12)) for i in range(400)]
    model = io.BytesIO()
    # `identity`: tables of Unicode's normal forms would take a quarter of a megabyte
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, model_type="bpe", vocab_size=380, byte_fallback=True,
        hard_vocab_limit=False, normalization_rule_name="identity", user_defined_symbols=["<start_of_turn>"], minloglevel=2)
    (HERE / "tokenizer.model").write_bytes(model.getvalue())


byte_level("tokenizer.json", FIRST)
byte_level("tokenizer-other.json", SECOND)
pieces()
