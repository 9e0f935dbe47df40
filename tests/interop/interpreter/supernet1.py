"""A supernet/1 document under a choice for every label, in PyTorch.

Written from api/spec.md alone: nothing here is shared with the library. Expressions are
walked in Python's own syntax tree, weights are cut as the specification says, and every
operator is PyTorch's function of that name. `Network(...).run(inputs)` works in float32
and, for the rounding that is nobody's fault, in float64.
"""
import ast
import math
import operator

import torch
import torch.nn.functional as F

# ---- expressions ---------------------------------------------------------------------------

BINARY = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow,
    ast.LShift: operator.lshift, ast.RShift: operator.rshift, ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_, ast.BitXor: operator.xor,
}
UNARY = {ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Invert: operator.invert, ast.Not: operator.not_}
COMPARE = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Eq: operator.eq, ast.NotEq: operator.ne,
    ast.GtE: operator.ge, ast.Gt: operator.gt,
}
FUNCTIONS = {
    "max": max, "min": min, "abs": abs, "round": round, "floor": math.floor, "ceil": math.ceil,
    "trunc": math.trunc, "to_int": int, "to_float": float, "pow": pow, "divmod": divmod,
    "cond": lambda pred, yes, no: yes if pred else no,
}


def evaluate(text, labels):
    def walk(n):
        if isinstance(n, ast.Expression):
            return walk(n.body)
        if isinstance(n, ast.Constant):
            return n.value
        if isinstance(n, ast.Name):
            return labels[n.id]
        if isinstance(n, ast.Tuple):
            return tuple(walk(e) for e in n.elts)
        if isinstance(n, ast.BinOp):
            return BINARY[type(n.op)](walk(n.left), walk(n.right))
        if isinstance(n, ast.UnaryOp):
            return UNARY[type(n.op)](walk(n.operand))
        if isinstance(n, ast.BoolOp):
            for e in n.values:
                value = walk(e)
                if bool(value) == isinstance(n.op, ast.Or):
                    break
            return value
        if isinstance(n, ast.IfExp):
            return walk(n.body) if walk(n.test) else walk(n.orelse)
        if isinstance(n, ast.Compare):
            left = walk(n.left)
            for op, right in zip(n.ops, n.comparators):
                right = walk(right)
                if not COMPARE[type(op)](left, right):
                    return False
                left = right
            return True
        if isinstance(n, ast.Subscript):
            return walk(n.value)[walk(n.slice)]
        if isinstance(n, ast.Call):
            if n.func.id == "choice":
                return labels[n.args[0].value]
            return FUNCTIONS[n.func.id](*map(walk, n.args))
        raise ValueError(f"{text}: {ast.dump(n)}")

    value = walk(ast.parse(text.strip(), mode="eval"))
    return value


# ---- arguments ------------------------------------------------------------------------------

FIXED_TEXTS = {"padding_mode", "approximate", "name", "type", "label", "reduction", "merge_op", "postprocessor"}


def two(v):
    return tuple(v) if isinstance(v, (list, tuple)) else (v, v)


def listed(v):
    return list(v) if isinstance(v, (list, tuple)) else [v]


