"""Folders with documents that are small and ask for much, and with two that once ended the daemon.

    documents.py MODELS     a folder below MODELS for each
"""
import json
import os
import struct
import sys

models = sys.argv[1]


def write(name, model, tensors, **more):
    folder = os.path.join(models, name)
    os.makedirs(folder)
    document = {"format": "supernet/1", "name": name, "inputs": [{"name": "x", "shape": ["N", 4]}]}
    document.update(more, model=model)
    with open(os.path.join(folder, "spec.json"), "w") as f:
        json.dump(document, f)
    header, at = {}, 0
    for tensor, shape in tensors.items():
        n = 4
        for d in shape:
            n *= d
        header[tensor] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + n]}
        at += n
    text = json.dumps(header).encode()
    with open(os.path.join(folder, "weights.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + bytes(at))


def repeat(n, block):
    return {"type": "Repeat", "depth": n, "block": block}


def linear(expression):
    return {"type": "Linear", "in_features": expression, "out_features": 4}


numbers = list(range(1024))
write("repeats", repeat(100, repeat(100, repeat(100, repeat(100, {"type": "ReLU"})))), {})
write("colliding", linear("a * 9007199254740992 + b * 8796093022208 + 1"), {},
      choices={"a": numbers, "b": numbers})
write("tuples", {"type": "Conv2d", "in_channels": 4, "out_channels": 4,
                 "kernel_size": "(a, b) * 4000"}, {}, choices={"a": numbers, "b": numbers})
write("tokens", repeat(5000, linear("cond(w == 4, 4, " + '"a" ' * 990 + ")")), {},
      choices={"w": [4]})
write("kinds", {"type": "Sequential", "layers": [
    dict(linear(4), name="a", out_features="h"), dict(linear("h"), name="b")]},
    {"a.weight": [8, 4], "a.bias": [8], "b.weight": [4, 8], "b.bias": [4]},
    choices={"h": [4, 8]}, compatibility="nni-2.8")
write("lists", {"type": "Sequential", "layers": [
    {"type": "LayerChoice", "label": "op", "candidates": [{"type": "ReLU"}, {"type": "Identity"}]},
    repeat("cond(op == '0', 1, 2)", {"type": "ReLU"})]}, {},
    choices={"op": ["0", "1"]})
nested = {"type": "ReLU"}
for i in range(6):
    nested = {"type": "LayerChoice", "label": f"l{i}", "candidates": [nested]}
write("nested", nested, {})
