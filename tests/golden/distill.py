#!/usr/bin/env python3
"""Writes `distill.json`: losses step by step, and logits, that PyTorch and PEFT compute of small students in every objective.

    distill.py ZORD_DISTILL WORK_DIR          (needs torch, transformers, peft, tokenizers: `versions` in the file says which)

ZORD_DISTILL is asked for one thing: which windows of the data it reads in which order (`dataset`). Everything else is
computed here.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys

os.environ |= {"TRANSFORMERS_VERBOSITY": "error", "HF_HUB_OFFLINE": "1"}

import torch
import torch.nn.functional as F
from peft import PeftModel
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from toy import HERE, checkpoint, versions, write_lines

STEPS, WINDOWS, TOP, TEMPERATURE, ALPHA, BETA, MIXTURE = 4, 2, 16, 2.0, 0.7, 0.1, 0.3
VOCABULARY, HIDDEN, INNER, LAYERS, HEADS, PAIRS, HEAD = 288, 32, 48, 2, 4, 2, 8
SPECIAL = range(268, 275)
# of the logits of the first window's last token
KEPT = range(0, VOCABULARY, 12)
FAMILIES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}
PROJECTIONS = {"self_attn.q_proj": (HEADS * HEAD, HIDDEN), "self_attn.k_proj": (PAIRS * HEAD, HIDDEN),
               "self_attn.v_proj": (PAIRS * HEAD, HIDDEN), "self_attn.o_proj": (HIDDEN, HEADS * HEAD),
               "mlp.gate_proj": (INNER, HIDDEN), "mlp.up_proj": (INNER, HIDDEN), "mlp.down_proj": (HIDDEN, INNER)}
RANK, SCALE = 4, 8

RECIPE = f"""threads = 1
[student]
path = 'student'
[data]
context = 64
validation = 0.0
[data.fim]
rate = 0.0
[[data.source]]
path = 'DATA'
[optimiser]
rate = 2e-3
weight_decay = 0.1
micro_batch = {WINDOWS}
accumulate = 1
[schedule]
steps = {STEPS}
warmup = 0
shape = 'constant'
[safety]
checkpoint_every = 0
"""
KD = f"""[objective]
kind = 'kd'
alpha = {ALPHA}
temperature = {TEMPERATURE}
mixture = {MIXTURE}
divergence = 'DIVERGENCE'
[[teacher]]
model = 'teacher.gguf'
top = {TOP}
"""
OTHER = f"""[objective]
kind = 'kd'
alpha = {ALPHA}
other = 'OTHER'
[[teacher]]
model = 'other.gguf'
top = {TOP}
"""
ADAPTER = f"[adapter]\nrank = {RANK}\nalpha = {SCALE}\nfrom = 'begin'\n"
KINDS = {
    "sft": "",
    "lora": ADAPTER,
    "dora": ADAPTER + "dora = true\n",
    "dpo": f"[objective]\nkind = 'dpo'\nbeta = {BETA}\n",
    "kd-forward": KD.replace("DIVERGENCE", "forward"),
    "kd-reverse": KD.replace("DIVERGENCE", "reverse"),
    "kd-jensen-shannon": KD.replace("DIVERGENCE", "jensen-shannon"),
    "alm": OTHER.replace("OTHER", "chunks"),
    "uld": OTHER.replace("OTHER", "sorted"),
}


def lines():
    text = [{"text": f"the {i}th thing in here is {i * 7 % 10} and {i * 3 % 10}, on station."} for i in range(40)]
    pairs = [{"prompt": f"thing {i}?", "chosen": f"it is {i * 7 % 10}", "rejected": "the number is none"} for i in range(40)]
    join = lambda lines: "".join(json.dumps(line) + "\n" for line in lines)
    return {"data.jsonl": join(text), "pairs.jsonl": join(pairs)}


def student(family, seed):
    tensors = [["model.embed_tokens.weight", [VOCABULARY, HIDDEN]]]
    for layer in (f"model.layers.{at}" for at in range(LAYERS)):
        tensors += [[f"{layer}.{name}.weight", [HIDDEN]] for name in ("input_layernorm", "post_attention_layernorm")]
        for name, shape in PROJECTIONS.items():
            tensors.append([f"{layer}.{name}.weight", list(shape)])
            if family == "qwen2" and name[-6] in "qkv":
                tensors.append([f"{layer}.{name}.bias", [shape[0]]])
        if family == "qwen3":
            tensors += [[f"{layer}.self_attn.{name}_norm.weight", [HEAD]] for name in "qk"]
    tensors.append(["model.norm.weight", [HIDDEN]])
    if family != "qwen3":
        tensors.append(["lm_head.weight", [VOCABULARY, HIDDEN]])
    config = {
        "architectures": [FAMILIES[family]], "model_type": family, "hidden_size": HIDDEN, "intermediate_size": INNER,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": PAIRS, "head_dim": HEAD,
        "vocab_size": VOCABULARY, "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "tie_word_embeddings": family == "qwen3", "torch_dtype": "bfloat16", "bos_token_id": 269, "eos_token_id": 268,
    }
    return {"config": config, "dtype": "BF16", "seed": seed, "size": 0.25, "one": ["norm"], "shards": 1, "tensors": tensors}


def adapter(dora):
    tensors = []
    for layer in (f"base_model.model.model.layers.{at}" for at in range(LAYERS)):
        for name, (rows, columns) in PROJECTIONS.items():
            tensors += [[f"{layer}.{name}.lora_A.weight", [RANK, columns]], [f"{layer}.{name}.lora_B.weight", [rows, RANK]]]
            if dora:
                tensors.append([f"{layer}.{name}.lora_magnitude_vector", [rows]])
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "student", "r": RANK, "lora_alpha": SCALE,
              "lora_dropout": 0.0, "bias": "none", "use_dora": dora, "use_rslora": False, "fan_in_fan_out": False,
              "inference_mode": False, "target_modules": [name.split(".")[1] for name in PROJECTIONS], "modules_to_save": None}
    return {"config": config, "dtype": "F32", "seed": 9000, "size": 0.2, "one": ["magnitude"], "shards": 1, "tensors": tensors}


def folder(work, name, spec, tokenizer):
    spec["sha256"] = checkpoint(work / name, spec)
    shutil.copy(HERE / tokenizer, work / name / "tokenizer.json")
    (work / name / "tokenizer_config.json").write_text(json.dumps(SETTINGS))
    return spec


SETTINGS = {"bos_token": "<|im_start|>", "eos_token": "<|endoftext|>", "tokenizer_class": "GPT2Tokenizer",
            "chat_template": "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
                             "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"}


def load(path):
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()


def rows(model, document):
    """Logits that predict, and what they are to predict, where it is learnt."""
    tokens = torch.tensor(document["tokens"])
    learnt = torch.tensor(document["learnt"])[1:]
    return model(tokens[None]).logits[0, :-1][learnt], tokens[1:][learnt]


def own(logits, goals):
    return F.cross_entropy(logits, goals, reduction="sum")


def kept(logits, count, temperature):
    """A teacher's likeliest tokens and the rest, in the precision in which they are stored."""
    logs = F.log_softmax(logits / temperature, -1)
    top, ids = logs.topk(count, -1)
    rest = logs.exp().scatter(-1, ids, 0.0).sum(-1).log()
    return top.half().float().exp(), rest.half().float().exp(), ids