class Network:
    def __init__(self, document, weights, choices, dtype):
        self.document = document
        self.weights = {k: v.to(dtype) if v.is_floating_point() else v for k, v in weights.items()}
        self.choices = {k: tuple(v) if isinstance(v, list) else v for k, v in choices.items()}
        self.dtype = dtype

    def value(self, module, name, default=None, scope=None, state=None):
        """An argument of a module; `scope` has names beside the labels, `state` is where an edge of a
        Cell begins."""
        v = module.get(name, default)
        if isinstance(v, dict) and ("if_input" in v or "if_input_below" in v):
            hit = state == v["if_input"] if "if_input" in v else state < v["if_input_below"]
            v = v["then"] if hit else v["else"]
        if isinstance(v, dict):
            v = v["expr"]
        if isinstance(v, str) and name not in FIXED_TEXTS and v not in ("same", "valid"):
            labels = dict(self.choices)
            labels.update(scope or {})
            v = evaluate(v, labels)
        return v

    # ---- containers: lists of Value, for what nothing reads is not there ---------------------------

    def run(self, inputs):
        given = [Value(lambda n=i["name"]: inputs.get(n)) for i in self.document["inputs"]]
        return [v.get() for v in self.module(self.document["model"], "", given, {}, None)]

    def module(self, m, path, x, scope, state):
        kind = m["type"]
        container = getattr(self, "container_" + kind, None)
        if container:
            return container(m, path, x, scope, state)
        done = Value(lambda: OPERATORS[kind](Call(self, m, path, [v.get() for v in x], scope, state)))
        return [Value(lambda i=i: done.get()[i]) for i in range(self.n_out(m, len(x)))]

    def n_out(self, m, n_in):
        kind = m["type"]
        if kind == "Sequential":
            for layer in m["layers"]:
                n_in = self.n_out(layer, n_in)
            return n_in
        if kind == "Repeat":
            return n_in
        if kind == "LayerChoice":
            return self.n_out(m["candidates"][0], n_in)
        if kind == "Graph":
            return len(m["outputs"])
        return 2 if kind == "MultiheadAttention" or m.get("postprocessor") else 1

    @staticmethod
    def join(path, name):
        return f"{path}.{name}" if path else str(name)

    def container_Sequential(self, m, path, x, scope, state):
        for i, layer in enumerate(m["layers"]):
            x = self.module(layer, self.join(path, layer.get("name", i)), x, scope, state)
        return x

    def container_Graph(self, m, path, x, scope, state):
        done = dict(zip(m["inputs"], [[v] for v in x]))
        nodes = {n["name"]: n for n in m["nodes"]}

        def result(ref):
            if ref is None:
                return Value(lambda: None)
            if ref in done:
                return done[ref][0]
            name, number = ref, 0
            if name not in nodes:
                name, number = ref.rsplit(".", 1)
                number = int(number)
            if name not in done:
                node = nodes[name]
                wires = node["inputs"]
                if isinstance(wires, dict) and node["type"] in NAMED_INPUTS:
                    wires = [wires.get(k) for k in NAMED_INPUTS[node["type"]]]
                elif isinstance(wires, dict):
                    wires = list(wires.values())
                done[name] = self.module(node, self.join(path, name), [result(w) for w in wires], scope, state)
            return done[name][number]

        return [Value(lambda ref=ref: result(ref).get()) for ref in m["outputs"]]

    def pick(self, candidates, decision):
        names = [str(c.get("name", i)) for i, c in enumerate(candidates)]
        return names.index(str(decision))

    def later(self, m, n_in, f):
        """Outputs of a module that is only looked at when one of them is read."""
        done = Value(f)
        return [Value(lambda i=i: done.get()[i].get()) for i in range(self.n_out(m, n_in))]

    def container_LayerChoice(self, m, path, x, scope, state):
        def chosen():
            decision = self.choices[m["label"]]
            results = []
            for d in decision if isinstance(decision, tuple) else (decision,):
                i = self.pick(m["candidates"], d)
                c = m["candidates"][i]
                results.append(self.module(c, self.join(path, c.get("name", i)), x, scope, state))
            return [added(list(same)) for same in zip(*results)]

        return self.later(m, len(x), chosen)

    def container_InputChoice(self, m, path, x, scope, state):
        def chosen():
            picks = [x[i] for i in listed(self.choices[m["label"]])]
            reduction = m.get("reduction", "sum")
            if reduction == "concat":
                return [joined(picks, 1)]
            if reduction == "sum":
                return [added(picks)]
            return [Value(lambda: added(picks).get() / len(picks))]

        return self.later(m, len(x), chosen)

    def container_Repeat(self, m, path, x, scope, state):
        def blocks():
            depth = m["depth"]
            depth = self.choices[m["label"]] if isinstance(depth, list) else self.value(m, "depth", None, scope, state)
            y = x
            for i in range(depth):
                block = m["block"] if "block" in m else m["blocks"][i]
                y = self.module(block, f"{self.join(path, 'blocks')}.{i}", y, scope, state)
            return y

        return self.later(m, len(x), blocks)

    def container_Cell(self, m, path, x, scope, state):
        before, n_ops, label = m.get("num_predecessors", 1), m.get("num_ops_per_node", 1), m["label"]
        candidates, loose = m["candidates"], m.get("merge_op", "all") == "loose_end"
        edges = m.get("factory", False) or loose or depends_on_state(candidates)
        last = before + m["num_nodes"]
        states = list(x)
        for j, p in enumerate(m.get("preprocessor", [])):
            states[j] = self.module(p, self.join(path, f"preprocessor.mods.{j}"), [x[j]], scope, state)[0]

        def source(i, k):
            return listed(self.choices[f"{label}/input_{i}_{k}"])[0]

        def node(i):
            results = []
            for k in range(n_ops):
                j = source(i, k)
                op = self.pick(candidates, self.choices[f"{label}/op_{i}_{k}"])
                c = candidates[op]
                where = f"ops.{i - before}.{j if edges else k}.{c.get('name', op)}"
                results.append(self.module(c, self.join(path, where), [states[j]], scope, j)[0])
            return added(results).get()

        for i in range(before, last):
            states.append(Value(lambda i=i: node(i)))

        def ends():
            read = {source(i, k) for i in range(before, last) for k in range(n_ops)} if loose else set()
            return joined([states[i] for i in range(before, last) if i not in read], m.get("concat_dim", 1)).get()

        y = [Value(ends)]
        return [x[-1]] + y if m.get("postprocessor") else y

    def container_NasBench201Cell(self, m, path, x, scope, state):
        tensors = list(x)

        def tensor(i):
            n_in = self.value(m, "in_features", None, scope, state)
            n_out = self.value(m, "out_features", None, scope, state)
            results = []
            for j in range(i):
                op = self.pick(m["candidates"], self.choices[f"{m['label']}/{j}_{i}"])
                c = m["candidates"][op]
                inner = dict(scope, in_features=n_in if j == 0 else n_out, out_features=n_out)
                where = self.join(path, f"layers.{i - 1}.{j}.{c.get('name', op)}")
                results.append(self.module(c, where, [tensors[j]], inner, state)[0])
            return added(results).get()

        for i in range(1, m.get("num_tensors", 4)):
            tensors.append(Value(lambda i=i: tensor(i)))
        return [tensors[-1]]

    def container_NasBench101Cell(self, m, path, x, scope, state):
        return [Value(lambda: self.nasbench101(m, path, x, scope, state).get())]

    def nasbench101(self, m, path, x, scope, state):
        label = m["label"]
        last = self.choices[f"{label}/num_nodes"] - 1
        n_in = self.value(m, "in_features", None, scope, state)
        n_out = self.value(m, "out_features", None, scope, state)
        reads = {i: listed(self.choices.get(f"{label}/input{i}", ())) for i in range(1, last + 1)}
        alive, todo = set(), [last]
        while todo:
            for j in reads.get(todo.pop(), []):
                if j not in alive:
                    alive.add(j)
                    todo.append(j)
        width = {last: n_out}
        shared = sorted(j for j in reads[last] if j != 0)
        for k, j in enumerate(shared):
            width[j] = n_out // len(shared) + (1 if k < n_out % len(shared) else 0)
        for j in range(last - 1, 0, -1):
            if j in alive and j not in width:
                width[j] = max(width[i] for i in alive if j in reads.get(i, []))

        def project(i):
            inner = dict(scope, in_features=n_in, out_features=width[i])
            return self.module(m["projection"], self.join(path, f"projections.{i}"), x, inner, state)[0]

        value = {}
        for i in range(1, last):
            if i not in alive:
                continue
            terms = [project(i) if j == 0 else Value(lambda i=i, j=j: value[j].get()[:, :width[i]]) for j in reads[i]]
            op = self.pick(m["candidates"], self.choices[f"{label}/op{i}"])
            c = m["candidates"][op]
            inner = dict(scope, num_features=width[i])
            where = self.join(path, f"ops.{i}.{c.get('name', op)}")
            value[i] = self.module(c, where, [added(terms)], inner, state)[0]
        y = [joined([value[j] for j in shared], 1)] if shared else []
        return added(y + ([project(last)] if 0 in reads[last] else []))


