#!/usr/bin/python3
"""Train and check the demo supernet `digits`.

    /usr/bin/python3 deploy/demo/train.py --out DIR    train; write weights and test images (some 4 minutes)
    /usr/bin/python3 deploy/demo/train.py --check      measure the files beside this script, write expected.json

Needs Debian's python3-torch and python3-sklearn. The network is spec.json beside this script: the class
Supernet below reads it and runs any subnet of it on slices of the full weights, so it is also a second,
independent statement of what the daemon computes.

Training is the sandwich rule: each step runs the largest subnet on the labels, then the smallest and
random ones on the labels and on what the largest answered, and applies the sum of their gradients.
"""
import argparse
import ast
import itertools
import json
import math
import os
import random
import struct

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy: the sums must not depend on the machine's cores

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

HERE = os.path.dirname(os.path.abspath(__file__))
SEED = 2024
N_TEST = 360
N_CHECKED = 100
CHECK_SEED = 100  # not SEED: the subnets measured are not those that training drew


# ---- safetensors: u64 length, a JSON header padded to 8 bytes, the data -----------------------------

DTYPES = {"F32": np.dtype("<f4"), "I64": np.dtype("<i8")}


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, array in tensors.items():
        dtype = next(d for d, np_dtype in DTYPES.items() if np_dtype == array.dtype)
        header[name] = {"dtype": dtype, "shape": list(array.shape),
                        "data_offsets": [len(data), len(data) + array.nbytes]}
        data += np.ascontiguousarray(array).tobytes()
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def read_safetensors(path):
    with open(path, "rb") as f:
        blob = f.read()
    n = struct.unpack("<Q", blob[:8])[0]
    tensors = {}
    for name, entry in json.loads(blob[8:8 + n]).items():
        start, stop = entry["data_offsets"]
        flat = np.frombuffer(blob[8 + n + start:8 + n + stop], DTYPES[entry["dtype"]])
        tensors[name] = flat.reshape(entry["shape"]).copy()
    return tensors


# ---- the supernet ------------------------------------------------------------------------------------

# Tensors of each operator that has any: name -> shape, from the largest values of the arguments.
PARAMETERS = {
    "Conv2d": lambda a: {"weight": (a["out_channels"], a["in_channels"] // a.get("groups", 1),
                                    a["kernel_size"], a["kernel_size"]),
                         "bias": (a["out_channels"],) if a.get("bias", True) else None},
    "Linear": lambda a: {"weight": (a["out_features"], a["in_features"]), "bias": (a["out_features"],)},
    "BatchNorm2d": lambda a: dict.fromkeys(("weight", "bias", "running_mean", "running_var"),
                                           (a["num_features"],)),
    "GroupNorm": lambda a: dict.fromkeys(("weight", "bias"), (a["num_channels"],)),
    "LayerNorm": lambda a: dict.fromkeys(("weight", "bias"), (a["normalized_shape"],)),
    "MultiheadAttention": lambda a: {"in_proj_weight": (3 * a["embed_dim"], a["embed_dim"]),
                                     "in_proj_bias": (3 * a["embed_dim"],),
                                     "out_proj.weight": (a["embed_dim"], a["embed_dim"]),
                                     "out_proj.bias": (a["embed_dim"],)},
}
STRUCTURE = ("name", "type", "label", "inputs", "outputs", "nodes", "layers", "blocks", "candidates", "depth")