def divergence(kind, p, q):
    if kind == "forward":
        return (p * (p / q).log()).sum()
    if kind == "reverse":
        return (q * (q / p).log()).sum()
    m = MIXTURE * p + (1 - MIXTURE) * q
    return (MIXTURE * p * (p / m).log() + (1 - MIXTURE) * q * (q / m).log()).sum()


def distillation(kind, model, teacher, document):
    logits, goals = rows(model, document)
    with torch.no_grad():
        p, rest, ids = kept(rows(teacher, document)[0], TOP, TEMPERATURE)
        whole = p.sum(-1) + rest
        p, rest = p / whole[:, None], rest / whole
    q = F.softmax(logits / TEMPERATURE, -1)
    top, tail = q.gather(-1, ids), q.scatter(-1, ids, 0.0).sum(-1)
    apart = divergence(kind, torch.cat([p, rest[:, None]], -1), torch.cat([top, tail[:, None]], -1))
    return (1 - ALPHA) * own(logits, goals) + ALPHA * TEMPERATURE**2 * apart


def stretches(document, tokenizer):
    """Where both tokenizers end a token at the same byte: the student's tokens and the teacher's between two such places."""
    letters = json.loads((HERE / "tokenizer.json").read_text())["model"]["vocab"]
    pieces = {number: token for token, number in letters.items()}
    lengths = [0 if token in SPECIAL else len(pieces[token]) for token in document["tokens"]]
    # each letter of a byte-level token stands for a byte, whose number is the letter's
    text = "".join(pieces[token] for token in document["tokens"] if token not in SPECIAL)
    encoded = tokenizer.encode(bytes(letters[letter] for letter in text).decode(), add_special_tokens=False)
    theirs = [len(token) for token in encoded.tokens]
    ends = lambda lengths: [sum(lengths[:at + 1]) for at in range(len(lengths))]
    assert 0 not in lengths[:-1] and sum(lengths) == sum(theirs)
    ours = ends([length for length in lengths if length])
    their = ends(theirs)
    found, i, j = [], 0, 0
    for end in sorted(set(ours) & set(their)):
        to_i, to_j = ours.index(end) + 1, their.index(end) + 1
        if j > 0 and i > 0 and all(document["learnt"][i:to_i]):
            found.append(((i, to_i), (j, to_j)))
        i, j = to_i, to_j
    return encoded.ids, found