class Value:
    """A tensor that is computed when it is first read."""

    def __init__(self, f):
        self.f, self.done, self.value = f, False, None

    def get(self):
        if not self.done:
            self.value, self.done = self.f(), True
        return self.value


def added(values):
    def total():
        y = values[0].get()
        for v in values[1:]:
            y = y + v.get()
        return y
    return Value(total)


def joined(values, dim):
    return values[0] if len(values) == 1 else Value(lambda: torch.cat([v.get() for v in values], dim))


def depends_on_state(v):
    if isinstance(v, dict):
        return "if_input" in v or "if_input_below" in v or any(map(depends_on_state, v.values()))
    return isinstance(v, list) and any(map(depends_on_state, v))


# ---- operators --------------------------------------------------------------------------------

class Call:
    """One operator at work: its arguments, its weights and what comes in."""

    def __init__(self, net, module, path, x, scope, state):
        self.net, self.m, self.path, self.x, self.scope, self.state = net, module, path, x, scope, state

    def arg(self, name, default=None):
        return self.net.value(self.m, name, default, self.scope, self.state)

    def weight(self, name):
        return self.net.weights.get(self.net.join(self.path, name))


OPERATORS = {}
NAMED_INPUTS = {"MultiheadAttention": ("query", "key", "value", "key_padding_mask", "attn_mask")}