class Supernet:
    """The modules of a specification, their largest weights, and a forward pass of any subnet."""

    def __init__(self, spec, tensors=None):
        self.choices = {}  # label -> candidates, in the order of their first use
        self.operators = set()  # the labels of the LayerChoices
        self.table = spec["choices"]
        self.root = spec["model"]
        self.shapes = {}
        self.training = False
        self._declare(self.root, "")
        self.p = {name: torch.tensor(tensors[name]) if tensors else self._initial(name, shape)
                  for name, shape in self.shapes.items()}

    # -- reading the specification --

    def _labels(self, argument):
        if not isinstance(argument, str):
            return []
        return [n.id for n in ast.walk(ast.parse(argument, mode="eval"))
                if isinstance(n, ast.Name) and n.id in self.table]

    def _largest(self, argument):
        if not isinstance(argument, str):
            return argument
        labels = self._labels(argument)
        for label in labels:
            self.choices.setdefault(label, self.table[label])
        options = itertools.product(*(self.table[label] for label in labels))
        return max(evaluate(argument, dict(zip(labels, o))) for o in options)

    def _declare(self, m, path):
        if m["type"] == "LayerChoice":
            self.operators.add(m["label"])
            self.choices[m["label"]] = [name for name, _ in children(m)]
        if m["type"] == "Repeat":
            self._largest(m["depth"])
        largest = {k: self._largest(v) for k, v in m.items() if k not in STRUCTURE}
        for name, shape in PARAMETERS.get(m["type"], lambda a: {})(largest).items():
            if shape:
                self.shapes[join(path, name)] = shape
        for name, child in children(m):
            self._declare(child, join(path, name))

    def _initial(self, name, shape):
        if len(shape) > 1:
            return torch.randn(shape) / math.sqrt(math.prod(shape[1:]))
        one = name.endswith("running_var") or (".norm" in name and name.endswith("weight"))
        return torch.ones(shape) if one else torch.zeros(shape)

    def weights(self):
        """What training learns: everything but the running statistics."""
        return {n: t for n, t in self.p.items() if ".running_" not in n}

    # -- running a subnet --

    def forward(self, x, chosen):
        """Logits of the subnet `chosen` ({label: value}). Also leaves in self.read the labels it read:
        the active ones. The others decide nothing about this subnet."""
        self.chosen, self.read = chosen, set()
        return self._run(self.root, "", [x])

    def _value(self, argument):
        labels = self._labels(argument)
        self.read.update(labels)
        if not isinstance(argument, str):
            return argument
        return evaluate(argument, {label: self.chosen[label] for label in labels})

    def _run(self, m, path, x):
        kids = children(m)
        if m["type"] == "Sequential":
            for name, child in kids:
                x = [self._run(child, join(path, name), x)]
            return x[0]
        if m["type"] == "Repeat":
            for name, child in kids[:self._value(m["depth"])]:
                x = [self._run(child, join(path, name), x)]
            return x[0]
        if m["type"] == "LayerChoice":
            self.read.add(m["label"])
            name = self.chosen[m["label"]]
            return self._run(dict(kids)[name], join(path, name), x)
        if m["type"] == "Graph":
            values = dict(zip(m["inputs"], x))
            for name, child in kids:  # this specification lists nodes in the order of their use
                wires = child["inputs"]
                wires = wires.values() if isinstance(wires, dict) else wires
                values[name] = self._run(child, join(path, name), [values[w] for w in wires])
            return values[m["outputs"][0]]
        a = {k: self._value(v) for k, v in m.items() if k not in STRUCTURE}
        w = lambda name: self.p[join(path, name)]
        return getattr(self, m["type"].lower())(a, w, *x)

    def conv2d(self, a, w, x):
        n_out, k, groups = a["out_channels"], a["kernel_size"], a.get("groups", 1)
        left = (w("weight").shape[-1] - k) // 2  # a small kernel is the centre of the large one
        weight = w("weight")[:n_out, :a["in_channels"] // groups, left:left + k, left:left + k]
        bias = w("bias")[:n_out] if a.get("bias", True) else None
        return F.conv2d(x, weight, bias, padding=a.get("padding", 0), groups=groups)

    def linear(self, a, w, x):
        n_out = a["out_features"]
        return F.linear(x, w("weight")[:n_out, :a["in_features"]], w("bias")[:n_out])

    def batchnorm2d(self, a, w, x):
        return F.batch_norm(x, w("running_mean"), w("running_var"), w("weight"), w("bias"), self.training)

    def groupnorm(self, a, w, x):
        n = a["num_channels"]
        return F.group_norm(x, a["num_groups"], w("weight")[:n], w("bias")[:n])

    def layernorm(self, a, w, x):
        n = a["normalized_shape"]
        return F.layer_norm(x, (n,), w("weight")[:n], w("bias")[:n])

    def multiheadattention(self, a, w, query, key, value):
        e, heads, batch = a["embed_dim"], a["num_heads"], query.shape[0]

        def project(x, i):  # three ranges of rows: the prefix of each of q, k and v
            start = i * w("out_proj.bias").shape[0]
            y = F.linear(x, w("in_proj_weight")[start:start + e, :e], w("in_proj_bias")[start:start + e])
            return y.view(batch, -1, heads, e // heads).transpose(1, 2)

        q, k, v = project(query, 0), project(key, 1), project(value, 2)
        scores = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(e // heads), dim=-1)
        y = (scores @ v).transpose(1, 2).reshape(batch, -1, e)
        return F.linear(y, w("out_proj.weight")[:e, :e], w("out_proj.bias")[:e])

    def maxpool2d(self, a, w, x):
        return F.max_pool2d(x, a["kernel_size"])

    def flatten(self, a, w, x):
        return x.flatten(a.get("start_dim", 1))

    def permute(self, a, w, x):
        return x.permute(a["dims"])

    def relu(self, a, w, x):
        return F.relu(x)

    def hardswish(self, a, w, x):
        return F.hardswish(x)

    def gelu(self, a, w, x):
        return F.gelu(x)

    def add(self, a, w, x, y):
        return x + y

    def identity(self, a, w, x):
        return x


def children(m):
    """(name, module) of a container; the blocks of a Repeat live below `blocks`."""
    prefix = "blocks." if m["type"] == "Repeat" else ""
    listed = next((m[k] for k in ("layers", "nodes", "candidates", "blocks") if k in m), [])
    return [(prefix + c.get("name", str(i)), c) for i, c in enumerate(listed)]


def join(path, name):
    return f"{path}.{name}" if path else name


def evaluate(expression, values):
    return eval(expression, {"__builtins__": {}, "to_int": int, "max": max, "min": min}, values)


def load_spec():
    with open(os.path.join(HERE, "spec.json")) as f:
        return json.load(f)


# ---- subnets -----------------------------------------------------------------------------------------

def random_subnet(net, rng):
    return {label: rng.choice(candidates) for label, candidates in net.choices.items()}


def largest_subnet(net):
    """The maxima, and the first candidate of each operator: the costliest comes first, `skip` last."""
    return {label: c[0] if label in net.operators else max(c) for label, c in net.choices.items()}


def smallest_subnet(net):
    return {label: c[-1] if label in net.operators else min(c) for label, c in net.choices.items()}


# ---- data --------------------------------------------------------------------------------------------

def digits():
    """Training and held-out images, [n, 1, 8, 8] with pixels 0..16 divided by 16, and their labels."""
    raw = load_digits()
    images = (raw.images / 16).astype(np.float32)[:, None]
    labels = raw.target.astype(np.int64)
    return train_test_split(images, labels, test_size=N_TEST, random_state=SEED, stratify=labels)


def augment(x, gen):
    """Turn by up to 12 degrees, scale by up to 10 %, shift by up to one pixel."""
    n = len(x)
    uniform = lambda top: (torch.rand(n, generator=gen) * 2 - 1) * top
    angle, scale = uniform(math.radians(12)), 1 + uniform(0.1)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    theta = torch.stack([torch.stack([cos, -sin, uniform(0.25)], 1),
                         torch.stack([sin, cos, uniform(0.25)], 1)], 1)
    return F.grid_sample(x, F.affine_grid(theta, x.shape, align_corners=False), align_corners=False)


# ---- training ----------------------------------------------------------------------------------------

def train(out, epochs):
    torch.manual_seed(SEED)
    rng, gen = random.Random(SEED), torch.Generator().manual_seed(SEED)
    x_train, x_test, y_train, y_test = digits()
    x, y = torch.tensor(x_train), torch.tensor(y_train)

    net = Supernet(load_spec())
    weights = net.weights()
    for t in weights.values():
        t.requires_grad_()
    batch = 96
    n_steps = epochs * (len(x) // batch)
    groups = [{"params": [t for t in weights.values() if t.dim() > 1], "weight_decay": 0.02},
              {"params": [t for t in weights.values() if t.dim() == 1], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=n_steps, pct_start=0.15)
    largest, smallest = largest_subnet(net), smallest_subnet(net)

    net.training = True
    for epoch in range(epochs):
        order, total = torch.randperm(len(x), generator=gen), 0.0
        for i in range(len(x) // batch):
            pick = order[i * batch:(i + 1) * batch]
            xb, yb = augment(x[pick], gen), y[pick]
            optimizer.zero_grad()
            logits = net.forward(xb, largest)
            loss = F.cross_entropy(logits, yb, label_smoothing=0.05)
            loss.backward()
            total += loss.item()
            teacher = torch.softmax(logits.detach(), dim=1)
            for chosen in (smallest, random_subnet(net, rng), random_subnet(net, rng)):
                logits = net.forward(xb, chosen)
                loss = (F.cross_entropy(logits, yb, label_smoothing=0.05) + F.cross_entropy(logits, teacher)) / 2
                loss.backward()
            torch.nn.utils.clip_grad_norm_(list(weights.values()), 5.0)
            optimizer.step()
            schedule.step()
        if epoch % 10 == 9:
            print(f"epoch {epoch + 1:3d}  loss of the largest subnet {total / (i + 1):.4f}", flush=True)
    net.training = False
    fit_stem(net, x)

    os.makedirs(out, exist_ok=True)
    arrays = {name: t.detach().numpy() for name, t in net.p.items()}
    write_safetensors(os.path.join(out, "weights.safetensors"), arrays)
    write_safetensors(os.path.join(out, "test-images.safetensors"), {"image": x_test})
    write_safetensors(os.path.join(out, "test-labels.safetensors"), {"label": y_test})
    report(net, torch.tensor(x_test), torch.tensor(y_test))


def fit_stem(net, x):
    """The statistics of the only BatchNorm2d, over all training images as they are. One fit serves every
    subnet, since nothing before it is elastic: it sees the same numbers whatever is chosen."""
    with torch.no_grad():
        y = F.conv2d(x, net.p["stem.conv.weight"], padding=1)
        net.p["stem.norm.running_mean"] = y.mean(dim=(0, 2, 3))
        net.p["stem.norm.running_var"] = y.var(dim=(0, 2, 3))


# ---- measuring ---------------------------------------------------------------------------------------

def n_correct(net, chosen, x, y):
    with torch.no_grad():
        return int((net.forward(x, chosen).argmax(1) == y).sum())


def report(net, x, y):
    rng = random.Random(CHECK_SEED)
    subnets = [random_subnet(net, rng) for _ in range(N_CHECKED)]
    percent = lambda n: f"{100 * n / len(y):.1f} %"
    counts = sorted(n_correct(net, s, x, y) for s in subnets)
    print(f"{sum(t.numel() for t in net.p.values())} parameters, "
          f"{math.prod(len(c) for c in net.choices.values())} assignments")
    print(f"{len(y)} held-out images, {N_CHECKED} random subnets (seed {CHECK_SEED}): "
          f"median {percent(np.median(counts))}, worst {percent(counts[0])}, best {percent(counts[-1])}")
    print(f"largest subnet {percent(n_correct(net, largest_subnet(net), x, y))}, "
          f"smallest subnet {percent(n_correct(net, smallest_subnet(net), x, y))}")
    return subnets, counts


def check():
    net = Supernet(load_spec(), read_safetensors(os.path.join(HERE, "weights.safetensors")))
    x = torch.tensor(read_safetensors(os.path.join(HERE, "test-images.safetensors"))["image"])
    y = torch.tensor(read_safetensors(os.path.join(HERE, "test-labels.safetensors"))["label"])
    subnets, counts = report(net, x, y)

    named = {"largest": largest_subnet(net), "smallest": smallest_subnet(net)}
    named.update((f"random{i}", s) for i, s in enumerate(subnets[:6]))
    cases = []
    for name, chosen in named.items():
        with torch.no_grad():
            logits = net.forward(x, chosen)
        cases.append({"name": name, "choices": chosen,
                      "active": {label: v for label, v in chosen.items() if label in net.read},
                      "logits": [[float(f"{v:.6g}") for v in row] for row in logits[:4].tolist()],
                      "correct": n_correct(net, chosen, x, y)})
    with open(os.path.join(HERE, "expected.json"), "w") as f:
        f.write(f'{{"images": {len(y)}, "cases": [\n')
        f.write(",\n".join(json.dumps(c) for c in cases))
        f.write("\n]}\n")
    if np.median(counts) < 0.95 * len(y) or counts[0] < 0.90 * len(y):
        raise SystemExit("not every subnet is worth serving: median below 95 % or worst below 90 %")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", metavar="DIR", help="train, and write the weights and the test images there")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--check", action="store_true", help="measure the committed files, write expected.json")
    args = parser.parse_args()
    if not args.out and not args.check:
        parser.error("one of --out DIR and --check is needed")
    torch.set_num_threads(1)
    if args.out:
        train(args.out, args.epochs)
    if args.check:
        check()


if __name__ == "__main__":
    main()