def across(kind, model, teacher, tokenizer, document):
    logits, goals = rows(model, document)
    loss = (1 - ALPHA) * own(logits, goals)
    theirs, found = stretches(document, tokenizer)
    with torch.no_grad():
        said = F.log_softmax(teacher(torch.tensor([theirs])).logits[0], -1)
    # the row of each learnt token
    places = {at: row for row, at in enumerate(at for at in range(1, len(document["tokens"])) if document["learnt"][at])}
    logs = F.log_softmax(logits, -1)
    for (i, to_i), (j, to_j) in found:
        if kind == "alm":
            p = sum(said[at - 1, theirs[at]] for at in range(j, to_j))
            q = sum(logs[places[at], document["tokens"][at]] for at in range(i, to_i))
            p, q = (torch.clamp(x, max=-1e-6).double() / 100 for x in (p, q))
            p, q, not_p, not_q = p.exp(), q.exp(), -torch.expm1(p), -torch.expm1(q)
            loss = loss + ALPHA * 100 * (p * (p / q).log() + not_p * (not_p / not_q).log()).float()
        else:
            p = said[j - 1].exp().topk(TOP).values.half().float()
            q = logs[places[i]].exp().topk(TOP).values
            rest = ((1 - q.sum()).clamp(min=0) - (1 - p.sum()).clamp(min=0)).abs()
            loss = loss + ALPHA * ((q - p).abs().sum() + rest)
    return loss


def preference(model, reference, window):
    whole = lambda model, document: -own(*rows(model, document))
    chosen, rejected = (whole(model, document) for document in window)
    with torch.no_grad():
        before = [whole(reference, document) for document in window]
    return -F.logsigmoid(BETA * ((chosen - before[0]) - (rejected - before[1])))


