#!/usr/bin/python3
"""The demo supernet under distributions, in PyTorch: what tests/unit/test_soft_demo.c is held against.

    /usr/bin/python3 tests/reference/soft_demo.py    write soft_demo.json beside this script

Needs Debian's python3-torch. It reads the demo's specification and full weights and runs every candidate
at once, each choice weighted by the softmax of its logits, by the rules of the differentiable one-shot
algorithms of NNI v2.8:

  - An argument that is an expression has a distribution over its values: the probabilities of all
    assignments of its labels, added up by value.
  - A weight is multiplied by sum_v p(v) mask_v for each slicing step, where mask_v is 1 inside the slice
    for v. Steps multiply; attention cuts rows and columns in one joint step.
  - Kernels are centred, paddings are those of the largest kernel, normalisations run at full size, and a
    grouped convolution whose groups grow with its channels takes weight[:, :channels / groups] as it is.
  - LayerChoice and Repeat are weighted sums of all candidates and of all depths.

The numbers of heads cannot follow a distribution; each case fixes them.
"""
import ast
import itertools
import json
import os
import random
import struct

import torch
import torch.nn.functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
DEMO = os.path.join(HERE, "..", "..", "deploy", "demo")
N_IMAGES = 8
STRUCTURE = ("name", "type", "label", "inputs", "outputs", "nodes", "layers", "blocks", "candidates", "depth")


