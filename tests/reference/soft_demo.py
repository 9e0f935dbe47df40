#!/usr/bin/python3
"""The demo with every choice left to a distribution, in PyTorch: a second implementation.

    /usr/bin/python3 tests/reference/soft_demo.py > tests/reference/soft_demo.json

Needs Debian's python3-torch. The rules are those of differentiable one-shot search: no weight is cut, each is
multiplied by one mask per slicing step (the sum over all options of their weight inside their slice); a LayerChoice and a
Repeat are weighted sums; norms use all features; a kernel under a distribution keeps the padding of the largest one; groups in
constant proportion to the channels follow the channels that come in. Heads cannot follow a distribution: they are
chosen. tests/unit/test_soft.c compares the library with what this writes."""
import itertools
import json
import os
import struct

import torch
import torch.nn.functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
DEMO = os.path.join(HERE, "..", "..", "deploy", "demo")
CHOSEN = {"heads0": 4, "heads1": 2}
IMAGES = 4


def tensors(path):
    blob = open(path, "rb").read()
    n = struct.unpack("<Q", blob[:8])[0]
    out = {}
    for name, e in json.loads(blob[8:8 + n]).items():
        if name != "__metadata__":
            a, b = e["data_offsets"]
            out[name] = torch.frombuffer(bytearray(blob[8 + n + a:8 + n + b]), dtype=torch.float32).reshape(e["shape"])
    return out


spec = json.load(open(os.path.join(DEMO, "spec.json")))
weights = tensors(os.path.join(DEMO, "weights.safetensors"))
images = tensors(os.path.join(DEMO, "test-images.safetensors"))["image"][:IMAGES]
candidates = dict(spec["choices"])


def find_operators(m):
    if m.get("type") == "LayerChoice":
        candidates[m["label"]] = [c["name"] for c in m["candidates"]]
    for key in ("layers", "nodes", "blocks", "candidates"):
        for child in m.get(key, []):
            find_operators(child)


find_operators(spec["model"])
# Logits that differ clearly, the same everywhere: no generator is involved.
alpha = {label: [round(((i * 7 + k * 5) % 11 - 5) / 4, 3) for k in range(len(c))]
         for i, (label, c) in enumerate(sorted(candidates.items())) if label not in CHOSEN}
weight_of = {label: torch.softmax(torch.tensor(a), 0) for label, a in alpha.items()}


def options(argument):
    """value -> joint weight of an argument; a plain value has one option of weight 1."""
    if not isinstance(argument, str):
        return {argument: torch.tensor(1.0)}
    labels = [label for label in candidates if label in compile(argument, "", "eval").co_names]
    out = {}
    for index in itertools.product(*(range(len(candidates[label])) for label in labels)):
        names = {label: candidates[label][i] for label, i in zip(labels, index)}
        if any(label in CHOSEN and names[label] != CHOSEN[label] for label in labels):
            continue
        weight = torch.tensor(1.0)
        for label, i in zip(labels, index):
            if label not in CHOSEN:
                weight = weight * weight_of[label][i]
        value = eval(argument, {"to_int": int}, names)
        out[value] = out.get(value, 0.0) + weight
    return dict(sorted(out.items()))


def largest(argument):
    return max(options(argument))


def prefix(size, argument):
    """The mask of [:v] over an axis."""
    mask = torch.zeros(size)
    for v, w in options(argument).items():
        mask[:v] += w
    return mask


def conv(m, path, x):
    w = weights[path + ".weight"] * prefix(weights[path + ".weight"].shape[0], m["out_channels"]).reshape(-1, 1, 1, 1)
    groups = 1
    if "groups" in m:  # depthwise: in_channels / groups is 1, nothing is masked, all channels are groups
        groups = x.shape[1]
    else:
        w = w * prefix(w.shape[1], m["in_channels"]).reshape(1, -1, 1, 1)
    size, mask = w.shape[2], torch.zeros(w.shape[2:])
    for k, weight in options(m["kernel_size"]).items():
        left = (size - k) // 2
        mask[left:left + k, left:left + k] += weight
    bias = None
    if m.get("bias", True):
        bias = weights[path + ".bias"] * prefix(w.shape[0], m["out_channels"])
    return F.conv2d(x, w * mask, bias, padding=largest(m.get("padding", 0)), groups=groups)


def linear(m, path, x):
    w = weights[path + ".weight"]
    rows, columns = prefix(w.shape[0], m["out_features"]), prefix(w.shape[1], m["in_features"])
    return F.linear(x, w * rows.reshape(-1, 1) * columns, weights[path + ".bias"] * rows)


def attention(m, path, x):
    size = weights[path + ".out_proj.weight"].shape[0]
    joint, single = torch.zeros(size, size), torch.zeros(size)
    for e, w in options(m["embed_dim"]).items():
        joint[:e, :e] += w
        single[:e] += w
    x = x.transpose(0, 1)
    y, _ = F.multi_head_attention_forward(
        x, x, x, size, largest(m["num_heads"]), weights[path + ".in_proj_weight"] * joint.repeat(3, 1),
        weights[path + ".in_proj_bias"] * single.repeat(3), None, None, False, 0.0,
        weights[path + ".out_proj.weight"] * joint, weights[path + ".out_proj.bias"] * single, training=False,
        need_weights=False)
    return y.transpose(0, 1)


def run(m, path, x):
    kind = m["type"]
    part = lambda name: path + "." + name if path else name
    w = lambda name: weights[part(name)]
    if kind == "Sequential":
        for i, layer in enumerate(m["layers"]):
            x = run(layer, part(layer.get("name", str(i))), x)
        return x
    if kind == "Graph":
        made = {m["inputs"][0]: x}
        for node in m["nodes"]:
            ins = node["inputs"]
            ins = list(ins.values()) if isinstance(ins, dict) else ins
            made[node["name"]] = (made[ins[0]] + made[ins[1]] if node["type"] == "Add"
                                  else run(node, part(node["name"]), made[ins[0]]))
        return made[m["outputs"][0]]
    if kind == "LayerChoice":
        ys = [run(c, part(c["name"]), x) for c in m["candidates"]]
        return sum(a * y for a, y in zip(weight_of[m["label"]], ys))
    if kind == "Repeat":
        total, depths = 0.0, options(m["depth"])
        for i, block in enumerate(m["blocks"]):
            x = run(block, part("blocks.%d" % i), x)
            total = total + depths.get(i + 1, 0.0) * x
        return total
    return {
        "Conv2d": lambda: conv(m, path, x),
        "Linear": lambda: linear(m, path, x),
        "MultiheadAttention": lambda: attention(m, path, x),
        "BatchNorm2d": lambda: F.batch_norm(x, w("running_mean"), w("running_var"), w("weight"), w("bias")),
        "GroupNorm": lambda: F.group_norm(x, m["num_groups"], w("weight"), w("bias")),
        "LayerNorm": lambda: F.layer_norm(x, x.shape[-1:], w("weight"), w("bias")),
        "ReLU": lambda: F.relu(x),
        "Hardswish": lambda: F.hardswish(x),
        "GELU": lambda: F.gelu(x),
        "MaxPool2d": lambda: F.max_pool2d(x, m["kernel_size"]),
        "Flatten": lambda: torch.flatten(x, m.get("start_dim", 1)),
        "Permute": lambda: x.permute(m["dims"]),
        "Identity": lambda: x,
    }[kind]()


with torch.no_grad():
    logits = run(spec["model"], "", images)
print(json.dumps({"choices": CHOSEN, "alpha": alpha,
                  "logits": [[float("%.7g" % v) for v in row] for row in logits.tolist()]}, indent=1))