def op(f):
    OPERATORS[f.__name__] = f
    return f


def elementwise(name, f):
    OPERATORS[name] = lambda c: [f(c.x[0])]


elementwise("ReLU", F.relu)
elementwise("ReLU6", F.relu6)
elementwise("Hardswish", F.hardswish)
elementwise("Hardsigmoid", F.hardsigmoid)
elementwise("SiLU", F.silu)
elementwise("Sigmoid", torch.sigmoid)
elementwise("Tanh", torch.tanh)
elementwise("Identity", lambda x: x)
elementwise("Dropout", lambda x: x)


@op
def GELU(c):
    return [F.gelu(c.x[0], approximate=c.arg("approximate", "none"))]


@op
def Softmax(c):
    return [F.softmax(c.x[0], c.arg("dim"))]


@op
def Flatten(c):
    return [torch.flatten(c.x[0], c.arg("start_dim", 1), c.arg("end_dim", -1))]


@op
def Reshape(c):
    x = c.x[0]
    return [x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(c.arg("shape"))])]


@op
def Permute(c):
    return [c.x[0].permute(c.arg("dims"))]


@op
def Mean(c):
    return [c.x[0].mean(c.arg("dim"), c.arg("keepdim", False))]


def fold(f):
    def run(c):
        y = c.x[0]
        for x in c.x[1:]:
            y = f(y, x)
        return [y]
    return run


OPERATORS["Add"] = fold(operator.add)
OPERATORS["Mul"] = fold(operator.mul)
OPERATORS["Average"] = lambda c: [fold(operator.add)(c)[0] / len(c.x)]
OPERATORS["Concat"] = lambda c: [torch.cat(c.x, c.arg("dim", 1))]


@op
def Linear(c):
    n_in, n_out = c.arg("in_features"), c.arg("out_features")
    bias = c.weight("bias")
    return [F.linear(c.x[0], c.weight("weight")[:n_out, :n_in], None if bias is None else bias[:n_out])]


@op
def LayerNorm(c):
    shape = listed(c.arg("normalized_shape"))
    part = tuple(slice(0, n) for n in shape)
    w, b = c.weight("weight"), c.weight("bias")
    return [F.layer_norm(c.x[0], shape, None if w is None else w[part], None if b is None else b[part], c.arg("eps", 1e-5))]


def by_channel(v, rank):
    return v.reshape([1, -1] + [1] * (rank - 2))


@op
def BatchNorm2d(c):
    n, x = c.arg("num_features"), c.x[0]
    mean, var = c.weight("running_mean"), c.weight("running_var")
    if mean is None:
        dims = [d for d in range(x.dim()) if d != 1]
        mean, var = x.mean(dims), x.var(dims, unbiased=False)
    y = (x - by_channel(mean[:n], x.dim())) / torch.sqrt(by_channel(var[:n], x.dim()) + c.arg("eps", 1e-5))
    if c.weight("weight") is not None:
        y = y * by_channel(c.weight("weight")[:n], x.dim()) + by_channel(c.weight("bias")[:n], x.dim())
    return [y]