def read_safetensors(name):
    with open(os.path.join(DEMO, name), "rb") as f:
        blob = f.read()
    n = struct.unpack("<Q", blob[:8])[0]
    tensors = {}
    for key, entry in json.loads(blob[8:8 + n]).items():
        if key == "__metadata__" or entry["dtype"] != "F32":
            continue
        start, stop = entry["data_offsets"]
        flat = struct.unpack("<%df" % ((stop - start) // 4), blob[8 + n + start:8 + n + stop])
        tensors[key] = torch.tensor(flat, dtype=torch.float32).reshape(entry["shape"])
    return tensors


def children(m):
    """Names and modules inside a container, as their weights are named."""
    if m["type"] == "Repeat":
        return [("blocks.%d" % i, b) for i, b in enumerate(m["blocks"])]
    inside = m.get("layers") or m.get("nodes") or m.get("candidates") or []
    return [(c["name"], c) for c in inside]


def prefix(n, distribution):
    """sum_v p(v) mask_v along an axis of n elements."""
    mask = torch.zeros(n)
    for value, p in distribution.items():
        mask[:value] += p
    return mask


class Soft:
    def __init__(self, spec, tensors, alpha, fixed):
        self.table, self.root, self.w = spec["choices"], spec["model"], tensors
        self.p = {label: torch.softmax(torch.tensor(a), 0).tolist() for label, a in alpha.items()}
        self.fixed = fixed

    def distribution(self, argument):
        """{value: probability}; one value with probability 1 for what is not chosen."""
        if not isinstance(argument, str):
            return {argument: 1.0}
        code = compile(argument, "argument", "eval")
        labels = sorted({n.id for n in ast.walk(ast.parse(argument)) if isinstance(n, ast.Name) and n.id in self.table})
        result = {}
        for values in itertools.product(*(self.options(label) for label in labels)):
            p = 1.0
            for _, weight in values:
                p *= weight
            value = eval(code, {"to_int": int}, dict(zip(labels, (v for v, _ in values))))
            result[value] = result.get(value, 0.0) + p
        return result

    def options(self, label):
        if label in self.fixed:
            return [(self.fixed[label], 1.0)]
        return list(zip(self.table[label], self.p[label]))

    def run(self, m, path, x):
        kids = children(m)
        at = lambda name: path + "." + name if path else name
        if m["type"] == "Sequential":
            for name, child in kids:
                x = [self.run(child, at(name), x)]
            return x[0]
        if m["type"] == "Repeat":
            total, depth = 0.0, self.distribution(m["depth"])
            for i, (name, child) in enumerate(kids):
                x = [self.run(child, at(name), x)]
                total = total + depth.get(i + 1, 0.0) * x[0]
            return total
        if m["type"] == "LayerChoice":
            return sum(p * self.run(child, at(name), x) for p, (name, child) in zip(self.p[m["label"]], kids))
        if m["type"] == "Graph":
            values = dict(zip(m["inputs"], x))
            for name, child in kids:  # listed in the order of their use
                wires = child["inputs"]
                wires = wires.values() if isinstance(wires, dict) else wires
                values[name] = self.run(child, at(name), [values[w] for w in wires])
            return values[m["outputs"][0]]
        a = {k: self.distribution(v) if k not in ("padding", "dims") else v for k, v in m.items() if k not in STRUCTURE}
        return getattr(self, m["type"].lower())(a, lambda name: self.w[at(name)], *x)

    def conv2d(self, a, w, x):
        weight = w("weight")
        rows = prefix(weight.shape[0], a["out_channels"])
        size = weight.shape[-1]
        window = torch.zeros(size, size)
        for k, p in a["kernel_size"].items():
            left = (size - k) // 2
            window[left:left + k, left:left + k] += p
        weight = weight * rows[:, None, None, None] * window
        groups = 1
        if "groups" in a:  # equal to the channels: one input channel for each, unweighted
            groups = x.shape[1]
        else:
            weight = weight * prefix(weight.shape[1], a["in_channels"])[None, :, None, None]
        has_bias = a.get("bias", {True: 1.0}) == {True: 1.0}
        bias = w("bias") * rows if has_bias else None
        padding = max(self.distribution(a.get("padding", 0)))
        return F.conv2d(x, weight, bias, padding=padding, groups=groups)

    def linear(self, a, w, x):
        rows = prefix(w("weight").shape[0], a["out_features"])
        columns = prefix(w("weight").shape[1], a["in_features"])
        return F.linear(x, w("weight") * rows[:, None] * columns[None, :], w("bias") * rows)

    def multiheadattention(self, a, w, x, *_):
        full = w("out_proj.weight").shape[0]
        vector = prefix(full, a["embed_dim"])
        square = torch.zeros(full, full)
        for e, p in a["embed_dim"].items():
            square[:e, :e] += p
        (heads,) = a["num_heads"]
        y, _ = F.multi_head_attention_forward(
            *[x.transpose(0, 1)] * 3, full, heads, w("in_proj_weight") * square.repeat(3, 1),
            w("in_proj_bias") * vector.repeat(3), None, None, False, 0.0, w("out_proj.weight") * square,
            w("out_proj.bias") * vector, training=False)
        return y.transpose(0, 1)

    def batchnorm2d(self, a, w, x):
        return F.batch_norm(x, w("running_mean"), w("running_var"), w("weight"), w("bias"))

    def groupnorm(self, a, w, x):
        return F.group_norm(x, *a["num_groups"], w("weight"), w("bias"))

    def layernorm(self, a, w, x):
        return F.layer_norm(x, w("weight").shape, w("weight"), w("bias"))

    def relu(self, a, w, x):
        return F.relu(x)

    def hardswish(self, a, w, x):
        return F.hardswish(x)

    def gelu(self, a, w, x):
        return F.gelu(x)

    def maxpool2d(self, a, w, x):
        return F.max_pool2d(x, *a["kernel_size"])

    def flatten(self, a, w, x):
        return x.flatten(*a.get("start_dim", [1]))

    def permute(self, a, w, x):
        return x.permute(a["dims"])

    def identity(self, a, w, x):
        return x

    def add(self, a, w, x, y):
        return x + y


def candidates(spec):
    """{label: number of candidates}, LayerChoices included."""
    n = {label: len(values) for label, values in spec["choices"].items()}

    def walk(m):
        if m["type"] == "LayerChoice":
            n[m["label"]] = len(m["candidates"])
        for _, child in children(m):
            walk(child)

    walk(spec["model"])
    return n


def main():
    with open(os.path.join(DEMO, "spec.json")) as f:
        spec = json.load(f)
    tensors = read_safetensors("weights.safetensors")
    images = read_safetensors("test-images.safetensors")["image"][:N_IMAGES]
    rng = random.Random(7)
    cases = []
    for name, spread, fixed in (("uniform", 0.0, {"heads0": 2, "heads1": 4}),
                                ("random", 1.0, {"heads0": 4, "heads1": 2}),
                                ("nearly decided", 6.0, {"heads0": 4, "heads1": 4})):
        alpha = {label: [round(spread * rng.gauss(0, 1), 3) for _ in range(n)]
                 for label, n in candidates(spec).items() if label not in fixed}
        with torch.no_grad():
            logits = Soft(spec, tensors, alpha, fixed).run(spec["model"], "", [images])
        cases.append({"name": name, "choices": fixed, "alpha": alpha,
                      "logits": [[float("%.9g" % v) for v in row] for row in logits.tolist()]})
    with open(os.path.join(HERE, "soft_demo.json"), "w") as f:
        json.dump({"torch": torch.__version__, "images": N_IMAGES, "cases": cases}, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main()
