"""A stand-alone `supernet/1` document as a PyTorch module: straight-line code, so that eager mode pays
for no interpreter of ours, over the modules that a user of PyTorch would take."""
import json
import operator
import os

import torch
import torch.nn.functional as F
from torch import nn

from zoo import safetensors


class RelativePosition(nn.Module):
    """A vector for every pair of tokens, by their clipped distance in rows and columns."""

    def __init__(self, length, dim, tokens=197):
        super().__init__()
        self.embeddings_table_v = nn.Parameter(torch.empty(2 * length + 2, dim))
        self.embeddings_table_h = nn.Parameter(torch.empty(2 * length + 2, dim))
        at, side = torch.arange(tokens - 1), int((tokens - 1) ** 0.5)
        for name, place in ("rows", at // side), ("columns", at % side):
            distance = (place[None] - place[:, None]).clamp(-length, length) + length + 1
            self.register_buffer(name, F.pad(distance, (1, 0, 1, 0)), persistent=False)

    def forward(self):
        return self.embeddings_table_v[self.rows] + self.embeddings_table_h[self.columns]


class RelativeAttention(nn.Module):
    """Self-attention as AutoFormer and NNI write it."""

    def __init__(self, embed_dim, num_heads, head_dim=64, qkv_bias=False, qk_scale=None, rpe=False, rpe_length=14):
        super().__init__()
        inner = num_heads * head_dim
        self.num_heads, self.scale = num_heads, qk_scale or head_dim ** -0.5
        self.q, self.k, self.v = (nn.Linear(embed_dim, inner, bias=qkv_bias) for _ in range(3))
        self.proj = nn.Linear(inner, embed_dim)
        self.rel_pos_embed_k = RelativePosition(rpe_length, head_dim) if rpe else None
        self.rel_pos_embed_v = RelativePosition(rpe_length, head_dim) if rpe else None

    def forward(self, x):
        b, n, _ = x.shape
        h = self.num_heads
        q, k, v = (part(x).reshape(b, n, h, -1).permute(0, 2, 1, 3) for part in (self.q, self.k, self.v))
        attn = (q @ k.transpose(-2, -1)) * self.scale
        if self.rel_pos_embed_k is not None:
            keys = self.rel_pos_embed_k().transpose(2, 1)
            attn = attn + (q.permute(2, 0, 1, 3).reshape(n, h * b, -1) @ keys).transpose(1, 0).reshape(
                b, h, n, n) * self.scale
        attn = attn.softmax(dim=-1)
        x = (attn @ v).transpose(1, 2).reshape(b, n, -1)
        if self.rel_pos_embed_v is not None:
            values = attn.permute(2, 0, 1, 3).reshape(n, b * h, -1) @ self.rel_pos_embed_v()
            x = x + values.transpose(1, 0).reshape(b, h, n, -1).transpose(2, 1).reshape(b, n, -1)
        return self.proj(x)


class Attention(nn.MultiheadAttention):
    def forward(self, query, key, value):
        return super().forward(query, key, value, need_weights=False)[0]


class ClassToken(nn.Module):
    def __init__(self, embed_dim):
        super().__init__()
        self.cls_token = nn.Parameter(torch.empty(1, 1, embed_dim))

    def forward(self, x):
        return torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1)


class PositionEmbedding(nn.Module):
    def __init__(self, length, embed_dim):
        super().__init__()
        self.pos_embed = nn.Parameter(torch.empty(1, length, embed_dim))

    def forward(self, x):
        return x + self.pos_embed


MODULES = {
    "Conv2d": nn.Conv2d, "BatchNorm2d": nn.BatchNorm2d, "GroupNorm": nn.GroupNorm, "LayerNorm": nn.LayerNorm,
    "Linear": nn.Linear, "MultiheadAttention": Attention, "RelativePositionSelfAttention": RelativeAttention,
    "ClassToken": ClassToken, "AbsolutePositionEmbedding": PositionEmbedding, "MaxPool2d": nn.MaxPool2d,
    "AvgPool2d": nn.AvgPool2d, "AdaptiveAvgPool2d": nn.AdaptiveAvgPool2d, "Hardswish": nn.Hardswish,
    "Hardsigmoid": nn.Hardsigmoid, "ReLU": nn.ReLU, "GELU": nn.GELU, "Flatten": nn.Flatten,
}
# The function, and what it takes after the inputs.
FUNCTIONS = {
    "Add": (operator.add, lambda a: ()),
    "Mul": (operator.mul, lambda a: ()),
    "Permute": (torch.permute, lambda a: (a["dims"],)),
    "Truncate": (operator.getitem, lambda a: ((slice(None), slice(a["channels"])),)),
}
STRUCTURE = ("name", "type", "inputs")


class Builder:
    def __init__(self, tensors):
        self.root, self.graph, self.tensors = nn.Module(), torch.fx.Graph(), tensors

    def build(self, model):
        image = self.graph.placeholder("image")
        self.graph.output(self.lower(model, "", [image]))
        return torch.fx.GraphModule(self.root, self.graph).eval()

    def lower(self, module, path, inputs):
        """The node of the graph that is this module's output."""
        def child(m):
            return path + "." + m["name"] if path else m["name"]

        if module["type"] == "Sequential":
            for layer in module["layers"]:
                inputs = [self.lower(layer, child(layer), inputs)]
            return inputs[0]
        if module["type"] == "Graph":
            return self.wires(module, child, inputs)
        arguments = {key: value for key, value in module.items() if key not in STRUCTURE}
        if module["type"] == "Identity":
            return inputs[0]
        if module["type"] in FUNCTIONS:
            function, others = FUNCTIONS[module["type"]]
            return self.graph.call_function(function, tuple(inputs) + others(arguments))
        return self.call(module["type"], arguments, path, inputs)

    def wires(self, graph, child, inputs):
        """Nodes stand in the order of their use, as they are exported."""
        values = dict(zip(graph["inputs"], inputs))
        for node in graph["nodes"]:
            wires = node["inputs"]
            if isinstance(wires, dict):
                wires = [wires[name] for name in ("query", "key", "value")]
            values[node["name"]] = self.lower(node, child(node), [values[name] for name in wires])
        return values[graph["outputs"][0]]

    def call(self, kind, arguments, path, inputs):
        module = MODULES[kind](**arguments)
        own = {name[len(path) + 1:]: torch.tensor(value) for name, value in self.tensors.items()
               if name.startswith(path + ".")}
        missing, unused = module.load_state_dict(own, strict=False)
        if unused or [name for name in missing if name != "num_batches_tracked"]:
            raise ValueError("%s: %s are missing, %s are not used" % (path, missing, unused))
        flat = path.replace(".", "_")
        self.root.add_module(flat, module)
        return self.graph.call_module(flat, tuple(inputs))


def load(folder):
    """The network of FOLDER/spec.json and FOLDER/weights.safetensors."""
    with open(os.path.join(folder, "spec.json")) as f:
        spec = json.load(f)
    return Builder(safetensors.read(os.path.join(folder, "weights.safetensors"))).build(spec["model"])