@op
def GroupNorm(c):
    n = c.arg("num_channels")
    w, b = c.weight("weight"), c.weight("bias")
    x = c.x[0]
    grouped = x.reshape(x.shape[0], c.arg("num_groups"), -1) # F.group_norm refuses groups of one number
    mean, var = grouped.mean(2, keepdim=True), grouped.var(2, unbiased=False, keepdim=True)
    y = ((grouped - mean) / torch.sqrt(var + c.arg("eps", 1e-5))).reshape(x.shape)
    return [y if w is None else y * by_channel(w[:n], x.dim()) + by_channel(b[:n], x.dim())]


@op
def Conv2d(c):
    x, groups = c.x[0], c.arg("groups", 1)
    n_in, n_out = c.arg("in_channels"), c.arg("out_channels")
    kernel, stride, dilation = two(c.arg("kernel_size")), two(c.arg("stride", 1)), two(c.arg("dilation", 1))
    padding, mode = c.arg("padding", 0), c.arg("padding_mode", "zeros")
    whole = c.weight("weight")
    start = [(whole.shape[2 + a] - kernel[a]) // 2 for a in (0, 1)]
    w = whole[:n_out, :n_in // groups, start[0]:start[0] + kernel[0], start[1]:start[1] + kernel[1]]
    b = c.weight("bias")
    if padding == "valid":
        padding = 0
    if padding == "same":
        total = [dilation[a] * (kernel[a] - 1) for a in (0, 1)]
        edges = [(t // 2, t - t // 2) for t in total]
    else:
        edges = [(p, p) for p in two(padding)]
    pads = [edges[1][0], edges[1][1], edges[0][0], edges[0][1]]
    batched = x if x.dim() == 4 else x[None]
    batched = F.pad(batched, pads) if mode == "zeros" else F.pad(batched, pads, mode=mode)
    y = F.conv2d(batched, w, None if b is None else b[:n_out], stride, 0, dilation, groups)
    return [y if x.dim() == 4 else y[0]]


@op
def MaxPool2d(c):
    kernel = two(c.arg("kernel_size"))
    stride = c.arg("stride")
    return [F.max_pool2d(c.x[0], kernel, kernel if stride is None else two(stride), two(c.arg("padding", 0)),
                         two(c.arg("dilation", 1)), c.arg("ceil_mode", False))]


@op
def AvgPool2d(c):
    kernel = two(c.arg("kernel_size"))
    stride = c.arg("stride")
    return [F.avg_pool2d(c.x[0], kernel, kernel if stride is None else two(stride), two(c.arg("padding", 0)),
                         c.arg("ceil_mode", False), c.arg("count_include_pad", True), c.arg("divisor_override"))]


@op
def AdaptiveAvgPool2d(c):
    return [F.adaptive_avg_pool2d(c.x[0], two(c.arg("output_size")))]


@op
def ClassToken(c):
    token = c.weight("cls_token")[..., :c.arg("embed_dim")]
    return [torch.cat([token.expand(c.x[0].shape[0], -1, -1), c.x[0]], 1)]


@op
def AbsolutePositionEmbedding(c):
    return [c.x[0] + c.weight("pos_embed")[..., :c.arg("embed_dim")]]


def distances(c, part, tokens, length):
    side = int((tokens - 1) ** 0.5)
    at = torch.arange(tokens - 1)
    rows = torch.zeros(tokens, tokens, dtype=torch.long)
    columns = torch.zeros(tokens, tokens, dtype=torch.long)
    if tokens > 1:
        rows[1:, 1:] = (at[None] // side - at[:, None] // side).clamp(-length, length) + length + 1
        columns[1:, 1:] = (at[None] % side - at[:, None] % side).clamp(-length, length) + length + 1
    return c.weight(part + ".embeddings_table_v")[rows] + c.weight(part + ".embeddings_table_h")[columns]


@op
def RelativePositionSelfAttention(c):
    x = c.x[0]
    e, heads, d = c.arg("embed_dim"), c.arg("num_heads"), c.arg("head_dim", 64)
    inner, (n, tokens, _) = heads * d, x.shape

    def project(name):
        y = x @ c.weight(name + ".weight")[:inner, :e].T
        if c.weight(name + ".bias") is not None:
            y = y + c.weight(name + ".bias")[:inner]
        return y.reshape(n, tokens, heads, d).transpose(1, 2)

    q, k, v = project("q"), project("k"), project("v")
    score = q @ k.transpose(-2, -1)
    rpe, length = c.arg("rpe", False), c.arg("rpe_length", 14)
    if rpe:
        score = score + torch.einsum("nhid,ijd->nhij", q, distances(c, "rel_pos_embed_k", tokens, length))
    scale = c.arg("qk_scale")
    p = (score * (d ** -0.5 if scale is None else scale)).softmax(-1)
    y = p @ v
    if rpe:
        y = y + torch.einsum("nhij,ijd->nhid", p, distances(c, "rel_pos_embed_v", tokens, length))
    y = y.transpose(1, 2).reshape(n, tokens, inner)
    return [y @ c.weight("proj.weight")[:e, :inner].T + c.weight("proj.bias")[:e]]


@op
def MultiheadAttention(c):
    query, key, value, hides, mask = (c.x + [None] * 5)[:5]
    e, heads = c.arg("embed_dim"), c.arg("num_heads")
    batched, first = query.dim() == 3, c.arg("batch_first", False)
    if not batched:
        query, key, value = query[None], key[None], value[None]
        hides = None if hides is None else hides[None]
    elif not first:
        query, key, value = query.transpose(0, 1), key.transpose(0, 1), value.transpose(0, 1)
    packed, bias = c.weight("in_proj_weight"), c.weight("in_proj_bias")
    if packed is not None:
        whole = packed.shape[0] // 3
        wq, wk, wv = (packed[i * whole:i * whole + e, :e] for i in range(3))
    else:
        whole = c.weight("q_proj_weight").shape[0]
        wq = c.weight("q_proj_weight")[:e, :e]
        wk = c.weight("k_proj_weight")[:e, :key.shape[2]]
        wv = c.weight("v_proj_weight")[:e, :value.shape[2]]
    q, k, v = query @ wq.T, key @ wk.T, value @ wv.T
    if bias is not None:
        q, k, v = (t + bias[i * whole:i * whole + e] for i, t in enumerate((q, k, v)))
    n, n_q = q.shape[:2]

    def additive(m):
        if m.dtype in (torch.bool, torch.uint8):
            return torch.zeros(m.shape, dtype=q.dtype).masked_fill(m != 0, -math.inf)
        return m

    scores_mask = torch.zeros(n, heads, n_q, k.shape[1], dtype=q.dtype)
    if hides is not None:
        scores_mask = scores_mask + additive(hides)[:, None, None, :]
    if mask is not None:
        scores_mask = scores_mask + (additive(mask)[None, None] if mask.dim() == 2
                                     else additive(mask).reshape(n, heads, n_q, -1))

    def append(k, v, more_k, more_v, scores_mask):
        k = torch.cat([k, more_k.expand(n, 1, e)], 1)
        v = torch.cat([v, more_v.expand(n, 1, e)], 1)
        return k, v, F.pad(scores_mask, (0, 1))

    if c.weight("bias_k") is not None:
        k, v, scores_mask = append(k, v, c.weight("bias_k")[..., :e], c.weight("bias_v")[..., :e], scores_mask)
    if c.arg("add_zero_attn", False):
        zero = torch.zeros(1, 1, e, dtype=q.dtype)
        k, v, scores_mask = append(k, v, zero, zero, scores_mask)

    def split(t):
        return t.reshape(n, t.shape[1], heads, e // heads).transpose(1, 2)

    p = (split(q) @ split(k).transpose(-2, -1) / math.sqrt(e // heads) + scores_mask).softmax(-1)
    y = (p @ split(v)).transpose(1, 2).reshape(n, n_q, e) @ c.weight("out_proj.weight")[:e, :e].T
    if c.weight("out_proj.bias") is not None:
        y = y + c.weight("out_proj.bias")[:e]
    weights = p.mean(1) if c.arg("need_weights", True) else None
    if not batched:
        return [y[0], None if weights is None else weights[0]]
    return [y if first else y.transpose(0, 1), weights]


@op
def Zero(c):
    x, n, s = c.x[0], c.arg("C_out"), c.arg("stride", 1)
    shape = [x.shape[0], n] + [(d - 1) // s + 1 for d in x.shape[2:]]
    return [torch.zeros(shape, dtype=x.dtype)]


@op
def Truncate(c):
    return [c.x[0][:, :c.arg("channels")]]
