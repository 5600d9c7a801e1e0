#!/usr/bin/env python3
"""The same training in PyTorch: reads what the student would read, in the order in which it is read, and prints losses.

    torch_steps.py JOB.json

JOB: {"student", "kind": "sft" | "lora" | "kd" | "dpo", "steps": [[[documents of a window], …], …], each document
{"tokens", "learnt"}, "rate", "beta1", "beta2", "eps", "weight_decay", "clip", "rank", "alpha", "adapter" (a PEFT folder
to begin with), "teacher", "top", "temperature", "kd_alpha", "beta", "bf16" (autocast)}. Prints {"losses", "seconds", "tokens", "peak_rss"} as
JSON; with "logits", writes the first window's logits before training there. Documents are computed one by one, so nothing
can leak between them; with "together", the windows of a step at once, as one does for speed (all of one length then).
"""
import json
import resource
import sys
import time

import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM

job = json.load(open(sys.argv[1]))
torch.manual_seed(0)


def load(path):
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation=job.get("attention", "sdpa"))


def logits_of(model, tokens):
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=job.get("bf16", False)):
        return model(tokens).logits.float()


def rows(model, document):
    """Logits that predict, and what they are to predict, where it is learnt."""
    tokens = torch.tensor(document["tokens"])
    learnt = torch.tensor(document["learnt"])[1:]
    logits = logits_of(model, tokens[None])[0, :-1][learnt]
    return logits, tokens[1:][learnt]


def cross_entropy(model, document):
    logits, goals = rows(model, document)
    return F.cross_entropy(logits, goals, reduction="sum"), len(goals)


def together(model, windows):
    """All windows of a step in one batch, each a single document."""
    tokens = torch.tensor([w[0]["tokens"] for w in windows])
    learnt = torch.tensor([w[0]["learnt"] for w in windows])[:, 1:]
    logits = logits_of(model, tokens)[:, :-1]
    return F.cross_entropy(logits[learnt], tokens[:, 1:][learnt], reduction="sum")


def distillation(model, document):
    logits, goals = rows(model, document)
    own = F.cross_entropy(logits, goals, reduction="sum")
    t = job["temperature"]
    with torch.no_grad():
        taught = F.softmax(rows(teacher, document)[0] / t, -1)
        p, ids = taught.topk(job["top"], -1)
        rest = taught.scatter(-1, ids, 0.0).sum(-1)
        # the precision in which odds are kept
        p, rest = p.log().half().float().exp(), rest.log().half().float().exp()
        whole = p.sum(-1) + rest
        p, rest = p / whole[:, None], rest / whole
    q = F.softmax(logits / t, -1)
    top = q.gather(-1, ids)
    tail = q.scatter(-1, ids, 0.0).sum(-1).clamp(min=1e-38)
    rest = rest.clamp(min=1e-10)
    kl = (p * (p / top).log()).sum() + (rest * (rest / tail).log()).sum()
    a = job["kd_alpha"]
    return (1 - a) * own + a * t * t * kl, len(goals)


def log_odds(model, document):
    logits, goals = rows(model, document)
    return -F.cross_entropy(logits, goals, reduction="sum")


def preference(model, window):
    chosen, rejected = (log_odds(model, document) for document in window)
    with torch.no_grad():
        before = [log_odds(reference, document) for document in window]
    return -F.logsigmoid(job["beta"] * ((chosen - before[0]) - (rejected - before[1])))


model = load(job["student"])
if job["kind"] == "kd":
    teacher = load(job["teacher"]).eval()
if job["kind"] == "dpo":
    reference = load(job["student"]).eval()
if job.get("adapter"):
    from peft import PeftModel

    model = PeftModel.from_pretrained(model, job["adapter"], is_trainable=True)
elif job["kind"] == "lora":
    from peft import LoraConfig, get_peft_model

    modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    model = get_peft_model(model, LoraConfig(r=job["rank"], lora_alpha=job["alpha"], lora_dropout=0.0, target_modules=modules))
model.eval()  # there is no dropout, and nothing else differs
if job.get("logits"):
    from safetensors.torch import save_file

    with torch.no_grad():
        first = job["steps"][0][0][0]["tokens"]
        save_file({"logits": model(torch.tensor([first])).logits[0].contiguous()}, job["logits"])
trained = [p for p in model.parameters() if p.requires_grad]
matrices, others = [p for p in trained if p.dim() > 1], [p for p in trained if p.dim() < 2]
optimiser = torch.optim.AdamW(
    [{"params": matrices, "weight_decay": job["weight_decay"]}, {"params": others, "weight_decay": 0.0}],
    lr=job["rate"], betas=(job["beta1"], job["beta2"]), eps=job["eps"])
losses, seconds, tokens = [], [], 0
for windows in job["steps"]:
    start = time.time()
    optimiser.zero_grad()
    if job["kind"] == "dpo":
        size = len(windows)
    else:
        size = sum(sum(d["learnt"][1:]) for w in windows for d in w)
    total = 0.0
    if job.get("together"):
        loss = together(model, windows) / size
        loss.backward()
        total = loss.item()
        tokens += sum(len(w[0]["tokens"]) for w in windows)
        windows = []
    for window in windows:
        if job["kind"] == "dpo":
            loss = preference(model, window) / size
            loss.backward()
            total += loss.item()
            continue
        for document in window:
            if not any(document["learnt"][1:]):
                continue
            part = {"sft": cross_entropy, "lora": cross_entropy, "kd": distillation}[job["kind"]]
            loss = part(model, document)[0] / size
            loss.backward()
            total += loss.item()
        tokens += sum(len(d["tokens"]) for d in window)
    if job["clip"]:
        torch.nn.utils.clip_grad_norm_(trained, job["clip"])
    optimiser.step()
    losses.append(total)
    seconds.append(time.time() - start)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"losses": losses, "seconds": seconds, "tokens": tokens, "peak_rss": peak}))
