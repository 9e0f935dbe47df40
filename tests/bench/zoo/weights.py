"""Random weights for a specification: of the largest network, the same on every machine."""
import ast
import itertools
import math
import zlib

import numpy

HEAD_DIM, RPE_LENGTH = 64, 14  # defaults of RelativePositionSelfAttention


def modules(module, path=""):
    """Every module that is no container, with the prefix of its tensors."""
    if module["type"] == "Repeat":
        inside = [("blocks.%d" % i, block) for i, block in enumerate(module["blocks"])]
    else:
        inside = [(child["name"], child) for child in module.get("layers") or module.get("nodes") or []]
    if not inside:
        yield path, module
    for name, child in inside:
        yield from modules(child, path + "." + name if path else name)


def largest(argument, choices):
    """The largest value of an argument over all assignments of the labels in it."""
    text = str(argument)
    labels = sorted({node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)} & set(choices))
    code = compile(text, "argument", "eval")
    return max(eval(code, {"to_int": int}, dict(zip(labels, values)))
               for values in itertools.product(*(choices[label] for label in labels)))


def shapes(module, choices):
    """{suffix: shape} of one module."""
    def size(name):
        return largest(module[name], choices)

    kind = module["type"]
    if kind == "Conv2d":
        kernel = size("kernel_size")
        inputs = largest("(%s) // (%s)" % (module["in_channels"], module.get("groups", 1)), choices)
        weight, bias = (size("out_channels"), inputs, kernel, kernel), (size("out_channels"),)
        return {"weight": weight, "bias": bias} if module.get("bias", True) else {"weight": weight}
    if kind == "Linear":
        return {"weight": (size("out_features"), size("in_features")), "bias": (size("out_features"),)}
    if kind == "BatchNorm2d":
        return dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (size("num_features"),))
    if kind == "LayerNorm":
        return dict.fromkeys(("weight", "bias"), (size("normalized_shape"),))
    if kind == "ClassToken":
        return {"cls_token": (1, 1, size("embed_dim"))}
    if kind == "AbsolutePositionEmbedding":
        return {"pos_embed": (1, module["length"], size("embed_dim"))}
    if kind == "RelativePositionSelfAttention":
        embed, inner = size("embed_dim"), size("num_heads") * HEAD_DIM
        result = {"proj.weight": (embed, inner), "proj.bias": (embed,)}
        for part in "qkv":
            result.update({part + ".weight": (inner, embed), part + ".bias": (inner,)})
        for part in itertools.product("kv", "vh") if module["rpe"] else ():
            result["rel_pos_embed_%s.embeddings_table_%s" % part] = (2 * RPE_LENGTH + 2, HEAD_DIM)
        return result
    return {}


def values(kind, name, shape):
    """Numbers that keep activations near 1: Kaiming's for products, around 1 for scales."""
    rng = numpy.random.default_rng(zlib.crc32(name.encode()))
    suffix = name.rsplit(".", 1)[-1]
    if suffix == "running_mean":
        return numpy.zeros(shape, numpy.float32)
    if suffix == "running_var":
        return numpy.ones(shape, numpy.float32)
    if suffix == "weight" and len(shape) == 1:
        return rng.uniform(0.8, 1.2, shape).astype(numpy.float32)
    if suffix == "weight":
        deviation = math.sqrt((2 if kind == "Conv2d" else 1) / math.prod(shape[1:]))
    else:
        deviation = 0.1 if suffix == "bias" else 0.02
    return rng.standard_normal(shape, numpy.float32) * numpy.float32(deviation)


def random_weights(spec):
    tensors = {}
    for path, module in modules(spec["model"]):
        for suffix, shape in shapes(module, spec["choices"]).items():
            name = path + "." + suffix
            tensors[name] = values(module["type"], name, shape)
    return tensors
