"""OFA-MobileNetV3: elastic kernel, expansion and depth; and `tiny`, a small fixed net of the same blocks."""
from .layers import conv, conv_norm, document, graph, linear, plain, repeat, sequential

KERNELS, EXPANDS, DEPTHS = [3, 5, 7], [3, 4, 6], [2, 3, 4]
#         stride, activation, squeeze-and-excitation
STAGES = [(2, "ReLU", False), (2, "ReLU", True), (2, "Hardswish", False), (1, "Hardswish", True),
          (2, "Hardswish", True)]

# The subnets of the benchmark: kernel and expansion by stage and block; the depth cuts the rows.
KERNEL = [[7, 3, 5, 3], [5, 7, 3, 5], [3, 7, 5, 3], [7, 3, 5, 5], [5, 7, 3, 7]]
EXPAND = [[4, 3, 6, 3], [6, 3, 4, 4], [6, 3, 4, 6], [6, 4, 3, 6], [6, 4, 6, 3]]


def divisible(value):
    """Channels as MobileNet rounds them: a multiple of 8, not below 90 percent."""
    rounded = max(8, int(value + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * value else rounded


def squeeze(channels, middle):
    gate = [plain("pool", "AdaptiveAvgPool2d", output_size=1), conv("reduce", channels, middle, bias=True),
            plain("act", "ReLU"), conv("expand", middle, channels, bias=True), plain("gate", "Hardsigmoid")]
    return graph("se", [(sequential("weight", gate), ["x"]), (plain("scaled", "Mul"), ["x", "weight"])], "scaled")


def mbconv(name, c_in, c_out, middle, kernel, stride, act, se=None, expand=True):
    """`se`: the channels that are left after squeezing."""
    layers = [conv_norm("expand", c_in, middle, act=act)] if expand else []
    layers.append(conv_norm("depthwise", middle, middle, kernel, stride, middle, act))
    if se:
        layers.append(squeeze(middle, se))
    layers.append(conv_norm("project", middle, c_out, act=None))
    body = sequential("body", layers)
    if stride != 1 or c_in != c_out:
        return dict(body, name=name)
    return graph(name, [(body, ["x"]), (plain("sum", "Add"), ["x", "body"])], "sum")


def stage(i, c_in, c_out):
    stride, act, se = STAGES[i]
    blocks = []
    for j in range(max(DEPTHS)):
        expand = "expand%d_%d" % (i, j)
        squeezed = tuple(divisible(c_in * e // 4) for e in EXPANDS)
        blocks.append(mbconv("", c_in, c_out, "%d * %s" % (c_in, expand), "kernel%d_%d" % (i, j),
                             stride if j == 0 else 1, act, "%s[%s // 2 - 1]" % (squeezed, expand) if se else None))
        c_in = c_out
    return repeat("stage%d" % i, "depth%d" % i, blocks)


def mobilenet(width, depths):
    """A supernet of this width, and the choices of the subnet with these depths."""
    c_first, c_in, *c_stage = (divisible(c * width) for c in (16, 16, 24, 40, 80, 112, 160))
    c_last, c_head = divisible(960 * width), divisible(1280 * width)
    layers = [conv_norm("first", 3, c_first, 3, 2, act="Hardswish"),
              mbconv("block", c_first, c_in, c_first, 3, 1, "ReLU", expand=False)]
    choices, chosen = {}, {}
    for i, depth in enumerate(depths):
        layers.append(stage(i, c_in, c_stage[i]))
        c_in = c_stage[i]
        choices["depth%d" % i], chosen["depth%d" % i] = DEPTHS, depth
        for j in range(max(DEPTHS)):
            choices["kernel%d_%d" % (i, j)], choices["expand%d_%d" % (i, j)] = KERNELS, EXPANDS
            chosen["kernel%d_%d" % (i, j)], chosen["expand%d_%d" % (i, j)] = KERNEL[i][j], EXPAND[i][j]
    layers += [conv_norm("last", c_in, c_last, act="Hardswish"), plain("pool", "AdaptiveAvgPool2d", output_size=1),
               conv("mix", c_last, c_head), plain("act", "Hardswish"), plain("flat", "Flatten"),
               linear("head", c_head, 1000)]
    return document("OFA-MobileNetV3 x%s" % width, (3, 224, 224), choices, layers), chosen


def tiny():
    layers = [conv_norm("first", 1, 16, 3)]
    rows = [(16, 24, 48, 1), (24, 24, 96, 1), (24, 40, 96, 2), (40, 40, 120, 1), (40, 40, 160, 1)]
    for i, (c_in, c_out, middle, stride) in enumerate(rows):
        layers.append(mbconv("block%d" % i, c_in, c_out, middle, 3, stride, "ReLU"))
    layers += [plain("pool", "AdaptiveAvgPool2d", output_size=1), plain("flat", "Flatten"), linear("head", 40, 10)]
    return document("tiny", (1, 8, 8), {}, layers), {}
