"""Small checkpoints that a seed decides, written here and by `tests/golden/mod.rs` to the same bytes.

Nothing random is stored: a tensor's numbers follow from its seed, and what the golden files hold is what other programs
made of such checkpoints.
"""
import hashlib
import importlib.metadata
import json
import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent


def noise(seed, count):
    """Numbers from -1 to 1 in f32, by a linear congruential generator (Numerical Recipes' constants)."""
    a = np.uint32(1664525)
    powers = np.cumprod(np.full(count, a, np.uint32), dtype=np.uint32)
    sums = np.cumsum(np.concatenate([[np.uint32(1)], powers[:-1]]), dtype=np.uint32)
    state = np.uint32((seed * 747796405 + 2891336453) % 2**32)
    states = powers * state + np.uint32(1013904223) * sums
    return (states >> np.uint32(8)).astype(np.float32) / np.float32(8388608.0) - np.float32(1.0)


def raw(dtype, values):
    """bf16 is cut off, f16 rounded to the nearest, ties to even."""
    if dtype == "F32":
        return values.astype("<f4").tobytes()
    if dtype == "F16":
        return values.astype("<f2").tobytes()
    return (values.view(np.uint32) >> 16).astype("<u2").tobytes()


def safetensors(path, dtype, tensors):
    """`tensors`: pairs of a name and an array of f32."""
    header, data = {}, b""
    for name, values in tensors:
        own = raw(dtype, values)
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [len(data), len(data) + len(own)]}
        data += own
    head = json.dumps(header).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + data)
    return data


def weight(seed, name, shape, size, one):
    """A tensor of so large numbers; those with such a word in their names are about one."""
    values = noise(seed, int(np.prod(shape))) * np.float32(size)
    if any(word in name for word in one):
        values = values + np.float32(1.0)
    return values.reshape(shape)


def checkpoint(folder, spec, stem="model", config="config.json"):
    """Writes what `spec` says: {"config", "dtype", "seed", "size", "one", "shards", "tensors": [[name, shape], …]} and
    perhaps "moved", the seed and the size of what is added; gives the SHA-256 of all tensors' bytes in that order."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = [(name, weight(spec["seed"] + at, name, shape, spec["size"], spec["one"]))
               for at, (name, shape) in enumerate(spec["tensors"])]
    if "moved" in spec:
        seed, size = spec["moved"]
        tensors = [(name, values + weight(seed + at, name, values.shape, size, [])) for at, (name, values) in enumerate(tensors)]
    (folder / config).write_text(json.dumps(spec["config"]))
    if spec["shards"] == 1:
        data = safetensors(folder / f"{stem}.safetensors", spec["dtype"], tensors)
    else:
        half, names = len(tensors) // 2, ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
        parts = list(zip(names, [tensors[:half], tensors[half:]]))
        data = b"".join(safetensors(folder / name, spec["dtype"], part) for name, part in parts)
        places = {tensor: name for name, part in parts for tensor, _ in part}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return hashlib.sha256(data).hexdigest()


def versions(*names):
    return {name: importlib.metadata.version(name) for name in names}


def write_lines(path, head, entries):
    """A JSON object whose entries are a line each, so that a change shows which one it is."""
    lines = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}" for key, value in (head | entries).items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