def train(model, steps, loss_of, pairs):
    trained = [p for p in model.parameters() if p.requires_grad]
    matrices, others = [p for p in trained if p.dim() > 1], [p for p in trained if p.dim() < 2]
    optimiser = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
                                  lr=2e-3, betas=(0.9, 0.999), eps=1e-8)
    losses = []
    for windows in steps:
        optimiser.zero_grad()
        size = len(windows) if pairs else sum(sum(d["learnt"][1:]) for w in windows for d in w)
        parts = windows if pairs else [document for window in windows for document in window]
        loss = sum(loss_of(part) for part in parts) / size
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        losses.append(loss.item())
    return losses


def windows(program, work, recipe):
    (work / "recipe.toml").write_text(recipe)
    args = [program, "dataset", "recipe.toml", "--json", "--samples", str(STEPS * WINDOWS)]
    told = subprocess.run(args, cwd=work, env=os.environ | {"ZORD_HOME": str(work)}, check=True, capture_output=True, text=True).stdout
    samples = json.loads(told)["samples"]
    assert len(samples) == STEPS * WINDOWS
    return [samples[at:at + WINDOWS] for at in range(0, len(samples), WINDOWS)]


def packed(steps):
    """Tokens alone, negative ones (minus one) where they are not learnt."""
    document = lambda d: [token if learnt else -1 - token for token, learnt in zip(d["tokens"], d["learnt"])]
    return [[[document(d) for d in window] for window in windows] for windows in steps]


def main():
    program, work = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2])
    torch.set_num_threads(1)
    data = lines()
    for name, text in data.items():
        (work / name).write_text(text)
    other = Tokenizer.from_file(str(HERE / "tokenizer-other.json"))
    text = RECIPE.replace("DATA", "data.jsonl")
    recipes = {kind: (RECIPE.replace("DATA", "pairs.jsonl").replace("context = 64", "context = 192") if kind == "dpo" else text) + more for kind, more in KINDS.items()}
    found, steps = {}, None
    adapters = {}
    for kind in ("lora", "dora"):
        adapters[kind] = adapter(kind == "dora")
        adapters[kind]["sha256"] = checkpoint(work / kind, adapters[kind], "adapter_model", "adapter_config.json")
    for at, family in enumerate(FAMILIES):
        specs = {"student": folder(work, "student", student(family, 1000 * at + 1000), "tokenizer.json"),
                 "teacher": folder(work, "teacher", student(family, 1000 * at + 1500), "tokenizer.json"),
                 "other": folder(work, "other", student(family, 1000 * at + 1700), "tokenizer-other.json")}
        if steps is None:
            steps, pairs = windows(program, work, recipes["sft"]), windows(program, work, recipes["dpo"])
        teacher, foreign, reference = load(work / "teacher"), load(work / "other"), load(work / "student")
        losses, logits = {}, {}
        for kind in KINDS:
            model = load(work / "student")
            if kind in ("lora", "dora"):
                model = PeftModel.from_pretrained(model, work / kind, is_trainable=True).eval()
            if kind in ("sft", "lora", "dora"):
                with torch.no_grad():
                    last = model(torch.tensor([steps[0][0][0]["tokens"]])).logits[0, -1]
                logits[kind] = [float(last[at]) for at in KEPT]
            loss_of = {
                "sft": lambda document: own(*rows(model, document)),
                "dpo": lambda window: preference(model, reference, window),
                "kd": lambda document: distillation(kind[3:], model, teacher, document),
                "alm": lambda document: across(kind, model, foreign, other, document),
            }
            loss_of |= {"lora": loss_of["sft"], "dora": loss_of["sft"], "uld": loss_of["alm"]}
            losses[kind] = train(model, pairs if kind == "dpo" else steps, loss_of[kind.split("-")[0]], kind == "dpo")
        found[family] = {"checkpoints": specs, "losses": losses, "logits": logits}
    head = {"made with": versions("torch", "transformers", "peft", "tokenizers", "numpy"), "kept": list(KEPT), "settings": SETTINGS,
            "data": data, "recipes": recipes, "windows": packed(steps), "pairs": packed(pairs), "adapters": adapters}
    write_lines(HERE / "distill.json", head, found)


main()
