"""Short ways to write modules of a `supernet/1` document (api/spec.md).

Channels, kernels and strides are integers or expressions over labels."""


def conv(name, c_in, c_out, kernel=1, stride=1, groups=1, bias=False):
    half = kernel // 2 if isinstance(kernel, int) else "%s // 2" % kernel
    return {"name": name, "type": "Conv2d", "in_channels": c_in, "out_channels": c_out, "kernel_size": kernel,
            "stride": stride, "padding": half, "groups": groups, "bias": bias}


def norm(name, channels):
    """Momentum 1: one pass in training mode sets the statistics to those of its inputs."""
    return {"name": name, "type": "BatchNorm2d", "num_features": channels, "momentum": 1.0}


def conv_norm(name, c_in, c_out, kernel=1, stride=1, groups=1, act="ReLU"):
    layers = [conv("conv", c_in, c_out, kernel, stride, groups), norm("norm", c_out)]
    if act:
        layers.append({"name": "act", "type": act})
    return sequential(name, layers)


def linear(name, features_in, features_out):
    return {"name": name, "type": "Linear", "in_features": features_in, "out_features": features_out}


def plain(name, kind, **arguments):
    return dict({"name": name, "type": kind}, **arguments)


def sequential(name, layers):
    return {"name": name, "type": "Sequential", "layers": layers}


def graph(name, nodes, output):
    """`nodes`: pairs of a module and the names it reads; the graph's input is "x"."""
    return {"name": name, "type": "Graph", "inputs": ["x"], "outputs": [output],
            "nodes": [dict(module, inputs=list(inputs)) for module, inputs in nodes]}


def repeat(name, depth, blocks):
    """Blocks of a Repeat are called by their position."""
    blocks = [{key: value for key, value in block.items() if key != "name"} for block in blocks]
    return {"name": name, "type": "Repeat", "depth": depth, "blocks": blocks}


def document(name, shape, choices, layers):
    return {"format": "supernet/1", "name": name, "inputs": [{"name": "image", "shape": ["N"] + list(shape)}],
            "choices": choices, "model": {"type": "Sequential", "layers": layers}}
